"""Messages in, messages out: the two services as their callers see them, without the wire."""

import asyncio
import io
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from PIL import Image
from sqlalchemy import select

from support.signing_world import SQLITE_ONLY, World
from zegel.signing.v1 import ceremony_service_pb2 as ceremony_pb
from zegel.signing.v1 import signature_request_pb2 as types
from zegel.signing.v1 import signing_service_pb2 as pb
from zegel_server import clock
from zegel_server.caller import Caller, set_caller
from zegel_server.db import Statement
from zegel_server.db.schema import idempotency
from zegel_server.errors import Aborted, AlreadyExists, InvalidArgument, ZegelError
from zegel_server.identity.links import Links
from zegel_server.ids import new_id
from zegel_server.permissions.policies import Policies
from zegel_server.signing import disclosure
from zegel_server.signing.links import SignerLinks
from zegel_server.signing.request import SignatureRequest
from zegel_server.signing.servicer import CeremonyServicer, SigningServicer


@pytest.fixture
def signing(world: World) -> SigningServicer:
    links = Links(world.database, Policies(world.database))
    signer_links = SignerLinks(world.database, world.keys, world.recorder, links, world.signing)
    return SigningServicer(world.signing, signer_links, world.answers)


@pytest.fixture
def ceremony(world: World) -> CeremonyServicer:
    return CeremonyServicer(world.ceremony, world.answers)


async def call(caller: Caller, method: Any, request: Any) -> Any:
    async def run() -> Any:
        set_caller(caller)
        return await method(request, None)

    return await asyncio.create_task(run())


async def refused(caller: Caller, method: Any, request: Any) -> ZegelError:
    with pytest.raises(ZegelError) as caught:
        await call(caller, method, request)
    return caught.value


async def asked(world: World, sender: Caller, request_id: str = "") -> pb.CreateSignatureRequestRequest:
    document = await world.documents.add(sender.principal_id)
    common: dict[str, Any] = {"document_index": 0, "page": 1, "x": 10, "width": 200, "height": 50}
    return pb.CreateSignatureRequestRequest(
        title="Lease",
        message="Please",
        documents=[types.RequestedDocument(document_id=document.document_id)],
        signers=[
            types.Signer(name="Bob", email="bob@example.com", order=2),
            types.Signer(name="Ann", email="ann@example.com", order=1),
        ],
        fields=[
            types.Field(api_id="b", type=types.FIELD_TYPE_SIGNATURE, signer_index=0, y=10, **common),
            types.Field(api_id="a", type=types.FIELD_TYPE_SIGNATURE, signer_index=1, y=100, **common),
            types.Field(api_id="d", type=types.FIELD_TYPE_DATE_SIGNED, signer_index=1, y=200, **common),
        ],
        request_id=request_id,
    )


async def snapshot(world: World, sender: Caller, message: types.SignatureRequest) -> SignatureRequest:
    return await world.signing.get(sender, message.signature_request_id)


async def test_a_request_is_told_whole_and_its_signatures_in_signing_order(
    world: World, signing: SigningServicer
) -> None:
    sender = world.member()
    sent = (await call(sender, signing.CreateSignatureRequest, await asked(world, sender))).signature_request
    assert sent.state == types.SIGNATURE_REQUEST_STATE_AWAITING_SIGNATURES
    assert [(each.name, each.email, each.order, each.status) for each in sent.signatures] == [
        ("Ann", "ann@example.com", 1, types.SIGNATURE_STATUS_AWAITING_SIGNATURE),
        ("Bob", "bob@example.com", 2, types.SIGNATURE_STATUS_ON_HOLD),
    ]
    assert [(each.api_id, each.required) for each in sent.fields] == [("b", True), ("a", True), ("d", False)]
    assert (sent.owner_id, sent.etag) == (sender.principal_id, '"1"')
    assert sent.audit_id.startswith("aud_")
    assert not sent.HasField("expire_time")
    assert not sent.HasField("sealing")
    request = pb.GetSignatureRequestRequest(signature_request_id=sent.signature_request_id)
    assert (await call(sender, signing.GetSignatureRequest, request)).signature_request == sent
    everything = pb.ListSignatureRequestsRequest(read_mask=FieldMask(paths=["*"]))
    listed = await call(sender, signing.ListSignatureRequests, everything)
    assert list(listed.signature_requests) == [sent]


async def test_a_repeated_call_gets_the_first_answer_and_sends_nothing(world: World, signing: SigningServicer) -> None:
    sender = world.member()
    request = await asked(world, sender, "r-1")
    first = await call(sender, signing.CreateSignatureRequest, request)
    await call(
        sender,
        signing.CancelSignatureRequest,
        pb.CancelSignatureRequestRequest(signature_request_id=first.signature_request.signature_request_id),
    )
    again = await asyncio.gather(*(call(sender, signing.CreateSignatureRequest, request) for _ in range(3)))
    assert all(each == first for each in again)
    other = await asked(world, sender, "r-1")
    assert isinstance(await refused(sender, signing.CreateSignatureRequest, other), AlreadyExists)
    stranger = world.member()
    error = await refused(stranger, signing.CreateSignatureRequest, request)
    assert error.reason == "RESOURCE_NOT_FOUND"  # another's request_id is another; the document is not theirs


async def test_the_same_call_made_at_once_is_answered_alike(world: World, signing: SigningServicer) -> None:
    sender = world.member()
    request = await asked(world, sender, "r-2")
    answers = await asyncio.gather(*(call(sender, signing.CreateSignatureRequest, request) for _ in range(4)))
    assert all(each == answers[0] for each in answers)
    listed = await call(sender, signing.ListSignatureRequests, pb.ListSignatureRequestsRequest())
    assert len(listed.signature_requests) == 1


async def test_lists_page_by_token_and_by_state(world: World, signing: SigningServicer) -> None:
    sender = world.member()
    sent = [
        (await call(sender, signing.CreateSignatureRequest, await asked(world, sender))).signature_request
        for _ in range(3)
    ]
    request = pb.ListSignatureRequestsRequest(page_size=2, state=types.SIGNATURE_REQUEST_STATE_AWAITING_SIGNATURES)
    first = await call(sender, signing.ListSignatureRequests, request)
    request.page_token = first.next_page_token
    second = await call(sender, signing.ListSignatureRequests, request)
    found = [each.signature_request_id for each in (*first.signature_requests, *second.signature_requests)]
    assert found == [each.signature_request_id for each in reversed(sent)]
    assert (bool(first.next_page_token), second.next_page_token) == (True, "")
    request.state = types.SIGNATURE_REQUEST_STATE_CANCELED
    assert (await refused(sender, signing.ListSignatureRequests, request)).reason == "INVALID_PAGE_TOKEN"
    wrong = pb.ListSignatureRequestsRequest(state=99)  # type: ignore[arg-type]
    assert isinstance(await refused(sender, signing.ListSignatureRequests, wrong), InvalidArgument)


@SQLITE_ONLY
async def test_the_expiry_is_changed_by_mask_and_etag(world: World, signing: SigningServicer) -> None:
    sender = world.member()
    sent = (await call(sender, signing.CreateSignatureRequest, await asked(world, sender))).signature_request
    later = clock.to_timestamp(clock.now() + clock.DAY)
    assert later is not None
    wanted = types.SignatureRequest(
        signature_request_id=sent.signature_request_id, expire_time=later, etag=sent.etag, title="not to be changed"
    )
    request = pb.UpdateSignatureRequestRequest(signature_request=wanted)
    request.update_mask.paths.append("expire_time")
    changed = (await call(sender, signing.UpdateSignatureRequest, request)).signature_request
    assert (changed.expire_time, changed.title, changed.etag) == (later, "Lease", '"2"')
    past = pb.UpdateSignatureRequestRequest(
        signature_request=types.SignatureRequest(
            signature_request_id=sent.signature_request_id, expire_time=Timestamp(seconds=1)
        )
    )
    error = await refused(sender, signing.UpdateSignatureRequest, past)
    assert error.metadata["field"] == "signature_request.expire_time"
    request.signature_request.expire_time.seconds += 1
    assert isinstance(await refused(sender, signing.UpdateSignatureRequest, request), Aborted)
    request.update_mask.paths.append("title")
    assert (await refused(sender, signing.UpdateSignatureRequest, request)).metadata["field"] == "update_mask"


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda r: r.fields[0].ClearField("type"), "fields[0].type"),
        (lambda r: setattr(r.fields[1], "page", 2), "fields[1].page"),
        (lambda r: r.expire_time.CopyFrom(Timestamp(seconds=5)), "expire_time"),
        (lambda r: setattr(r, "request_id", "x" * 65), "request_id"),
        (lambda r: setattr(r.documents[0], "version", -1), "documents[0].version"),
        (lambda r: setattr(r.documents[0], "document_id", ""), "documents[0].document_id"),
        (lambda r: r.fields.pop(1), "signers[1]"),
    ],
)
async def test_what_is_wrong_with_a_request_is_told_by_its_path(
    world: World, signing: SigningServicer, change: Any, field: str
) -> None:
    sender = world.member()
    request = await asked(world, sender)
    change(request)
    assert (await refused(sender, signing.CreateSignatureRequest, request)).metadata["field"] == field


async def test_a_signer_goes_the_whole_way(world: World, signing: SigningServicer, ceremony: CeremonyServicer) -> None:
    sender = await world.sign_in(world.member())
    sent = (await call(sender, signing.CreateSignatureRequest, await asked(world, sender))).signature_request
    opened = await call(
        sender,
        signing.CreateSignerSession,
        pb.CreateSignerSessionRequest(
            signature_request_id=sent.signature_request_id, signature_id=sent.signatures[0].signature_id
        ),
    )
    assert abs(clock.from_timestamp(opened.expire_time) - clock.now() - clock.HOUR) < clock.MINUTE
    ann = world.signer(await snapshot(world, sender, sent), 1)
    view = (await call(ann, ceremony.OpenCeremony, ceremony_pb.OpenCeremonyRequest())).ceremony
    assert (view.tenant_name, view.title, view.signature.name) == ("Lettings & Co", "Lease", "Ann")
    assert [each.api_id for each in view.fields] == ["a", "d"]
    assert (view.disclosure, view.disclosure_version) == (disclosure.NEWEST.text, disclosure.NEWEST.version)
    assert view.signature.HasField("view_time")
    await call(ann, ceremony.AcceptDisclosure, ceremony_pb.AcceptDisclosureRequest())
    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")
    drawn = types.FieldValue(api_id="a", mark=types.Mark(drawn_png=picture.getvalue()))
    filled = (await call(ann, ceremony.FillFields, ceremony_pb.FillFieldsRequest(values=[drawn]))).ceremony
    assert list(filled.values) == [drawn]
    sign = ceremony_pb.SignDocumentsRequest(request_id="s-1")
    first, *again = await asyncio.gather(*(call(ann, ceremony.SignDocuments, sign) for _ in range(3)))
    assert first.ceremony.signature.status == types.SIGNATURE_STATUS_SIGNED
    assert {each.api_id for each in first.ceremony.values} == {"a", "d"}
    assert all(each == first for each in again)
    assert await call(ann, ceremony.SignDocuments, sign) == first
    other = ceremony_pb.SignDocumentsRequest(request_id="s-2")
    assert (await refused(ann, ceremony.SignDocuments, other)).reason == "RECIPIENT_ALREADY_SIGNED"
    got = (await call(ann, ceremony.GetCeremony, ceremony_pb.GetCeremonyRequest())).ceremony
    assert got == first.ceremony

    bob = world.signer(await snapshot(world, sender, sent), 0)
    declined = await call(bob, ceremony.DeclineSignature, ceremony_pb.DeclineSignatureRequest(reason="No."))
    assert declined.ceremony.state == types.SIGNATURE_REQUEST_STATE_DECLINED
    assert declined.ceremony.signature.decline_reason == "No."


@SQLITE_ONLY
@pytest.mark.parametrize(
    "value",
    [
        types.FieldValue(api_id="a"),
        types.FieldValue(api_id="a", mark=types.Mark()),
        types.FieldValue(api_id="a", text="Ann"),
        types.FieldValue(api_id="b", mark=types.Mark(typed="Ann")),
        types.FieldValue(api_id="d", text="2026-01-01"),
        types.FieldValue(mark=types.Mark(typed="Ann")),
    ],
)
async def test_a_value_that_does_not_fit_is_refused(
    world: World, signing: SigningServicer, ceremony: CeremonyServicer, value: types.FieldValue
) -> None:
    sender = world.member()
    sent = (await call(sender, signing.CreateSignatureRequest, await asked(world, sender))).signature_request
    ann = world.signer(await snapshot(world, sender, sent), 1)
    await call(ann, ceremony.AcceptDisclosure, ceremony_pb.AcceptDisclosureRequest())
    error = await refused(ann, ceremony.FillFields, ceremony_pb.FillFieldsRequest(values=[value]))
    assert error.metadata["field"].startswith("values[0]")


@SQLITE_ONLY
async def test_a_session_lasts_a_day_at_most(world: World, signing: SigningServicer) -> None:
    sender = world.member()
    sent = (await call(sender, signing.CreateSignatureRequest, await asked(world, sender))).signature_request
    request = pb.CreateSignerSessionRequest(
        signature_request_id=sent.signature_request_id,
        signature_id=sent.signatures[0].signature_id,
        expire_time=clock.to_timestamp(clock.now() + 25 * clock.HOUR),
    )
    assert (await refused(sender, signing.CreateSignerSession, request)).metadata["field"] == "expire_time"
    request.signature_id = new_id("sig")
    request.ClearField("expire_time")
    assert (await refused(sender, signing.CreateSignerSession, request)).metadata["resource"] == "signature"


@SQLITE_ONLY
async def test_what_is_remembered_of_a_call_holds_no_personal_data(
    world: World, signing: SigningServicer, ceremony: CeremonyServicer
) -> None:
    sender = world.member()
    sent = (await call(sender, signing.CreateSignatureRequest, await asked(world, sender, "c"))).signature_request
    ann = world.signer(await snapshot(world, sender, sent), 1)
    await call(ann, ceremony.AcceptDisclosure, ceremony_pb.AcceptDisclosureRequest())
    value = types.FieldValue(api_id="a", mark=types.Mark(typed="Annabel"))
    await call(ann, ceremony.FillFields, ceremony_pb.FillFieldsRequest(values=[value]))
    await call(ann, ceremony.SignDocuments, ceremony_pb.SignDocumentsRequest(request_id="s"))
    rows = await world.database.fetch(Statement(select(idempotency)))
    assert len(rows) == 2
    for row in rows:
        for secret in (b"ann@", b"bob@", b"Ann", b"Bob"):
            assert secret not in row.response
            assert secret not in row.request_hash
