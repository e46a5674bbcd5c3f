"""The last document timestamp's container: the one part of a sealed file that no signature covers.

A PDF signature does not cover its own ``/Contents``: the text between ``<`` and ``>`` holds the timestamp token and
padding, and the token has fields that the authority does not sign either. Common validators accept changes to these
bytes. Here each of them is accounted for, so that no byte of the file can change unnoticed:

* around and after the token: exactly ``<``, the token in upper-case hexadecimal, zeros, ``>``
  (:mod:`zegel.evidence.sealed_file` checks the spelling);
* structure, tags and lengths: strict DER, with exactly the fields RFC 3161 needs, so no revocation lists, no unsigned
  attributes and no second signer;
* the ``TSTInfo`` is fixed by its hash in the signed attributes; these, by the signature, which is checked;
* the signer's identifier must be as in the signer's certificate;
* each certificate must be, byte for byte, one that the covered part of the file holds, or a trusted root;
* the algorithm identifiers must be in a spelling of :mod:`.algorithms`, and as in an earlier token of the file. Without
  an earlier one, they are accepted only if the key allows a single spelling: RSA has two identifiers that differ in one
  byte and verify the same;
* the nonce, which the requester chooses and the authority returns (RFC 3161, 2.4.1), must be short.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from asn1crypto import cms, tsp, x509
from cryptography.exceptions import InvalidSignature
from pyhanko.sign.general import CMSStructuralError
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity

from zegel.evidence.verification.algorithms import digest_of, is_plain
from zegel.evidence.verification.der import (
    CONTEXT_0,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    DerError,
    Element,
    read_element,
    read_only_element,
)

_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")
_VERSION_1, _VERSION_3 = bytes.fromhex("020101"), bytes.fromhex("020103")
_ECDSA = {
    "sha256": bytes.fromhex("300a06082a8648ce3d040302"),
    "sha384": bytes.fromhex("300a06082a8648ce3d040303"),
    "sha512": bytes.fromhex("300a06082a8648ce3d040304"),
}


MAX_NONCE_BYTES = 32
"""Maximum size in bytes of a nonce: clients use 8 to 20. The authority signs it, but the requester chose it."""


class ContainerError(ValueError):
    """A byte of the container is not what it must be; the message says in which part."""


@dataclass(frozen=True)
class Covered:
    """What the part of the file that the timestamp covers fixes about the timestamp itself.

    Args:
        digest: The hash of the covered bytes, by the hash's name (``sha256``, ``sha384``, ``sha512``).
        certificates: Certificates (DER) in the covered part, and the trusted roots.
        algorithms: Pairs of digest and signature ``AlgorithmIdentifier`` (DER) in the file's earlier tokens.
    """

    digest: Callable[[str], bytes]
    certificates: frozenset[bytes]
    algorithms: frozenset[tuple[bytes, bytes]]


def covered_digest(pdf: bytes, start: int, end: int, stop: int) -> Callable[[str], bytes]:
    """A function that hashes a file up to ``stop``, except the bytes from ``start`` to ``end``, once for each hash."""
    known: dict[str, bytes] = {}

    def digest(name: str) -> bytes:
        if name not in known:
            state = hashlib.new(name)
            with memoryview(pdf) as view:
                state.update(view[:start])
                state.update(view[end:stop])
            known[name] = state.digest()
        return known[name]

    return digest


def read_padded(contents: bytes) -> bytes:
    """The DER structure at the beginning of ``/Contents``, after which there must be only zeros.

    Args:
        contents: What the string holds.

    Raises:
        ContainerError: It does not begin with DER, or the padding is not all zeros.
    """
    try:
        token = read_element(contents).encoding
    except DerError as error:
        raise ContainerError(f"the signature's container is not DER: {error}") from error
    if contents.count(0, len(token)) != len(contents) - len(token):
        raise ContainerError("the padding after the signature is not all zeros")
    return token


def check_token(token: bytes, covered: Covered) -> x509.Certificate:
    """Account for every byte of a timestamp token.

    Trust in the signer's certificate is not decided here.

    Args:
        token: A DER ``ContentInfo``.
        covered: What the token's bytes are compared with.

    Returns:
        The signer's certificate.

    Raises:
        ContainerError: A byte of it is unaccounted for, or it is not a timestamp on these bytes.
    """
    try:
        return _check_token(token, covered)
    except DerError as error:
        raise ContainerError(f"the timestamp's token: {error}") from error


def _check_token(token: bytes, covered: Covered) -> x509.Certificate:
    content_type, wrapped = read_only_element(token, SEQUENCE).children(OID, CONTEXT_0)
    _demand(content_type.encoding == _SIGNED_DATA, "is not signed data")
    version, digests, encapsulated, certificates, signers = read_only_element(wrapped.content, SEQUENCE).children(
        INTEGER, SET, SEQUENCE, CONTEXT_0, SET
    )
    _demand(version.encoding == _VERSION_3, "has an unknown version")
    info = _check_info(encapsulated, covered)
    signer, identifier, digest, attributes, mechanism, _signature = read_only_element(
        signers.content, SEQUENCE
    ).children(INTEGER, SEQUENCE, SEQUENCE, CONTEXT_0, SEQUENCE, OCTET_STRING)
    _demand(signer.encoding == _VERSION_1, "has a signer of an unknown version")
    _demand(digests.content == digest.encoding, "lists a different digest algorithm than its signer's")
    certificate = _signer_certificate(certificates, identifier, covered)
    _check_algorithms(digest, mechanism, certificate, covered)
    _demand(len({a.encoding for a in attributes.elements()}) == len(attributes.elements()), "repeats an attribute")
    _check_signature(token, info, digest_of(digest.encoding) or "", certificate)
    return certificate


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ContainerError(f"the timestamp's token {otherwise}")


def _check_info(encapsulated: Element, covered: Covered) -> bytes:
    """The ``TSTInfo``, whose imprint must be that of the covered bytes."""
    content_type, wrapped = encapsulated.children(OID, CONTEXT_0)
    _demand(content_type.encoding == _TST_INFO, "does not contain a timestamp")
    info = read_only_element(wrapped.content, OCTET_STRING).content
    # version, policy, messageImprint: the rest is the authority's, and covered by its signature
    fields = read_only_element(info, SEQUENCE).elements()
    _demand([f.tag for f in fields[:3]] == [INTEGER, OID, SEQUENCE], "says no time")
    algorithm, imprint = fields[2].children(SEQUENCE, OCTET_STRING)
    name = digest_of(algorithm.encoding)
    if name is None:
        raise ContainerError("the timestamp's token uses a hash that is not SHA-2, or spells it unusually")
    nonces = [field for field in fields[4:] if field.tag == INTEGER]
    _demand(all(len(nonce.content) <= MAX_NONCE_BYTES for nonce in nonces), "has a nonce that is too long")
    _demand(imprint.content == covered.digest(name), "is a timestamp on other bytes: the file was changed after it")
    return info


def _signer_certificate(certificates: Element, identifier: Element, covered: Covered) -> x509.Certificate:
    found = None
    encodings = [certificate.encoding for certificate in certificates.elements()]
    _demand(len(set(encodings)) == len(encodings), "repeats a certificate")
    for encoding in encodings:
        _demand(encoding in covered.certificates, "holds a certificate that the sealed part of the file does not")
        certificate = x509.Certificate.load(encoding)
        name = certificate.issuer.dump() + certificate["tbs_certificate"]["serial_number"].dump()
        if name == identifier.content:
            found = certificate
    if found is None:
        raise ContainerError("the timestamp's token does not name its signer's certificate")
    return found


def _check_algorithms(digest: Element, mechanism: Element, certificate: x509.Certificate, covered: Covered) -> None:
    name = digest_of(digest.encoding)
    if name is None:
        raise ContainerError("the timestamp's token is signed over a hash that is not SHA-2, or spells it unusually")
    _demand(is_plain(mechanism.encoding), "spells its algorithm in no standard way")
    if (digest.encoding, mechanism.encoding) in covered.algorithms:
        return
    unique = certificate.public_key.algorithm == "ec" and mechanism.encoding == _ECDSA[name]
    _demand(unique, "spells its algorithms differently from the file's earlier timestamp")


def _check_signature(token: bytes, info: bytes, digest_name: str, certificate: x509.Certificate) -> None:
    """Check the signature over the attributes, and the attributes' hash of the ``TSTInfo``."""
    try:
        signer_info = cms.ContentInfo.load(token, strict=True)["content"]["signer_infos"][0]
        tsp.TSTInfo.load(info, strict=True)
        intact, valid = validate_sig_integrity(
            signer_info, certificate, "tst_info", hashlib.new(digest_name, info).digest()
        )
    except (SignatureValidationError, CMSStructuralError, InvalidSignature, ValueError, TypeError, KeyError) as error:
        raise ContainerError("the timestamp's token is not a valid signature") from error
    _demand(intact and valid, "is not signed by its signer")


def algorithms_of(signed_data: cms.SignedData) -> set[tuple[bytes, bytes]]:
    """The algorithm identifiers of a token that the file covers; see :class:`Covered`."""
    return {
        (signer["digest_algorithm"].dump(), signer["signature_algorithm"].dump())
        for signer in signed_data["signer_infos"]
    }


def certificates_of(signed_data: cms.SignedData) -> set[bytes]:
    """The certificates in a CMS container that the file covers; see :class:`Covered`."""
    return {choice.chosen.dump() for choice in signed_data["certificates"] if choice.name == "certificate"}
