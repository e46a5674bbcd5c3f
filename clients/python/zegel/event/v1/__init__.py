"""Generated from the contracts of ``zegel.event.v1``."""
