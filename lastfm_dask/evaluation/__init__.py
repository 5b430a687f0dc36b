"""How good recommendations are: splits, candidates, baselines, metrics, evaluation, and the search for settings."""
