"""From a dataset to a model: weighting, the two stages prepare and fit, settings, and the model card."""
