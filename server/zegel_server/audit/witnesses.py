"""The witnesses that are asked, and how one is asked: the client of C2SP ``tlog-witness``.

Invariants:

* What a witness answers is believed only where it is its own cosignature over the very checkpoint that it was asked
  for, of this moment. Everything else is an outcome with a name, never an exception of a library.
* An answer takes bounded time and memory, and leads nowhere else.
"""

import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import aiohttp

from zegel.evidence.transparency import TransparencyError, VerifierKey, split_note
from zegel.evidence.witness_messages import (
    MAX_ANSWER_BYTES,
    PATH,
    AddCheckpoint,
    check_witness_key,
    parse_size,
    read_cosignatures,
)
from zegel_server import clock

ASK_S: Final = 10.0
"""How long a witness may take for one answer."""
SKEW_S: Final = 300
"""How far a witness's clock may be from ours."""

_OK, _CONFLICT, _UNPROVED = 200, 409, 422


class Outcome(StrEnum):
    """How asking a witness ended."""

    COSIGNED = "cosigned"
    AWAY = "away"
    """It does not answer, or not in time."""
    BEHIND = "behind"
    """It knows another size of the log, which it tells."""
    REFUSED = "refused"
    """It refuses, or its answer is none."""
    FORGED = "forged"
    """It answers with a line that is not its own cosignature over this checkpoint, at this time."""
    FORKED = "forked"
    """It knows another tree than ours: of this size, or one that ours does not continue."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness.

    Attributes:
        name: Its name.
        url: Its submission prefix.
        keys: Its verifier keys.
    """

    name: str
    url: str
    keys: tuple[VerifierKey, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of asking a witness.

    Attributes:
        outcome: How it ended.
        why: What is wrong, for the operator.
        lines: The cosignatures, by key.
        size: The size that it knows, where it tells one.
    """

    outcome: Outcome
    why: str = ""
    lines: Mapping[VerifierKey, bytes] = field(default_factory=dict)
    size: int | None = None


def parse_witnesses(settings: Iterable[str], log_keys: Iterable[VerifierKey] = ()) -> tuple[Witness, ...]:
    """Reads who is to be asked.

    Args:
        settings: For each key of a witness its verifier key, a space, and the witness's URL.
        log_keys: The log's own keys, which no witness may have.

    Raises:
        ValueError: One of them is none; the message says which.
    """
    found: dict[str, Witness] = {}
    for number, text in enumerate(settings):
        vkey, _, url = text.strip().partition(" ")
        url = url.strip().rstrip("/")
        try:
            key = VerifierKey.parse(vkey)
            check_witness_key(key, tuple(log_keys))
        except TransparencyError as error:
            message = f"witnesses[{number}]: {error}"
            raise ValueError(message) from error
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            message = f"witnesses[{number}]: is a verifier key, a space, and a URL that begins with https://"
            raise ValueError(message)
        known = found.get(key.name)
        if known and (known.url != url or key in known.keys):
            message = f"witnesses[{number}]: {key.name} is named before, with the same key or another URL"
            raise ValueError(message)
        found[key.name] = Witness(key.name, url, (*known.keys, key) if known else (key,))
    return tuple(found.values())


class WitnessClient:
    """Asks witnesses."""

    def __init__(self) -> None:
        # No cookie, no redirect, no proxy of the environment: a witness is where the settings say.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ASK_S), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        """Ends its connections."""
        await self._session.close()

    async def ask(self, witness: Witness, request: AddCheckpoint) -> Told:
        """Asks a witness once.

        Args:
            witness: Whom.
            request: For what.
        """
        began = clock.now() // clock.SECOND
        try:
            async with self._session.post(witness.url + PATH, data=request.format(), allow_redirects=False) as answer:
                status, kind = answer.status, answer.headers.get("Content-Type", "")
                body = await _bounded(answer.content)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Told(Outcome.AWAY, f"does not answer ({type(error).__name__})")
        if body is None:
            return Told(Outcome.REFUSED, "answers more than a witness does")
        if status == _OK:
            return _lines(witness, request, body, began)
        return _refusal(request, status, parse_size(kind, body))


def _refusal(request: AddCheckpoint, status: int, size: int | None) -> Told:
    if status == _CONFLICT and size is not None:
        return Told(Outcome.BEHIND, size=size)
    if status == _CONFLICT:
        return Told(Outcome.FORKED, "knows another tree of this size")
    if status == _UNPROVED:
        # The proof was checked before it was sent.
        return Told(Outcome.FORKED, f"knows another tree of {request.old} events than the one that ours continues")
    return Told(Outcome.REFUSED, f"refuses with status {status}")


def _lines(witness: Witness, request: AddCheckpoint, body: bytes, began: int) -> Told:
    text, _ = split_note(request.checkpoint)
    latest = clock.now() // clock.SECOND + SKEW_S
    try:
        lines = read_cosignatures(text, body, witness.keys, earliest=began - SKEW_S, latest=latest)
    except TransparencyError as error:
        return Told(Outcome.FORGED, str(error))
    return Told(Outcome.COSIGNED, lines=lines)


async def _bounded(content: aiohttp.StreamReader) -> bytes | None:
    data = b""
    while piece := await content.read(MAX_ANSWER_BYTES + 1 - len(data)):
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            return None
    return data
