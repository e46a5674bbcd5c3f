"""The configured witnesses, and a client for them: C2SP ``tlog-witness``.

Invariants:

* A witness's answer is accepted only if it is its own cosignature over exactly the checkpoint that it was asked for,
  and made just now. Everything else is an `Outcome`, never an exception of a library.
* An answer takes bounded time and memory, and redirects are not followed.
"""

import sys
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

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
from zegel_server.errors import Unavailable
from zegel_server.neighbours import http
from zegel_server.neighbours.calls import Breaker, Neighbour, NeighbourMetrics, Why

ASK_S: Final = 10.0
"""How long a witness may take for one answer."""
SKEW_S: Final = 300
"""How far a witness's clock may be from ours."""

_OK, _CONFLICT, _UNPROVED = 200, 409, 422


class Outcome(StrEnum):
    """How asking a witness ended."""

    COSIGNED = "cosigned"
    AWAY = "away"
    """It did not answer, or not in time."""
    BEHIND = "behind"
    """It knows another size of the log, which it states."""
    REFUSED = "refused"
    """It refused, or its answer is malformed."""
    FORGED = "forged"
    """It answered with a line that is not its own cosignature over this checkpoint, at this time."""
    FORKED = "forked"
    """It knows a different tree: of this size, or a smaller one that ours does not continue."""


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
class WitnessAnswer:
    """The outcome of asking a witness, with details.

    Attributes:
        outcome: How it ended.
        why: What is wrong, for the operator.
        lines: The cosignatures, by key.
        size: The size that it knows, if it states one.
    """

    outcome: Outcome
    why: str = ""
    lines: Mapping[VerifierKey, bytes] = field(default_factory=dict)
    size: int | None = None


def parse_witnesses(settings: Iterable[str], log_keys: Iterable[VerifierKey] = ()) -> tuple[Witness, ...]:
    """Parses the settings that name the witnesses.

    Args:
        settings: One for each key of a witness: the verifier key, a space, and the witness's URL.
        log_keys: The log's own keys, which no witness may have.

    Raises:
        ValueError: A setting is malformed; the message says which.
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
            message = f"witnesses[{number}]: must be a verifier key, a space, and a URL that begins with https://"
            raise ValueError(message)
        known = found.get(key.name)
        if known and (known.url != url or key in known.keys):
            message = f"witnesses[{number}]: {key.name} was listed before with the same key or with another URL"
            raise ValueError(message)
        found[key.name] = Witness(key.name, url, (*known.keys, key) if known else (key,))
    return tuple(found.values())


class WitnessClient:
    """Asks witnesses.

    Args:
        metrics: Where it is told how they do.
    """

    def __init__(self, metrics: NeighbourMetrics | None = None) -> None:
        # Whoever asks pauses after failures, for each witness by itself: no breaker of the client's own.
        self._neighbour = Neighbour(
            "witness", Unavailable, ASK_S, breaker=Breaker(failures=sys.maxsize), metrics=metrics
        )

    async def ask(self, witness: Witness, request: AddCheckpoint) -> WitnessAnswer:
        """Asks a witness once.

        Args:
            witness: The witness.
            request: The checkpoint and the proof to send.
        """
        began = clock.now() // clock.SECOND

        async def post() -> http.Answer:
            data = request.format()
            return await http.ask("POST", witness.url + PATH, data=data, max_bytes=MAX_ANSWER_BYTES, accepted=None)

        try:
            answer = await self._neighbour.call(post)
        except Unavailable as error:
            if error.message == Why.TOO_LONG:
                return WitnessAnswer(Outcome.REFUSED, "answered with more bytes than a witness may")
            return WitnessAnswer(Outcome.AWAY, error.message)
        status, kind, body = answer.status, answer.kind, answer.body
        if status == _OK:
            return _lines(witness, request, body, began)
        return _refusal(request, status, parse_size(kind, body))


def _refusal(request: AddCheckpoint, status: int, size: int | None) -> WitnessAnswer:
    if status == _CONFLICT and size is not None:
        return WitnessAnswer(Outcome.BEHIND, size=size)
    if status == _CONFLICT:
        return WitnessAnswer(Outcome.FORKED, "knows a different tree of this size")
    if status == _UNPROVED:
        # The proof was checked before it was sent.
        return WitnessAnswer(Outcome.FORKED, f"knows a tree of {request.old} events that ours does not continue")
    return WitnessAnswer(Outcome.REFUSED, f"refused with status {status}")


def _lines(witness: Witness, request: AddCheckpoint, body: bytes, began: int) -> WitnessAnswer:
    text, _ = split_note(request.checkpoint)
    latest = clock.now() // clock.SECOND + SKEW_S
    try:
        lines = read_cosignatures(text, body, witness.keys, earliest=began - SKEW_S, latest=latest)
    except TransparencyError as error:
        return WitnessAnswer(Outcome.FORGED, str(error))
    return WitnessAnswer(Outcome.COSIGNED, lines=lines)
