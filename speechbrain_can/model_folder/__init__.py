"""Model folders: writing, reading, and checks of untrusted folders."""
