"""A controlled corpus, made on the spot, and what attention finds in it."""
