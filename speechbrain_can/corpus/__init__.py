"""Corpora: manifests, protocols, preparation, leakage."""
