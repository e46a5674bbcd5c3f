"""A whole server whose log two witnesses cosign, one of them C2SP's own, and a file that is sealed only with both."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

import zegel
from support import zegelcheck
from support.flow import DOWNLOADABLE, open_office, sign, until
from support.server import ServerProcess, rows
from support.witnesses import WitnessProcess, litewitness
from zegel.cli.commands import app
from zegel.evidence.exporting import check_export
from zegel.evidence.log_sources import FolderSource
from zegel.evidence.mirror import verify_log
from zegel.evidence.transparency import COSIGNATURE_ED25519, VerifierKey
from zegel.evidence.verification import verify_pdf


@dataclass
class Witnessed:
    """The server and its witnesses."""

    server: ServerProcess
    log_key: VerifierKey
    ours: WitnessProcess
    keys: list[VerifierKey]


@pytest.fixture
def witnessed() -> Iterator[Witnessed]:
    with tempfile.TemporaryDirectory(prefix="zegel-test-") as folder:
        root = Path(folder)
        server = ServerProcess(root / "server")
        # The first start makes the log's key, which the witnesses have to know.
        with server, server.client(server.operator_token) as client:
            log_key = VerifierKey.parse(client.audit.get_checkpoint().verifier_key)
        ours = WitnessProcess(root / "ours", [str(log_key)])
        ours.init("ours.example/w")
        (root / "lite").mkdir()
        with ours, litewitness(root / "lite", log_key.name, str(log_key)) as (url, lite):
            settings = [*(f"{key} {ours.url}" for key in ours.keys), f"{lite} {url}"]
            server.environment = {
                "ZEGEL_WITNESSES": json.dumps(settings),
                "ZEGEL_WITNESSES_NEEDED": "2",
                "ZEGEL_WITNESS_WAIT": "1",
            }
            with server:
                yield Witnessed(server, log_key, ours, [*ours.keys, lite])
                assert server.defects() == []


@pytest.mark.slow
def test_a_file_is_sealed_once_both_witnesses_have_cosigned(witnessed: Witnessed, tmp_path: Path) -> None:
    server, keys = witnessed.server, witnessed.keys
    with open_office(server) as office:
        request = office.send()
        sign(office.signer(request, 0), 0)
        witnessed.ours.kill()
        sign(office.signer(request, 1), 1)
        waiting = f"SELECT last_reason FROM jobs WHERE resource_id = '{request.signature_request_id}'"  # noqa: S608 - our own
        refused = [("NOT_WITNESSED_YET",)]
        until(lambda: rows(server.rows_url, waiting) == refused or None, "a try to seal without one of the two")
        assert office.get(request).state != DOWNLOADABLE
        witnessed.ours.start()
        done = office.sealed(request)

        def proved() -> zegel.GetTransactionResponse | None:
            try:
                found = office.owner.audit.get_transaction(audit_id=request.audit_id)
            except zegel.NotWitnessedYet:
                return None
            return found if found.sealed_proof else None

        found = until(proved, "the proof of the sealed file")
        sealed = office.sender.documents.download(done.sealed_document_id)
        checkpoint = office.owner.audit.get_checkpoint().checkpoint
        (tmp_path / "ca").write_bytes(server.authority)
        command = ["audit", "export", request.audit_id, "--out", str(tmp_path / "evidence")]
        command += ["--server", server.listen, "--ca", str(tmp_path / "ca")]
        exported = CliRunner().invoke(app, command, env={"ZEGEL_TOKEN": office.owner._call.token})
        assert exported.exit_code == 0, exported.output
    assert check_export(tmp_path / "evidence", [witnessed.log_key], keys, 2).trail.trail == request.audit_id
    vkeys = [str(key) for key in keys]
    report = verify_pdf(
        sealed,
        [str(witnessed.log_key)],
        [server.authority],
        found.sealed_proof,
        witness_vkeys=vkeys,
        witnesses_needed=2,
    )
    assert report.ok, report.failures
    log = FolderSource(server.data / "log")
    assert verify_log(log, [witnessed.log_key], witnesses=keys, quorum=2).size > 0
    files = {
        "vkey": str(witnessed.log_key).encode(),
        "witnesses": "\n".join(vkeys).encode(),
        "checkpoint": checkpoint,
        "proofs/sealed.tlog-proof": found.sealed_proof,
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    binary = zegelcheck.build(tmp_path)
    checked = subprocess.run([binary, "cosigned", tmp_path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["cosignatures"] == 3
    assert [key.algorithm for key in keys].count(COSIGNATURE_ED25519) == 2
