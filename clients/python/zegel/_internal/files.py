"""Writes files atomically, so that they survive a crash."""

import os
import secrets
from pathlib import Path


def replace_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file atomically: after a crash, either the old or the new one is there.

    Args:
        path: The file.
        data: Its new bytes.
        mode: Its permission bits.

    Raises:
        OSError: It cannot be written; the old file is left unchanged.
    """
    temporary = _write(path, data, mode)
    try:
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def create_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Create a file atomically, if it does not exist.

    Args:
        path: The file.
        data: Its bytes.
        mode: Its permission bits.

    Raises:
        FileExistsError: It exists; it is left unchanged.
        OSError: It cannot be written.
    """
    temporary = _write(path, data, mode)
    try:
        # Unlike a rename, a link does not replace an existing file.
        path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _write(path: Path, data: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
