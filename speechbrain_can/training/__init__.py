"""Datasets, the Brain, checkpoints, folds and comparisons of runs."""
