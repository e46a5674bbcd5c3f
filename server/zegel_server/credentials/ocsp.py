"""Whether the seal's certificate is good according to its issuer (OCSP, RFC 6960): asked by URL, or answered here.

Invariants:

* An answer is used only if it is about this certificate, signed by its issuer or a responder that the issuer certified,
  valid at this moment, and *good*. Anything else is refused with its reason, and nothing is sealed with it.
* An answer takes bounded time and memory, and redirects are not followed.
"""

import datetime as dt
import urllib.parse
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from asn1crypto import keys
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.errors import Unavailable
from zegel_server.neighbours import http
from zegel_server.neighbours.calls import Neighbour, NeighbourMetrics

MAX_RESPONSE_BYTES: Final = 64 * 1024
"""An answer with its responder's certificate takes about 2 KB."""

ASK_S: Final = 10.0
"""Seconds that a responder may take for a whole answer; after that it is asked again later."""

SKEW: Final = dt.timedelta(minutes=5)
"""How far a responder's clock may be ahead of ours."""

UNTOLD_LIFETIME: Final = dt.timedelta(minutes=30)
"""How long an answer without an end is used: its responder always has newer ones (RFC 6960, 4.2.2.1)."""

LOCAL_LIFETIME: Final = dt.timedelta(days=1)
"""How long the development authority's answers are valid."""

SIGNATURE_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
"""The hashes that a responder may sign with (ETSI TS 119 312)."""


class NotGoodError(Unavailable):
    """The issuer itself says that the certificate is revoked or unknown."""


def _unavailable(message: str) -> Unavailable:
    # The contract has one reason for revocation data that is no longer, or not yet, there: the next may be at any time.
    return Unavailable(message, reason="REVOCATION_LIST_EXPIRED")


@dataclass(frozen=True, slots=True)
class Answer:
    """A checked answer.

    Attributes:
        data: The response, DER.
        since: Start of its validity.
        until: End of its validity.
    """

    data: bytes
    since: dt.datetime
    until: dt.datetime


class Responder(Protocol):
    """Something that answers OCSP requests."""

    async def respond(self, request_der: bytes) -> bytes:
        """Answer a request.

        Args:
            request_der: A DER ``OCSPRequest``.

        Returns:
            The response, unchecked: see :func:`check_response`.

        Raises:
            Unavailable: There was no response (``REVOCATION_LIST_EXPIRED``).
        """
        ...


def make_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """A request about one certificate, in a form that every responder understands.

    Args:
        certificate: The certificate whose status is asked.
        issuer: Its issuer's certificate.

    Returns:
        DER. The issuer is identified by SHA-1, because responders with prepared answers know no other hash (RFC 5019,
        2.1.1); no security depends on that hash.
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303 - a name
    return builder.build().public_bytes(Encoding.DER)


def responder_url(certificate: x509.Certificate) -> str:
    """The responder that a certificate names, or an empty string.

    Args:
        certificate: The certificate.
    """
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ""
    found = (each.access_location for each in access if each.access_method == AuthorityInformationAccessOID.OCSP)
    return next((each.value for each in found if isinstance(each, x509.UniformResourceIdentifier)), "")


def check_response(data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: dt.datetime) -> Answer:
    """Check that a response says that this certificate is good now.

    Args:
        data: The response, DER.
        certificate: The certificate whose status was asked.
        issuer: Its issuer's certificate.
        now: The present, with a time zone.

    Raises:
        NotGoodError: It says that the certificate is not good: ``SEAL_CERTIFICATE_REVOKED`` if it is revoked.
        Unavailable: It does not say that it is good (``REVOCATION_LIST_EXPIRED``); the message says why.
    """
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise _unavailable(f"The OCSP responder refused to answer ({response.response_status.name.lower()}).")
        found = [each for each in response.responses if _is_about(each, certificate, issuer)]
        _check_signature(response, issuer, now)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise _unavailable("The OCSP responder's answer is not signed on behalf of the seal's issuer.") from error
    if len(found) != 1:
        raise _unavailable("The OCSP responder's answer is not about the seal's certificate.")
    (single,) = found
    since = single.this_update_utc
    until = single.next_update_utc or since + UNTOLD_LIFETIME
    if since > now + SKEW or until <= now:
        raise _unavailable("The OCSP responder's answer is not valid now.")
    if single.certificate_status != ocsp.OCSPCertStatus.GOOD:
        status = single.certificate_status
        message = f"The OCSP responder says that the seal's certificate is {status.name.lower()}; nothing is sealed."
        revoked = status == ocsp.OCSPCertStatus.REVOKED
        raise NotGoodError(message, reason="SEAL_CERTIFICATE_REVOKED" if revoked else "REVOCATION_LIST_EXPIRED")
    return Answer(data, since, until)


def _is_about(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if single.serial_number != certificate.serial_number:
        return False
    name, key = _hashes(issuer, single.hash_algorithm)
    return (single.issuer_name_hash, single.issuer_key_hash) == (name, key)


def _hashes(issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """The hashes of an issuer's name and key that identify it in requests and responses (RFC 6960, 4.1.1)."""
    spki = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = bytes(keys.PublicKeyInfo.load(spki)["public_key"])
    return _digest(issuer.subject.public_bytes(), algorithm), _digest(key, algorithm)


def _digest(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    state = hashes.Hash(algorithm)
    state.update(data)
    return state.finalize()


def _check_signature(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: dt.datetime) -> None:
    """Check that the issuer signed it, or a responder that the issuer certified for that only (RFC 6960, 4.2.2.2)."""
    signer = next((each for each in response.certificates if _is_responder(each, response)), issuer)
    if signer != issuer:
        signer.verify_directly_issued_by(issuer)
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
            raise ValueError("not certified for answers")
        if not signer.not_valid_before_utc - SKEW <= now <= signer.not_valid_after_utc:
            raise ValueError("not valid now")
    algorithm, key = response.signature_hash_algorithm, signer.public_key()
    if not isinstance(algorithm, SIGNATURE_HASHES):
        raise TypeError("a weak hash")
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
    else:
        raise TypeError("another kind of key")


def _is_responder(certificate: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    if response.responder_name is not None:
        return certificate.subject == response.responder_name
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest == response.responder_key_hash


class HttpOcspResponder:
    """A responder behind a URL (RFC 6960, A.1).

    Args:
        url: ``http://...`` or ``https://...``; the answer is signed, so certificates usually name plain HTTP.
        timeout: Seconds for a whole answer.
        metrics: Where it is told how the responder does.

    Raises:
        ValueError: Not an HTTP URL.
    """

    def __init__(self, url: str, timeout: float = ASK_S, metrics: NeighbourMetrics | None = None) -> None:
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("an OCSP responder's URL begins with http:// or https://")
        self._url = url
        self._neighbour = Neighbour(
            "ocsp_responder", lambda why: _unavailable(f"The OCSP responder {why}."), timeout, metrics=metrics
        )

    async def respond(self, request_der: bytes) -> bytes:
        """Post the request and return what came back; see :class:`Responder`."""
        headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}

        async def post() -> bytes:
            answer = await http.ask("POST", self._url, data=request_der, headers=headers, max_bytes=MAX_RESPONSE_BYTES)
            return answer.body

        return await self._neighbour.call(post)


class LocalOcspResponder:
    """The development authority's own responder.

    Args:
        identity: Returns the responder's current certificate and key, followed by the issuer's certificate.
        issued: The certificates that it reports as good; every other is *unknown*.
        clock: Returns the present time with a time zone; replaced only by tests.
    """

    def __init__(
        self,
        identity: Callable[[], KeyedCertificate],
        issued: Collection[x509.Certificate],
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._identity = identity
        self._issued = {each.serial_number for each in issued}
        self._clock = clock

    def answer(self, certificate: x509.Certificate) -> bytes:
        """Makes a fresh answer about a certificate.

        Args:
            certificate: A certificate of the issuer.

        Returns:
            DER.
        """
        return self.respond(make_request(certificate, self._identity().certificates[1]))

    def respond(self, request_der: bytes) -> bytes:
        """Answer a request as the server side of RFC 6960 does: every input gets an ``OCSPResponse``.

        Args:
            request_der: A DER ``OCSPRequest`` about one certificate.

        Returns:
            DER.
        """
        identity = self._identity()
        try:
            request = ocsp.load_der_ocsp_request(request_der)
            mine = _hashes(identity.certificates[1], request.hash_algorithm)
            if (request.issuer_name_hash, request.issuer_key_hash) != mine:
                return _refusal(ocsp.OCSPResponseStatus.UNAUTHORIZED)
            return self._signed(identity, request)
        except (ValueError, TypeError, UnsupportedAlgorithm, NotImplementedError):  # the last: several asked about
            return _refusal(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)

    def _signed(self, identity: KeyedCertificate, request: ocsp.OCSPRequest) -> bytes:
        known = request.serial_number in self._issued
        moment = self._clock().astimezone(dt.UTC).replace(microsecond=0)
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                request.issuer_name_hash,
                request.issuer_key_hash,
                request.serial_number,
                request.hash_algorithm,
                ocsp.OCSPCertStatus.GOOD if known else ocsp.OCSPCertStatus.UNKNOWN,
                moment,
                moment + LOCAL_LIFETIME,
                None,
                None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, identity.certificate)
            .certificates([identity.certificate])
        )
        for extension in request.extensions:
            if isinstance(extension.value, x509.OCSPNonce):  # RFC 9654: returned to show that the answer is fresh
                builder = builder.add_extension(extension.value, critical=False)
        return builder.sign(identity.key, identity.hash_algorithm).public_bytes(Encoding.DER)


def _refusal(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
