"""Documents for the signing domain: describes and reads versions, and stores merged and sealed documents.

Invariants:

* Bytes are returned whole, after their SHA-256 was compared with the row's.
* What is merged, sealed or rendered here is durable before the transaction begins that inserts its rows: a crash in
  between leaves an orphan, and the work can be done again.
* Every version sent for signing has a rendition: if it has none, one is made first.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zegel_server import clock
from zegel_server.caller import Caller
from zegel_server.db import Database, Row, Transaction
from zegel_server.documents import store
from zegel_server.documents.contents import StoredContent, is_merged, stored_content, stored_rendition
from zegel_server.documents.downloads import find_readable, open_content
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.model import MEDIA_TYPE, DocumentState, Page, destroyed, pages_from_text, pages_to_text
from zegel_server.documents.removal import schedule_removal
from zegel_server.documents.renditions import Renditions, StoredRendition, read_whole
from zegel_server.documents.rows import StoredTitle, StoredVersion, insert_document, insert_version
from zegel_server.documents.streams import ContentId
from zegel_server.documents.writing import write_whole
from zegel_server.errors import DataLoss, FailedPrecondition, NotFound
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys
from zegel_server.keys.texts import text_keys
from zegel_server.pdf.limits import MAX_PDF_BYTES

SENDING: Final = ("document.read", "signature_request.create")
"""Permissions that a caller needs to have a document signed, since the request's signers can read it."""


@dataclass(frozen=True, slots=True)
class SignableVersion:
    """A version that can be signed.

    Attributes:
        document_id: The document.
        version: Its number.
        title: The document's title.
        sha256: SHA-256 of the original, 32 bytes.
        size: Size of the original in bytes.
        pages: The pages of its rendition; at least one.
        rendition_size: Size of the rendition in bytes.
        rendition_sha256: SHA-256 of the rendition, 32 bytes.
    """

    document_id: str
    version: int
    title: str
    sha256: bytes
    size: int
    pages: tuple[Page, ...]
    rendition_size: int
    rendition_sha256: bytes


class PreparedDocument:
    """A document whose bytes are stored and whose rows are not inserted yet.

    Attributes:
        document_id: Identifier that it will have.
        version: Its one version.
        sha256: Of its bytes.
        size: Its bytes.
    """

    def __init__(
        self,
        keys: Keys,
        content_id: ContentId,
        stored: StoredVersion,
        *,
        title: StoredTitle,
        signature_request_id: str,
        merged: bool = False,
    ) -> None:
        self._keys = keys
        self._content_id = content_id
        self._stored = stored
        self._title = title
        self._signature_request_id = signature_request_id
        self._merged = merged
        self.document_id = content_id.document_id
        self.version = content_id.version
        self.sha256 = stored.sha256
        self.size = stored.size

    async def insert(self, transaction: Transaction, owner_id: str) -> None:
        """Inserts its rows.

        Args:
            transaction: The transaction of the change that it belongs to.
            owner_id: The principal or team that will own it.

        Raises:
            Aborted: The tenant's key was changed at the same time; prepare it again.
            UniqueViolation: The document exists already.
        """
        # The title's as well: it was encrypted under the same version.
        await self._keys.hold(transaction, self._content_id.tenant_id, self._stored.dek.key_version)
        moment = clock.now()
        await insert_document(
            transaction,
            self._content_id,
            owner_id=owner_id,
            title=self._title,
            moment=moment,
            signature_request_id=self._signature_request_id,
            merged=self._merged,
        )
        await insert_version(transaction, self._content_id, stored=self._stored, moment=moment)


class SigningDocuments:
    """Documents, for the signing domain.

    Args:
        database: Where the rows are.
        encrypted_store: Encrypts, decrypts and stores.
        keys: Holds the tenants' keys.
        renditions: Inspects PDFs, and makes and stores their renditions.
    """

    def __init__(self, database: Database, encrypted_store: EncryptedStore, keys: Keys, renditions: Renditions) -> None:
        self._database = database
        self._encrypted_store = encrypted_store
        self._keys = keys
        self._renditions = renditions

    async def describe(self, caller: Caller, document_id: str, version: int = 0) -> SignableVersion:
        """Describes a version that is to be signed; makes its rendition where it has none.

        Args:
            caller: Who wants it to be signed.
            document_id: Which document.
            version: Which version; 0 for the newest.

        Raises:
            NotFound: It is absent, or out of the caller's reach.
            FailedPrecondition: It was deleted or purged (``DOCUMENT_DESTROYED``), was merged for another request, or
                cannot be signed, such as with ``DOCUMENT_TOO_COMPLEX`` where it is too large.
            DataLoss: The stored bytes are not those that were written.
            Unavailable: The blob store, the key provider or the sandbox does not answer.
        """
        row = await find_readable(self._database, caller, document_id, version, *SENDING)
        if is_merged(row):
            raise FailedPrecondition(
                "A document merged for one signature request cannot be used in another.", state="MERGED"
            )
        if row.rendition_prefix is None:
            await self._render(caller.tenant_id, row)
            row = await find_readable(self._database, caller, document_id, row.version, *SENDING)
        keys = await text_keys(self._keys, caller.tenant_id, [row])
        return SignableVersion(
            document_id,
            row.version,
            keys.title(row, "document", document_id),
            row.sha256,
            row.size,
            pages_from_text(row.pages),
            row.rendition_size,
            row.rendition_sha256,
        )

    async def _render(self, tenant_id: str, row: Row) -> None:
        """Makes the rendition of a version that has none: an old version, or a sealed document."""
        if row.size > MAX_PDF_BYTES:
            raise _too_large()
        stored = stored_content(tenant_id, row)
        made = await self._renditions.make_of_stored(
            stored.content_id, await open_content(self._encrypted_store, stored)
        )
        rendition = made.rendition
        if rendition is None:
            raise _too_large()
        async with self._database.transaction() as transaction:
            await self.pin(transaction, tenant_id, row.document_id)
            added = await transaction.execute(
                store.ADD_RENDITION,
                which=row.document_id,
                which_version=row.version,
                prefix=rendition.prefix,
                header=rendition.header,
                size=rendition.size,
                sha256=rendition.sha256,
                found=rendition.findings,
                new_pages=pages_to_text(made.pages),
            )
            if not added:  # another process has added one meanwhile
                await schedule_removal(transaction, tenant_id, rendition.prefix)

    async def pin(self, transaction: Transaction, tenant_id: str, document_id: str) -> None:
        """Locks a document against deletion until the transaction ends, and refuses one that is deleted.

        Args:
            transaction: The transaction that uses it; pin several documents in the order of their identifiers.
            tenant_id: Whose.
            document_id: Which.

        Raises:
            NotFound: It is absent.
            FailedPrecondition: It was deleted.
        """
        row = await transaction.fetch_one(store.PIN_DOCUMENT, document_id=document_id, tenant_id=tenant_id)
        if row is None:
            raise NotFound("document")
        if row.state != DocumentState.ACTIVE:
            raise destroyed()

    async def move_sealed(self, transaction: Transaction, document_id: str, owner_id: str) -> None:
        """Gives a sealed or merged document to the owner of its signature request.

        Args:
            transaction: The one that moves the request.
            document_id: Which document.
            owner_id: The new owner of both.
        """
        await transaction.execute(store.MOVE, which=document_id, new_owner_id=owner_id, new_update_time=clock.now())

    async def read_all(self, tenant_id: str, document_id: str, version: int) -> bytes:
        """Reads a whole version into memory; the caller has checked access.

        Args:
            tenant_id: Whose.
            document_id: Which document.
            version: Which version.

        Raises:
            NotFound: It is absent.
            FailedPrecondition: It was purged, or is too large to be signed.
            DataLoss: The stored bytes are not those that were written.
            Unavailable: The blob store or the key provider does not answer.
        """
        return await self._read(stored_content(tenant_id, await self._row(tenant_id, document_id, version)))

    async def read_rendition(self, tenant_id: str, document_id: str, version: int) -> bytes:
        """Reads a whole rendition into memory; the caller has checked access.

        Args:
            tenant_id: Whose.
            document_id: Which document.
            version: Which version.

        Raises:
            NotFound: The version is absent.
            FailedPrecondition: It was purged, or has no rendition (``NO_RENDITION``).
            DataLoss: The stored bytes are not those that were written.
            Unavailable: The blob store or the key provider does not answer.
        """
        found = stored_rendition(tenant_id, await self._row(tenant_id, document_id, version))
        if found is None:
            raise FailedPrecondition("The version has no rendition.", reason="NO_RENDITION")
        return await self._read(found)

    async def _row(self, tenant_id: str, document_id: str, version: int) -> Row:
        row = await self._database.fetch_one(
            store.READABLE[False, True], document_id=document_id, tenant_id=tenant_id, version=version, owners=""
        )
        if row is None:
            raise NotFound("document")
        if row.wrapped_key is None:
            raise destroyed()
        return row

    async def _read(self, stored: StoredContent) -> bytes:
        if stored.size > MAX_PDF_BYTES:
            raise _too_large()
        data = await read_whole(await open_content(self._encrypted_store, stored))
        if (await self._encrypted_store.part_store.compute(len(data), hashlib.sha256, data)).digest() != stored.sha256:
            raise DataLoss("A stored document is not what was written.")
        return data

    async def store_sealed(
        self,
        *,
        tenant_id: str,
        signature_request_id: str,
        title: str,
        data: bytes,
        pages: Sequence[Page] | None = None,
        document_id: str = "",
    ) -> PreparedDocument:
        """Encrypts and stores a sealed document; its rows are inserted when the request is completed.

        Args:
            tenant_id: Whose.
            signature_request_id: The request that it completes; its signers reach it.
            title: Title.
            data: The sealed PDF.
            pages: Its pages; read from the PDF if omitted.
            document_id: Identifier that it is to have; a new one where left out.

        Returns:
            The document, to be inserted in the transaction.

        Raises:
            ResourceExhausted: The blob store is full.
            Unavailable: The blob store or the key provider does not answer.
        """
        content_id = ContentId(tenant_id, document_id or new_id("doc"), 1)
        stream, dek = await self._encrypted_store.new_stream(content_id)
        sha256 = await write_whole(stream, data)
        found = tuple(pages) if pages is not None else await self._renditions.pages(data)
        stored = StoredVersion(stream.prefix, stream.cipher.header, dek, len(data), sha256, MEDIA_TYPE, found)
        return PreparedDocument(
            self._keys,
            content_id,
            stored,
            title=await StoredTitle.make(self._keys, tenant_id, content_id.document_id, title, dek.key_version),
            signature_request_id=signature_request_id,
        )

    async def store_merged(
        self, *, tenant_id: str, signature_request_id: str, title: str, data: bytes, pages: Sequence[Page]
    ) -> PreparedDocument:
        """Encrypts and stores the merged rendition of several documents; its rows are inserted later.

        Args:
            tenant_id: Whose.
            signature_request_id: The request that it is for; its signers reach it.
            title: Title.
            data: The rendition.
            pages: Its pages.

        Returns:
            The document, to be inserted in the transaction.

        Raises:
            ResourceExhausted: The blob store is full.
            Unavailable: The blob store or the key provider does not answer.
        """
        content_id = ContentId(tenant_id, new_id("doc"), 1, rendition=True)
        stream, dek = await self._encrypted_store.new_stream(content_id)
        header, size, sha256 = stream.cipher.header, len(data), await write_whole(stream, data)
        stored = StoredVersion(
            prefix=stream.prefix,
            header=header,
            dek=dek,
            size=size,
            sha256=sha256,
            media_type=MEDIA_TYPE,
            pages=tuple(pages),
            rendition=StoredRendition(stream.prefix, header, size, sha256, None),
        )
        return PreparedDocument(
            self._keys,
            content_id,
            stored,
            title=await StoredTitle.make(self._keys, tenant_id, content_id.document_id, title, dek.key_version),
            signature_request_id=signature_request_id,
            merged=True,
        )


def _too_large() -> FailedPrecondition:
    return FailedPrecondition(
        "The document is too large to be signed.", reason="DOCUMENT_TOO_COMPLEX", detail="too_large"
    )
