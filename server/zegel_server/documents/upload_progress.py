"""How far an upload has come, in its row; and its end, in one transaction with what it became.

Invariants:

* ``persisted_parts`` only grows, by one, in a transaction that found the value it had: of two writers one wins.
* A part is claimed before it is stored: ``claim`` in the row holds the tags, one part's after the other's, of those
  that may be stored beyond ``persisted_parts``. They are never changed to others, only moved past.
* A document comes to be together with its event and the end of its upload, or not at all.
* A small document that comes in one stream needs no row until then: its key has never left this process.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from zegel.event.v1 import event_type_pb2 as events
from zegel.evidence.commitments import ORIGINAL, DocumentHash
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller
from zegel_server.db import Database, Row, Transaction
from zegel_server.documents import store
from zegel_server.documents.model import (
    ClientEncryption,
    Upload,
    UploadState,
    offset_mismatch,
    resent_bytes_differ,
    upload_closed,
)
from zegel_server.documents.part_writer import LastPart
from zegel_server.documents.parts import PART_TAGS, whole_parts_ciphertext, whole_parts_size
from zegel_server.documents.removal import schedule_removal
from zegel_server.documents.renditions import Rendered
from zegel_server.documents.rows import StoredVersion, add_to_document, insert_document, insert_version
from zegel_server.documents.streams import ContentId
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.keys.service import Keys, StoredDek

PERMISSION = "document.create"
"""What an upload's owner holds; of a new version's, in its document too."""


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload that is being worked on.

    Attributes:
        upload_id: Identifier.
        owner_id: The principal whose it is.
        content_id: The version that it will become.
        new_version: Whether that is one of a document which is there already.
        title: Title of a new document.
        media_type: Media type.
        declared_size: Bytes announced; 0 for unknown.
        declared_sha256: SHA-256 announced, or none.
        prefix: Folder of its parts.
        header: First 40 bytes of the stream; none where its sender chooses them, with the key.
        dek: Its key, as the row has or will have it; where the sender makes the key, that of the key pair for it.
        parts: Whole parts that are stored.
        client_encryption: What the client encrypts the chunks with; ``None`` where they come in the clear.
        create_time: Microseconds since the epoch.
        expire_time: Microseconds since the epoch.
    """

    upload_id: str
    owner_id: str
    content_id: ContentId
    new_version: bool
    title: str
    media_type: str
    declared_size: int
    declared_sha256: bytes
    prefix: str
    header: bytes
    dek: StoredDek
    parts: int
    create_time: int
    expire_time: int
    client_encryption: ClientEncryption | None = None

    @classmethod
    def of(cls, row: Row) -> "OpenUpload":
        """The upload that a row holds.

        Args:
            row: Of the table of uploads.
        """
        return cls(
            upload_id=row.upload_id,
            owner_id=row.owner_id,
            content_id=ContentId(row.tenant_id, row.document_id, row.version),
            new_version=not row.title,
            title=row.title,
            media_type=row.media_type,
            declared_size=row.declared_size,
            declared_sha256=row.declared_sha256,
            prefix=row.blob_prefix,
            header=row.header,
            dek=StoredDek(row.key_version, row.wrapped_key, row.commitment),
            parts=row.persisted_parts,
            create_time=row.create_time,
            expire_time=row.expire_time,
        )

    @property
    def client_encrypted(self) -> bool:
        """Whether its chunks come as ciphertext."""
        return not self.header

    @property
    def persisted_size(self) -> int:
        """Bytes that are stored, of what comes."""
        return whole_parts_ciphertext(self.parts) if self.client_encrypted else whole_parts_size(self.parts)

    def shown(self) -> Upload:
        """The upload as its owner sees it."""
        return Upload(
            self.upload_id,
            self.content_id.document_id,
            self.content_id.version,
            self.persisted_size,
            self.expire_time,
            self.client_encryption,
        )


class ProgressStore:
    """Opens progress_store, and closes uploads.

    Args:
        database: Where the rows are.
        keys: Holds the tenants' keys.
        recorder: Records events.
    """

    def __init__(self, database: Database, keys: Keys, recorder: Recorder) -> None:
        self.database = database
        self.keys = keys
        self.recorder = recorder

    async def close(self, transaction: Transaction, row: Row, state: UploadState) -> bool:
        """Ends an upload that became nothing, and has what it stored removed.

        Args:
            transaction: Under way.
            row: The upload's, locked.
            state: How it ends.

        Returns:
            Whether it was open until now.
        """
        closed = await transaction.execute(
            store.CLOSE, which=row.upload_id, new_state=state.value, parts=row.persisted_parts
        )
        if closed:
            await schedule_removal(transaction, row.tenant_id, row.blob_prefix)
        return bool(closed)


class UploadProgress:
    """The progress of one upload, in the hands of one stream.

    Args:
        progress_store: What it works with.
        caller: Whose stream it is.
        upload: The upload.
        stored: Whether it has a row yet.
    """

    def __init__(self, progress_store: ProgressStore, caller: Caller, upload: OpenUpload, *, stored: bool) -> None:
        self._database = progress_store.database
        self._keys = progress_store.keys
        self._recorder = progress_store.recorder
        self._progress_store = progress_store
        self._caller = caller
        self.upload: OpenUpload = upload
        self.stored: bool = stored

    async def open(
        self,
        tags: bytes = b"",
        *,
        number: Callable[[Transaction], Awaitable[None]] | None = None,
        keep: Keep[Upload] = keep_nothing,
    ) -> None:
        """Gives the upload its row.

        Args:
            tags: Those of part 0, where it is ready to be stored.
            number: Makes sure, inside the transaction, that the version's number is still free.
            keep: Keeps the result for a repetition of the call.

        Raises:
            UniqueViolation: The same call is being made at the same time.
        """
        upload = self.upload
        draft = await self._recorder.draft(self._caller, events.EVENT_TYPE_UPLOAD_STARTED, resource_id=upload.upload_id)
        async with self._database.transaction() as transaction:
            await self._keys.hold(transaction, upload.content_id.tenant_id, upload.dek.key_version)
            if number is not None:
                await number(transaction)
            await transaction.execute(
                store.INSERT_UPLOAD,
                upload_id=upload.upload_id,
                tenant_id=upload.content_id.tenant_id,
                owner_id=upload.owner_id,
                document_id=upload.content_id.document_id,
                version=upload.content_id.version,
                title=upload.title,
                media_type=upload.media_type,
                declared_size=upload.declared_size,
                declared_sha256=upload.declared_sha256,
                blob_prefix=upload.prefix,
                header=upload.header,
                persisted_parts=0,
                claim=tags,
                key_version=upload.dek.key_version,
                wrapped_key=upload.dek.wrapped_key,
                commitment=upload.dek.commitment,
                state=UploadState.OPEN.value,
                create_time=upload.create_time,
                expire_time=upload.expire_time,
            )
            await self._recorder.record(transaction, draft)
            await keep(transaction, upload.shown())
        self.stored = True

    async def claim(self, part: int, tags: bytes, *, last: bool) -> None:
        """See ``part_writer.Progress``."""
        if not self.stored:
            if not last:
                await self.open(tags)
            return
        async with self._database.transaction() as transaction:
            row = await self._lock(transaction, part)
            at = (part - row.persisted_parts) * PART_TAGS
            claimed = row.claim[at : at + PART_TAGS]
            if claimed and claimed != tags:
                raise resent_bytes_differ()
            if at > len(row.claim):
                raise offset_mismatch(whole_parts_size(row.persisted_parts))
            if not claimed:
                await transaction.execute(store.CLAIM, which=row.upload_id, tags=row.claim + tags)

    async def note(self, part: int) -> None:
        """See ``part_writer.Progress``."""
        async with self._database.transaction() as transaction:
            row = await self._lock(transaction, part)
            if row.persisted_parts != part:
                raise offset_mismatch(whole_parts_size(row.persisted_parts))
            await transaction.execute(store.NOTE, which=row.upload_id, parts=part + 1, tags=row.claim[PART_TAGS:])
        self.upload = replace(self.upload, parts=part + 1)

    async def _lock(self, transaction: Transaction, part: int) -> Row:
        """The upload's row, still open and not further than this part."""
        row = await transaction.fetch_one(store.LOCK_UPLOAD, upload_id=self.upload.upload_id)
        if row is None or row.state != UploadState.OPEN:
            raise upload_closed()
        if row.persisted_parts > part:
            raise offset_mismatch(whole_parts_size(row.persisted_parts))
        return row

    async def finish(
        self, last: LastPart, size: int, rendered: Rendered, *, own: tuple[bytes, StoredDek] | None = None
    ) -> None:
        """Turns the upload into a version of a document.

        Args:
            last: The last part, stored.
            size: Bytes of the document.
            rendered: Its pages, and its rendition, stored.
            own: Header and key of the stream, where its sender chose them.

        Raises:
            Aborted: Another writer has come further, or the tenant's key was changed.
            FailedPrecondition: The upload is closed, or the document is deleted.
            NotFound: The caller does not reach the document any more.
        """
        upload = self.upload
        content_id = upload.content_id
        draft = await self._recorder.draft(
            self._caller,
            events.EVENT_TYPE_DOCUMENT_UPLOADED,
            resource_id=content_id.document_id,
            documents=[DocumentHash(content_id.document_id, content_id.version, last.digest.hex(), size, ORIGINAL)],
        )
        async with self._database.transaction() as transaction:
            dek = await self._take_key(transaction, last.parts - 1) if self.stored else upload.dek
            header, dek = own or (upload.header, dek)
            await self._keys.hold(transaction, content_id.tenant_id, dek.key_version)
            moment = clock.now()
            if upload.new_version:
                await add_to_document(transaction, content_id, moment, self._caller.reach(PERMISSION))
            else:
                await insert_document(
                    transaction, content_id, owner_id=upload.owner_id, title=upload.title, moment=moment
                )
            await insert_version(
                transaction,
                content_id,
                stored=StoredVersion(
                    upload.prefix,
                    header,
                    dek,
                    size,
                    last.digest,
                    upload.media_type,
                    rendered.pages,
                    rendered.rendition,
                ),
                moment=moment,
            )
            if self.stored:
                await transaction.execute(
                    store.CLOSE, which=upload.upload_id, new_state=UploadState.FINISHED.value, parts=last.parts
                )
            await self._recorder.record(transaction, draft)

    async def _take_key(self, transaction: Transaction, parts: int) -> StoredDek:
        """The key as the row has it now: it may have been wrapped anew since the stream began."""
        row = await self._lock(transaction, parts)
        return StoredDek(row.key_version, row.wrapped_key, row.commitment)

    async def refuse(self, reason: str) -> None:
        """Ends an upload whose document is refused for good.

        Args:
            reason: Why, as the caller is told.
        """
        draft = await self._recorder.draft(
            self._caller,
            events.EVENT_TYPE_UPLOAD_CANCELED,
            resource_id=self.upload.upload_id,
            extra={"reason": reason},
        )
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one(store.LOCK_UPLOAD, upload_id=self.upload.upload_id)
            if row is not None and await self._progress_store.close(transaction, row, UploadState.REFUSED):
                await self._recorder.record(transaction, draft)
