"""The synchronous client against a played server: what each call carries, and what becomes of its end."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import grpc
import pytest

import zegel
from support.played_server import PATIENCE_S, PlayedServer, in_thread
from zegel._internal import contract
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.identity.v1 import identity_service_pb2 as identity

TENANT = identity.GetTenantResponse(tenant=identity.Tenant(tenant_id="ten_1"))


@pytest.fixture
def server() -> PlayedServer:
    return PlayedServer()


def members(*ids: str, then: str = "") -> identity.ListMembersResponse:
    return identity.ListMembersResponse(members=[identity.Member(member_id=each) for each in ids], next_page_token=then)


def event(index: int) -> audit.WatchEventsResponse:
    return audit.WatchEventsResponse(event=audit.Event(log_index=index))


# ------------------------------------------------------------------------------------------- what goes with every call


def test_a_call_carries_the_token_and_the_contract_s_deadline(server: PlayedServer) -> None:
    answer = in_thread(server.client().identity.get_tenant)
    call = server.take("IdentityService.GetTenant")
    assert call.authorization == "Bearer zk_secret"
    assert server.timeouts == [contract.UNARY_TIMEOUT_S]
    call.answer(TENANT)
    assert answer.result(PATIENCE_S) == TENANT


def test_without_a_token_none_is_sent(server: PlayedServer) -> None:
    in_thread(server.client(token=None).identity.get_tenant)
    assert server.take("IdentityService.GetTenant").authorization is None


def test_streams_have_a_deadline_of_their_own(server: PlayedServer) -> None:
    in_thread(lambda: next(server.client().audit.watch_events()))
    server.take("AuditService.WatchEvents")
    assert server.timeouts == [contract.STREAM_TIMEOUT_S]


@pytest.mark.parametrize(
    "made", [lambda server: server.client(timeout=1.5), lambda server: server.client().with_timeout(1.5)]
)
def test_a_client_s_timeout_holds_for_calls_and_streams(
    server: PlayedServer, made: Callable[[PlayedServer], zegel.Client]
) -> None:
    client = made(server)
    in_thread(client.identity.get_tenant)
    server.take("IdentityService.GetTenant")
    in_thread(lambda: next(client.audit.watch_events()))
    server.take("AuditService.WatchEvents")
    in_thread(client.with_timeout(None).identity.get_tenant)
    server.take("IdentityService.GetTenant")
    assert server.timeouts == [1.5, 1.5, contract.UNARY_TIMEOUT_S]


def test_a_create_gets_a_request_id_and_one_of_the_caller_s_stays(server: PlayedServer) -> None:
    client = server.client()
    in_thread(lambda: client.identity.create_tenant(name="Acme"))
    in_thread(lambda: client.identity.create_tenant(name="Acme", request_id="mine"))
    ids = {server.take("IdentityService.CreateTenant").request.request_id for _call in range(2)}
    assert "mine" in ids
    (made,) = ids - {"mine"}
    assert UUID(made).version == 4


def test_grpc_is_asked_to_repeat_only_what_the_contract_lets_it(server: PlayedServer) -> None:
    in_thread(server.client(options=[("grpc.keepalive_time_ms", 1)]).identity.get_tenant)
    server.take("IdentityService.GetTenant")
    (arguments,) = server.opened
    assert arguments["grpc.service_config_disable_resolution"] == 1
    assert arguments["grpc.keepalive_time_ms"] == 1  # the caller's wins
    (config,) = json.loads(arguments["grpc.service_config"])["methodConfig"]
    repeated = {f"{each['service']}/{each['method']}" for each in config["name"]}
    assert "zegel.identity.v1.IdentityService/GetTenant" in repeated
    assert "zegel.identity.v1.IdentityService/CreateSession" not in repeated
    assert config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


# ----------------------------------------------------------------------------------------------------- who speaks


def test_a_token_is_exchanged_and_the_session_s_speaks_from_then_on(server: PlayedServer) -> None:
    client = server.client()
    exchanged = in_thread(lambda: client.exchange("zl_once", tenant_id="ten_1"))
    call = server.take("IdentityService.ExchangeToken")
    assert call.authorization == "Bearer zl_once"
    assert call.request.tenant_id == "ten_1"
    call.answer(identity.ExchangeTokenResponse(token="zs_session"))
    signer = exchanged.result(PATIENCE_S)
    in_thread(signer.identity.get_tenant)
    assert server.take("IdentityService.GetTenant").authorization == "Bearer zs_session"
    in_thread(client.identity.get_tenant)
    assert server.take("IdentityService.GetTenant").authorization == "Bearer zk_secret"
    assert len(server.opened) == 1


def test_a_session_that_ended_says_so_and_a_new_token_goes_on_over_the_same_connection(server: PlayedServer) -> None:
    client = server.client(token="zs_old")
    ended = in_thread(client.identity.get_tenant)
    server.take("IdentityService.GetTenant").break_off(grpc.StatusCode.UNAUTHENTICATED, "SESSION_EXPIRED")
    assert isinstance(ended.exception(PATIENCE_S), zegel.SessionExpired)
    answer = in_thread(client.with_token("zs_new").identity.get_tenant)
    call = server.take("IdentityService.GetTenant")
    assert call.authorization == "Bearer zs_new"
    call.answer(TENANT)
    assert answer.result(PATIENCE_S) == TENANT
    assert len(server.opened) == 1


def test_closing_ends_the_connection_of_all_that_share_it(server: PlayedServer) -> None:
    client = server.client()
    other = client.with_token("zs_other")
    answer = in_thread(other.identity.get_tenant)
    server.take("IdentityService.GetTenant").answer(TENANT)
    answer.result(PATIENCE_S)
    other.close()
    assert server.closed == 0
    client.close()
    assert server.closed == 1
    with pytest.raises(RuntimeError, match="closed"):
        other.identity.get_tenant()


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("INVALID_ARGUMENT", "FIELD_INVALID", zegel.InvalidArgument),
        ("UNAUTHENTICATED", "SESSION_REVOKED", zegel.SessionRevoked),
        ("ABORTED", "ETAG_MISMATCH", zegel.EtagMismatch),
        ("FAILED_PRECONDITION", "FROM_A_NEWER_SERVER", zegel.FailedPrecondition),
        ("DEADLINE_EXCEEDED", "", zegel.DeadlineExceeded),
        ("CANCELLED", "", zegel.Cancelled),
        ("UNAVAILABLE", "", zegel.Unavailable),
    ],
)
def test_a_status_becomes_an_error_of_its_class_once(
    server: PlayedServer, code: str, reason: str, kind: type[zegel.ZegelError]
) -> None:
    failed = in_thread(server.client().identity.get_tenant)
    call = server.take("IdentityService.GetTenant")
    more: dict[str, Any] = {"metadata": {"field": "name"}, "retry_after_ms": 1_500} if reason else {}
    call.break_off(grpc.StatusCode[code], reason, **more)
    error = failed.exception(PATIENCE_S)
    assert type(error) is kind
    assert (error.code, error.reason, error.message) == (grpc.StatusCode[code], reason, "It was refused.")
    if reason:
        assert (error.metadata, error.retry_after) == ({"field": "name"}, 1.5)
    assert len(server.timeouts) == 1  # what is repeated, gRPC repeats


# -------------------------------------------------------------------------------------------------------------- pages


def test_pages_are_asked_for_as_they_are_read(server: PlayedServer) -> None:
    listed = iter(server.client().identity.list_members(page_size=2))
    assert server.timeouts == []
    first = in_thread(lambda: next(listed))
    call = server.take("IdentityService.ListMembers")
    assert (call.request.page_size, call.request.page_token) == (2, "")
    call.answer(members("mem_1", "mem_2", then="more"))
    assert first.result(PATIENCE_S).member_id == "mem_1"
    assert next(listed).member_id == "mem_2"
    assert len(server.timeouts) == 1
    rest = in_thread(lambda: [each.member_id for each in listed])
    call = server.take("IdentityService.ListMembers")
    assert (call.request.page_size, call.request.page_token) == (2, "more")
    call.answer(members(then="last"))  # an empty page is not the end
    server.take("IdentityService.ListMembers").answer(members("mem_3"))
    assert rest.result(PATIENCE_S) == ["mem_3"]


def test_a_page_that_fails_is_told_after_the_items_before_it(server: PlayedServer) -> None:
    listed = iter(server.client().identity.list_members())
    first = in_thread(lambda: next(listed))
    server.take("IdentityService.ListMembers").answer(members("mem_1", then="more"))
    assert first.result(PATIENCE_S).member_id == "mem_1"
    second = in_thread(lambda: next(listed))
    server.take("IdentityService.ListMembers").break_off(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert isinstance(second.exception(PATIENCE_S), zegel.PermissionDenied)


def test_a_list_that_is_read_again_begins_anew(server: PlayedServer) -> None:
    listed = server.client().identity.list_members()
    for found in ("mem_1", "mem_2"):
        everything = in_thread(lambda: [each.member_id for each in listed])
        call = server.take("IdentityService.ListMembers")
        assert call.request.page_token == ""
        call.answer(members(found))
        assert everything.result(PATIENCE_S) == [found]


# ------------------------------------------------------------------------------------------------------------ streams


def test_a_stream_that_breaks_is_an_error_after_what_came(server: PlayedServer) -> None:
    events = server.client().audit.watch_events()
    first = in_thread(lambda: next(events))
    call = server.take("AuditService.WatchEvents")
    call.rpc.send_response(event(7))
    assert first.result(PATIENCE_S).event.log_index == 7
    second = in_thread(lambda: next(events))
    call.break_off(grpc.StatusCode.UNAVAILABLE)
    assert isinstance(second.exception(PATIENCE_S), zegel.Unavailable)
    with pytest.raises(StopIteration):
        next(events)
    assert len(server.timeouts) == 1  # where to go on is the caller's to say


def test_a_stream_that_ends_well_ends(server: PlayedServer) -> None:
    everything = in_thread(lambda: [each.event.log_index for each in server.client().audit.watch_events()])
    call = server.take("AuditService.WatchEvents")
    for index in range(3):
        call.rpc.send_response(event(index))
    call.end()
    assert everything.result(PATIENCE_S) == [0, 1, 2]


def test_leaving_a_stream_cancels_it(server: PlayedServer) -> None:
    with server.client().audit.watch_events() as events:
        first = in_thread(lambda: next(events))
        call = server.take("AuditService.WatchEvents")
        call.rpc.send_response(event(0))
        first.result(PATIENCE_S)
    call.rpc.cancelled()  # raises where it ended otherwise
    with pytest.raises(StopIteration):
        next(events)
