"""The way of a request: five stages, in this order, around every servicer's method.

1. **errors**, outermost, so that whatever is raised inside becomes a status with one ``ErrorInfo`` and no other text.
2. **telemetry**: a request id and one line for the operator, for refused requests as well.
3. **limits**: the budgets of the address, before anything is looked up; once it is known who calls, of the session and
   the tenant.
4. **session**: the token is looked up, every time; there is no cache that could be stale. A method that exchanges a
   credential for a session looks up that credential instead, and takes no session's.
5. **access**: what the contract demands, decided by policy. It comes before any resource is looked at.

Invariants:

* A method without a contract is not served; what a stage raises denies.
* A stream's session and access are decided again every ``watching.RECHECK_S``, and so is what its servicer has watched:
  once refused, the stream ends with that refusal.
* The returned handler is wrapped, once a method; ``AbortError`` passes through untouched.
* Messages are parsed and serialised inside the stages: gRPC would tell a caller the text of what fails there.
"""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, cast

import grpc
from google.protobuf.message import Message
from grpc.aio import AbortError, InternalError, ServerInterceptor, ServicerContext

from zegel_server.caller import STEP_UP, Caller, Origin, Scope, set_caller
from zegel_server.edge.deadlines import Deadlines
from zegel_server.edge.limits import Admission, Limits
from zegel_server.edge.methods import Method
from zegel_server.edge.neighbours import Authenticator, Exchange, Refusals, no_exchange
from zegel_server.edge.peer import address_of, certificate_of, token_of
from zegel_server.edge.status import Deadline, Unimplemented, as_public, rich_status
from zegel_server.edge.telemetry import Telemetry
from zegel_server.edge.watching import Watch
from zegel_server.edge.wire import Parse, Parsed, Serialise, fitting, parsed
from zegel_server.errors import Aborted, Unauthenticated, Unavailable, ZegelError

TELL_S: Final = 5.0
"""How long a client may take to be told why its call ended: one that reads nothing must not keep it for ever."""

PATIENCE_S: Final = 60.0
"""How long a client may take for one message of a stream, 1 MiB at most: a slower one holds memory for nothing."""

Handler = Any
"""A ``grpc.RpcMethodHandler``, or what one is made of: their published types know nothing of asyncio."""
Inner = Callable[[Any, Any], Awaitable[Any]]
"""A servicer's method that answers once."""


class Call:
    """One request on its way.

    Args:
        method: What is called.
        context: gRPC's side of it.
        request_id: By which the operator finds its log line.
        began: When, by the telemetry's clock.
    """

    __slots__ = (
        "admission",
        "began",
        "caller",
        "code",
        "context",
        "due",
        "message",
        "method",
        "reason",
        "request_id",
        "scopes",
        "session_id",
        "shared",
        "stopped",
        "task",
    )

    def __init__(self, method: Method, context: ServicerContext[Any, Any], request_id: str, began: float) -> None:
        self.method = method
        self.context = context
        self.request_id = request_id
        self.began = began
        self.session_id = ""
        self.code = "OK"
        self.reason = ""
        self.task = asyncio.current_task()
        self.due = asyncio.get_running_loop().time() + method.cap_s
        self.stopped: Exception | None = None
        self.scopes = Scope.NONE
        self.shared: tuple[str, ...] = ()
        self.admission: Admission | None = None
        self.message: Callable[[], Message] | None = None
        self.caller: Caller | None = None

    def stop(self, why: Exception | None = None) -> None:
        """Ends the call from outside of its own task.

        Args:
            why: What its caller is told; that it took too long, where left out.
        """
        if self.stopped is None and self.task is not None:
            self.stopped = why or Deadline("The call took longer than it may.")
            self.task.cancel()

    def check(self) -> None:
        """Refuses to answer a call that was stopped, however its servicer took that.

        Raises:
            Exception: What it was stopped with.
        """
        if self.stopped is not None:
            raise self.stopped


class Pipeline(ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """The stages as one gRPC interceptor.

    Args:
        methods: The contracts, by path.
        authenticate: The session stage's look-up.
        telemetry: The telemetry stage's ear.
        refused: Told of calls that policy refused.
        open_paths: Paths beginning so pass untouched: health and reflection, which show no resource.
        certificates: Whether clients show certificates: mutual TLS.
        limits: The budgets of addresses, sessions and tenants; ``None`` for none.
        exchange: The session stage's look-up for methods that exchange a credential.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        authenticate: Authenticator,
        telemetry: Telemetry,
        refused: Refusals,
        open_paths: tuple[str, ...] = (),
        *,
        certificates: bool = False,
        limits: Limits | None = None,
        exchange: Exchange = no_exchange,
    ) -> None:
        self._methods = methods
        self._authenticate = authenticate
        self._exchange = exchange
        self._telemetry = telemetry
        self._refused = refused
        self._open = open_paths
        self._certificates = certificates
        self._limits = limits or Limits()
        self._deadlines = Deadlines()
        telemetry.watch(self._deadlines.__len__)
        self._wrapped: dict[str, Handler] = {}
        self._run_id = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    @property
    def under_way(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._deadlines)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """See ``grpc.aio.ServerInterceptor``."""
        path = handler_call_details.method
        wrapped = self._wrapped.get(path)
        if wrapped is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is not None and path.startswith(self._open):
            return handler
        method = self._methods.get(path)
        if handler is None or method is None:
            return UNKNOWN_METHOD
        self._wrapped[path] = wrapped = self._wrap(handler, method)
        return wrapped

    def _wrap(self, handler: Handler, method: Method) -> Handler:
        """Puts the stages around a handler."""
        parse, serialise = handler.request_deserializer, handler.response_serializer
        if handler.request_streaming and handler.response_streaming:

            def both(requests: Any, context: Any) -> AsyncIterator[Any]:
                return cast("AsyncIterator[Any]", handler.stream_stream(Parsed(requests, parse), context))

            return grpc.stream_stream_rpc_method_handler(self._streaming(both, serialise, method))
        if handler.response_streaming:

            def down(request: bytes, context: Any) -> AsyncIterator[Any]:
                return cast("AsyncIterator[Any]", handler.unary_stream(parsed(parse, request), context))

            return grpc.unary_stream_rpc_method_handler(self._streaming(down, serialise, method))
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(self._long(handler.stream_unary, parse, serialise, method))
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, parse, serialise, method))

    def _unary(self, inner: Inner, parse: Parse, serialise: Serialise, method: Method) -> Handler:
        async def run(request: bytes, context: ServicerContext[Any, Any]) -> Any:
            call = self._begin(method, context)
            try:
                if method.exchanges:
                    call.message = partial(parsed, parse, request)
                await self._admit(call)
                answer = fitting(serialise(await inner(parsed(parse, request), context)))
                call.check()
                self._limits.spend(call.admission, len(request) + len(answer))
                return answer  # noqa: TRY300 - the outermost stage
            except BaseException as error:  # noqa: BLE001 - the outermost stage: everything becomes a status here
                await self._end_badly(call, error)
            finally:
                self._end(call)

        return run

    def _long(self, inner: Inner, parse: Parse, serialise: Serialise, method: Method) -> Handler:
        """For streamed requests: as ``_unary``, with the session watched."""

        async def run(requests: Any, context: ServicerContext[Any, Any]) -> Any:
            call = self._begin(method, context)
            try:
                await self._admit(call)
                async with Watch(call.stop, partial(self._admit, call)):
                    answer = serialise(
                        await inner(Parsed(self._limits.metered(call.admission, requests), parse), context)
                    )
                call.check()
                return answer  # noqa: TRY300 - the outermost stage
            except BaseException as error:  # noqa: BLE001 - the outermost stage
                await self._end_badly(call, error)
            finally:
                self._end(call)

        return run

    def _streaming(
        self, inner: Callable[[Any, Any], AsyncIterator[Any]], serialise: Serialise, method: Method
    ) -> Handler:
        async def run(request: Any, context: ServicerContext[Any, Any]) -> None:
            call = self._begin(method, context)
            try:
                await self._admit(call)
                async with Watch(call.stop, partial(self._admit, call)):
                    answers = inner(request, context)
                    try:
                        async for answer in answers:
                            data = serialise(answer)
                            await _write(context, data)
                            await self._limits.pace(call.admission, len(data))
                    finally:
                        close = getattr(answers, "aclose", None)
                        if close is not None:
                            await close()
                call.check()
            except BaseException as error:  # noqa: BLE001 - the outermost stage
                await self._end_badly(call, error)
            finally:
                self._end(call)

        return run

    def _begin(self, method: Method, context: ServicerContext[Any, Any]) -> Call:
        request_id = f"{self._run_id}-{next(self._numbers):x}"
        call = Call(method, context, request_id, self._telemetry.started())
        self._deadlines.add(call)
        return call

    async def _admit(self, call: Call) -> None:
        """The stages limits, session and access."""
        context = call.context
        address = address_of(context.peer())
        admission, first = call.admission, call.admission is None
        if admission is None:
            admission = call.admission = self._limits.enter(address)
        token, user_agent = token_of(context)
        certificate = certificate_of(context) if self._certificates else None
        try:
            origin = Origin(address, user_agent)
            if call.message is None:
                caller = await self._authenticate(token, origin, certificate)
            else:
                caller = await self._exchange(token, origin, certificate, call.message())
        except Unauthenticated as error:
            self._limits.wrong_token(admission, error.reason)
            raise
        call.session_id = caller.session_id
        if first:
            self._limits.identify(admission, caller.session_id, caller.tenant_id)
        try:
            scopes = caller.demand(call.method.permission)
        except ZegelError as error:
            call.caller = None  # it is recorded here
            await self._refused(caller, call.method, error)
            raise
        shared = caller.shared(call.method.permission)
        if (call.scopes & ~scopes or not set(call.shared) <= set(shared)) and not scopes & Scope.ANY:
            # What it streams may be out of reach by now: whoever begins again is told which.
            raise Unavailable("What the caller may do was changed; begin again.", dependency="policy")
        call.scopes, call.shared = scopes, shared
        call.caller = caller
        set_caller(caller)

    async def _end_badly(self, call: Call, error: BaseException) -> None:
        """The stage errors: tells the caller, and raises ``AbortError`` or ``CancelledError``."""
        if isinstance(error, AbortError):
            raise error
        if isinstance(error, asyncio.CancelledError):
            if call.stopped is None or call.task is None:
                call.code = "CANCELLED"
                raise error
            call.task.uncancel()
            error = call.stopped
        if not isinstance(error, Exception):
            raise error
        if isinstance(error, Unauthenticated) and error.reason == STEP_UP and call.caller is not None:
            await self._refused(call.caller, call.method, error)  # what the servicer demanded besides
        public, defect = as_public(error, call.request_id)
        if defect:
            self._telemetry.failed(error, method=call.method.path, request_id=call.request_id)
        status, message, trailing = rich_status(public)
        call.code, call.reason = status.name, public.reason
        try:
            async with asyncio.timeout(TELL_S):
                await call.context.abort(status, message, trailing)
        except TimeoutError:
            # The status waits behind what the client does not read; gRPC resets the stream of a task that ends so.
            raise asyncio.CancelledError from None

    def _end(self, call: Call) -> None:
        self._deadlines.discard(call)
        if call.admission is not None:
            self._limits.leave(call.admission)
        self._telemetry.ended(
            call.began,
            method=call.method.path,
            code=call.code,
            reason=call.reason,
            request_id=call.request_id,
            session_id=call.session_id,
        )


async def _unknown(_requests: Any, context: ServicerContext[Any, Any]) -> None:
    status, message, trailing = rich_status(Unimplemented("No method of that name is offered here."))
    await context.abort(status, message, trailing)


# Any kind of call can be answered so: whatever the caller sends is left unread.
UNKNOWN_METHOD: Final[Handler] = grpc.stream_stream_rpc_method_handler(cast("Any", _unknown))


async def _write(context: ServicerContext[Any, Any], answer: bytes) -> None:
    """Sends one message of a stream to a client that takes it in time."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await context.write(answer)
    except TimeoutError:
        raise Aborted("The client took no more of the stream; resume it.", reason="STREAM_STALLED") from None
    except InternalError:
        # The connection is gone: nobody is left to tell, and gRPC cancels the call only a moment later.
        raise asyncio.CancelledError from None
