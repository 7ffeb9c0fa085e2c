"""Words with their times: records, cleaning, tiling, readers."""
