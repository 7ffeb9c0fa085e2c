"""From segments of audio to frames, stored once."""
