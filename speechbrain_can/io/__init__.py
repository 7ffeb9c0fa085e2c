"""Files, audio and tables."""
