"""Encoders of other libraries, and their stores."""
