"""The validation data of a sealed file. Anybody can replace it along with a new timestamp, so it must hide nothing.

A timestamp's revision has streams with certificates, revocation lists and OCSP answers, and Zegel's seal does not fix
them. So each must be one that the signatures of this file were, or could have been, validated with:

* a certificate is on a path that was used, or is a root that the verifier trusts, or is self-signed and issued one on
  such a path (a root above the trusted one), or signs OCSP responses (``id-kp-OCSPSigning``) for an authority on such a
  path;
* a revocation list, or an OCSP response, is signed by one of these.

The parts of them that no signature covers cannot hide data either: they are strict DER, and the algorithm identifier is
in a spelling of :mod:`.algorithms` and, where it occurs twice, the same both times.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509

from zegel.evidence.sealed_file.timestamps import Validation
from zegel.evidence.verification.algorithms import is_plain
from zegel.evidence.verification.der import (
    CONTEXT_0,
    OCTET_STRING,
    OID,
    SEQUENCE,
    DerError,
    Element,
    read_only_element,
)
from zegel.evidence.verification.path_rules import TooMuchError, Validator

_BIT_STRING: Final = 0x03
_SUCCESSFUL: Final = bytes.fromhex("0a0100")
_BASIC: Final = bytes.fromhex("06092b0601050507300101")
_MAX_ANSWER_CERTIFICATES: Final = 4
"""Maximum number of certificates in an OCSP response: its signer's, and that one's issuer's."""


class StoreError(ValueError):
    """The store holds something that does not serve to validate this file; the message says what."""


def check_store(
    held: Sequence[Validation], used: Iterable[x509.Certificate], roots: Iterable[x509.Certificate] = ()
) -> None:
    """Check that the validation data of a file belongs to its signatures.

    Args:
        held: What each timestamp's revision adds.
        used: The certificates of the paths of its signatures, roots included.
        roots: Roots that the verifier trusts, used or not: a sealing server may put all of its roots into each file.

    Raises:
        StoreError: Something in it does not.
    """
    try:
        _check(held, {each.dump(): each for each in used}, {each.dump(): each for each in roots})
    except DerError as error:
        raise StoreError(f"The file's validation data is not DER: {error}.") from error
    except TooMuchError as error:
        raise StoreError("The file has more validation data than any genuine one.") from error
    except StoreError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError("Something in the file's validation data cannot be read.") from error


def _check(
    held: Sequence[Validation], used: dict[bytes, x509.Certificate], roots: dict[bytes, x509.Certificate]
) -> None:
    validator = Validator()
    good = {**used, **roots}
    certificates = list(dict.fromkeys(each for added in held for each in added.certificates))
    for data in certificates:
        _demand(_is_tight(data), "a certificate is spelled so that something could be hidden in it")
        found = x509.Certificate.load(data)
        if data not in good and _is_root_of(found, used.values(), validator):
            good[data] = found
    for data in certificates:
        if data not in good:
            found = x509.Certificate.load(data)
            _demand(_answers_for(found, good.values(), validator), "a certificate belongs to none of its signatures")
            good[data] = found
    for added in held:
        validator = Validator()  # bounds the work on each revision
        for data in added.crls:
            _check_list(data, good.values(), validator)
        for data in added.ocsps:
            _check_answer(data, good.values(), validator)


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise StoreError(f"In the file's validation data {otherwise}.")


def _is_tight(data: bytes) -> bool:
    """Whether a signed structure (RFC 5280, 4.1 and 5.1) names the same algorithm both times, and has a signature."""
    body, algorithm, signature = read_only_element(data, SEQUENCE).children(SEQUENCE, SEQUENCE, _BIT_STRING)
    inner = [part for part in body.elements()[:3] if part.tag == SEQUENCE]
    return bool(inner) and inner[0].encoding == algorithm.encoding and _is_signature(algorithm, signature)


def _is_signature(algorithm: Element, signature: Element) -> bool:
    return is_plain(algorithm.encoding) and signature.content[:1] == b"\0"


def _is_root_of(found: x509.Certificate, used: Iterable[x509.Certificate], validator: Validator) -> bool:
    """Whether a certificate is self-signed and issued one that was used; only the holder of its key could make it."""
    if found.subject != found.issuer or not validator.has_issued(found, found):
        return False
    return any(validator.has_issued(found, each) for each in used)


def _answers_for(found: x509.Certificate, good: Iterable[x509.Certificate], validator: Validator) -> bool:
    purposes = found.extended_key_usage_value
    if purposes is None or "ocsp_signing" not in purposes.native:
        return False
    return any(issuer.ca and validator.has_issued(issuer, found) for issuer in good)


def _check_list(data: bytes, good: Iterable[x509.Certificate], validator: Validator) -> None:
    _demand(_is_tight(data), "a revocation list is spelled so that something could be hidden in it")
    found = asn1_crl.CertificateList.load(data)
    signers = [each for each in good if each.ca and each.subject == found.issuer]
    body = found["tbs_cert_list"].dump()
    _demand(_is_signed(found, body, signers, validator), "a revocation list is by no authority of its signatures")


def _check_answer(data: bytes, good: Iterable[x509.Certificate], validator: Validator) -> None:
    status, wrapped = read_only_element(data, SEQUENCE).children(0x0A, CONTEXT_0)
    kind, octets = read_only_element(wrapped.content, SEQUENCE).children(OID, OCTET_STRING)
    parts = read_only_element(octets.content, SEQUENCE).elements()
    shape = [part.tag for part in parts]
    _demand(
        status.encoding == _SUCCESSFUL
        and kind.encoding == _BASIC
        and shape in ([SEQUENCE, SEQUENCE, _BIT_STRING], [SEQUENCE, SEQUENCE, _BIT_STRING, CONTEXT_0])
        and _is_signature(parts[1], parts[2]),
        "an OCSP response is spelled so that something could be hidden in it",
    )
    signers = list(good)
    own = read_only_element(parts[3].content, SEQUENCE).elements() if len(parts) > 3 else []  # noqa: PLR2004 - see above
    _demand(len(own) <= _MAX_ANSWER_CERTIFICATES, "an OCSP response has too many certificates")
    _demand(len({each.encoding for each in own}) == len(own), "an OCSP response repeats a certificate")
    known = {each.dump() for each in signers}
    for each in own:
        if each.encoding not in known:
            _demand(
                each.tag == SEQUENCE and _is_tight(each.encoding),
                "an OCSP response holds something that is not a certificate",
            )
            found = x509.Certificate.load(each.encoding)
            _demand(_answers_for(found, signers, validator), "an OCSP response holds a certificate without a use")
            signers.append(found)
    basic = asn1_ocsp.OCSPResponse.load(data).basic_ocsp_response
    said = basic["tbs_response_data"]
    named = [each for each in signers if _is_named(each, said["responder_id"])]
    _demand(_is_signed(basic, said.dump(), named, validator), "an OCSP response is signed by nobody who may sign it")


def _is_named(signer: x509.Certificate, responder: asn1_ocsp.ResponderId) -> bool:
    if responder.name == "by_name":
        return bool(responder.chosen == signer.subject)
    return bool(responder.native == signer.public_key.sha1)


def _is_signed(found: Any, body: bytes, signers: Iterable[x509.Certificate], validator: Validator) -> bool:
    """Whether one of the signers signed the body of a structure that asn1crypto parsed."""
    for signer in signers:
        try:
            validator.validate_signature(
                found["signature"].native, body, signer.public_key, found["signature_algorithm"]
            )
        except TooMuchError:
            raise
        except Exception:  # noqa: BLE001, S112 - InvalidSignature, or whatever an odd key raises: it is not by this one
            continue
        return True
    return False
