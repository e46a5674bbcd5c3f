"""The audit service's messages: what is asked is checked, and what is known is said."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from support.audit_world import DOCUMENT, AuditWorld
from zegel.audit.v1 import audit_service_pb2 as pb
from zegel.event.v1 import event_type_pb2 as events
from zegel.evidence.transparency import LogProof, VerifierKey, open_checkpoint, verify_consistency
from zegel_server.audit.servicer import AuditServicer
from zegel_server.caller import Caller, set_caller
from zegel_server.errors import InvalidArgument, OutOfRange


@pytest.fixture
def caller(world: AuditWorld) -> Caller:
    return world.caller()


@pytest.fixture
def servicer(world: AuditWorld) -> AuditServicer:
    return AuditServicer(world.trail)


async def test_pages_hold_every_event_and_refuse_another_lists_token(
    world: AuditWorld, servicer: AuditServicer, caller: Caller
) -> None:
    set_caller(caller)
    request = await world.add_request(caller.principal_id)
    await world.record(
        caller,
        "DOCUMENT_DOWNLOADED",
        request=request,
        documents=[DOCUMENT],
        resource_id="doc_1",
        personal={"name": "Ann"},
    )
    await world.record(caller, count=6)
    await world.trail.flush()
    found: list[pb.Event] = []
    token = ""
    while True:
        asked = pb.ListEventsRequest(page_size=3, page_token=token)
        page = await servicer.ListEvents(asked, None)
        found += page.events
        token = page.next_page_token
        if not token:
            break
        with pytest.raises(InvalidArgument) as refused:
            await servicer.ListEvents(pb.ListEventsRequest(principal_id="mem_1", page_token=token), None)
        assert refused.value.reason == "INVALID_PAGE_TOKEN"
    assert [event.log_index for event in found] == list(range(7))
    first = found[0]
    assert first.type == events.EVENT_TYPE_DOCUMENT_DOWNLOADED
    assert (first.principal_id, first.session_id) == (caller.principal_id, caller.session_id)
    assert (first.signature_request_id, first.resource_id, first.policy_version) == (request[0], "doc_1", 3)
    (document,) = first.documents
    assert (document.document_id, document.version, document.content) == ("doc_1", 1, "original")
    assert (len(document.commitment), document.sha256) == (32, b"")
    assert document.commitment.hex() != DOCUMENT.sha256
    assert (first.personal.name, first.personal.address) == ("Ann", "198.51.100.9")
    assert first.event_time.ToMicroseconds() > 0
    assert not first.refused


@pytest.mark.parametrize(
    "asked",
    [
        pb.ListEventsRequest(page_size=-1),
        pb.ListEventsRequest(page_token="x"),
        pb.ListEventsRequest(types=[0]),  # type: ignore[list-item]
        pb.ListEventsRequest(types=[9_999]),  # type: ignore[list-item]
        pb.ListEventsRequest(start_time=Timestamp(seconds=-5)),
        pb.ListEventsRequest(end_time=Timestamp(nanos=-1)),
    ],
)
async def test_a_wrong_question_is_refused(
    servicer: AuditServicer, caller: Caller, asked: pb.ListEventsRequest
) -> None:
    set_caller(caller)
    with pytest.raises(InvalidArgument):
        await servicer.ListEvents(asked, None)


async def test_what_is_proved_verifies_with_the_key_that_is_told(
    world: AuditWorld, servicer: AuditServicer, caller: Caller
) -> None:
    set_caller(caller)
    request = await world.add_request(caller.principal_id)
    ids = await world.record(caller, "SIGNATURE_REQUEST_SENT", request=request, count=5)
    await world.trail.flush()
    early = await servicer.GetCheckpoint(pb.GetCheckpointRequest(), None)
    key = VerifierKey.parse(early.verifier_key)
    assert open_checkpoint(early.checkpoint, [key]).size == early.size == 5
    await world.record(caller, "SIGNATURE_REQUEST_VIEWED", request=request, count=3)
    await world.trail.flush()
    late = await servicer.GetCheckpoint(pb.GetCheckpointRequest(), None)
    proof = await servicer.GetInclusionProof(pb.GetInclusionProofRequest(event_id=ids[2]), None)
    parsed = LogProof.parse(proof.proof)
    parsed.verify(parsed.extra, [key])
    between = await servicer.GetConsistencyProof(pb.GetConsistencyProofRequest(first_size=5), None)
    old, new = (open_checkpoint(each.checkpoint, [key]) for each in (early, late))
    verify_consistency(5, between.second_size, old.root, new.root, list(between.hashes))
    assert between.checkpoint == late.checkpoint
    found = await servicer.GetTransaction(pb.GetTransactionRequest(audit_id=request[1]), None)
    assert found.signature_request_id == request[0]
    assert found.audit_jsonl == b"".join(event.leaf + b"\n" for event in found.events)
    LogProof.parse(found.proof).verify(found.events[-1].leaf, [key])
    assert found.sealed_proof == b""


async def test_sizes_are_checked(world: AuditWorld, servicer: AuditServicer, caller: Caller) -> None:
    set_caller(caller)
    await world.record(caller, count=2)
    await world.trail.flush()
    with pytest.raises(InvalidArgument) as refused:
        await servicer.GetConsistencyProof(pb.GetConsistencyProofRequest(), None)
    assert refused.value.reason == "MISSING_FIELD"
    for asked in (
        pb.GetConsistencyProofRequest(first_size=3),
        pb.GetConsistencyProofRequest(first_size=1, second_size=3),
    ):
        with pytest.raises(OutOfRange):
            await servicer.GetConsistencyProof(asked, None)


async def test_a_watch_begins_where_it_is_told(world: AuditWorld, servicer: AuditServicer, caller: Caller) -> None:
    set_caller(caller)
    await world.record(caller, count=4)
    await world.trail.flush()
    stream: Any = servicer.WatchEvents(pb.WatchEventsRequest(start_index=2), None)
    assert [(await anext(stream)).event.log_index for _ in range(2)] == [2, 3]
    await stream.aclose()
    with pytest.raises(InvalidArgument):
        await anext(aiter(servicer.WatchEvents(pb.WatchEventsRequest(start_index=-1), None)))
