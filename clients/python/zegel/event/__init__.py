"""Generated from the contracts of ``zegel.event``."""
