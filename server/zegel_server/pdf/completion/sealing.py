"""Completing and sealing a rendition, inside the sandboxed worker: it has no key, no network and no clock to rely on.

What is appended (``docs/sealed-file.md``; ETSI EN 319 142-1, level B-LTA), revision by revision:

2. stamps, audit pages and evidence, and in the same breath the *seal*: a certification signature
   (``ETSI.CAdES.detached``, DocMDP ``P=1``, no changes) with a timestamp on the signature itself;
3. the document security store with certificates and revocation data, and a document timestamp over all of it.

pyHanko makes the signature; where it and the timestamps go, and every byte around them, is ours.

Invariants:

* Signatures and timestamps come through callbacks; whatever they raise passes through, and no file is made.
* The document timestamp is the last thing in the file and covers the entire file.
* A timestamp's unsigned extras (revocation lists, unsigned attributes) are dropped, for nothing would protect them
  in the document timestamp: see ``zegel.evidence.verification.container`` for the other half of that promise.
"""

import asyncio
import datetime as dt
import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from asn1crypto import algos, crl, keys, tsp, x509
from pyhanko.sign.signers import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from zegel.evidence.sealed_file.completion import Texts
from zegel.evidence.sealed_file.placing import Unsigned, place_signature
from zegel.evidence.sealed_file.revisions import CATALOGUE, Base, Revision, read_base
from zegel.evidence.sealed_file.timestamps import State, Validation, first_state, write_timestamp
from zegel.evidence.verification.der import CONTEXT_0, CONTEXT_1, SEQUENCE, SET, encode, read_only_element
from zegel.evidence.verification.path_rules import Validator
from zegel_server.pdf.completion.completing import add, read_rendition
from zegel_server.pdf.model import CompletionJob

_TIMESTAMP_ATTRIBUTE = bytes.fromhex("060b2a864886f70d010910020e")
"""``id-aa-timeStampToken``."""

_FRAME = 2_048
"""Bytes kept for what a seal has beside its certificates and its timestamp: attributes and a signature of 512 bytes."""

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


def seal_rendition(
    job: CompletionJob, spec: SealSpec, sign: Callable[[bytes], bytes], timestamp: Callable[[bytes], bytes]
) -> Sealed:
    """Complete a rendition and seal it.

    Args:
        job: The rendition, and what is added to it.
        spec: Certificates, revocation data and texts.
        sign: Called once with the bytes to be signed (DER signed attributes, some 200 bytes, not their hash); returns
            the raw signature.
        timestamp: Called twice, or three times where the size is not known, with a DER ``TimeStampReq``; returns a DER
            ``TimeStampResp``.

    Returns:
        What is to be appended.

    Raises:
        RefusedError: A stamp cannot be drawn.
        FormError: The rendition is none, or a token is larger than was reckoned with.
        TimestampError: The timestamp was not granted.
    """
    return asyncio.run(_seal(job, spec, sign, timestamp))


async def _seal(
    job: CompletionJob, spec: SealSpec, sign: Callable[[bytes], bytes], timestamp: Callable[[bytes], bytes]
) -> Sealed:
    rendition = read_rendition(job.rendition)
    algorithm = spec.signature_algorithm.partition("_")[0]
    stamper = _Stamper(timestamp, algorithm)
    token_size = spec.token_size or len(stamper.token(b"to be measured"))
    room = token_size + ROOM_TO_SPARE
    base = read_base(job.rendition, rendition)
    unsigned, state = _completed(job, spec, rendition, base, room)
    signer = _CallbackSigner([x509.Certificate.load(der) for der in spec.chain], spec, sign)
    seal = await signer.async_sign(_digest(algorithm, job.rendition, *unsigned.covered), algorithm, use_pades=True)
    second = unsigned.signed(with_timestamp(seal.dump(), stamper.token))
    held = _needed(spec, stamper.signers)
    unstamped = write_timestamp(unsigned.after(job.rendition, second), state, held, room)
    third = unstamped.signed(stamper.token(job.rendition, second, *unstamped.covered))
    return Sealed(second + third, max(stamper.largest, token_size))


def _completed(
    job: CompletionJob, spec: SealSpec, rendition: Revision, base: Base, room: int
) -> tuple[Unsigned, State]:
    """The second revision without its seal, and what the third one changes in it."""
    texts = Texts(
        title=job.audit.title,
        reason=spec.reason,
        time=job.time.astimezone(dt.UTC).replace(microsecond=0),
        seal_time=dt.datetime.fromisoformat(spec.signing_time).astimezone(dt.UTC).replace(microsecond=0),
    )
    added = add(job, rendition, texts)
    numbers = added.numbers
    certificates = sum(map(len, spec.chain)) + _FRAME
    unsigned = place_signature(
        base, added.objects, numbers.seal, room + certificates, size=added.size, info=numbers.info
    )
    catalogue = added.objects[CATALOGUE]
    return unsigned, first_state(catalogue if isinstance(catalogue, dict) else {}, numbers)


def _digest(algorithm: str, *parts: bytes) -> bytes:
    state = hashlib.new(algorithm)
    for part in parts:
        state.update(part)
    return state.digest()


def _needed(spec: SealSpec, stamp_certificates: Sequence[bytes]) -> Validation:
    """Of what may be embedded, what the seal and its timestamps lead to: a verifier takes nothing else.

    Args:
        spec: Has what may be embedded.
        stamp_certificates: The certificates in the timestamps so far, DER.
    """
    offered = {der: x509.Certificate.load(der) for der in (*spec.chain, *spec.certificates, *stamp_certificates)}
    wanted = {spec.chain[0], *stamp_certificates}
    led, validator = list(wanted), Validator()
    for own in led:  # grows meanwhile
        # By the signature, not by the name alone: two roots may have the same one, and nothing that tells them apart.
        more = [der for der in offered if der not in wanted and validator.has_issued(offered[der], offered[own])]
        wanted.update(more)
        led += more
    issuers = [offered[der] for der in wanted]
    lists = [der for der in spec.crls if any(_lists(issuer, der) for issuer in issuers)]
    return Validation(
        tuple(der for der in offered if der in wanted), tuple(dict.fromkeys(lists)), tuple(dict.fromkeys(spec.ocsps))
    )


def _lists(issuer: x509.Certificate, data: bytes) -> bool:
    """Whether a revocation list says that it is by an issuer: by its name, and its key where that is told."""
    found = crl.CertificateList.load(data)
    key = found.authority_key_identifier_value
    told = key["key_identifier"].native if key is not None else None
    return issuer.subject == found.issuer and (None in {told, issuer.key_identifier} or told == issuer.key_identifier)


class _CallbackSigner(Signer):
    """Has the parent process sign: the key never enters the process that parses PDFs."""

    def __init__(self, chain: list[x509.Certificate], spec: SealSpec, sign: Callable[[bytes], bytes]) -> None:
        registry = SimpleCertificateStore()
        registry.register_multiple(chain[1:])
        super().__init__(
            signing_cert=chain[0],
            cert_registry=registry,
            signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": spec.signature_algorithm}),
            embed_roots=True,
        )
        self._sign = sign
        self._size = _signature_size(chain[0].public_key)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:  # noqa: ARG002
        return bytes(self._size) if dry_run else self._sign(data)


class _Stamper:
    """Has the parent process ask the timestamp authority.

    Attributes:
        largest: Bytes of the largest token so far.
        signers: The certificates in the last token, DER.
    """

    def __init__(self, timestamp: Callable[[bytes], bytes], algorithm: str) -> None:
        self._timestamp = timestamp
        self._algorithm = algorithm
        self.largest = 0
        self.signers: list[bytes] = []

    def token(self, *parts: bytes) -> bytes:
        """A token on bytes, DER, without what no signature covers and no verifier could miss.

        Args:
            parts: The bytes, in pieces.

        Raises:
            TimestampError: It was not granted.
        """
        request = tsp.TimeStampReq(
            {
                "version": "v1",
                "message_imprint": {
                    "hash_algorithm": {"algorithm": self._algorithm},
                    "hashed_message": _digest(self._algorithm, *parts),
                },
                "nonce": secrets.randbits(64),
                "cert_req": True,
            }
        )
        response = tsp.TimeStampResp.load(self._timestamp(request.dump()), strict=True)
        # That it is about this request, the parent process has checked; RFC 3161 counts both as success.
        if response["status"]["status"].native not in {"granted", "granted_with_mods"}:
            raise TimestampError("the timestamp was not granted")
        token = _protected(response["time_stamp_token"].dump())
        self.largest = max(self.largest, len(token))
        signed_data = response["time_stamp_token"]["content"]
        self.signers = [each.chosen.dump() for each in signed_data["certificates"] if each.name == "certificate"]
        return token


class TimestampError(Exception):
    """A timestamp was not granted."""


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


def with_timestamp(signature: bytes, stamp: Callable[[bytes], bytes]) -> bytes:
    """A CMS signature with a timestamp on it as its one unsigned attribute (RFC 3161, appendix A).

    Put together from encoded parts: asn1crypto, with which pyHanko builds, encodes anew at each level what it is put
    into, and took up to half a minute for one signature.

    Args:
        signature: A DER ``ContentInfo`` with one signer and no unsigned attributes.
        stamp: Gives a token on bytes.

    Raises:
        DerError: It has another structure.
    """
    content_type, wrapped = read_only_element(signature, SEQUENCE).elements()
    *before, signers = read_only_element(wrapped.content, SEQUENCE).elements()
    signer = read_only_element(signers.content, SEQUENCE)
    value = signer.elements()[-1]
    attribute = encode(SEQUENCE, _TIMESTAMP_ATTRIBUTE + encode(SET, stamp(value.content)))
    stamped = encode(SEQUENCE, signer.content + encode(CONTEXT_1, attribute))
    signed_data = encode(SEQUENCE, b"".join(each.encoding for each in before) + encode(SET, stamped))
    return encode(SEQUENCE, content_type.encoding + encode(CONTEXT_0, signed_data))


def _signature_size(key: keys.PublicKeyInfo) -> int:
    """The longest raw signature of a key, in bytes: what is to be reserved in the file."""
    if key.algorithm == "ec":
        scalar = (int(key.bit_size) + 7) // 8
        return 2 * (scalar + 3) + 4  # SEQUENCE of two INTEGERs, each with its tag, length and perhaps a leading zero
    return (int(key.bit_size) + 7) // 8
