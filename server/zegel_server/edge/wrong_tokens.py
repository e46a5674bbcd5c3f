"""Limits on token look-ups for addresses that have presented too many unknown tokens.

Tokens are 256 random bits, so they cannot be guessed. But each guess costs a database look-up, and limiting that must
not lock out other people: many callers may share an address (a NAT, a proxy, a partner that forwards its visitors'
links). So an address is never shut out for the tokens that it has presented.

Invariants:

* A valid token is let in, whatever else comes from its address: only unknown ones are refused.
* An address over its budget gets ``LANE`` look-ups at a time for tokens that this process has not yet seen to be valid,
  and ``QUEUE`` calls may wait for one; further calls are refused without a look-up. A token that was valid before does
  not wait.
* Having been valid before grants nothing: every token is looked up at every call.
* Sessions, links and ID tokens have separate budgets: forwarding visitors' links does not put sessions at risk.
* Memory is bounded: ``FAMILIAR`` tokens (as salted 64-bit hashes), and a lane only while calls are in it.
"""

import asyncio
from asyncio import sleep
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from zegel_server.caller import Caller
from zegel_server.edge.addresses import site_of
from zegel_server.edge.limits import BURST_S, Rate, exhausted
from zegel_server.errors import ResourceExhausted, Unauthenticated

WRONG: Final = frozenset({"SESSION_MALFORMED", "SESSION_UNKNOWN", "ID_TOKEN_REFUSED"})
"""Reasons of refusals of tokens that never existed; an expired token is not a guess."""
LANE: Final = 2
"""Look-ups at a time for an address over its budget."""
QUEUE: Final = 256
"""Calls of such an address that may wait for a look-up."""
FAMILIAR: Final = 100_000
"""Tokens that are remembered as valid: some 10 MB if all are in use."""
SAVED_S: Final = 30 * BURST_S
"""The budget accumulates for this many seconds, longer than others, since wrong tokens are rare unless somebody
guesses."""
PAUSE_S: Final = 1.0
"""How long the refusal of a wrong token is delayed for an address over its budget, in seconds."""
PAUSING: Final = 64
"""Refusals that may be delayed at a time for an address; the others are sent at once."""


@dataclass(slots=True)
class _Lane:
    """The look-ups of one address that is over its budget."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LANE))
    inside: int = 0
    pausing: int = 0


class WrongTokens:
    """The budget of wrong tokens of each address, and the look-ups of addresses that are over it.

    Args:
        per_s: How many wrong tokens of a kind an address may present per second, ``SAVED_S`` seconds' worth at once; 0
            for no limit.
    """

    def __init__(self, per_s: float = 0) -> None:
        self._rate = Rate(per_s, burst_s=SAVED_S)
        self._familiar: dict[int, None] = {}  # least recently used first
        self._lanes: dict[str, _Lane] = {}

    async def check(self, address: str, kind: str, token: str, look_up: Callable[[], Awaitable[Caller]]) -> Caller:
        """Looks a token up, once it is its turn.

        Args:
            address: The network address of the call.
            kind: What it is presented as: ``session``, ``link`` or ``id_token``.
            token: The token.
            look_up: Finds its holder.

        Raises:
            Unauthenticated: From the look-up.
            ResourceExhausted: The address is over its budget, and the token is unknown or too many calls are waiting.
        """
        site, known = f"{kind} {site_of(address)}", hash(token)
        late = self._rate.late(site, monotonic())
        try:
            caller = await (self._in_lane(site, late, look_up) if late and known not in self._familiar else look_up())
        except Unauthenticated as error:
            if error.reason not in WRONG:
                raise
            self._familiar.pop(known, None)
            self._rate.spend(site, 1.0, monotonic())
            if not late:
                raise
            await self._pause(site)
            raise _refusal(late) from None
        self._familiar.pop(known, None)
        self._familiar[known] = None
        if len(self._familiar) > FAMILIAR:
            del self._familiar[next(iter(self._familiar))]
        return caller

    async def _in_lane(self, site: str, late: float, look_up: Callable[[], Awaitable[Caller]]) -> Caller:
        lane = self._lanes.setdefault(site, _Lane())
        if lane.inside >= LANE + QUEUE:
            raise _refusal(late)
        lane.inside += 1
        try:
            async with lane.free:
                return await look_up()
        finally:
            lane.inside -= 1
            self._tidy(site, lane)

    async def _pause(self, site: str) -> None:
        lane = self._lanes.setdefault(site, _Lane())
        if lane.pausing < PAUSING:
            lane.pausing += 1
            try:
                await sleep(PAUSE_S)
            finally:
                lane.pausing -= 1
        self._tidy(site, lane)

    def _tidy(self, site: str, lane: _Lane) -> None:
        if not lane.inside and not lane.pausing:
            self._lanes.pop(site, None)


def _refusal(late: float) -> ResourceExhausted:
    return exhausted("wrong_tokens", late)
