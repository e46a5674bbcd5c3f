"""Downloads: a version, or a range of it, decrypted segment by segment as it is read.

Invariants:

* The key's commitment is checked and the event committed before the first byte is sent.
* No byte is sent before its segment's tag is checked; the stream ends at the first wrong tag.
* A running download continues only while a new one would be allowed; ``Download.check`` checks this.
* A slow reader keeps one segment and `streams.READ_AHEAD` more in memory, however large the document.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import google_crc32c

from zegel.event.v1 import event_type_pb2 as events
from zegel.evidence.commitments import DocumentHash
from zegel.segments import SEGMENT_SIZE, locate, plaintext_range
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, PrincipalKind
from zegel_server.db import Database, Row
from zegel_server.documents import store
from zegel_server.documents.contents import StoredContent, choose, stored_dek
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.model import MAX_DOCUMENT, Chunk, Content, DocumentState, Version, destroyed, read_range
from zegel_server.documents.rows import version_of
from zegel_server.documents.streams import Ciphertext, ContentId, Stream
from zegel_server.edge import validation
from zegel_server.errors import DataLoss, InvalidArgument, NotFound, Unavailable

PERMISSION = "document.download"
"""What a reader of bytes holds."""
MAX_VERSION = 2**31 - 1
"""The contract's ``int32``."""


class ClientEncryptedStream(NamedTuple):
    """What a client needs to decrypt chunks of ciphertext.

    Attributes:
        wrapped_dek: The document's key, wrapped to the reader.
        tenant_id: Tenant named in the associated data.
        header: First 40 bytes of the stream.
        first_segment: Number of the first segment sent.
        segment_count: How many segments are sent.
    """

    wrapped_dek: bytes
    tenant_id: str
    header: bytes
    first_segment: int
    segment_count: int


@dataclass(frozen=True, slots=True)
class Download:
    """A download that has begun.

    Attributes:
        document_id: Of which document.
        version: Of which version.
        content: Which of its contents.
        size: Size of the whole content in bytes.
        sha256: SHA-256 of the whole content, 32 bytes.
        wanted: The range of bytes that is sent.
        chunks: Those bytes, in order.
        check: Raises, as ``Downloads.open`` does, once the document can no longer be read or its key is unavailable.
        client_encrypted_stream: How to open the chunks, where they are ciphertext.
    """

    document_id: str
    version: Version
    content: Content
    size: int
    sha256: bytes
    wanted: range
    chunks: AsyncGenerator[Chunk, None]
    check: Callable[[], Awaitable[None]]
    client_encrypted_stream: ClientEncryptedStream | None = None

    async def close(self) -> None:
        """Discards what was read ahead; must always be called."""
        await self.chunks.aclose()


class Downloads:
    """The use case of reading a document's bytes.

    Args:
        database: Where the rows are.
        encrypted_store: Decrypts.
        recorder: Records events.
    """

    def __init__(self, database: Database, encrypted_store: EncryptedStore, recorder: Recorder) -> None:
        self._database = database
        self._encrypted_store = encrypted_store
        self._recorder = recorder

    async def open(
        self,
        caller: Caller,
        document_id: str,
        version: int,
        offset: int,
        limit: int,
        *,
        client_public_key: bytes = b"",
        content: Content | None = None,
    ) -> Download:
        """Begins a download, and records it.

        Args:
            caller: Who reads.
            document_id: Which document.
            version: Which version; 0 for the newest that the caller reaches.
            offset: Of the first byte; negative values count from the end.
            limit: The maximum number of bytes; 0 for all up to the end.
            client_public_key: The reader's public key, to get ciphertext; empty to get plaintext.
            content: Which of the version's contents; ``None`` for the caller's default.

        Raises:
            NotFound: The document is absent, or out of the caller's reach; or a signer asks for an original.
            InvalidArgument: A number is wrong.
            OutOfRange: The offset lies past the end.
            FailedPrecondition: The document was deleted, or its key destroyed (``DOCUMENT_DESTROYED``), or it has no
                such content (``NO_RENDITION``).
            DataLoss: The key does not match its commitment.
            Unavailable: The key provider or the database does not answer.
        """
        row = await find_readable(self._database, caller, document_id, version, PERMISSION)
        chosen = choose(caller, row, content)
        wanted = read_range(offset, limit, chosen.size)
        chunks, encrypted = await self._open(chosen, wanted, client_public_key)
        request_id = caller.signature_request_id or row.signature_request_id
        told = DocumentHash(document_id, row.version, chosen.sha256.hex(), chosen.size, chosen.committed_as)
        draft = await self._recorder.draft(
            caller.acts_on(PERMISSION, row.owner_id),
            events.EVENT_TYPE_DOCUMENT_DOWNLOADED,
            resource_id=document_id,
            signature_request_id=request_id,
            trail=await self._trail(request_id),
            documents=[told],
            extra=_range_asked(offset, limit) if len(wanted) != chosen.size else None,
        )
        async with self._database.transaction() as transaction:
            await self._recorder.record(transaction, draft)
        owner_id = "" if caller.kind is PrincipalKind.SIGNER else row.owner_id  # a party reads on, whoever owns it
        return Download(
            document_id=document_id,
            version=version_of(row),
            content=chosen.content,
            size=chosen.size,
            sha256=chosen.sha256,
            wanted=wanted,
            chunks=self._told(chunks, chosen.prefix),
            check=partial(self._demand_standing, chosen.content_id, owner_id),
            client_encrypted_stream=encrypted,
        )

    async def _demand_standing(self, content_id: ContentId, owner_id: str) -> None:
        """Refuses a version that was deleted, purged or moved meanwhile, or whose tenant withdrew its key.

        The download already has the DEK in memory; the key that wraps it is requested anyway, to notice its withdrawal.
        """
        row = await self._database.fetch_one(
            store.STANDS, document_id=content_id.document_id, version=content_id.version
        )
        if row is None or row.state != DocumentState.ACTIVE or row.wrapped_key is None:
            raise destroyed()
        if owner_id not in {"", row.owner_id}:
            # The caller may no longer reach it; a new download finds that out.
            raise Unavailable("The document was given another owner; begin again.", dependency="policy")
        await self._encrypted_store.demand_key(content_id, stored_dek(row))

    async def _open(
        self, chosen: StoredContent, wanted: range, client_public_key: bytes
    ) -> tuple[AsyncGenerator[Chunk, None], ClientEncryptedStream | None]:
        """The chunks, not read yet, and how to decrypt them if they are ciphertext."""
        segments = _segments_of(wanted)
        if not client_public_key:
            return _plain_chunks(await open_content(self._encrypted_store, chosen), wanted, segments), None
        try:
            wrapped = await self._encrypted_store.wrap_key_to_client(chosen.content_id, chosen.dek, client_public_key)
        except ValueError:
            raise InvalidArgument("client_public_key", "must be an X25519 public key of 32 bytes") from None
        encrypted = ClientEncryptedStream(
            wrapped, chosen.content_id.tenant_id, chosen.header, segments.start, len(segments)
        )
        stored = Ciphertext(self._encrypted_store.part_store, chosen.prefix, chosen.size)
        return _client_encrypted_chunks(stored, segments), encrypted

    async def _trail(self, signature_request_id: str) -> str:
        """The audit ID of the request whose trail a download belongs to; empty for none."""
        if not signature_request_id:
            return ""
        row = await self._database.fetch_one(store.TRAIL, signature_request_id=signature_request_id)
        return "" if row is None else str(row.audit_id)

    async def _told(self, chunks: AsyncGenerator[Chunk, None], prefix: str) -> AsyncGenerator[Chunk, None]:
        """Passes chunks on; reports a document purged meanwhile as destroyed rather than as lost data."""
        try:
            async for chunk in chunks:
                yield chunk
        except DataLoss:
            # Purged while being read: blobs are removed after the keys.
            named = await self._database.fetch_one(store.PREFIX_OF_VERSION, prefix=prefix)
            if named is None or named.wrapped_key is None:
                raise destroyed() from None
            raise
        finally:
            await chunks.aclose()


def _segments_of(wanted: range) -> range:
    """The segments that bytes of a document lie in."""
    if not wanted:
        return range(0)
    return range(locate(wanted.start).index, locate(wanted.stop - 1).index + 1)


async def _plain_chunks(stream: Stream, wanted: range, segments: range) -> AsyncGenerator[Chunk, None]:
    plains = stream.segments(segments)
    index = segments.start
    try:
        async for plain in plains:
            plain_range = plaintext_range(index, stream.size)
            start, stop = max(wanted.start, plain_range.start), min(wanted.stop, plain_range.stop)
            data = plain[start - plain_range.start : stop - plain_range.start]
            yield Chunk(start, data, google_crc32c.value(data))
            index += 1
    finally:
        await plains.aclose()


async def _client_encrypted_chunks(stored: Ciphertext, segments: range) -> AsyncGenerator[Chunk, None]:
    pieces = stored.segments(segments)
    offset = segments.start * SEGMENT_SIZE
    try:
        async for piece in pieces:
            yield Chunk(offset, piece, google_crc32c.value(piece))
            offset += len(piece)
    finally:
        await pieces.aclose()


async def find_readable(database: Database, caller: Caller, document_id: str, version: int, *permissions: str) -> Row:
    """The row of a readable version, with its key.

    Args:
        database: Where it is.
        caller: Who reads.
        document_id: Which document.
        version: Which version; 0 for the newest that the caller reaches.
        permissions: The permissions that the caller must hold, all of them.

    Raises:
        InvalidArgument: The version's number is out of range.
        NotFound: It is absent, or out of the caller's reach.
        FailedPrecondition: It was deleted, or its key destroyed.
    """
    validation.identifier(document_id, "doc", "document_id", "document")
    if not 0 <= version <= MAX_VERSION:
        raise InvalidArgument("version", "must be a version's number, or 0 for the newest")
    party = caller.kind is PrincipalKind.SIGNER
    values: dict[str, str | int] = {"version": version} if version else {}
    if party:
        values["signature_request_id"] = caller.signature_request_id
    row = await database.fetch_one(
        store.READABLE[party, bool(version)],
        document_id=document_id,
        tenant_id=caller.tenant_id,
        owners=caller.reach(*permissions, party=party),
        **values,
    )
    if row is None:
        raise NotFound("document")
    if row.state != DocumentState.ACTIVE or row.wrapped_key is None:
        raise destroyed()
    return row


async def open_content(encrypted_store: EncryptedStore, stored: StoredContent) -> Stream:
    """Opens the stream of one of a version's contents.

    Args:
        encrypted_store: Where it is.
        stored: Which.

    Raises:
        DataLoss: The key does not match its commitment, or the header is damaged.
        KeyDestroyed: A key above it was destroyed.
        Unavailable: The key provider does not answer.
    """
    return await encrypted_store.open_stream(stored.content_id, stored.prefix, stored.header, stored.dek, stored.size)


def _range_asked(offset: int, limit: int) -> dict[str, int]:
    """The range as requested. The resulting range would reveal the document's size to readers of the log."""
    return {"offset": max(-MAX_DOCUMENT, min(offset, MAX_DOCUMENT)), "limit": min(limit, MAX_DOCUMENT)}
