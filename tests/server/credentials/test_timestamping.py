import datetime as dt
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from asn1crypto import algos, tsp

from support.tools import tool
from zegel_server.credentials import timestamping
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.timestamping import HttpTimestampAuthority, LocalTimestampAuthority, check_response
from zegel_server.errors import Unavailable


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentAuthority:
    return DevelopmentAuthority.open(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def local(authority: DevelopmentAuthority) -> LocalTimestampAuthority:
    return LocalTimestampAuthority(authority.timestamp)


def request(nonce: int | None = 42, data: bytes = b"data", algorithm: str = "sha256") -> bytes:
    imprint = {
        "hash_algorithm": algos.DigestAlgorithm({"algorithm": algorithm}),
        "hashed_message": sha256(data).digest(),
    }
    fields: dict[str, object] = {"version": 1, "message_imprint": imprint, "cert_req": True}
    if nonce is not None:
        fields["nonce"] = nonce
    return bytes(tsp.TimeStampReq(fields).dump())


def info_of(response: bytes) -> tsp.TSTInfo:
    return tsp.TimeStampResp.load(response)["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
async def test_openssl_asks_and_accepts_the_answer(
    local: LocalTimestampAuthority, authority: DevelopmentAuthority, tmp_path: Path, algorithm: str
) -> None:
    openssl = tool("openssl")
    (tmp_path / "data").write_bytes(b"whatever")
    (tmp_path / "root.pem").write_bytes(authority.root_pem)
    (tmp_path / "issuer.pem").write_bytes(authority.timestamp_issuer.certificate_pem)
    query: list[str | Path] = [openssl, "ts", "-query", "-data", "data", f"-{algorithm}", "-cert", "-out", "query"]
    subprocess.run(query, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "reply").write_bytes(await local.timestamp((tmp_path / "query").read_bytes()))
    verify: list[str | Path] = [openssl, "ts", "-verify", "-queryfile", "query", "-in", "reply"]
    trust = ["-CAfile", "root.pem", "-untrusted", "issuer.pem"]
    done = subprocess.run([*verify, *trust], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_the_token_binds_its_signer_and_tells_the_time(authority: DevelopmentAuthority) -> None:
    moment = dt.datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    response = await LocalTimestampAuthority(authority.timestamp, lambda: moment).timestamp(request())
    assert info_of(response)["gen_time"].native == dt.datetime(2031, 2, 3, 2, 5, 6, tzinfo=dt.UTC)
    signed = tsp.TimeStampResp.load(response)["time_stamp_token"]["content"]
    assert [c.chosen.dump() for c in signed["certificates"]] == authority.timestamp.chain[:1]
    attributes = {a["type"].native: a["values"][0] for a in signed["signer_infos"][0]["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2", "signing_time"}
    bound = attributes["signing_certificate_v2"]["certs"][0]["cert_hash"].native
    assert bound == sha256(authority.timestamp.chain[0]).digest()


async def test_serial_numbers_differ(local: LocalTimestampAuthority) -> None:
    serials = {info_of(await local.timestamp(request()))["serial_number"].native for _ in range(20)}
    assert len(serials) == 20
    assert all(0 < serial.bit_length() <= 160 for serial in serials)  # RFC 3161: clients handle up to 160 bits


@pytest.mark.parametrize("nonce", [None, 0, 1, 2**63, 2**127])
async def test_the_nonce_comes_back(local: LocalTimestampAuthority, nonce: int | None) -> None:
    assert info_of(await local.timestamp(request(nonce)))["nonce"].native == nonce


@pytest.mark.parametrize(
    "bad", [b"", b"\x30", b"not DER", request(algorithm="sha1"), request()[:-1], request() + b"\0"]
)
async def test_a_request_that_is_none_is_rejected(local: LocalTimestampAuthority, bad: bytes) -> None:
    assert timestamping.Response.load(local.respond(bad))["status"]["status"].native == "rejection"
    with pytest.raises(Unavailable) as raised:
        await local.timestamp(bad)
    assert raised.value.reason == "TIMESTAMP_UNAVAILABLE"


def rejected(_: bytes) -> bytes:
    return bytes(timestamping.Response({"status": {"status": "rejection", "fail_info": {"system_failure"}}}).dump())


def test_only_the_answer_to_this_request_is_accepted(local: LocalTimestampAuthority) -> None:
    asked = request(1)
    check_response(asked, local.respond(asked))
    for other in (request(2), request(None), request(1, b"other data")):
        with pytest.raises(Unavailable, match="another request"):
            check_response(asked, local.respond(other))


@contextmanager
def serving(answer: Callable[[bytes], bytes], status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_an_authority_is_asked_over_http(local: LocalTimestampAuthority) -> None:
    with serving(local.respond) as url:
        response = await HttpTimestampAuthority(url).timestamp(request(7))
    assert info_of(response)["nonce"].native == 7


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (rejected, 200, "refused"),
        (lambda _: b"<html>", 200, "not an RFC 3161 response"),
        (lambda _: b"", 200, "not an RFC 3161 response"),
        (lambda _: b"", 503, "does not answer"),
        (lambda _: bytes(timestamping.MAX_RESPONSE_BYTES + 1), 200, "too long"),
    ],
)
async def test_any_other_answer_is_unavailable(answer: Callable[[bytes], bytes], status: int, said: str) -> None:
    with serving(answer, status) as url, pytest.raises(Unavailable, match=said) as raised:
        await HttpTimestampAuthority(url).timestamp(request())
    assert raised.value.reason == "TIMESTAMP_UNAVAILABLE"


async def test_another_requests_answer_is_refused_over_http(local: LocalTimestampAuthority) -> None:
    with serving(lambda _: local.respond(request(8))) as url, pytest.raises(Unavailable, match="another request"):
        await HttpTimestampAuthority(url).timestamp(request(7))


async def test_nobody_there_is_unavailable() -> None:
    with serving(rejected) as url:
        pass
    with pytest.raises(Unavailable, match="does not answer"):
        await HttpTimestampAuthority(url, timeout=2).timestamp(request())


async def test_an_authority_that_hangs_is_given_up(local: LocalTimestampAuthority) -> None:
    waiting = threading.Event()

    def slow(body: bytes) -> bytes:
        waiting.wait(5)
        return local.respond(body)

    with serving(slow) as url:
        with pytest.raises(Unavailable, match="does not answer"):
            await HttpTimestampAuthority(url, timeout=0.05).timestamp(request())
        waiting.set()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org", "example.org"])
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        HttpTimestampAuthority(url)
