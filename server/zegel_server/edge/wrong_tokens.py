"""Look-ups of tokens, where an address has shown too many that nobody has.

Tokens are 256 random bits, so guessing finds none. What it costs is a look into the database each time; what it must
not cost is other people's access. Many callers share an address (a NAT, a proxy, a partner that forwards its visitors'
links), so an address is never shut out for the tokens that it has shown.

Invariants:

* A token that somebody has is let in, whatever else comes from its address: only unknown ones are refused.
* An address over its budget has ``LANE`` look-ups at a time for tokens that this process has not seen to be good, and
  ``QUEUE`` calls that wait for one; what comes beyond that is refused without a look. A token seen to be good before
  waits for nobody.
* What was seen to be good grants nothing: every token is looked up, at every call.
* Sessions, links and ID tokens have budgets of their own: whoever forwards a visitor's link stakes no session on it.
* Memory is bounded: ``FAMILIAR`` tokens (as salted 64-bit hashes), and a lane only while calls are in it.
"""

import asyncio
from asyncio import sleep
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from zegel_server.caller import Caller
from zegel_server.edge.limits import BURST_S, Rate, exhausted, site_of
from zegel_server.errors import ResourceExhausted, Unauthenticated

WRONG: Final = frozenset({"SESSION_MALFORMED", "SESSION_UNKNOWN", "ID_TOKEN_REFUSED"})
"""Refusals of tokens that nobody ever had; one that has expired is not a guess."""
LANE: Final = 2
"""Look-ups at a time of an address over its budget."""
QUEUE: Final = 256
"""Calls of such an address that may wait for a look-up."""
FAMILIAR: Final = 100_000
"""Tokens that are remembered as good: some 10 MB where all are in use."""
SAVED_S: Final = 30 * BURST_S
"""Wrong tokens come slowly where nobody guesses, so the budget is saved up for longer than others."""
PAUSE_S: Final = 1.0
"""How long a wrong token of an address over its budget waits for its refusal."""
PAUSING: Final = 64
"""Refusals of an address that may be held back at a time; the others are sent at once."""


@dataclass(slots=True)
class _Lane:
    """The look-ups of one address that is over its budget."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LANE))
    inside: int = 0
    pausing: int = 0


class WrongTokens:
    """The budget of wrong tokens of each address, and the look-ups of those that are over it.

    Args:
        per_s: Wrong tokens of a kind that an address may show a second, ``SAVED_S`` seconds' worth at once; 0 for no
            limit.
    """

    def __init__(self, per_s: float = 0) -> None:
        self._rate = Rate(per_s, burst_s=SAVED_S)
        self._familiar: dict[int, None] = {}  # longest unused first
        self._lanes: dict[str, _Lane] = {}

    async def check(self, address: str, kind: str, token: str, look_up: Callable[[], Awaitable[Caller]]) -> Caller:
        """Looks a token up, when it is its turn.

        Args:
            address: The network address of the call.
            kind: What it is shown for: ``session``, ``link`` or ``id_token``.
            token: The token.
            look_up: Finds out whose it is.

        Raises:
            Unauthenticated: From the look-up.
            ResourceExhausted: The address is over its budget, and nobody has the token or too many calls wait already.
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
