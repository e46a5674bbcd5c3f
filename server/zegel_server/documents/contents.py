"""Where a version's original and rendition are stored, according to the version's row. No I/O.

Invariants:

* The two cannot be mixed up: each has its own folder, header and associated data. A *merged* document, the rendition
  of several, has only a rendition; its row names the same stream as its original.
* A signer can read renditions and the sealed document of its own request, but no original.
"""

from dataclasses import dataclass

from zegel.evidence.commitments import ORIGINAL, RENDITION, SEALED
from zegel_server.caller import Caller, PrincipalKind
from zegel_server.db import Row
from zegel_server.documents.model import Content
from zegel_server.documents.streams import ContentId
from zegel_server.errors import FailedPrecondition, NotFound
from zegel_server.keys.service import StoredDek


@dataclass(frozen=True, slots=True)
class StoredContent:
    """One of a version's contents.

    Attributes:
        content: Which.
        content_id: The content's identifier.
        prefix: Folder of its parts.
        header: First 40 bytes of its stream.
        size: Its bytes.
        sha256: Of its bytes, 32 bytes.
        dek: The version's key.
        committed_as: Its name in the audit log.
    """

    content: Content
    content_id: ContentId
    prefix: str
    header: bytes
    size: int
    sha256: bytes
    dek: StoredDek
    committed_as: str


def is_merged(row: Row) -> bool:
    """Whether a version is the rendition of several documents: its contents are one stream.

    Args:
        row: The version's.
    """
    return bool(row.rendition_prefix == row.blob_prefix)


def stored_content(tenant_id: str, row: Row) -> StoredContent:
    """A version's main content: its original, or its rendition if it is a merged document.

    Args:
        tenant_id: Whose.
        row: The version's row, with its key.
    """
    if is_merged(row):
        return _rendition(tenant_id, row)
    return StoredContent(
        Content.ORIGINAL,
        ContentId(tenant_id, row.document_id, row.version),
        row.blob_prefix,
        row.header,
        row.size,
        row.sha256,
        stored_dek(row),
        SEALED if row.signature_request_id else ORIGINAL,
    )


def stored_rendition(tenant_id: str, row: Row) -> StoredContent | None:
    """A version's rendition; ``None`` where it has none.

    Args:
        tenant_id: Whose.
        row: The version's row, with its key.
    """
    return None if row.rendition_prefix is None else _rendition(tenant_id, row)


def _rendition(tenant_id: str, row: Row) -> StoredContent:
    return StoredContent(
        Content.RENDITION,
        ContentId(tenant_id, row.document_id, row.version, rendition=True),
        row.rendition_prefix,
        row.rendition_header,
        row.rendition_size,
        row.rendition_sha256,
        stored_dek(row),
        RENDITION,
    )


def choose(caller: Caller, row: Row, asked: Content | None) -> StoredContent:
    """The content that a caller is to read.

    Args:
        caller: Who reads; the version is within its reach.
        row: The version's row, with its key.
        asked: The content asked for; ``None`` for the caller's default.

    Raises:
        NotFound: A signer asks for an original, or for a rendition of its sealed document.
        FailedPrecondition: The version has no rendition (``NO_RENDITION``), or has only a rendition.
    """
    merged = is_merged(row)
    if caller.kind is PrincipalKind.SIGNER:
        own = not merged and row.signature_request_id == caller.signature_request_id
        meant = Content.ORIGINAL if own else Content.RENDITION
        if asked not in {None, meant}:
            raise NotFound("document")
    else:
        meant = asked or (Content.RENDITION if merged else Content.ORIGINAL)
    if meant is Content.ORIGINAL:
        if merged:
            raise FailedPrecondition("A merged document has a rendition only.", state="MERGED")
        return stored_content(caller.tenant_id, row)
    found = stored_rendition(caller.tenant_id, row)
    if found is None:
        raise FailedPrecondition("The version has no rendition.", reason="NO_RENDITION")
    return found


def stored_dek(row: Row) -> StoredDek:
    """The key of a version.

    Args:
        row: The version's row, with its key.
    """
    return StoredDek(row.key_version, row.wrapped_key, row.commitment)
