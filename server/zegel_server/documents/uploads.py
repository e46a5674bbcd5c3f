"""Use cases of uploads: start, stream, resume, finish and cancel.

Invariants:

* Acknowledged bytes are stored: the persisted size counts whole parts that are durable and recorded; it never shrinks.
* Resent bytes must equal those sent before, or are refused.
* A document exists only once its size and SHA-256 were right and its rendition is stored.
* A stream cut off at any byte leaves an upload that can be resumed, and nothing else.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel.segments import ciphertext_size
from zegel_server import clock
from zegel_server.caller import Caller
from zegel_server.db import Row, Transaction
from zegel_server.documents import store
from zegel_server.documents.chunk_receiver import ChunkReceiver, Messages, stream_order
from zegel_server.documents.client_encryption import CiphertextWriter, client_encryption_of, open_wrapped, received_size
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.model import (
    MAX_DOCUMENT,
    UPLOAD_LIFETIME,
    Finish,
    Received,
    Upload,
    UploadSpec,
    UploadState,
    upload_closed,
)
from zegel_server.documents.part_writer import LastPart
from zegel_server.documents.parts import PART_SEGMENTS
from zegel_server.documents.renditions import REFUSED, Rendered, Renditions
from zegel_server.documents.rows import StoredTitle, lock_and_number, raced
from zegel_server.documents.streams import Ciphertext, ContentId, Stream
from zegel_server.documents.upload_progress import PERMISSION, OpenUpload, ProgressStore, UploadProgress
from zegel_server.documents.writing import StreamWriter
from zegel_server.edge import validation
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, ZegelError
from zegel_server.ids import new_id
from zegel_server.keys.service import StoredDek
from zegel_server.permissions.teams import find_team

REWRAPS: Final = 3
"""Attempts to wrap a client's key if the tenant's key is rotated meanwhile, which happens about once a year."""
SWEPT = 100
"""Uploads that expire in one sweep: a second's work."""


class Uploads:
    """The use cases around uploads.

    Args:
        store: Encrypts and stores the bytes.
        progress: Rows, keys and events.
        renditions: Inspects PDFs, and makes and stores their renditions.
        lifetime: How long an upload may take, in microseconds.
    """

    def __init__(
        self, store: EncryptedStore, progress: ProgressStore, renditions: Renditions, *, lifetime: int = UPLOAD_LIFETIME
    ) -> None:
        self._store = store
        self._progress_store = progress
        self._database = progress.database
        self._recorder = progress.recorder
        self._renditions = renditions
        self._lifetime = lifetime

    # --------------------------------------------------------------------------------------- started and canceled

    async def start(self, caller: Caller, spec: UploadSpec, keep: Keep[Upload] = keep_nothing) -> Upload:
        """Opens an upload.

        Args:
            caller: Who calls.
            spec: What it is to become.
            keep: Remembers the answer, for a retry of the same call.

        Raises:
            InvalidArgument: A field of the spec is wrong.
            NotFound: The document or the team is absent, or out of the caller's reach.
            FailedPrecondition: The document is deleted, or is a sealed one.
            UniqueViolation: The same call is being made at the same time.
        """
        return (await self._begin(caller, spec.checked(), keep, at_once=True)).upload.shown()

    async def get(self, caller: Caller, upload_id: str) -> Upload:
        """How far an upload has come; a finished one shows its whole size.

        Args:
            caller: Who calls.
            upload_id: Which.

        Raises:
            NotFound: It is absent, or out of the caller's reach.
            FailedPrecondition: It is closed (``UPLOAD_CLOSED``).
        """
        row = await self._find(caller, upload_id)
        upload = OpenUpload.of(row)
        if row.state == UploadState.FINISHED and row.final_size is not None:
            size = ciphertext_size(row.final_size) if upload.client_encrypted else row.final_size
            return replace(upload.shown(), persisted_size=size, end_time=row.end_time)
        if not _is_open(row):
            raise upload_closed()
        return (await self._with_client_encryption(upload)).shown()

    async def cancel(self, caller: Caller, upload_id: str) -> None:
        """Cancels an upload; cancelling it again changes nothing.

        Args:
            caller: Who calls.
            upload_id: Which.

        Raises:
            NotFound: It is absent, or out of the caller's reach.
            FailedPrecondition: It is finished.
        """
        caller = caller.acts_on(PERMISSION, (await self._find(caller, upload_id)).owner_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_UPLOAD_CANCELED, resource_id=upload_id)
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one(store.LOCK_UPLOAD, upload_id=upload_id)
            if row is None:
                raise NotFound("upload")
            if row.state == UploadState.FINISHED:
                raise FailedPrecondition("The upload is finished; delete its document instead.", state=row.state)
            if await self._progress_store.close(transaction, row, UploadState.CANCELED):
                await self._recorder.record(transaction, draft)

    async def sweep(self) -> int:
        """Ends expired uploads, and schedules their blobs for removal.

        Returns:
            How many expired.

        Raises:
            Unavailable: The database or the key provider does not answer.
        """
        swept = 0
        for each in await self._database.fetch(store.EXPIRED_UPLOADS, at=clock.now(), most=SWEPT):
            draft = await self._recorder.draft_own(
                each.tenant_id,
                events.EVENT_TYPE_UPLOAD_CANCELED,
                resource_id=each.upload_id,
                extra={"reason": "EXPIRED"},
            )
            async with self._database.transaction() as transaction:
                row = await transaction.fetch_one(store.LOCK_UPLOAD, upload_id=each.upload_id)
                if row is not None and await self._progress_store.close(transaction, row, UploadState.EXPIRED):
                    await self._recorder.record(transaction, draft)
                    swept += 1
        return swept

    # ------------------------------------------------------------------------------------------------ streamed into

    async def receive(self, caller: Caller, messages: AsyncIterator[Received]) -> str | Upload:
        """Receives an upload stream.

        Args:
            caller: Who calls.
            messages: Its messages.

        Returns:
            The document's identifier if the stream finished the upload; otherwise the upload.

        Raises:
            ZegelError: As the contract of ``UploadDocument`` says.
        """
        source = Messages(messages)
        first = await source.first()
        if first.spec is not None:
            if first.spec.client_encrypted:
                raise stream_order("spec.client_encrypted", "needs StartUpload, whose answer has the public key")
            progress = await self._begin(caller, first.spec.checked(), keep_nothing)
        else:
            row = await self._find(caller, first.upload_id or "")
            if row.state == UploadState.FINISHED:
                return await self._repeat(row, source, first)
            if not _is_open(row):
                raise upload_closed()
            caller = caller.acts_on(PERMISSION, row.owner_id)
            progress = UploadProgress(self._progress_store, caller, OpenUpload.of(row), stored=True)
        if progress.upload.client_encrypted:
            return await self._receive_client_encrypted(progress, source, first)
        if first.wrapped_dek:
            raise InvalidArgument("wrapped_dek", "the chunks of this upload are not encrypted by the client")
        return await self._receive(progress, source, first)

    async def _receive(self, progress: UploadProgress, source: Messages, first: Received) -> str | Upload:
        upload = progress.upload
        stream = await self._store.open_stream(upload.content_id, upload.prefix, upload.header, upload.dek)
        digest = await self._digest(stream, upload.parts)
        writer = StreamWriter(stream, progress, parts=upload.parts, digest=digest)
        receiver = ChunkReceiver(stream, upload.persisted_size, upload.declared_size, writer)
        try:
            finish = await _drain(source, first, receiver)
            if finish is not None:
                finish.check(receiver.size, upload.declared_sha256)
                await self._finish(progress, stream, writer, finish)
                return upload.content_id.document_id
            await writer.settle()
            if not progress.stored:
                await progress.open()
            return progress.upload.shown()
        finally:
            await writer.abandon()

    async def _receive_client_encrypted(
        self, progress: UploadProgress, source: Messages, first: Received
    ) -> str | Upload:
        upload = progress.upload
        content_id = upload.content_id
        dek = await open_wrapped(self._store, content_id, upload.dek, first.wrapped_dek)
        stored = Ciphertext(self._store.part_store, upload.prefix)
        writer = CiphertextWriter(stored, progress, parts=upload.parts)
        declared = ciphertext_size(upload.declared_size) if upload.declared_size else 0
        receiver = ChunkReceiver(stored, upload.persisted_size, declared, writer, most=ciphertext_size(MAX_DOCUMENT))
        try:
            finish = await _drain(source, first, receiver)
            if finish is None:
                await writer.settle()
                return (await self._with_client_encryption(progress.upload)).shown()
            finish.check(received_size(receiver.size), upload.declared_sha256)
            last, stream = await writer.end(content_id, dek, finish)
            rendered = await self._look_into(progress, stream, last)
            for left in reversed(range(REWRAPS)):
                wrapped = await self._progress_store.keys.wrap_dek(content_id.tenant_id, content_id.key_id, dek)
                own = (stream.cipher.header, wrapped)
                try:
                    await progress.finish(last, finish.size, rendered, own=own)
                except Aborted as error:
                    if error.reason != "ETAG_MISMATCH" or not left:  # that is, if the tenant key was not rotated
                        raise
                else:
                    break
            return content_id.document_id
        finally:
            await writer.abandon()

    async def _look_into(self, progress: UploadProgress, stream: Stream, last: LastPart) -> Rendered:
        await last.store()
        try:
            return await self._renditions.make_of_stored(progress.upload.content_id, stream)
        except FailedPrecondition as error:
            if error.reason in REFUSED:
                await progress.refuse(error.reason)
            raise

    async def _finish(self, progress: UploadProgress, stream: Stream, writer: StreamWriter, finish: Finish) -> None:
        def check(digest: bytes) -> None:
            if digest != finish.sha256:
                raise InvalidArgument("finish.sha256", "is not that of the bytes received", reason="CHECKSUM_MISMATCH")

        whole = writer.whole()
        last = await writer.end(check)
        try:
            rendered = await self._store_and_render(progress.upload.content_id, stream, last, whole, finish.size)
        except FailedPrecondition as error:
            if error.reason in REFUSED:
                if progress.stored:
                    await progress.refuse(error.reason)
                else:
                    # No row names the blob; if this fails, the scrub finds it as an orphan.
                    with suppress(ZegelError):
                        await self._store.part_store.remove(stream.prefix)
            raise
        # A failure from here on may still have committed, so nothing is removed.
        await progress.finish(last, finish.size, rendered)

    async def _store_and_render(
        self, content_id: ContentId, stream: Stream, last: LastPart, whole: bytes | None, size: int
    ) -> Rendered:
        if whole is None:
            await last.store()
            stored = Stream(self._store.part_store, stream.prefix, stream.cipher, size, dek=stream.dek)
            return await self._renditions.make_of_stored(content_id, stored)
        storing = asyncio.create_task(last.store())
        try:
            return await self._renditions.make(content_id, stream.dek, whole)
        finally:
            await storing

    async def _begin(
        self, caller: Caller, spec: UploadSpec, keep: Keep[Upload], *, at_once: bool = False
    ) -> UploadProgress:
        """Begins an upload; its row is inserted later, if possible, once something is stored."""
        await self._renditions.trials.check_texts([("spec.title", spec.title)])
        if spec.team_id:
            await find_team(self._database, caller, PERMISSION, spec.team_id)
        document_id = spec.document_id or new_id("doc")
        version = await self._next_version(caller, document_id) if spec.document_id else 1
        content_id = ContentId(caller.tenant_id, document_id, version)
        stream, dek = await self._store.new_stream(content_id)
        keys, named = self._progress_store.keys, (caller.tenant_id, document_id, spec.title, dek.key_version)
        title = None if spec.document_id else await StoredTitle.make(keys, *named)
        moment = clock.now()
        upload = OpenUpload(
            upload_id=new_id("upl"),
            owner_id=spec.team_id or caller.principal_id,
            content_id=content_id,
            title=title,
            media_type=spec.media_type,
            declared_size=spec.size,
            declared_sha256=spec.sha256,
            prefix=stream.prefix,
            header=b"" if spec.client_encrypted else stream.cipher.header,
            dek=dek,
            parts=0,
            create_time=moment,
            expire_time=moment + self._lifetime,
        )
        upload = await self._with_client_encryption(upload)
        progress = UploadProgress(self._progress_store, caller, upload, stored=False)
        if spec.document_id:
            owners = caller.reach(PERMISSION)

            async def number(transaction: Transaction) -> None:
                if await lock_and_number(transaction, caller.tenant_id, document_id, owners) != version:
                    raise raced()

            await progress.open(number=number, keep=keep)
        elif at_once:
            await progress.open(keep=keep)
        return progress

    async def _with_client_encryption(self, upload: OpenUpload) -> OpenUpload:
        if not upload.client_encrypted:
            return upload
        return replace(upload, client_encryption=await client_encryption_of(self._store, upload.content_id, upload.dek))

    async def _next_version(self, caller: Caller, document_id: str) -> int:
        async with self._database.transaction() as transaction:
            owners = caller.reach(PERMISSION)
            return await lock_and_number(transaction, caller.tenant_id, document_id, owners)

    async def _digest(self, stream: Stream, parts: int) -> "hashlib._Hash":
        """SHA-256 of the stored parts, read again (and so checked), since hashlib's state cannot be saved."""
        digest = hashlib.sha256()
        async for segment in stream.segments(range(parts * PART_SEGMENTS)):
            await self._store.part_store.compute(len(segment), digest.update, segment)
        return digest

    async def _repeat(self, row: Row, source: Messages, first: Received) -> str:
        """Answers a client that resends to a finished upload because it missed the answer."""
        version = await self._database.fetch_one(
            store.READABLE[False, True],
            document_id=row.document_id,
            tenant_id=row.tenant_id,
            version=row.version,
            owners="",
        )
        if version is None or version.wrapped_key is None:
            raise upload_closed()
        content_id = ContentId(row.tenant_id, row.document_id, row.version)
        dek = StoredDek(version.key_version, version.wrapped_key, version.commitment)
        if OpenUpload.of(row).client_encrypted:
            size = ciphertext_size(version.size)
            receiver = ChunkReceiver(
                Ciphertext(self._store.part_store, version.blob_prefix, version.size), size, size, None, most=size
            )
        else:
            stream = await self._store.open_stream(content_id, version.blob_prefix, version.header, dek, version.size)
            receiver = ChunkReceiver(stream, version.size, row.declared_size, None)
        finish = await _drain(source, first, receiver)
        if finish is not None:
            finish.check(version.size, version.sha256)
        return content_id.document_id

    async def _find(self, caller: Caller, upload_id: str) -> Row:
        validation.identifier(upload_id, "upl", "upload_id", "upload")
        row = await self._database.fetch_one(
            store.GET_UPLOAD, upload_id=upload_id, tenant_id=caller.tenant_id, owners=caller.reach(PERMISSION)
        )
        if row is None:
            raise NotFound("upload")
        return row


async def _drain(source: Messages, first: Received, receiver: ChunkReceiver) -> Finish | None:
    """Processes every message of a stream, and returns its ``finish``, if any."""
    message: Received | None = first
    while message is not None:
        if message.chunk is not None:
            await receiver.take(message.chunk)
        if message.finish is not None:
            await source.end()
            return message.finish
        message = await source.later()
    return None


def _is_open(row: Row) -> bool:
    return bool(row.state == UploadState.OPEN and row.expire_time > clock.now())
