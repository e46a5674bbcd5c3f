"""Settings of the process itself, made before anything else runs in it."""

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
"""``mallopt``'s number for the most arenas (malloc.h)."""

_M_TRIM_THRESHOLD: Final = -1
"""The same for the free bytes at a heap's end above which they are given back."""
_M_MMAP_THRESHOLD: Final = -3
"""The same for the bytes from which memory is taken from the system each time."""

ARENAS: Final = 2
"""Of glibc's heaps: one for the loop, one for the threads. Its default, eight a core, keeps what each thread once
needed, which for streams of documents is megabytes each."""


KEPT: Final = 16 << 20
"""Free bytes that a heap keeps. A stream takes and frees a MiB some times for each chunk; to have the system clear its
pages anew each time costs as much as encrypting them."""
LARGE: Final = 4 << 20
"""Bytes from which memory comes from the system all the same, and goes back at once."""


def bound_memory() -> None:
    """Bounds the heaps of the C library, where it is glibc; nothing happens elsewhere."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT)
