"""The development authority: certificates for TLS, the seal and timestamps, made on first start.

Nothing has to be set up. It stands in for what an organisation buys or runs (a seal certificate of a trust service
provider, a timestamp authority); a file it sealed is exactly as checkable, by whoever chooses to trust its root.

Invariants:

* The folder is 0700 and every file that holds a key 0600.
* A key and its certificate are one file, replaced by rename: however a process ends, the pair belongs together.
* One process at a time makes or renews anything (an advisory lock); a second one then reads what the first has made.
* The root is never replaced: files sealed under it would lose their trust. Leaves and CRL are, in good time.
* A leaf of another root, or one that cannot be read, is made anew; a root that cannot be read stops the start.
"""

import datetime as dt
import fcntl
import ipaddress
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zegel_server.pdf.identity import KeyedCertificate

ORGANISATION = "Zegel Development"
"""Says in every certificate that it is not an organisation's real one."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names the TLS certificate always has."""

YEAR = dt.timedelta(days=365)
ROOT_LIFETIME = 30 * YEAR
"""Outlives every leaf that may ever be issued in the life of a development installation."""

TIMESTAMP_LIFETIME, TIMESTAMP_RENEW_BEFORE = 12 * YEAR, 11 * YEAR
"""A sealed file verifies offline as long as its last timestamp's certificate lives: eleven years at least."""

CRL_LIFETIME, CRL_RENEW_BEFORE = 12 * YEAR, 11 * YEAR
"""The embedded CRL bounds offline verification in the same way; a development authority revokes nothing."""

SEAL_LIFETIME, SEAL_RENEW_BEFORE = 3 * YEAR, YEAR / 4
"""A seal's certificate only has to be good when it seals: the timestamps carry it from there."""

TLS_LIFETIME, TLS_RENEW_BEFORE = YEAR, YEAR / 4
"""Common TLS clients refuse server certificates that live much longer than a year."""

BACKDATE = dt.timedelta(minutes=5)
"""Clients whose clock is a little behind accept a fresh certificate."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace ``path`` as one step that a crash leaves wholly done or wholly undone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # closing lets go of the lock, as the kernel does for a process that is killed


def _load(path: Path) -> KeyedCertificate | None:
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    return KeyedCertificate.from_pem(pem, pem)


def _name(common_name: str, organisation: str) -> x509.Name:
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


def _make_root() -> KeyedCertificate:
    key, now, name = ec.generate_private_key(ec.SECP384R1()), _now(), _name("Zegel Development Root", ORGANISATION)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    return KeyedCertificate(key, (certificate,))


def _issue(
    root: KeyedCertificate,
    name: x509.Name,
    lifetime: dt.timedelta,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> KeyedCertificate:
    key, now = ec.generate_private_key(ec.SECP256R1()), _now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.certificate.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return KeyedCertificate(key, (builder.sign(root.key, root.hash_algorithm), root.certificate))


def _make_crl(root: KeyedCertificate) -> bytes:
    now = _now()
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.subject)
        .last_update(now - BACKDATE)
        .next_update(now + CRL_LIFETIME)
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.certificate.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .sign(root.key, root.hash_algorithm)
    )
    return crl.public_bytes(serialization.Encoding.DER)


def _general_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    general: list[x509.GeneralName] = []
    for name in dict.fromkeys((*LOOPBACK_NAMES, *names)):
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(general)


@dataclass(frozen=True)
class DevelopmentAuthority:
    """What the authority's folder holds, loaded.

    Args:
        root: Signs the others; nothing outside this module needs its key.
        tls: For the server's own TLS.
        seal: The organisation's seal; a ``SealIdentity``.
        timestamp: For ``timestamping.LocalTimestampAuthority``.
        crls: The root's certificate revocation list, DER.
    """

    root: KeyedCertificate
    tls: KeyedCertificate
    seal: KeyedCertificate
    timestamp: KeyedCertificate
    crls: tuple[bytes, ...]

    @classmethod
    def open(cls, folder: Path, names: Sequence[str] = (), organisation: str = ORGANISATION) -> Self:
        """Load the authority from ``folder``, making or renewing what is missing or about to expire.

        Args:
            folder: Where it lives; made if absent. ``authority.pem`` in it is the root for others to trust.
            names: DNS names and IP addresses for the TLS certificate, beside the loopback's.
            organisation: The organisation that the seal's certificate names.

        Raises:
            ValueError: The root's file is damaged. It is not replaced, for sealed files depend on it.
            OSError: The folder cannot be written.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with _locked(folder):
            for stale in folder.glob(".*.[0-9]*"):  # what a process killed in the middle of a write has left
                stale.unlink(missing_ok=True)
            root = _load(folder / "root.pem")
            if root is None:
                root = _make_root()
                _write(folder / "root.pem", root.key_pem + root.certificate_pem, 0o600)
            public = folder / "authority.pem"
            if not public.exists() or public.read_bytes() != root.certificate_pem:
                _write(public, root.certificate_pem, 0o644)
            return cls(
                root=root,
                tls=_leaf(folder / "tls.pem", root, TLS_RENEW_BEFORE, lambda: _tls(root, names), _general_names(names)),
                seal=_leaf(folder / "seal.pem", root, SEAL_RENEW_BEFORE, lambda: _seal(root, organisation)),
                timestamp=_leaf(folder / "timestamp.pem", root, TIMESTAMP_RENEW_BEFORE, lambda: _timestamp(root)),
                crls=(_current_crl(folder / "root.crl", root),),
            )

    @property
    def root_pem(self) -> bytes:
        """The root's certificate, PEM: what clients and verifiers are given to trust."""
        return self.root.certificate_pem

    @property
    def tls_certificate_pem(self) -> bytes:
        """The server's certificate and its issuer, PEM."""
        return self.tls.certificate_pem

    @property
    def tls_key_pem(self) -> bytes:
        """The server's private key, PEM."""
        return self.tls.key_pem


def _tls(root: KeyedCertificate, names: Sequence[str]) -> KeyedCertificate:
    return _issue(
        root,
        _name("localhost", ORGANISATION),
        TLS_LIFETIME,
        [
            (_key_usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (_general_names(names), False),
        ],
    )


def _seal(root: KeyedCertificate, organisation: str) -> KeyedCertificate:
    return _issue(
        root,
        _name(f"{organisation} seal", organisation),
        SEAL_LIFETIME,
        [(_key_usage("digital_signature", "content_commitment"), True)],
    )


def _timestamp(root: KeyedCertificate) -> KeyedCertificate:
    return _issue(
        root,
        _name("Zegel Development Timestamps", ORGANISATION),
        TIMESTAMP_LIFETIME,
        [
            (_key_usage("digital_signature"), True),
            # RFC 3161, 2.3: exactly this one purpose, and critical
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
        ],
    )


def _leaf(
    path: Path,
    root: KeyedCertificate,
    renew_before: dt.timedelta,
    make: Callable[[], KeyedCertificate],
    names: x509.SubjectAlternativeName | None = None,
) -> KeyedCertificate:
    """The leaf at ``path``, or a new one where that is missing, damaged, another root's, too old or of other names."""
    try:
        leaf = _load(path)
    except (ValueError, TypeError):
        leaf = None
    if leaf is not None and _is_good(leaf.certificate, root, renew_before, names):
        return leaf
    leaf = make()
    _write(path, leaf.key_pem + leaf.certificate_pem, 0o600)
    return leaf


def _is_good(
    certificate: x509.Certificate,
    root: KeyedCertificate,
    renew_before: dt.timedelta,
    names: x509.SubjectAlternativeName | None,
) -> bool:
    try:
        certificate.verify_directly_issued_by(root.certificate)
    except Exception:  # noqa: BLE001 - InvalidSignature, ValueError, TypeError: whatever it is, it is not ours
        return False
    if certificate.not_valid_after_utc - renew_before <= _now():
        return False
    return names is None or certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names


def _current_crl(path: Path, root: KeyedCertificate) -> bytes:
    try:
        data = path.read_bytes()
        crl = x509.load_der_x509_crl(data)
        good = crl.is_signature_valid(root.certificate.public_key())  # type: ignore[arg-type]
        if good and crl.next_update_utc is not None and crl.next_update_utc - CRL_RENEW_BEFORE > _now():
            return data
    except (FileNotFoundError, ValueError):
        pass
    data = _make_crl(root)
    _write(path, data, 0o644)
    return data
