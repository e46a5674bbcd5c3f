"""One HTTP request to a neighbour: bounded in all that comes back.

Invariants:

* No cookie, no redirect, no proxy of the environment: a neighbour is where the settings, or a tenant, say.
* Nothing is decompressed: what is read is what was sent, and its length is bounded.
* Time is bounded by whoever calls: see :class:`zegel_server.neighbours.calls.Neighbour`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver

from zegel_server.neighbours.calls import NoAnswerError, Why

MAX_LINE: Final = 8_190
"""Bytes of a line of the head, and of one header."""
MAX_HEADERS: Final = 100
"""Headers of an answer."""
OK: Final = frozenset({200})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        status: HTTP's status.
        kind: ``Content-Type``, or empty.
        body: The body.
    """

    status: int
    kind: str
    body: bytes


async def ask(
    method: str,
    url: str,
    *,
    max_bytes: int,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    accepted: Collection[int] | None = OK,
    resolver: AbstractResolver | None = None,
) -> Answer:
    """Ask once; a connection of its own, which is closed afterwards.

    Args:
        method: ``GET`` or ``POST``.
        url: Where.
        max_bytes: Bytes that the body may have.
        data: The body to send.
        headers: Headers to send.
        accepted: The statuses that count as an answer; ``None`` for all.
        resolver: Looks names up; ``None`` for the system's.

    Raises:
        NoAnswerError: The status is another, or the body too long.
        Exception: Whatever the library and the network raise; ``Neighbour.call`` makes one refusal of it.
    """
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "zegel", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        ) as session,
        session.request(method, url, data=data, headers=headers, allow_redirects=False) as answer,
    ):
        if accepted is not None and answer.status not in accepted:
            raise NoAnswerError(f"{Why.AWAY} (status {answer.status})")
        body = bytearray()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > max_bytes:
                raise NoAnswerError(Why.TOO_LONG)
        return Answer(answer.status, answer.headers.get("Content-Type", ""), bytes(body))
