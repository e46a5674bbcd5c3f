"""What the signing domain needs of documents: their facts, their bytes, and a place for what was sealed.

Invariants:

* Bytes come whole and checked: their SHA-256 is the one that the row has.
* A sealed document's blobs are durable before the transaction begins that makes it one; whoever dies in between leaves
  an orphan, and may try again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zegel_server import clock
from zegel_server.caller import Caller
from zegel_server.db import Database, Transaction
from zegel_server.documents import store
from zegel_server.documents.downloads import find_readable, open_version
from zegel_server.documents.inspecting import Inspector, read_whole
from zegel_server.documents.model import MEDIA_TYPE, DocumentState, Page, destroyed
from zegel_server.documents.rows import StoredVersion, insert_document, insert_version
from zegel_server.documents.service import version_of
from zegel_server.documents.streams import Place
from zegel_server.documents.vault import Vault
from zegel_server.documents.writing import StreamWriter
from zegel_server.errors import DataLoss, FailedPrecondition, NotFound
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys
from zegel_server.pdf.limits import MAX_PDF_BYTES

SENDING: Final = ("document.read", "signature_request.create")
"""What a caller holds in a document that it has signed: its signers read it, and who opens their session does."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A version that can be signed.

    Attributes:
        document_id: Of which document.
        version: Its number.
        title: The document's title.
        sha256: Of its bytes, 32 bytes.
        size: Its bytes.
        pages: Its pages; one at least.
    """

    document_id: str
    version: int
    title: str
    sha256: bytes
    size: int
    pages: tuple[Page, ...]


class PreparedDocument:
    """A document that is stored, and has no rows yet.

    Attributes:
        document_id: Identifier that it will have.
        version: Its one version.
        sha256: Of its bytes.
        size: Its bytes.
    """

    def __init__(
        self, keys: Keys, place: Place, stored: StoredVersion, *, title: str, signature_request_id: str
    ) -> None:
        self._keys = keys
        self._place = place
        self._stored = stored
        self._title = title
        self._signature_request_id = signature_request_id
        self.document_id = place.document_id
        self.version = place.version
        self.sha256 = stored.sha256
        self.size = stored.size

    async def insert(self, transaction: Transaction, owner_id: str) -> None:
        """Writes its rows.

        Args:
            transaction: That of the change which it belongs to.
            owner_id: The principal or team that will own it.

        Raises:
            Aborted: The tenant's key was changed at the same time; prepare it again.
            UniqueViolation: The document is there already.
        """
        await self._keys.hold(transaction, self._place.tenant_id, self._stored.dek.key_version)
        moment = clock.now()
        await insert_document(
            transaction,
            self._place,
            owner_id=owner_id,
            title=self._title,
            moment=moment,
            signature_request_id=self._signature_request_id,
        )
        await insert_version(transaction, self._place, stored=self._stored, moment=moment)


class Library:
    """Documents, for the signing domain.

    Args:
        database: Where the rows are.
        vault: Encrypts, decrypts and stores.
        keys: Holds the tenants' keys.
        inspector: Looks into PDFs.
    """

    def __init__(self, database: Database, vault: Vault, keys: Keys, inspector: Inspector) -> None:
        self._database = database
        self._vault = vault
        self._keys = keys
        self._inspector = inspector

    async def describe(self, caller: Caller, document_id: str, version: int = 0) -> Facts:
        """What is known of a version that is to be signed.

        Args:
            caller: Who wants it to be signed.
            document_id: Which document.
            version: Which version; 0 for the newest.

        Raises:
            NotFound: It is absent, or out of the caller's reach.
            FailedPrecondition: It was deleted or purged (``DOCUMENT_DESTROYED``), or is too large to be signed
                (``DOCUMENT_TOO_COMPLEX``).
        """
        row = await find_readable(self._database, caller, document_id, version, *SENDING)
        found = version_of(row)
        if not found.pages:
            raise FailedPrecondition("The document is too large to be signed.", reason="DOCUMENT_TOO_COMPLEX")
        return Facts(document_id, found.number, row.title, found.sha256, found.size, found.pages)

    async def pin(self, transaction: Transaction, tenant_id: str, document_id: str) -> None:
        """Keeps a document from being deleted until the transaction ends, and makes sure that it is not.

        Args:
            transaction: The one that puts it into use; several are pinned in the order of their identifiers.
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
        """Gives a sealed document to the owner of its signature request.

        Args:
            transaction: The one that moves the request.
            document_id: Which document.
            owner_id: Who owns both from then on.
        """
        await transaction.execute(store.MOVE, which=document_id, new_owner_id=owner_id, new_update_time=clock.now())

    async def read_all(self, tenant_id: str, document_id: str, version: int) -> bytes:
        """A whole version in memory; who may have it was decided before.

        Args:
            tenant_id: Whose.
            document_id: Which document.
            version: Which version.

        Raises:
            NotFound: It is absent.
            FailedPrecondition: It was purged, or is too large to be signed.
            DataLoss: What is stored is not what was written.
            Unavailable: The blob store or the key provider does not answer.
        """
        row = await self._database.fetch_one(
            store.READABLE[False, True], document_id=document_id, tenant_id=tenant_id, version=version, owners=""
        )
        if row is None:
            raise NotFound("document")
        if row.wrapped_key is None:
            raise destroyed()
        if row.size > MAX_PDF_BYTES:
            raise FailedPrecondition("The document is too large to be signed.", reason="DOCUMENT_TOO_COMPLEX")
        data = await read_whole(await open_version(self._vault, tenant_id, row))
        if (await self._vault.compute(len(data), hashlib.sha256, data)).digest() != row.sha256:
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
        """Encrypts and stores a sealed document, before the transaction that makes it one.

        Args:
            tenant_id: Whose.
            signature_request_id: The request that it completes; its signers reach it.
            title: Title.
            data: The sealed PDF.
            pages: Its pages; looked up in it where left out.
            document_id: Identifier that it is to have; a new one where left out.

        Returns:
            The document, to be inserted in that transaction.

        Raises:
            ResourceExhausted: The blob store is full.
            Unavailable: The blob store or the key provider does not answer.
        """
        place = Place(tenant_id, document_id or new_id("doc"), 1)
        stream, dek = await self._vault.new_stream(place)
        writer = StreamWriter(stream, _NoLedger())
        try:
            await writer.write(data)
            last = await writer.end(lambda _digest: None)
            await last.store()
        finally:
            await writer.abandon()
        found = tuple(pages) if pages is not None else await self._inspector.pages(data)
        stored = StoredVersion(stream.prefix, stream.cipher.header, dek, len(data), last.digest, MEDIA_TYPE, found)
        return PreparedDocument(self._keys, place, stored, title=title, signature_request_id=signature_request_id)


class _NoLedger:
    """For a stream that one call writes whole, under a key that nobody else has: it is never continued."""

    async def claim(self, part: int, tags: bytes, *, last: bool) -> None:
        """See ``shipping.Ledger``."""

    async def note(self, part: int) -> None:
        """See ``shipping.Ledger``."""
