"""Reads, inserts and locks the rows of documents and versions, and numbers new versions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from zegel_server.db import Row, Transaction
from zegel_server.documents import store
from zegel_server.documents.model import Document, DocumentState, Page, Version, destroyed, pages_to_text
from zegel_server.documents.renditions import StoredRendition
from zegel_server.documents.streams import ContentId
from zegel_server.errors import Aborted, FailedPrecondition, NotFound
from zegel_server.keys.service import Keys, StoredDek
from zegel_server.keys.texts import TextKeys, encrypt_texts, text_key


@dataclass(frozen=True, slots=True)
class StoredTitle:
    """A document's title as its row stores it; the same bytes in its upload's row and its own.

    Attributes:
        encrypted: The title, encrypted.
        key_version: Version of the tenant key that encrypts it.
    """

    encrypted: bytes = field(repr=False)
    key_version: int

    @classmethod
    async def make(
        cls, keys: Keys, tenant_id: str, document_id: str, title: str, key_version: int | None = None
    ) -> "StoredTitle":
        """Encrypts a title, to be stored in a transaction that holds the tenant key.

        Args:
            keys: Gives the tenant key.
            tenant_id: Whose.
            document_id: Whose title it is.
            title: The title.
            key_version: Which version of the tenant key to encrypt it under; the newest if left out.

        Raises:
            Unavailable: The key provider does not answer.
        """
        key = await text_key(keys, tenant_id, key_version)
        return cls(encrypt_texts(key, {"title": title}, "document", document_id), key.key_version)


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """The columns of a version's row about its bytes.

    Attributes:
        prefix: Folder of its parts.
        header: First 40 bytes of its stream.
        dek: Its key.
        size: Bytes of the document.
        sha256: Of the document.
        media_type: Media type.
        pages: Its pages.
        rendition: Its rendition; ``None`` where it has none.
    """

    prefix: str
    header: bytes
    dek: StoredDek
    size: int
    sha256: bytes
    media_type: str
    pages: tuple[Page, ...]
    rendition: StoredRendition | None = None


def version_of(row: Row) -> Version:
    """Builds a version from a row.

    Args:
        row: A row that has the version's columns.
    """
    return Version(
        row.version,
        row.size,
        row.sha256,
        row.media_type,
        row.pages,
        row.version_time,
        row.rendition_size,
        row.rendition_sha256,
        row.findings,
    )


def document_of(row: Row, versions: Sequence[Row], keys: TextKeys) -> Document:
    """Builds a document from its rows.

    Args:
        row: A row that has the document's columns.
        versions: Rows that have those of its versions, the oldest first.
        keys: Open its title.
    """
    return Document(
        row.document_id,
        keys.title(row, "document", row.document_id),
        row.state,
        row.owner_id,
        [version_of(each) for each in versions],
        row.create_time,
        row.update_time,
        row.delete_time,
        row.revision,
        row.end_time,
    )


async def insert_document(
    transaction: Transaction,
    content_id: ContentId,
    *,
    owner_id: str,
    title: StoredTitle,
    moment: int,
    signature_request_id: str = "",
    merged: bool = False,
) -> None:
    """Inserts a new document's row.

    Args:
        transaction: Under way.
        content_id: Its first version.
        owner_id: The principal or team that owns it.
        title: Its title.
        moment: Now.
        signature_request_id: The request for which it was sealed or merged.
        merged: Whether it was merged.
    """
    await transaction.execute(
        store.INSERT_DOCUMENT,
        document_id=content_id.document_id,
        tenant_id=content_id.tenant_id,
        owner_id=owner_id,
        signature_request_id=signature_request_id,
        texts=title.encrypted,
        texts_key_version=title.key_version,
        state=DocumentState.ACTIVE.value,
        create_time=moment,
        update_time=moment,
        delete_time=None,
        end_time=None,
        revision=1,
        merged=int(merged),
    )


async def insert_version(
    transaction: Transaction, content_id: ContentId, *, stored: StoredVersion, moment: int
) -> None:
    """Inserts a version's row; the transaction must hold the tenant key.

    Args:
        transaction: Under way.
        content_id: Which version.
        stored: The columns about its bytes.
        moment: Now.
    """
    rendition = stored.rendition
    await transaction.execute(
        store.INSERT_VERSION,
        document_id=content_id.document_id,
        version=content_id.version,
        tenant_id=content_id.tenant_id,
        blob_prefix=stored.prefix,
        header=stored.header,
        size=stored.size,
        sha256=stored.sha256,
        media_type=stored.media_type,
        pages=pages_to_text(stored.pages),
        key_version=stored.dek.key_version,
        wrapped_key=stored.dek.wrapped_key,
        commitment=stored.dek.commitment,
        create_time=moment,
        rendition_prefix=rendition and rendition.prefix,
        rendition_header=rendition and rendition.header,
        rendition_size=rendition and rendition.size,
        rendition_sha256=rendition and rendition.sha256,
        findings=rendition and rendition.findings,
    )


async def add_to_document(transaction: Transaction, content_id: ContentId, moment: int, owners: str) -> None:
    """Makes a document ready for another version.

    Args:
        transaction: Under way.
        content_id: The version.
        moment: Now.
        owners: The owners whose documents are found, from ``Caller.reach``.

    Raises:
        NotFound: The document is absent or not theirs, even if its uploader could reach it earlier.
        FailedPrecondition: It is deleted.
    """
    row = await transaction.fetch_one(
        store.LOCK_DOCUMENT, document_id=content_id.document_id, tenant_id=content_id.tenant_id, owners=owners
    )
    if row is None:
        raise NotFound("document")
    if row.state != DocumentState.ACTIVE:
        raise destroyed()
    await transaction.execute(store.TOUCH, which=content_id.document_id, new_update_time=moment)


async def lock_and_number(transaction: Transaction, tenant_id: str, document_id: str, owners: str) -> int:
    """Locks a document's row and returns the number of its next version, counting open uploads.

    Args:
        transaction: Under way.
        tenant_id: Whose.
        document_id: Which document.
        owners: The owners whose documents are found, from ``Caller.reach``.

    Raises:
        NotFound: It is absent, or owned by nobody among them.
        FailedPrecondition: It is deleted, or a sealed or merged one.
    """
    row = await transaction.fetch_one(store.LOCK_DOCUMENT, document_id=document_id, tenant_id=tenant_id, owners=owners)
    if row is None:
        raise NotFound("document")
    if row.state != DocumentState.ACTIVE:
        raise destroyed()
    if row.signature_request_id:
        raise FailedPrecondition("A sealed or merged document never changes: it has one version.", state="SEALED")
    version = await transaction.fetch_one(store.NEWEST_VERSION, document_id=document_id)
    upload = await transaction.fetch_one(store.NEWEST_UPLOAD, document_id=document_id)
    return 1 + max((version and version.newest) or 0, (upload and upload.newest) or 0)


def raced() -> Aborted:
    """Makes the error for a version whose number was taken meanwhile."""
    return Aborted("Another version was begun at the same time; try again.")
