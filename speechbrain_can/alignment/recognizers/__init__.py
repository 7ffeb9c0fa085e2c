"""Speech recognizers that return words with timings."""
