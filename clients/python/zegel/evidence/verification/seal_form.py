"""The seal's container: a CMS signature of a fixed structure, with a timestamp on it and nothing else unsigned.

The document timestamps cover these bytes, but anybody can change them and have the result timestamped. So what the
seal's own signature does not cover must have a fixed structure as well (RFC 5652, 5; ETSI EN 319 122-1):

* signed data over detached data, one signer, certificates that the file's store has, no revocation lists;
* the signed attributes name the content's hash and, by ESS (RFC 5035), the signer's certificate;
* exactly one unsigned attribute: a timestamp on the signature;
* algorithm identifiers in a spelling of :mod:`.algorithms`, so that nothing can be hidden in them.
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
    CONTEXT_1,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    DerError,
    Element,
    read_only_element,
)

_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_DATA = bytes.fromhex("06092a864886f70d010701")
_TIMESTAMP = bytes.fromhex("060b2a864886f70d010910020e")
_VERSION_1 = bytes.fromhex("020101")
_HASHES = frozenset({"sha256", "sha384", "sha512"})


class SealFormError(ValueError):
    """The seal's container does not have the fixed structure, or its signature is not valid; the message says why."""


@dataclass(frozen=True)
class Seal:
    """A seal whose signature is valid.

    Args:
        certificate: The signer's certificate; whether it is trusted is not decided here.
        signature: The signature's bytes, which the timestamp is on.
        timestamp: The timestamp's token, DER.
    """

    certificate: x509.Certificate
    signature: bytes
    timestamp: bytes


def read_seal(token: bytes, digest: Callable[[str], bytes], known: frozenset[bytes]) -> Seal:
    """Read a seal, and check its signature.

    Args:
        token: The container, DER, without padding.
        digest: The hash of what it covers, by the hash's name.
        known: Certificates, DER, that the file holds.

    Raises:
        SealFormError: Something in it is not as it must be.
    """
    try:
        return _read(token, digest, known)
    except DerError as error:
        raise SealFormError(f"the seal: {error}") from error
    except (SignatureValidationError, CMSStructuralError, InvalidSignature, ValueError, TypeError, KeyError) as error:
        if isinstance(error, SealFormError):
            raise
        raise SealFormError("the seal is not a signature that can be checked") from error


def _read(token: bytes, digest: Callable[[str], bytes], known: frozenset[bytes]) -> Seal:
    content_type, wrapped = read_only_element(token, SEQUENCE).children(OID, CONTEXT_0)
    _demand(content_type.encoding == _SIGNED_DATA, "is not signed data")
    version, digests, encapsulated, certificates, signers = read_only_element(wrapped.content, SEQUENCE).children(
        INTEGER, SET, SEQUENCE, CONTEXT_0, SET
    )
    _demand(version.encoding == _VERSION_1 and encapsulated.content == _DATA, "is not a signature on the file")
    signer = read_only_element(signers.content, SEQUENCE)
    own_version, identifier, algorithm, _attributes, mechanism, signature, unsigned = signer.children(
        INTEGER, SEQUENCE, SEQUENCE, CONTEXT_0, SEQUENCE, OCTET_STRING, CONTEXT_1
    )
    _demand(own_version.encoding == _VERSION_1, "has a signer of an unknown version")
    _demand(digests.content == algorithm.encoding, "lists a different digest algorithm than its signer's")
    plain = digest_of(algorithm.encoding) is not None and is_plain(mechanism.encoding)
    _demand(plain, "spells its algorithms in no standard way, or they are not SHA-2")
    certificate = _signer_certificate(certificates, identifier, known)
    _check_signature(token, digest, certificate)
    return Seal(certificate, signature.content, _timestamp(unsigned))


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise SealFormError(f"the seal {otherwise}")


def _timestamp(unsigned: Element) -> bytes:
    """The token of the one unsigned attribute."""
    kind, values = read_only_element(unsigned.content, SEQUENCE).children(OID, SET)
    _demand(kind.encoding == _TIMESTAMP, "has an unsigned attribute that is not a timestamp on it")
    return read_only_element(values.content, SEQUENCE).encoding


def _signer_certificate(certificates: Element, identifier: Element, known: frozenset[bytes]) -> x509.Certificate:
    encodings = [each.encoding for each in certificates.elements()]
    _demand(len(set(encodings)) == len(encodings), "repeats a certificate")
    _demand(known.issuperset(encodings), "holds a certificate that the file's store does not")
    for encoding in encodings:
        certificate = x509.Certificate.load(encoding)
        if certificate.issuer.dump() + certificate["tbs_certificate"]["serial_number"].dump() == identifier.content:
            return certificate
    raise SealFormError("the seal does not hold its signer's certificate")


def _check_signature(token: bytes, digest: Callable[[str], bytes], certificate: x509.Certificate) -> None:
    signer = cms.ContentInfo.load(token, strict=True)["content"]["signer_infos"][0]
    name = signer["digest_algorithm"]["algorithm"].native
    _demand(name in _HASHES, "is signed over a hash that is not SHA-2")
    attributes = signer["signed_attrs"]
    kinds = [attribute["type"].native for attribute in attributes]
    _demand(len(set(kinds)) == len(kinds), "repeats a signed attribute")
    _demand(_names_signer(attributes, certificate), "does not name its signer's certificate in what is signed")
    intact, valid = validate_sig_integrity(signer, certificate, "data", digest(name))
    _demand(intact, "is on other bytes: the file was changed after it")
    _demand(valid, "is not signed by its signer")


def _names_signer(attributes: cms.CMSAttributes, certificate: x509.Certificate) -> bool:
    found = [each["values"] for each in attributes if each["type"].native == "signing_certificate_v2"]
    if len(found) != 1 or len(found[0]) != 1:
        return False
    identifier: tsp.ESSCertIDv2 = found[0][0]["certs"][0]
    name = identifier["hash_algorithm"]["algorithm"].native
    return name in _HASHES and identifier["cert_hash"].native == hashlib.new(name, certificate.dump()).digest()
