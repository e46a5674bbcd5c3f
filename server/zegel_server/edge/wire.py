"""Parses and serialises messages inside the stages: a transport's library would send callers the text of its errors."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, Self

from google.protobuf.message import DecodeError

from zegel_server.errors import InvalidArgument, ResourceExhausted

MAX_MESSAGE: Final = 4 * 2**20
"""Maximum size in bytes of a message in either direction: four times the largest chunk."""

Parse = Callable[[bytes], Any]
"""Makes a message from bytes."""
Serialise = Callable[[Any], bytes]
"""Makes bytes from a message."""


def parsed(parse: Parse, data: bytes) -> Any:
    """Parses a caller's message.

    Args:
        parse: Its type's parser.
        data: Its bytes.

    Raises:
        InvalidArgument: They are not a message of this type.
    """
    try:
        return parse(data)
    except DecodeError:
        raise InvalidArgument("", "The request is not a message of this method's type.") from None


def fitting(answer: bytes) -> bytes:
    """Returns an answer unless it is too large for a message: a transport would refuse it without a reason.

    Args:
        answer: The answer.

    Raises:
        ResourceExhausted: It is too large.
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
        if self._iterator is None:  # not earlier: gRPC considers a started iterator as being read
            self._iterator = aiter(self._requests)
        return parsed(self._parse, await anext(self._iterator))
