"""A neighbour is another machine that the server asks, and that may be slow, wrong or away at any time.

Invariants:

* A call has one deadline for all of it: waiting for its turn, connecting, every byte of the answer.
* Whatever goes wrong in a call, of any library, reaches the caller as the one refusal of that neighbour.
* A neighbour that failed several times in a row is left alone for a while; then one call tries it, and the others are
  refused meanwhile.
* A tenant has a share of the concurrent calls, and waits for its own ones.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import IntEnum, StrEnum
from typing import Final, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from zegel_server.errors import Unavailable, ZegelError

T = TypeVar("T")

FAILURES: Final = 5
"""Failures in a row after which a neighbour is left alone: one lost packet or one restart is fewer."""
FIRST_REST_S: Final = 5.0
"""How long it is left alone the first time; twice as long after each further failure."""
LONGEST_REST_S: Final = 60.0
"""The longest that it is left alone: a neighbour that is back is noticed within a minute."""
MOST_CALLS: Final = 32
"""Concurrent calls to one neighbour: they wait for answers and cost a socket each."""
SHARE: Final = 4
"""Concurrent calls of one tenant."""

_log = structlog.get_logger("zegel.neighbours")


class Why(StrEnum):
    """Why a neighbour gave no answer, to be read after its name."""

    AWAY = "does not answer"
    SLOW = "does not answer in time"
    RESTING = "does not answer, and is asked again in a while"
    BUSY = "has too many calls waiting"
    TOO_LONG = "sends an answer that is too long to be one"


class State(IntEnum):
    """Whether a neighbour is asked, as the metric tells it."""

    ASKED = 0
    TRIED = 1
    """One call tries whether it is back."""
    RESTING = 2


class NoAnswerError(Exception):
    """Says why there is no answer, raised by the work of a call.

    Args:
        why: To be read after the neighbour's name; a :class:`Why`, or more exact.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NeighbourMetrics:
    """The metrics of all neighbours.

    Args:
        registry: Where they are kept; ``None`` for nowhere.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.state = Gauge(
            "zegel_neighbour_state",
            "Whether a neighbour is asked (0), tried after failures (1) or left alone for a while (2).",
            ["neighbour"],
            registry=registry,
        )
        self.calls = Counter(
            "zegel_neighbour_calls", "Calls to neighbours, by outcome.", ["neighbour", "outcome"], registry=registry
        )


class Breaker:
    """Leaves a neighbour alone that failed several times in a row.

    Args:
        failures: After how many.
        first_rest_s: For how long the first time, in seconds.
        now: Seconds of a clock that never goes back.
        longest_rest_s: The longest that it is left alone, in seconds.
    """

    def __init__(
        self,
        failures: int = FAILURES,
        first_rest_s: float = FIRST_REST_S,
        now: Callable[[], float] = time.monotonic,
        *,
        longest_rest_s: float = LONGEST_REST_S,
    ) -> None:
        self._bearable = failures
        self._first_rest_s = first_rest_s
        self._longest_rest_s = longest_rest_s
        self._now = now
        self._failed = 0
        self._until = 0.0
        self._trying = False

    @property
    def state(self) -> State:
        """Whether it is asked."""
        if self._failed < self._bearable:
            return State.ASKED
        return State.TRIED if self._trying else State.RESTING

    def enter(self) -> bool:
        """Whether a call may be made; a call that may must end in one of the next three."""
        if self._failed < self._bearable:
            return True
        if self._trying or self._now() < self._until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The neighbour answered."""
        self._failed, self._trying = 0, False

    def failed(self) -> None:
        """It did not."""
        self._failed, self._trying = self._failed + 1, False
        if self._failed >= self._bearable:
            rest = self._first_rest_s * 2.0 ** min(self._failed - self._bearable, 16)
            self._until = self._now() + min(rest, self._longest_rest_s)

    def given_up(self) -> None:
        """The caller went away before it was known."""
        self._trying = False


class Shares:
    """Bounds the concurrent calls, of all together and of each tenant.

    Args:
        most: Of all.
        share: Of one tenant.
    """

    def __init__(self, most: int = MOST_CALLS, share: int = SHARE) -> None:
        self._all = asyncio.Semaphore(most)
        self._share = share
        self._tenants: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def turn(self, tenant_id: str) -> AsyncIterator[None]:
        """Waits for a turn, and has it within the block.

        Args:
            tenant_id: Whose call it is; empty for the installation's own, which have no share.
        """
        if not tenant_id:
            async with self._all:
                yield
            return
        own, users = self._tenants.get(tenant_id, (asyncio.Semaphore(self._share), 0))
        self._tenants[tenant_id] = (own, users + 1)
        try:
            async with own, self._all:  # in this order: who waits for its own share keeps nobody from a turn
                yield
        finally:
            own, users = self._tenants.pop(tenant_id)
            if users > 1:
                self._tenants[tenant_id] = (own, users - 1)


class Neighbour:
    """One neighbour.

    Args:
        name: Its kind, as metrics and the log name it: never a tenant's word.
        unavailable: Makes the refusal from why there is no answer, to be read after the neighbour's name.
        deadline_s: Seconds that a call may take, all in all.
        breaker: Leaves it alone when it fails.
        shares: Bounds the concurrent calls; several neighbours may have the same.
        metrics: Where it is told.
        quick_s: A failure within so many seconds keeps nobody waiting, and does not count towards leaving it alone.
    """

    def __init__(
        self,
        name: str,
        unavailable: Callable[[str], Unavailable],
        deadline_s: float,
        *,
        breaker: Breaker | None = None,
        shares: Shares | None = None,
        metrics: NeighbourMetrics | None = None,
        quick_s: float = 0.0,
    ) -> None:
        self._quick_s = quick_s
        self._name = name
        self._unavailable = unavailable
        self._deadline_s = deadline_s
        self._breaker = breaker or Breaker()
        self._shares = shares or Shares()
        self._metrics = metrics

    async def call(self, work: Callable[[], Awaitable[T]], tenant_id: str = "") -> T:
        """Makes a call.

        Args:
            work: Asks the neighbour, and gives its answer. A ``ZegelError`` other than ``Unavailable`` counts as one.
            tenant_id: For whom; empty for the installation.

        Raises:
            Unavailable: There is no answer; the neighbour's own refusal.
            ZegelError: What the answer meant.
        """
        began = False
        try:
            async with asyncio.timeout(self._deadline_s) as timer, self._shares.turn(tenant_id):
                if not self._breaker.enter():
                    raise self._refusal(Why.RESTING)
                began = True
                self._tell()
                return await self._tried(work, timer)
        except TimeoutError:
            if began:  # that it ended so was counted
                raise self._unavailable(Why.SLOW) from None
            raise self._refusal(Why.BUSY) from None

    async def _tried(self, work: Callable[[], Awaitable[T]], timer: asyncio.Timeout) -> T:
        began = asyncio.get_running_loop().time()
        try:
            answer = await work()
        except asyncio.CancelledError:
            if timer.expired():
                self._failed(Why.SLOW.name, began)
            else:
                self._breaker.given_up()
                self._tell()
            raise
        except Unavailable:
            self._failed("UNAVAILABLE", began)
            raise
        except ZegelError:
            self._succeeded()
            raise
        except NoAnswerError as error:
            self._failed("UNAVAILABLE", began)
            raise self._unavailable(error.why) from error
        except Exception as error:
            self._failed(Why.AWAY.name, began)
            raise self._unavailable(Why.AWAY) from error
        except BaseException:
            self._breaker.given_up()
            raise
        self._succeeded()
        return answer

    def _succeeded(self) -> None:
        if self._breaker.state is not State.ASKED:
            _log.info("neighbour_answers_again", neighbour=self._name)
        self._breaker.succeeded()
        self._count("ANSWERED")

    def _failed(self, outcome: str, began: float) -> None:
        before = self._breaker.state
        if asyncio.get_running_loop().time() - began < self._quick_s:
            self._breaker.given_up()
        else:
            self._breaker.failed()
        if before is State.ASKED and self._breaker.state is not State.ASKED:
            _log.warning("neighbour_left_alone", neighbour=self._name, outcome=outcome)
        self._count(outcome)

    def _refusal(self, why: Why) -> Unavailable:
        self._count(why.name)
        return self._unavailable(why)

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.calls.labels(self._name, outcome).inc()
        self._tell()

    def _tell(self) -> None:
        if self._metrics is not None:
            self._metrics.state.labels(self._name).set(self._breaker.state)
