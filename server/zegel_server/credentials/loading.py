"""The server's credentials: its TLS certificate, the organisation's seal, and the timestamp authority.

In development the development authority creates all three at the first start; otherwise the operator configures them.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from zegel_server.config import Settings
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.following import Followed
from zegel_server.credentials.judging import SealMaterials
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.credentials.ocsp import HttpOcspResponder, LocalOcspResponder, responder_url
from zegel_server.credentials.revocation import OcspAnswers, RevocationLists
from zegel_server.credentials.sealing import SealingCredentials, renew_nothing
from zegel_server.credentials.timestamping import HttpTimestampAuthority, LocalTimestampAuthority, TimestampAuthority
from zegel_server.edge.tls import Tls
from zegel_server.errors import Unavailable
from zegel_server.neighbours.calls import NeighbourMetrics

AUTHORITY_FOLDER: Final = "authority"
"""The development authority's folder, under ``data_dir``."""

NAMED_RESPONDER: Final = "named"
"""Setting: ask the responder that the seal's certificate names."""

_SEAL_FAILURES: Final = (
    "zegel_seal_file_failures",
    "How often the seal's certificate and key could not be read again; the last good ones stay in use.",
)
_TRUST_FAILURES: Final = (
    "zegel_seal_trust_failures",
    "How often the certificates of seal_trust could not be read again; the last good ones stay in use.",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The server's credentials.

    Attributes:
        tls: Provides the server's certificate, read at the start and for each new connection.
        sealing: What the organisation seals with.
        authority: The file with the development authority's certificate, or ``None``.
    """

    tls: Callable[[], Tls]
    sealing: SealingCredentials
    authority: Path | None


def open_credentials(
    settings: Settings, registry: CollectorRegistry | None = None, metrics: NeighbourMetrics | None = None
) -> Credentials:
    """Loads the credentials that the settings name, and creates what development lacks.

    Args:
        settings: The installation's settings.
        registry: Where the metrics are kept; ``None`` for nowhere.
        metrics: Where it is told how the machines do that are asked.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: A file has unexpected contents.
    """
    authority = None
    if settings.development:
        # Created first, with its mode: a folder that is created implicitly as a parent would be open to everybody.
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = DevelopmentAuthority.open(settings.data_dir / AUTHORITY_FOLDER, settings.tls_names)
    read_seal = _seal(settings, authority, registry)
    timestamps: TimestampAuthority
    if settings.timestamp_url:
        timestamps = HttpTimestampAuthority(settings.timestamp_url, metrics=metrics)
    elif authority is not None:
        timestamps = LocalTimestampAuthority(authority.timestamp)
    else:
        message = "timestamp_url is needed"
        raise ValueError(message)
    own = authority.timestamp.chain if authority else ()
    trust = Followed("trusted certificate", settings.seal_trust, _certificates, _TRUST_FAILURES, registry)
    lists = RevocationLists(settings.seal_crls, (lambda: authority.crls) if authority else tuple, registry)
    read_answers, ask = _answers(settings, authority, read_seal, registry, metrics)

    def read() -> SealMaterials:
        return SealMaterials(read_seal(), (*own, *trust.current()), lists.current(), tuple(read_answers()))

    async def renew() -> None:
        await lists.keep_up()
        await ask()

    return Credentials(
        tls=lambda: _tls(settings, authority),
        sealing=SealingCredentials(read_seal, read, timestamps, renew, registry),
        authority=settings.data_dir / AUTHORITY_FOLDER / "authority.pem" if authority else None,
    )


def _seal(
    settings: Settings, authority: DevelopmentAuthority | None, registry: CollectorRegistry | None
) -> Callable[[], KeyedCertificate]:
    if settings.seal_certificate is not None and settings.seal_key is not None:
        paths = [settings.seal_certificate, settings.seal_key]
        # One after the other: until both are new they do not belong together, and the old ones seal.
        return Followed("seal", paths, lambda pem: KeyedCertificate.from_pem(*pem), _SEAL_FAILURES, registry).current
    if authority is not None:
        return lambda: authority.seal
    message = "seal_certificate is needed"
    raise ValueError(message)


def _tls(settings: Settings, authority: DevelopmentAuthority | None) -> Tls:
    client_authority = settings.tls_client_authority.read_bytes() if settings.tls_client_authority else None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        return Tls(settings.tls_certificate.read_bytes(), settings.tls_key.read_bytes(), client_authority)
    if authority is None:
        message = "tls_certificate is needed"
        raise ValueError(message)
    return Tls(authority.tls_certificate_pem, authority.tls_key_pem, client_authority)


def _answers(
    settings: Settings,
    authority: DevelopmentAuthority | None,
    read_seal: Callable[[], KeyedCertificate],
    registry: CollectorRegistry | None,
    metrics: NeighbourMetrics | None,
) -> tuple[Callable[[], Sequence[bytes]], Callable[[], Awaitable[None]]]:
    """What gives the OCSP answers to embed, and what asks for them again when due."""
    if settings.seal_ocsp:
        return _asked_answers(settings.seal_ocsp, read_seal, registry, metrics)
    if authority is not None and read_seal() is authority.seal:
        responder = LocalOcspResponder(lambda: authority.responder, [authority.seal.certificate])
        return lambda: (responder.answer(authority.seal.certificate),), renew_nothing
    return tuple, renew_nothing


def _asked_answers(
    setting: str,
    read_seal: Callable[[], KeyedCertificate],
    registry: CollectorRegistry | None,
    metrics: NeighbourMetrics | None,
) -> tuple[Callable[[], Sequence[bytes]], Callable[[], Awaitable[None]]]:
    def about(seal: KeyedCertificate) -> tuple[HttpOcspResponder, x509.Certificate, x509.Certificate]:
        if len(seal.certificates) == 1:
            message = "seal_ocsp needs the issuer's certificate after the seal's own in seal_certificate"
            raise ValueError(message)
        url = responder_url(seal.certificate) if setting == NAMED_RESPONDER else setting
        return HttpOcspResponder(url, metrics=metrics), seal.certificate, seal.certificates[1]

    known = read_seal()
    answers = OcspAnswers(*about(known), registry)

    def follow() -> None:
        nonlocal known
        if (seal := read_seal()) is known:
            return
        try:
            answers.about(*about(seal))
        except ValueError as error:
            raise Unavailable(
                f"The new seal's status cannot be asked: {error}.", reason="SEAL_CHAIN_INCOMPLETE"
            ) from None
        known = seal

    def current() -> Sequence[bytes]:
        follow()
        return answers.current()

    async def ask() -> None:
        follow()
        await answers.keep_up()

    return current, ask


def _certificates(files: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(
        certificate.public_bytes(Encoding.DER)
        for file in files
        for certificate in x509.load_pem_x509_certificates(file)
    )
