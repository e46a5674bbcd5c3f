"""Whose turn it is where places are few."""

import asyncio
from collections.abc import Callable

import pytest

from zegel_server.places import Places


class Work:
    """Work that lasts until it is told to end, and what has a place."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def add(self, *names: str, small: bool = False) -> None:
        """Work of a tenant each, which the first letter names."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._do(name, small=small))
            await asyncio.sleep(0)

    async def _do(self, name: str, *, small: bool) -> None:
        async with self.places.place(name[0], small=small):
            self.begun.append(name)
            await self._ends[name].wait()

    async def end(self, *names: str, how: Callable[["Work", str], object] | None = None) -> None:
        for name in names:
            if how is None:
                self._ends[name].set()
            else:
                how(self, name)
            await asyncio.gather(self._tasks[name], return_exceptions=True)
            await asyncio.sleep(0)

    def cancel(self, name: str) -> object:
        return self._tasks[name].cancel()


async def test_tenants_take_turns_and_each_one_s_own_are_in_order() -> None:
    work = Work(Places(1))
    await work.add("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    for _ in range(7):
        await work.end(work.begun[-1])
    assert work.begun == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


async def test_who_has_the_fewest_places_is_next() -> None:
    work = Work(Places(3))
    await work.add("a1", "a2", "a3", "a4", "b1", "b2")
    assert work.begun == ["a1", "a2", "a3"]
    await work.end("a1")
    assert work.begun[3:] == ["b1"]
    await work.end("a2")
    assert work.begun[4:] == ["b2"], "one place each, and the other was served last"


async def test_small_work_of_another_tenant_gets_in_while_large_work_has_every_place() -> None:
    work = Work(Places(2))
    await work.add("a1", "a2", "a3")
    await work.add("a4", small=True)
    await work.add("b1")
    assert work.begun == ["a1", "a2"], "neither its own small work nor another's large work"
    await work.add("c1", "d1", small=True)
    assert work.begun == ["a1", "a2", "c1"], "one at a time"
    await work.end("c1")
    assert work.begun == ["a1", "a2", "c1", "d1"]
    await work.end("a1")
    assert work.begun[4:] == ["b1"], "an ordinary place goes round"
    await work.end("d1", "b1", "a2", "a3", "a4")
    assert work.begun[5:] == ["a3", "a4"]


@pytest.mark.parametrize("name", ["a1", "b1", "c1"])
async def test_what_is_cancelled_leaves_no_place_taken(name: str) -> None:
    work = Work(Places(1))
    await work.add("a1", "b1")
    await work.add("c1", small=True)
    await work.end(name, how=Work.cancel)
    await work.end(*(each for each in ("a1", "c1", "b1") if each != name))
    assert not work.places.waiting("b")
    await work.add("d1", "e1")
    assert work.begun[-1] == "d1"
    await work.add("f1", small=True)
    assert work.begun[-1] == "f1"
    await work.end("d1", "e1", "f1")


async def test_one_that_is_cancelled_as_its_turn_comes_passes_it_on() -> None:
    work = Work(Places(1))
    async with work.places.place("a"):
        await work.add("b1", "c1")
    work.cancel("b1")  # it has the place, and does not know yet
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert work.begun == ["c1"]
    await work.end("c1", "b1")
