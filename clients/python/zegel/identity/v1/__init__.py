"""Generated from the contracts of ``zegel.identity.v1``."""
