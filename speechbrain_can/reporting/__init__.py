"""Pages of what runs found."""
