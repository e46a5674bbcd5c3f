"""Answers about the seal's certificate: what the development responder says, and what is believed of any responder."""

import asyncio
import datetime as dt
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from support.tools import tool
from zegel_server.credentials import issuing
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.credentials.ocsp import (
    MAX_RESPONSE_BYTES,
    HttpOcspResponder,
    LocalOcspResponder,
    NotGoodError,
    check_response,
    make_request,
    responder_url,
)
from zegel_server.errors import Unavailable


@cache
def moment() -> dt.datetime:
    """The moment of these tests: when the first of them ran, for a worker may have loaded them long before."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentAuthority:
    return DevelopmentAuthority.open(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def responder(authority: DevelopmentAuthority) -> LocalOcspResponder:
    return LocalOcspResponder(lambda: authority.responder, [authority.seal.certificate])


def check(authority: DevelopmentAuthority, data: bytes, now: dt.datetime | None = None) -> None:
    check_response(data, authority.seal.certificate, authority.issuer.certificate, now or moment())


# -------------------------------------------------------------------------------------- what the authority's own says


def test_openssl_believes_the_answer(
    authority: DevelopmentAuthority, responder: LocalOcspResponder, tmp_path: Path
) -> None:
    certificates = {"root": authority.root, "issuer": authority.issuer, "seal": authority.seal}
    for name, keyed in certificates.items():
        (tmp_path / f"{name}.pem").write_bytes(keyed.certificate.public_bytes(Encoding.PEM))
    openssl, asked = tool("openssl"), ["-issuer", "issuer.pem", "-cert", "seal.pem"]
    request: list[str | Path] = [openssl, "ocsp", *asked, "-reqout", "request.der"]
    subprocess.run(request, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "response.der").write_bytes(responder.respond((tmp_path / "request.der").read_bytes()))
    read = ["-respin", "response.der", "-CAfile", "root.pem", "-verify_other", "issuer.pem"]
    told = ""  # the first compares the nonce, too; the second says what the answer is about
    for more in (["-reqin", "request.der"], [*asked, "-no_nonce"]):
        command: list[str | Path] = [openssl, "ocsp", *more, *read]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        told = done.stdout + done.stderr
        assert "Response verify OK" in told
        assert "WARNING" not in told
    assert "seal.pem: good" in told


def test_it_is_fresh_and_holds_for_a_day(authority: DevelopmentAuthority, responder: LocalOcspResponder) -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    data = responder.answer(authority.seal.certificate)
    after = dt.datetime.now(dt.UTC)
    answer = check_response(data, authority.seal.certificate, authority.issuer.certificate, after)
    assert before <= answer.since <= after
    assert answer.until - answer.since == dt.timedelta(days=1)


def test_what_the_authority_did_not_issue_is_unknown(
    authority: DevelopmentAuthority, responder: LocalOcspResponder
) -> None:
    other = issuing.make_seal(authority.issuer, "Example Ltd").certificate
    data = responder.respond(make_request(other, authority.issuer.certificate))
    assert ocsp.load_der_ocsp_response(data).certificate_status is ocsp.OCSPCertStatus.UNKNOWN


def test_for_another_issuers_certificates_it_is_not_the_one_to_ask(
    authority: DevelopmentAuthority, responder: LocalOcspResponder
) -> None:
    asked = make_request(authority.timestamp.certificate, authority.timestamp_issuer.certificate)
    status = ocsp.load_der_ocsp_response(responder.respond(asked)).response_status
    assert status is ocsp.OCSPResponseStatus.UNAUTHORIZED


@pytest.mark.parametrize("request_der", [b"", b"junk", b"0\x80", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_request_is_told_so(responder: LocalOcspResponder, request_der: bytes) -> None:
    status = ocsp.load_der_ocsp_response(responder.respond(request_der)).response_status
    assert status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_the_seal_names_a_responder_and_a_timestamp_none(authority: DevelopmentAuthority) -> None:
    assert responder_url(authority.seal.certificate) == issuing.OCSP_URL
    assert responder_url(authority.timestamp.certificate) == ""


# ----------------------------------------------------------------------------------------- what is believed of others


def answered(
    authority: DevelopmentAuthority,
    signer: KeyedCertificate,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    *,
    about: x509.Certificate | None = None,
    since: dt.timedelta = dt.timedelta(0),
    lasts: dt.timedelta | None = dt.timedelta(hours=1),
    algorithm: hashes.SHA224 | None = None,
) -> bytes:
    revoked = moment() - dt.timedelta(days=1) if status is ocsp.OCSPCertStatus.REVOKED else None
    response = ocsp.OCSPResponseBuilder().add_response(
        about or authority.seal.certificate,
        authority.issuer.certificate,
        hashes.SHA1(),  # noqa: S303 - how certificates are named
        status,
        moment() + since,
        moment() + since + lasts if lasts else None,
        revoked,
        None,
    )
    response = response.responder_id(ocsp.OCSPResponderEncoding.NAME, signer.certificate)
    if signer.certificate != authority.issuer.certificate:
        response = response.certificates([signer.certificate])
    return response.sign(signer.key, algorithm or signer.hash_algorithm).public_bytes(Encoding.DER)


def test_the_issuer_may_answer_itself(authority: DevelopmentAuthority) -> None:
    check(authority, answered(authority, authority.issuer))


def test_an_answer_that_does_not_say_until_when_holds_for_half_an_hour(authority: DevelopmentAuthority) -> None:
    data = answered(authority, authority.responder, lasts=None)
    check(authority, data, moment() + dt.timedelta(minutes=29))
    with pytest.raises(Unavailable, match="not valid now"):
        check(authority, data, moment() + dt.timedelta(minutes=30))


@pytest.mark.parametrize("status", [ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN])
def test_a_certificate_that_is_not_good_is_told_apart(
    authority: DevelopmentAuthority, status: ocsp.OCSPCertStatus
) -> None:
    with pytest.raises(NotGoodError, match=status.name.lower()) as refused:
        check(authority, answered(authority, authority.responder, status))
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    assert refused.value.reason == ("SEAL_CERTIFICATE_REVOKED" if revoked else "REVOCATION_LIST_EXPIRED")


REFUSED: dict[str, tuple[Callable[[DevelopmentAuthority], bytes], str]] = {
    "about another certificate": (
        lambda a: answered(a, a.responder, about=a.tls.certificate),
        "not about the seal's certificate",
    ),
    "of yesterday": (lambda a: answered(a, a.responder, since=dt.timedelta(days=-1)), "not valid now"),
    "of tomorrow": (lambda a: answered(a, a.responder, since=dt.timedelta(days=1)), "not valid now"),
    "by the seal itself": (lambda a: answered(a, a.seal), "not signed on behalf of the seal's issuer"),
    "by the TLS certificate": (lambda a: answered(a, a.tls), "not signed on behalf of the seal's issuer"),
    "by another issuer's responder": (
        lambda a: answered(a, issuing.make_responder(a.timestamp_issuer)),
        "not signed on behalf of the seal's issuer",
    ),
    "with a weak hash": (
        lambda a: answered(a, a.issuer, algorithm=hashes.SHA224()),
        "not signed on behalf of the seal's issuer",
    ),
    "a refusal": (
        lambda _: ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
            Encoding.DER
        ),
        "refused to answer",
    ),
    "junk": (lambda _: b"junk", "not signed on behalf of the seal's issuer"),
    "empty": (lambda _: b"", "not signed on behalf of the seal's issuer"),
    "altered": (lambda a: flipped(answered(a, a.responder)), "not signed on behalf of the seal's issuer"),
}


def flipped(data: bytes) -> bytes:
    """The same answer with one bit of its times changed."""
    at = data.index(moment().strftime("%Y%m%d%H%M").encode())
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("name", REFUSED)
def test_any_other_answer_is_refused(authority: DevelopmentAuthority, name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(Unavailable, match=message) as refused:
        check(authority, make(authority))
    assert refused.value.reason == "REVOCATION_LIST_EXPIRED"
    assert not isinstance(refused.value, NotGoodError)


# --------------------------------------------------------------------------------------------------- asking over HTTP


@asynccontextmanager
async def serving(answer: Callable[[web.Request], AsyncIterator[bytes] | web.StreamResponse]) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        made = answer(request)
        if isinstance(made, web.StreamResponse):
            return made
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in made:
            await response.write(piece)
        return response

    application = web.Application()
    application.router.add_post("/", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


async def test_a_responder_is_asked_over_http(authority: DevelopmentAuthority, responder: LocalOcspResponder) -> None:
    seen: list[str | None] = []

    async def answer(request: web.Request) -> AsyncIterator[bytes]:
        seen.append(request.headers.get("Content-Type"))
        yield responder.respond(await request.read())

    asked = make_request(authority.seal.certificate, authority.issuer.certificate)
    async with serving(answer) as url:
        check(authority, await HttpOcspResponder(url).respond(asked), dt.datetime.now(dt.UTC))
    assert seen == ["application/ocsp-request"]


async def test_one_deadline_holds_for_the_whole_of_an_answer() -> None:
    async def trickle(request: web.Request) -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"0"
            await asyncio.sleep(0.05)

    async with serving(trickle) as url:
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable, match="does not answer"):
            await HttpOcspResponder(url, timeout=0.4).respond(b"")
        assert asyncio.get_running_loop().time() - began < 2


async def test_an_endless_answer_is_cut() -> None:
    async def endless(_: web.Request) -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 16)

    async with serving(endless) as url:
        with pytest.raises(Unavailable, match="too long"):
            await HttpOcspResponder(url).respond(b"")
    assert MAX_RESPONSE_BYTES < 1 << 20


@pytest.mark.parametrize("status", [302, 404, 503])
async def test_a_responder_leads_nowhere_else(status: int) -> None:
    async with serving(lambda _: web.Response(status=status, headers={"Location": "http://127.0.0.1:9/"})) as url:
        with pytest.raises(Unavailable, match=str(status)):
            await HttpOcspResponder(url).respond(b"")


async def test_nobody_there(unused_tcp_port: int) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await HttpOcspResponder(f"http://127.0.0.1:{unused_tcp_port}/").respond(b"")


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/", "file:///etc/passwd", "ldap://x"])
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        HttpOcspResponder(url)
