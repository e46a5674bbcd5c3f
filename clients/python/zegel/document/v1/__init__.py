"""Generated from the contracts of ``zegel.document.v1``."""
