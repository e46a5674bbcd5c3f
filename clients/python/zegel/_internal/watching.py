"""Events without end: a stream of them that is opened again, from its cursor, whenever it breaks.

Invariants:

* Each event comes once and in the order of its ``log_index``, however often the connection breaks. The cursor moves
  when an event is handed over, so that one which was lost on the way is asked for again.
* What the server refuses is raised. Only a stream that was cut off, came to its deadline or met a limit is opened
  again.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Final

from zegel._internal.patience import Patience, cut_off
from zegel._internal.port import Port
from zegel.audit.v1.audit_service_pb2 import Event, WatchEventsRequest, WatchEventsResponse
from zegel.errors import DeadlineExceeded, ZegelError
from zegel.event.v1.event_type_pb2 import EventType

MAX_TRIES: Final = 60
"""Consecutive streams that broke without an event before giving up: some four minutes, longer than a restart."""


async def events(
    port: Port, signature_request_id: str, types: Iterable[EventType.ValueType], start_index: int
) -> AsyncGenerator[Event, None]:
    """Yields events as they happen; see ``zegel.Client.events``."""
    request = WatchEventsRequest(signature_request_id=signature_request_id, types=types, start_index=start_index)
    patience = Patience(MAX_TRIES)
    while True:
        cause = ZegelError("The server ended the stream of events.")
        try:
            async with aclosing(port.receive(request, WatchEventsResponse)) as answers:
                async for answer in answers:
                    if answer.event.log_index < request.start_index:
                        continue
                    request.start_index = answer.event.log_index + 1
                    yield answer.event
        except DeadlineExceeded:
            patience = Patience(MAX_TRIES)  # it lived as long as a stream may
            continue
        except ZegelError as error:
            if not cut_off(error):
                raise
            cause = error
        pause = patience.pause(request.start_index, cause)
        if pause is None:
            raise cause
        await port.sleep(pause)
