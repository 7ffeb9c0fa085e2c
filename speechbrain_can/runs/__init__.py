"""Files of a run: layout, predictions, results, summaries."""
