import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from support.jobs import add
from support.signing_world import SQLITE_ONLY, World, draft_of, make_field, said
from zegel.evidence.commitments import boxes_salt, commit_boxes
from zegel.signing.v1 import signing_service_pb2 as pb
from zegel_server import clock
from zegel_server.audit.leaf import commitment
from zegel_server.audit.recorder import commitments_to
from zegel_server.caller import PrincipalKind, Scope
from zegel_server.db import Statement, Transaction, UniqueViolation
from zegel_server.db.schema import metadata, sessions
from zegel_server.documents.model import Page
from zegel_server.edge import etags
from zegel_server.edge.paging import PageRequest
from zegel_server.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from zegel_server.ids import new_id
from zegel_server.signing import sealing_job, store
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.messages import REQUEST_FIELDS, request_message
from zegel_server.signing.model import RequestState, SignatureStatus
from zegel_server.signing.new_request import DocumentChoice, NewRequest, Signer, check_new_request
from zegel_server.signing.openings import boxes_of

_SESSIONS = Statement(select(sessions))


async def test_a_request_pins_versions_and_asks_the_first_signers(world: World) -> None:
    sender = world.member()
    document = await world.documents.add(sender.principal_id, b"first")
    newer = await world.documents.add_version(document, b"second")
    new = draft_of([document.document_id])
    new = replace(new, documents=(DocumentChoice(document.document_id), DocumentChoice(document.document_id, 1)))
    request = await world.send(sender, new)
    await world.documents.add_version(document, b"third")

    found = await world.signing.get(sender, request.signature_request_id)
    assert found == request
    assert [(each.version, each.sha256) for each in found.documents] == [(2, newer.sha256), (1, document.sha256)]
    assert found.owner_id == sender.principal_id
    assert [each.status for each in found.progress.signatures] == [
        SignatureStatus.AWAITING_SIGNATURE,
        SignatureStatus.ON_HOLD,
    ]
    assert [person.email for person in found.people.values()] == ["ann0@example.com", "ann1@example.com"]
    assert found.tenant_name == "Lettings & Co"


@SQLITE_ONLY
async def test_who_has_too_much_to_be_sealed_sends_nothing_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing_job, "MOST_TO_SEAL", 2)
    sender = world.member()
    await add(world.database, store.SEAL, "req_1", "req_2", tenant_id="ten_other")
    await add(world.database, store.SEAL, "req_3", tenant_id=world.tenant_id)
    await world.send(sender)
    await add(world.database, store.SEAL, "req_4", tenant_id=world.tenant_id)
    with pytest.raises(ResourceExhausted) as refused:
        await world.send(sender)
    assert refused.value.retry_after_s
    assert refused.value.metadata == {"limit": "requests_to_seal"}


@SQLITE_ONLY
async def test_the_first_event_names_hashes_and_commits_to_each_signer_without_telling_who(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    (row,) = [row for row in await world.event_rows() if row.trail == request.audit_id]
    leaf = said(row)
    assert leaf.type == "SIGNATURE_REQUEST_SENT"
    assert leaf.actor == sender.principal_id
    assert leaf.documents == commitments_to(request.document_hashes, await world.keys.own_key(world.tenant_id))
    signers: Any = leaf.extra["signers"]
    for signer in signers:
        person = request.people[signer["signature"]]
        key = await world.keys.subject_key(person.subject_id)
        assert key is not None
        assert signer["personal"] == commitment(key, {"name": person.name, "email": person.email})
    for secret in ("Lease", "Please sign", "Ann", "example.com", "192.0.2.7"):
        assert secret not in row.body


@SQLITE_ONLY
async def test_no_name_or_address_stands_in_the_tables_in_clear(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    signer = world.signer(request)
    await world.sign(signer)
    for table in ("signature_requests", "signatures", "audit_events", "idempotency", "jobs", "subjects"):
        rows = await everything(world, table)
        assert all(secret not in repr(rows) for secret in ("ann0@", "ann1@", "Ann 0", "Ann 1", "198.51.100.9")), table


async def everything(world: World, table: str) -> list[object]:
    return list(await world.database.fetch(Statement(select(metadata.tables[table]))))


@SQLITE_ONLY
async def test_a_forgotten_signer_leaves_a_request_without_a_name(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    subject = next(iter(request.people.values())).subject_id
    async with world.database.transaction() as transaction:
        await world.keys.destroy_subject(transaction, subject)
    found = await world.signing.get(sender, request.signature_request_id)
    assert [person.name for person in found.people.values()] == ["", "Ann 1"]


A4 = (Page(595.0, 842.0),)


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"title": ""}, "title", "MISSING_FIELD"),
        ({"title": "x" * 256}, "title", "INVALID_FIELD"),
        ({"message": "x" * 5_001}, "message", "INVALID_FIELD"),
        ({"documents": ()}, "documents", "MISSING_FIELD"),
        ({"signers": ()}, "signers", "MISSING_FIELD"),
        ({"signers": (Signer("Ann", "ann"),)}, "signers[0].email", "INVALID_FIELD"),
        ({"signers": (Signer("", "a@b.example"),)}, "signers[0].name", "MISSING_FIELD"),
        ({"signers": (Signer("A", "a@b.example"), Signer("B", "A@B.example"))}, "signers[1].email", "INVALID_FIELD"),
        ({"signers": (Signer("A", "a@b.example", -1),)}, "signers[0].order", "INVALID_FIELD"),
        ({"fields": ()}, "signers[0]", "MISSING_SIGNATURE_FIELD"),
        ({"fields": (make_field("a", FieldType.SIGNATURE),)}, "signers[1]", "MISSING_SIGNATURE_FIELD"),
        ({"fields": (make_field("a", FieldType.INITIALS),)}, "signers[0]", "MISSING_SIGNATURE_FIELD"),
        (
            {"fields": (make_field("a", FieldType.SIGNATURE), make_field("a", FieldType.SIGNATURE, signer_index=1))},
            "fields[1].api_id",
            "INVALID_FIELD",
        ),
        (
            {"fields": tuple(make_field(f"{i}", FieldType.SIGNATURE, signer_index=i, page=1 + i) for i in range(2))},
            "fields[1].page",
            "INVALID_FIELD",
        ),
        (
            {"fields": tuple(make_field(f"{i}", FieldType.SIGNATURE, signer_index=i, x=500.0 * i) for i in range(2))},
            "fields[1].width",
            "INVALID_FIELD",
        ),
        ({"fields": tuple(make_field(f"{i}", FieldType.TEXT) for i in range(1_001))}, "fields", "INVALID_FIELD"),
    ],
)
async def test_a_wrong_request_is_refused_by_name_and_leaves_nothing(
    world: World, changes: dict[str, Any], field: str, reason: str
) -> None:
    sender = world.member()
    with pytest.raises(InvalidArgument) as caught:
        await world.send(sender, await world.draft(sender, **changes))
    assert (caught.value.metadata["field"], caught.value.reason) == (field, reason)
    assert await world.event_rows() == []


async def test_a_document_of_another_owner_is_as_absent_as_none(world: World) -> None:
    sender = world.member()
    foreign = await world.documents.add(new_id("mem"))
    told = []
    for document_id in (foreign.document_id, new_id("doc"), "doc_nonsense"):
        with pytest.raises(NotFound) as caught:
            await world.send(sender, draft_of([document_id]))
        told.append((caught.value.message, caught.value.metadata))
    assert told[0] == told[1] == told[2]
    sent = await world.send(world.member(Scope.ANY), draft_of([foreign.document_id]))
    assert sent.documents[0].sha256 == foreign.sha256


@SQLITE_ONLY
async def test_documents_that_could_never_become_one_sealed_file_are_refused_at_once(world: World) -> None:
    sender = world.member()
    thick = await world.documents.add(sender.principal_id, pages=[Page(595, 842)] * 1_001)
    new = draft_of([thick.document_id, thick.document_id])
    with pytest.raises(FailedPrecondition) as caught:
        await world.send(sender, new)
    assert caught.value.reason == "DOCUMENT_TOO_COMPLEX"


@SQLITE_ONLY
async def test_a_document_deleted_in_between_is_not_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = world.member()
    document = await world.documents.add(sender.principal_id)
    describe = world.documents.for_signing.describe

    async def deleted_right_after(*args: object) -> object:
        found = await describe(*args)  # type: ignore[arg-type]
        await world.documents.delete(document)
        return found

    monkeypatch.setattr(world.documents.for_signing, "describe", deleted_right_after)
    with pytest.raises(FailedPrecondition) as caught:
        await world.send(sender, draft_of([document.document_id]))
    assert caught.value.reason == "DOCUMENT_DESTROYED"
    assert await world.event_rows() == []


async def test_only_who_may_reach_a_request_learns_that_it_exists(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    another = await world.send(sender)
    strangers = [
        world.member(),
        world.signer(another),
        world.member(Scope.ANY, tenant_id=new_id("ten")),
        world.member(Scope.PARTY),
    ]
    for stranger in strangers:
        for act in (
            world.signing.get(stranger, request.signature_request_id),
            world.signing.cancel(stranger, request.signature_request_id, ""),
            world.signing.reschedule(stranger, request.signature_request_id, None, ""),
            world.signing.open_session(stranger, request.signature_request_id, new_id("sig"), clock.now()),
        ):
            with pytest.raises(NotFound):
                await act
    for friend in (sender, world.member(Scope.ANY), world.signer(request)):
        assert (await world.signing.get(friend, request.signature_request_id)).title == request.title
    assert await world.events(request) == ["SENT"]


async def test_lists_are_cut_to_the_caller_and_page_without_gap_or_repetition(world: World) -> None:
    sender, other = world.member(), world.member()
    sent = [(await world.send(sender)).signature_request_id for _ in range(5)]
    foreign = await world.send(other)
    await world.signing.cancel(sender, sent[1], "")

    async def pages(caller: object, state: str = "", size: int = 2) -> list[str]:
        found: list[str] = []
        asked: PageRequest | None = PageRequest(size)
        while asked is not None:
            page = await world.signing.list_page(caller, asked, state=state, fields=REQUEST_FIELDS)  # type: ignore[arg-type]
            found += [each.signature_request_id for each in page.items]
            assert len(page.items) == size or page.next is None
            wholes = [await world.signing.get(caller, each) for each in found[-len(page.items) :]]  # type: ignore[arg-type]
            assert list(map(request_message, page.items)) == list(map(request_message, wholes))
            asked = None if page.next is None else PageRequest(size, page.next)
        return found

    assert await pages(sender) == sorted(sent, reverse=True)
    assert await pages(other) == [foreign.signature_request_id]
    assert len(await pages(world.member(Scope.ANY), size=4)) == 6
    assert await pages(sender, state="CANCELED") == [sent[1]]
    assert await pages(sender, state="EXPIRED") == []
    assert await pages(world.member()) == []
    assert await pages(world.signer(foreign)) == [foreign.signature_request_id]


async def test_an_old_etag_changes_nothing(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    key, first = request.signature_request_id, etags.of(request.revision)
    later = clock.now() + clock.DAY
    changed = await world.signing.reschedule(sender, key, later, first)
    assert changed.progress.expire_time == later
    for act in (world.signing.reschedule(sender, key, later + 1, first), world.signing.cancel(sender, key, first)):
        with pytest.raises(Aborted) as caught:
            await act
        assert caught.value.reason == "ETAG_MISMATCH"
    assert await world.signing.get(sender, key) == changed
    assert (await world.signing.reschedule(sender, key, None, etags.of(changed.revision))).progress.expire_time is None
    assert await world.events(request) == ["SENT", "EXPIRY_EDITED", "EXPIRY_EDITED"]


async def test_calling_off_twice_is_once_and_keeps_every_row(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    signer = world.signer(request)
    await world.sign(signer)
    canceled = await world.signing.cancel(sender, request.signature_request_id, "")
    assert await world.signing.cancel(sender, request.signature_request_id, '"1"') == canceled
    assert canceled.progress.state is RequestState.CANCELED
    assert [each.status for each in canceled.progress.signatures] == [SignatureStatus.SIGNED, SignatureStatus.EXPIRED]
    assert await world.events(request) == [
        "SENT",
        "VIEWED",
        "DISCLOSURE_ACCEPTED",
        "FIELDS_FILLED",
        "SIGNED",
        "CANCELED",
    ]
    view = await world.ceremony.get(signer)
    assert view.signature.sign_time is not None
    assert view.values


async def test_an_expired_request_is_ended_once_whoever_sweeps(world: World, later: Callable[[int], None]) -> None:
    sender = world.member()
    soon, never, late = [
        await world.send(sender, await world.draft(sender, expire_time=expires))
        for expires in (clock.now() + clock.HOUR, None, clock.now() + clock.DAY)
    ]
    assert await world.expiry.sweep_expired() == 0
    later(2 * clock.HOUR)
    counts = await asyncio.gather(*(world.expiry.sweep_expired() for _ in range(3)))
    assert sum(counts) == 1
    assert await world.expiry.sweep_expired() == 0
    states = [
        (await world.signing.get(sender, each.signature_request_id)).progress.state for each in (soon, never, late)
    ]
    assert states == [RequestState.EXPIRED, RequestState.AWAITING_SIGNATURES, RequestState.AWAITING_SIGNATURES]
    assert await world.events(soon) == ["SENT", "EXPIRED"]
    with pytest.raises(FailedPrecondition):
        await world.signing.reschedule(sender, soon.signature_request_id, None, "")


async def test_who_opened_a_signers_session_stands_in_the_trail(world: World) -> None:
    sender = await world.sign_in(world.member())
    request = await world.send(sender)
    signature = request.progress.signatures[1].signature_id
    expires = clock.now() + clock.HOUR
    opened = await world.signing.open_session(sender, request.signature_request_id, signature, expires)
    (session,) = [row for row in await world.database.fetch(_SESSIONS) if row.session_id != sender.session_id]
    assert (session.session_id, session.kind) == (opened.session_id, PrincipalKind.SIGNER)
    assert session.principal_id == signature
    assert session.signature_request_id == request.signature_request_id
    assert session.subject_id == request.people[signature].subject_id
    assert session.creator_id == sender.principal_id
    assert session.expire_time == expires
    row = (await world.event_rows())[-1]
    assert said(row).actor == sender.principal_id
    assert said(row).resource == signature
    assert said(row).extra["opened_session"] == opened.session_id
    assert opened.token not in row.body
    another = await world.send(sender)
    with pytest.raises(NotFound):
        await world.signing.open_session(sender, another.signature_request_id, signature, expires)


async def test_the_same_call_at_the_same_time_sends_one_request(world: World) -> None:
    sender = world.member()
    new = await world.draft(sender)
    call = await world.answers.call(sender, pb.CreateSignatureRequestRequest(title=new.title, request_id="one"))

    async def keep(transaction: Transaction, _: object) -> None:
        await call.remember(transaction, pb.CreateSignatureRequestResponse())

    async def send(what: NewRequest) -> str | None:
        try:
            return (await world.signing.create(sender, what, keep)).signature_request_id
        except UniqueViolation:
            return None

    made = [each for each in await asyncio.gather(*(send(new) for _ in range(4))) if each]
    assert len(made) == 1
    found = await world.signing.list_page(sender, PageRequest(10), state="", fields=())
    assert [each.signature_request_id for each in found.items] == made
    assert len(await world.event_rows()) == 1


@SQLITE_ONLY
async def test_fields_are_committed_to_as_boxes(world: World) -> None:
    request = await world.send(world.member())
    (event,) = await world.event_rows()
    salt = boxes_salt(await world.keys.own_key(world.tenant_id), request.audit_id)
    assert said(event).extra["boxes"] == commit_boxes(salt, boxes_of(request))
    assert "fields" not in said(event).extra
    assert len(request.fields) == 4


def test_refusals_tell_no_personal_data() -> None:
    new = replace(draft_of([new_id("doc")]), signers=(Signer("Mara", "mara@"), Signer("Bob", "bob@b.example")))
    with pytest.raises(InvalidArgument) as caught:
        check_new_request(new)
    assert "mara" not in f"{caught.value.message} {caught.value.metadata}"
