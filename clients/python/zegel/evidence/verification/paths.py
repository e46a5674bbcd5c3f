"""Whether a certificate led to a trusted root at a past moment, and until when that can still be established.

The rules of certificate paths (RFC 5280, 6) and of revocation data are ``pyhanko-certvalidator``'s. This module decides
which rule is applied for which moment and what purpose each certificate must have, and it bounds the work: everything
read here except the roots comes from a file that anybody may have made.

The moments follow ETSI EN 319 102-1 (5.2.6, 5.6.2.1), for a file with a seal, a timestamp on the seal at ``Ts``, and
document timestamps at ``T`` and later:

* A signature counts as made while its certificate was valid if it is proved to have existed then. So the *certificates*
  of the seal's path are checked at ``Ts`` (``at``), and those of a timestamp's path at the time of the next timestamp
  over it. Nothing later vouches for the newest timestamp: its path is checked at its own time, and it is good only
  until a certificate in that path expires (:func:`still_alive`).
* Revocation data must be *in force* when its own existence is proved: it is checked at ``known_at``, the time of the
  document timestamp that covers it (``T`` for the seal's). It may be newer than ``at``, and is then better evidence:
  its issuer could know of a revocation before ``at`` that an older list cannot contain. Data that is past its next
  update at ``known_at`` proves nothing, however fresh it was at ``at``.
* A revocation counts if it dates from ``at`` or before. One between ``at`` and ``known_at`` does not undo what was
  proved to exist before it. (That of an authority in the path does: its lists are no longer believed.)
* Data from after a certificate's expiry says nothing about it: an issuer may drop a revoked certificate from its lists
  once it has expired (RFC 5280, 3.3).
* The root is trusted because the caller named it, whatever its own dates, and is not checked for revocation (RFC 5280,
  6.1.1 (d)).

Stricter than the standards ask: one report of a revocation is enough, whatever other data says; a revocation list must
come from the issuer itself (no indirect lists); a signer's certificate must have no second purpose; an intermediate
authority that restricts its purposes must include this one; a root's path length limit applies.
"""

import logging
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509
from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers
from pyhanko_certvalidator.context import ValidationContext
from pyhanko_certvalidator.errors import (
    CRLValidationError,
    DisallowedAlgorithmError,
    OCSPValidationError,
    RevokedError,
    ValidationError,
)
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import NO_REVOCATION, REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.revinfo.validate_crl import verify_crl
from pyhanko_certvalidator.revinfo.validate_ocsp import verify_ocsp_response
from pyhanko_certvalidator.validate import async_validate_path

from zegel.evidence.verification.path_rules import (
    Algorithms,
    Flaw,
    PathError,
    TooMuchError,
    Usage,
    Validator,
    check_issuer,
    check_usage,
    name_of,
)

CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far the clock of an issuer of revocation data may be ahead of the timestamp authority's: an OCSP response
requested while sealing is about as recent as the timestamp over it."""

MAX_CERTIFICATES: Final = 64
"""How many certificates are read at most. A file that was renewed ten times by ten authorities has some forty."""

MAX_CERTIFICATE_BYTES: Final = 1 << 16
"""Largest certificate that is read, in bytes: real ones have 2 KB, with post-quantum keys 20."""

MAX_REVOCATION_ITEMS: Final = 64
"""How many revocation lists, and how many OCSP responses, are read at most."""

MAX_REVOCATION_BYTES: Final = 8 << 20
"""Largest of either, in bytes. The largest lists of public trust service providers have some 3 MB."""

MAX_BETWEEN: Final = 6
"""Maximum number of authorities between a signer and its root: real paths have one or two, cross-certified ones
three."""

MAX_PATHS: Final = 8
"""How many paths are tried at most, where authorities are cross-certified."""

_T = TypeVar("_T")

logging.getLogger("pyhanko_certvalidator").addHandler(logging.NullHandler())  # its warnings are in the report instead


@dataclass(frozen=True, slots=True)
class _Question:
    """What a path is checked for: which usage, at which moments, with which revocation data."""

    usage: Usage
    at: datetime
    known_at: datetime
    crls: Sequence[asn1_crl.CertificateList]
    ocsps: Sequence[asn1_ocsp.OCSPResponse]
    validator: Validator


def check_path(
    certificate: x509.Certificate,
    at: datetime,
    *,
    roots: Iterable[x509.Certificate],
    others: Iterable[x509.Certificate],
    crls: Iterable[bytes],
    ocsps: Iterable[bytes],
    usage: Usage,
    known_at: datetime | None = None,
) -> ValidationPath:
    """Check that a certificate led to a trusted root, unrevoked, at a given moment; see the module for the rules.

    Args:
        certificate: The signer's.
        at: When its signature is proved to have existed, with a time zone.
        roots: Root certificates that are trusted for this usage.
        others: Certificates that may be intermediates, from any source.
        crls: Revocation lists, DER; one that cannot be read is ignored.
        ocsps: OCSP responses, DER, likewise.
        usage: What the certificate has to be for.
        known_at: When the revocation data is proved to have existed; ``at`` if omitted or earlier.

    Returns:
        The path, for :func:`still_alive`.

    Raises:
        PathError: It did not, or that cannot be determined within the limits. No content of the certificates, lists and
            responses makes this raise anything else.
    """
    try:
        check_usage(certificate, usage)
        question = _Question(
            usage,
            at,
            max(at, known_at or at),
            [each for each in map(_read_crl, _bounded(crls)) if each is not None],
            [each for each in map(_read_ocsp, _bounded(ocsps)) if each is not None],
            Validator(),
        )
        return _first_good(certificate, list(roots), _readable(others), question)
    except PathError:
        raise
    except TooMuchError as error:
        raise PathError("The file has more certificates than any genuine one.") from error
    except Exception as error:  # parsers may raise anything on hostile certificates
        raise PathError("A certificate in the file, or its revocation data, cannot be read.") from error


def end_of(path: ValidationPath) -> datetime:
    """The last moment at which every certificate of a path except its root is valid.

    Args:
        path: What :func:`check_path` returned.
    """
    certificates = list(path.iter_certs(include_root=path.pkix_len == 0))
    end: datetime = min(certificate.not_valid_after for certificate in certificates)
    return end


def still_alive(path: ValidationPath, now: datetime) -> None:
    """Check that no certificate of a path has expired (RFC 5280, 4.1.2.5: the last moment is still valid).

    Args:
        path: What :func:`check_path` returned for the newest timestamp.
        now: The present, with a time zone.

    Raises:
        PathError: One has, or is not valid yet at that time.
    """
    certificates = list(path.iter_certs(include_root=path.pkix_len == 0))
    for certificate in certificates:
        if now > certificate.not_valid_after:
            raise PathError(
                f"The certificate of {name_of(certificate)}, which the newest timestamp rests on, ended on "
                f"{_when(certificate.not_valid_after)}: from then on nobody can tell it from a forged one."
            )
        if now < certificate.not_valid_before:
            raise PathError(f"The certificate of {name_of(certificate)} is not valid yet on {_when(now)}.")


# ----------------------------------------------------------------------------------------------------------- the input


def _bounded(items: Iterable[bytes]) -> list[bytes]:
    found = list(dict.fromkeys(items))
    if len(found) > MAX_REVOCATION_ITEMS or sum(map(len, found)) > MAX_REVOCATION_BYTES:
        raise PathError("The file has more revocation data than any genuine one.")
    return found


def _read_crl(data: bytes) -> asn1_crl.CertificateList | None:
    try:
        found = asn1_crl.CertificateList.load(data, strict=True)
        usable = bool(found.issuer.hashable and found["tbs_cert_list"]["this_update"].native)
    except Exception:  # noqa: BLE001 - whatever it is, it is no list, and proves nothing
        return None
    return found if usable else None


def _read_ocsp(data: bytes) -> asn1_ocsp.OCSPResponse | None:
    try:
        found = asn1_ocsp.OCSPResponse.load(data, strict=True)
        if not _updates(found) or len(found.basic_ocsp_response["certs"] or ()) > MAX_BETWEEN:
            return None
    except Exception:  # noqa: BLE001 - as above
        return None
    return found


def _updates(response: asn1_ocsp.OCSPResponse) -> list[datetime]:
    """The times of the parts of an OCSP response; empty if it is not one."""
    if response["response_status"].native != "successful":
        return []
    singles = response.basic_ocsp_response["tbs_response_data"]["responses"]
    return [single["this_update"].native for single in singles]


def _readable(certificates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    found: dict[bytes, x509.Certificate] = {}
    for certificate in certificates:
        data = certificate.dump()
        if len(data) <= MAX_CERTIFICATE_BYTES and _is_authority(certificate):
            found[data] = certificate
        if len(found) > MAX_CERTIFICATES:
            raise TooMuchError
    return list(found.values())


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.ca and certificate.subject.hashable and certificate.public_key.algorithm)
    except Exception:  # noqa: BLE001 - it leads nowhere
        return False


# ----------------------------------------------------------------------------------------------------------- the paths


def _first_good(
    certificate: x509.Certificate, roots: list[x509.Certificate], pool: list[x509.Certificate], question: _Question
) -> ValidationPath:
    failure = PathError(
        f"The certificate of {name_of(certificate)} does not lead to a root that is trusted for {question.usage}s.",
        Flaw.NO_ROOT,
        certificate,
    )
    for tried, path in enumerate(_paths([certificate], roots, pool, question.validator)):
        try:
            _check_certificates(path, question)
            _check_revocation(path, question)
        except PathError as error:
            failure = failure if tried else error  # the first path is the one the issuer meant
            if tried + 1 == MAX_PATHS:
                break
        else:
            return path
    raise failure


def _paths(
    chain: list[x509.Certificate],
    roots: list[x509.Certificate],
    pool: list[x509.Certificate],
    validator: Validator,
) -> Iterator[ValidationPath]:
    """The paths from a chain, the signer's certificate first, up to each root, the shortest way first."""
    for root in roots:
        if len(chain) == 1 and root.dump() == chain[0].dump():
            yield ValidationPath(_anchor(root), [], None)
        elif validator.has_issued(root, chain[-1]):
            yield ValidationPath(_anchor(root), chain[:0:-1], chain[0])
    if len(chain) > MAX_BETWEEN:
        return
    for other in pool:
        if other not in chain and validator.has_issued(other, chain[-1]):
            yield from _paths([*chain, other], roots, pool, validator)


def _anchor(root: x509.Certificate) -> CertTrustAnchor:
    length = root.max_path_length
    return CertTrustAnchor(root, TrustQualifiers(max_path_length=length, max_aa_path_length=length))


def _check_certificates(path: ValidationPath, question: _Question) -> None:
    """Check that each certificate was valid at that moment and was issued according to the rules."""
    certificates = list(path.iter_certs(include_root=path.pkix_len == 0))
    for certificate in certificates:
        if question.at < certificate.not_valid_before:
            message = f"The certificate of {name_of(certificate)} was not valid yet on {_when(question.at)}."
            raise PathError(message, Flaw.NOT_YET_VALID, certificate)
        if question.at > certificate.not_valid_after:
            message = f"The certificate of {name_of(certificate)} had expired on {_when(question.at)}."
            raise PathError(message, Flaw.EXPIRED, certificate)
    for issuer in certificates[:-1]:
        check_issuer(issuer, question.usage)
    context = ValidationContext(
        trust_roots=[path.trust_anchor],
        moment=question.at,
        revinfo_policy=CertRevTrustPolicy(NO_REVOCATION),
        algorithm_usage_policy=Algorithms(),
        signature_validator=question.validator,
        time_tolerance=timedelta(0),
    )
    signer = name_of(certificates[-1])
    try:
        _run(async_validate_path(context, path))
    except DisallowedAlgorithmError as error:
        raise PathError(f"A certificate between {signer} and its root is signed with a weak algorithm.") from error
    except ValidationError as error:
        raise PathError(f"The certificates between {signer} and its root break the rules for them.") from error


def _check_revocation(path: ValidationPath, question: _Question) -> None:
    """Check that each certificate but the root has revocation data in force, and was not revoked by that moment."""
    certificates = list(path.iter_certs(include_root=False))
    if not certificates:
        return
    end = min(certificate.not_valid_after for certificate in certificates)
    lists = [each for each in question.crls if each["tbs_cert_list"]["this_update"].native <= end]
    ocsps = [each for each in question.ocsps if max(_updates(each)) <= end]
    believed: list[asn1_crl.CertificateList] = []
    for index, certificate in enumerate(certificates):
        # Lists by the authorities above it only. They are needed for these as well, which are checked once more.
        issuer = certificates[index - 1] if index else path.first
        believed += [each for each in lists if question.validator.has_signed(issuer, each)]
        context = ValidationContext(
            trust_roots=[path.trust_anchor],
            other_certs=certificates,
            moment=question.known_at,
            crls=[*believed],
            ocsps=ocsps,
            revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO),
            algorithm_usage_policy=Algorithms(),
            signature_validator=question.validator,
            time_tolerance=CLOCK_SKEW,
        )
        part = ValidationPath(path.trust_anchor, certificates[:index], certificate)
        answers = [_is_good(verify, certificate, part, context, question.at) for verify in _VERIFIERS]
        if not any(answers):
            raise PathError(
                f"Whether the certificate of {name_of(certificate)} was revoked cannot be told: the file has no "
                f"revocation data of its issuer that was in force on {_when(question.known_at)}.",
                Flaw.STATUS_UNKNOWN,
                certificate,
            )


_VERIFIERS: Final = (verify_ocsp_response, verify_crl)


def _is_good(
    verify: Any, certificate: x509.Certificate, path: ValidationPath, context: ValidationContext, at: datetime
) -> bool:
    """Whether responses, or lists, say that a certificate was not revoked by a moment; ``False`` if they say nothing.

    Raises:
        PathError: They say that it was revoked.
    """
    try:
        _run(verify(certificate, path, context))
    except RevokedError as error:
        if error.revocation_dt <= at:
            message = f"The certificate of {name_of(certificate)} was revoked on {_when(error.revocation_dt)}."
            raise PathError(message, Flaw.REVOKED, certificate) from error
    except (OCSPValidationError, CRLValidationError, ValidationError):
        return False
    return True


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that never waits. It needs no event loop, so it works within a running one."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a path was to be fetched")
