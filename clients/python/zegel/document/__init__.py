"""Generated from the contracts of ``zegel.document``."""
