"""Settings of the process itself, made before anything else runs in it."""

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
"""``mallopt``'s number for the most arenas (malloc.h)."""

ARENAS: Final = 2
"""Of glibc's heaps: one for the loop, one for the threads. Its default, eight a core, keeps what each thread once
needed, which for streams of documents is megabytes each."""


def bound_memory() -> None:
    """Bounds the heaps of the C library, where it is glibc; nothing happens elsewhere."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
