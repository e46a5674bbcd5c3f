"""The ``zegel`` command, run as a process against a server of generated servicers over TLS."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import google_crc32c
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

import zegel
from support.certificates import self_signed
from support.fake_server import made, refuse, serving
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.audit.v1.audit_service_pb2_grpc import AuditServiceServicer
from zegel.document.v1 import document_service_pb2 as document
from zegel.document.v1.document_service_pb2_grpc import DocumentServiceServicer
from zegel.event.v1.event_type_pb2 import EVENT_TYPE_SIGNATURE_REQUEST_SENT
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.identity.v1.identity_service_pb2_grpc import IdentityServiceServicer
from zegel.signing.v1 import signature_request_pb2 as requests
from zegel.signing.v1 import signing_service_pb2 as signing
from zegel.signing.v1.signing_service_pb2_grpc import SigningServiceServicer

CONTENT = b"%PDF-1.7 or so"
SHOWN = b"%PDF-1.7 as signers are shown it"
FINDINGS = document.DocumentFindings(
    has_scripts=True,
    attachment_count=2,
    signatures=[document.FoundSignature(kind=document.FOUND_SIGNATURE_KIND_APPROVAL)],
    fonts_substituted=["Helvetica", "Arial"],
    differences=[document.PageDifference(page=3, share=0.125)],
)
TOKEN = "zk_one"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Identity(IdentityServiceServicer):
    async def GetCurrentSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {TOKEN}":
            await refuse(
                context, grpc.StatusCode.UNAUTHENTICATED, "SESSION_UNKNOWN", text="No session has\nthis token.\x1b[2J"
            )
        session = identity.Session(session_id="ses_1", kind=identity.SESSION_KIND_MEMBER, tenant_id="ten_1")
        return identity.GetCurrentSessionResponse(session=session)


class Documents(DocumentServiceServicer):
    def __init__(self) -> None:
        self.title = ""
        self.received = b""

    def _document(self) -> document.Document:
        digest = hashlib.sha256(CONTENT).digest()
        version = document.DocumentVersion(
            version=1,
            size=len(CONTENT),
            sha256=digest,
            pages=[document.Page()],
            rendition=document.DocumentRendition(size=len(SHOWN), sha256=hashlib.sha256(SHOWN).digest()),
            findings=FINDINGS,
        )
        return document.Document(
            document_id="doc_1",
            title=self.title or "a\x1b[31mred title",
            state=document.DOCUMENT_STATE_ACTIVE,
            versions=[version],
        )

    async def GetDocument(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.document_id != "doc_1":
            await refuse(context, grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", text="No such document.")
        return document.GetDocumentResponse(document=self._document())

    async def StartUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.title = request.spec.title
        return document.StartUploadResponse(upload=document.Upload(upload_id="upl_1"))

    async def UploadDocument(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        async for message in request_iterator:
            self.received += message.chunk.data
        return document.UploadDocumentResponse(document=self._document())

    async def DownloadDocument(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        version = self._document().versions[0]
        content = request.content or document.DOCUMENT_CONTENT_ORIGINAL
        data = SHOWN if content == document.DOCUMENT_CONTENT_RENDITION else CONTENT
        head = document.DownloadStart(
            document_id="doc_1",
            version=version,
            length=len(data),
            content=content,
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
        )
        yield document.DownloadDocumentResponse(start=head)
        chunk = document.Chunk(data=data, crc32c=google_crc32c.value(data))
        yield document.DownloadDocumentResponse(chunk=chunk)


class Signing(SigningServiceServicer):
    def _request(self, number: int) -> requests.SignatureRequest:
        signer = requests.Signature(
            name="Sanne de Vries", email="sanne@example.com", status=requests.SIGNATURE_STATUS_AWAITING_SIGNATURE
        )
        return requests.SignatureRequest(
            signature_request_id=f"req_{number}",
            title="Lease",
            state=requests.SIGNATURE_REQUEST_STATE_DOWNLOADABLE if number else cast("Any", 42),
            audit_id="aud_1",
            signatures=[signer],
            create_time=Timestamp(seconds=1_700_000_000),
        )

    async def GetSignatureRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        return signing.GetSignatureRequestResponse(signature_request=self._request(1))

    async def ListSignatureRequests(self, request: Any, context: Any) -> Any:  # noqa: N802
        first = int(request.page_token or 0)
        found = [self._request(number) for number in range(first, first + 2)]
        return signing.ListSignatureRequestsResponse(signature_requests=found, next_page_token=str(first + 2))


class Audit(AuditServiceServicer):
    async def GetCheckpoint(self, request: Any, context: Any) -> Any:  # noqa: N802
        return audit.GetCheckpointResponse(verifier_key="log.example+0a1b2c3d+AbCd\n")

    async def GetTransaction(self, request: Any, context: Any) -> Any:  # noqa: N802
        events = [
            audit.Event(log_index=7, type=EVENT_TYPE_SIGNATURE_REQUEST_SENT, principal_id="mem_1"),
            audit.Event(log_index=8, type=cast("Any", 9_999), principal_id="mem_1"),
        ]
        return audit.GetTransactionResponse(
            signature_request_id="req_1", events=events, audit_jsonl=b"{}\n", proof=b"proof", sealed_proof=b""
        )


@pytest.fixture(scope="module")
def served() -> Documents:
    served: Documents = made(Documents)
    return served


@pytest.fixture(scope="module")
def run(served: Documents, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    certificate, key = self_signed()
    authority = tmp_path_factory.mktemp("cli") / "authority.pem"
    authority.write_bytes(certificate)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    servicers = (made(Identity), served, made(Signing), made(Audit))
    with serving(*servicers, credentials=credentials) as running:
        known = {"ZEGEL_SERVER": running.target, "ZEGEL_TOKEN": TOKEN, "ZEGEL_CA": str(authority)}

        def run(*arguments: str, **environment: str | None) -> "subprocess.CompletedProcess[str]":
            given = {**os.environ, **known, "COLUMNS": "160", "NO_COLOR": "1", **environment}
            return subprocess.run(
                [sys.executable, "-W", "error", "-c", "from zegel.cli.main import main; main()", *arguments],
                env={name: value for name, value in given.items() if value is not None},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        yield run


def test_whoami(run: Run) -> None:
    done = run("whoami")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ses_1" in done.stdout
    assert "member" in done.stdout


def test_whoami_for_programs(run: Run) -> None:
    done = run("whoami", "--json")
    assert json.loads(done.stdout) == {"session_id": "ses_1", "kind": "SESSION_KIND_MEMBER", "tenant_id": "ten_1"}


def test_an_option_wins_over_the_environment_and_a_refusal_is_one_line(run: Run) -> None:
    done = run("whoami", "--token", "zk_two")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "zegel: No session has this token. [2J [SESSION_UNKNOWN]\n"


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["documents"], ["documents", "get"], ["verify", "x.pdf"], ["requests", "list", "--limit", "0"]],
)
def test_what_is_not_understood_exits_with_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


def test_without_a_server_it_says_what_is_missing(run: Run) -> None:
    done = run("whoami", ZEGEL_SERVER="")
    assert done.returncode in {1, 2}
    assert done.stderr


def test_documents_upload(run: Run, served: Documents, tmp_path: Path) -> None:
    path = tmp_path / "lease.pdf"
    path.write_bytes(CONTENT)
    done = run("documents", "upload", str(path), "--title", "Lease", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["document_id"] == "doc_1"
    assert (served.title, served.received) == ("Lease", CONTENT)
    served.title = ""


@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "en_US.ISO-8859-1"])
def test_a_file_whose_name_is_not_utf_8(run: Run, served: Documents, tmp_path: Path, locale: str) -> None:
    path = os.fsencode(tmp_path) + b"/na\xefve\n.pdf"
    Path(os.fsdecode(path)).write_bytes(CONTENT)
    done = run("documents", "upload", os.fsdecode(path), "--json", LC_ALL=locale, PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"na.ve\ufffd\.pdf", served.title)
    served.title = ""


@pytest.mark.parametrize("token", ["zk_o\nne", "zk_ö", "zk_one\x1b[2J"])
def test_a_token_that_no_header_can_carry_is_one_line_without_it(run: Run, token: str) -> None:
    done = run("whoami", "--token", token)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "zegel: token: has a line break or another character that no token has\n"


def test_documents_download(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "signed.pdf"
    done = run("documents", "download", "doc_1", "--to", str(path))
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == CONTENT
    assert hashlib.sha256(CONTENT).hexdigest() in done.stdout


def test_documents_download_of_what_signers_are_shown(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "shown.pdf"
    done = run("documents", "download", "doc_1", "--rendition", "--to", str(path))
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == SHOWN
    assert hashlib.sha256(SHOWN).hexdigest() in done.stdout


def test_documents_get_tells_what_was_found(run: Run) -> None:
    done = run("documents", "get", "doc_1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["versions"][0]["findings"]["attachment_count"] == 2
    told = " ".join(run("documents", "get", "doc_1").stdout.split())
    for found in (
        "has scripts, which are left out",
        "has 2 attached files, which are left out",
        "has a digital signature (broken, something was added after it), which ends with sealing",
        "fonts that were substituted: Helvetica, Arial",
        "pages that look different: 3 (12.5%)",
    ):
        assert "".join(found.split()) in "".join(told.split())
    assert "form fields" not in told


def test_documents_get_shows_nothing_that_drives_a_terminal(run: Run) -> None:
    done = run("documents", "get", "doc_1")
    assert done.returncode == 0
    assert "red title" in done.stdout
    assert "\x1b" not in done.stdout


def test_what_is_absent_exits_with_1(run: Run) -> None:
    done = run("documents", "get", "doc_2")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "zegel: No such document. [RESOURCE_NOT_FOUND]\n")


def test_a_file_that_is_not_there(run: Run) -> None:
    done = run("documents", "upload", "none.pdf")
    assert (done.returncode, done.stderr) == (1, "zegel: none.pdf: No such file or directory\n")


def test_requests_get(run: Run) -> None:
    done = run("requests", "get", "req_1")
    assert done.returncode == 0, done.stderr
    for shown in ("downloadable", "Sanne de Vries", "awaiting signature", "2023-11-14 22:13:20"):
        assert shown in done.stdout


def test_requests_list_stops_at_its_limit_and_survives_a_state_it_does_not_know(run: Run) -> None:
    done = run("requests", "list", "--limit", "5")
    assert done.returncode == 0, done.stderr
    assert "unknown (42)" in done.stdout
    assert [f"req_{number}" in done.stdout for number in range(6)] == [True] * 5 + [False]


def test_requests_list_for_programs_is_one_object_a_line(run: Run) -> None:
    lines = run("requests", "list", "--limit", "3", "--json").stdout.splitlines()
    assert [json.loads(line)["signature_request_id"] for line in lines] == ["req_0", "req_1", "req_2"]


def test_audit_transaction(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("audit", "transaction", "aud_1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "signature request sent" in done.stdout
    assert "unknown (9999)" in done.stdout
    assert {each.name: each.read_bytes() for each in out.iterdir()} == {
        "audit.jsonl": b"{}\n",
        "completed.tlog-proof": b"proof",
    }


def test_no_line_is_broken_where_no_terminal_says_how_wide_it_is(run: Run) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert digest not in run("documents", "get", "doc_1", COLUMNS="40").stdout
    assert f"{len(CONTENT)} bytes, 1 pages, SHA-256 {digest}" in run("documents", "get", "doc_1", COLUMNS=None).stdout


def test_the_log_s_key_alone_is_what_goes_into_a_file(run: Run) -> None:
    done = run("audit", "log-key")
    assert (done.returncode, done.stdout, done.stderr) == (0, "log.example+0a1b2c3d+AbCd\n", "")


def test_its_version_is_that_of_the_distribution(run: Run) -> None:
    done = run("--version", ZEGEL_SERVER="")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"zegel {zegel.__version__}\n", "")
    assert "--version" in run("--help").stdout


def test_verify_of_what_is_no_file_exits_with_1(run: Run, tmp_path: Path) -> None:
    done = run("verify", "none.pdf", "--log-key", str(tmp_path / "log.vkey"), "--trust", str(tmp_path / "a.pem"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


def test_verify_takes_a_proof_or_none(run: Run) -> None:
    done = run("verify", "x", "--log-key", "k", "--trust", "t", "--proof", "p", "--no-proof")
    assert done.returncode == 2


def test_without_its_extra_the_command_says_how_to_get_it() -> None:
    program = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "typer":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
from zegel.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'zegel: typer is not installed; the command needs the extra: pip install "zegel[cli]"\n'
