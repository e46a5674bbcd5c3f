import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from support.pdfs import png
from support.signing_world import SEAL_CERTIFICATE, SQLITE_ONLY, World, make_field, said
from zegel.signing.v1 import ceremony_service_pb2 as pb
from zegel_server import clock
from zegel_server.audit import trail_quota as allowance
from zegel_server.audit.leaf import commitment
from zegel_server.audit.recorder import commitments_to
from zegel_server.caller import Caller
from zegel_server.db import Statement, Transaction, UniqueViolation
from zegel_server.db.schema import signatures
from zegel_server.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ZegelError,
)
from zegel_server.ids import new_id
from zegel_server.jobs import queue
from zegel_server.signing import ceremony, disclosure
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.model import RequestState, SignatureStatus
from zegel_server.signing.request import CeremonyView, SignatureRequest
from zegel_server.signing.values import Value, digest_of

S = SignatureStatus
TYPED = Value("typed", "Ann Nowak")


async def sign(world: World, signer: Caller) -> CeremonyView:
    return await world.ceremony.sign(signer)


async def refused(act: object) -> ZegelError:
    with pytest.raises(ZegelError) as caught:
        await act  # type: ignore[misc]
    return caught.value


async def test_two_signers_sign_in_turn_and_the_request_waits_to_be_sealed(world: World) -> None:
    sender = world.member()
    asked: list[int] = []
    world.database.listen(queue.TOPIC, lambda: asked.append(1))
    request = await world.send(sender)
    first, second = world.signer(request, 0), world.signer(request, 1)
    assert (await world.ceremony.open(second)).signature.status is S.ON_HOLD
    await world.ceremony.accept_disclosure(second)
    assert (await refused(sign(world, second))).reason == "RECIPIENT_OUT_OF_TURN"
    assert (await refused(world.ceremony.fill(second, [("signature-1", TYPED)]))).reason == "RECIPIENT_OUT_OF_TURN"

    after = await world.sign(first)
    assert [each.status for each in after.progress.signatures] == [S.SIGNED, S.AWAITING_SIGNATURE]
    assert await world.jobs() == []
    heard = len(asked)

    after = await world.sign(second)
    assert after.progress.state is RequestState.ALL_SIGNED
    assert after.progress.all_signed_time == after.progress.signatures[1].sign_time
    (ordered,) = await world.jobs()
    assert (ordered.kind, ordered.resource_id, ordered.attempts) == ("seal", request.signature_request_id, 0)
    assert len(asked) > heard
    found = await world.signing.get(sender, request.signature_request_id)
    assert found.sealing is not None
    assert found.progress == after.progress
    assert await world.events(request) == [
        *("SENT", "VIEWED", "DISCLOSURE_ACCEPTED"),
        *("VIEWED", "DISCLOSURE_ACCEPTED", "FIELDS_FILLED", "SIGNED"),
        *("FIELDS_FILLED", "SIGNED", "ALL_SIGNED"),
    ]


@SQLITE_ONLY
async def test_the_event_of_a_signature_commits_to_who_and_what_and_tells_neither(world: World) -> None:
    request = await world.send(world.member())
    signer = world.signer(request)
    await world.sign(signer)
    values = (await world.ceremony.get(signer)).values
    row = (await world.event_rows())[-1]
    person = request.people[signer.principal_id]
    told = {
        "address": "198.51.100.9",
        "user_agent": "browser/2.0",
        "name": person.name,
        "email": person.email,
        "values": digest_of(values),
    }
    assert await world.personal_of(row) == told
    key = await world.keys.subject_key(person.subject_id)
    assert key is not None
    assert said(row).personal == commitment(key, told)
    assert said(row).actor == signer.principal_id
    assert said(row).documents == commitments_to(request.document_hashes, await world.keys.own_key(world.tenant_id))
    assert all(secret not in row.body for secret in (person.name, person.email, "198.51", digest_of(values)))


@SQLITE_ONLY
async def test_the_trail_names_the_certificate_that_will_seal_once_everybody_has_signed(world: World) -> None:
    request = await world.send(world.member())
    for index in range(2):
        await world.sign(world.signer(request, index))
    *_, signed, everybody = (said(row) for row in await world.event_rows() if row.trail == request.audit_id)
    assert everybody.type == "SIGNATURE_REQUEST_ALL_SIGNED"
    assert everybody.extra["seal_certificate"] == SEAL_CERTIFICATE
    assert everybody.documents == signed.documents
    assert "seal_certificate" not in signed.extra


async def test_viewed_is_told_once_and_never_over_a_signature(world: World) -> None:
    request = await world.send(world.member())
    signer = world.signer(request)
    first = (await world.ceremony.open(signer)).signature.view_time
    await world.sign(signer)
    again = await asyncio.gather(*(world.ceremony.open(signer) for _ in range(3)))
    assert {(each.signature.view_time, each.signature.status) for each in again} == {(first, S.SIGNED)}
    assert (await world.events(request)).count("VIEWED") == 1


async def test_opening_at_the_same_time_is_told_once(world: World) -> None:
    request = await world.send(world.member())
    signer = world.signer(request)
    await asyncio.gather(*(world.ceremony.open(signer) for _ in range(5)))
    assert await world.events(request) == ["SENT", "VIEWED"]


async def test_the_disclosure_is_accepted_once_and_by_its_text(world: World) -> None:
    request = await world.send(world.member())
    signer = world.signer(request)
    assert (await refused(world.ceremony.fill(signer, [("signature-0", TYPED)]))).reason == "DISCLOSURE_NOT_ACCEPTED"
    assert (await refused(sign(world, signer))).reason == "DISCLOSURE_NOT_ACCEPTED"
    first = await world.ceremony.accept_disclosure(signer)
    assert await world.ceremony.accept_disclosure(signer) == first
    rows = [row for row in await world.event_rows() if row.trail == request.audit_id]
    assert [said(row).extra.get("disclosure") for row in rows] == [None, disclosure.NEWEST.sha256]


async def test_a_later_value_takes_the_place_of_an_earlier_one(world: World) -> None:
    sender = world.member()
    more = (make_field("note", FieldType.TEXT), make_field("box", FieldType.CHECKBOX, required=True))
    new = await world.draft(sender)
    request = await world.send(sender, replace(new, fields=(*new.fields, *more)))
    signer = world.signer(request)
    await world.ceremony.accept_disclosure(signer)
    await world.ceremony.fill(signer, [("note", Value("text", "a")), ("signature-0", TYPED)])
    after = await world.ceremony.fill(signer, [("note", Value("text", "b")), ("note", Value("text", "c"))])
    assert after.values == {"note": Value("text", "c"), "signature-0": TYPED}
    assert (await world.ceremony.get(signer)).values == after.values
    again = await world.ceremony.fill(signer, [("note", Value("text", "c"))])
    assert again.values == after.values
    assert (await world.events(request)).count("FIELDS_FILLED") == 2
    error = await refused(sign(world, signer))
    assert (error.reason, error.metadata["field_api_id"]) == ("RECIPIENT_HAS_UNSIGNED_FIELDS", "box")
    assert (await world.ceremony.get(signer)).signature.status is S.AWAITING_SIGNATURE


async def test_filling_in_at_the_same_time_loses_nothing(world: World) -> None:
    sender = world.member()
    notes = tuple(make_field(f"note-{index}", FieldType.TEXT) for index in range(4))
    new = await world.draft(sender)
    request = await world.send(sender, replace(new, fields=(*new.fields, *notes)))
    signer = world.signer(request)
    await world.ceremony.accept_disclosure(signer)
    await asyncio.gather(*(world.ceremony.fill(signer, [(f"note-{i}", Value("text", f"{i}"))]) for i in range(4)))
    values = (await world.ceremony.get(signer)).values
    assert values == {f"note-{index}": Value("text", f"{index}") for index in range(4)}


async def test_what_is_signed_is_what_was_there_under_the_lock(world: World) -> None:
    """A value that slips in while the signature is made either is in its commitment or comes too late."""
    sender = world.member()
    new = await world.draft(sender)
    request = await world.send(sender, replace(new, fields=(*new.fields, make_field("note", FieldType.TEXT))))
    signer = world.signer(request)
    await world.ready(signer)
    await world.ceremony.fill(signer, [("note", Value("text", "before"))])
    draft = world.recorder.draft
    slipped: list[int] = []

    async def slip_in(*args: object, **about: object) -> object:
        made = await draft(*args, **about)  # type: ignore[arg-type]
        if not slipped:
            slipped.append(1)
            await world.ceremony.fill(signer, [("note", Value("text", "slipped in"))])
        return made

    world.recorder.draft = slip_in  # type: ignore[method-assign, assignment]
    view = await sign(world, signer)
    row = next(row for row in reversed(await world.event_rows()) if said(row).type == "SIGNATURE_REQUEST_SIGNED")
    stored = (await world.ceremony.get(signer)).values
    assert stored == view.values
    assert stored["note"] == Value("text", "slipped in")
    assert (await world.personal_of(row))["values"] == digest_of(stored)


@SQLITE_ONLY
async def test_values_together_stay_within_one_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceremony, "MAX_VALUES_BYTES", 20)
    sender = world.member()
    new = await world.draft(sender)
    notes = tuple(make_field(f"note-{index}", FieldType.TEXT) for index in range(2))
    request = await world.send(sender, replace(new, fields=(*new.fields, *notes)))
    signer = world.signer(request)
    await world.ceremony.accept_disclosure(signer)
    await world.ceremony.fill(signer, [("note-0", Value("text", "x" * 20))])
    with pytest.raises(ResourceExhausted):
        await world.ceremony.fill(signer, [("note-1", Value("text", "x"))])
    await world.ceremony.fill(signer, [("note-0", Value("text", "")), ("note-1", Value("text", "x"))])


@SQLITE_ONLY
async def test_drawn_marks_count_by_their_pixels_so_that_what_is_signed_can_be_sealed(world: World) -> None:
    sender = world.member()
    new = await world.draft(sender)
    own = [make_field(f"mark-{index}", FieldType.INITIALS) for index in range(99)]
    others = [make_field(f"other-{index}", FieldType.INITIALS, signer_index=1) for index in range(2)]
    request = await world.send(sender, replace(new, fields=(*new.fields, *own, *others)))
    first, second = world.signer(request, 0), world.signer(request, 1)
    await world.ceremony.accept_disclosure(first)
    largest = Value("drawn", png(2_000, 2_000))

    too_much = [("signature-0", TYPED), *((field.api_id, largest) for field in own), ("signature-0", largest)]
    error = await refused(world.ceremony.fill(first, too_much))
    assert (error.reason, error.metadata) == ("LIMIT_REACHED", {"limit": "request_text", "field": "values[1]"})
    assert not (await world.ceremony.get(first)).values
    await world.ceremony.fill(first, [("signature-0", TYPED), *((field.api_id, largest) for field in own)])
    await world.ceremony.sign(first)

    await world.ceremony.accept_disclosure(second)
    error = await refused(world.ceremony.fill(second, [("other-0", TYPED), ("other-1", largest)]))
    assert (error.reason, error.metadata) == ("LIMIT_REACHED", {"limit": "request_text", "field": "values[1]"})
    await world.ceremony.fill(second, [("other-0", TYPED), ("other-1", Value("drawn", png(600, 200)))])


@SQLITE_ONLY
async def test_a_field_of_another_signer_is_as_unknown_as_none(world: World) -> None:
    request = await world.send(world.member())
    signer = world.signer(request)
    await world.ceremony.accept_disclosure(signer)
    told = [await refused(world.ceremony.fill(signer, [(name, TYPED)])) for name in ("signature-1", "nothing")]
    assert told[0].message == told[1].message
    assert all(isinstance(each, InvalidArgument) for each in told)
    for values in ([], [("signature-0", TYPED)] * 1_001):
        assert isinstance(await refused(world.ceremony.fill(signer, values)), InvalidArgument)


@SQLITE_ONLY
async def test_the_ceremony_is_for_signers_of_that_request_alone(world: World) -> None:
    sender = world.member()
    request, another = await world.send(sender), await world.send(sender)
    signer = world.signer(request)
    for caller in (sender, signer._replace(signature_request_id="")):
        for act in (world.ceremony.get(caller), world.ceremony.open(caller), sign(world, caller)):
            with pytest.raises(PermissionDenied):
                await act
    for caller in (
        signer._replace(signature_request_id=another.signature_request_id),
        signer._replace(tenant_id=new_id("ten")),
        signer._replace(principal_id=new_id("sig")),
    ):
        with pytest.raises(NotFound):
            await world.ceremony.get(caller)


async def test_signing_twice_is_refused_whatever_happened_since(world: World) -> None:
    request = await world.send(world.member())
    first, second = world.signer(request, 0), world.signer(request, 1)
    await world.sign(first)
    assert (await refused(sign(world, first))).reason == "RECIPIENT_ALREADY_SIGNED"
    assert (await refused(world.ceremony.fill(first, [("signature-0", TYPED)]))).reason == "RECIPIENT_ALREADY_SIGNED"
    await world.sign(second)
    assert (await refused(sign(world, first))).reason == "RECIPIENT_ALREADY_SIGNED"
    assert (await refused(world.ceremony.decline(second, ""))).reason == "RECIPIENT_ALREADY_SIGNED"
    assert (await world.events(request)).count("SIGNED") == 2


async def test_many_signing_calls_at_once_make_one_signature(world: World) -> None:
    request = await world.send(world.member())
    signer = world.signer(request)
    await world.ready(signer)
    call = await world.answers.call(signer, pb.SignDocumentsRequest(request_id="once"))

    async def keep(transaction: Transaction, _: object) -> None:
        await call.remember(transaction, pb.SignDocumentsResponse())

    async def attempt() -> str:
        try:
            await world.ceremony.sign(signer, keep)
        except (FailedPrecondition, UniqueViolation) as error:
            return getattr(error, "reason", "UNIQUE")
        return "SIGNED"

    outcomes = await asyncio.gather(*(attempt() for _ in range(4)))
    assert outcomes.count("SIGNED") == 1
    assert (await world.events(request)).count("SIGNED") == 1


async def test_signers_of_equal_order_who_sign_at_once_make_the_request_all_signed_once(world: World) -> None:
    sender = world.member()
    request = await world.send(sender, await world.draft(sender, orders=(0, 0, 0)))
    signers = [world.signer(request, index) for index in range(3)]
    for signer in signers:
        await world.ready(signer)
    await asyncio.gather(*(sign(world, signer) for signer in signers))
    found = await world.signing.get(sender, request.signature_request_id)
    assert found.progress.state is RequestState.ALL_SIGNED
    assert (await world.events(request)).count("ALL_SIGNED") == 1
    assert len(await world.jobs()) == 1


async def test_declining_ends_the_request_and_tells_the_sender_why(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    signer = world.signer(request)
    view = await world.ceremony.decline(signer, "The rent is wrong.")
    found = await world.signing.get(sender, request.signature_request_id)
    assert found == view.request
    assert found.progress.state is RequestState.DECLINED
    assert found.people[signer.principal_id].decline_reason == "The rent is wrong."
    assert found.people[signer.principal_id].name == "Ann 0"
    assert (await refused(sign(world, signer))).reason == "RECIPIENT_DECLINED"
    assert (await refused(sign(world, world.signer(request, 1)))).reason == "SIGNATURE_REQUEST_CLOSED"
    row = (await world.event_rows())[-1]
    assert (await world.personal_of(row))["reason"] == "The rent is wrong."
    assert "rent" not in row.body
    assert isinstance(await refused(world.ceremony.decline(signer, "x" * 1_001)), InvalidArgument)


@SQLITE_ONLY
@pytest.mark.parametrize("act", ["sign", "fill", "decline", "accept"])
async def test_after_the_expiry_nothing_more_is_taken_but_reading(
    world: World, later: Callable[[int], None], act: str
) -> None:
    sender = world.member()
    request = await world.send(sender, await world.draft(sender, expire_time=clock.now() + clock.HOUR))
    signer = world.signer(request)
    if act != "accept":
        await world.ready(signer)
    later(clock.HOUR)
    acts = {
        "sign": lambda: sign(world, signer),
        "fill": lambda: world.ceremony.fill(signer, [("signature-0", Value("typed", "Eve"))]),
        "decline": lambda: world.ceremony.decline(signer, ""),
        "accept": lambda: world.ceremony.accept_disclosure(signer),
    }
    assert (await refused(acts[act]())).reason == "RECIPIENT_EXPIRED"
    assert await world.expiry.sweep_expired() == 1
    assert (await refused(acts[act]())).reason == "RECIPIENT_EXPIRED"
    view = await world.ceremony.get(signer)
    assert (view.request.progress.state, view.signature.status) == (RequestState.EXPIRED, S.EXPIRED)


async def test_after_a_cancel_acts_are_refused_and_reading_is_not(world: World) -> None:
    sender = world.member()
    request = await world.send(sender)
    signer = world.signer(request)
    await world.ready(signer)
    await world.signing.cancel(sender, request.signature_request_id, "")
    error = await refused(sign(world, signer))
    assert (error.reason, error.metadata["state"]) == ("SIGNATURE_REQUEST_CLOSED", "CANCELED")
    assert (await world.ceremony.open(signer)).request.progress.state is RequestState.CANCELED


@SQLITE_ONLY
async def test_a_forgotten_signer_cannot_sign(world: World) -> None:
    request = await world.send(world.member())
    signer = world.signer(request)
    await world.ready(signer)
    async with world.database.transaction() as transaction:
        await world.keys.destroy_subject(transaction, signer.subject_id)
    assert isinstance(await refused(sign(world, signer)), FailedPrecondition)


@SQLITE_ONLY
async def test_values_moved_to_another_signature_are_damage(world: World) -> None:
    """Each row's data is bound to its place: the database's owner cannot move a mark to another request."""
    sender = world.member()
    one, two = await world.send(sender), await world.send(sender)
    await world.ready(world.signer(one))
    rows = {row.signature_id: row for row in await world.database.fetch(Statement(select(signatures)))}
    target = world.signer(two)
    assert target.subject_id == world.signer(one).subject_id
    async with world.database.transaction() as transaction:
        await transaction.execute(
            Statement(
                update(signatures)
                .where(signatures.c.signature_id == target.principal_id)
                .values(field_values=rows[world.signer(one).principal_id].field_values)
            )
        )
    assert (await refused(world.ceremony.get(target))).reason == "STORED_DATA_DAMAGED"


async def test_who_fills_in_for_ever_is_stopped_and_stops_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "SIGNER", 5)
    sender = world.member()
    request = await world.send(sender, await world.draft(sender, orders=(0, 0, 0)))
    ann, ben, eve = [world.signer(request, number) for number in range(3)]
    for signer in (ann, eve):
        await world.ready(signer)
        for number in range(2, 6):
            await world.ceremony.fill(signer, [(field_of(request, signer), Value("typed", f"Ann {number}"))])
        full = await refused(world.ceremony.fill(signer, [(field_of(request, signer), TYPED)]))
        assert isinstance(full, ResourceExhausted)
        assert (full.reason, full.metadata) == ("TRAIL_FULL", {"limit": "events_of_request"})
        # What is there already changes nothing, and leaves no event.
        view = await world.ceremony.fill(signer, [(field_of(request, signer), Value("typed", "Ann 5"))])
        assert view.values[field_of(request, signer)].content == "Ann 5"
    assert (await sign(world, ann)).signature.status is S.SIGNED
    assert [each.status for each in (await world.sign(ben)).progress.signatures][:2] == [S.SIGNED, S.SIGNED]
    assert (await world.ceremony.decline(eve, "No.")).signature.status is S.DECLINED
    assert (await world.events(request)).count("FIELDS_FILLED") == 5 + 5 + 1


def field_of(request: SignatureRequest, signer: Caller) -> str:
    return next(
        each.api_id
        for each in request.fields
        if each.type is FieldType.SIGNATURE
        and request.progress.signatures[each.signer_index].signature_id == signer.principal_id
    )
