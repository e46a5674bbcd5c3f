"""The openings of a trail's commitments: ``openings.json``, the third file of the evidence.

The leaves of a signature request commit to its documents, to the rendition that was signed, and to the boxes in which
something may be drawn over it. This file holds what was committed to, with the salts. From it and the trail anybody can
see, offline, which rendition each signer signed, byte for byte. It is canonical JSON (RFC 8785)::

    {"boxes":[{"height":..,"page":..,"signature":"..","type":"..","width":..,"x":..,"y":..},..],"boxes_salt":"..",
     "documents":[{"content":"..","document":"..","salt":"..","sha256":"..","size":..,"version":..},..],
     "sealed":{"document":"..","salt":"..","version":..},"v":1}

The box of a day of signing has a ``time_zone`` too. ``sealed`` is null until there is a sealed document. ``documents``
are in the order of the leaf that sent the request.

Invariants:

* ``Openings.parse`` accepts exactly what ``format`` returns, up to ``MAX_OPENINGS_BYTES``.
* Functions of values only: they use no clock, network or file.
* A report states facts only if every check passed. Whether the leaves are in a log is not checked here but by
  ``zegel.evidence.trail.check_trail``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from zegel.evidence.canonical import MAX_INTEGER, CanonicalError, Json, dumps, loads
from zegel.evidence.commitments import (
    ORIGINAL,
    RENDITION,
    SEALED,
    Box,
    DocumentHash,
    SealedOpening,
    commit_boxes,
    commit_document,
)
from zegel.evidence.leaves import BARE_HASHES, HEX_HASH, DocumentCommitment, LeafFields
from zegel.evidence.trail import SEALED_EVENT_TYPE, Check, Failure
from zegel.evidence.transparency import TransparencyError

OPENINGS_VERSION: Final = 1
"""The version of the file's form."""
OPENINGS_NAME: Final = "openings.json"
"""The file's name, in a sealed file and in an export."""
MAX_OPENINGS_BYTES: Final = 2**20
"""Longer files are refused unread: a request has 20 documents and 1,000 boxes of some 150 bytes at most."""
MAX_IDENTIFIER: Final = 200
"""Maximum number of characters of an identifier or a type in it: ours have 30."""

SENT: Final = "SIGNATURE_REQUEST_SENT"
SIGNED: Final = "SIGNATURE_REQUEST_SIGNED"
ALL_SIGNED: Final = "SIGNATURE_REQUEST_ALL_SIGNED"
SEAL_CERTIFICATE_CHANGED: Final = "SEAL_CERTIFICATE_CHANGED"
"""The events that matter here: values of ``zegel.event.v1.EventType`` without their prefix."""


class InvalidOpenings(TransparencyError):  # noqa: N818 - named after what is invalid, as all of these
    """The bytes are not openings in canonical form."""


# ------------------------------------------------------------------------------------------------------------- the file


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A document and the salt under which it is committed to, 32 bytes."""

    document: DocumentHash
    salt: bytes


@dataclass(frozen=True, slots=True)
class Openings:
    """The content of ``openings.json``.

    Args:
        documents: Originals and rendition, in the order of the leaf that sent the request.
        boxes: Where something may be drawn over the rendition, in the order in which they were committed to.
        boxes_salt: Their salt, 32 bytes.
        sealed: Opens the commitment to the sealed file; ``None`` while there is none.
    """

    documents: tuple[OpenedDocument, ...]
    boxes: tuple[Box, ...]
    boxes_salt: bytes
    sealed: SealedOpening | None = None

    @classmethod
    def parse(cls, data: bytes) -> "Openings":
        """Read the file; only ``check_openings`` checks its contents.

        Raises:
            InvalidOpenings: It is not in canonical form, or too long.
        """
        if len(data) > MAX_OPENINGS_BYTES:
            raise InvalidOpenings("the openings are too long")
        try:
            value: Any = loads(data)
        except CanonicalError as error:
            raise InvalidOpenings("the openings are not canonical JSON") from error
        if not _is(_FILE)(value) or not _integer(value["v"], 0) or value["v"] != OPENINGS_VERSION:
            raise InvalidOpenings("the openings are malformed, or of another version")
        sealed = value["sealed"]
        return cls(
            tuple(
                OpenedDocument(
                    DocumentHash(each["document"], each["version"], each["sha256"], each["size"], each["content"]),
                    bytes.fromhex(each["salt"]),
                )
                for each in value["documents"]
            ),
            tuple(Box(**each) for each in value["boxes"]),
            bytes.fromhex(value["boxes_salt"]),
            sealed and SealedOpening(sealed["document"], sealed["version"], bytes.fromhex(sealed["salt"])),
        )

    def format(self) -> bytes:
        """Return the file's bytes; raises ``InvalidOpenings`` for what ``parse`` would refuse."""
        documents: list[Json] = [
            {
                "content": each.document.content,
                "document": each.document.document,
                "salt": each.salt.hex(),
                "sha256": each.document.sha256,
                "size": each.document.size,
                "version": each.document.version,
            }
            for each in self.documents
        ]
        sealed: Json = None
        if self.sealed is not None:
            sealed = {
                "document": self.sealed.document,
                "salt": self.sealed.salt.hex(),
                "version": self.sealed.version,
            }
        boxes: list[Json] = [box.to_json() for box in self.boxes]
        try:
            data = dumps(
                {
                    "boxes": boxes,
                    "boxes_salt": self.boxes_salt.hex(),
                    "documents": documents,
                    "sealed": sealed,
                    "v": OPENINGS_VERSION,
                }
            )
        except CanonicalError as error:
            raise InvalidOpenings("the openings have no canonical form") from error
        if self.parse(data) != self:
            raise InvalidOpenings("the openings would not be read back as they are")
        return data


_Rule = Callable[[Any], bool]


def _integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_INTEGER


def _from(least: int) -> _Rule:
    return lambda value: _integer(value, least)


def _like(pattern: re.Pattern[str]) -> _Rule:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is(rules: Mapping[str, _Rule]) -> _Rule:
    """A rule for an object with exactly these members."""
    return lambda value: (
        isinstance(value, dict) and value.keys() == rules.keys() and all(rules[name](value[name]) for name in rules)
    )


def _each(rule: _Rule) -> _Rule:
    return lambda value: isinstance(value, list) and all(map(rule, value))


def _name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_IDENTIFIER


_HASH: Final = _like(HEX_HASH)
_BOX: Final[Mapping[str, _Rule]] = {
    "height": _from(1),
    "page": _from(1),
    "signature": _name,
    "type": _like(re.compile(f"[A-Z][A-Z0-9_]{{0,{MAX_IDENTIFIER - 1}}}", re.ASCII)),
    "width": _from(1),
    "x": _from(0),
    "y": _from(0),
}
_DAY_BOX: Final[Mapping[str, _Rule]] = {**_BOX, "time_zone": _like(re.compile("[A-Za-z0-9_+/-]{1,64}", re.ASCII))}
_DOCUMENT: Final[Mapping[str, _Rule]] = {
    "content": _like(re.compile(f"{ORIGINAL}|{RENDITION}", re.ASCII)),
    "document": _name,
    "salt": _HASH,
    "sha256": _HASH,
    "size": _from(1),
    "version": _from(1),
}
_SEALED: Final[Mapping[str, _Rule]] = {"document": _name, "salt": _HASH, "version": _from(1)}
_FILE: Final[Mapping[str, _Rule]] = {
    "boxes": _each(lambda value: _is(_BOX)(value) or _is(_DAY_BOX)(value)),
    "boxes_salt": _HASH,
    "documents": _each(_is(_DOCUMENT)),
    "sealed": lambda value: value is None or _is(_SEALED)(value),
    "v": _from(1),
}


# ------------------------------------------------------------------------------------------------------------ the check


@dataclass(frozen=True, slots=True)
class OpenedTrail:
    """What a trail says once its commitments are opened; it has no facts if a check failed.

    Args:
        failures: The checks that did not pass; the report is good if there are none.
        rendition: What each signer signed: hash and size of the bytes that the sealed file begins with.
        originals: The documents as they were uploaded, in order.
        boxes: Where something may be drawn over the rendition.
        seal_certificate: SHA-256 of the certificate that seals, DER, in lower-case hex; empty if the trail does not
            name one yet.
        sealed: Opens the commitment to the sealed file; ``None`` while there is none.
    """

    failures: tuple[Failure, ...]
    rendition: DocumentHash | None = None
    originals: tuple[DocumentHash, ...] = ()
    boxes: tuple[Box, ...] = ()
    seal_certificate: str = ""
    sealed: SealedOpening | None = None

    @property
    def ok(self) -> bool:
        """Whether the trail and the openings agree."""
        return not self.failures

    @property
    def documents(self) -> tuple[DocumentHash, ...]:
        """Originals and rendition."""
        return self.originals if self.rendition is None else (*self.originals, self.rendition)


def check_openings(leaves: Sequence[LeafFields], openings: bytes, *, complete: bool = True) -> OpenedTrail:
    """Open the commitments of a trail, and check that everybody signed the same documents.

    Args:
        leaves: The trail's events, in order, which ``check_trail`` has found good.
        openings: ``openings.json``.
        complete: Whether the trail must be that of a sealed file: everybody has signed, and the seal's certificate and
            the sealed document are named.

    Returns:
        The report; no content of the file or the leaves makes this raise.
    """
    try:
        opened = Openings.parse(openings)
    except InvalidOpenings as error:
        return OpenedTrail((Failure(Check.OPENINGS, str(error)),))
    sendings = [leaf for leaf in leaves if leaf.type == SENT]
    if len(sendings) != 1:
        return OpenedTrail((Failure(Check.OPENINGS, "the trail does not have one event that sent the request"),))
    (sent,) = sendings
    if sent.version == BARE_HASHES:
        return OpenedTrail((Failure(Check.OPENINGS, "the trail names bare hashes and no commitments", sent.seq),))
    certificate = named_seal(leaves)
    failures = [
        *_check_documents(sent, opened.documents),
        *_check_boxes(sent, opened),
        *_check_signed(leaves, sent),
        *_check_sealed(leaves, opened.sealed),
        *(_check_complete(leaves, sent, opened, certificate) if complete else ()),
    ]
    if certificate is not None and not HEX_HASH.fullmatch(certificate):
        failures.append(Failure(Check.SEAL_CERTIFICATE, "the trail's hash of the seal's certificate is malformed"))
    if failures:
        return OpenedTrail(tuple(failures))
    documents = [each.document for each in opened.documents]
    (rendition,) = (each for each in documents if each.content == RENDITION)
    originals = tuple(each for each in documents if each.content == ORIGINAL)
    return OpenedTrail((), rendition, originals, opened.boxes, certificate or "", opened.sealed)


def _named(documents: Iterable[DocumentCommitment]) -> list[tuple[str, str, int, str]]:
    return [(each.content, each.document, each.version, each.commitment) for each in documents]


def _signers(sent: LeafFields) -> set[str]:
    """The signatures that the request asks for."""
    signers: Any = sent.extra.get("signers")
    found = signers if isinstance(signers, list) else []
    return {str(each["signature"]) for each in found if isinstance(each, dict) and "signature" in each}


def named_seal(leaves: Iterable[LeafFields]) -> str | None:
    """The hash of the sealing certificate from the last event that names it; ``None`` if none does.

    Args:
        leaves: A trail's events, in order.
    """
    said = [
        leaf.extra["seal_certificate"]
        for leaf in leaves
        if leaf.type in {ALL_SIGNED, SEAL_CERTIFICATE_CHANGED} and "seal_certificate" in leaf.extra
    ]
    return str(said[-1]) if said else None


def _check_documents(sent: LeafFields, opened: Sequence[OpenedDocument]) -> list[Failure]:
    committed = [
        (
            each.document.content,
            each.document.document,
            each.document.version,
            commit_document(each.salt, each.document),
        )
        for each in opened
    ]
    if committed != _named(sent.documents):
        return [Failure(Check.OPENINGS, "the openings do not open what the request was sent with", sent.seq)]
    contents = [each.document.content for each in opened]
    if contents.count(RENDITION) != 1 or ORIGINAL not in contents:
        return [Failure(Check.OPENINGS, "the request was not sent with originals and one rendition of them", sent.seq)]
    return []


def _check_boxes(sent: LeafFields, opened: Openings) -> list[Failure]:
    failures = []
    if sent.extra.get("boxes") != commit_boxes(opened.boxes_salt, opened.boxes):
        failures.append(Failure(Check.BOXES, "the boxes are not those with which the request was sent", sent.seq))
    if not {box.signature for box in opened.boxes} <= _signers(sent):
        failures.append(Failure(Check.BOXES, "a box belongs to nobody who was asked to sign", sent.seq))
    return failures


def _check_signed(leaves: Sequence[LeafFields], sent: LeafFields) -> list[Failure]:
    wanted = _named(sent.documents)
    failures = []
    before = True
    for leaf in leaves:
        if leaf is sent:
            before = False
        elif leaf.type in {SIGNED, ALL_SIGNED} and before:
            failures.append(Failure(Check.SAME_DOCUMENTS, "something was signed before it was sent", leaf.seq))
        elif leaf.type in {SIGNED, ALL_SIGNED} and _named(leaf.documents) != wanted:
            failures.append(Failure(Check.SAME_DOCUMENTS, "what was signed is not what was sent", leaf.seq))
    return failures


def _check_sealed(leaves: Iterable[LeafFields], sealed: SealedOpening | None) -> list[Failure]:
    """If the trail includes the sealing, check that the opening is that of the sealed document."""
    wanted = [] if sealed is None else [(SEALED, sealed.document, sealed.version)]
    return [
        Failure(Check.SEALED_FILE, "the openings are those of another sealed document", leaf.seq)
        for leaf in leaves
        if leaf.type == SEALED_EVENT_TYPE
        and [(each.content, each.document, each.version) for each in leaf.documents] != wanted
    ]


def _check_complete(
    leaves: Sequence[LeafFields], sent: LeafFields, opened: Openings, certificate: str | None
) -> list[Failure]:
    failures = []
    signers = _signers(sent)
    have = {leaf.resource for leaf in leaves if leaf.type == SIGNED}
    ending = [leaf.type for leaf in leaves if leaf.type in {SIGNED, ALL_SIGNED}][len(have) :]
    if not signers or have != signers or ending != [ALL_SIGNED]:
        failures.append(Failure(Check.SAME_DOCUMENTS, "not everybody who was asked to sign has signed"))
    if certificate is None:
        failures.append(Failure(Check.SEAL_CERTIFICATE, "the trail does not name the certificate that seals"))
    if opened.sealed is None:
        failures.append(Failure(Check.OPENINGS, "the openings do not name the sealed document"))
    return failures
