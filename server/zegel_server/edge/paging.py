"""Pages of lists (AIP-158): opaque tokens that carry a position and no authority.

Invariants:

* A token holds the last key seen and a digest of the request, but no authority: access to each page is decided like the
  first.
* A token of another method or of other arguments is refused.
"""

import base64
import hashlib
import json
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from zegel_server.errors import InvalidArgument

DEFAULT_PAGE: Final = 100
"""Rows of a page if the caller gives no number."""
MAX_PAGE: Final = 1_000
"""The most rows of a page: larger numbers are reduced to this."""
MAX_TOKEN: Final = 1_024
"""Maximum number of characters of a token: ours are far shorter."""

_DIGEST: Final = 12

T = TypeVar("T")
U = TypeVar("U")

Position = tuple[str | int, ...]
"""The key of a row by which its list is ordered."""


class ListRequest(Protocol):
    """A request of a method that lists."""

    page_size: int
    page_token: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list.

    Attributes:
        items: What is on it.
        next: The position where the next page begins; ``None`` if this is the last.
    """

    items: Sequence[T]
    next: Position | None = None

    def holding(self, items: Sequence[U]) -> "Page[U]":
        """The same page with other items, made from its own.

        Args:
            items: The items, as many and in the same order.
        """
        return Page(items, self.next)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for one page of a list.

    Attributes:
        size: The most items on it.
        position: The ``next`` of the previous page; ``None`` for the first page.
    """

    size: int = DEFAULT_PAGE
    position: Position | None = None

    @property
    def rows(self) -> int:
        """How many rows to read: one more than are shown, to know whether another page follows."""
        return self.size + 1

    def start(self, *first: str | int) -> tuple[Any, ...]:
        """The position where the page begins.

        Args:
            first: The position of the first page: less than every key, or greater than every key in a descending list.
        """
        return first if self.position is None else self.position

    def cut(self, rows: Sequence[T], *key: str) -> Page[T]:
        """Makes a page of the rows that were read.

        Args:
            rows: ``self.rows`` of them, or fewer if the list ends.
            key: Names of the attributes by which the list is ordered.
        """
        if len(rows) <= self.size:
            return Page(rows)
        shown = rows[: self.size]
        return Page(shown, tuple(getattr(shown[-1], each) for each in key))


def _digest(request: Any) -> str:
    asked: Message = type(request)()
    asked.CopyFrom(request)
    asked.ClearField("page_size")
    asked.ClearField("page_token")
    data = type(request).__name__.encode() + b"\0" + asked.SerializeToString(deterministic=True)
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()[:_DIGEST]).decode()


def next_token(request: Any, page: Page[Any]) -> str:
    """The token of the next page; empty if there is none.

    Args:
        request: The request of the page.
        page: The page.
    """
    if page.next is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps([_digest(request), *page.next]).encode()).decode().rstrip("=")


def page_request(request: ListRequest, *kinds: type[str] | type[int]) -> PageRequest:
    """The page that a request asks for.

    Args:
        request: The request.
        kinds: Types of the key's parts; a single string by default.

    Raises:
        InvalidArgument: The size is negative, or the token was not made by this method for these arguments.
    """
    if request.page_size < 0:
        raise InvalidArgument("page_size", "must not be negative")
    return PageRequest(min(request.page_size or DEFAULT_PAGE, MAX_PAGE), _position(request, kinds or (str,)))


def _position(request: ListRequest, kinds: tuple[type[str] | type[int], ...]) -> Position | None:
    token = request.page_token
    if not token:
        return None
    refusal = InvalidArgument("page_token", "must be the next_page_token of the same list", reason="INVALID_PAGE_TOKEN")
    if len(token) > MAX_TOKEN:
        raise refusal
    try:
        digest, *position = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (Base64Error, ValueError, TypeError, RecursionError) as error:
        raise refusal from error
    if digest != _digest(request) or [type(part) for part in position] != list(kinds):
        raise refusal
    # Anybody can make a token: values that no key can have must not reach the database.
    if not all(
        part.isascii() and part.isprintable() if isinstance(part, str) else 0 <= part < 2**63 for part in position
    ):
        raise refusal
    return tuple(position)
