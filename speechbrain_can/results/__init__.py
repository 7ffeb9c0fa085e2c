"""What runs found: metrics, tables, tests, pictures."""
