"""Single-use signer links, from the partner who makes one to the signer who signs by it, on either database."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

import zegel
from security.tokens import ahead
from support.flow import Office, event_names, ready, sign, typed
from support.rows_of import change_row
from zegel.errors import FailedPrecondition, InvalidArgument, NotFound, Unauthenticated, ZegelError
from zegel_server import clock


def make_link(
    office: Office,
    request: zegel.SignatureRequest,
    index: int = 0,
    by: zegel.Client | None = None,
    request_id: str = "",
) -> zegel.CreateSignerLinkResponse:
    return (by or office.sender).signing.create_signer_link(
        signature_request_id=request.signature_request_id,
        signature_id=request.signatures[index].signature_id,
        request_id=request_id,
    )


def refused(office: Office, token: str) -> str:
    with pytest.raises(Unauthenticated) as raised:
        office.root.exchange(token)
    return raised.value.reason


def test_a_signer_signs_by_a_link_and_the_trail_tells_who_made_and_who_opened_it(office: Office) -> None:
    request = office.send()
    link = make_link(office, request)
    signer = office.root.exchange(link.token)
    session = signer.identity.get_current_session().session
    assert (session.kind, session.principal_id) == (zegel.SessionKind.SIGNER, request.signatures[0].signature_id)
    assert session.creator_id == office.sender_id
    sign(signer, 0)
    sign(office.root.exchange(make_link(office, request, 1).token), 1)
    finished = office.finish(request)
    assert finished.report.ok, finished.report.failures
    names = event_names(finished.transaction)
    assert (names.count("SIGNER_LINK_CREATED"), names.count("SIGNER_LINK_REDEEMED")) == (2, 2)
    redeemed = next(each for each in finished.transaction.events if each.type == zegel.EventType.SIGNER_LINK_REDEEMED)
    assert redeemed.principal_id == request.signatures[0].signature_id
    assert link.signer_link_id.encode() in redeemed.leaf
    assert b"127.0.0.1" not in redeemed.leaf


def test_the_second_use_is_refused_and_so_is_every_other_method(office: Office) -> None:
    token = make_link(office, office.send()).token
    with pytest.raises(Unauthenticated, match="form") as raised:
        office.root.with_token(token).ceremony.open_ceremony()
    assert raised.value.reason == "SESSION_MALFORMED"
    office.root.exchange(token)
    assert refused(office, token) == "LINK_SPENT"


def test_of_redemptions_at_the_same_time_one_goes_through(office: Office) -> None:
    for _ in range(6):
        token, start = make_link(office, office.send()).token, threading.Barrier(4)

        def redeem(token: str = token, start: threading.Barrier = start) -> str:
            start.wait()
            try:
                office.root.exchange(token)
            except ZegelError as error:
                return error.reason
            return "redeemed"

        with ThreadPoolExecutor(4) as threads:
            outcomes = sorted(each.result() for each in [threads.submit(redeem) for _ in range(4)])
        assert outcomes == ["LINK_SPENT"] * 3 + ["redeemed"]


def test_what_is_redeemed_while_it_is_revoked_opens_nothing_afterwards(office: Office) -> None:
    request = office.send()
    for by_key in (False, True) * 4:
        made = office.owner.identity.create_api_key(name="k", roles=["owner"])
        link = make_link(office, request, by=office.root.with_token(made.token))

        def revoke(by_key: bool, link: zegel.CreateSignerLinkResponse, key_id: str) -> None:
            if by_key:
                office.owner.identity.revoke_api_key(api_key_id=key_id)
            else:
                office.owner.signing.revoke_signer_link(
                    signature_request_id=request.signature_request_id, signer_link_id=link.signer_link_id
                )

        with ThreadPoolExecutor(2) as threads:
            redeeming = threads.submit(office.root.exchange, link.token)
            threads.submit(revoke, by_key, link, made.api_key.api_key_id).result()
        with pytest.raises(Unauthenticated) as raised:
            redeeming.result().ceremony.get_ceremony()
        assert raised.value.reason in {"LINK_REVOKED", "SESSION_REVOKED"}


def test_a_link_ends_with_what_it_was_for(office: Office) -> None:
    canceled, signed = office.send(), office.send()
    links = [make_link(office, each).token for each in (canceled, signed)]
    office.sender.signing.cancel_signature_request(signature_request_id=canceled.signature_request_id)
    sign(office.signer(signed, 0), 0)
    assert [refused(office, each) for each in links] == ["LINK_EXPIRED"] * 2
    for request in (canceled, signed):
        with pytest.raises(FailedPrecondition):
            make_link(office, request)


def test_a_link_ends_by_the_clock(office: Office) -> None:
    request = office.send()
    about = {"signature_request_id": request.signature_request_id, "signature_id": request.signatures[0].signature_id}
    with pytest.raises(InvalidArgument) as raised:
        office.sender.signing.create_signer_link(**about, expire_time=ahead(31 * 86_400))
    assert raised.value.metadata == {"field": "expire_time"}
    token = office.sender.signing.create_signer_link(**about, expire_time=ahead(0.5)).token
    time.sleep(0.6)
    assert refused(office, token) == "LINK_EXPIRED"


def test_a_repeated_call_makes_one_link_with_one_good_token(office: Office) -> None:
    request = office.send()
    first = make_link(office, request, request_id="l-1")
    again = make_link(office, request, request_id="l-1")
    assert (again.signer_link_id, again.expire_time) == (first.signer_link_id, first.expire_time)
    assert refused(office, first.token) == "SESSION_UNKNOWN"
    office.root.exchange(again.token)
    assert make_link(office, request, request_id="l-1").token == ""


def test_a_link_is_of_its_request_alone(office: Office, other_office: Office) -> None:
    one, other, theirs = office.send(), office.send(), other_office.send()
    link, their_link = make_link(office, one), make_link(other_office, theirs)
    for request_id, link_id in (
        (other.signature_request_id, link.signer_link_id),
        (one.signature_request_id, their_link.signer_link_id),
        (theirs.signature_request_id, their_link.signer_link_id),
    ):
        with pytest.raises(NotFound):
            office.sender.signing.revoke_signer_link(signature_request_id=request_id, signer_link_id=link_id)
    other_office.root.exchange(their_link.token)
    office.root.exchange(link.token)


def test_revoking_a_spent_link_ends_the_session_it_was_turned_into(office: Office) -> None:
    request = office.send()
    link = make_link(office, request)
    signer = office.root.exchange(link.token)
    for _ in range(2):
        office.sender.signing.revoke_signer_link(
            signature_request_id=request.signature_request_id, signer_link_id=link.signer_link_id
        )
    with pytest.raises(Unauthenticated):
        signer.ceremony.get_ceremony()


def test_a_request_s_links_are_listed_with_what_became_of_each(office: Office, other_office: Office) -> None:
    request = office.send()
    named = {"signature_request_id": request.signature_request_id}
    first, second = (each.signature_id for each in request.signatures)
    assert list(office.sender.signing.list_signer_links(signature_request_id=request.signature_request_id)) == []
    links = [
        office.sender.signing.create_signer_link(signature_request_id=request.signature_request_id, signature_id=each)
        for each in (first, first, first, first, second)
    ]
    office.root.exchange(links[0].token)
    signer = office.root.exchange(links[1].token)
    office.sender.signing.revoke_signer_link(**named, signer_link_id=links[1].signer_link_id)

    def states() -> list[str]:
        found = office.sender.signing.list_signer_links(signature_request_id=request.signature_request_id, page_size=2)
        listed = {each.signer_link_id: zegel.SignerLinkState(each.state).name for each in found}
        assert list(listed) == [each.signer_link_id for each in reversed(links)], "the newest first, each once"
        return [listed[each.signer_link_id] for each in links]

    over = ("signer_link_id", links[3].signer_link_id)
    asyncio.run(change_row(office.server, "signer_links", over, "expire_time", clock.now()))
    assert states() == ["REDEEMED", "REVOKED", "ISSUED", "EXPIRED", "ISSUED"]
    with pytest.raises(Unauthenticated):
        signer.ceremony.get_ceremony()
    shown = list(office.sender.signing.list_signer_links(signature_request_id=request.signature_request_id))
    told = b"".join(each.SerializeToString() for each in shown)
    assert not any(each.token.encode() in told for each in links)
    redeemed = shown[-1]
    assert (redeemed.signature_id, redeemed.creator_id) == (first, office.sender_id)
    assert redeemed.expire_time == links[0].expire_time
    assert redeemed.create_time.seconds <= redeemed.redeem_time.seconds
    assert not redeemed.HasField("revoke_time")
    assert shown[-2].HasField("revoke_time")
    # What a signature is awaited for no more, no link opens any more.
    sign(office.signer(request, 0), 0)
    assert states() == ["REDEEMED", "REVOKED", "EXPIRED", "EXPIRED", "ISSUED"]
    office.sender.signing.cancel_signature_request(signature_request_id=request.signature_request_id)
    assert states() == ["REDEEMED", "REVOKED", "EXPIRED", "EXPIRED", "EXPIRED"]
    assert [refused(office, links[each].token) for each in (2, 4)] == ["LINK_EXPIRED"] * 2
    for client in (other_office.sender, other_office.owner):
        with pytest.raises(NotFound):
            list(client.signing.list_signer_links(signature_request_id=request.signature_request_id))
    assert len(list(office.owner.signing.list_signer_links(signature_request_id=request.signature_request_id))) == len(
        links
    )


def test_a_signer_s_old_session_is_healed_by_another_link(office: Office) -> None:
    tenant = zegel.Tenant(
        sensitive_permissions=[zegel.SensitivePermission(permission="ceremony.sign", max_age=Duration(seconds=600))]
    )
    office.owner.identity.update_tenant(tenant=tenant, update_mask=FieldMask(paths=["sensitive_permissions"]))
    request = office.send()
    signer = office.root.exchange(make_link(office, request).token)
    ready(signer, [typed("signature-0", "Sanne")])
    session_id = signer.identity.get_current_session().session.session_id
    old = clock.now() - 601 * clock.SECOND
    asyncio.run(change_row(office.server, "sessions", ("session_id", session_id), "auth_time", old))
    with pytest.raises(Unauthenticated) as raised:
        signer.ceremony.sign_documents()
    assert raised.value.reason == "STEP_UP_REQUIRED"
    again = office.root.exchange(make_link(office, request).token)
    again.ceremony.sign_documents()


def test_a_session_s_token_is_not_exchanged(office: Office) -> None:
    for token in (office.sender._call.token, office.owner._call.token):
        assert refused(office, str(token)) == "SESSION_MALFORMED"


def test_the_asynchronous_client_exchanges_as_well(office: Office) -> None:
    token = make_link(office, office.send()).token

    async def redeem() -> str:
        authority = office.server.authority
        async with zegel.aio.Client(office.server.listen, root_certificates=authority) as client:
            signer = await client.exchange(token)
            return (await signer.identity.get_current_session()).session.principal_id

    assert asyncio.run(redeem()).startswith("sig_")
