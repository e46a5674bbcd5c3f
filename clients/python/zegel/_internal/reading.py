"""Reads files named on a command line: only regular files of plausible size, and nothing that could block."""

import os
import stat
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1 << 20
"""Read in pieces of this size, so that a file which grows, or reports size 0, stays bounded too."""

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_OPENING: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)
"""Without ``O_NONBLOCK``, opening a pipe without a writer blocks for ever. Not every system has each flag."""


class UnreadableError(Exception):
    """A file cannot be used for what it was given as; the message names it and says why."""


def read_regular(path: Path, most: int, what: str) -> bytes:
    """Read a regular file up to a maximum size.

    Args:
        path: The file.
        most: Maximum size in bytes.
        what: What it was given as, such as ``a sealed file``.

    Returns:
        Its bytes.

    Raises:
        UnreadableError: It is missing, may not be read, is not a regular file, or is too large.
    """
    try:
        _demand_regular(path, path.stat())  # before opening it, which makes some devices act
        descriptor = os.open(path, _OPENING)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            _demand_regular(path, found)  # and after, as it may have been replaced
            if found.st_size > most:
                raise UnreadableError(_too_large(path, most, what))
            data = file.read(found.st_size)  # usually all of it, without a second copy in memory
            while len(data) <= most and (piece := file.read(min(PIECE_BYTES, most + 1 - len(data)))):
                data += piece
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        raise UnreadableError(f"{path}: {reason}") from error
    if len(data) > most:
        raise UnreadableError(_too_large(path, most, what))
    return data


def _demand_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_one, name in _KINDS if is_one(found.st_mode)), "something else")
        raise UnreadableError(f"{path}: {kind}, and no file")


def _too_large(path: Path, most: int, what: str) -> str:
    units = ((20, "MiB"), (10, "KiB"), (0, "bytes"))
    size = next(f"{most >> shift} {unit}" for shift, unit in units if most >> shift or not shift)
    return f"{path}: larger than {size}, and so not {what}"
