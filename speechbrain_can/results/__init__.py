"""Results of runs: metrics, tables, significance tests, figures."""
