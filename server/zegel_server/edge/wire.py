"""Messages as bytes and back, inside the stages: a transport's own library would send the text of what fails there."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, Self

from google.protobuf.message import DecodeError

from zegel_server.errors import InvalidArgument, ResourceExhausted

MAX_MESSAGE: Final = 4 * 2**20
"""Bytes of a message either way: four times the largest chunk."""

Parse = Callable[[bytes], Any]
"""Makes a message of bytes."""
Serialise = Callable[[Any], bytes]
"""Makes bytes of a message."""


def parsed(parse: Parse, data: bytes) -> Any:
    """A message of a caller's.

    Args:
        parse: Its type's parser.
        data: Its bytes.

    Raises:
        InvalidArgument: It is none.
    """
    try:
        return parse(data)
    except DecodeError:
        raise InvalidArgument("", "The request is no message of this method's.") from None


def fitting(answer: bytes) -> bytes:
    """An answer that one message holds: a transport would refuse a larger one without a reason.

    Args:
        answer: The answer.

    Raises:
        ResourceExhausted: It is larger.
    """
    if len(answer) > MAX_MESSAGE:
        raise ResourceExhausted("The answer is larger than a message may be; ask for less.", limit="message_bytes")
    return answer


class Parsed:
    """A stream of a caller's messages.

    Args:
        requests: Their bytes.
        parse: Their type's parser.
    """

    __slots__ = ("_iterator", "_parse", "_requests")

    def __init__(self, requests: AsyncIterable[bytes], parse: Parse) -> None:
        self._requests = requests
        self._parse = parse
        self._iterator: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:  # not before: gRPC takes one that was begun for read
            self._iterator = aiter(self._requests)
        return parsed(self._parse, await anext(self._iterator))
