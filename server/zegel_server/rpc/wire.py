"""Messages as bytes and back, inside the stages: gRPC itself would tell a caller the text of what fails there."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Self

from google.protobuf.message import DecodeError

from zegel_server.errors import InvalidArgument

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
        if self._iterator is None:  # not before: gRPC minds one that nobody reads
            self._iterator = aiter(self._requests)
        return parsed(self._parse, await anext(self._iterator))
