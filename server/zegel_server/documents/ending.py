"""The end of documents inside a transaction: keys destroyed, blobs given up, and what was merged of them.

Invariants:

* What was merged of several documents is there only while all of them are.
* Merged documents are locked after one of those that they were merged of, and in the order of their identifiers: two
  who end documents of one request never wait for each other.
"""

from collections.abc import Sequence
from typing import Final

from zegel.evidence.commitments import ORIGINAL, SEALED, DocumentHash
from zegel_server import clock
from zegel_server.db import Row, Transaction
from zegel_server.documents import store
from zegel_server.documents.model import DocumentState, pages_to_text
from zegel_server.documents.removal import schedule_removal
from zegel_server.errors import FailedPrecondition

MAX_NAMED: Final = 256
"""Versions that the event of a document's end names, the newest: some 170 bytes each, and a leaf holds 64 KiB."""


async def destroy(transaction: Transaction, row: Row) -> tuple[DocumentHash, ...]:
    """Destroys a document's keys, and has its blobs removed.

    Args:
        transaction: Under way.
        row: The document's, locked.

    Returns:
        What was destroyed.
    """
    versions = await transaction.fetch(store.VERSIONS, document_id=row.document_id)
    for version in versions:
        await schedule_removal(transaction, row.tenant_id, version.blob_prefix)
        if version.rendition_prefix not in {None, version.blob_prefix}:
            await schedule_removal(transaction, row.tenant_id, version.rendition_prefix)
    await transaction.execute(store.DESTROY_KEYS, which=row.document_id, new_pages=pages_to_text(()))
    await transaction.execute(
        store.PURGE,
        which=row.document_id,
        new_state=DocumentState.PURGED.value,
        new_title="",
        new_update_time=clock.now(),
    )
    return hashes(row, versions)


async def lock_merged(transaction: Transaction, tenant_id: str, document_id: str) -> Sequence[Row]:
    """What was merged of a document and others, locked.

    Args:
        transaction: Under way; it has locked the document.
        tenant_id: Whose.
        document_id: The document.
    """
    rows = [
        await transaction.fetch_one(store.LOCK_DOCUMENT, document_id=each.document_id, tenant_id=tenant_id, owners="")
        for each in await transaction.fetch(store.MERGED_OF, document_id=document_id)
    ]
    return [row for row in rows if row is not None]


async def is_whole(transaction: Transaction, merged: Row) -> bool:
    """Whether all is there that something was merged of.

    Args:
        transaction: Under way.
        merged: The merged document's row, locked.
    """
    gone = await transaction.fetch_one(store.MERGED_OF_GONE, signature_request_id=merged.signature_request_id)
    return gone is None


def expect_not_merged(row: Row) -> None:
    """Refuses what is done to a merged document by itself.

    Args:
        row: A document's.

    Raises:
        FailedPrecondition: It is a merged one.
    """
    if row.merged:
        raise FailedPrecondition("A merged document comes and goes with those that it was merged of.", state="MERGED")


def hashes(row: Row, versions: Sequence[Row]) -> tuple[DocumentHash, ...]:
    """A document's versions, as its events name them: by the originals, with which all else goes; the newest of many.

    Args:
        row: The document's.
        versions: Its versions'.
    """
    content = SEALED if row.signature_request_id else ORIGINAL
    return tuple(
        DocumentHash(row.document_id, each.version, each.sha256.hex(), each.size, content)
        for each in versions[-MAX_NAMED:]
    )
