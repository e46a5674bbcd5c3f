"""Settings of the process itself, made before anything else runs in it."""

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
"""``mallopt``'s parameter for the maximum number of arenas (malloc.h)."""

_M_TRIM_THRESHOLD: Final = -1
"""The parameter for the number of free bytes at a heap's end above which they are returned to the system."""
_M_MMAP_THRESHOLD: Final = -3
"""The parameter for the size from which memory is mapped from the system directly."""

ARENAS: Final = 2
"""Number of glibc's arenas: one for the event loop, one for the threads. The default, eight per core, keeps what each
thread once needed, which for streams of documents is megabytes each."""


KEPT: Final = 16 << 20
"""Free bytes that a heap keeps. A stream allocates and frees a MiB several times for each chunk; having the system
clear those pages each time takes as long as encrypting them."""
LARGE: Final = 4 << 20
"""Size in bytes from which memory is mapped from the system nevertheless, and returned at once."""


def bound_memory() -> None:
    """Bounds the heaps of the C library if it is glibc; does nothing otherwise."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT)
