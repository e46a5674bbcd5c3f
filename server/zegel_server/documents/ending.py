"""Ends documents within a transaction: destroys keys, schedules blobs for removal, finds what was merged.

Invariants:

* A merged document exists only while all the documents it was merged from do.
* Merged documents are locked after one of their sources, and in the order of their identifiers, so that two
  transactions that end documents of the same request never deadlock.
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
"""How many versions, the newest, the event of a document's end names: each takes about 170 bytes of a leaf's 64 KiB."""


async def destroy(transaction: Transaction, row: Row) -> tuple[DocumentHash, ...]:
    """Destroys a document's keys, erases its title wherever it is kept, and schedules its blobs for removal.

    Args:
        transaction: Under way.
        row: The document's, locked.

    Returns:
        The hashes of the destroyed versions.
    """
    versions = await transaction.fetch(store.VERSIONS, document_id=row.document_id)
    for version in versions:
        await schedule_removal(transaction, row.tenant_id, version.blob_prefix)
        if version.rendition_prefix not in {None, version.blob_prefix}:
            await schedule_removal(transaction, row.tenant_id, version.rendition_prefix)
    await transaction.execute(store.ERASE_UPLOADED_TITLES, which=row.document_id)
    await transaction.execute(store.ERASE_REQUESTED_TITLES, which=row.document_id)
    await transaction.execute(store.DESTROY_KEYS, which=row.document_id, new_pages=pages_to_text(()))
    moment = clock.now()
    await transaction.execute(
        store.PURGE,
        which=row.document_id,
        new_state=DocumentState.PURGED.value,
        new_texts=None,
        new_texts_key_version=None,
        new_update_time=moment,
        new_end_time=moment,
    )
    return hashes(row, versions)


async def lock_merged(transaction: Transaction, tenant_id: str, document_id: str) -> Sequence[Row]:
    """Locks the documents that were merged from this one and others, and returns their rows.

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
    """Whether every source of a merged document still exists.

    Args:
        transaction: Under way.
        merged: The merged document's row, locked.
    """
    gone = await transaction.fetch_one(store.MERGED_OF_GONE, signature_request_id=merged.signature_request_id)
    return gone is None


def expect_not_merged(row: Row) -> None:
    """Refuses to change a merged document on its own.

    Args:
        row: A document's.

    Raises:
        FailedPrecondition: It is a merged document.
    """
    if row.merged:
        raise FailedPrecondition("A merged document comes and goes with those that it was merged of.", state="MERGED")


def hashes(row: Row, versions: Sequence[Row]) -> tuple[DocumentHash, ...]:
    """A document's versions as its events name them: by their originals' hashes; only the newest if many.

    Args:
        row: The document's.
        versions: Its versions'.
    """
    content = SEALED if row.signature_request_id else ORIGINAL
    return tuple(
        DocumentHash(row.document_id, each.version, each.sha256.hex(), each.size, content)
        for each in versions[-MAX_NAMED:]
    )
