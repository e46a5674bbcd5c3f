"""Calls of both clients over real channels to a server made of generated servicers."""

import asyncio
import inspect
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

import zegel
import zegel.aio
import zegel.client
from support.certificates import self_signed
from support.fake_server import Running, made, refuse, serving
from zegel._internal import contract
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.audit.v1.audit_service_pb2_grpc import AuditServiceServicer
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.identity.v1.identity_service_pb2_grpc import IdentityServiceServicer
from zegel.signing.v1.signing_service_pb2_grpc import SigningServiceServicer


class Identity(IdentityServiceServicer):
    """Fails as often as it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.failures = 0
        self.code, self.reason = grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"
        self.asked: list[Any] = []
        self.met = threading.Event()
        self.metadata: list[dict[str, str]] = []
        self.peers: set[str] = set()
        self.deadlines: list[float] = []

    async def _met(self, request: Any, context: Any) -> None:
        self.asked.append(request)
        self.met.set()
        self.metadata.append(dict(context.invocation_metadata()))
        self.peers.add(context.peer())
        self.deadlines.append(context.time_remaining())
        if self.failures:
            self.failures -= 1
            await refuse(context, self.code, self.reason)

    async def GetTenant(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._met(request, context)
        return identity.GetTenantResponse(tenant=identity.Tenant(tenant_id="ten_1", name="Acme"))

    async def CreateTenant(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._met(request, context)
        return identity.CreateTenantResponse(tenant=identity.Tenant(name=request.name))

    async def CreateSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._met(request, context)
        return identity.CreateSessionResponse(token="zs_x")

    async def GetCurrentSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._met(request, context)
        session = identity.Session(session_id="ses_1")
        session.ParseFromString(session.SerializeToString() + b"\x10\x63")  # kind: 99, of a newer contract
        return identity.GetCurrentSessionResponse(session=session)

    async def ListMembers(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._met(request, context)
        page = int(request.page_token or 0)
        members = [identity.Member(member_id=f"mem_{page}{each}") for each in range(3)]
        return identity.ListMembersResponse(members=members, next_page_token=str(page + 1) if page < 2 else "")

    async def GetMember(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._met(request, context)
        await asyncio.sleep(3600)


class Audit(AuditServiceServicer):
    """Streams events for ever, and knows when nobody listens any more."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        try:
            index = request.start_index
            while index < 5 or not request.types:
                yield audit.WatchEventsResponse(event=audit.Event(log_index=index))
                index += 1
                await asyncio.sleep(0.005)
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "SESSION_REVOKED")
        finally:
            self.ended.set()


class Signing(SigningServiceServicer):
    async def GetSignatureRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "SOMETHING_NEW", {"why": "news"})


class World:
    """A server, and one client of either kind, used alike."""

    def __init__(self, running: Running, kind: str) -> None:
        self.running = running
        self.kind = kind
        self.opened: list[Any] = []

    def client(self, **arguments: Any) -> Any:
        arguments = {"token": "zk_secret", "insecure": True, **arguments}
        make: Any = zegel.Client if self.kind == "sync" else zegel.aio.Client
        self.opened.append(make(arguments.pop("target", self.running.target), **arguments))
        return self.opened[-1]

    async def do(self, value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    async def next(self, stream: Any) -> Any:
        return await anext(stream) if hasattr(stream, "__anext__") else next(stream)

    async def all(self, values: Any) -> list[Any]:
        return [each async for each in values] if hasattr(values, "__aiter__") else list(values)


@pytest.fixture
def the_identity() -> Identity:
    made_one: Identity = made(Identity)
    return made_one


@pytest.fixture
def the_audit() -> Audit:
    made_one: Audit = made(Audit)
    return made_one


@pytest.fixture(params=["sync", "aio"])
async def world(request: pytest.FixtureRequest, the_identity: Identity, the_audit: Audit) -> AsyncIterator[World]:
    with serving(the_identity, the_audit, made(Signing)) as running:
        world = World(running, request.param)
        yield world
        for client in world.opened:
            await world.do(client.close())


async def test_a_call_carries_the_token_and_a_deadline(world: World, the_identity: Identity) -> None:
    answer = await world.do(world.client().identity.get_tenant())
    assert answer.tenant.name == "Acme"
    assert the_identity.metadata[0]["authorization"] == "Bearer zk_secret"
    assert the_identity.metadata[0]["user-agent"].startswith("zegel-python/")
    assert the_identity.deadlines[0] == pytest.approx(contract.UNARY_TIMEOUT_S, abs=5)


async def test_without_a_token_none_is_sent(world: World, the_identity: Identity) -> None:
    await world.do(world.client(token=None).identity.get_tenant())
    assert "authorization" not in the_identity.metadata[0]


async def test_a_client_for_somebody_else_shares_the_connection(world: World, the_identity: Identity) -> None:
    client = world.client()
    other = client.with_token("zs_other")
    for each in (client, other):
        await world.do(each.identity.get_tenant())
    await world.do(other.close())  # which is not its to close
    await world.do(client.identity.get_tenant())
    assert [each["authorization"] for each in the_identity.metadata] == [
        "Bearer zk_secret",
        "Bearer zs_other",
        "Bearer zk_secret",
    ]
    assert len(the_identity.peers) == 1


async def test_a_closed_client_says_so(world: World) -> None:
    client = world.client()
    await world.do(client.identity.get_tenant())
    await world.do(client.close())
    with pytest.raises(RuntimeError, match="closed"):
        await world.do(client.identity.get_tenant())


async def test_the_token_is_not_shown(world: World) -> None:
    client = world.client()
    assert "secret" not in repr(client) + repr(client._call) + repr(client.identity)


@pytest.mark.parametrize("failures", [1, 3])
async def test_what_has_no_side_effect_is_tried_again(world: World, the_identity: Identity, failures: int) -> None:
    the_identity.failures = failures
    answer = await world.do(world.client().identity.get_tenant())
    assert answer.tenant.name == "Acme"
    assert len(the_identity.asked) == failures + 1


async def test_a_repeated_create_has_the_same_request_id(world: World, the_identity: Identity) -> None:
    the_identity.failures = 2
    client = world.client()
    for _ in range(2):
        await world.do(client.identity.create_tenant(name="Acme"))
    ids = [each.request_id for each in the_identity.asked]
    assert len(ids) == 4
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", each) for each in ids)


async def test_a_request_id_of_the_caller_s_stays(world: World, the_identity: Identity) -> None:
    await world.do(world.client().identity.create_tenant(name="Acme", request_id="mine"))
    assert the_identity.asked[0].request_id == "mine"


async def test_what_may_have_side_effects_is_not_tried_again(world: World, the_identity: Identity) -> None:
    the_identity.failures = 1
    with pytest.raises(zegel.Unavailable) as caught:
        await world.do(world.client().identity.create_session(member_id="mem_1"))
    assert caught.value.reason == "DEPENDENCY_UNAVAILABLE"
    assert len(the_identity.asked) == 1


async def test_a_refusal_is_not_tried_again(world: World, the_identity: Identity) -> None:
    the_identity.failures, the_identity.code, the_identity.reason = (
        9,
        grpc.StatusCode.UNAUTHENTICATED,
        "SESSION_EXPIRED",
    )
    with pytest.raises(zegel.SessionExpired):
        await world.do(world.client().identity.get_tenant())
    assert len(the_identity.asked) == 1


async def test_retries_end(world: World, the_identity: Identity) -> None:
    the_identity.failures = 99
    began = time.monotonic()
    with pytest.raises(zegel.Unavailable):
        await world.do(world.client().identity.get_tenant())
    assert len(the_identity.asked) == contract.RETRY_POLICY["maxAttempts"]
    assert time.monotonic() - began > 2  # it waits in between


async def test_a_call_ends_at_its_deadline(world: World, the_identity: Identity) -> None:
    with pytest.raises(zegel.DeadlineExceeded):
        await world.do(world.client(timeout=1.0).identity.get_member(member_id="mem_1"))
    with pytest.raises(zegel.DeadlineExceeded):
        await world.do(world.client().with_timeout(1.0).identity.get_member(member_id="mem_1"))
    assert len(the_identity.deadlines) == 2
    assert all(each < 1.1 for each in the_identity.deadlines)  # gRPC rounds a timeout up as it sends it


async def test_no_error_of_grpc_comes_out(world: World) -> None:
    with pytest.raises(zegel.ZegelError) as caught:
        await world.do(world.client(target="127.0.0.1:1", timeout=1).identity.update_tenant(tenant=zegel.Tenant()))
    assert grpc.RpcError not in caught.type.__mro__
    assert isinstance(caught.value, zegel.Unavailable | zegel.DeadlineExceeded)


async def test_an_unknown_reason_and_its_facts_survive(world: World) -> None:
    with pytest.raises(zegel.FailedPrecondition) as caught:
        await world.do(world.client().signing.get_signature_request(signature_request_id="req_1"))
    assert (caught.value.reason, caught.value.metadata) == ("SOMETHING_NEW", {"why": "news"})


async def test_a_method_that_the_server_lacks_is_unimplemented(world: World) -> None:
    with pytest.raises(zegel.Unimplemented):
        await world.do(world.client().permissions.get_role(role="owner"))


async def test_an_unknown_value_of_an_enum_survives(world: World) -> None:
    answer = await world.do(world.client().identity.get_current_session())
    assert answer.session.kind == 99
    again = identity.GetCurrentSessionResponse.FromString(answer.SerializeToString())
    assert again.session.kind == 99


async def test_a_list_goes_over_all_pages(world: World, the_identity: Identity) -> None:
    listed = world.client().identity.list_members(page_size=3)
    assert the_identity.asked == []
    for _ in range(2):  # each iteration begins anew
        members = await world.all(listed)
        assert [each.member_id for each in members] == [f"mem_{page}{each}" for page in range(3) for each in range(3)]
    assert [each.page_token for each in the_identity.asked] == ["", "1", "2"] * 2
    assert {each.page_size for each in the_identity.asked} == {3}


async def test_a_list_can_be_read_by_its_pages(world: World) -> None:
    pages = await world.all(world.client().identity.list_members().pages())
    assert [(len(each.members), each.next_page_token) for each in pages] == [(3, "1"), (3, "2"), (3, "")]


async def test_a_page_that_fails_is_a_typed_error(world: World, the_identity: Identity) -> None:
    the_identity.failures, the_identity.code, the_identity.reason = (
        1,
        grpc.StatusCode.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )
    with pytest.raises(zegel.PermissionDenied):
        await world.all(world.client().identity.list_members())


async def test_a_stream_is_read_until_it_is_refused(world: World) -> None:
    stream = world.client().audit.watch_events(start_index=2, types=[1])
    seen = [(await world.next(stream)).event.log_index for _ in range(3)]
    assert seen == [2, 3, 4]
    with pytest.raises(zegel.SessionRevoked):
        await world.next(stream)


async def test_a_stream_that_is_closed_early_ends_on_the_server(world: World, the_audit: Audit) -> None:
    stream = world.client().audit.watch_events()
    if world.kind == "sync":
        with stream:
            assert (await world.next(stream)).event.log_index == 0
    else:
        async with stream:
            assert (await world.next(stream)).event.log_index == 0

    async def ended() -> None:
        await asyncio.wait_for(the_audit.ended.wait(), 60)

    world.running.run(ended())


async def test_a_stream_ends_at_its_deadline(world: World) -> None:
    with pytest.raises(zegel.DeadlineExceeded):
        await world.all(world.client(timeout=0.3).audit.watch_events())


async def test_a_cancelled_task_cancels_its_call() -> None:
    the_identity: Identity = made(Identity)
    with serving(the_identity) as running:
        async with zegel.aio.Client(running.target, insecure=True) as client:
            task = asyncio.create_task(client.identity.get_member(member_id="mem_1"))
            await asyncio.to_thread(the_identity.met.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


def test_one_client_serves_many_threads(the_identity: Identity) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only here

    with serving(the_identity) as running, zegel.Client(running.target, insecure=True) as client:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: client.identity.get_tenant().tenant.name, range(100)))
        assert answers == ["Acme"] * 100
        assert len(the_identity.peers) == 1


# ----------------------------------------------------------------------------------------------------------------- TLS


@pytest.mark.parametrize("kind", ["sync", "aio"])
async def test_tls_is_the_default(kind: str, the_identity: Identity, tmp_path: Path) -> None:
    certificate, key = self_signed()
    path = tmp_path / "authority.pem"
    path.write_bytes(certificate)
    with serving(the_identity, credentials=grpc.ssl_server_credentials([(key, certificate)])) as running:
        world = World(running, kind)
        for roots in (path, str(path), certificate, certificate.decode()):
            client = world.client(insecure=False, root_certificates=roots)
            assert (await world.do(client.identity.get_tenant())).tenant.name == "Acme"
        stranger = world.client(insecure=False, timeout=2)
        with pytest.raises(zegel.ZegelError):
            await world.do(stranger.identity.get_tenant())
        for client in world.opened:
            await world.do(client.close())
    assert len(the_identity.asked) == 4


def test_nothing_is_said_in_clear_unasked(the_identity: Identity) -> None:
    with serving(the_identity) as running, zegel.Client(running.target, token="zk_secret", timeout=2) as client:
        with pytest.raises(zegel.ZegelError):
            client.identity.get_tenant()
        assert the_identity.asked == []


@pytest.mark.parametrize("kind", [zegel.Client, zegel.aio.Client])
@pytest.mark.parametrize(
    "arguments",
    [{"insecure": True, "root_certificates": b"x"}, {"client_key": b"x"}, {"client_certificates": b"x"}],
)
def test_arguments_that_exclude_one_another(kind: Callable[..., object], arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"insecure|mutual"):
        kind("localhost:1", **arguments)


@pytest.mark.parametrize("kind", [zegel.Client, zegel.aio.Client])
@pytest.mark.parametrize("target", ["", "https://sign.example.com", "http://127.0.0.1:8443"])
def test_a_target_is_no_url(kind: Callable[..., object], target: str) -> None:
    with pytest.raises(ValueError, match="target: host:port"):
        kind(target)


@pytest.mark.parametrize("kind", [zegel.Client, zegel.aio.Client])
def test_a_file_without_a_certificate_is_named_before_the_first_call(
    kind: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "authority.pem").write_bytes(self_signed()[1])  # the key, in place of the certificate
    with pytest.raises(ValueError, match="root_certificates: "):
        kind("localhost:1", root_certificates=tmp_path / "authority.pem")
