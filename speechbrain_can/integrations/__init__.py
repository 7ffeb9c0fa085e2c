"""Pretrained models of other libraries."""
