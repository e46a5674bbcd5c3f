"""Each method answers over a real channel, whatever it is sent: never as if it were missing, never with a defect."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from support.api import Api, Principal, Refusal, TestTenant, refusal_of
from support.contracts import METHODS, filled, path_of
from zegel_server.edge.methods import read_method

Code = grpc.StatusCode
DEFECTS = {Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.DEADLINE_EXCEEDED}

IDLE_S = 2.0
"""How long a stream may have nothing to tell before it counts as running well."""

HOSTILE = {
    "empty": None,
    "nul": ("a\x00b", 0, b"\x00"),
    "quotes": ("'; DROP TABLE tenants; --", 1, b"'"),
    "scripts": ("\u202eÜ☃\U0001f600\ufeff", 7, b"\xff\xfe"),
    "long": ("x" * 100_000, 2**63 - 1, b"x" * 100_000),
    "negative": ("-1", -(2**63), b""),
    "identifiers": ("doc_" + "7" * 26, 2**31, b"%PDF-1.7"),
    "lines": ("a\r\nb", 3, b"\r\n"),
}


async def call(api: Api, method: MethodDescriptor, request: Message, by: Principal) -> Message | Refusal | None:
    """Calls a method of any kind with one message, and says what came first; nothing from a stream that waits."""
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    raw: Any = getattr(api.channel, kind)(
        path_of(method), type(request).SerializeToString, GetMessageClass(method.output_type).FromString
    )

    async def requests() -> AsyncIterator[Message]:
        yield request

    running = raw(requests() if method.client_streaming else request, metadata=by.metadata, timeout=25)
    try:
        first: Message = await (asyncio.wait_for(running.read(), IDLE_S) if method.server_streaming else running)
    except TimeoutError:
        return None
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    finally:
        running.cancel()
    return first


def caller_for(api: Api, tenant: TestTenant, method: MethodDescriptor) -> Principal:
    permission = read_method(method).permission
    return api.operator if permission == "tenant.create" else tenant.owner


@pytest.mark.parametrize("sent", HOSTILE)
async def test_whatever_it_is_sent(api: Api, tenant: TestTenant, sent: str) -> None:
    values = HOSTILE[sent]
    wrong: dict[str, object] = {}
    for method in METHODS:
        request = GetMessageClass(method.input_type)() if values is None else filled(method, *values)
        answer = await call(api, method, request, caller_for(api, tenant, method))
        if isinstance(answer, Refusal):
            named = answer.status is not Code.INVALID_ARGUMENT or "field" in answer.metadata
            # What a caller sent is not told back but in a short form.
            if answer.status in DEFECTS or not named or len(answer.message) > 500:
                wrong[path_of(method)] = answer
        elif answer is not None and answer.DESCRIPTOR.full_name != method.output_type.full_name:
            wrong[path_of(method)] = answer
    assert wrong == {}


async def test_nobody_gets_an_answer_without_a_token(api: Api) -> None:
    for method in METHODS:
        refused = await call(api, method, GetMessageClass(method.input_type)(), Principal("", ""))
        assert isinstance(refused, Refusal), path_of(method)
        assert (refused.status, refused.reason) == (Code.UNAUTHENTICATED, "SESSION_MISSING"), path_of(method)


async def test_without_the_permission_it_is_refused_before_anything_is_looked_at(api: Api, tenant: TestTenant) -> None:
    await api.role(tenant.owner, "nothing")
    nobody = await api.somebody(tenant, "nothing")
    for method in METHODS:
        if read_method(method).exchanges:
            continue  # no session's token is taken there at all
        permission = read_method(method).permission
        for values in (HOSTILE["nul"], HOSTILE["identifiers"]):
            assert values is not None
            refused = await call(api, method, filled(method, *values), nobody)
            assert isinstance(refused, Refusal), path_of(method)
            assert (refused.status, refused.reason) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED"), path_of(method)
            assert refused.metadata == {"permission": permission}
