"""Certificates, revocation lists and OCSP responses of made-up authorities, with any flaw that a test needs.

All times are in days from ``START``, so that a test can choose the current time.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

START = dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC)
SEALING = ("digital_signature", "content_commitment")
SIGNING = ("digital_signature",)
CERTIFYING = ("key_cert_sign", "crl_sign")
TIME, ANSWERS = ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.OCSP_SIGNING

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def day(days: float) -> dt.datetime:
    """So many days after the start."""
    return START + dt.timedelta(days=days)


@dataclass(frozen=True)
class Party:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def asn1(self) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(self.der)


def make_party(
    name: str,
    issuer: Party | None = None,
    *,
    life: tuple[float, float] = (0, 3650),
    ca: bool = False,
    path_length: int | None = None,
    used: Sequence[str] | None = None,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    critical_purposes: bool = True,
    responder: bool = False,
    nocheck: bool = False,
    key: Key | None = None,
    algorithm: hashes.SHA224 | hashes.SHA256 | None = None,
) -> Party:
    """A certificate by an issuer, or by itself.

    Args:
        name: Its common name.
        issuer: Who certifies it.
        life: From which day to which.
        ca: Whether it may certify.
        path_length: How many authorities may be under it.
        used: Its key usage.
        purposes: Its extended key usage.
        critical_purposes: Whether that is critical.
        responder: Whether it names an OCSP responder.
        nocheck: Whether it has ``id-pkix-ocsp-nocheck``.
        key: Its key; a new one where left out.
        algorithm: The hash that it is signed with.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    by_key = issuer.key if issuer else key
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        day(life[0]),
        day(life[1]),
    )
    used = used if used is not None else CERTIFYING if ca else SIGNING
    if used:
        builder = builder.add_extension(_key_usage(used), critical=True)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=ca, path_length=path_length), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), False),
    ]
    if purposes:
        extensions.append((x509.ExtendedKeyUsage(purposes), critical_purposes))
    if responder:
        url = x509.UniformResourceIdentifier("http://ocsp.example.org")
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, url)
        extensions.append((x509.AuthorityInformationAccess([access]), False))
    if nocheck:
        extensions.append((x509.OCSPNoCheck(), False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Party(builder.sign(by_key, algorithm or hashes.SHA256()), key)


def _key_usage(used: Sequence[str]) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in used for name in every})


def make_list(
    issuer: Party,
    since: float,
    until: float,
    revoked: Mapping[Party, float] | None = None,
    *,
    named: Party | None = None,
    algorithm: hashes.SHA224 | hashes.SHA256 | None = None,
) -> bytes:
    """A revocation list.

    Args:
        issuer: Who signs it.
        since: The day from which it is.
        until: The day of the next one.
        revoked: Whose certificates are on it, and since which day.
        named: Whose list it says to be; the signer's where left out.
        algorithm: The hash that it is signed with.
    """
    builder = x509.CertificateRevocationListBuilder((named or issuer).certificate.subject, day(since), day(until))
    builder = builder.add_extension(x509.CRLNumber(1), critical=False)
    for party, when in (revoked or {}).items():
        entry = x509.RevokedCertificateBuilder(party.certificate.serial_number, day(when))
        entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)


def make_answer(
    issuer: Party,
    about: Party,
    since: float,
    until: float | None,
    *,
    by: Party | None = None,
    carrying: Sequence[Party] = (),
    revoked: float | None = None,
) -> bytes:
    """An OCSP answer.

    Args:
        issuer: Whose certificate it is about.
        about: The certificate.
        since: The day from which it is.
        until: The day of the next one; ``None`` for one that does not say.
        by: Who signs it; the issuer where left out.
        carrying: Whose certificates it holds besides.
        revoked: The day since which it is revoked.
    """
    builder = ocsp.OCSPResponseBuilder().add_response(
        about.certificate,
        issuer.certificate,
        hashes.SHA256(),
        ocsp.OCSPCertStatus.GOOD if revoked is None else ocsp.OCSPCertStatus.REVOKED,
        day(since),
        None if until is None else day(until),
        None if revoked is None else day(revoked),
        None,
    )
    signer = by or issuer
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
    if by:
        builder = builder.certificates([each.certificate for each in (by, *carrying)])
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)
