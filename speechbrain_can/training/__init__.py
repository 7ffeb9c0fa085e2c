"""Training: datasets, the Brain, checkpoints, folds, parallel runs."""
