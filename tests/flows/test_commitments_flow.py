"""The log tells nobody which documents were signed; the evidence tells whoever has it, down to the byte."""

import base64
import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import zegel
from support.flow import Office, sign, until, usual_fields
from support.sealed import make_pdf
from zegel.cli.commands import app
from zegel.evidence.openings import OPENINGS_NAME, check_openings
from zegel.evidence.trail import check_detached, check_trail
from zegel.evidence.transparency import VerifierKey


def published(office: Office) -> bytes:
    """All that anybody may read of the log."""
    files = sorted(path for path in (office.server.data / "log").rglob("*") if path.is_file())
    assert files
    return b"".join(path.read_bytes() for path in files)


def spellings(digest: bytes) -> list[bytes]:
    encoded = base64.b64encode(digest).rstrip(b"=")
    return [
        digest,
        digest.hex().encode(),
        digest.hex().upper().encode(),
        encoded,
        base64.urlsafe_b64encode(digest)[:-1],
    ]


def run(*arguments: object, token: str | None = "") -> str:
    done = CliRunner().invoke(
        app, [str(each) for each in arguments], env={"ZEGEL_SERVER": "", "ZEGEL_TOKEN": token or ""}
    )
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


@pytest.mark.slow
def test_the_published_log_tells_no_document_and_the_evidence_tells_them_all(
    sqlite_office: Office, tmp_path: Path
) -> None:
    office = sqlite_office
    originals = [make_pdf("The lease", pages=2), make_pdf("Its annex")]
    documents = [office.upload(data, title=f"Document {number}") for number, data in enumerate(originals)]
    fields = usual_fields()
    for field in fields[2:]:
        field.document_index = 1
    asked = [zegel.RequestedDocument(document_id=each.document_id) for each in documents]
    request = office.send(documents=asked, fields=fields)
    for index in range(2):
        sign(office.signer(request, index), index)
    done = office.finish(request)
    for each in documents:
        office.sender.documents.download(each.document_id)
    office.sender.documents.delete_document(document_id=documents[0].document_id)
    assert done.report.ok, done.report.failures

    told = {
        *(hashlib.sha256(data).digest() for data in originals),
        *(each.versions[0].sha256 for each in documents),
        *(each.versions[0].rendition.sha256 for each in documents),
        done.request.rendition.sha256,
        hashlib.sha256(done.sealed).digest(),
    }
    assert len(told) == 6  # two originals, their renditions, what was merged of them, and the sealed file
    deleted = documents[0].document_id.encode()
    log = until(
        lambda: data if b"DOCUMENT_DELETED" in (data := published(office)) and deleted in data else None,
        "the last event in the published log",
    )
    for digest in told:
        assert not [each for each in spellings(digest) if each in log]
    for member in (b'"sha256"', b'"size"', b'"salt"'):
        assert member not in log

    key = VerifierKey.parse(done.log_key)
    trail = check_trail(done.transaction.audit_jsonl, done.transaction.proof, [key])
    assert trail.ok
    opened = check_openings(trail.leaves, done.transaction.openings)
    assert opened.failures == ()
    assert [each.sha256 for each in opened.originals] == [hashlib.sha256(data).hexdigest() for data in originals]
    assert opened.rendition is not None
    assert (opened.rendition.sha256, opened.rendition.size) == (
        done.request.rendition.sha256.hex(),
        done.request.rendition.size,
    )
    # What is sealed begins with what was signed.
    shown = done.sealed[: opened.rendition.size]
    assert hashlib.sha256(shown).digest() == done.request.rendition.sha256
    assert [box.page for box in opened.boxes] == [1, 1, 3, 3]
    proved = check_detached(
        hashlib.sha256(done.sealed).digest(),
        len(done.sealed),
        done.transaction.sealed_proof,
        [key],
        opening=opened.sealed,
    )
    assert proved.ok, proved.failures

    (tmp_path / "ca").write_bytes(office.server.authority)
    (tmp_path / "signed.pdf").write_bytes(done.sealed)
    server = ("--server", office.server.listen, "--ca", tmp_path / "ca")
    run("audit", "export", request.audit_id, *server, "--out", tmp_path / "one", token=office.owner._call.token)
    run("audit", "export", tmp_path / "signed.pdf", "--out", tmp_path / "two")
    for folder in (tmp_path / "one", tmp_path / "two"):
        assert (folder / OPENINGS_NAME).read_bytes() == done.transaction.openings
        said = run("audit", "verify", folder, "--log-key", done.log_key)
        assert f"SHA-256 {opened.rendition.sha256}" in said
