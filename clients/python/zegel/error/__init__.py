"""Generated from the contracts of ``zegel.error``."""
