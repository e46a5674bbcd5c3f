"""What the authorities of seal and timestamps say about revocation: their lists, and OCSP answers about the seal."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry, Counter, Gauge

from zegel_server import clock
from zegel_server.credentials.following import Followed
from zegel_server.credentials.ocsp import Answer, NotGoodError, Responder, check_response, make_request
from zegel_server.errors import Unavailable

_log = structlog.get_logger("zegel.credentials")


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
        self._expired = False
        self._next_update = Gauge(
            "zegel_revocation_list_next_update_seconds",
            "Unix time after which nothing is sealed unless the revocation lists are renewed; 0 for never.",
            registry=registry,
        )
        self._followed = Followed(
            "revocation list",
            self._paths,
            self._parse,
            (
                "zegel_revocation_list_failures",
                "How often the revocation lists to embed could not be read again; the last good ones stay in use.",
            ),
            registry,
        )

    def current(self) -> tuple[bytes, ...]:
        """The lists, DER: the last good ones while a file cannot be read, for example while it is being written.

        Raises:
            Unavailable: One of them is past its next update (``REVOCATION_LIST_EXPIRED``); the message names its file.
        """
        lists = self._refresh()
        if self._expired:
            raise Unavailable(
                "A revocation list of the seal is past its next update; nothing is sealed until it is renewed.",
                reason="REVOCATION_LIST_EXPIRED",
            )
        return (*self._own(), *(each.public_bytes(Encoding.DER) for each in lists))

    async def keep_up(self) -> None:
        """Reads the lists again if due, so that the operator learns of a problem before somebody signs."""
        self._refresh()
        await asyncio.to_thread(self._own)  # renewing writes files, and may wait for another process

    def _refresh(self) -> Sequence[x509.CertificateRevocationList]:
        lists = self._followed.current()
        now = clock.to_datetime(clock.now())
        expired = [
            str(path)
            for path, each in zip(self._paths, lists, strict=True)
            if each.next_update_utc is not None and now >= each.next_update_utc
        ]
        if expired and not self._expired:
            _log.error("a revocation list is past its next update: nothing is sealed", file=expired[0])
        self._expired = bool(expired)
        return lists

    def _parse(self, contents: Sequence[bytes]) -> Sequence[x509.CertificateRevocationList]:
        lists = [_crl(each) for each in contents]
        ends = [int(each.next_update_utc.timestamp()) for each in lists if each.next_update_utc is not None]
        self._next_update.set(min(ends, default=0))
        return lists


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
        self._about = (responder, certificate, issuer)
        self._forget()
        self._failures = Counter(
            "zegel_ocsp_failures",
            "How often the OCSP responder gave no good answer about the seal; the last good one stays in use.",
            registry=registry,
        )

    def about(self, responder: Responder, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        """Says whom to ask about which certificate from now on; an answer about another one is dropped.

        Args:
            responder: The OCSP responder.
            certificate: The seal's certificate.
            issuer: The certificate of its issuer.
        """
        if certificate != self._about[1]:
            self._forget()
        self._about = (responder, certificate, issuer)

    def _forget(self) -> None:
        self._answer: Answer | None = None
        self._why = Unavailable(
            "The OCSP responder has not been asked yet about the seal's certificate.", reason="REVOCATION_LIST_EXPIRED"
        )
        self._failing = False

    def current(self) -> tuple[bytes, ...]:
        """The answer, DER.

        Raises:
            Unavailable: There is no usable answer; the message says why. ``SEAL_CERTIFICATE_REVOKED`` where the issuer
                says so, ``REVOCATION_LIST_EXPIRED`` otherwise.
        """
        if self._answer is None or clock.to_datetime(clock.now()) >= self._answer.until:
            raise Unavailable(str(self._why), reason=self._why.reason)
        return (self._answer.data,)

    async def keep_up(self) -> None:
        """Asks again if due; failures of the responder are not raised."""
        now = clock.to_datetime(clock.now())
        if self._answer is not None and now < self._answer.since + (self._answer.until - self._answer.since) / 2:
            return
        about = responder, certificate, issuer = self._about
        try:
            data = await responder.respond(make_request(certificate, issuer))
            answer = check_response(data, certificate, issuer, clock.to_datetime(clock.now()))
        except Unavailable as error:
            self._failures.inc()
            if about is not self._about:
                return  # another certificate seals by now
            if isinstance(error, NotGoodError):
                self._answer = None
            if not self._failing or str(error) != str(self._why):
                _log.warning("no good OCSP answer about the seal", why=str(error))
            self._failing, self._why = True, error
        else:
            if about is not self._about:
                return
            if self._failing:
                _log.info("the OCSP responder answers again")
            self._failing, self._answer = False, answer
