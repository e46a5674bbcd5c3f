"""Documents, versions and uploads, and their rules. No I/O.

Invariants:

* A version never changes, except that one stored before renditions existed gets its rendition when it is first sent. A
  document's title, owner and state can change; each change increments its ``revision``.
* A document goes ``ACTIVE`` -> ``DELETED`` -> ``PURGED``; only the first step can be taken back.
* An upload leaves ``OPEN`` once and never returns to it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from zegel_server import clock
from zegel_server.edge import etags, validation
from zegel_server.errors import Aborted, FailedPrecondition, InvalidArgument, OutOfRange

MAX_DOCUMENT: Final = 4 << 30
"""Bytes of a document: 4 GiB, as the contract says; more than any scan."""
MAX_CHUNK: Final = 1 << 20
"""Bytes of a chunk: enveloped, it stays below gRPC's limit of 4 MiB a message, and losing one costs little."""
MAX_TITLE: Final = 255
"""Characters of a title, as the contract says; what file systems allow for a name."""
SHA256: Final = 32
"""Bytes of a SHA-256."""
MEDIA_TYPE: Final = "application/pdf"
"""The only media type supported."""
UPLOAD_LIFETIME: Final = 7 * clock.DAY
"""How long an upload may take: a week, so that one begun on a Friday is continued on a Monday."""

_CACHED_PAGES: Final = 512
"""Parsed page lists kept in memory, for documents in use; a few tens of KB each at worst."""


class DocumentState(StrEnum):
    """Where a document stands."""

    ACTIVE = "ACTIVE"
    DELETED = "DELETED"
    PURGED = "PURGED"


class Content(StrEnum):
    """One of the contents of a version."""

    ORIGINAL = "ORIGINAL"
    RENDITION = "RENDITION"


class UploadState(StrEnum):
    """Where an upload stands."""

    OPEN = "OPEN"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Page:
    """A page as shown.

    Attributes:
        width: Width in points.
        height: Height in points.
    """

    width: float
    height: float


def pages_to_text(pages: Iterable[Page]) -> str:
    """Serialises a version's pages as JSON for its row.

    Args:
        pages: The pages in order.
    """
    return json.dumps([[page.width, page.height] for page in pages], separators=(",", ":"))


@lru_cache(maxsize=_CACHED_PAGES)
def pages_from_text(text: str) -> tuple[Page, ...]:
    """Parses the pages of a row.

    Args:
        text: What the row holds.
    """
    return tuple(Page(float(width), float(height)) for width, height in json.loads(text))


class Version(NamedTuple):
    """One version of a document.

    Attributes:
        number: From 1.
        size: Bytes.
        sha256: Of the bytes, 32 bytes.
        media_type: Media type.
        pages_text: Its pages as the row holds them.
        create_time: Microseconds since the epoch.
        rendition_size: Bytes of its rendition; ``None`` where it has none.
        rendition_sha256: Of its rendition, 32 bytes.
        findings_text: What was found in it, as the row holds it; ``None`` where that is not known.
    """

    number: int
    size: int
    sha256: bytes
    media_type: str
    pages_text: str
    create_time: int
    rendition_size: int | None = None
    rendition_sha256: bytes | None = None
    findings_text: str | None = None

    @property
    def pages(self) -> tuple[Page, ...]:
        """Its pages; empty if it is too large to be inspected."""
        return pages_from_text(self.pages_text)


@dataclass(frozen=True, slots=True)
class Document:
    """A document.

    Attributes:
        document_id: Identifier.
        title: Title; empty once purged.
        state: Where it stands.
        owner_id: The principal that owns it.
        versions: Those that the caller reaches, the oldest first.
        create_time: Microseconds since the epoch.
        update_time: Microseconds since the epoch.
        delete_time: Microseconds since the epoch, or ``None``.
        revision: How often it was changed.
        end_time: When it was purged, in microseconds since the epoch; ``None`` if it is not.
    """

    document_id: str
    title: str
    state: str
    owner_id: str
    versions: Sequence[Version]
    create_time: int
    update_time: int
    delete_time: int | None
    revision: int
    end_time: int | None = None

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return etags.of(self.revision)


@dataclass(frozen=True, slots=True)
class UploadSpec:
    """What the caller wants an upload to become.

    Attributes:
        title: Title of a new document.
        document_id: The document of which it is a new version; empty for a new one.
        size: Bytes, 0 for unknown.
        sha256: 32 bytes, or none.
        media_type: Media type; empty for the only one.
        client_encrypted: Whether the client sends ciphertext, under a key that it generates.
        team_id: The team that is to own a new document; empty for its sender.
    """

    title: str = ""
    document_id: str = ""
    size: int = 0
    sha256: bytes = b""
    media_type: str = ""
    client_encrypted: bool = False
    team_id: str = ""

    def checked(self, where: str = "spec") -> "UploadSpec":
        """Validates the spec and fills in its defaults.

        Args:
            where: Path of the message in the request.

        Raises:
            InvalidArgument: A field is wrong.
            NotFound: ``document_id`` is no document's identifier, or ``team_id`` no team's.
        """
        title = self.title
        if self.team_id:
            validation.identifier(self.team_id, "tea", f"{where}.team_id", "team")
        if self.document_id:
            validation.identifier(self.document_id, "doc", f"{where}.document_id", "document")
            if title:
                raise InvalidArgument(f"{where}.title", "must be empty for a new version: UpdateDocument changes it")
            if self.team_id:
                raise InvalidArgument(
                    f"{where}.team_id", "must be empty for a new version: it has its document's owner"
                )
        else:
            title = validation.text(title, f"{where}.title", most=MAX_TITLE)
        if not 0 <= self.size <= MAX_DOCUMENT:
            raise InvalidArgument(f"{where}.size", f"must be 0 to {MAX_DOCUMENT} bytes")
        if len(self.sha256) not in {0, SHA256}:
            raise InvalidArgument(f"{where}.sha256", "must have 32 bytes or none")
        if self.media_type not in {"", MEDIA_TYPE}:
            raise InvalidArgument(f"{where}.media_type", f"must be {MEDIA_TYPE}")
        return UploadSpec(
            title, self.document_id, self.size, self.sha256, MEDIA_TYPE, self.client_encrypted, self.team_id
        )


class ClientEncryption(NamedTuple):
    """What a client needs to encrypt the chunks of an upload.

    Attributes:
        public_key: Public key to which the sender wraps the document's key, 32 bytes.
        tenant_id: Tenant named in the associated data.
    """

    public_key: bytes
    tenant_id: str


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload, as its owner sees it.

    Attributes:
        upload_id: Identifier.
        document_id: Identifier that the document has, or will have.
        version: Number of the version that it will become.
        persisted_size: How many bytes are stored durably; bytes of ciphertext if the client encrypts.
        expire_time: Microseconds since the epoch.
        client_encryption: What the client needs to encrypt the chunks; ``None`` if it sends plaintext.
        end_time: When it was finished, in microseconds since the epoch; ``None`` if it is open.
    """

    upload_id: str
    document_id: str
    version: int
    persisted_size: int
    expire_time: int
    client_encryption: ClientEncryption | None = None
    end_time: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of bytes of a document.

    Attributes:
        offset: Of the first byte in the document.
        data: The bytes.
        crc32c: Their CRC-32C.
    """

    offset: int
    data: bytes = field(repr=False)
    crc32c: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an upload.

    Attributes:
        size: Bytes of the whole document.
        sha256: Of the whole document.
    """

    size: int
    sha256: bytes

    def check(self, received: int, declared: bytes) -> None:
        """Compares the announced end with what was received.

        Args:
            received: Bytes received.
            declared: The SHA-256 announced at the beginning, or none.

        Raises:
            InvalidArgument: They do not match (``MISSING_FIELD``, ``INVALID_FIELD``, ``SIZE_MISMATCH``,
                ``CHECKSUM_MISMATCH``).
        """
        if len(self.sha256) != SHA256:
            reason = None if self.sha256 else "MISSING_FIELD"
            raise InvalidArgument("finish.sha256", "must have 32 bytes", reason=reason)
        if self.size != received:
            raise InvalidArgument("finish.size", f"{received} bytes were received", reason="SIZE_MISMATCH")
        if declared and declared != self.sha256:
            raise InvalidArgument(
                "finish.sha256", "is not the SHA-256 that the upload began with", reason="CHECKSUM_MISMATCH"
            )


@dataclass(frozen=True, slots=True)
class Received:
    """One message of an upload.

    Attributes:
        upload_id: Which upload, in the first message.
        spec: A new upload, in the first message.
        chunk: The next bytes.
        finish: The end.
        wrapped_dek: The document's key, wrapped by its sender; empty if the server generates the key.
    """

    upload_id: str | None = None
    spec: UploadSpec | None = None
    chunk: Chunk | None = None
    finish: Finish | None = None
    wrapped_dek: bytes = field(default=b"", repr=False)


def read_range(offset: int, limit: int, size: int) -> range:
    """The range of bytes that a ranged read returns.

    Args:
        offset: Of the first byte; negative values count from the end, clamped to the beginning.
        limit: The maximum number of bytes; 0 for all up to the end.
        size: Bytes of the document.

    Raises:
        OutOfRange: The offset lies past the end.
        InvalidArgument: The limit is negative.
    """
    if limit < 0:
        raise InvalidArgument("read_limit", "must not be negative")
    start = max(0, size + offset) if offset < 0 else offset
    if start > size:
        raise OutOfRange("read_offset", f"the document has {size} bytes")
    return range(start, min(size, start + limit) if limit else size)


def offset_mismatch(expected: int) -> Aborted:
    """Makes the error for a chunk with the wrong offset, or for a writer that another one overtook.

    Args:
        expected: The offset that is expected next.
    """
    return Aborted(
        f"The next byte that is wanted has offset {expected}; ask GetUpload where to go on.",
        reason="OFFSET_MISMATCH",
        expected_offset=str(expected),
    )


def upload_closed() -> FailedPrecondition:
    """Makes the error for an upload that is closed."""
    return FailedPrecondition(
        "The upload is closed: it has expired, was canceled or was refused.", reason="UPLOAD_CLOSED"
    )


def destroyed() -> FailedPrecondition:
    """Makes the error for reading a document that is deleted or purged."""
    return FailedPrecondition("The document was deleted, or its key was destroyed.", reason="DOCUMENT_DESTROYED")


def resent_bytes_differ() -> InvalidArgument:
    """Makes the error for resent bytes that differ from those sent before."""
    return InvalidArgument("chunk.data", "other bytes were sent for this offset before", reason="RESENT_BYTES_DIFFER")
