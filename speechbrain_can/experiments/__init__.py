"""Comparisons, hyper-parameter search, packaging of models."""
