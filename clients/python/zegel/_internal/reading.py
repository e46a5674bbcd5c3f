"""Files that a command is named: regular ones, of a size that such a file can have, and nothing that could wait."""

import os
import stat
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1 << 20
"""What is read at a time: a file that grows while it is read, or that says it is empty, is bounded all the same."""

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
"""Opening a pipe that nobody writes into waits for ever, but for ``O_NONBLOCK``; not every system has each flag."""


class UnreadableError(Exception):
    """A file cannot be read as what it was named for; the message names it and says why."""


def read_regular(path: Path, most: int, what: str) -> bytes:
    """Read a regular file that is no larger than its kind.

    Args:
        path: The file.
        most: Bytes that it may have.
        what: What it was named for, such as ``a sealed file``.

    Returns:
        Its bytes.

    Raises:
        UnreadableError: It is missing, may not be read, is no regular file, or is larger.
    """
    try:
        _demand_regular(path, path.stat())  # before it is opened: opening alone makes some devices act
        descriptor = os.open(path, _OPENING)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            _demand_regular(path, found)  # and after: it may have been exchanged
            if found.st_size > most:
                raise UnreadableError(_too_large(path, most, what))
            data = file.read(found.st_size)  # as a rule all of it, and in memory once
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
