"""Generated from the contracts of ``zegel.permission.v1``."""
