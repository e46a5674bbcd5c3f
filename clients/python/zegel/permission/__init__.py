"""Generated from the contracts of ``zegel.permission``."""
