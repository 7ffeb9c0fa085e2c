"""Readers of alignment files, one module per family of formats."""
