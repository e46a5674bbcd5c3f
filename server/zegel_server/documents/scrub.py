"""Scrubs storage: removes blobs that no row names, and reads and checks every stored object.

Invariants:

* A blob is an orphan only if no row names it and it is older than `GRACE`: one being stored has no row yet.
* Checking changes nothing; it only reports damage.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from zegel.segments import segment_count
from zegel_server.db import Database, Row
from zegel_server.documents import store
from zegel_server.documents.contents import StoredContent, is_merged, stored_content, stored_rendition
from zegel_server.documents.downloads import open_content
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.parts import PART_SEGMENTS, part_count, prefix_of
from zegel_server.documents.streams import Ciphertext, Stream
from zegel_server.documents.upload_progress import OpenUpload
from zegel_server.errors import DataLoss, FailedPrecondition, Unavailable, ZegelError
from zegel_server.storage import BlobInfo

GRACE: Final = timedelta(hours=24)
"""Minimum age of an orphan: no upload stream and no sealing takes longer than a quarter of it."""
PAGE: Final = 200
"""Rows read at a time."""
ROOT: Final = "documents"
"""The folder of all documents' blobs."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of checking one version or upload.

    Attributes:
        resource_id: The document or upload.
        version: The version.
        size: Bytes that were read and checked, of all its contents.
        problem: What is wrong; empty if nothing is.
    """

    resource_id: str
    version: int
    size: int
    problem: str = ""


class Scrub:
    """Checks and cleans up stored documents.

    Args:
        database: Where the rows are.
        encrypted_store: Where the blobs are, and what reads them.
    """

    def __init__(self, database: Database, encrypted_store: EncryptedStore) -> None:
        self._database = database
        self._encrypted_store = encrypted_store

    async def orphans(self, *, grace: timedelta = GRACE) -> AsyncIterator[BlobInfo]:
        """Iterates over the blobs that no row names.

        Args:
            grace: Their minimum age.

        Raises:
            Unavailable: The blob store or the database does not answer.
        """
        before = datetime.now(UTC) - grace
        known: dict[str, range] = {}
        async for info in self._encrypted_store.part_store.blobs.list(ROOT):
            if info.modified > before:
                continue
            named = prefix_of(info.key)
            if named is None:
                yield info
                continue
            prefix, part = named
            if prefix not in known:
                known = {prefix: await self._named(prefix)}
            # Queried again before the blob counts as an orphan: its upload may have finished meanwhile.
            if part not in known[prefix] and part not in await self._named(prefix):
                yield info

    async def remove_orphans(self, *, grace: timedelta = GRACE) -> int:
        """Removes the blobs that no row names.

        Args:
            grace: Their minimum age.

        Returns:
            How many there were.

        Raises:
            Unavailable: The blob store or the database does not answer.
        """
        removed = 0
        async for info in self.orphans(grace=grace):
            await self._encrypted_store.part_store.blobs.delete(info.key)
            removed += 1
        return removed

    async def _named(self, prefix: str) -> range:
        """The numbers of the parts that rows name in a folder."""
        upload = await self._database.fetch_one(store.PREFIX_OF_UPLOAD, prefix=prefix)
        if upload is not None:
            return range(10**9)  # an open upload may store any part at any moment
        version = await self._database.fetch_one(store.PREFIX_OF_VERSION, prefix=prefix)
        if version is None or version.wrapped_key is None:
            return range(0)
        return range(part_count(version.size if version.blob_prefix == prefix else version.rendition_size))

    async def scrub(self) -> AsyncIterator[Checked]:
        """Reads every stored object again and checks it: keys, tags, sizes, and the SHA-256 of finished versions.

        Yields:
            The result for each version and each open upload.

        Raises:
            Unavailable: The blob store or the database does not answer.
        """
        document, version = "", 0
        while rows := await self._database.fetch(
            store.EVERY_VERSION, after_document=document, after_version=version, most=PAGE
        ):
            for row in rows:
                yield await self._check_version(row)
            document, version = rows[-1].document_id, rows[-1].version
        upload = ""
        while rows := await self._database.fetch(store.EVERY_UPLOAD, after_upload=upload, most=PAGE):
            for row in rows:
                yield await self._check_upload(row)
            upload = rows[-1].upload_id

    async def _check_version(self, row: Row) -> Checked:
        size, problem = await self._check_content(stored_content(row.tenant_id, row))
        rendition = None if is_merged(row) else stored_rendition(row.tenant_id, row)
        if rendition is not None:
            more, problem_there = await self._check_content(rendition)
            size += more
            problem = problem or (problem_there and f"Of the rendition: {problem_there}")
        return Checked(row.document_id, row.version, size, problem)

    async def _check_content(self, stored: StoredContent) -> tuple[int, str]:
        """How many bytes were read and checked, and what is wrong."""
        digest = hashlib.sha256()
        size = 0
        problem = ""
        try:
            stream = await open_content(self._encrypted_store, stored)
            async for segment in stream.segments(range(segment_count(stored.size))):
                await self._encrypted_store.part_store.compute(len(segment), digest.update, segment)
                size += len(segment)
            if digest.digest() != stored.sha256:
                problem = "The SHA-256 is not the one in the row."
        except ZegelError as error:
            if not _is_of_one(error):
                raise
            problem = error.message
            if not await self._still(stored.prefix):
                problem = ""  # purged while it was read
        return size, problem

    async def _still(self, prefix: str) -> bool:
        version = await self._database.fetch_one(store.PREFIX_OF_VERSION, prefix=prefix)
        return version is not None and version.wrapped_key is not None

    async def _check_upload(self, row: Row) -> Checked:
        upload = OpenUpload.of(row)
        size = 0
        problem = ""
        try:
            stream: Stream | Ciphertext = Ciphertext(self._encrypted_store.part_store, upload.prefix)
            if not upload.client_encrypted:  # only the client has that key
                stream = await self._encrypted_store.open_stream(
                    upload.content_id, upload.prefix, upload.header, upload.dek
                )
            async for segment in stream.segments(range(upload.parts * PART_SEGMENTS)):
                size += len(segment)
        except ZegelError as error:
            if not _is_of_one(error):
                raise
            problem = error.message
            if await self._database.fetch_one(store.PREFIX_OF_UPLOAD, prefix=upload.prefix) is None:
                problem = ""  # it ended while it was read
        return Checked(upload.upload_id, upload.content_id.version, size, problem)


def _is_of_one(error: ZegelError) -> bool:
    """Whether an error concerns one object only: damage, a destroyed key, or a tenant's unavailable key provider."""
    away = isinstance(error, Unavailable) and error.metadata.get("dependency") == "key_provider"
    return away or isinstance(error, DataLoss | FailedPrecondition)
