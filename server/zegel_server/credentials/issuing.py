"""What the development authority issues: certificates and revocation lists, like those of real authorities.

Invariants:

* No certificate outlives its issuer: a certification path is valid as long as its leaf is.
* A CA may do what its role needs and no more: the root certifies CAs only, and they certify leaves only.
* An OCSP responder's certificate is good for nothing else.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from zegel_server.credentials.keyed_certificate import KeyedCertificate

ORGANISATION = "Zegel Development"
"""The name in every certificate, which shows that it is not an organisation's real one."""

OCSP_URL = "http://ocsp.zegel.invalid"
"""The OCSP URL in the seal's certificate. Nothing answers there (RFC 2606): the answer is embedded in each sealed file.
Without a URL, validators do not look for an answer at all."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""The names that the TLS certificate always has."""

YEAR, DAY = dt.timedelta(days=365), dt.timedelta(days=1)
ROOT_LIFETIME = 30 * YEAR
"""Longer than every certificate that a development installation may ever issue."""

ISSUER_LIFETIME = 20 * YEAR
"""Real ones live ten to twenty years; shorter than that root, longer than every leaf."""

TIMESTAMP_LIFETIME = 12 * YEAR
"""A sealed file verifies offline as long as its last timestamp's certificate is valid: at least eleven years."""

SEAL_LIFETIME = 3 * YEAR
"""A seal's certificate only has to be good when it seals: after that, the timestamps prove when it did."""

TLS_LIFETIME = YEAR
"""Common TLS clients refuse server certificates valid for much longer than a year."""

OCSP_LIFETIME = 30 * DAY
"""Nobody asks whether a responder's certificate was revoked (``id-pkix-ocsp-nocheck``), so it is short-lived."""

ROOT_CRL_LIFETIME = 180 * DAY
"""A real root is kept offline and signs one about twice a year."""

ISSUER_CRL_LIFETIME = 7 * DAY
"""Like real authorities: valid for a week, with a new one each day."""

BACKDATE = dt.timedelta(minutes=5)
"""Backdating, so that clients whose clock is a little slow accept fresh certificates."""

Extensions = Sequence[tuple[x509.ExtensionType, bool]]


def now() -> dt.datetime:
    """The present, to the second: the precision of certificates and revocation lists."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def _name(common_name: str, organisation: str = ORGANISATION) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(*used: str) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in used for name in every})


def _issued_by(issuer: KeyedCertificate) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.certificate.public_key())  # type: ignore[arg-type]


def make_root() -> KeyedCertificate:
    """Creates a root, which certifies CAs, which certify leaves. "Root 2", since version 0.1's certified leaves."""
    key, moment, name = ec.generate_private_key(ec.SECP384R1()), now(), _name("Zegel Development Root 2")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - BACKDATE)
        .not_valid_after(moment + ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    return KeyedCertificate(key, (certificate,))


def _issue(
    issuer: KeyedCertificate,
    name: x509.Name,
    lifetime: dt.timedelta,
    extensions: Extensions,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> KeyedCertificate:
    key, moment = key or ec.generate_private_key(ec.SECP256R1()), now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - BACKDATE)
        .not_valid_after(min(moment + lifetime, issuer.certificate.not_valid_after_utc))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issued_by(issuer), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return KeyedCertificate(key, (builder.sign(issuer.key, issuer.hash_algorithm), *issuer.certificates))


def _issue_leaf(
    issuer: KeyedCertificate, name: x509.Name, lifetime: dt.timedelta, extensions: Extensions
) -> KeyedCertificate:
    return _issue(issuer, name, lifetime, [(x509.BasicConstraints(ca=False, path_length=None), True), *extensions])


def _issue_issuer(root: KeyedCertificate, common_name: str, extensions: Extensions = ()) -> KeyedCertificate:
    return _issue(
        root,
        _name(common_name),
        ISSUER_LIFETIME,
        [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_key_usage("key_cert_sign", "crl_sign"), True),
            *extensions,
        ],
        ec.generate_private_key(ec.SECP384R1()),
    )


def make_issuer(root: KeyedCertificate) -> KeyedCertificate:
    """Creates the CA for all leaves except timestamp certificates.

    Args:
        root: The root that certifies it.
    """
    return _issue_issuer(root, "Zegel Development CA")


def make_timestamp_issuer(root: KeyedCertificate) -> KeyedCertificate:
    """Creates the CA that certifies timestamp authorities and nothing else.

    Real authorities keep the two apart for this reason: whoever steals the key that certifies seals cannot certify a
    timestamp authority.

    Args:
        root: The root that certifies it.
    """
    only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    return _issue_issuer(root, "Zegel Development Timestamp CA", [(only, False)])


def make_tls(issuer: KeyedCertificate, names: Sequence[str]) -> KeyedCertificate:
    """Creates the server's TLS certificate.

    Args:
        issuer: The CA that certifies it.
        names: DNS names and IP addresses, besides the loopback ones.
    """
    return _issue_leaf(
        issuer,
        _name("localhost"),
        TLS_LIFETIME,
        [
            (_key_usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (general_names(names), False),
        ],
    )


def make_seal(issuer: KeyedCertificate, organisation: str) -> KeyedCertificate:
    """Creates the organisation's seal certificate.

    Args:
        issuer: The CA that certifies it.
        organisation: The organisation's name in the certificate.
    """
    responder = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(OCSP_URL))
    return _issue_leaf(
        issuer,
        _name(f"{organisation} seal", organisation),
        SEAL_LIFETIME,
        [
            (_key_usage("digital_signature", "content_commitment"), True),
            (x509.AuthorityInformationAccess([responder]), False),
        ],
    )


def make_timestamp(issuer: KeyedCertificate) -> KeyedCertificate:
    """Creates the timestamp authority's certificate.

    Args:
        issuer: The CA that certifies it.
    """
    return _issue_leaf(
        issuer,
        _name("Zegel Development Timestamps"),
        TIMESTAMP_LIFETIME,
        [
            (_key_usage("digital_signature"), True),
            # RFC 3161, 2.3: exactly this one purpose, and critical
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
        ],
    )


def make_responder(issuer: KeyedCertificate) -> KeyedCertificate:
    """Creates the certificate of the OCSP responder that the issuer delegates to (RFC 6960, 4.2.2.2).

    Args:
        issuer: The CA for whose certificates it answers.
    """
    return _issue_leaf(
        issuer,
        _name("Zegel Development OCSP"),
        OCSP_LIFETIME,
        [
            (_key_usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
            (x509.OCSPNoCheck(), False),
        ],
    )


def make_crl(issuer: KeyedCertificate, lifetime: dt.timedelta) -> bytes:
    """Creates an empty revocation list: a development authority revokes nothing.

    Args:
        issuer: The CA whose certificates it covers.
        lifetime: How long it is valid.

    Returns:
        DER.
    """
    moment = now()
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(moment - BACKDATE)
        .next_update(moment + lifetime)
        .add_extension(x509.CRLNumber(int(moment.timestamp())), critical=False)
        .add_extension(_issued_by(issuer), critical=False)
        .sign(issuer.key, issuer.hash_algorithm)
    )
    return crl.public_bytes(serialization.Encoding.DER)


def general_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    """The names of a TLS certificate.

    Args:
        names: DNS names and IP addresses, besides the loopback ones.
    """
    general: list[x509.GeneralName] = []
    for name in dict.fromkeys((*LOOPBACK_NAMES, *names)):
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(general)
