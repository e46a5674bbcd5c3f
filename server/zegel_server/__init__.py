"""The Zegel server."""
