"""Fonts: those that a PDF names and does not hold, and those of what Zegel draws itself."""
