"""Races of taking away against using, over two server processes on one database.

Run: ``python tests/security/races.py --races 100000 [--postgresql]``. It prints one line of JSON and exits 1 where a
call was let in that began after what it takes was gone. On the way it tells on stderr how far it has come; interrupted
(SIGINT, SIGTERM), it ends the races under way and prints the line that holds by then.

In a race something is given: a session, a role, a place in a team, a delegation, an API key, a signer link. Two use it,
each through a server of its own, and at a random moment it is taken away through one of the servers. What began after
that was answered must be refused, on either; and what ended before it began must have been let in, on either. A link is
redeemed by two at once: exactly one of them may get a session.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio

from security.race_kinds import COURSES, Course, Lane, Links, Server, lane_of
from security.world import LIMITS_OFF
from support import postgres
from support.flow import open_office
from support.server import ServerProcess

LANES: Final = 16
"""Races that run at the same time."""
TENANTS: Final = 8
"""Tenants over which they are spread: races of one tenant change the same policy."""
TAKEN_WITHIN_S: Final = 0.004
"""How soon it is taken: some time within this."""
BEFORE: Final = 2
"""Uses of each before it is gone: the first warms what a server may remember, the next meets the taking of it."""
PAUSE_S: Final = 0.020
"""The longest between the two; the uses after it is gone begin at once."""
SETTINGS: Final = {**LIMITS_OFF, "ZEGEL_LOG_LEVEL": "warning"}
"""A line for each of a million uses would be a tenth of what the servers do."""
BUSY: Final = frozenset({"ABORTED"})
"""Neither let in nor refused: the policy changed faster than it could be read."""


@dataclass
class Outcome:
    """What came out.

    Attributes:
        races: Races run to their end.
        kinds: The same by kind.
        calls: Uses.
        allowed_before: Uses that were let in, and began before it was gone.
        refused: Uses that were refused.
        slipped: Uses that were let in though they began after it was gone.
        withheld: Uses that were refused though it was not yet being taken.
        doubled: Links that several turned into a session.
        unredeemed: Links that nobody could turn into one, and nobody had revoked.
        failed: Uses that were answered otherwise, by kind and code.
        seconds: How long the races took.
        interrupted: Whether it was ended before its time.
    """

    races: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    allowed_before: int = 0
    refused: int = 0
    slipped: int = 0
    withheld: int = 0
    doubled: int = 0
    unredeemed: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def faults(self) -> int:
        """What there must be none of."""
        return self.slipped + self.withheld + self.doubled + self.unredeemed + sum(self.failed.values())

    def line(self) -> str:
        """One line of JSON."""
        seconds = round(self.seconds, 1)
        rate = round(self.races / self.seconds, 1) if self.seconds else 0.0
        return json.dumps(asdict(self) | {"seconds": seconds, "races_per_second": rate})


class Racer:
    """Runs races.

    Args:
        servers: Both.
        choose: Chooses kinds, moments and servers.
        outcome: Where to count.
    """

    def __init__(self, servers: Sequence[Server], choose: random.Random, outcome: Outcome) -> None:
        self._servers = servers
        self._choose = choose
        self.outcome = outcome
        self._stopped = False
        self._left = 0

    def stop(self) -> None:
        """Begins no further race."""
        self._stopped = self.outcome.interrupted = True

    def _server(self) -> Server:
        return self._choose.choice(self._servers)

    async def race(self, course: Course) -> None:
        """One race of a kind; in half of them, both servers know what is used before it is taken."""
        course.taking = False
        await course.give(self._server())
        gone, used = asyncio.Event(), asyncio.Semaphore(0)
        known = self._choose.random() < 0.5
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(self._use(course, server, gone, used))
            for _ in self._servers if known else ():
                await used.acquire()
            await asyncio.sleep(self._choose.random() * TAKEN_WITHIN_S)
            course.taking = True
            await course.take(self._server())
            gone.set()

    async def _use(self, course: Course, server: Server, gone: asyncio.Event, used: asyncio.Semaphore) -> None:
        before, after = BEFORE, self._choose.choice((1, 1, 1, 2))
        while after:
            certain = gone.is_set()  # the answer was here before this call began
            after, before = after - certain, before - 1
            code = await course.use(server)
            self._count(type(course), code, certain=certain, possible=course.under_way())
            used.release()
            if before <= 0:
                await gone.wait()
            elif not gone.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(gone.wait(), self._choose.random() * PAUSE_S)

    def _count(self, kind: type[Course] | type[Links], code: str, *, certain: bool, possible: bool) -> None:
        outcome = self.outcome
        outcome.calls += 1
        if code in kind.allowed:
            outcome.slipped += certain
            outcome.allowed_before += not certain
        elif code in kind.refused:
            outcome.refused += 1
            outcome.withheld += not possible
        elif code not in BUSY:
            named = f"{kind.__name__} {code}"
            outcome.failed[named] = outcome.failed.get(named, 0) + 1

    async def link(self, links: Links) -> None:
        """One race of a link: two redeem it, and in half of the races a third revokes it."""
        link_id, token = await links.make(self._server())
        revoked, revoke = asyncio.Event(), self._choose.random() < 0.5

        async def redeem(server: Server) -> str:
            await asyncio.sleep(self._choose.random() * TAKEN_WITHIN_S)
            certain = revoked.is_set()
            code, session = await links.redeem(server, token)
            self._count(Links, code, certain=certain, possible=True)
            return session

        async def end() -> None:
            await asyncio.sleep(self._choose.random() * TAKEN_WITHIN_S)
            await links.revoke(self._server(), link_id)
            revoked.set()

        redeeming = [redeem(server) for server in self._servers]
        got = await asyncio.gather(*redeeming, *([end()] if revoke else []))
        sessions = [each for each in got if each]
        self.outcome.doubled += len(sessions) > 1
        self.outcome.unredeemed += not sessions and not revoke
        for server in self._servers:  # it is spent or revoked, on either
            code, _ = await links.redeem(server, token)
            self._count(Links, code, certain=True, possible=True)
            for session in sessions:
                code = await links.use(server, session)
                self._count(Links, code, certain=revoke, possible=revoke)

    async def run(self, lanes: Sequence[Lane], races: int) -> None:
        """Runs races, one at a time in each lane.

        Args:
            lanes: What they are about.
            races: How many.
        """
        self._left = races
        began, before = time.monotonic(), self.outcome.seconds
        try:
            await asyncio.gather(*(self._work(lane, number) for number, lane in enumerate(lanes)))
        finally:
            self.outcome.seconds = before + time.monotonic() - began

    async def _work(self, lane: Lane, number: int) -> None:
        courses = [kind(lane) for kind in COURSES]
        links = Links(lane)
        turn = number  # the lanes begin with different kinds, so that few races have them all
        while self._left and not self._stopped:
            self._left -= 1
            turn = (turn + 1) % (len(courses) + 1)
            course = courses[turn] if turn < len(courses) else None
            await (self.link(links) if course is None else self.race(course))
            name = Links.__name__ if course is None else type(course).__name__
            self.outcome.races += 1
            self.outcome.kinds[name] = self.outcome.kinds.get(name, 0) + 1


@contextlib.contextmanager
def two_servers(database_url: str = "") -> Iterator[list[ServerProcess]]:
    """Two processes of one installation.

    Args:
        database_url: An empty PostgreSQL database; SQLite in the folder that they share where left out.
    """
    with tempfile.TemporaryDirectory(prefix="zegel-races-") as folder, contextlib.ExitStack() as stack:
        shared = Path(folder) / "shared"
        servers = [
            ServerProcess(Path(folder) / name, database_url=database_url, shared=shared, environment=SETTINGS)
            for name in ("one", "other")
        ]
        for each in servers:
            stack.callback(each.stop)
        servers[0].start()  # alone: it makes the keys and the tables
        with ThreadPoolExecutor(1) as threads:
            threads.submit(servers[1].start).result()
        yield servers


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        races: How many.
        seed: Of kinds, moments and servers.
        lanes: How many at a time.
        batch: After how many to tell how far it has come.
        tell: Whether to, and to end at a signal.
    """

    races: int
    seed: int = 1
    lanes: int = LANES
    batch: int = 1_000
    tell: bool = False


async def _run(servers: Sequence[ServerProcess], lanes: Sequence[Lane], plan: Plan, outcome: Outcome) -> None:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        methods = []
        for each in servers:
            credentials = grpc.ssl_channel_credentials(each.authority)
            methods.append(Server(await stack.enter_async_context(grpc.aio.secure_channel(each.listen, credentials))))
        choose = random.Random(plan.seed)  # noqa: S311 - chooses moments, no secret
        racer = Racer(methods, choose, outcome)
        for number in (signal.SIGINT, signal.SIGTERM) if plan.tell else ():
            stack.callback(signal.signal, number, signal.getsignal(number))
            loop.add_signal_handler(number, racer.stop)
            stack.callback(loop.remove_signal_handler, number)
        while outcome.races < plan.races and not outcome.interrupted:
            await racer.run(lanes, min(plan.batch, plan.races - outcome.races))
            if plan.tell:
                sys.stderr.write(f"{outcome.line()}\n")


def run(plan: Plan, database_url: str = "", outcome: Outcome | None = None) -> Outcome:
    """Runs races on servers of their own.

    Args:
        plan: What to run.
        database_url: An empty PostgreSQL database; SQLite where left out.
        outcome: Where to count.
    """
    outcome = outcome or Outcome()
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(two_servers(database_url))
        names = [f"Races {number}" for number in range(min(TENANTS, plan.lanes))]
        offices = [stack.enter_context(open_office(servers[0], name)) for name in names]
        lanes = [lane_of(offices[number % len(offices)], number) for number in range(plan.lanes)]
        asyncio.run(_run(servers, lanes, plan, outcome))
    return outcome


def _interrupt(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=LANES, help="races at a time")
    parser.add_argument("--batch", type=int, default=1_000, help="races between two lines about how far it has come")
    parser.add_argument("--postgresql", action="store_true", help="on a PostgreSQL of the run's own")
    arguments = parser.parse_args()
    plan = Plan(arguments.races, arguments.seed, arguments.lanes, arguments.batch, tell=True)
    outcome = Outcome()
    signal.signal(signal.SIGTERM, _interrupt)  # before the races, and after them
    try:
        with contextlib.ExitStack() as stack:
            url = ""
            if arguments.postgresql:
                cluster = postgres.start()
                stack.callback(cluster.stop)
                url = cluster.url(cluster.create())
            run(plan, url, outcome)
    except KeyboardInterrupt:
        outcome.interrupted = True
    sys.stdout.write(f"{outcome.line()}\n")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
