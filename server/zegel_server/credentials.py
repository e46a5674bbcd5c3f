"""What the server shows and seals with: its TLS certificate, the organisation's seal, and who vouches for the time.

In development an authority of its own makes all three at the first start; otherwise the operator names them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from zegel_server.config import Settings
from zegel_server.pdf.authority import DevelopmentAuthority
from zegel_server.pdf.identity import KeyedCertificate, SealIdentity
from zegel_server.pdf.timestamping import HttpTimestampAuthority, LocalTimestampAuthority, TimestampAuthority
from zegel_server.rpc.server import Tls

AUTHORITY_FOLDER: Final = "authority"
"""Folder of the development authority, under ``data_dir``."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the server shows and seals with.

    Attributes:
        tls: Reads the server's certificate, at the start and for each new connection.
        seal: The organisation's seal.
        timestamps: Who vouches for the time.
        certificates: Further certificates to embed, DER: the timestamp authority's chain and the roots.
        read_crls: Reads the revocation lists to embed, DER, as they are now.
        authority: File of the development authority's certificate, or ``None``.
    """

    tls: Callable[[], Tls]
    seal: SealIdentity
    timestamps: TimestampAuthority
    certificates: tuple[bytes, ...]
    read_crls: Callable[[], tuple[bytes, ...]]
    authority: Path | None


def open_credentials(settings: Settings) -> Credentials:
    """Opens what the settings name, and makes what development lacks.

    Args:
        settings: The installation's settings.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: A file does not hold what it should.
    """
    authority = None
    if settings.development:
        # Here already, for it comes first: a folder that is made on the way to another gets everybody's permissions.
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = DevelopmentAuthority.open(settings.data_dir / AUTHORITY_FOLDER, settings.tls_names)
    if settings.seal_certificate is not None and settings.seal_key is not None:
        seal = KeyedCertificate.from_pem_files(settings.seal_certificate, settings.seal_key)
    elif authority is not None:
        seal = authority.seal
    else:
        message = "seal_certificate is needed"
        raise ValueError(message)
    timestamps: TimestampAuthority
    if settings.timestamp_url:
        timestamps = HttpTimestampAuthority(settings.timestamp_url)
    elif authority is not None:
        timestamps = LocalTimestampAuthority(authority.timestamp)
    else:
        message = "timestamp_url is needed"
        raise ValueError(message)
    embedded = [*(authority.timestamp.chain if authority else ()), *_certificates(settings.seal_trust)]
    return Credentials(
        tls=lambda: _tls(settings, authority),
        seal=seal,
        timestamps=timestamps,
        certificates=tuple(embedded),
        read_crls=RevocationLists(settings.seal_crls, authority.crls if authority else ()).current,
        authority=settings.data_dir / AUTHORITY_FOLDER / "authority.pem" if authority else None,
    )


def _tls(settings: Settings, authority: DevelopmentAuthority | None) -> Tls:
    client_authority = settings.tls_client_authority.read_bytes() if settings.tls_client_authority else None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        return Tls(settings.tls_certificate.read_bytes(), settings.tls_key.read_bytes(), client_authority)
    if authority is None:
        message = "tls_certificate is needed"
        raise ValueError(message)
    return Tls(authority.tls_certificate_pem, authority.tls_key_pem, client_authority)


def _certificates(paths: list[Path]) -> list[bytes]:
    return [
        certificate.public_bytes(Encoding.DER)
        for path in paths
        for certificate in x509.load_pem_x509_certificates(path.read_bytes())
    ]


class RevocationLists:
    """The revocation lists to embed, read again whenever one of their files has changed.

    Args:
        paths: Their files, DER or PEM.
        own: Lists that come before theirs, DER.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file holds no revocation list.
    """

    def __init__(self, paths: Sequence[Path], own: Sequence[bytes] = ()) -> None:
        self._paths = tuple(paths)
        self._own = tuple(own)
        self._marks = self._look()
        self._lists = self._read()

    def current(self) -> tuple[bytes, ...]:
        """The lists, DER: the last good ones while a file cannot be read, as while it is being written."""
        try:
            marks = self._look()
            if marks != self._marks:
                self._lists, self._marks = self._read(), marks
        except (OSError, ValueError):
            pass
        return self._lists

    def _look(self) -> list[tuple[int, int, int]]:
        found = [path.stat() for path in self._paths]
        return [(each.st_mtime_ns, each.st_size, each.st_ino) for each in found]

    def _read(self) -> tuple[bytes, ...]:
        return (*self._own, *map(_crl, self._paths))


def _crl(path: Path) -> bytes:
    data = path.read_bytes()
    load = x509.load_pem_x509_crl if data.startswith(b"-----") else x509.load_der_x509_crl
    return load(data).public_bytes(Encoding.DER)
