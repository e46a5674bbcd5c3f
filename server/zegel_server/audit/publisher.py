"""Publishes the log as files that any web server can serve, in the layout of C2SP ``tlog-tiles``.

The files are ``checkpoint``, ``tile/<level>/<number>`` and ``tile/entries/<number>``, for monitors and mirrors to
follow. At the next start the database is checked against the checkpoint published last.

Invariants:

* A checkpoint is written only after everything that it covers, flushed to the disk; it is replaced as a whole and its
  size never goes back, whichever of several processes publishes.
* What is published was checked against the checkpoint, entries too: an altered row is never published.
* Each full tile is written once. A partial tile stays until its full tile exists, so that a reader of an older
  checkpoint still finds what that covers.
* Publishing again changes nothing, and adds what a crash left out.
* A temporary file is locked by its writer; the next process to start removes those whose writers are gone.
"""

import asyncio
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from zegel.evidence.tiles import ENTRIES, TILE_WIDTH, Tile, encode_bundle
from zegel.evidence.transparency import HASH_SIZE, leaf_hash
from zegel_server.audit import store
from zegel_server.audit.log import Head, Log, damaged
from zegel_server.audit.tree import TILE_HEIGHT
from zegel_server.db import Database
from zegel_server.errors import ZegelError

CHECKPOINT: Final = "checkpoint"
"""The file's name, as tlog-tiles names it."""
PACE_S: Final = 0.25
"""The least time between two publications: each flushes files, and the database may use the same disk."""
RETRY_S: Final = 1.0
"""How long to wait after a failure."""
FOLDER_MODE: Final = 0o755
"""Readable by others: the log is public, and has no personal data in it."""
FILE_MODE: Final = 0o644

_LOCK: Final = ".lock"
_TEMPORARY: Final = re.compile(r"\.[0-9a-f]{16}")


class Publisher:
    """Writes committed checkpoints and what they cover into a folder.

    Args:
        log: The log.
        database: Where the log's rows are.
        folder: Where the files go; created if it is missing.
        newest: Returns the checkpoint to publish with its witnesses' lines, or ``None`` if there is none; by default
            the log's newest.
    """

    def __init__(
        self, log: Log, database: Database, folder: Path, newest: Callable[[], Awaitable[Head | None]] | None = None
    ) -> None:
        self._log = log
        self._newest = newest or log.head
        self._database = database
        self._folder = folder
        self._published: Head | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._report = structlog.get_logger("zegel.audit")

    # ------------------------------------------------------------------------------------------------ running

    async def start(self) -> Head | None:
        """Reads what was published before, and starts publishing.

        Returns:
            The newest head that was published, or ``None``.

        Raises:
            DataLoss: That head is not signed by the log's key (``LOG_DAMAGED``).
            OSError: The folder cannot be created or read.
        """
        self._published = await self.published()
        self._wanted.set()
        self._task = asyncio.create_task(self.run())
        return self._published

    async def published(self) -> Head | None:
        """The newest head in the folder.

        Raises:
            DataLoss: It is not signed by the log's key (``LOG_DAMAGED``).
        """
        data = await asyncio.to_thread(self._read)
        return None if data is None else self._log.parse(data)

    def committed(self) -> None:
        """Signals that there is a newer head; never blocks."""
        self._wanted.set()

    async def close(self) -> None:
        """Stops, once everything that is committed is published."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            with suppress(ZegelError, OSError):
                await self.publish()

    async def run(self) -> None:
        """Removes what killed processes left behind, and publishes until it is cancelled."""
        await asyncio.to_thread(_sweep, self._folder)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            pause = PACE_S
            try:
                await self.publish()
            except Exception as error:  # noqa: BLE001 - a full disk may have room again
                pause = RETRY_S
                self._wanted.set()
                why = error.message if isinstance(error, ZegelError) else ""
                self._report.error("publishing failed", kind=type(error).__name__, why=why, again_s=pause)
            await asyncio.sleep(pause)

    # --------------------------------------------------------------------------------------------- publishing

    async def publish(self) -> Head | None:
        """Publishes everything up to the newest head.

        Returns:
            That head; ``None`` if there is none to publish yet.

        Raises:
            DataLoss: The log was altered (``LOG_DAMAGED``); its checkpoint was not published.
            OSError: A file cannot be written.
        """
        head = await self._newest()
        before = self._published.size if self._published else 0
        if head is None or (self._published and (before > head.size or self._published.checkpoint == head.checkpoint)):
            return head
        # Level by level within each bundle, so that only a bundle and its tile are in memory at once.
        for bundle in range(before // TILE_WIDTH, -(-head.size // TILE_WIDTH)):
            await self._publish_bundle(bundle, head)
        for tile in upper_tiles(before, head.size):
            hashes = await self._log.tile(tile, head)
            await asyncio.to_thread(self._write, {tile.path: hashes})
        await asyncio.to_thread(self._finish, before, head)
        self._published = head
        return head

    async def _publish_bundle(self, bundle: int, head: Head) -> None:
        hashes = await self._log.leaf_hashes(bundle, head)
        width = len(hashes) // HASH_SIZE
        first = bundle * TILE_WIDTH
        rows = await self._database.fetch(store.LEAVES, first=first, end=first + width)
        leaves = [bytes(row.leaf) for row in rows]
        if b"".join(map(leaf_hash, leaves)) != hashes:
            raise damaged(f"one of the events from {first} on is not what was signed")
        entries = Tile(ENTRIES, bundle, width)
        await asyncio.to_thread(self._write, {entries.path: encode_bundle(leaves), Tile(0, bundle, width).path: hashes})

    def _write(self, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            path = self._folder / name
            # A tile's path determines its bytes, so a file that exists never needs rewriting.
            if path.exists() and path.stat().st_size == len(data):
                continue
            path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            self._replace(path, data)

    def _replace(self, path: Path, data: bytes) -> None:
        temporary, descriptor = _new_file(path.parent)
        try:
            # Renamed before it is closed: closing releases the lock, and the sweep could remove it.
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)

    def _finish(self, before: int, head: Head) -> None:
        with self._locked():
            present = self._read()
            size = -1 if present is None else self._log.parse(present).size
            # Another process may meanwhile have published a later checkpoint, or one with more lines.
            if size < head.size or (size == head.size and len(present or b"") < len(head.checkpoint)):
                self._replace(self._folder / CHECKPOINT, head.checkpoint)
        for tile in full_tiles(before, head.size):
            shutil.rmtree(self._folder / f"{tile.path}.p", ignore_errors=True)

    def _read(self) -> bytes | None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        try:
            return (self._folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _new_file(folder: Path) -> tuple[Path, int]:
    """Creates a temporary file in a folder, locked for as long as its descriptor is open."""
    while True:
        path = folder / f".{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():  # not removed by a sweep between the two lines above
            return path, descriptor
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Removes the temporary files below a folder whose writers are gone."""
    for parent, _, names in os.walk(folder):
        for name in filter(_TEMPORARY.fullmatch, names):
            path = Path(parent, name)
            with suppress(OSError):  # in use, or already gone
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                finally:
                    os.close(descriptor)


def upper_tiles(before: int, size: int) -> Iterator[Tile]:
    """The tiles above the lowest level that a tree has and a smaller tree does not have, or has narrower.

    Args:
        before: The smaller tree's size.
        size: The tree's size.
    """
    level = 1
    while size >> TILE_HEIGHT * level:
        old, new = before >> TILE_HEIGHT * level, size >> TILE_HEIGHT * level
        for index in range(old // TILE_WIDTH, -(-new // TILE_WIDTH)):
            width = min(TILE_WIDTH, new - index * TILE_WIDTH)
            if old < index * TILE_WIDTH + width:
                yield Tile(level, index, width)
        level += 1


def full_tiles(before: int, size: int) -> Iterator[Tile]:
    """The tiles and bundles that are full in a tree and were partial or missing in a smaller one.

    Args:
        before: The smaller tree's size.
        size: The tree's size.
    """
    level = 0
    while size >> TILE_HEIGHT * (level + 1):
        for index in range(before >> TILE_HEIGHT * (level + 1), size >> TILE_HEIGHT * (level + 1)):
            yield Tile(level, index)
            if level == 0:
                yield Tile(ENTRIES, index)
        level += 1


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
