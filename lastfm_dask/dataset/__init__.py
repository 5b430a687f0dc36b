"""Datasets on disk: the format, opening, verifying and publishing them, names and indices, statistics."""
