"""Records an upload's progress in its row, and finishes it in one transaction with the version that it becomes.

Invariants:

* ``persisted_parts`` only grows, one at a time, by compare-and-set: of two writers only one wins.
* A part is claimed before it is stored: the row's ``claim`` holds the tags, part after part, of the parts beyond
  ``persisted_parts`` that may be stored. Claimed tags never change; they are dropped once their part is recorded.
* A document, its event and the end of its upload are committed together or not at all.
* A small document sent in one stream has no upload row until then: its key never left this process.
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
from zegel_server.documents.rows import StoredTitle, StoredVersion, add_to_document, insert_document, insert_version
from zegel_server.documents.streams import ContentId
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.keys.service import Keys, StoredDek

PERMISSION = "document.create"
"""The permission to upload; for a new version it is needed on the document too."""


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload in progress.

    Attributes:
        upload_id: Identifier.
        owner_id: The principal or team that owns it.
        content_id: The version that it will become.
        title: Title of a new document, encrypted; ``None`` for a new version.
        media_type: Media type.
        declared_size: Bytes announced; 0 for unknown.
        declared_sha256: SHA-256 announced, or none.
        prefix: Folder of its parts.
        header: First 40 bytes of the stream; empty if the client encrypts, which then chooses it.
        dek: Its key, as stored in the row; if the client encrypts, the key that the receiving key pair is derived from.
        parts: Whole parts that are stored.
        client_encryption: What the client needs to encrypt the chunks; ``None`` if it sends plaintext.
        create_time: Microseconds since the epoch.
        expire_time: Microseconds since the epoch.
    """

    upload_id: str
    owner_id: str
    content_id: ContentId
    title: StoredTitle | None
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
        """Builds the upload from its row.

        Args:
            row: Of the table of uploads.
        """
        return cls(
            upload_id=row.upload_id,
            owner_id=row.owner_id,
            content_id=ContentId(row.tenant_id, row.document_id, row.version),
            title=StoredTitle(row.texts, row.texts_key_version) if row.texts else None,
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
        """Bytes stored so far, of ciphertext if the client encrypts."""
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
    """The database, keys and recorder behind the progress of uploads; also closes uploads.

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
        """Ends an upload without a document, and schedules its blobs for removal.

        Args:
            transaction: Under way.
            row: The upload's, locked.
            state: How it ends.

        Returns:
            Whether it was still open.
        """
        closed = await transaction.execute(
            store.CLOSE, which=row.upload_id, new_state=state.value, parts=row.persisted_parts
        )
        if closed:
            await schedule_removal(transaction, row.tenant_id, row.blob_prefix)
        return bool(closed)


class UploadProgress:
    """The progress of one upload, as one stream advances it.

    Args:
        progress_store: Reads and writes the rows.
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
        """Inserts the upload's row.

        Args:
            tags: The tags of part 0, if it is ready to be stored.
            number: Makes sure, inside the transaction, that the version's number is still free.
            keep: Remembers the answer, for a retry of the same call.

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
                texts=upload.title and upload.title.encrypted,
                texts_key_version=upload.title and upload.title.key_version,
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
        """Locks the upload's row; it must be open and not be past this part."""
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
            own: The stream's header and key, if the client chose them.

        Raises:
            Aborted: Another writer has come further, or the tenant's key was changed.
            FailedPrecondition: The upload is closed, or the document is deleted.
            NotFound: The caller no longer reaches the document.
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
            if self.stored:  # its key and title may have been encrypted anew since the stream began
                upload = OpenUpload.of(await self._lock(transaction, last.parts - 1))
            header, dek = own or (upload.header, upload.dek)
            for version in sorted({dek.key_version, *([upload.title.key_version] if upload.title else [])}):
                await self._keys.hold(transaction, content_id.tenant_id, version)
            moment = clock.now()
            if upload.title is None:
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

    async def refuse(self, reason: str) -> None:
        """Ends an upload whose document is refused permanently.

        Args:
            reason: The reason given to the caller.
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
