"""How contestants are measured and compared; the contestants that are no command of ours are in `peers`."""
