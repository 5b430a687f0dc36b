"""From a dataset to a model and its answers: weighting, training, recommending, explaining, evaluating, tuning."""
