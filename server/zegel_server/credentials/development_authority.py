"""The development authority: a root, two CAs under it, and the certificates that they issue, made at the first start.

Nothing has to be set up. It stands in for what an organisation buys or runs (a seal certificate from a trust service
provider, a timestamp authority), with the same structure, so that demo and tests see what production has::

    root ─┬─ CA ───────────── seal, TLS, OCSP responder     root's CRL: half a year
          └─ timestamp CA ─── timestamps                    CRL of each CA: a week, a new one each day

A file sealed under it verifies just like a real one, for anyone who chooses to trust its root.

Invariants:

* The folder has mode 0700 and every file with a key in it 0600.
* A key and its certificates are one file, replaced by rename: so the pair matches however a process ends.
* Only one process at a time creates or renews anything (an advisory lock); a second then reads what it made.
* The root is never replaced: files sealed under it would lose their trust. What is under it is replaced in good time,
  and what is valid for days only is renewed while the server runs.
* A certificate that is unreadable or has another issuer is replaced; an unreadable root stops the start.

Folders of version 0.1 and before: the root issued leaf certificates itself; its path length (0) forbids a CA under
it. It becomes ``root-1.pem``, a new root is created beside it, and ``authority.pem`` contains both: what was sealed
under the old one stays verifiable, and nothing new is issued under it.
"""

import datetime as dt
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from zegel_server.credentials import issuing
from zegel_server.credentials.issuing import DAY, ORGANISATION, YEAR
from zegel_server.credentials.keyed_certificate import KeyedCertificate

ISSUER_RENEW_BEFORE = 13 * YEAR
"""Replaced before a certificate under it could outlive it."""

TIMESTAMP_RENEW_BEFORE = 11 * YEAR
"""A file that is sealed now can be verified for at least this long."""

SEAL_RENEW_BEFORE = TLS_RENEW_BEFORE = YEAR / 4
"""Not starting the server for a quarter of a year does no harm."""

OCSP_RENEW_BEFORE = 20 * DAY
ROOT_CRL_RENEW_BEFORE = 120 * DAY
ISSUER_CRL_RENEW_BEFORE = 6 * DAY
"""An embedded list is valid for at least six more days, so the installation may be stopped for that long."""

OLD_ROOT = "root-1.pem"
"""The file name of an old root that may have no CA under it."""


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace ``path`` atomically, so that a crash leaves the old or the new file whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    _rename(temporary, path)


def _rename(old: Path, new: Path) -> None:
    old.replace(new)
    folder = os.open(new.parent, os.O_RDONLY)
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
        os.close(descriptor)  # closing releases the lock, as the kernel does for a killed process


def _load(path: Path) -> KeyedCertificate | None:
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    return KeyedCertificate.from_pem(pem, pem)


@dataclass(frozen=True, slots=True)
class _ShortLived:
    """What is valid for days only, and until when it need not be checked again."""

    responder: KeyedCertificate
    crls: tuple[bytes, ...]
    due: dt.datetime


@dataclass(frozen=True)
class DevelopmentAuthority:
    """The development authority, loaded from its folder.

    Args:
        folder: Where it is stored.
        root: Certifies the two CAs; nothing outside this module needs its key.
        old_root: The root of an earlier version, whose sealed files remain trusted.
        issuer: Certifies the seal and the TLS certificate.
        timestamp_issuer: Certifies timestamps.
        tls: For the server's own TLS.
        seal: The organisation's seal; a ``SealIdentity``.
        timestamp: For ``timestamping.LocalTimestampAuthority``.
    """

    folder: Path
    root: KeyedCertificate
    old_root: KeyedCertificate | None
    issuer: KeyedCertificate
    timestamp_issuer: KeyedCertificate
    tls: KeyedCertificate
    seal: KeyedCertificate
    timestamp: KeyedCertificate
    _short_lived: list[_ShortLived] = field(default_factory=list, repr=False)

    @classmethod
    def open(cls, folder: Path, names: Sequence[str] = (), organisation: str = ORGANISATION) -> Self:
        """Load the authority from ``folder``, making or renewing what is missing or about to expire.

        Args:
            folder: Where it is stored; created if absent. Others should trust ``authority.pem`` in it.
            names: DNS names and IP addresses for the TLS certificate, besides the loopback ones.
            organisation: The organisation that the seal's certificate names.

        Raises:
            ValueError: The root's file is damaged. It is not replaced, because sealed files depend on it.
            OSError: The folder cannot be written.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with _locked(folder):
            for stale in folder.glob(".*.[0-9]*"):  # left by a process that was killed during a write
                stale.unlink(missing_ok=True)
            root, old_root = _roots(folder)
            issuer = _kept(folder / "ca.pem", root, ISSUER_RENEW_BEFORE, issuing.make_issuer)
            timestamp_issuer = _kept(
                folder / "timestamp-ca.pem", root, ISSUER_RENEW_BEFORE, issuing.make_timestamp_issuer
            )
            opened = cls(
                folder=folder,
                root=root,
                old_root=old_root,
                issuer=issuer,
                timestamp_issuer=timestamp_issuer,
                tls=_kept(
                    folder / "tls.pem",
                    issuer,
                    TLS_RENEW_BEFORE,
                    lambda by: issuing.make_tls(by, names),
                    issuing.general_names(names),
                ),
                seal=_kept(
                    folder / "seal.pem", issuer, SEAL_RENEW_BEFORE, lambda by: issuing.make_seal(by, organisation)
                ),
                timestamp=_kept(
                    folder / "timestamp.pem", timestamp_issuer, TIMESTAMP_RENEW_BEFORE, issuing.make_timestamp
                ),
            )
            opened._renew()
            public = folder / "authority.pem"
            if not public.exists() or public.read_bytes() != opened.root_pem:
                _write(public, opened.root_pem, 0o644)
            return opened

    @property
    def root_pem(self) -> bytes:
        """The PEM that clients and verifiers trust: the root, followed by an earlier version's, if any."""
        roots = (self.root, self.old_root) if self.old_root else (self.root,)
        return b"".join(each.certificate.public_bytes(Encoding.PEM) for each in roots)

    @property
    def tls_certificate_pem(self) -> bytes:
        """The server's certificate and its issuers, PEM."""
        return self.tls.certificate_pem

    @property
    def tls_key_pem(self) -> bytes:
        """The server's private key, PEM."""
        return self.tls.key_pem

    @property
    def crls(self) -> tuple[bytes, ...]:
        """The revocation lists of the root, of the CA and of the timestamp CA, DER; renewed if due.

        Raises:
            OSError: A renewal is due, and the folder cannot be written.
        """
        return self._current().crls

    @property
    def responder(self) -> KeyedCertificate:
        """The OCSP responder's certificate, for ``ocsp.LocalOcspResponder``; renewed if due.

        Raises:
            OSError: A renewal is due, and the folder cannot be written.
        """
        return self._current().responder

    def _current(self) -> _ShortLived:
        if issuing.now() >= self._short_lived[0].due:
            with _locked(self.folder):
                self._renew()
        return self._short_lived[0]

    def _renew(self) -> None:
        """Under the lock, reads what another process has renewed, and creates the rest."""
        kept = [
            (self.root, "root.crl", issuing.ROOT_CRL_LIFETIME, ROOT_CRL_RENEW_BEFORE),
            (self.issuer, "ca.crl", issuing.ISSUER_CRL_LIFETIME, ISSUER_CRL_RENEW_BEFORE),
            (self.timestamp_issuer, "timestamp-ca.crl", issuing.ISSUER_CRL_LIFETIME, ISSUER_CRL_RENEW_BEFORE),
        ]
        crls, dues = [], []
        for issuer, name, lifetime, renew_before in kept:
            data, due = _kept_crl(self.folder / name, issuer, lifetime, renew_before)
            crls.append(data)
            dues.append(due)
        responder = _kept(self.folder / "ocsp.pem", self.issuer, OCSP_RENEW_BEFORE, issuing.make_responder)
        dues.append(responder.certificate.not_valid_after_utc - OCSP_RENEW_BEFORE)
        self._short_lived[:] = [_ShortLived(responder, tuple(crls), min(dues))]


def _roots(folder: Path) -> tuple[KeyedCertificate, KeyedCertificate | None]:
    """The root, and the one of an earlier version if there is one."""
    path = folder / "root.pem"
    root = _load(path)
    if root is not None and _path_length(root.certificate) == 0:
        _rename(path, folder / OLD_ROOT)
        root = None
    if root is None:
        root = issuing.make_root()
        _write(path, root.key_pem + root.certificate_pem, 0o600)
    return root, _load(folder / OLD_ROOT)


def _path_length(certificate: x509.Certificate) -> int | None:
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length


def _kept(
    path: Path,
    issuer: KeyedCertificate,
    renew_before: dt.timedelta,
    make: Callable[[KeyedCertificate], KeyedCertificate],
    names: x509.SubjectAlternativeName | None = None,
) -> KeyedCertificate:
    """The certificate at ``path``; a new one if it is missing, damaged, another issuer's, too old or misnamed."""
    try:
        kept = _load(path)
    except (ValueError, TypeError):
        kept = None
    if kept is not None and _is_good(kept, issuer, renew_before, names):
        return kept
    made = make(issuer)
    _write(path, made.key_pem + made.certificate_pem, 0o600)
    return made


def _is_good(
    kept: KeyedCertificate,
    issuer: KeyedCertificate,
    renew_before: dt.timedelta,
    names: x509.SubjectAlternativeName | None,
) -> bool:
    certificate = kept.certificate
    try:
        certificate.verify_directly_issued_by(issuer.certificate)
    except Exception:  # noqa: BLE001 - InvalidSignature, ValueError, TypeError: whatever it is, it is not ours
        return False
    if kept.certificates[1:] != issuer.certificates:
        return False
    if certificate.not_valid_after_utc - renew_before <= issuing.now():
        return False
    return names is None or certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names


def _kept_crl(
    path: Path, issuer: KeyedCertificate, lifetime: dt.timedelta, renew_before: dt.timedelta
) -> tuple[bytes, dt.datetime]:
    """The list at ``path``, or a new one if due, and when the next is due."""
    try:
        data = path.read_bytes()
        crl = x509.load_der_x509_crl(data)
        good = crl.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type]
        if good and crl.next_update_utc is not None and crl.next_update_utc - renew_before > issuing.now():
            return data, crl.next_update_utc - renew_before
    except (FileNotFoundError, ValueError):
        pass
    data = issuing.make_crl(issuer, lifetime)
    _write(path, data, 0o644)
    return data, issuing.now() + lifetime - renew_before
