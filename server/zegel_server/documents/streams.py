"""Reads stored streams segment by segment, decrypted or as ciphertext.

Invariants:

* No plaintext of a segment is returned before its tag is checked.
* A reader keeps one segment and `READ_AHEAD` more in memory, however large the document; only one if readers are many.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from zegel.client_encryption import client_encryption_info
from zegel.segments import (
    MAX_PLAINTEXT_SIZE,
    SEGMENT_SIZE,
    SegmentCipher,
    SegmentError,
    document_aad,
    locate,
    plaintext_range,
    rendition_aad,
    segment_count,
)
from zegel_server.documents.part_store import PartStore
from zegel_server.documents.parts import part_key, stored_range
from zegel_server.errors import DataLoss

READ_AHEAD: Final = 2
"""Segments fetched and decrypted in advance: hides the store's latency, at 2 MiB per reader."""
MANY: Final = 32
"""Number of readers above which none reads ahead: with so many the latency is hidden anyway, and the memory adds up."""


@dataclass(frozen=True, slots=True)
class ContentId:
    """Names one content of a document's version: its original or its rendition.

    Attributes:
        tenant_id: Tenant that owns the document.
        document_id: The document.
        version: The version's number, from 1.
        rendition: Whether it is the version's rendition rather than its original.
    """

    tenant_id: str
    document_id: str
    version: int
    rendition: bool = False

    @property
    def key_id(self) -> str:
        """Identifier of the version's DEK, which its contents share: the key's commitment binds it to this version."""
        return f"{self.document_id}/{self.version}"

    @property
    def aad(self) -> bytes:
        """Associated data of its segments."""
        aad = rendition_aad if self.rendition else document_aad
        return aad(self.tenant_id, self.document_id, self.version)

    @property
    def client_encryption_info(self) -> bytes:
        """The info that HPKE binds its key to."""
        return client_encryption_info(self.tenant_id, self.document_id, self.version, rendition=self.rendition)

    @property
    def for_rendition(self) -> "ContentId":
        """The identifier of the same version's rendition."""
        return replace(self, rendition=True)


class Stream:
    """A stream with its decrypted key.

    Args:
        part_store: Stores its parts.
        prefix: Their folder.
        cipher: Encrypts and decrypts its segments.
        size: Size of the document in bytes; omitted during an upload, when no segment is known to be last.
        dek: The version's key, from which the keys of its contents derive.
    """

    __slots__ = ("cipher", "dek", "part_store", "prefix", "size")

    def __init__(
        self,
        part_store: PartStore,
        prefix: str,
        cipher: SegmentCipher,
        size: int = MAX_PLAINTEXT_SIZE,
        *,
        dek: bytes,
    ) -> None:
        self.part_store = part_store
        self.prefix = prefix
        self.cipher = cipher
        self.size = size
        self.dek = dek

    async def segment(self, index: int) -> bytes:
        """Decrypts one segment and checks its tag.

        Args:
            index: Number from 0.

        Raises:
            DataLoss: The stored bytes are not those that were written.
            Unavailable: The blob store does not answer.
        """
        part, within = stored_range(index, self.size)
        stored = await self.part_store.get(part_key(self.prefix, part), within.start, len(within))
        last = index == segment_count(self.size) - 1
        try:
            return await self.part_store.compute(len(stored), self.cipher.decrypt, index, last, stored)
        except SegmentError as error:
            raise DataLoss("A stored segment is not what was written.") from error

    def segments(self, wanted: range) -> AsyncGenerator[bytes, None]:
        """Decrypts segments in order, fetching a few in advance.

        Args:
            wanted: Their numbers.

        Raises:
            DataLoss: The stored bytes are not those that were written; none of that segment is returned.
            Unavailable: The blob store does not answer.
        """
        return _in_order(self.part_store, self.segment, wanted)

    async def around(self, offset: int) -> tuple[int, bytes]:
        """Decrypts the segment that contains a byte of the document.

        Args:
            offset: The byte's offset.

        Returns:
            The offset at which it begins, and its plaintext, checked.

        Raises:
            DataLoss: The stored bytes are not those that were written.
            Unavailable: The blob store does not answer.
        """
        index = locate(offset).index
        return plaintext_range(index, self.size).start, await self.segment(index)


class Ciphertext:
    """A stream as it is stored; no key is needed to read it.

    Args:
        part_store: Stores its parts.
        prefix: Their folder.
        size: Size of the document in bytes; omitted while it is being uploaded.
    """

    __slots__ = ("part_store", "prefix", "size")

    def __init__(self, part_store: PartStore, prefix: str, size: int = MAX_PLAINTEXT_SIZE) -> None:
        self.part_store = part_store
        self.prefix = prefix
        self.size = size

    async def segment(self, index: int) -> bytes:
        """Reads one segment; the first one is preceded by the stream's header.

        Args:
            index: Number from 0.

        Raises:
            DataLoss: It is not there.
            Unavailable: The blob store does not answer.
        """
        part, within = stored_range(index, self.size)
        start = within.start if index else 0
        return await self.part_store.get(part_key(self.prefix, part), start, within.stop - start)

    def segments(self, wanted: range) -> AsyncGenerator[bytes, None]:
        """Reads segments in order, fetching a few in advance.

        Args:
            wanted: Their numbers.

        Raises:
            DataLoss: One is not there.
            Unavailable: The blob store does not answer.
        """
        return _in_order(self.part_store, self.segment, wanted)

    async def around(self, offset: int) -> tuple[int, bytes]:
        """Reads the segment that contains a byte of the stream.

        Args:
            offset: The byte's offset.

        Returns:
            The offset at which it begins, and its bytes.

        Raises:
            DataLoss: It is not there.
            Unavailable: The blob store does not answer.
        """
        index = offset // SEGMENT_SIZE
        return index * SEGMENT_SIZE, await self.segment(index)


async def _in_order(
    part_store: PartStore, fetch: Callable[[int], Coroutine[Any, Any, bytes]], wanted: range
) -> AsyncGenerator[bytes, None]:
    numbers = iter(wanted)
    ahead: deque[asyncio.Task[bytes]] = deque()
    part_store.readers += 1
    try:
        while True:
            allowed = READ_AHEAD if part_store.readers <= MANY else 0
            while len(ahead) <= allowed and (index := next(numbers, None)) is not None:
                ahead.append(asyncio.create_task(fetch(index)))
            if not ahead:
                return
            yield await ahead.popleft()
    finally:
        part_store.readers -= 1
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)
