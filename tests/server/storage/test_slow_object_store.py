"""A store that drips a byte a second, or answers nobody: who waits for it, who does not, and when it is left alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote

import pytest

from zegel_server.errors import Unavailable
from zegel_server.storage.object_store import SHARE, ObjectBlobStore, open_s3

pytestmark = [pytest.mark.asyncio, pytest.mark.faults]

SLOW, QUICK = "documents/ten_slow/d/1/000000", "documents/ten_quick/d/1/000000"


class Playing:
    """A store of one tenant's objects that answers at once, and another's that drips.

    Attributes:
        slow: Requests that it drips at now.
        asked: All requests so far.
    """

    def __init__(self) -> None:
        self.slow = self.asked = 0
        self.mended = False
        self.crowded = asyncio.Event()
        self._open: set[asyncio.Task[object]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._answer(reader, writer)
        finally:
            self._open.remove(task)
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def end(self) -> None:
        for _ in range(3):  # a connection that was just accepted gets its task in the loop's next rounds
            await asyncio.sleep(0.01)
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
                length = next((line for line in head.lower().splitlines() if line.startswith(b"content-length")), b":0")
                await reader.readexactly(int(length.partition(b":")[2]))
                if b"ten_slow" in head and not self.mended:
                    await self._drip(writer)
                writer.write(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n')
                await writer.drain()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        self.slow += 1
        if self.slow == SHARE:
            self.crowded.set()
        try:
            for byte in b'HTTP/1.1 200 OK\r\nETag: "1"\r\nX: ' + bytes(100_000):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)
        finally:
            self.slow -= 1


@contextlib.asynccontextmanager
async def playing(**settings: float) -> AsyncIterator[tuple[Playing, ObjectBlobStore]]:
    played = Playing()
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        url = f"s3://bucket/p?endpoint={quote(f'http://127.0.0.1:{port}')}&region=r"
        yield played, open_s3(url, retries=0, **settings)  # type: ignore[arg-type]
    finally:
        server.close()
        await played.end()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")


CALLS: dict[str, Callable[[ObjectBlobStore, str], Awaitable[object]]] = {
    "put": lambda store, key: store.put(key, b"x"),
    "get": lambda store, key: store.get(key, 0, 10),
    "size": lambda store, key: store.size(key),
    "delete": lambda store, key: store.delete(key),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_drips_is_given_up(call: str) -> None:
    async with playing(call_timeout=0.3) as (_, store):
        with pytest.raises(Unavailable) as caught:
            await CALLS[call](store, SLOW)
    assert caught.value.metadata == {"dependency": "storage"}


async def test_objects_that_drip_for_one_tenant_keep_no_other_waiting() -> None:
    async with playing() as (played, store), asyncio.timeout(60):
        waiting = [asyncio.create_task(store.put(f"{SLOW}{number}", b"x")) for number in range(40)]
        await played.crowded.wait()
        for number in range(20):
            await store.put(f"{QUICK}{number}", b"x")
            assert played.slow == SHARE  # of the others, each still waits: for its answer or its turn
        assert not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_store_that_kept_callers_waiting_is_left_alone_and_used_again_when_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zegel_server.storage.object_store.LONGEST_REST_S", 0.5)
    async with playing(call_timeout=0.3, quick_s=0.1) as (played, store), asyncio.timeout(60):
        for _ in range(5):
            with pytest.raises(Unavailable):
                await store.put(SLOW, b"x")
        asked, played.mended = played.asked, True
        with pytest.raises(Unavailable):
            await store.put(SLOW, b"x")
        assert played.asked == asked  # it was not asked
        while True:
            with contextlib.suppress(Unavailable):
                await store.put(SLOW, b"x")
                break
            await asyncio.sleep(0.05)
        assert played.asked == asked + 1


async def test_a_store_that_refuses_at_once_is_asked_each_time() -> None:
    async with playing() as (played, store):
        played.mended = True
    for _ in range(8):  # nobody listens any more
        with pytest.raises(Unavailable):
            await store.put(QUICK, b"x")
    assert store._neighbour._breaker.state == 0
