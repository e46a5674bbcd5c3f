"""Blobs on a local disk.

An object is written to a temporary file and flushed, then hard-linked to its name, and the folder is flushed after it.
Linking fails if the name is taken, so two writers cannot overwrite each other.

Each open store keeps its temporary files in a folder of its own, ``.incoming/<random>``, which it holds a lock on. The
next process that opens the same root removes the folders of processes that are gone.
"""
# The `os` calls rather than `pathlib`, because the tests make each of them fail in turn.
# ruff: noqa: PTH102, PTH106, PTH108, PTH116

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from zegel_server.errors import AlreadyExists, DataLoss, ResourceExhausted, Unavailable
from zegel_server.storage.base import BlobInfo, Buffer, check_key, check_prefix, check_range
from zegel_server.threads import Crew

__all__ = ["LocalBlobStore"]

P = ParamSpec("P")
T = TypeVar("T")

_INCOMING: Final = ".incoming"
"""Folder of temporary files; no key can name it."""
_THREADS: Final = 8
"""Calls under way at once: enough to keep a disk's queue filled, few enough to bound what waits in memory."""
_LIST_BATCH: Final = 500
"""Objects listed per call in a worker thread."""
_MAX_KNOWN_FOLDERS: Final = 10_000
"""Folders remembered as durable; forgetting one costs a flush, not safety."""
_ATTEMPTS: Final = 5
"""Attempts to write into a folder that another process may remove, as empty, at the same time."""
_DIRECT: Final = 1 << 20
"""Bytes from which a file bypasses the page cache: for data that is flushed at once the cache is only a copy more."""
_BLOCK: Final = 4096
"""The size of such a write is a multiple of this; no disk has larger blocks."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalBlobStore:
    """A `BlobStore` in a folder, which several processes of one machine can share.

    Args:
        root: The folder; made, readable for its owner only, if it is not there.

    Raises:
        Unavailable: The folder cannot be made or written to.
        ResourceExhausted: The disk is full.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._durable: set[Path] = set()
        with _translated():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            self._incoming, self._incoming_lock = self._claim_incoming()
        self._crew = Crew(_THREADS, "blobs")

    async def put(self, key: str, data: Buffer) -> None:
        """See `BlobStore.put`."""
        await self._run(self._put, self._path(key), data)

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """See `BlobStore.get`."""
        check_range(start, length)
        return await self._run(_read, self._path(key), start, length)

    async def size(self, key: str) -> int | None:
        """See `BlobStore.size`."""
        return await self._run(_size, self._path(key))

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        await self._run(self._delete, self._path(key))

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """See `BlobStore.list`."""
        found = self._walk(self._root / check_prefix(prefix))
        while batch := await self._run(lambda: list(islice(found, _LIST_BATCH))):
            for info in batch:
                yield info

    async def close(self) -> None:
        """See `BlobStore.close`."""
        await self._crew.close()
        shutil.rmtree(self._incoming, ignore_errors=True)
        if self._incoming_lock >= 0:
            os.close(self._incoming_lock)
            self._incoming_lock = -1

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    async def _run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        def guarded() -> T:
            with _translated():
                return call(*args, **kwargs)

        return await self._crew.run(guarded)

    def _put(self, path: Path, data: Buffer) -> None:
        if not _exists(path):
            temporary = self._incoming / secrets.token_hex(8)
            try:
                _write(temporary, data)
                self._link(temporary, path)
            except FileExistsError:
                pass  # Another writer was first; what it wrote is compared below.
            else:
                return
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
        if _read(path, 0, None) != data:
            raise AlreadyExists("Another object is stored under this key.", resource="blob")
        # Its writer may have died between naming it and flushing the folder.
        self._ensure_folder(path.parent)
        _flush_folder(path.parent)

    def _link(self, temporary: Path, path: Path) -> None:
        """Give a written file its name, durably."""
        for attempt in range(_ATTEMPTS):
            try:
                self._ensure_folder(path.parent)
                os.link(temporary, path)
                _flush_folder(path.parent)
            except FileNotFoundError:
                self._durable.clear()
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def _ensure_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each flushed into the one that holds it."""
        if folder == self._root or folder in self._durable:
            return
        self._ensure_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        _flush_folder(folder.parent)
        if len(self._durable) >= _MAX_KNOWN_FOLDERS:
            self._durable.clear()
        self._durable.add(folder)

    def _delete(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)
        folder = path.parent
        # An erased document leaves no empty folders behind; the first that is not empty ends the loop.
        with contextlib.suppress(OSError):
            while folder != self._root:
                self._durable.discard(folder)
                os.rmdir(folder)
                folder = folder.parent
        # Also if the object was already gone: whoever removed it may have died before this flush.
        while True:
            try:
                return _flush_folder(folder)
            except (FileNotFoundError, NotADirectoryError):
                if folder == self._root:
                    raise
                folder = folder.parent

    def _walk(self, top: Path) -> Iterator[BlobInfo]:
        folders = [top]
        while folders:
            try:
                entries = os.scandir(folders.pop())
            except FileNotFoundError:
                continue
            with entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        key = Path(entry.path).relative_to(self._root).as_posix()
                        yield BlobInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _claim_incoming(self) -> tuple[Path, int]:
        """Make this store's folder of temporary files, and hold a lock on it for as long as the process lives."""
        while True:
            folder = self._root / _INCOMING / secrets.token_hex(8)
            folder.mkdir(mode=0o700, parents=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():  # Not removed by another process's sweep between the two lines above.
                return folder, lock
            os.close(lock)

    def _sweep(self) -> None:
        """Remove the temporary files of processes that are gone."""
        for folder in (self._root / _INCOMING).glob("*"):
            with contextlib.suppress(OSError):
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
                finally:
                    os.close(lock)


def _write(path: Path, data: Buffer) -> None:
    """Write a new file and flush it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with memoryview(data) as given, given.cast("B") as view:
            at = _write_directly(descriptor, view)
            while at < len(view):
                at += os.write(descriptor, view[at:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_directly(descriptor: int, view: memoryview) -> int:
    """Bypass the page cache as far as the system, the file system and the memory's alignment allow it.

    Returns:
        How many bytes were written; whatever is left is to be written in the usual way.
    """
    if len(view) < _DIRECT or len(view) % _BLOCK or not hasattr(os, "O_DIRECT"):
        return 0
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        return os.write(descriptor, view)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return 0
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, start: int, length: int | None) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise DataLoss("A stored object is missing.") from None
    try:
        stop = os.fstat(descriptor).st_size if length is None else start + length
        wanted = stop - start
        data = os.pread(descriptor, wanted, start) if wanted > 0 else b""
        while len(data) < wanted and (more := os.pread(descriptor, wanted - len(data), start + len(data))):
            data += more
        if len(data) != wanted or (not wanted and os.fstat(descriptor).st_size < stop):
            raise DataLoss("A stored object is shorter than it was written.")
        return data
    finally:
        os.close(descriptor)


def _size(path: Path) -> int | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None if stat.S_ISDIR(found.st_mode) else found.st_size


def _exists(path: Path) -> bool:
    return _size(path) is not None


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn the system's errors into typed ones, without the paths they name."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceExhausted("The storage for documents is full.", reason="STORAGE_FULL") from error
        raise Unavailable("The storage for documents does not work now.", dependency="storage") from error
