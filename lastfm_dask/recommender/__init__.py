"""From a model to its answers: recommend, score, explain, similar artists, all users at once, exports."""
