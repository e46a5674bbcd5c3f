"""What a call to another machine may cost, whatever that machine does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from zegel_server.errors import NotFound, Unavailable
from zegel_server.neighbours import http
from zegel_server.neighbours.calls import Breaker, Neighbour, NeighbourMetrics, Shares, State, Why


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def neighbour(clock: Clock | None = None, *, deadline_s: float = 30.0, shares: Shares | None = None) -> Neighbour:
    breaker = Breaker(2, 5.0, clock or Clock())
    return Neighbour("other", Unavailable, deadline_s, breaker=breaker, shares=shares)


async def broken() -> bytes:
    raise RuntimeError("a library's own")


async def good() -> bytes:
    return b"answer"


async def test_whatever_a_library_raises_is_the_one_refusal() -> None:
    with pytest.raises(Unavailable, match=Why.AWAY):
        await neighbour().call(broken)


async def test_after_failures_in_a_row_it_is_left_alone_and_then_tried_by_one_call() -> None:
    clock, asked = Clock(), 0
    other = neighbour(clock)

    async def fails() -> bytes:
        nonlocal asked
        asked += 1
        raise OSError

    for _ in range(4):
        with pytest.raises(Unavailable):
            await other.call(fails)
    assert asked == 2
    clock.now = 5.0
    go_on = asyncio.Event()

    async def slow() -> bytes:
        await go_on.wait()
        return b"back"

    trying = asyncio.create_task(other.call(slow))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match=Why.RESTING):
        await other.call(good)
    go_on.set()
    assert await trying == b"back"
    assert await other.call(good) == b"answer"


async def test_a_failed_trial_doubles_the_rest() -> None:
    clock = Clock()
    other = neighbour(clock)
    for moment in (0.0, 0.0, 5.0):
        clock.now = moment
        with pytest.raises(Unavailable, match=Why.AWAY):
            await other.call(broken)
    clock.now = 14.9
    with pytest.raises(Unavailable, match=Why.RESTING):
        await other.call(good)
    clock.now = 15.0
    assert await other.call(good) == b"answer"


async def test_a_caller_that_goes_away_is_no_failure_and_ends_the_trial() -> None:
    clock = Clock()
    other = neighbour(clock)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await other.call(broken)
    clock.now = 5.0
    trying = asyncio.create_task(other.call(lambda: asyncio.sleep(3600)))
    await asyncio.sleep(0)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert await other.call(good) == b"answer"


async def test_a_refusal_that_means_something_is_an_answer() -> None:
    other = neighbour()

    async def none_such() -> bytes:
        raise NotFound("document")

    for _ in range(5):
        with pytest.raises(NotFound):
            await other.call(none_such)
    assert await other.call(good) == b"answer"


async def test_a_tenant_waits_for_its_own_calls_and_others_do_not() -> None:
    other, go_on, running = neighbour(shares=Shares(most=8, share=2)), asyncio.Event(), 0

    async def slow() -> bytes:
        nonlocal running
        running += 1
        await go_on.wait()
        return b""

    theirs = [asyncio.create_task(other.call(slow, "greedy")) for _ in range(20)]
    await asyncio.sleep(0)
    assert await other.call(good, "modest") == b"answer"
    assert running == 2
    go_on.set()
    await asyncio.gather(*theirs)
    assert running == 20


async def test_waiting_for_a_turn_counts_and_is_no_failure_of_the_neighbour() -> None:
    other = neighbour(deadline_s=0.05, shares=Shares(most=1))
    with pytest.raises(Unavailable) as slow:
        await other.call(lambda: asyncio.sleep(3600))
    assert slow.value.message == Why.SLOW
    patient = neighbour(shares=(shares := Shares(most=1)))
    hurried = neighbour(deadline_s=0.05, shares=shares)
    go_on = asyncio.Event()
    holding = asyncio.create_task(patient.call(go_on.wait))
    await asyncio.sleep(0)
    for _ in range(4):
        with pytest.raises(Unavailable, match=Why.BUSY):
            await hurried.call(good)
    go_on.set()
    await holding
    assert await hurried.call(good) == b"answer"


async def test_operators_see_which_neighbour_is_left_alone() -> None:
    registry = CollectorRegistry()
    other = Neighbour("other", Unavailable, 5, breaker=Breaker(1), metrics=NeighbourMetrics(registry))
    with pytest.raises(Unavailable):
        await other.call(broken)
    assert registry.get_sample_value("zegel_neighbour_state", {"neighbour": "other"}) == State.RESTING
    assert registry.get_sample_value("zegel_neighbour_calls_total", {"neighbour": "other", "outcome": "AWAY"}) == 1


Speaks = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(speaks: Speaks) -> AsyncIterator[str]:
    """A machine on a port of its own that says what it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speaks(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


def saying(*parts: bytes, forever: bytes = b"", pause_s: float = 0.0) -> Speaks:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
        await writer.drain()
        while forever:
            writer.write(forever)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return speak


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


HEAD = b"HTTP/1.1 200 OK\r\n"
FAULTS: dict[str, Speaks] = {
    "no HTTP": saying(b"220 mail ESMTP\r\n"),
    "a reset": resets,
    "closes": saying(),
    "cut in the head": saying(HEAD[:-4]),
    "cut in the body": saying(HEAD + b"Content-Length: 100\r\n\r\nhalf"),
    "cut in a chunk": saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n50\r\nhalf"),
    "a chunk without a size": saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhalf"),
    "a huge header": saying(HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n"),
    "headers without end": saying(HEAD, forever=b"X: y\r\n"),
    "a header without end": saying(HEAD + b"X: ", forever=b"y" * 1_000),
    "a body without end": saying(HEAD + b"\r\n", forever=bytes(1_000)),
    "a redirect": saying(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"),
    "a body that is packed": saying(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
    "an informational status without end": saying(forever=b"HTTP/1.1 100 Continue\r\n\r\n"),
}
SLOW: dict[str, Speaks] = {
    "never answers": never,
    "drips the head": saying(HEAD + b"X: ", forever=b"y", pause_s=0.02),
    "drips the body": saying(HEAD + b"Content-Length: 10000\r\n\r\n", forever=b"y", pause_s=0.02),
}


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"a body that is packed"}))
async def test_whatever_goes_wrong_in_http_is_the_one_refusal(fault: str) -> None:
    async with speaking(FAULTS[fault]) as url:
        other = neighbour(deadline_s=2.0)
        with pytest.raises(Unavailable) as raised:
            await other.call(lambda: http.ask("POST", url, data=b"q", max_bytes=10_000))
    assert raised.value.message


@pytest.mark.parametrize("fault", sorted(SLOW))
async def test_one_deadline_holds_for_all_of_a_call(fault: str) -> None:
    async with speaking(SLOW[fault]) as url:
        with pytest.raises(Unavailable, match=Why.SLOW):
            await neighbour(deadline_s=0.4).call(lambda: http.ask("POST", url, data=b"q", max_bytes=100_000))


async def test_nothing_is_unpacked() -> None:
    async with speaking(FAULTS["a body that is packed"]) as url:
        assert (await http.ask("GET", url, max_bytes=100)).body == b"nope"
