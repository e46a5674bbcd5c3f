"""Generated from the contracts of ``zegel.audit``."""
