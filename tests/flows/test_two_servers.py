"""Two server processes over one PostgreSQL and one folder: one installation, whichever of them is asked."""

import contextlib
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import zegel
from support import postgres
from support.flow import Office, event_names, open_office, ready, refused, sign, typed, until, usual_signers
from support.killing import Witness
from support.people import Person, delegate, team_of
from support.server import ServerProcess, rows

pytestmark = pytest.mark.postgresql


@dataclass(frozen=True)
class Pair:
    """The two servers."""

    one: ServerProcess
    other: ServerProcess


@pytest.fixture(scope="module")
def pair(postgres_cluster: postgres.Cluster) -> Iterator[Pair]:
    """Both started at the same time, over an empty database and an empty folder."""
    name = postgres_cluster.create()
    with tempfile.TemporaryDirectory(prefix="zegel-test-") as folder, contextlib.ExitStack() as stack:
        stack.callback(postgres_cluster.drop, name)
        shared = Path(folder) / "shared"
        servers = [
            ServerProcess(Path(folder) / each, database_url=postgres_cluster.url(name), shared=shared)
            for each in ("one", "other")
        ]
        for each in servers:
            stack.callback(each.stop)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda each: each.start(), servers))
        yield Pair(*servers)


@pytest.fixture
def desk(pair: Pair) -> Iterator[tuple[Office, Office]]:
    """One tenant, reached through the one server and through the other."""
    # Either may have made the operator's key, and the file has the one that counts.
    token = (pair.one.data / "operator.key").read_text(encoding="ascii").strip()
    pair.one.operator_token = pair.other.operator_token = token
    with open_office(pair.one) as here, pair.other.client(token) as root:
        there = replace(
            here,
            server=pair.other,
            root=root,
            owner=root.with_token(here.owner._call.token),
            sender=root.with_token(here.sender._call.token),
        )
        yield here, there


def test_both_have_the_same_authority_and_the_same_log(pair: Pair, desk: tuple[Office, Office]) -> None:
    assert pair.one.authority == pair.other.authority
    here, there = desk
    assert here.owner.audit.get_checkpoint().verifier_key == there.owner.audit.get_checkpoint().verifier_key


def test_what_one_revokes_the_other_refuses_at_once(desk: tuple[Office, Office]) -> None:
    here, there = desk
    for _ in range(5):
        opened = here.owner.identity.create_session(member_id=here.sender_id)
        session = there.root.with_token(opened.token)
        session.identity.get_tenant()
        here.owner.identity.revoke_session(session_id=opened.session.session_id)
        with refused("UNAUTHENTICATED", "SESSION_REVOKED"):
            session.identity.get_tenant()


def test_a_role_that_one_takes_away_the_other_knows_at_once(desk: tuple[Office, Office]) -> None:
    here, there = desk
    list(there.sender.documents.list_documents())
    here.owner.permissions.take_role(principal_id=here.sender_id, role="member")
    with refused("PERMISSION_DENIED", "PERMISSION_DENIED", permission="document.read"):
        list(there.sender.documents.list_documents())
    here.owner.permissions.grant_role(principal_id=here.sender_id, role="member")
    list(there.sender.documents.list_documents())


def test_what_one_shares_moves_and_ends_the_other_knows_at_once(desk: tuple[Office, Office]) -> None:
    here, there = desk
    ann, ben = Person(here), Person(here)
    theirs = ben.client_of(there.root)
    team = team_of(here, ann, ben)
    mine = ann.office.upload()

    def reached() -> bool:
        try:
            theirs.documents.get_document(document_id=mine.document_id)
        except zegel.NotFound:
            return False
        return True

    for _ in range(3):
        assert not reached()
        ann.client.documents.move_document(document_id=mine.document_id, owner_id=team.team_id)
        assert reached()
        here.owner.permissions.remove_team_member(team_id=team.team_id, principal_id=ben.member_id)
        assert not reached()
        here.owner.documents.move_document(document_id=mine.document_id, owner_id=ann.member_id)
        made = delegate(ann.client, ann, ben)
        assert reached()
        there.owner.permissions.end_delegation(delegation_id=made.delegation_id)
        with pytest.raises(zegel.NotFound):
            ben.client.documents.get_document(document_id=mine.document_id)
        here.owner.permissions.add_team_member(team_id=team.team_id, principal_id=ben.member_id)


def test_a_link_of_the_one_is_redeemed_at_the_other_and_listed_by_both(desk: tuple[Office, Office]) -> None:
    here, there = desk
    request = here.send()
    request_id = request.signature_request_id
    made = here.sender.signing.create_signer_link(
        signature_request_id=request_id, signature_id=request.signatures[0].signature_id
    )
    there.root.exchange(made.token).ceremony.get_ceremony()
    with refused("UNAUTHENTICATED", "LINK_SPENT"):
        here.root.exchange(made.token)
    for each in (here, there):
        [link] = each.sender.signing.list_signer_links(signature_request_id=request_id)
        assert link.state == zegel.SignerLinkState.REDEEMED


def test_a_stream_of_the_other_is_cut_off_within_a_second(desk: tuple[Office, Office]) -> None:
    here, there = desk
    made = here.owner.identity.create_api_key(name="Watcher", roles=["owner"])
    ended: list[tuple[str, float]] = []
    watching = threading.Event()

    def watch() -> None:
        try:
            for _ in there.root.with_token(made.token).audit.watch_events():
                watching.set()
        except zegel.ZegelError as error:
            ended.append((error.reason, time.monotonic()))

    thread = threading.Thread(target=watch)
    thread.start()
    assert watching.wait(10)
    began = time.monotonic()
    here.owner.identity.revoke_api_key(api_key_id=made.api_key.api_key_id)
    thread.join(10)
    assert not thread.is_alive()
    [(reason, at)] = ended
    assert reason == "SESSION_REVOKED"
    assert at - began < 2.0, "a second, and what a loaded machine adds"


def test_an_upload_begun_here_is_read_there_at_once(desk: tuple[Office, Office]) -> None:
    here, there = desk
    for _ in range(5):
        document = here.upload()
        assert there.sender.documents.download(document.document_id)
        request = there.send(document)
        assert here.get(request) == request


def test_a_call_repeated_at_the_other_is_carried_out_once(desk: tuple[Office, Office]) -> None:
    here, there = desk
    document = here.upload()
    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(lambda number: desk[number % 2].send(document, request_id="once"), range(8)))
    assert len({each.signature_request_id for each in sent}) == 1
    [request] = list(there.sender.signing.list_signature_requests(read_mask=["*"]))
    signers = [each.signer(request, 0) for each in desk]
    ready(signers[0], [typed("signature-0", "Sanne")])

    def try_to_sign(number: int) -> str:
        try:
            signers[number % 2].ceremony.sign_documents()
        except zegel.RecipientAlreadySigned:
            return "had signed"
        return "signed"

    with ThreadPoolExecutor(8) as threads:
        assert Counter(threads.map(try_to_sign, range(8))) == {"signed": 1, "had signed": 7}
    until(lambda: True if "SIGNED" in here.events(request) else None, "the event")
    assert Counter(there.events(request))["SIGNED"] == 1


def test_many_requests_signed_at_either_are_each_sealed_once_in_one_log(desk: tuple[Office, Office]) -> None:
    here, there = desk
    with here.server.client(here.owner._call.token) as first, there.server.client(here.owner._call.token) as second:
        with Witness(first) as seen_here, Witness(second) as seen_there:

            def whole(number: int) -> tuple[Office, zegel.SignatureRequest]:
                office, elsewhere = (here, there) if number % 2 else (there, here)
                request = office.send(signers=usual_signers(2, in_order=False))
                sign(office.signer(request, 0), 0)
                sign(elsewhere.signer(request, 1), 1)
                return elsewhere, request

            with ThreadPoolExecutor(4) as threads:
                signed = list(threads.map(whole, range(10)))
            for office, request in signed:
                done = office.finish(request)
                assert done.report.ok, done.report.failures
                names = Counter(event_names(done.transaction))
                assert (names["ALL_SIGNED"], names["DOWNLOADABLE"]) == (1, 1)
        seen_here.seen |= seen_there.seen
        assert seen_here.check() > 100
    url = here.server.rows_url
    query = f"SELECT count(*), count(DISTINCT signature_request_id) FROM documents WHERE tenant_id = '{here.tenant_id}'"  # noqa: S608
    assert rows(url, f"{query} AND signature_request_id <> ''") == [(10, 10)]
    assert rows(url, "SELECT count(*) FROM jobs WHERE kind = 'seal'") == [(0,)]
    indexes = (
        "SELECT count(*), count(DISTINCT leaf_index), max(leaf_index) + 1 FROM audit_events WHERE leaf IS NOT NULL"
    )
    [(events, distinct, size)] = rows(url, indexes)
    assert events == distinct == size


def test_a_watcher_of_either_misses_nothing_and_hears_nothing_twice(desk: tuple[Office, Office]) -> None:
    here, there = desk
    heard: list[list[int]] = [[], []]
    last = zegel.EventType.SIGNATURE_REQUEST_CANCELED

    def watch(number: int) -> None:
        office = desk[number]
        for message in office.owner.audit.watch_events():
            heard[number].append(message.event.log_index)
            if message.event.type == last:
                return

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    requests = [desk[number % 2].send() for number in range(6)]
    there.sender.signing.cancel_signature_request(signature_request_id=requests[0].signature_request_id)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert heard[0] == heard[1] == sorted(set(heard[0]))
    listed = [each.log_index for each in here.owner.audit.list_events()]
    assert heard[0] == listed[: len(heard[0])]


def test_what_one_had_begun_the_other_seals_when_it_is_killed(pair: Pair, desk: tuple[Office, Office]) -> None:
    here, there = desk
    request = here.send()
    sign(here.signer(request, 0), 0)
    last = here.signer(request, 1)
    ready(last, [typed("signature-1", "Robin")])
    last.ceremony.sign_documents()
    pair.one.kill()
    try:
        done = there.finish(request)
        assert done.report.ok, done.report.failures
        assert Counter(event_names(done.transaction))["DOWNLOADABLE"] == 1
    finally:
        pair.one.start()
    assert here.get(request).sealed_document_id == done.request.sealed_document_id
