"""How a sealed file comes about: short visits to the sandbox, and between them whoever signs and stamps.

Signatures and timestamps come from other machines, and may be slow. So no worker waits for them: the first visit makes
the second revision with room for the seal and the bytes that are to be signed; signature and timestamp are asked for
here and put in; the second visit writes the third revision with room for the document timestamp, which is asked for
here again and put in. The file's form is that of ``docs/sealed-file.md``.

Invariants:

* No PDF is parsed here. What comes from a worker is a signature's structure and bytes to be joined; the file is
  examined before it is believed.
* What a callback raises passes through, and no file is made.
* The document timestamp is the last thing in the file and covers the entire file.
* A timestamp's unsigned extras (revocation lists, unsigned attributes) are dropped, for nothing would protect them
  in the document timestamp: see ``zegel.evidence.verification.container`` for the other half of that promise.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from asn1crypto import tsp

from zegel.evidence.sealed_file.syntax import FormError
from zegel.evidence.verification.der import CONTEXT_0, CONTEXT_1, OCTET_STRING, SEQUENCE, SET, encode, read_only_element
from zegel_server.pdf.model import CompletionJob

_TIMESTAMP_ATTRIBUTE = bytes.fromhex("060b2a864886f70d010910020e")
"""``id-aa-timeStampToken``."""

ROOM_TO_SPARE = 512
"""Bytes kept for a token beyond the last one's: serial numbers and times differ in length by some."""


@dataclass(frozen=True)
class SealSpec:
    """Everything the seal needs beside the document and the two callbacks.

    Args:
        chain: The seal's certificates, DER: its own, then each one's issuer.
        certificates: Further certificates, DER: the timestamp authority's chain and the roots.
        crls: Certificate revocation lists, DER, to embed.
        ocsps: OCSP responses, DER, to embed.
        signature_algorithm: ``sha256_ecdsa`` and the like, as ``SealIdentity`` has it.
        signing_time: ISO 8601 with a time zone: what the seal itself claims. Proof is the timestamp.
        reason: Why it is sealed, for a viewer's signature panel.
        token_size: Bytes of the largest timestamp token so far; 0 has one made to measure it.
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
    """Bytes with room for a signature or a token between them.

    Args:
        before: The bytes before the room.
        after: The bytes after it.
        room: Bytes that what is put in may have; it is written in hexadecimal, between angle brackets.
    """

    before: bytes
    after: bytes
    room: int

    def filled(self, contents: bytes) -> bytes:
        """The bytes with something put in.

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
    """What the second visit has to know of the first.

    Args:
        identifier: The file's first identifier.
        table: Where the second revision's table begins.
        size: One more than the largest number of an object.
        info: Number of the information dictionary.
        catalogue: The second revision's catalogue, as it is written.
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
        attributes: What is to be signed: DER signed attributes, some 200 bytes, not their hash.
        container: The CMS signature, with zeros for the signature itself.
        continuation: For the second visit.
    """

    revision: Gap
    attributes: bytes
    container: bytes
    continuation: Continuation


@dataclass(frozen=True, slots=True)
class SecondVisit:
    """What the second visit is given.

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
        prepare: The first visit; the spec that it is given has a token's size.
        finish: The second visit.

    Returns:
        What is to be appended.

    Raises:
        FormError: A token or signature is larger than was reckoned with, or the worker's structure is none.
        TimestampError: A timestamp was not granted, or is none.
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
        """A token on bytes, DER, without what no signature covers and no verifier could miss.

        Args:
            parts: The bytes, in pieces.

        Raises:
            TimestampError: It was not granted, or is none.
        """
        request = tsp.TimeStampReq(
            {
                "version": "v1",
                "message_imprint": {
                    "hash_algorithm": {"algorithm": self._algorithm},
                    "hashed_message": await asyncio.to_thread(_digest, self._algorithm, *parts),
                },
                "nonce": secrets.randbits(64),
                "cert_req": True,
            }
        )
        answer = await self._timestamp(request.dump())
        try:
            return self._read(answer)
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # what asn1crypto raises at nonsense
            raise TimestampError("the timestamp is none") from error

    def _read(self, answer: bytes) -> bytes:
        response = tsp.TimeStampResp.load(answer, strict=True)
        # That it is about this request, whoever asked has checked; RFC 3161 counts both as success.
        if response["status"]["status"].native not in {"granted", "granted_with_mods"}:
            raise TimestampError("the timestamp was not granted")
        token = _protected(response["time_stamp_token"].dump())
        self.largest = max(self.largest, len(token))
        signed_data = response["time_stamp_token"]["content"]
        self.signers = [each.chosen.dump() for each in signed_data["certificates"] if each.name == "certificate"]
        return token


class TimestampError(Exception):
    """A timestamp was not granted, or is none."""


def _protected(token: bytes) -> bytes:
    """A token without revocation lists and unsigned attributes; put together as :func:`with_timestamp` does.

    Args:
        token: A DER ``ContentInfo`` with one signer.

    Raises:
        DerError: It has another structure.
    """
    content_type, wrapped = read_only_element(token, SEQUENCE).elements()
    *before, signers = read_only_element(wrapped.content, SEQUENCE).elements()
    signer = read_only_element(signers.content, SEQUENCE).elements()
    kept = b"".join(each.encoding for each in before if each.tag != CONTEXT_1)
    bare = encode(SEQUENCE, b"".join(each.encoding for each in signer if each.tag != CONTEXT_1))
    signed_data = encode(SEQUENCE, kept + encode(SET, bare))
    return encode(SEQUENCE, content_type.encoding + encode(CONTEXT_0, signed_data))


def with_signature(container: bytes, signature: bytes, token: bytes) -> bytes:
    """A CMS signature with its raw signature, and a timestamp on that as its one unsigned attribute (RFC 3161, A).

    Put together from encoded parts: asn1crypto, with which pyHanko builds, encodes anew at each level what it is put
    into, and took up to half a minute for one signature.

    Args:
        container: A DER ``ContentInfo`` with one signer and no unsigned attributes; its signature's bytes do not count.
        signature: The raw signature.
        token: The timestamp on the raw signature, DER.

    Raises:
        DerError: It has another structure.
    """
    content_type, wrapped = read_only_element(container, SEQUENCE).elements()
    *before, signers = read_only_element(wrapped.content, SEQUENCE).elements()
    *signer, _ = read_only_element(signers.content, SEQUENCE).elements()
    attribute = encode(SEQUENCE, _TIMESTAMP_ATTRIBUTE + encode(SET, token))
    parts = [*(each.encoding for each in signer), encode(OCTET_STRING, signature), encode(CONTEXT_1, attribute)]
    stamped = encode(SEQUENCE, b"".join(parts))
    signed_data = encode(SEQUENCE, b"".join(each.encoding for each in before) + encode(SET, stamped))
    return encode(SEQUENCE, content_type.encoding + encode(CONTEXT_0, signed_data))
