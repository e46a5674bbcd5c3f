"""Stored streams as they are read, segment by segment: decrypted, or as they lie there.

Invariants:

* No plaintext of a segment leaves before its tag is checked.
* A reader holds its segment and `READ_AHEAD` more, however large the document; where there are many, its segment alone.
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
"""Segments fetched and decrypted before they are wanted: hides the store's latency, for 2 MiB a reader."""
MANY: Final = 32
"""Readers at once above which none reads ahead: they hide one another's latency, and their memory adds up."""


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
        """Identifier of its DEK, which its contents share: the key's commitment binds it to this version."""
        return f"{self.document_id}/{self.version}"

    @property
    def aad(self) -> bytes:
        """Associated data of its segments."""
        aad = rendition_aad if self.rendition else document_aad
        return aad(self.tenant_id, self.document_id, self.version)

    @property
    def client_encryption_info(self) -> bytes:
        """What HPKE binds its key to."""
        return client_encryption_info(self.tenant_id, self.document_id, self.version, rendition=self.rendition)

    @property
    def for_rendition(self) -> "ContentId":
        """The identifier of the same version's rendition."""
        return replace(self, rendition=True)


class Stream:
    """A stream whose key is open.

    Args:
        part_store: Where its parts are.
        prefix: Their folder.
        cipher: Encrypts and decrypts its segments.
        size: Bytes of the document; left out while it grows: then none of its segments is known as the last.
        dek: The version's key, for a stream of another of its contents.
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
        """The plaintext of one segment, checked.

        Args:
            index: Number from 0.

        Raises:
            DataLoss: What is stored is not what was written.
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
        """The plaintexts of segments in order, fetched a little ahead.

        Args:
            wanted: Their numbers.

        Raises:
            DataLoss: What is stored is not what was written; nothing of that segment is given.
            Unavailable: The blob store does not answer.
        """
        return _in_order(self.part_store, self.segment, wanted)

    async def around(self, offset: int) -> tuple[int, bytes]:
        """The segment that a byte of the document lies in.

        Args:
            offset: The byte's.

        Returns:
            The offset at which it begins, and its plaintext, checked.

        Raises:
            DataLoss: What is stored is not what was written.
            Unavailable: The blob store does not answer.
        """
        index = locate(offset).index
        return plaintext_range(index, self.size).start, await self.segment(index)


class Ciphertext:
    """A stream as it is stored; no key is needed to read it.

    Args:
        part_store: Where its parts are.
        prefix: Their folder.
        size: Bytes of the document; left out while it grows.
    """

    __slots__ = ("part_store", "prefix", "size")

    def __init__(self, part_store: PartStore, prefix: str, size: int = MAX_PLAINTEXT_SIZE) -> None:
        self.part_store = part_store
        self.prefix = prefix
        self.size = size

    async def segment(self, index: int) -> bytes:
        """One segment; the first one with the stream's header before it.

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
        """Segments in order, fetched a little ahead.

        Args:
            wanted: Their numbers.

        Raises:
            DataLoss: One is not there.
            Unavailable: The blob store does not answer.
        """
        return _in_order(self.part_store, self.segment, wanted)

    async def around(self, offset: int) -> tuple[int, bytes]:
        """The segment that a byte of the stream lies in.

        Args:
            offset: The byte's.

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
