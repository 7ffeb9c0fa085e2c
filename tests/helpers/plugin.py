"""A part that another package registers."""

from speechbrain_can.features import segments


def aligned_segments(words, overlap=0.1):
    """Return the segments of the words."""
    return segments.aligned_segments(words, overlap)
