"""Probes a real server with the matrix, and tells of every answer that is not the declared one.

Run: ``python tests/security/matrix.py --probes 1000000 --seed 1``. Every cell comes once, in random order, and then
cells at random until that many probes were made. It prints one line of JSON and exits 1 if anything leaked.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from security.cells import Cell, Cells
from security.prober import Findings, Prober
from security.world import LIMITS_OFF, World, open_world
from support.server import sqlite_server

SHOWN: Final = 50
"""Sorts of leaks and mismatches that are shown."""


def _samples(found: list[str]) -> list[str]:
    """One of each sort: of the same method, field, relation and answer."""
    sorts: dict[tuple[str, str], list[str]] = {}
    for each in found:
        head, _, said = each.partition(": ")
        sorts.setdefault((head.partition(" ")[0] + head.rpartition(", ")[2], said), []).append(each)
    return [f"{len(alike)} x {alike[0]}" for alike in sorts.values()][:SHOWN]


def each_once(world: World, seed: int) -> Iterator[Cell]:
    """Every cell once, in random order.

    Args:
        world: What there is.
        seed: Of the order.
    """
    choose = random.Random(seed)  # noqa: S311 - an order, not a secret
    cells = list(Cells(world, choose).all())
    choose.shuffle(cells)
    return iter(cells)


def without_end(world: World, seed: int) -> Iterator[Cell]:
    """Every cell once, and then cells at random.

    Args:
        world: What there is.
        seed: Of the order and of what is random.
    """
    yield from each_once(world, seed)
    yield from Cells(world, random.Random(seed + 1)).any()  # noqa: S311 - as above


async def _run(world: World, probes: int, seed: int) -> Findings:
    async with Prober(world) as prober:
        return await prober.run(without_end(world, seed), probes, sys.stderr.write)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with sqlite_server(environment=LIMITS_OFF) as server, open_world(server) as world:
        began = time.monotonic()
        findings = asyncio.run(_run(world, arguments.probes, arguments.seed))
        seconds = time.monotonic() - began
    for kind, found in (("leak", findings.leaks), ("mismatch", findings.mismatches)):
        for each in _samples(found):
            sys.stdout.write(f"{kind}: {each}\n")
    figures = {
        "probes": findings.probes,
        "leaks": len(findings.leaks),
        "mismatches": len(findings.mismatches),
        "cells": dict(findings.cells),
        "outcomes": dict(findings.outcomes),
        "client_faults": findings.client_faults,
        "probes_per_s": round(findings.probes / seconds),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.exit(bool(findings.leaks or findings.mismatches))


if __name__ == "__main__":
    main()
