"""The stages of a request: five, in this order, around every servicer's method, whatever the transport.

1. **errors**, outermost, so that whatever is raised inside becomes a status with one ``ErrorInfo`` and no other text.
2. **telemetry**: a request id and one line for the operator, for refused requests as well.
3. **session**: the token is looked up, every time; there is no cache that could be stale. A method that exchanges a
   credential for a session looks up that credential instead, and accepts no session's token. An address that has
   presented too many unknown tokens is refused more of them, but never a known one.
4. **limits**: the budgets of the session and its tenant.
5. **access**: the permission that the contract requires, decided by policy, before any resource is looked at.

Invariants:

* Any exception in a stage denies the call. A servicer ends its call by an answer or an exception, and in no other way.
* A stream's session and access are checked again every ``watching.RECHECK_S``, and so is what its servicer asks to have
  checked: once one is refused, the stream ends with that refusal.
* Messages are parsed and serialised inside the stages: a failure there is an error like any other.
* No stage knows the transport: an adapter passes in a ``Call`` and bytes, and sends what is returned.
"""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterable
from functools import partial
from typing import Final

from zegel_server.caller import STEP_UP, Caller, Origin, Scope, set_caller
from zegel_server.edge.call import NOWHERE, Call, ClientGone, read_metadata
from zegel_server.edge.deadlines import Deadlines
from zegel_server.edge.interfaces import Authenticator, Exchange, Refusals, no_exchange
from zegel_server.edge.limits import Limits
from zegel_server.edge.proxies import Proxies
from zegel_server.edge.status import as_public
from zegel_server.edge.telemetry import Telemetry
from zegel_server.edge.watching import Watch
from zegel_server.edge.wire import Parsed, fitting, parsed
from zegel_server.edge.wrong_tokens import WrongTokens
from zegel_server.errors import Aborted, Unauthenticated, Unavailable, ZegelError
from zegel_server.ids import LINK_PREFIX

ERROR_TIMEOUT_S: Final = 5.0
"""How long sending the error that ends a call may take, in seconds: a client that reads nothing must not keep the call
open."""

MESSAGE_TIMEOUT_S: Final = 60.0
"""How long a client may take to receive one message of a stream (at most 1 MiB), in seconds: a slower one would just
occupy memory."""


class Pipeline:
    """The stages.

    Args:
        authenticate: The session stage's look-up.
        telemetry: Counts and logs requests.
        refused: Records calls that policy refused.
        limits: The budgets of sessions and tenants; ``None`` for none.
        wrong_tokens: The budgets of addresses for unknown tokens; ``None`` for none.
        proxies: Proxies trusted to report a call's origin; ``None`` for none.
        exchange: The session stage's look-up for methods that exchange a credential.
    """

    def __init__(
        self,
        authenticate: Authenticator,
        telemetry: Telemetry,
        refused: Refusals,
        *,
        limits: Limits | None = None,
        wrong_tokens: WrongTokens | None = None,
        proxies: Proxies | None = None,
        exchange: Exchange = no_exchange,
    ) -> None:
        self._authenticate = authenticate
        self._exchange = exchange
        self._telemetry = telemetry
        self._refused = refused
        self._limits = limits or Limits()
        self._wrong_tokens = wrong_tokens or WrongTokens()
        self._proxies = proxies or Proxies()
        self._deadlines = Deadlines()
        telemetry.watch(self._deadlines.__len__)
        self._run_id = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    @property
    def under_way(self) -> int:
        """The number of calls that have begun and not ended."""
        return len(self._deadlines)

    async def unary(self, call: Call, request: bytes) -> bytes | None:
        """Serves a call with one message and one answer, in the current task.

        Args:
            call: The call.
            request: The message.

        Returns:
            The answer; ``None`` if an error was sent instead.

        Raises:
            CancelledError: The call was cancelled, or the client did not read the error in time.
        """
        endpoint = call.endpoint
        self._begin(call)
        try:
            if endpoint.method.exchanges:
                call.message = partial(parsed, endpoint.parse, request)
            await self._admit(call)
            answer = fitting(endpoint.serialise(await endpoint.serve(parsed(endpoint.parse, request), None)))
            call.check()
            self._limits.spend(call.admission, len(request) + len(answer))
            return answer  # noqa: TRY300 - the outermost stage
        except BaseException as error:  # noqa: BLE001 - the outermost stage: everything becomes a status here
            await self._end_badly(call, error)
            return None
        finally:
            self._end(call)

    async def client_stream(self, call: Call, requests: AsyncIterable[bytes]) -> bytes | None:
        """Serves a call with many messages and one answer: like ``unary``, with the session checked repeatedly.

        Args:
            call: The call.
            requests: The messages as they arrive.
        """
        endpoint = call.endpoint
        self._begin(call)
        try:
            await self._admit(call)
            async with Watch(call.stop, partial(self._admit, call)):
                messages = Parsed(self._limits.metered(call.admission, requests), endpoint.parse)
                answer = fitting(endpoint.serialise(await endpoint.serve(messages, None)))
            call.check()
            return answer  # noqa: TRY300 - the outermost stage
        except BaseException as error:  # noqa: BLE001 - the outermost stage
            await self._end_badly(call, error)
            return None
        finally:
            self._end(call)

    async def server_stream(self, call: Call, request: bytes) -> None:
        """Serves a call with one message and many answers, each of which the call sends.

        Args:
            call: The call.
            request: The message.

        Raises:
            CancelledError: The call was cancelled, or the client did not read the error in time.
        """
        endpoint = call.endpoint
        self._begin(call)
        try:
            await self._admit(call)
            async with Watch(call.stop, partial(self._admit, call)):
                answers = endpoint.serve(parsed(endpoint.parse, request), None)
                try:
                    async for answer in answers:
                        data = endpoint.serialise(answer)
                        await _send(call, data)
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

    def _begin(self, call: Call) -> None:
        call.begin(f"{self._run_id}-{next(self._numbers):x}", self._telemetry.started())
        self._deadlines.add(call)

    async def _admit(self, call: Call) -> None:
        """The stages *session*, *limits* and *access*."""
        if call.origin is NOWHERE:
            call.address = self._proxies.client_of(call.address, call.metadata)
            call.token, user_agent = read_metadata(call.metadata)
            call.origin = Origin(call.address, user_agent)
        caller = await self._wrong_tokens.check(call.address, _kind(call), call.token, partial(self._look_up, call))
        method, call.session_id = call.endpoint.method, caller.session_id
        if call.admission is None:
            call.admission = self._limits.enter(caller.session_id, caller.tenant_id)
        try:
            scopes = caller.demand(method.permission)
        except ZegelError as error:
            call.caller = None  # so that it is not recorded twice
            await self._refused(caller, method, error)
            raise
        shared = caller.shared(method.permission)
        if (call.scopes & ~scopes or not set(call.shared) <= set(shared)) and not scopes & Scope.ANY:
            # What it streams may be out of reach now: a new call finds out.
            raise Unavailable("What the caller may do was changed; begin again.", dependency="policy")
        call.scopes, call.shared = scopes, shared
        call.caller = caller
        set_caller(caller)

    async def _look_up(self, call: Call) -> Caller:
        if call.message is None:
            return await self._authenticate(call.token, call.origin, call.certificate)
        return await self._exchange(call.token, call.origin, call.certificate, call.message())

    async def _end_badly(self, call: Call, error: BaseException) -> None:
        """The stage *errors*: sends the caller the error for an exception.

        Raises:
            CancelledError: The client is gone, or does not read it.
        """
        if isinstance(error, asyncio.CancelledError) and _is_from_outside(call, error):
            if call.stopped is None or call.task is None:
                call.code = "CANCELLED"
                raise error
            call.task.uncancel()
            error = call.stopped
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise error
        method = call.endpoint.method
        if isinstance(error, Unauthenticated) and error.reason == STEP_UP and call.caller is not None:
            await self._refused(call.caller, method, error)  # a permission that the servicer demanded in addition
        public, defect = as_public(error, call.request_id)
        if defect:
            self._telemetry.failed(error, method=method.path, request_id=call.request_id)
        call.code, call.reason = public.status.name, public.reason
        try:
            async with asyncio.timeout(ERROR_TIMEOUT_S):
                await call.send_error(public)
        except TimeoutError:
            # Sending waits because the client does not read; the transport resets the stream of a task that is
            # cancelled.
            raise asyncio.CancelledError from None

    def _end(self, call: Call) -> None:
        self._deadlines.discard(call)
        if call.admission is not None:
            self._limits.leave(call.admission)
        self._telemetry.ended(
            call.began,
            method=call.endpoint.method.path,
            code=call.code,
            reason=call.reason,
            request_id=call.request_id,
            session_id=call.session_id,
        )


def _kind(call: Call) -> str:
    """What a call's token is presented as."""
    if call.message is None:
        return "session"
    return "link" if call.token.startswith(LINK_PREFIX) else "id_token"


def _is_from_outside(call: Call, error: asyncio.CancelledError) -> bool:
    """Whether the call itself was cancelled, and not something that its servicer waited for: that is a defect."""
    return isinstance(error, ClientGone) or call.task is None or call.task.cancelling() > 0


async def _send(call: Call, message: bytes) -> None:
    """Sends one message of a stream, if the client receives it in time."""
    try:
        async with asyncio.timeout(MESSAGE_TIMEOUT_S):
            await call.send(message)
    except TimeoutError:
        raise Aborted("The client did not read the stream; resume it.", reason="STREAM_STALLED") from None
