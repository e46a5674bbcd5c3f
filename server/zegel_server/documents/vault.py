"""Where streams are encrypted, decrypted and kept: the one place of this domain that has keys and blobs in its hands.

Encrypting, hashing and decrypting a segment release the interpreter's lock, so they run in threads beside the event
loop; what is small is done at once, for a hop to a thread costs more.

Invariants:

* A plain key is held only by a stream that is open, and checked against its commitment before it is used.
* No plaintext of a segment leaves before its tag is checked.
* A blob store that does not answer costs a call, after `BLOB_TIMEOUT_S`, and not the server.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from zegel.segments import MAX_PLAINTEXT_SIZE, SegmentCipher, SegmentError, document_aad, segment_count
from zegel_server.documents.parts import new_prefix, part_key, place_of
from zegel_server.errors import DataLoss, Unavailable
from zegel_server.keys.service import Keys, StoredDek
from zegel_server.storage import BlobStore

BLOB_TIMEOUT_S: Final = 60.0
"""How long one call to the blob store may take: some 4 MiB, which even a slow line to S3 moves in a tenth of it."""
READ_AHEAD: Final = 2
"""Segments fetched and decrypted before they are wanted: hides the store's latency, for 2 MiB a reader."""
CROWDED: Final = 16
"""Parts on their way to the store from which on each stream sends one at a time: 64 MiB, whoever waits for them."""
SMALL: Final = 32 * 1024
"""Bytes up to which computing is done on the event loop: some tens of microseconds, as long as a hop to a thread."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Which version a stream is of.

    Attributes:
        tenant_id: Whose.
        document_id: Of which document.
        version: Of which version.
    """

    tenant_id: str
    document_id: str
    version: int

    @property
    def key_id(self) -> str:
        """Identifier of its DEK: the key's commitment binds it to this version."""
        return f"{self.document_id}/{self.version}"


class Stream:
    """A stream whose key is open.

    Args:
        vault: Where its parts are.
        prefix: Their folder.
        cipher: Encrypts and decrypts its segments.
        size: Bytes of the document; left out while it grows: then none of its segments is known as the last.
    """

    __slots__ = ("cipher", "prefix", "size", "vault")

    def __init__(self, vault: "Vault", prefix: str, cipher: SegmentCipher, size: int = MAX_PLAINTEXT_SIZE) -> None:
        self.vault = vault
        self.prefix = prefix
        self.cipher = cipher
        self.size = size

    async def segment(self, index: int) -> bytes:
        """The plaintext of one segment, checked.

        Args:
            index: Number from 0.

        Raises:
            DataLoss: What is stored is not what was written.
            Unavailable: The blob store does not answer.
        """
        part, place = place_of(index, self.size)
        stored = await self.vault.get(part_key(self.prefix, part), place.start, len(place))
        last = index == segment_count(self.size) - 1
        try:
            return await self.vault.compute(len(stored), self.cipher.decrypt, index, last, stored)
        except SegmentError as error:
            raise DataLoss("A stored segment is not what was written.") from error

    async def segments(self, wanted: range) -> AsyncGenerator[bytes, None]:
        """The plaintexts of segments in order, fetched a little ahead.

        Args:
            wanted: Their numbers.

        Raises:
            DataLoss: What is stored is not what was written; nothing of that segment is given.
            Unavailable: The blob store does not answer.
        """
        numbers = iter(wanted)
        ahead: deque[asyncio.Task[bytes]] = deque()
        try:
            while True:
                while len(ahead) <= READ_AHEAD and (index := next(numbers, None)) is not None:
                    ahead.append(asyncio.create_task(self.segment(index)))
                if not ahead:
                    return
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)


class Vault:
    """Opens streams, and moves their parts.

    Args:
        blobs: Where the parts are.
        keys: Makes and opens DEKs.
    """

    def __init__(self, blobs: BlobStore, keys: Keys) -> None:
        self.blobs = blobs
        self._keys = keys
        self._storing = 0
        self._threads = ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1, thread_name_prefix="documents")

    @property
    def crowded(self) -> bool:
        """Whether enough parts are on their way to the store to keep it busy."""
        return self._storing >= CROWDED

    async def close(self) -> None:
        """Lets the threads go; the blob store stays open."""
        await asyncio.to_thread(self._threads.shutdown)

    async def new_stream(self, place: Place) -> tuple[Stream, StoredDek]:
        """Begins a stream under a key and a header of its own.

        Args:
            place: Which version it is of.

        Returns:
            The stream, and its key as a row keeps it: to be stored in a transaction that holds the tenant key.

        Raises:
            Unavailable: The key provider does not answer.
        """
        key, stored = await self._keys.new_dek(place.tenant_id, place.key_id)
        prefix = new_prefix(place.tenant_id, place.document_id, place.version)
        aad = document_aad(place.tenant_id, place.document_id, place.version)
        return Stream(self, prefix, SegmentCipher.create(key, aad)), stored

    async def open_stream(
        self, place: Place, prefix: str, header: bytes, stored: StoredDek, size: int = MAX_PLAINTEXT_SIZE
    ) -> Stream:
        """Opens a stored stream.

        Args:
            place: Which version it is of.
            prefix: The folder of its parts.
            header: Its first 40 bytes.
            stored: Its key as the row has it.
            size: Bytes of the document; left out while it grows.

        Raises:
            DataLoss: The key is not the one committed to, or the header is damaged.
            KeyDestroyed: A key above it was destroyed.
            Unavailable: The key provider does not answer.
        """
        key = await self._keys.open_dek(place.tenant_id, place.key_id, stored)
        aad = document_aad(place.tenant_id, place.document_id, place.version)
        try:
            return Stream(self, prefix, SegmentCipher(key, aad, header), size)
        except SegmentError as error:
            raise DataLoss("A stored header is damaged.") from error

    def start(self, size: int, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Starts a computation, in a thread where it pays.

        Args:
            size: Bytes that it goes over.
            call: What computes.
            args: Its arguments.
            kwargs: The same by name.
        """
        loop = asyncio.get_running_loop()
        if size > SMALL:
            return loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))
        done: asyncio.Future[T] = loop.create_future()
        try:
            done.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - handed on to whoever awaits it
            done.set_exception(error)
        return done

    async def compute(self, size: int, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Computes, in a thread where it pays.

        Args:
            size: Bytes that it goes over.
            call: What computes.
            args: Its arguments.
            kwargs: The same by name.
        """
        if size <= SMALL:
            return call(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args, **kwargs))

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
        # Listed whole before the first is removed: a document has 1,025 parts at the most.
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
