"""``kill -9`` anywhere in the flow: started again, the server continues where it was, and the partner as well.

``ZEGEL_KILL_CYCLES`` says how many flows are killed into on each database (default 2), ``ZEGEL_KILL_SEED`` which ones
(default ``1``).
"""

import contextlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from support.flow import big_pdf, event_names, until
from support.killing import GONE_SECONDS, Killer, Partner, Witness, patient, plan
from support.server import ServerProcess, members_of_session, rows, server_on
from zegel.audit.v1.audit_service_pb2 import GetTransactionResponse
from zegel.document.v1.document_service_pb2 import Document
from zegel.evidence.trail import check_trail
from zegel.evidence.transparency import VerifierKey
from zegel.evidence.verification import verify_pdf

CYCLES = int(os.environ.get("ZEGEL_KILL_CYCLES", "2"))
SEED = os.environ.get("ZEGEL_KILL_SEED", "1")
FIRST_STARTS = max(2, CYCLES // 4)
"""How many first starts are killed into."""

ONCE = ("SENT", "ALL_SIGNED", "DOWNLOADABLE")
TWICE = ("VIEWED", "DISCLOSURE_ACCEPTED", "FIELDS_FILLED", "SIGNED")
"""Once for each signer, however often the call was repeated."""

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(max(300, 60 * CYCLES))]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A server of this module's own: it is killed."""
    with server_on(request) as made:
        yield made


def number(server: ServerProcess, what: str, where: str) -> int:
    """How many rows there are of a table."""
    found: int = rows(server.rows_url, f"SELECT count(*) FROM {what} WHERE {where}")[0][0]  # noqa: S608 - our own words
    return found


def check_trail_of(partner: Partner, server: ServerProcess) -> None:
    """One trail, each act in it once, whole and proved; and the sealed file verifies."""

    def ask() -> GetTransactionResponse | None:
        found = partner.owner.audit.get_transaction(audit_id=partner.request.audit_id)
        return found if found.sealed_proof else None

    transaction = until(ask, "the proof of the sealed file")
    key = partner.owner.audit.get_checkpoint().verifier_key
    report = check_trail(transaction.audit_jsonl, transaction.proof, [VerifierKey.parse(key)])
    assert report.ok, report.failures
    names = Counter(event_names(transaction))
    assert {name: names[name] for name in ONCE} == dict.fromkeys(ONCE, 1)
    assert {name: names[name] for name in TWICE} == dict.fromkeys(TWICE, 2)
    sealed = partner.sender.documents.download(partner.request.sealed_document_id)
    verified = verify_pdf(sealed, [key], [server.authority], transaction.sealed_proof)
    assert verified.ok, verified.failures


def check_rows_of(partner: Partner, server: ServerProcess) -> None:
    """Two documents, and no row that leads nowhere."""
    listed: list[Document] = list(partner.owner.documents.list_documents(show_deleted=True))
    assert len(listed) == 2, [each.title for each in listed]
    own = f"tenant_id = '{partner.tenant_id}'"
    for table, expected in (
        ("documents", 2),
        ("document_versions", 2),
        ("signature_requests", 1),
        ("signatures", 2),
        ("members", 1),
        ("tenants", 1),
        ("tenant_keys", 1),
    ):
        assert number(server, table, own) == expected, table
    # A client that gave an upload up leaves one that goes away by itself; the SDK itself rides out a restart.
    assert number(server, "uploads", f"{own} AND state = 'OPEN'") < partner.uploads
    assert number(server, "api_keys", own) == 1
    until(lambda: number(server, "jobs", f"{own} AND kind = 'seal'") == 0 or None, "the end of the job to seal", 15)
    query = f"SELECT blob_prefix, rendition_prefix FROM document_versions WHERE {own}"  # noqa: S608
    prefixes = [prefix for version in rows(server.rows_url, query) for prefix in version if prefix]
    assert len(prefixes) == 3, "an original, what its signers were shown, and the sealed file"
    blobs = server.blobs()
    for prefix in prefixes:
        assert any(each.startswith(f"{prefix}/") for each in blobs), f"{prefix} is gone"


def check_database(server: ServerProcess) -> None:
    """What the database itself says."""
    if server.database_url:
        return
    with contextlib.closing(sqlite3.connect(server.data / "zegel.db")) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert opened.execute("PRAGMA foreign_key_check").fetchall() == []


def test_killed_anywhere_the_flow_goes_on_to_one_sealed_document(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = "postgresql" if server.database_url else "sqlite"
    document = big_pdf(9 * 1024 * 1024)
    kills, slowest = 0, 0.0
    with patient(server) as root, server.client() as anonymous:
        watcher = anonymous.with_token(server.operator_token)
        with Witness(watcher) as witness:
            for cycle in range(CYCLES):
                began, seed = time.monotonic(), f"{SEED}-{kind}-{cycle}"
                planned = plan(seed)
                killer = Killer(server)
                partner = Partner(root, f"Tenant {cycle}", document, killer, planned)
                try:
                    partner.run()
                    check_trail_of(partner, server)
                    check_rows_of(partner, server)
                except BaseException as error:
                    raise AssertionError(f"seed {seed}: {planned}\n{server.tail()}") from error
                finally:
                    with contextlib.suppress(AssertionError):
                        killer.settle()
                kills += killer.kills
                slowest = max(slowest, time.monotonic() - began)
        size = witness.check()
    server.stop()
    check_database(server)
    assert server.defects() == []
    with capsys.disabled():
        print(  # noqa: T201 - the figures of a campaign
            f"\n{kind}: {CYCLES} flows, {kills} kills, a log of {size} events in {len(witness.seen)} checkpoints, "
            f"the slowest flow took {slowest:.0f} s"
        )
    assert kills >= CYCLES


def test_killed_in_its_first_start_it_starts_all_the_same(tmp_path: Path) -> None:
    dice = Random(f"{SEED}-first")  # noqa: S311 - repeatable, not secret
    for attempt in range(FIRST_STARTS):
        server, moments = ServerProcess(tmp_path / str(attempt)), [dice.uniform(0.5, 2.6) for _ in range(2)]
        try:
            for moment in moments:
                server.spawn()
                time.sleep(moment)
                session = server.kill()
                until(lambda session=session: not members_of_session(session) or None, "the end", GONE_SECONDS)  # type: ignore[misc]
            server.start()
            with server.client(server.operator_token) as root:
                assert root.identity.create_tenant(name="After all").api_key_token, moments
        finally:
            server.stop()
        check_database(server)
