"""What `quality.py` measures: listening data of many shapes, and the models that the default must keep up with."""
