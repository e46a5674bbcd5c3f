"""How long a refusal takes: of what is there but out of reach, beside what never was.

Run: ``python tests/security/timing.py --samples 10000``. For each method and relation, calls about a forbidden and
about an absent resource alternate in random order, one at a time, on one connection. It prints a line for each and one
line of JSON: the difference of the medians with a 95 % confidence interval (percentile bootstrap), and the probability
that a forbidden answer takes longer than an absent one (0.5: none can be told from the other; Mann-Whitney). It exits 1
where an interval does not lie within the bound: a test of equivalence, so a noisy machine fails it, never passes it.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from security.cells import ABSENT, Cell, Cells
from security.contracts import RPCS
from security.prober import Prober
from security.world import LIMITS_OFF, World, open_world
from support.server import sqlite_server

BOUND_US: Final = 25.0
"""The largest difference of medians, in microseconds: below what a network between adds from call to call."""
ASKED: Final = (
    "GetDocument",
    "DownloadDocument",
    "UpdateDocument",
    "GetUpload",
    "GetSignatureRequest",
    "CancelSignatureRequest",
    "GetTransaction",
    "GetInclusionProof",
    "RevokeSession",
)
RESAMPLES: Final = 400
WARM: Final = 200
"""Calls before the first that counts."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out for one method and relation; times in microseconds."""

    method: str
    relation: str
    samples: int
    absent_us: float
    forbidden_us: float
    difference_us: float
    low_us: float
    high_us: float
    superiority: float

    @property
    def within(self) -> bool:
        """Whether the whole interval lies within the bound."""
        return self.low_us >= -BOUND_US and self.high_us <= BOUND_US


def superiority(one: Sequence[float], other: Sequence[float]) -> float:
    """The probability that a draw of the first is larger than one of the second; ties count half.

    Args:
        one: Draws.
        other: Draws of the other.
    """
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks, at = 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        middle = (at + end + 1) / 2
        ranks += middle * sum(1 for _, which in ranked[at:end] if which == 0)
        at = end
    return (ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))


def interval(forbidden: Sequence[float], absent: Sequence[float], choose: random.Random) -> tuple[float, float]:
    """A 95 % interval of the difference of the medians.

    Args:
        forbidden: Times.
        absent: Times.
        choose: Draws the resamples.
    """
    found = sorted(
        statistics.median(choose.choices(forbidden, k=len(forbidden)))
        - statistics.median(choose.choices(absent, k=len(absent)))
        for _ in range(RESAMPLES)
    )
    return found[int(RESAMPLES * 0.025)], found[int(RESAMPLES * 0.975)]


def pairs(world: World, choose: random.Random) -> Iterator[tuple[str, Cell]]:
    """A cell for each method and relation that a member is refused in as if there were nothing."""
    cells = Cells(world, choose)
    for name in ASKED:
        for relation in ("foreign", "other"):
            for cell in cells.of(RPCS[name], world.callers["member"]):
                if cell.expected == ABSENT and f" {relation} good" in cell.about:
                    yield relation, cell
                    break


async def compare(prober: Prober, relation: str, cell: Cell, samples: int, choose: random.Random) -> Comparison:
    """Times both, one call at a time.

    Args:
        prober: Makes the calls.
        relation: What the resource is to the caller.
        cell: About what is forbidden; its twin is about what is absent.
        samples: Calls of each.
        choose: The order.
    """
    assert cell.twin is not None
    payloads = {"forbidden": cell.payload, "absent": cell.twin}
    order = ["forbidden", "absent"] * samples
    choose.shuffle(order)
    times: dict[str, list[float]] = {"forbidden": [], "absent": []}
    for which in ["absent", "forbidden"] * (WARM // 2):
        await prober.ask(cell, payloads[which], 0)
    for which in order:
        began = time.perf_counter_ns()
        await prober.ask(cell, payloads[which], 0)
        times[which].append((time.perf_counter_ns() - began) / 1_000)
    medians = {which: statistics.median(found) for which, found in times.items()}
    low, high = interval(times["forbidden"], times["absent"], choose)
    return Comparison(
        method=cell.rpc.name,
        relation=relation,
        samples=samples,
        absent_us=round(medians["absent"], 1),
        forbidden_us=round(medians["forbidden"], 1),
        difference_us=round(medians["forbidden"] - medians["absent"], 1),
        low_us=round(low, 1),
        high_us=round(high, 1),
        superiority=round(superiority(times["forbidden"], times["absent"]), 4),
    )


async def _run(world: World, samples: int, choose: random.Random) -> list[Comparison]:
    found = []
    async with Prober(world) as prober:
        for relation, cell in list(pairs(world, choose)):
            found.append(await compare(prober, relation, cell, samples, choose))
            sys.stdout.write(f"{found[-1]}\n")
            sys.stdout.flush()
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)  # noqa: S311 - an order, not a secret
    with sqlite_server(environment=LIMITS_OFF) as server, open_world(server) as world:
        found = asyncio.run(_run(world, arguments.samples, choose))
    outside = [each for each in found if not each.within]
    figures = {"bound_us": BOUND_US, "compared": len(found), "outside": [asdict(each) for each in outside]}
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.exit(bool(outside))


if __name__ == "__main__":
    main()
