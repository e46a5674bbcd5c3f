"""Generated from the contracts of ``zegel.audit.v1``."""
