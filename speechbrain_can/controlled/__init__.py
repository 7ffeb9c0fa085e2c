"""Generated corpora with known emotional key words."""
