"""Words with timings: records, cleaning, tiling, file formats, aligners."""
