"""The purpose and strength that a certificate in a path must have, and a bound on the work of checking it."""

from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, Literal

from asn1crypto import algos, crl, keys, x509
from cryptography.exceptions import InvalidSignature
from pyhanko_certvalidator.policy_decl import AlgorithmUsageConstraint, AlgorithmUsagePolicy
from pyhanko_certvalidator.sig_validate import DEFAULT_VALIDATION_CONTEXT, DefaultSignatureValidator

Usage = Literal["seal", "timestamp"]
"""What a certificate may be used for."""

MAX_SIGNATURES: Final = 256
"""Maximum number of signatures of certificates, lists and OCSP responses that are checked for one path. A genuine path
takes some ten, and one check a millisecond at most."""

RSA_BITS: Final = (2048, 8192)
"""Smallest and largest RSA key, in bits: a smaller one is breakable, a larger one takes too long to check."""

MIN_CURVE_BITS: Final = 256
"""Smallest elliptic curve, in bits (ETSI TS 119 312)."""

HASHES: Final = frozenset({"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512"})
SIGNATURES: Final = frozenset({"rsassa_pkcs1v15", "rsassa_pss", "ecdsa", "ed25519", "ed448"})
"""Algorithms that a certificate, a list or an OCSP response may be signed with (ETSI TS 119 312)."""

NOT_A_SEAL: Final = frozenset({"time_stamping", "ocsp_signing", "server_auth", "code_signing"})
"""Purposes that a certificate for sealing documents must not have."""

MAX_NAME: Final = 80
"""Maximum number of characters of a name in a message: the certificate may be anybody's."""


class Flaw(Enum):
    """What is wrong with a path, for a program that has to tell one from another."""

    NO_ROOT = auto()
    """It leads to no trusted root."""
    NOT_YET_VALID = auto()
    EXPIRED = auto()
    REVOKED = auto()
    STATUS_UNKNOWN = auto()
    """There is no revocation data in force for one of its certificates."""
    OTHER = auto()
    """A certificate is for another use, has a weak key, cannot be read, and the like."""


class PathError(ValueError):
    """A certificate does not lead to a trusted root as it must; the message says why, to a person.

    Args:
        message: Why.
        flaw: The kind of reason.
        certificate: The certificate that is at fault, if it is one.
    """

    def __init__(self, message: str, flaw: Flaw = Flaw.OTHER, certificate: x509.Certificate | None = None) -> None:
        super().__init__(message)
        self.flaw = flaw
        self.certificate = certificate


class TooMuchError(Exception):
    """A bound on the work is reached. Not a ``ValueError``, which pyhanko-certvalidator would take for a bad list."""


def name_of(certificate: x509.Certificate) -> str:
    """The holder of a certificate, for a message: the common name or another one, printable and not too long.

    Args:
        certificate: The certificate.
    """
    names = certificate.subject.native
    name = str(names.get("common_name") or names.get("organization_name") or certificate.subject.human_friendly)
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name[:MAX_NAME])
    return shown if len(name) <= MAX_NAME else f"{shown}..."


def check_usage(certificate: x509.Certificate, usage: Usage) -> None:
    """Check that a signer's certificate is for what it was used for, and is not a certification authority's.

    A seal's must have *content commitment* (ETSI EN 319 412-2, 4.3.2: type A, B or F) and no incompatible purpose.
    A timestamp's must have time stamping as its only extended key usage, marked critical (RFC 3161, 2.3).

    Args:
        certificate: The signer's.
        usage: What it was used for.

    Raises:
        PathError: It is not.
    """
    purposes = _purposes(certificate)
    used = set(certificate.key_usage_value.native) if certificate.key_usage_value else None
    wrong = f"The certificate of {name_of(certificate)} is not one for {usage}s"
    if certificate.ca or (used is not None and used & {"key_cert_sign", "crl_sign"}):
        raise PathError(f"{wrong}: it is a certification authority's.")
    if usage == "timestamp":
        critical = "extended_key_usage" in certificate.critical_extensions
        if purposes != ["time_stamping"] or not critical:
            raise PathError(f"{wrong}: timestamps are not its only purpose.")
        if used is not None and not used & {"digital_signature", "non_repudiation"}:
            raise PathError(f"{wrong}: its key is not for signing.")
    else:
        if used is None or "non_repudiation" not in used:
            raise PathError(f"{wrong}: its key is not for commitments to content.")
        if purposes is not None and set(purposes) & NOT_A_SEAL:
            raise PathError(f"{wrong}: it has another purpose.")
    if not _is_strong(certificate.public_key):
        raise PathError(f"The key of {name_of(certificate)} is too weak.")


def check_issuer(certificate: x509.Certificate, usage: Usage) -> None:
    """Check that an authority between a root and a signer may certify for this usage, if it names any.

    RFC 5280 leaves open what purposes mean in an authority's certificate; root programmes (Mozilla's, Microsoft's) and
    real timestamp authorities take them for the only ones it may certify.

    Args:
        certificate: The authority's.
        usage: What the signer's certificate is for.

    Raises:
        PathError: It may not.
    """
    purposes = _purposes(certificate)
    if purposes is None or "any_extended_key_usage" in purposes:
        return
    good = "time_stamping" in purposes if usage == "timestamp" else bool(set(purposes) - NOT_A_SEAL)
    if not good:
        raise PathError(f"The authority {name_of(certificate)} may not certify {usage}s.")


def _purposes(certificate: x509.Certificate) -> list[str] | None:
    value = certificate.extended_key_usage_value
    return None if value is None else [str(each) for each in value.native]


def _is_strong(key: keys.PublicKeyInfo) -> bool:
    if key.algorithm in {"rsa", "rsassa_pss"}:
        return bool(RSA_BITS[0] <= key.bit_size <= RSA_BITS[1])
    if key.algorithm == "ec":
        return bool(key.curve[0] == "named" and key.bit_size >= MIN_CURVE_BITS)
    return key.algorithm in {"ed25519", "ed448"}


class Algorithms(AlgorithmUsagePolicy):
    """Accepted algorithms: the same at every moment, since what is weak now can be forged now with any date."""

    def digest_algorithm_allowed(
        self,
        algo: algos.DigestAlgorithm,
        moment: datetime | None,  # noqa: ARG002 - see above
    ) -> AlgorithmUsageConstraint:
        """Whether a hash is accepted."""
        return AlgorithmUsageConstraint(algo["algorithm"].native in HASHES)

    def signature_algorithm_allowed(
        self,
        algo: algos.SignedDigestAlgorithm,
        moment: datetime | None,  # noqa: ARG002 - see above
        public_key: keys.PublicKeyInfo | None,
    ) -> AlgorithmUsageConstraint:
        """Whether a signature algorithm, with its hash and key, is accepted."""
        try:
            name = algo.signature_algo
            good = name in SIGNATURES and (name in {"ed25519", "ed448"} or algo.hash_algo in HASHES)
        except ValueError:
            good = False
        return AlgorithmUsageConstraint(good and (public_key is None or _is_strong(public_key)))


class Validator(DefaultSignatureValidator):
    """Checks signatures, and refuses weak algorithms and too many checks.

    pyhanko-certvalidator applies its policy to the algorithms of certificates, but not to those of lists and responses.
    """

    def __init__(self) -> None:
        self._left = MAX_SIGNATURES
        self._policy = Algorithms()

    def validate_signature(
        self,
        signature: bytes,
        signed_data: bytes,
        public_key_info: keys.PublicKeyInfo,
        signature_algorithm: algos.SignedDigestAlgorithm,
        context: Any = DEFAULT_VALIDATION_CONTEXT,
    ) -> None:
        """Check a signature.

        Args:
            signature: The signature.
            signed_data: The signed bytes.
            public_key_info: The signer's public key.
            signature_algorithm: The algorithm.
            context: See pyhanko-certvalidator.

        Raises:
            InvalidSignature: It is not valid, or its algorithm is weak.
            TooMuchError: Too many checks were asked for.
        """
        if self._left == 0:
            raise TooMuchError
        self._left -= 1
        if not self._policy.signature_algorithm_allowed(signature_algorithm, None, public_key_info):
            raise InvalidSignature
        super().validate_signature(signature, signed_data, public_key_info, signature_algorithm, context)

    def has_issued(self, issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
        """Whether a certificate's signature is the issuer's, and the names agree.

        Args:
            issuer: Who may have certified it.
            certificate: The certificate.

        Raises:
            TooMuchError: Too many checks were asked for.
        """
        if issuer.subject != certificate.issuer:
            return False
        wanted = certificate.authority_key_identifier
        if wanted and issuer.key_identifier and wanted != issuer.key_identifier:
            return False
        return self._is_signed(certificate, "tbs_certificate", issuer)

    def has_signed(self, issuer: x509.Certificate, revocation_list: crl.CertificateList) -> bool:
        """Whether a revocation list's signature is the issuer's, and the names agree.

        pyhanko-certvalidator does not check the signature of a list named for a certificate that it is about to check,
        such as a root among the intermediates, and believes the list from then on.

        Args:
            issuer: Who may have signed it.
            revocation_list: The list.

        Raises:
            TooMuchError: Too many checks were asked for.
        """
        return issuer.subject == revocation_list.issuer and self._is_signed(revocation_list, "tbs_cert_list", issuer)

    def _is_signed(self, signed: x509.Certificate | crl.CertificateList, part: str, issuer: x509.Certificate) -> bool:
        names = {"tbs_certificate": "signature_value", "tbs_cert_list": "signature"}
        try:
            self.validate_signature(
                signed[names[part]].native, signed[part].dump(), issuer.public_key, signed["signature_algorithm"]
            )
        except TooMuchError:
            raise
        except Exception:  # noqa: BLE001 - InvalidSignature, or whatever odd keys raise: it is not by this one
            return False
        return True
