"""Pretrained encoders and CTC models of other libraries."""
