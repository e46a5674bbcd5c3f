"""Iterators over lists, which request page after page, and over streams, which can be closed early."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from google.protobuf.message import Message

from zegel._internal.port import Port, drive, following

AnswerT = TypeVar("AnswerT", bound=Message)
ItemT = TypeVar("ItemT")


async def _pages(port: Port, first: Message, answer: type[AnswerT]) -> AsyncGenerator[AnswerT, None]:
    """Requests page after page."""
    request = type(first)()
    request.CopyFrom(first)
    while True:
        page = await port.unary(request, answer)
        yield page
        token = getattr(page, "next_page_token", "")
        if not token:
            return
        setattr(request, "page_token", token)  # noqa: B010 - any request of a list has one


class Pages(Generic[AnswerT, ItemT]):
    """The result of a list method. Iterate over its items, or over :meth:`pages`.

    Each iteration starts from the beginning. Pages are requested as they are needed.
    """

    def __init__(
        self, port: Port, request: Message, answer: type[AnswerT], items: Callable[[AnswerT], Iterable[ItemT]]
    ) -> None:
        self._port: Final = port
        self._request: Final = request
        self._answer: Final = answer
        self._items: Final = items

    def __iter__(self) -> Iterator[ItemT]:
        for page in self.pages():
            yield from self._items(page)

    def pages(self) -> Iterator[AnswerT]:
        """The response messages, with their ``next_page_token``.

        Raises:
            ZegelError: Getting a page failed.
        """
        return Stream(_pages(self._port, self._request, self._answer))


class AioPages(Generic[AnswerT, ItemT]):
    """Like :class:`Pages`, for ``async for``."""

    def __init__(
        self, port: Port, request: Message, answer: type[AnswerT], items: Callable[[AnswerT], Iterable[ItemT]]
    ) -> None:
        self._port: Final = port
        self._request: Final = request
        self._answer: Final = answer
        self._items: Final = items

    async def __aiter__(self) -> AsyncIterator[ItemT]:
        async for page in self.pages():
            for item in self._items(page):
                yield item

    def pages(self) -> AsyncIterator[AnswerT]:
        """The response messages, with their ``next_page_token``.

        Raises:
            ZegelError: Getting a page failed.
        """
        return _pages(self._port, self._request, self._answer)


class Stream(Generic[ItemT]):
    """A stream of responses. Close it, or leave its ``with`` block, to end the call early."""

    def __init__(self, source: AsyncGenerator[ItemT, None]) -> None:
        self._source: Final = source

    def __iter__(self) -> Iterator[ItemT]:
        return self

    def __next__(self) -> ItemT:
        """The next response.

        Raises:
            ZegelError: The stream failed.
        """
        try:
            return drive(following(self._source))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Ends the call."""
        drive(_close(self._source))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AioStream(Generic[ItemT]):
    """Like :class:`Stream`, for ``async for`` and ``async with``."""

    def __init__(self, source: AsyncGenerator[ItemT, None]) -> None:
        self._source: Final = source

    def __aiter__(self) -> AsyncIterator[ItemT]:
        return self

    async def __anext__(self) -> ItemT:
        """The next response.

        Raises:
            ZegelError: The stream failed.
        """
        return await anext(self._source)

    async def close(self) -> None:
        """Ends the call."""
        await _close(self._source)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


async def _close(source: AsyncGenerator[ItemT, None]) -> None:
    await source.aclose()
