"""Completing and sealing a rendition, inside the sandboxed worker: it has no key, no network and no clock to rely on.

What is appended (``docs/sealed-file.md``; ETSI EN 319 142-1, level B-LTA), revision by revision:

2. stamps, audit pages and evidence, together with the *seal*: a certification signature
   (``ETSI.CAdES.detached``, DocMDP ``P=1``, no changes) with a timestamp on the signature itself;
3. the document security store with certificates and revocation data, and a document timestamp over all of it.

pyHanko makes the signature's structure; where it and the timestamps go, and every byte around them, is ours.

Invariants:

* A worker never waits for another service: it leaves room for signatures and timestamps, and
  ``zegel_server.pdf.completion.assembling`` puts them in.
* The second visit needs neither the rendition nor the second revision, only a description of them.
"""

import asyncio
import datetime as dt
import hashlib
from collections.abc import Sequence

from asn1crypto import algos, crl, keys, x509
from pyhanko.sign.signers import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from zegel.evidence.sealed_file.completion import Numbers, Texts
from zegel.evidence.sealed_file.placing import Unsigned, place_signature
from zegel.evidence.sealed_file.revisions import CATALOGUE, Base, Revision, read_base
from zegel.evidence.sealed_file.syntax import FormError, read_value, write_value
from zegel.evidence.sealed_file.timestamps import Validation, first_state, write_timestamp
from zegel.evidence.verification.path_rules import Validator
from zegel_server.pdf.completion.assembling import (
    ROOM_TO_SPARE,
    Continuation,
    Gap,
    Prepared,
    SealSpec,
    SecondVisit,
)
from zegel_server.pdf.completion.completing import add, read_rendition
from zegel_server.pdf.model import CompletionJob

_FRAME = 2_048
"""Bytes reserved for the rest of a seal besides its certificates and timestamp: attributes and a signature of 512
bytes."""


def prepare(job: CompletionJob, spec: SealSpec) -> Prepared:
    """The first visit: complete a rendition, and say what is to be signed.

    Args:
        job: The rendition, and what is added to it.
        spec: Certificates and texts, and a timestamp token's size.

    Raises:
        RefusedError: A stamp cannot be drawn.
        FormError: The rendition is not valid, or the token is larger than the form has room for.
    """
    rendition = read_rendition(job.rendition)
    algorithm = spec.signature_algorithm.partition("_")[0]
    base = read_base(job.rendition, rendition)
    unsigned, continuation = _completed(job, spec, rendition, base)
    signer = _AbsentSigner([x509.Certificate.load(der) for der in spec.chain], spec)
    state = hashlib.new(algorithm)
    for part in (job.rendition, *unsigned.covered):
        state.update(part)
    container = asyncio.run(signer.async_sign(state.digest(), algorithm, use_pades=True)).dump()
    return Prepared(_gap(unsigned), signer.attributes, container, continuation)


def finish(visit: SecondVisit) -> Gap:
    """The second visit: the third revision, with room for the document timestamp.

    Args:
        visit: What is known of the file so far.

    Raises:
        FormError: There is too much validation data, or the description of the file is impossible.
    """
    told = visit.continuation
    catalogue, end = read_value(told.catalogue, 0)
    if not isinstance(catalogue, dict) or end != len(told.catalogue):
        raise FormError("the catalogue is none")
    base = Base(visit.length, visit.digest, told.identifier, told.table, told.size, told.info)
    state = first_state(catalogue, Numbers(told.form, told.stamped, told.audit_pages))
    return _gap(write_timestamp(base, state, _needed(visit.spec, visit.stamp_certificates), visit.room))


def _gap(unsigned: Unsigned) -> Gap:
    return Gap(*unsigned.covered, unsigned.room)


def _completed(job: CompletionJob, spec: SealSpec, rendition: Revision, base: Base) -> tuple[Unsigned, Continuation]:
    """The second revision without its seal, and what the third one changes in it."""
    texts = Texts(
        title=job.audit.title,
        reason=spec.reason,
        time=job.time.astimezone(dt.UTC).replace(microsecond=0),
        seal_time=dt.datetime.fromisoformat(spec.signing_time).astimezone(dt.UTC).replace(microsecond=0),
    )
    added = add(job, rendition, texts)
    numbers = added.numbers
    room = spec.token_size + ROOM_TO_SPARE + sum(map(len, spec.chain)) + _FRAME
    unsigned = place_signature(base, added.objects, numbers.seal, room, size=added.size, info=numbers.info)
    catalogue = added.objects[CATALOGUE]
    continuation = Continuation(
        base.identifier,
        unsigned.table,
        unsigned.size,
        unsigned.info,
        write_value(catalogue),
        numbers.form,
        numbers.stamped,
        numbers.audit_pages,
    )
    return unsigned, continuation


def _needed(spec: SealSpec, stamp_certificates: Sequence[bytes]) -> Validation:
    """The part of the validation data that the seal and its timestamps lead to: a verifier accepts nothing else.

    Args:
        spec: Has what may be embedded.
        stamp_certificates: The certificates in the timestamps so far, DER.
    """
    offered = {der: x509.Certificate.load(der) for der in (*spec.chain, *spec.certificates, *stamp_certificates)}
    wanted = {spec.chain[0], *stamp_certificates}
    led, validator = list(wanted), Validator()
    for own in led:  # grows meanwhile
        # Matched by the signature, not by name alone: two roots may share a name and have nothing else to tell them
        # apart.
        more = [der for der in offered if der not in wanted and validator.has_issued(offered[der], offered[own])]
        wanted.update(more)
        led += more
    issuers = [offered[der] for der in wanted]
    lists = [der for der in spec.crls if any(_lists(issuer, der) for issuer in issuers)]
    return Validation(
        tuple(der for der in offered if der in wanted), tuple(dict.fromkeys(lists)), tuple(dict.fromkeys(spec.ocsps))
    )


def _lists(issuer: x509.Certificate, data: bytes) -> bool:
    """Whether a revocation list says that it is by an issuer: by name, and by key if the list identifies one."""
    found = crl.CertificateList.load(data)
    key = found.authority_key_identifier_value
    told = key["key_identifier"].native if key is not None else None
    return issuer.subject == found.issuer and (None in {told, issuer.key_identifier} or told == issuer.key_identifier)


class _AbsentSigner(Signer):
    """Makes a signature's structure with zeros for the signature: the key never enters the process that parses PDFs.

    Attributes:
        attributes: What was to be signed, DER.
    """

    def __init__(self, chain: list[x509.Certificate], spec: SealSpec) -> None:
        registry = SimpleCertificateStore()
        registry.register_multiple(chain[1:])
        super().__init__(
            signing_cert=chain[0],
            cert_registry=registry,
            signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": spec.signature_algorithm}),
            embed_roots=True,
        )
        self.attributes = b""
        self._size = _signature_size(chain[0].public_key)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:  # noqa: ARG002
        self.attributes = data
        return bytes(self._size)


def _signature_size(key: keys.PublicKeyInfo) -> int:
    """The longest raw signature a key can make, in bytes: the file must reserve that much."""
    if key.algorithm == "ec":
        scalar = (int(key.bit_size) + 7) // 8
        return 2 * (scalar + 3) + 4  # SEQUENCE of two INTEGERs, each with its tag, length and perhaps a leading zero
    return (int(key.bit_size) + 7) // 8
