"""RFC 3161 timestamps: requested from an authority by URL, or made by the development authority.

Invariants:

* A time comes from a signed token or not at all: neither this module nor its callers ever write a bare time instead.
* A response is used only if it is granted and its token is about this request: same imprint, same nonce.
"""

import datetime as dt
import secrets
import urllib.parse
from collections.abc import Callable
from typing import ClassVar, Protocol

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes

from zegel_server.credentials.judging import StampedBy
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.errors import Unavailable
from zegel_server.neighbours import http
from zegel_server.neighbours.calls import Neighbour, NeighbourMetrics

MAX_RESPONSE_BYTES = 256 * 1024
"""A token with a whole chain takes about 8 KB; a longer answer is not a timestamp."""

DEFAULT_TIMEOUT = 10.0
"""Seconds. Authorities answer within one; otherwise the signature request waits in SEALING and is tried again."""

SERIAL_BITS = 128
"""RFC 3161 wants serial numbers unique even after a crash; random ones of this length need no stored counter."""

POLICY = "2.25.305947284519461178862396711207838452112"
"""The development authority's policy: an OID derived from a UUID, which promises nothing about its clock."""

DIGEST_BYTES = {"sha256": 32, "sha384": 48, "sha512": 64}
"""The hashes a request may use, and how long each is."""


class Response(core.Sequence):  # type: ignore[misc]
    """``TimeStampResp`` (RFC 3161, 2.4.2); asn1crypto's own class requires a token even in a refusal."""

    _fields: ClassVar[list[tuple[object, ...]]] = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


class TimestampAuthority(Protocol):
    """Something that answers RFC 3161 requests."""

    async def timestamp(self, request_der: bytes) -> bytes:
        """Answer a request.

        Args:
            request_der: A DER ``TimeStampReq``.

        Returns:
            A DER ``TimeStampResp``, granted, whose token has the request's imprint and nonce.

        Raises:
            Unavailable: ``TIMESTAMP_UNAVAILABLE``: there is no such answer now.
        """
        ...


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, reason="TIMESTAMP_UNAVAILABLE")


def check_response(request_der: bytes, response_der: bytes) -> None:
    """Check that a response is granted and is about this request (RFC 3161, 2.4.2).

    The token's signature is not checked here: the seal's own check after sealing does that, against the trust roots.

    Raises:
        Unavailable: ``TIMESTAMP_UNAVAILABLE``, with what is wrong.
    """
    try:
        request = tsp.TimeStampReq.load(request_der, strict=True)
        response = Response.load(response_der, strict=True)
        status = response["status"]["status"].native
        if status not in {"granted", "granted_with_mods"}:
            raise _unavailable(f"The timestamp authority refused the request ({status}).")
        info = response["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
        same_imprint = (
            info["message_imprint"]["hash_algorithm"]["algorithm"].native
            == request["message_imprint"]["hash_algorithm"]["algorithm"].native
            and info["message_imprint"]["hashed_message"].native == request["message_imprint"]["hashed_message"].native
        )
        same_nonce = info["nonce"].native == request["nonce"].native
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unavailable("The timestamp authority's answer is not an RFC 3161 response.") from error
    if not (same_imprint and same_nonce):
        raise _unavailable("The timestamp authority answered another request than ours.")


def stamped_by(response_der: bytes) -> StampedBy | None:
    """Whose certificate a timestamp was signed with, as it says itself; not checked.

    Args:
        response_der: A DER ``TimeStampResp`` that is granted.

    Returns:
        The certificate, and the others that came with it; ``None`` if the signer's is not among them.
    """
    try:
        signed = Response.load(response_der, strict=True)["time_stamp_token"]["content"]
        signer = signed["signer_infos"][0]["sid"].chosen
        found = [each.chosen for each in signed["certificates"] if each.name == "certificate"]
        own = next((each for each in found if _is_named(each, signer)), None)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
    if own is None:
        return None
    return StampedBy(own.dump(), tuple(each.dump() for each in found if each is not own))


def _is_named(certificate: asn1_x509.Certificate, signer: cms.IssuerAndSerialNumber | core.OctetString) -> bool:
    if isinstance(signer, cms.IssuerAndSerialNumber):
        named = (signer["issuer"], signer["serial_number"].native)
        return bool(named == (certificate.issuer, certificate.serial_number))
    return bool(signer.native == certificate.key_identifier)


class HttpTimestampAuthority:
    """A timestamp authority behind a URL (RFC 3161, 3.4).

    Args:
        url: ``https://...`` or ``http://...``; the token is signed, so plain HTTP only reveals the hash.
        timeout: Seconds for the whole of an answer.
        metrics: Where it is told how the authority does.

    Raises:
        ValueError: Not an HTTP URL.
    """

    def __init__(self, url: str, timeout: float = DEFAULT_TIMEOUT, metrics: NeighbourMetrics | None = None) -> None:
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("a timestamp authority's URL begins with https:// or http://")
        self._url = url
        self._neighbour = Neighbour(
            "timestamp_authority",
            lambda why: _unavailable(f"The timestamp authority {why}."),
            timeout,
            metrics=metrics,
        )

    async def timestamp(self, request_der: bytes) -> bytes:
        """Post the request and return the checked answer; see :class:`TimestampAuthority`."""
        return await self._neighbour.call(lambda: self._post(request_der))

    async def _post(self, request_der: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        answer = await http.ask("POST", self._url, data=request_der, headers=headers, max_bytes=MAX_RESPONSE_BYTES)
        check_response(request_der, answer.body)
        return answer.body


class LocalTimestampAuthority:
    """The development authority's own timestamps: real RFC 3161 tokens from this machine's clock.

    Args:
        identity: A certificate whose only, critical, extended key usage is ``timeStamping``.
        clock: Returns the present time with a time zone; replaced only by tests.
    """

    def __init__(
        self, identity: KeyedCertificate, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._certificate = asn1_x509.Certificate.load(identity.chain[0])

    async def timestamp(self, request_der: bytes) -> bytes:
        """Answer a request; see :class:`TimestampAuthority`.

        A malformed request, or one whose hash is not SHA-2, gets a ``rejection`` and thus ``Unavailable``.
        """
        response = self.respond(request_der)
        check_response(request_der, response)
        return response

    def respond(self, request_der: bytes) -> bytes:
        """Answer a request as the server side of RFC 3161 does: every input gets a ``TimeStampResp``."""
        try:
            request = tsp.TimeStampReq.load(request_der, strict=True)
            imprint = request["message_imprint"]
            size = DIGEST_BYTES.get(imprint["hash_algorithm"]["algorithm"].native)
            if len(imprint["hashed_message"].native) != size:
                return _rejection("bad_alg")
            info = self._info(request)
        except (ValueError, TypeError, KeyError):
            return _rejection("bad_data_format")
        token = cms.ContentInfo({"content_type": "signed_data", "content": self._signed(info.dump())})
        return bytes(Response({"status": {"status": "granted"}, "time_stamp_token": token}).dump())

    def _info(self, request: tsp.TimeStampReq) -> tsp.TSTInfo:
        fields: dict[str, object] = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": request["message_imprint"],
            "serial_number": secrets.randbits(SERIAL_BITS - 1) | 1 << (SERIAL_BITS - 2),
            "gen_time": self._clock().astimezone(dt.UTC).replace(microsecond=0),
            "accuracy": {"seconds": 1},
        }
        if request["nonce"].native is not None:
            fields["nonce"] = request["nonce"]
        return tsp.TSTInfo(fields)

    def _signed(self, info: bytes) -> cms.SignedData:
        """The CMS around a ``TSTInfo``: only the signer's certificate is embedded, and bound by ESSCertIDv2."""
        identity, certificate = self._identity, self._certificate
        digest = algos.DigestAlgorithm({"algorithm": identity.hash_algorithm.name})
        attributes = cms.CMSAttributes(
            [
                _attribute("content_type", "tst_info"),
                _attribute("signing_time", cms.Time({"utc_time": self._clock().astimezone(dt.UTC)})),
                _attribute("message_digest", _digest(info, identity.hash_algorithm)),
                _attribute("signing_certificate_v2", _signing_certificate(certificate)),
            ]
        )
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                "issuer_and_serial_number",
                {"issuer": certificate.issuer, "serial_number": certificate.serial_number},
            ),
            "digest_algorithm": digest,
            "signature_algorithm": {"algorithm": identity.signature_algorithm},
            "signed_attrs": attributes,
            "signature": identity.sign(attributes.dump()),
        }
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [digest],
                "encap_content_info": {"content_type": "tst_info", "content": cms.ParsableOctetString(info)},
                "certificates": [certificate],
                "signer_infos": [signer],
            }
        )


def _attribute(name: str, value: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": cms.CMSAttributeType(name), "values": (value,)})


def _digest(data: bytes, algorithm: hashes.HashAlgorithm) -> core.OctetString:
    state = hashes.Hash(algorithm)
    state.update(data)
    return core.OctetString(state.finalize())


def _signing_certificate(certificate: asn1_x509.Certificate) -> tsp.SigningCertificateV2:
    """ESSCertIDv2 (RFC 5816): SHA-256 over the whole certificate, which is the default and therefore omitted."""
    return tsp.SigningCertificateV2(
        {
            "certs": [
                {
                    "cert_hash": certificate.sha256,
                    "issuer_serial": {
                        "issuer": [asn1_x509.GeneralName("directory_name", certificate.issuer)],
                        "serial_number": certificate.serial_number,
                    },
                }
            ]
        }
    )


def _rejection(reason: str) -> bytes:
    return bytes(Response({"status": {"status": "rejection", "fail_info": {reason}}}).dump())
