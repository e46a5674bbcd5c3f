"""The server's credentials: its TLS certificate, the organisation's seal, and the timestamp authority.

In development the development authority creates all three at the first start; otherwise the operator configures them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry, Counter, Gauge

from zegel_server import clock
from zegel_server.config import Settings
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.keyed_certificate import KeyedCertificate, SealIdentity
from zegel_server.credentials.ocsp import (
    Answer,
    HttpOcspResponder,
    LocalOcspResponder,
    NotGoodError,
    Responder,
    check_response,
    make_request,
    responder_url,
)
from zegel_server.credentials.timestamping import HttpTimestampAuthority, LocalTimestampAuthority, TimestampAuthority
from zegel_server.edge.tls import Tls
from zegel_server.errors import Unavailable
from zegel_server.neighbours.calls import NeighbourMetrics

AUTHORITY_FOLDER: Final = "authority"
"""The development authority's folder, under ``data_dir``."""

NAMED_RESPONDER: Final = "named"
"""Setting: ask the responder that the seal's certificate names."""

_log = structlog.get_logger("zegel.credentials")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The server's credentials.

    Attributes:
        tls: Provides the server's certificate, read at the start and for each new connection.
        seal: The organisation's seal.
        timestamps: The timestamp authority.
        certificates: Further certificates to embed, DER: the timestamp authority's chain and the roots.
        revocation_lists: The revocation lists to embed.
        ocsp_answers: Returns the current OCSP answers to embed, DER; raises ``Unavailable`` if there should be one and
            there is none.
        keep_up: Renews what is valid for days or hours only, so that the operator learns of a problem before somebody
            signs.
        authority: The file with the development authority's certificate, or ``None``.
    """

    tls: Callable[[], Tls]
    seal: SealIdentity
    timestamps: TimestampAuthority
    certificates: tuple[bytes, ...]
    revocation_lists: "RevocationLists"
    ocsp_answers: Callable[[], Sequence[bytes]]
    keep_up: Callable[[], Awaitable[None]]
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
    if settings.seal_certificate is not None and settings.seal_key is not None:
        seal = KeyedCertificate.from_pem_files(settings.seal_certificate, settings.seal_key)
    elif authority is not None:
        seal = authority.seal
    else:
        message = "seal_certificate is needed"
        raise ValueError(message)
    timestamps: TimestampAuthority
    if settings.timestamp_url:
        timestamps = HttpTimestampAuthority(settings.timestamp_url, metrics=metrics)
    elif authority is not None:
        timestamps = LocalTimestampAuthority(authority.timestamp)
    else:
        message = "timestamp_url is needed"
        raise ValueError(message)
    embedded = [*(authority.timestamp.chain if authority else ()), *_certificates(settings.seal_trust)]
    lists = RevocationLists(settings.seal_crls, (lambda: authority.crls) if authority else tuple, registry)
    answers = _answers(settings, authority, seal, registry, metrics)

    async def keep_up() -> None:
        await lists.keep_up()
        if isinstance(answers, OcspAnswers):
            await answers.keep_up()

    return Credentials(
        tls=lambda: _tls(settings, authority),
        seal=seal,
        timestamps=timestamps,
        certificates=tuple(embedded),
        revocation_lists=lists,
        ocsp_answers=answers.current if isinstance(answers, OcspAnswers) else answers,
        keep_up=keep_up,
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


def _answers(
    settings: Settings,
    authority: DevelopmentAuthority | None,
    seal: KeyedCertificate,
    registry: CollectorRegistry | None,
    metrics: NeighbourMetrics | None,
) -> "OcspAnswers | Callable[[], Sequence[bytes]]":
    if settings.seal_ocsp:
        if len(seal.certificates) == 1:
            message = "seal_ocsp needs the issuer's certificate after the seal's own in seal_certificate"
            raise ValueError(message)
        url = responder_url(seal.certificate) if settings.seal_ocsp == NAMED_RESPONDER else settings.seal_ocsp
        return OcspAnswers(HttpOcspResponder(url, metrics=metrics), seal.certificate, seal.certificates[1], registry)
    if authority is not None and seal is authority.seal:
        responder = LocalOcspResponder(lambda: authority.responder, [seal.certificate])
        return lambda: (responder.answer(seal.certificate),)
    return tuple


def _certificates(paths: list[Path]) -> list[bytes]:
    return [
        certificate.public_bytes(Encoding.DER)
        for path in paths
        for certificate in x509.load_pem_x509_certificates(path.read_bytes())
    ]


class RevocationLists:
    """The revocation lists to embed, read again whenever one of their files has changed.

    If a file cannot be read, the last good lists stay in use, and that is logged and counted. A list past its next
    update is no longer used: validators must treat the status of what it covers as undetermined (RFC 5280, 6.3.3 (a)),
    so nothing is sealed with it; requests wait and are tried again, as without a timestamp.

    Args:
        paths: The lists' files, DER or PEM.
        own: Returns further current lists, DER, placed before the others; their provider keeps them valid.
        registry: The metrics registry; ``None`` for no metrics.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file does not contain a revocation list.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        own: Callable[[], Sequence[bytes]] = tuple,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._own = own
        self._failing = self._expired = False
        self._at = Path()  # the file being read, to name it in the log if it fails
        self._failures = Counter(
            "zegel_revocation_list_failures",
            "How often the revocation lists to embed could not be read again; the last good ones stay in use.",
            registry=registry,
        )
        self._next_update = Gauge(
            "zegel_revocation_list_next_update_seconds",
            "Unix time after which nothing is sealed unless the revocation lists are renewed; 0 for never.",
            registry=registry,
        )
        self._marks = self._look()
        self._take(self._read())

    def current(self) -> tuple[bytes, ...]:
        """The lists, DER: the last good ones while a file cannot be read, for example while it is being written.

        Raises:
            Unavailable: One of them is past its next update (``REVOCATION_LIST_EXPIRED``).
        """
        self._refresh()
        if self._expired:
            raise Unavailable(
                "A revocation list of the seal is past its next update; nothing is sealed until it is renewed.",
                reason="REVOCATION_LIST_EXPIRED",
            )
        return (*self._own(), *self._lists)

    async def keep_up(self) -> None:
        """Reads the lists again if due, so that the operator learns of a problem before somebody signs."""
        self._refresh()
        await asyncio.to_thread(self._own)  # renewing writes files, and may wait for another process

    def _refresh(self) -> None:
        try:
            marks = self._look()
            if marks != self._marks:
                self._take(self._read())
                self._marks = marks
        except (OSError, ValueError) as error:
            self._failures.inc()
            if not self._failing:
                _log.warning("revocation list not read", file=str(self._at), error=type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                _log.info("revocation lists read again")
            self._failing = False
        expired = self._until is not None and clock.now() >= self._until
        if expired and not self._expired:
            _log.error("a revocation list is past its next update: nothing is sealed")
        self._expired = expired

    def _take(self, lists: Sequence[x509.CertificateRevocationList]) -> None:
        self._lists = tuple(each.public_bytes(Encoding.DER) for each in lists)
        ends = [int(each.next_update_utc.timestamp()) for each in lists if each.next_update_utc is not None]
        self._until = min(ends) * clock.SECOND if ends else None
        self._next_update.set(min(ends, default=0))

    def _look(self) -> list[tuple[int, int, int]]:
        found = [path.stat() for path in self._each()]
        return [(each.st_mtime_ns, each.st_size, each.st_ino) for each in found]

    def _read(self) -> list[x509.CertificateRevocationList]:
        return [_crl(path.read_bytes()) for path in self._each()]

    def _each(self) -> Iterator[Path]:
        for path in self._paths:
            self._at = path
            yield path


def _crl(data: bytes) -> x509.CertificateRevocationList:
    load = x509.load_pem_x509_crl if data.startswith(b"-----") else x509.load_der_x509_crl
    return load(data)


class OcspAnswers:
    """The responder's answer about the seal's certificate, requested again once half of its validity is over.

    While the responder gives none, the last good answer stays in use, and that is logged and counted; once it says that
    the certificate is not good, no answer is used. Without a usable answer nothing is sealed: requests wait and are
    tried again, as without a timestamp.

    Args:
        responder: The OCSP responder.
        certificate: The seal's certificate.
        issuer: The certificate of its issuer.
        registry: The metrics registry; ``None`` for no metrics.
    """

    def __init__(
        self,
        responder: Responder,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._responder = responder
        self._certificate = certificate
        self._issuer = issuer
        self._answer: Answer | None = None
        self._why = "The OCSP responder has not been asked yet about the seal's certificate."
        self._failing = False
        self._failures = Counter(
            "zegel_ocsp_failures",
            "How often the OCSP responder gave no good answer about the seal; the last good one stays in use.",
            registry=registry,
        )

    def current(self) -> tuple[bytes, ...]:
        """The answer, DER.

        Raises:
            Unavailable: There is no usable answer (``REVOCATION_LIST_EXPIRED``); the message says why.
        """
        if self._answer is None or clock.to_datetime(clock.now()) >= self._answer.until:
            raise Unavailable(self._why, reason="REVOCATION_LIST_EXPIRED")
        return (self._answer.data,)

    async def keep_up(self) -> None:
        """Asks again if due; failures of the responder are not raised."""
        now = clock.to_datetime(clock.now())
        if self._answer is not None and now < self._answer.since + (self._answer.until - self._answer.since) / 2:
            return
        try:
            data = await self._responder.respond(make_request(self._certificate, self._issuer))
            self._answer = check_response(data, self._certificate, self._issuer, clock.to_datetime(clock.now()))
        except Unavailable as error:
            self._failures.inc()
            if isinstance(error, NotGoodError):
                self._answer = None
            if not self._failing or str(error) != self._why:
                _log.warning("no good OCSP answer about the seal", why=str(error))
            self._failing, self._why = True, str(error)
        else:
            if self._failing:
                _log.info("the OCSP responder answers again")
            self._failing = False
