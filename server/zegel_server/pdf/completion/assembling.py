"""Making a sealed file: short visits to the sandbox, with signing and timestamping between them.

Signatures and timestamps come from other machines, and may be slow. So no worker waits for them. The first visit makes
the second revision, with room for the seal, and the bytes to be signed; signature and timestamp are requested and
inserted here. The second visit writes the third revision, with room for the document timestamp, which is also requested
and inserted here. ``docs/sealed-file.md`` describes the file's form.

Invariants:

* No PDF is parsed here. A worker returns a signature's structure and bytes to be joined; the finished file is examined
  before it is trusted.
* An exception from a callback propagates, and no file is made.
* The document timestamp is the last thing in the file and covers the entire file.
* A timestamp's unsigned extras (revocation lists, unsigned attributes) are dropped, because in the document timestamp
  nothing would protect them; ``zegel.evidence.verification.container`` has the verifier's side of this rule.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace

from asn1crypto import tsp

from zegel.evidence.sealed_file.syntax import FormError
from zegel.evidence.verification.der import (
    CONTEXT_0,
    CONTEXT_1,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Element,
    encode,
    read_only_element,
)
from zegel_server.pdf.completion.timestamp_request import timestamp_request
from zegel_server.pdf.model import CompletionJob

_TIMESTAMP_ATTRIBUTE = bytes.fromhex("060b2a864886f70d010910020e")
"""``id-aa-timeStampToken``."""

ROOM_TO_SPARE = 512
"""Bytes reserved for a token beyond the size of the last one: serial numbers and times vary slightly in length."""


@dataclass(frozen=True)
class SealSpec:
    """Everything the seal needs besides the document and the two callbacks.

    Args:
        chain: The seal's certificate chain, DER: its own certificate, then each one's issuer.
        certificates: Further certificates, DER: the timestamp authority's chain and the roots.
        crls: Certificate revocation lists, DER, to embed.
        ocsps: OCSP responses, DER, to embed.
        signature_algorithm: Such as ``sha256_ecdsa``, as in ``SealIdentity``.
        signing_time: ISO 8601 with a time zone: the time that the seal itself claims. The timestamp is what proves it.
        reason: Why it is sealed, for a viewer's signature panel.
        token_size: Bytes of the largest timestamp token so far; if 0, an extra token is requested to measure it.
    """

    chain: list[bytes]
    certificates: list[bytes]
    crls: list[bytes]
    signature_algorithm: str
    signing_time: str
    ocsps: list[bytes] = field(default_factory=list)
    reason: str = ""
    token_size: int = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is appended to a rendition to make the sealed file.

    Args:
        appended: The bytes.
        token_size: Bytes of the larger of the two timestamp tokens.
    """

    appended: bytes
    token_size: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A piece of the file with room in it for a signature or a token.

    Args:
        before: The bytes before the room.
        after: The bytes after it.
        room: Most bytes that may be inserted; they are written in hexadecimal, between angle brackets.
    """

    before: bytes
    after: bytes
    room: int

    def filled(self, contents: bytes) -> bytes:
        """The bytes with the signature or token inserted.

        Args:
            contents: DER.

        Raises:
            FormError: It is longer than the room.
        """
        if len(contents) > self.room:
            raise FormError("the signature is longer than the room that was kept for it")
        digits = contents.hex().upper().encode("ascii").ljust(self.room * 2, b"0")
        return b"".join([self.before, b"<", digits, b">", self.after])


@dataclass(frozen=True, slots=True)
class Continuation:
    """What the second visit has to know about the first.

    Args:
        identifier: The file's first identifier.
        table: Offset at which the second revision's cross-reference table begins.
        size: One more than the largest object number.
        info: Number of the information dictionary.
        catalogue: The second revision's catalogue, as written.
        form: Number of the form dictionary.
        stamped: How many pages have stamps.
        audit_pages: How many audit pages there are.
    """

    identifier: bytes
    table: int
    size: int
    info: int
    catalogue: bytes
    form: int
    stamped: int
    audit_pages: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the first visit makes.

    Args:
        revision: The second revision, with room for the seal.
        attributes: The bytes to be signed: the DER signed attributes, about 200 bytes, not their hash.
        container: The CMS signature, with zeros for the signature itself.
        continuation: For the second visit.
    """

    revision: Gap
    attributes: bytes
    container: bytes
    continuation: Continuation


@dataclass(frozen=True, slots=True)
class SecondVisit:
    """The input of the second visit.

    Args:
        spec: Certificates and revocation data.
        continuation: From the first visit.
        length: Bytes of the file so far.
        digest: SHA-256 of them.
        stamp_certificates: The certificates in the seal's timestamp, DER.
        room: Bytes that the document timestamp may have.
    """

    spec: SealSpec
    continuation: Continuation
    length: int
    digest: bytes
    stamp_certificates: list[bytes]
    room: int


Sign = Callable[[bytes], Awaitable[bytes]]
"""Signs the bytes to be signed; returns the raw signature."""
Stamp = Callable[[bytes], Awaitable[bytes]]
"""Answers a DER ``TimeStampReq`` with a DER ``TimeStampResp``."""


async def seal(
    job: CompletionJob,
    spec: SealSpec,
    sign: Sign,
    timestamp: Stamp,
    *,
    prepare: Callable[[CompletionJob, SealSpec], Awaitable[Prepared]],
    finish: Callable[[SecondVisit], Awaitable[Gap]],
) -> Sealed:
    """Complete a rendition and seal it.

    Args:
        job: The rendition, and what is added to it.
        spec: Certificates, revocation data and texts.
        sign: Asked once.
        timestamp: Asked twice, or three times where a token's size is not known.
        prepare: The first visit; the spec passed to it has its ``token_size`` set.
        finish: The second visit.

    Returns:
        What is to be appended.

    Raises:
        FormError: A token or signature is larger than expected, or the worker's structure is invalid.
        TimestampError: A timestamp was not granted, or is not valid.
        Exception: What a callback or a visit raises.
    """
    algorithm = spec.signature_algorithm.partition("_")[0]
    stamper = _Stamper(timestamp, algorithm)
    token_size = spec.token_size or len(await stamper.token(b"to be measured"))
    prepared = await prepare(job, replace(spec, token_size=token_size))
    signature = await sign(prepared.attributes)
    token = await stamper.token(signature)
    second = prepared.revision.filled(with_signature(prepared.container, signature, token))
    visit = SecondVisit(
        spec,
        prepared.continuation,
        len(job.rendition) + len(second),
        await asyncio.to_thread(_digest, "sha256", job.rendition, second),
        stamper.signers,
        token_size + ROOM_TO_SPARE,
    )
    unstamped = await finish(visit)
    covered = (job.rendition, second, unstamped.before, unstamped.after)
    third = unstamped.filled(await stamper.token(*covered))
    return Sealed(second + third, max(stamper.largest, token_size))


def _digest(algorithm: str, *parts: bytes) -> bytes:
    state = hashlib.new(algorithm)
    for part in parts:
        state.update(part)
    return state.digest()


class _Stamper:
    """Asks the timestamp authority.

    Attributes:
        largest: Bytes of the largest token so far.
        signers: The certificates in the last token, DER.
    """

    def __init__(self, timestamp: Stamp, algorithm: str) -> None:
        self._timestamp = timestamp
        self._algorithm = algorithm
        self.largest = 0
        self.signers: list[bytes] = []

    async def token(self, *parts: bytes) -> bytes:
        """Get a token for some bytes, DER, without the parts that no signature covers and no verifier needs.

        Args:
            parts: The bytes, in pieces.

        Raises:
            TimestampError: It was not granted, or is not valid.
        """
        digest = await asyncio.to_thread(_digest, self._algorithm, *parts)
        answer = await self._timestamp(timestamp_request(self._algorithm, digest))
        try:
            return self._read(answer)
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # what asn1crypto raises at nonsense
            raise TimestampError("the answer is not a timestamp") from error

    def _read(self, answer: bytes) -> bytes:
        response = tsp.TimeStampResp.load(answer, strict=True)
        # The caller's callback has checked that it answers this request. RFC 3161 counts both statuses as success.
        if response["status"]["status"].native not in {"granted", "granted_with_mods"}:
            raise TimestampError("the timestamp was not granted")
        token = _protected(response["time_stamp_token"].dump())
        self.largest = max(self.largest, len(token))
        signed_data = response["time_stamp_token"]["content"]
        self.signers = [each.chosen.dump() for each in signed_data["certificates"] if each.name == "certificate"]
        return token


class TimestampError(Exception):
    """A timestamp was not granted, or is not valid."""


def _protected(token: bytes) -> bytes:
    """A token without revocation lists and unsigned attributes.

    Args:
        token: A DER ``ContentInfo`` with one signer.

    Raises:
        DerError: It has another structure.
    """
    content_type, before, signer = _parts(token)
    return _joined(
        content_type,
        (each.encoding for each in before if each.tag != CONTEXT_1),
        (each.encoding for each in signer if each.tag != CONTEXT_1),
    )


def with_signature(container: bytes, signature: bytes, token: bytes) -> bytes:
    """A CMS signature with its raw signature, and a timestamp on that as its one unsigned attribute (RFC 3161, A).

    Args:
        container: A DER ``ContentInfo`` with one signer and no unsigned attributes; the bytes of its signature are
            ignored.
        signature: The raw signature.
        token: The timestamp on the raw signature, DER.

    Raises:
        DerError: It has another structure.
    """
    content_type, before, [*signer, _] = _parts(container)
    attribute = encode(SEQUENCE, _TIMESTAMP_ATTRIBUTE + encode(SET, token))
    return _joined(
        content_type,
        (each.encoding for each in before),
        [*(each.encoding for each in signer), encode(OCTET_STRING, signature), encode(CONTEXT_1, attribute)],
    )


def _parts(container: bytes) -> tuple[Element, list[Element], list[Element]]:
    """The content type of a CMS signature with one signer, what its ``SignedData`` has before that, and the signer's.

    Raises:
        DerError: It has another structure.
    """
    content_type, wrapped = read_only_element(container, SEQUENCE).elements()
    *before, signers = read_only_element(wrapped.content, SEQUENCE).elements()
    return content_type, before, read_only_element(signers.content, SEQUENCE).elements()


def _joined(content_type: Element, before: Iterable[bytes], signer: Iterable[bytes]) -> bytes:
    """A CMS signature of such parts.

    Joined from encoded parts: asn1crypto, which pyHanko uses, encodes the contents again at every level of nesting, and
    took up to half a minute for one signature.
    """
    signers = encode(SET, encode(SEQUENCE, b"".join(signer)))
    signed_data = encode(SEQUENCE, b"".join(before) + signers)
    return encode(SEQUENCE, content_type.encoding + encode(CONTEXT_0, signed_data))
