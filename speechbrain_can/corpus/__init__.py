"""Corpora: the manifest, protocols, preparation, what leaks."""
