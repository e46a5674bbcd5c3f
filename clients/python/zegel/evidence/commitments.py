"""Commitments: how the audit log names documents without revealing anything to people who have a copy of them.

Leaves of the log are in files that anyone may read. A document's bare hash there would tell anybody who has the
document that it was signed here, and when. So a leaf holds a *commitment*: a keyed hash of what is committed to, under
a salt that only the evidence contains. Each salt is derived from the tenant's key and its purpose, so none is stored,
and once that key is destroyed the server can no longer open any commitment.

Invariants:

* Functions of values only: they use no clock, network or file.
* A commitment covers the hash, the size, and which document, version and content it is, under one salt of 32 bytes.
* Salts for different purposes differ: the derivation includes the purpose.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zegel.evidence.canonical import Json, dumps

SALT_SIZE: Final = 32
"""Bytes of a salt, and of the key that it is derived from: as many as of the hash, so that neither can be guessed."""
ORIGINAL: Final = "original"
"""The content that was uploaded."""
RENDITION: Final = "rendition"
"""The content that signers are shown; a sealed file begins with it."""
SEALED: Final = "sealed"
"""The content of a sealed file."""
CONTENTS: Final = frozenset({ORIGINAL, RENDITION, SEALED})
"""Which content of a document is committed to."""

_DOCUMENT_LABEL: Final = b"zegel/document-salt/v1\0"
_BOXES_LABEL: Final = b"zegel/boxes-salt/v1\0"


@dataclass(frozen=True, slots=True)
class DocumentHash:
    """What a leaf commits to about the bytes of a document.

    Args:
        document: Identifier of the document.
        version: Number of its version.
        sha256: SHA-256 of the bytes, in lower-case hex.
        size: Length in bytes.
        content: ``original``, ``rendition`` or ``sealed``.
    """

    document: str
    version: int
    sha256: str
    size: int
    content: str


@dataclass(frozen=True, slots=True)
class Box:
    """A box that the signature request names: where something may be drawn over the rendition, and for whose signature.

    Lengths are in thousandths of a point, from the top left of the page as shown.

    Args:
        page: Page of the request's rendition, from 1.
        x: Distance of its left edge.
        y: Distance of its top edge.
        width: Its width.
        height: Its height.
        signature: The signature to which it belongs.
        type: What is drawn in it, such as ``SIGNATURE``.
        time_zone: For the day of signing, the IANA name of the time zone in which it is that day; empty for anything
            else, and in requests from before days named their zones.
    """

    page: int
    x: int
    y: int
    width: int
    height: int
    signature: str
    type: str
    time_zone: str = ""

    def to_json(self) -> dict[str, Json]:
        """The box as JSON, without an empty time zone."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) != ""}


@dataclass(frozen=True, slots=True)
class SealedOpening:
    """Opens the commitment to a sealed file, together with the file itself.

    Args:
        document: Identifier of the sealed document.
        version: Number of its version.
        salt: The salt, 32 bytes.
    """

    document: str
    version: int
    salt: bytes

    def commit(self, sha256: bytes, size: int) -> str:
        """The commitment that the log must have if a file is this sealed document.

        Args:
            sha256: SHA-256 of the whole file, 32 bytes.
            size: How many bytes it has.
        """
        return commit_document(self.salt, DocumentHash(self.document, self.version, sha256.hex(), size, SEALED))


def document_salt(key: bytes, content: str, document: str, version: int) -> bytes:
    """The salt under which a document is committed to.

    Args:
        key: The tenant's own key as a subject, 32 bytes.
        content: ``original``, ``rendition`` or ``sealed``.
        document: Identifier of the document.
        version: Number of its version.

    Returns:
        HMAC-SHA-256, 32 bytes.

    Raises:
        ValueError: The key has another length.
    """
    return _derive(key, _DOCUMENT_LABEL, [content, document, version])


def boxes_salt(key: bytes, trail: str) -> bytes:
    """The salt under which the boxes of a signature request are committed to.

    Args:
        key: The tenant's own key as a subject, 32 bytes.
        trail: The request's audit ID.

    Returns:
        HMAC-SHA-256, 32 bytes.

    Raises:
        ValueError: The key has another length.
    """
    return _derive(key, _BOXES_LABEL, [trail])


def commit_document(salt: bytes, document: DocumentHash) -> str:
    """Commit to the bytes of a document.

    Args:
        salt: Its salt, 32 bytes.
        document: What is committed to.

    Returns:
        HMAC-SHA-256 over the canonical JSON of it, in lower-case hex.

    Raises:
        ValueError: The salt has another length.
    """
    return _commit(
        salt,
        {
            "content": document.content,
            "document": document.document,
            "sha256": document.sha256,
            "size": document.size,
            "version": document.version,
        },
    )


def commit_boxes(salt: bytes, boxes: Sequence[Box]) -> str:
    """Commit to the boxes of a signature request, in their order.

    Args:
        salt: Their salt, 32 bytes.
        boxes: The boxes.

    Returns:
        HMAC-SHA-256 over the canonical JSON of them, in lower-case hex.

    Raises:
        ValueError: The salt has another length.
    """
    return _commit(salt, [box.to_json() for box in boxes])


def _derive(key: bytes, label: bytes, what: Json) -> bytes:
    # One length only: HMAC treats a shorter key and the same key padded with zeros alike.
    if len(key) != SALT_SIZE:
        raise ValueError("a key that salts are derived from has 32 bytes")
    return hmac.digest(key, label + dumps(what), "sha256")


def _commit(salt: bytes, what: Json) -> str:
    if len(salt) != SALT_SIZE:
        raise ValueError("a salt is of 32 bytes")
    return hmac.digest(salt, dumps(what), "sha256").hex()
