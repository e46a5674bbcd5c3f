"""Stores the parts of streams, and runs computations over them in threads. Has no keys.

Encrypting, hashing and decrypting a segment release the interpreter's lock, so they run in threads beside the event
loop. Small pieces are processed on the loop, since switching to a thread would cost more.

Invariants:

* A blob store that does not answer fails a call after `BLOB_TIMEOUT_S`; it does not block the server.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, TypeVar

from zegel_server.errors import Unavailable
from zegel_server.storage import BlobStore
from zegel_server.threads import Crew, Line

BLOB_TIMEOUT_S: Final = 60.0
"""How long one call to the blob store may take: a slow connection to S3 moves 4 MiB in a tenth of it."""
CROWDED: Final = 16
"""Parts being stored at which each stream starts to send only one at a time: 64 MiB in all streams together."""
SMALL: Final = 32 * 1024
"""Bytes up to which work is done on the event loop: some tens of microseconds, as long as switching to a thread."""

P = ParamSpec("P")
T = TypeVar("T")


class PartStore:
    """Stores and reads parts, and runs computations over their bytes.

    Args:
        blobs: Where the parts are.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self.blobs = blobs
        self._storing = 0
        self.readers = 0
        """Streams that are being read."""
        self._crew = Crew((os.cpu_count() or 1) + 1, "documents")

    @property
    def crowded(self) -> bool:
        """Whether enough parts are being stored to keep the blob store busy."""
        return self._storing >= CROWDED

    async def close(self) -> None:
        """Stops the threads; the blob store stays open."""
        await self._crew.close()

    def line(self) -> Line:
        """A queue of work that threads do one piece after another."""
        return Line(self._crew)

    async def compute(self, size: int, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a computation, in a thread if it is large enough.

        Args:
            size: How many bytes it processes.
            call: The function to call.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        if size <= SMALL:
            return call(*args, **kwargs)
        return await self._crew.run(lambda: call(*args, **kwargs))

    async def put(self, key: str, data: bytes | memoryview) -> None:
        """Stores a blob, durably.

        Args:
            key: Its key.
            data: Its bytes.

        Raises:
            AlreadyExists: Other bytes are stored under the key.
            ResourceExhausted: The store is full.
            Unavailable: It does not answer.
        """
        self._storing += 1
        try:
            await _in_time(self.blobs.put(key, data))
        finally:
            self._storing -= 1

    async def get(self, key: str, start: int, length: int) -> bytes:
        """A range of a blob.

        Args:
            key: Its key.
            start: The first byte.
            length: How many bytes.

        Raises:
            DataLoss: They are not there.
            Unavailable: The store does not answer.
        """
        return await _in_time(self.blobs.get(key, start, length))

    async def remove(self, prefix: str) -> int:
        """Removes every part below a folder.

        Args:
            prefix: The folder.

        Returns:
            How many there were.

        Raises:
            Unavailable: The store does not answer.
        """
        # All are listed before the first is removed: a document has at most 1,025 parts.
        keys = [info.key async for info in self.blobs.list(prefix)]
        for key in keys:
            await _in_time(self.blobs.delete(key))
        return len(keys)


async def _in_time(answer: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(BLOB_TIMEOUT_S):
            return await answer
    except TimeoutError as error:
        raise Unavailable("The storage for documents does not answer now.", dependency="storage") from error
