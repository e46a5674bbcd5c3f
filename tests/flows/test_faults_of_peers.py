"""What goes wrong at peers, each a test of ours that no single domain could hold; see also `test_reach`.

Numbers are issues of the peers' own trackers.
"""

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pikepdf
import pytest

import zegel
from support.flow import ALL_SIGNED, AWAITING, Office, open_office, ready, refused, sign, typed, until, usual_signers
from support.pdfs import shown_text
from support.server import ServerProcess, rows, sqlite_server
from zegel.evidence.trail import check_trail
from zegel.evidence.transparency import VerifierKey
from zegel.evidence.verification import verify_pdf
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.loading import AUTHORITY_FOLDER
from zegel_server.credentials.timestamping import LocalTimestampAuthority

Answer = Callable[[bytes], bytes | None]


def signed_by_all(office: Office) -> zegel.SignatureRequest:
    request = office.send()
    for index in range(2):
        sign(office.signer(request, index), index)
    return request


# ---------------------------------------------------------------------------------------------------- trusted time


class Clockwork:
    """A timestamp authority that can be taken away, and that can lie."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: None
        self.asked = 0


@contextmanager
def timestamps(clockwork: Clockwork) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            clockwork.asked += 1
            body = clockwork.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if body is not None else 503)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_without_a_trusted_time_nothing_completes_and_with_one_it_goes_on() -> None:
    """A timestamp server fails and a bare time is written in its place; an error is swallowed (#1826, #2017)."""
    clockwork = Clockwork()
    with timestamps(clockwork) as url, sqlite_server(environment={"ZEGEL_TIMESTAMP_URL": url}) as server:
        honest = LocalTimestampAuthority(DevelopmentAuthority.open(server.data / AUTHORITY_FOLDER).timestamp)
        with open_office(server) as office:
            request = signed_by_all(office)

            def tried(times: int) -> zegel.SignatureRequest | None:
                now = office.get(request)
                assert now.state == ALL_SIGNED
                assert not now.sealed_document_id
                return now if now.sealing.attempts >= times else None

            now = until(lambda: tried(2), "two tries")
            assert now.sealing.last_reason == "TIMESTAMP_UNAVAILABLE"
            assert now.sealing.HasField("next_attempt_time")
            # One that answers what was not asked is as good as none.
            old = honest.respond(REQUEST)
            clockwork.answer = lambda _: old
            now = until(lambda: tried(3), "a third try")
            assert now.sealing.last_reason == "TIMESTAMP_UNAVAILABLE"
            assert office.events(request)[-1] == "ALL_SIGNED"
            sealed = f"SELECT count(*) FROM documents WHERE signature_request_id = '{request.signature_request_id}'"  # noqa: S608
            assert rows(server.rows_url, sealed) == [(0,)]
            clockwork.answer = honest.respond
            done = office.finish(request)
            assert done.report.ok, done.report.failures
            assert rows(server.rows_url, sealed) == [(1,)]


REQUEST = bytes.fromhex(
    # RFC 3161, section 2.4.1: version 1, SHA-256 of nothing, a nonce of 42, and the certificate wanted.
    "303c0201013031300d060960864801650304020105000420"
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    "02012a0101ff"
)


# ------------------------------------------------------------------------------------------------- the sealed file


def test_the_sealed_file_has_its_audit_page_and_its_evidence(sqlite_office: Office) -> None:
    """The sealed file goes out without its audit page because an error was swallowed (#1826, #2017)."""
    documents = [sqlite_office.upload(title=f"Part {number}") for number in range(3)]
    request = sqlite_office.send(*documents)
    for index in range(2):
        sign(sqlite_office.signer(request, index), index)
    done = sqlite_office.finish(request)
    page = shown_text(done.sealed, len(documents))
    originals = [sqlite_office.sender.documents.download(each.document_id) for each in documents]
    for expected in (request.audit_id, "Sanne de Vries", "robin@example.com"):
        assert expected in page
    everything = "".join(shown_text(done.sealed, number) for number in range(len(documents), page_count(done.sealed)))
    squeezed = "".join(everything.split())
    for each in originals:
        assert hashlib.sha256(each).hexdigest() in squeezed, "the page does not say what was signed"


def page_count(pdf: bytes) -> int:
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        return len(opened.pages)


# --------------------------------------------------------------------------------------------- the trail outlives


def test_the_trail_outlives_the_request_that_was_called_off(office: Office) -> None:
    """Audit rows vanish with the request; a pending request is deleted though somebody had signed."""
    request = office.send()
    sign(office.signer(request, 0), 0)
    office.sender.signing.cancel_signature_request(signature_request_id=request.signature_request_id)
    until(lambda: True if "CANCELED" in office.events(request) else None, "the event")
    assert Counter(office.events(request))["SIGNED"] == 1
    assert office.get(request).signatures[0].HasField("sign_time")


def test_the_trail_and_the_sealed_file_outlive_the_documents(office: Office) -> None:
    request = signed_by_all(office)
    done = office.finish(request)
    for identifier in (request.documents[0].document_id, done.request.sealed_document_id):
        office.owner.documents.delete_document(document_id=identifier)
        office.owner.documents.purge_document(document_id=identifier)
        with pytest.raises(zegel.ZegelError) as caught:
            office.owner.documents.download(identifier)
        assert caught.value.reason in {"DOCUMENT_DESTROYED", "RESOURCE_NOT_FOUND"}
    left = office.owner.audit.get_transaction(audit_id=request.audit_id)
    report = check_trail(left.audit_jsonl, left.proof, [VerifierKey.parse(done.log_key)])
    assert report.ok, report.failures
    # Whoever has the file can still prove all of it.
    again = verify_pdf(done.sealed, [done.log_key], [office.server.authority], left.sealed_proof)
    assert again.ok, again.failures
    own = f"{office.tenant_id}/{request.documents[0].document_id}"
    until(lambda: not any(own in each for each in office.server.blobs()) or None, "the end of the blobs", 15)


def test_a_document_awaited_by_signers_cannot_be_taken_away(office: Office) -> None:
    request = office.send()
    sign(office.signer(request, 0), 0)
    with refused("FAILED_PRECONDITION", "DOCUMENT_IN_USE"):
        office.owner.documents.delete_document(document_id=request.documents[0].document_id)
    assert office.get(request).state == AWAITING


# ------------------------------------------------------------------------------------------------------------- keys


def rotate(server: ServerProcess, tenant_id: str, *flags: str) -> None:
    """Rotates keys as an operator does, beside the running server."""
    command = [str(Path(sys.executable).parent / "zegel-server"), "keys", "rotate", tenant_id, *flags]
    command += ["--data-dir", str(server.data), "--development"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZEGEL_")}
    environment |= {"ZEGEL_DATABASE_URL": server.database_url} if server.database_url else {}
    subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=60)


def test_keys_are_rotated_while_requests_are_under_way(sqlite_office: Office) -> None:
    """One key for everything, without an id: it cannot be rotated."""
    office = sqlite_office
    before = office.upload(title="Before")
    content = office.sender.documents.download(before.document_id)
    request = office.send(before)
    first = office.signer(request, 0)
    ready(first, [typed("signature-0", "Sanne")])

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(rotate, office.server, office.tenant_id)
        while not running.done():  # the server goes on in the meantime
            assert office.sender.documents.download(before.document_id) == content
            office.upload(title="Meanwhile")
            time.sleep(0.1)
        running.result()
    rotate(office.server, office.tenant_id, "--erase")

    assert office.sender.documents.download(before.document_id) == content
    first.ceremony.sign_documents()
    sign(office.signer(request, 1), 1)
    assert office.finish(request).report.ok
    keys = f"SELECT count(*) FROM tenant_keys WHERE tenant_id = '{office.tenant_id}'"  # noqa: S608
    versions = f"SELECT min(key_version) FROM document_versions WHERE tenant_id = '{office.tenant_id}'"  # noqa: S608
    assert rows(office.server.rows_url, keys)[0][0] >= 1
    assert rows(office.server.rows_url, versions)[0][0] > 1, "a document is still under the first key"


# ---------------------------------------------------------------------------------------- what is written in clear


def test_neither_the_log_nor_the_disk_says_who_signed_or_what() -> None:
    """Codes and secrets are printed to the log; a webhook's secret, a token, a name stands in clear."""
    with sqlite_server() as server:
        with open_office(server) as office:
            people = usual_signers()
            tokens = [office.owner._call.token, office.sender._call.token, server.operator_token]
            request = office.send()
            for index in range(2):
                signer = office.signer(request, index)
                tokens.append(signer._call.token)
                sign(signer, index)
            with refused("UNAUTHENTICATED", "SESSION_MALFORMED"):
                office.root.with_token(f"zs_{'secret' * 8}").identity.get_tenant()
            office.finish(request)
        secrets = [word for each in people for word in (each.name, each.email)]
        secrets += [each for each in tokens if each] + ["secretsecret", "Lease of flat 4", "BEGIN PRIVATE", "%PDF"]
        text = server.log.read_text(encoding="utf-8")
        assert text.count("SignDocuments") == 2
        assert [each for each in secrets if each in text] == []
        server.stop()
        # Titles stand in the database as a partner's own names of things; everything else is encrypted or hashed.
        hidden = [each for each in secrets if each not in {"Lease of flat 4", "BEGIN PRIVATE", server.operator_token}]
        kept = [path for path in server.data.rglob("*") if path.is_file() and path.name != "operator.key"]
        assert any("blobs" in path.parts for path in kept)
        found = {
            (path.relative_to(server.data).as_posix(), each)
            for path in kept
            for each in hidden
            if each.encode() in path.read_bytes()
        }
        assert found == set()
