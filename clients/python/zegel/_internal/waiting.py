"""Waits that end: until a signature request is sealed or ended otherwise, and until the log has its proof.

The event that ends a request is awaited on a stream, and the request read again whenever one comes. It is read every
``POLL_S`` besides, for an end that this version does not know, and by growing pauses where events may not be watched.
"""

from contextlib import aclosing
from typing import Final

from google.protobuf.message import Message

from zegel._internal.patience import Patience, cut_off
from zegel._internal.port import AnswerT, Port
from zegel._internal.watching import MAX_TRIES
from zegel.audit.v1.audit_service_pb2 import (
    GetTransactionRequest,
    GetTransactionResponse,
    WatchEventsRequest,
    WatchEventsResponse,
)
from zegel.errors import (
    DeadlineExceeded,
    NotFound,
    NotSealed,
    PermissionDenied,
    SealingBlocked,
    SignatureRequestCanceled,
    SignatureRequestDeclined,
    SignatureRequestExpired,
    Unimplemented,
    ZegelError,
)
from zegel.event.v1.event_type_pb2 import EventType
from zegel.signing.v1.signature_request_pb2 import SignatureRequest, SignatureRequestState
from zegel.signing.v1.signing_service_pb2 import GetSignatureRequestRequest, GetSignatureRequestResponse

WAIT_S: Final = 600.0
"""How long to wait for an end unless told otherwise: sealing takes seconds, and minutes while timestamps are away."""

PROOF_S: Final = 60.0
"""How long to wait for a proof unless told otherwise: a checkpoint takes a second, and witnesses a few."""

POLL_S: Final = 30.0
"""How often a request is read although no event has come."""

FIRST_PAUSE_S: Final = 0.25
"""First pause between two reads where events cannot be watched; the log covers an event within this time."""

LONGEST_PAUSE_S: Final = 5.0
"""Those pauses double up to this length."""

SEALED: Final = SignatureRequestState.SIGNATURE_REQUEST_STATE_DOWNLOADABLE

NOT_SEALED: Final = {
    SignatureRequestState.SIGNATURE_REQUEST_STATE_DECLINED: SignatureRequestDeclined,
    SignatureRequestState.SIGNATURE_REQUEST_STATE_CANCELED: SignatureRequestCanceled,
    SignatureRequestState.SIGNATURE_REQUEST_STATE_EXPIRED: SignatureRequestExpired,
}
"""The other states in which a request ends, and what then is raised."""

ENDINGS: Final = (
    EventType.EVENT_TYPE_SIGNATURE_REQUEST_DOWNLOADABLE,
    EventType.EVENT_TYPE_SIGNATURE_REQUEST_DECLINED,
    EventType.EVENT_TYPE_SIGNATURE_REQUEST_CANCELED,
    EventType.EVENT_TYPE_SIGNATURE_REQUEST_EXPIRED,
    EventType.EVENT_TYPE_SIGNATURE_REQUEST_INVALID,
)
"""The events after which it is worth reading a request again."""


class _Waiting:
    """One wait: what is left of its time, and how the next pause is made."""

    def __init__(self, port: Port, limit: float | None) -> None:
        self.port = port
        self._end = None if limit is None else port.now() + limit
        self._pause = FIRST_PAUSE_S
        self._watching = True
        self._cursor = 0

    @property
    def left(self) -> float:
        """Seconds left, or ``POLL_S`` if there are more."""
        return POLL_S if self._end is None else max(0.0, min(POLL_S, self._end - self.port.now()))

    async def sleep(self) -> None:
        """Pauses, each time for longer."""
        await self.port.sleep(min(self._pause, self.left))
        self._pause = min(LONGEST_PAUSE_S, self._pause * 2)

    def check(self, message: str) -> None:
        """Ends the wait once its time is up.

        Raises:
            DeadlineExceeded: It is.
        """
        if not self.left:
            raise DeadlineExceeded(message)

    async def read(self, request: Message, answer: type[AnswerT]) -> AnswerT:
        """Calls a method that reads, again and again while the server is away."""
        patience = Patience(MAX_TRIES)
        while True:
            try:
                return await self.port.unary(request, answer)
            except ZegelError as error:
                pause = patience.pause(0, error) if cut_off(error) and self.left else None
                if pause is None:
                    raise
            await self.port.sleep(min(pause, self.left))

    async def event(self, signature_request_id: str) -> None:
        """Returns once the request may have ended."""
        if not self._watching:
            return await self.sleep()
        request = WatchEventsRequest(signature_request_id=signature_request_id, types=ENDINGS, start_index=self._cursor)
        try:
            async with aclosing(self.port.within(self.left).receive(request, WatchEventsResponse)) as answers:
                async for answer in answers:
                    self._cursor = answer.event.log_index + 1
                    return None
        except DeadlineExceeded:
            return None
        except (PermissionDenied, NotFound, Unimplemented):
            self._watching = False  # the session may read the request and not its trail
        except ZegelError as error:
            if not cut_off(error):
                raise
        return await self.sleep()


def _over(request: SignatureRequest) -> bool:
    """Whether it ended: in a state of its own, also one that a newer server has, or by its expiry a moment ago."""
    return request.HasField("end_time") or request.state == SEALED or request.state in NOT_SEALED


def _state(request: SignatureRequest) -> str:
    """The state's name without its prefix; its number if this version does not know it."""
    if request.state not in SignatureRequestState.values():
        return str(request.state)
    return SignatureRequestState.Name(request.state).removeprefix("SIGNATURE_REQUEST_STATE_")


def _why(request: SignatureRequest) -> NotSealed:
    """What is raised of a request that ended, or is stuck, without a sealed document."""
    state, facts = _state(request), {"signature_request_id": request.signature_request_id}
    if not _over(request):
        reason = request.sealing.last_reason
        message = f"Everyone has signed, and the document cannot be sealed: {reason}."
        return SealingBlocked(message, metadata={**facts, "state": state, "last_reason": reason})
    kind = NOT_SEALED.get(request.state, NotSealed)
    message = f"The signature request ended without a sealed document: {state}."
    return kind(message, metadata={**facts, "state": state})


async def wait_until_ended(port: Port, signature_request_id: str, limit: float | None) -> SignatureRequest:
    """Waits for any end of a request; see ``zegel.client.Signing.wait_until_ended``."""
    waiting = _Waiting(port, limit)
    get = GetSignatureRequestRequest(signature_request_id=signature_request_id)
    while True:
        request = (await waiting.read(get, GetSignatureRequestResponse)).signature_request
        if _over(request):
            return request
        if request.sealing.blocked:
            raise _why(request)
        waiting.check(f"The signature request is still {_state(request)}.")
        await waiting.event(signature_request_id)


async def wait_until_sealed(port: Port, signature_request_id: str, limit: float | None) -> SignatureRequest:
    """Waits for the sealed document; see ``zegel.client.Signing.wait_until_sealed``."""
    request = await wait_until_ended(port, signature_request_id, limit)
    if request.state != SEALED:
        raise _why(request)
    return request


async def wait_until_proven(port: Port, audit_id: str, limit: float | None) -> GetTransactionResponse:
    """Waits for the proof of a sealed file; see ``zegel.client.Audit.wait_until_proven``."""
    waiting = _Waiting(port, limit)
    get = GetTransactionRequest(audit_id=audit_id)
    while True:
        transaction = await waiting.read(get, GetTransactionResponse)
        if transaction.sealed_proof:
            return transaction
        waiting.check("The log has no proof of the sealed file yet.")
        await waiting.sleep()
