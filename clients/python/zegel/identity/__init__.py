"""Generated from the contracts of ``zegel.identity``."""
