"""Generated from the contracts of ``zegel.signing``."""
