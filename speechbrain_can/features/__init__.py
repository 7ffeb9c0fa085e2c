"""Segments and acoustic features of words, and the feature cache."""
