"""Work beside the event loop: it is done in order, waited for, and lets go of what it held."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from zegel_server.threads import Crew, Line


@pytest_asyncio.fixture
async def crew() -> AsyncIterator[Crew]:
    """Two threads."""
    made = Crew(2, "test")
    yield made
    await made.close()


async def test_what_is_returned_and_raised_reaches_whoever_waits(crew: Crew) -> None:
    """From another thread than the loop's."""
    assert await crew.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await crew.run(lambda: 1 // 0)


async def test_a_line_goes_in_order_while_several_threads_take_turns(crew: Crew) -> None:
    """Though other lines and single pieces want the same threads."""
    seen: dict[int, list[int]] = {0: [], 1: [], 2: [], 3: []}
    lines = [Line(crew) for _ in seen]
    for count in range(200):
        for number, line in enumerate(lines):
            line.put(lambda number=number, count=count: seen[number].append(count))  # type: ignore[misc]
        if count % 50 == 0:
            await crew.run(lambda: None)
    for line in lines:
        await line.reach(line.given)
    assert all(each == list(range(200)) for each in seen.values())


async def test_reaching_waits_for_no_more_than_was_asked(crew: Crew) -> None:
    """And several may wait at once."""
    line, gate = Line(crew), threading.Event()
    line.put(lambda: None)
    line.put(gate.wait)
    await line.reach(1)
    waiting = [asyncio.create_task(line.reach(2)) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert not any(each.done() for each in waiting)
    gate.set()
    await asyncio.gather(*waiting)
    assert line.done == line.given


async def test_after_a_piece_that_raises_nothing_is_done(crew: Crew) -> None:
    """And whoever waits is told."""
    line, later = Line(crew), []
    line.put(lambda: 1 // 0)
    line.put(lambda: later.append(1))
    with pytest.raises(ZeroDivisionError):
        await line.reach(2)
    assert not later


async def test_one_busy_line_leaves_threads_to_others() -> None:
    """Even where there is a single thread, and the line never runs dry."""
    crew = Crew(1, "test")
    line, stopped = Line(crew), threading.Event()

    def again() -> None:
        if not stopped.is_set():
            line.put(again)

    line.put(again)
    try:
        async with asyncio.timeout(10):
            assert await crew.run(lambda: "done") == "done"
    finally:
        stopped.set()
        await crew.close()


async def test_whoever_stops_waiting_stops_nothing_else(crew: Crew) -> None:
    """The work is done all the same, and others hear of it."""
    line, gate = Line(crew), threading.Event()
    line.put(gate.wait)
    impatient, patient = asyncio.create_task(line.reach(1)), asyncio.create_task(line.reach(1))
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()
    await patient
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_thread_holds_nothing_of_what_it_has_done(crew: Crew) -> None:
    """Else the last segments of a stream would stay in memory until the next stream."""

    class Held:
        """Stands for memory."""

        def work(self) -> None:
            """Does nothing."""

    held = Held()
    gone = weakref.ref(held)
    line = Line(crew)
    line.put(held.work)
    await line.reach(1)
    await crew.run(held.work)
    del held
    for _ in range(100):
        gc.collect()
        if gone() is None:
            break
        await asyncio.sleep(0.01)
    assert gone() is None
