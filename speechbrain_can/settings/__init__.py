"""hparams files and their validation."""
