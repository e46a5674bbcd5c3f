"""Pages of lists (AIP-158): opaque tokens that carry a place and no authority.

Invariants:

* A token holds the last key seen and a digest of what was asked, and nothing that lets anybody do anything: each page
  is decided like the first.
* A token of another method or of other arguments is refused.
"""

import base64
import hashlib
import json
from binascii import Error as Base64Error
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from zegel_server.errors import Aborted, InvalidArgument

DEFAULT_PAGE: Final = 100
"""Rows of a page where the caller names no number."""
MAX_PAGE: Final = 1_000
"""The most rows of a page: larger wishes are cut to this."""
MAX_TOKEN: Final = 1_024
"""Characters of a token: ours are shorter by far."""

_DIGEST: Final = 12


class ListRequest(Protocol):
    """A request of a method that lists."""

    page_size: int
    page_token: str


def page_size(request: ListRequest) -> int:
    """How many rows the page is to have.

    Args:
        request: The request.

    Raises:
        InvalidArgument: The number is negative.
    """
    if request.page_size < 0:
        raise InvalidArgument("page_size", "must not be negative")
    return min(request.page_size or DEFAULT_PAGE, MAX_PAGE)


def _digest(request: Any) -> str:
    asked: Message = type(request)()
    asked.CopyFrom(request)
    asked.ClearField("page_size")
    asked.ClearField("page_token")
    data = type(request).__name__.encode() + b"\0" + asked.SerializeToString(deterministic=True)
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()[:_DIGEST]).decode()


def next_token(request: Any, *place: str | int) -> str:
    """The token of the page after the one that ends at a place.

    Args:
        request: The request of this page.
        place: The last row's key.
    """
    return base64.urlsafe_b64encode(json.dumps([_digest(request), *place]).encode()).decode().rstrip("=")


def place_of(request: Any, *kinds: type[str] | type[int]) -> tuple[Any, ...] | None:
    """Where the page begins.

    Args:
        request: The request.
        kinds: Types of the key's parts.

    Returns:
        The key after which it begins, or ``None`` for the first page.

    Raises:
        InvalidArgument: The token was not made by this method for these arguments.
    """
    token = request.page_token
    if not token:
        return None
    refusal = InvalidArgument("page_token", "must be the next_page_token of the same list", reason="INVALID_PAGE_TOKEN")
    if len(token) > MAX_TOKEN:
        raise refusal
    try:
        digest, *place = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (Base64Error, ValueError, TypeError, RecursionError) as error:
        raise refusal from error
    if digest != _digest(request) or [type(part) for part in place] != list(kinds):
        raise refusal
    # Anybody can make a token: what no key of ours can be must not reach the database.
    if not all(part.isascii() and part.isprintable() if isinstance(part, str) else 0 <= part < 2**63 for part in place):
        raise refusal
    return tuple(place)


def etag(revision: int) -> str:
    """The etag of a row's revision.

    Args:
        revision: How often it was changed.
    """
    return f'"{revision}"'


def revision(etag_read: str, resource: str) -> int | None:
    """The revision that an etag stands for.

    Args:
        etag_read: The etag that the caller last read, or empty.
        resource: The resource's kind, for the refusal.

    Returns:
        The revision; ``None`` where the caller overwrites whatever is there.

    Raises:
        Aborted: It is no etag of ours, so it cannot be the present one.
    """
    if not etag_read:
        return None
    digits = etag_read.removeprefix('"').removesuffix('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):  # noqa: PLR2004 - fits 64 bits
        raise Aborted(f"The {resource.replace('_', ' ')} was changed since.")
    return int(digits)


def check_revision(read: int | None, present: int, resource: str) -> None:
    """Refuses a change to what was changed since its caller read it.

    Args:
        read: The revision that the caller read; ``None`` where it overwrites whatever is there.
        present: The revision at this moment.
        resource: The resource's kind, for the refusal.

    Raises:
        Aborted: It was changed since.
    """
    if read is not None and read != present:
        raise Aborted(f"The {resource.replace('_', ' ')} was changed since.")
