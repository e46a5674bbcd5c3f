"""The matrix on a real server: every method by every caller about everything, answered as the contracts declare."""

import dataclasses
import random
from collections.abc import Iterator

import pytest

from security.cells import ABSENT, DENIED, INVALID, PASS, SAME, Cell, Cells
from security.contracts import RPCS
from security.matrix import each_once
from security.prober import Prober
from security.world import LIMITS_OFF, World, open_world
from support import postgres
from support.server import postgresql_server, sqlite_server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("matrix"), pytest.mark.timeout(900)]

SEED = 5


def choose() -> random.Random:
    return random.Random(SEED)  # noqa: S311 - an order, not a secret


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with sqlite_server(environment=LIMITS_OFF) as server, open_world(server) as made:
        yield made


async def test_every_cell_is_answered_as_declared(world: World) -> None:
    async with Prober(world) as prober:
        findings = await prober.run(each_once(world, SEED))
    assert findings.leaks == []
    assert findings.mismatches == []
    assert findings.probes > 15_000
    refusals = {reason for _, reason in (*world.bad_tokens.values(), *world.links.values())}
    assert set(findings.cells) == {PASS, DENIED, ABSENT, SAME, INVALID} | refusals
    assert {"OK", "NOT_FOUND", "UNAUTHENTICATED", "ABORTED", "FAILED_PRECONDITION"} <= set(findings.outcomes)


@pytest.fixture(scope="module")
def world_on_postgresql(postgres_cluster: postgres.Cluster) -> Iterator[World]:
    with postgresql_server(postgres_cluster, environment=LIMITS_OFF) as server, open_world(server) as made:
        yield made


SHARING = frozenset({"team", "delegation", "signer_link", "owner"})
"""Kinds of what is shared, given away or exchanged: who reaches them is decided in SQL."""


async def test_what_is_shared_is_answered_as_declared_on_postgresql_too(world_on_postgresql: World) -> None:
    def about_sharing(cell: Cell) -> bool:
        return cell.rpc.exchanges or not SHARING.isdisjoint(cell.rpc.kinds.values()) or "delegated" in cell.about

    cells = filter(about_sharing, each_once(world_on_postgresql, SEED))
    async with Prober(world_on_postgresql) as prober:
        findings = await prober.run(cells)
    assert findings.leaks == []
    assert findings.mismatches == []
    assert findings.probes > 3_000
    assert {PASS, DENIED, ABSENT} <= set(findings.cells)


async def test_the_prober_finds_what_is_wrong(world: World) -> None:
    """In one test, as each test of its own would make the world once more on a worker of its own."""
    await _finds_a_caller_who_holds_less_or_more_than_is_declared(world)
    await _finds_what_is_told_apart(world)


async def _finds_a_caller_who_holds_less_or_more_than_is_declared(world: World) -> None:
    member = world.callers["member"]
    wrong = dataclasses.replace(member, held={"document.read": world.callers["auditor"].held["document.read"]})
    cells = Cells(world, choose())
    async with Prober(world) as prober:
        await prober.run(cells.of(RPCS["GetDocument"], wrong))  # it reaches what is foreign, it is declared
        await prober.run(cells.of(RPCS["ListDocuments"], dataclasses.replace(member, held={})))  # and holds nothing
    assert any("GetDocument by member, document_id foreign" in each for each in prober.findings.mismatches)
    assert any("ListDocuments by member" in each and "OK" in each for each in prober.findings.leaks)


async def _finds_what_is_told_apart(world: World) -> None:
    member = world.callers["member"]
    cells = Cells(world, choose()).of(RPCS["GetDocument"], member)
    cell = next(each for each in cells if each.about == "document_id own good")
    absent = dataclasses.replace(cell, expected=ABSENT, twin=RPCS["GetDocument"].descriptor.name.encode())
    async with Prober(world) as prober:
        await prober.run(iter([dataclasses.replace(absent, twin=b"\x0a\x01x")]))
    assert len(prober.findings.leaks) == 1
