"""What only an object store does: answer slowly, with errors, or not at all."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import obstore
import pytest
from obstore.exceptions import GenericError

from support import versitygw
from zegel_server.errors import ResourceExhausted, Unavailable
from zegel_server.storage import BlobStore, open_blob_store
from zegel_server.storage.object_store import open_s3

DATA = bytes(range(256)) * 16


async def list_all(store: BlobStore) -> list[str]:
    return [info.key async for info in store.list()]


CALLS: dict[str, Callable[[BlobStore], Awaitable[object]]] = {
    "put": lambda store: store.put("a/b", DATA),
    "get": lambda store: store.get("a/b"),
    "get_range": lambda store: store.get("a/b", 10, 20),
    "get_tail": lambda store: store.get("a/b", 10),
    "size": lambda store: store.size("a/b"),
    "delete": lambda store: store.delete("a/b"),
    "list": list_all,
}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests-secret")


def url(port: int) -> str:
    return f"s3://bucket/prefix?endpoint={quote(f'http://127.0.0.1:{port}')}"


@contextlib.asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[int]:
    """A server that answers as a test wants; yields its port."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await asyncio.sleep(0.01)  # A connection that was just accepted gets its writer in the loop's next rounds.
        for writer in writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def answering(status: str, body: str = "") -> Handler:
    """A server that reads a request and always answers the same."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            for line in head.split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
            sent = b"" if head.startswith(b"head") else body.encode()
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent)
            await writer.drain()

    return handler


def error_body(code: str) -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"


@pytest.mark.faults
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("500 Internal Server Error", "InternalError"),
        ("503 Slow Down", "SlowDown"),
        ("403 Forbidden", "AccessDenied"),
        ("401 Unauthorized", "InvalidToken"),
        ("400 Bad Request", "ExpiredToken"),
    ],
)
async def test_a_store_that_answers_with_errors_is_unavailable(call: str, status: str, code: str) -> None:
    async with server(answering(status, error_body(code))) as port:
        store = open_s3(url(port), retries=0)
        with pytest.raises(Unavailable) as caught:
            await CALLS[call](store)
    assert str(port) not in caught.value.message
    assert caught.value.metadata == {"dependency": "storage"}


@pytest.mark.faults
@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("507 Insufficient Storage", "InsufficientStorage"),
        ("507 Insufficient Storage", "XMinioStorageFull"),
        ("403 Forbidden", "QuotaExceeded"),
    ],
)
async def test_a_store_that_is_full_says_so(status: str, code: str) -> None:
    async with server(answering(status, error_body(code))) as port:
        with pytest.raises(ResourceExhausted) as caught:
            await open_s3(url(port), retries=0).put("a", DATA)
    assert caught.value.reason == "STORAGE_FULL"


@pytest.mark.faults
async def test_a_store_that_fails_after_507_milliseconds_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library tells how long it took in the same text as what it was answered."""

    async def failing(*_: object, **__: object) -> None:
        raise GenericError("Error performing PUT http://store/507 in 507.840322ms - HTTP error: error sending request")

    monkeypatch.setattr(obstore, "put_async", failing)
    with pytest.raises(Unavailable):
        await open_s3(url(1), retries=0).put("a/b", b"data")


@pytest.mark.faults
@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_never_answers_is_given_up(call: str) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass

    async with server(silent) as port:
        store = open_s3(url(port), retries=0, call_timeout=0.2)
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable):
                await CALLS[call](store)


@pytest.mark.faults
@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_hangs_up_is_unavailable(call: str) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with server(rude) as port:
        with pytest.raises(Unavailable):
            await CALLS[call](open_s3(url(port), retries=0))


@pytest.mark.faults
@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_is_not_there_is_unavailable(call: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable):
        await CALLS[call](open_s3(url(port), retries=0))


@pytest.mark.faults
async def test_a_conflict_without_an_object_is_tried_again_and_then_given_up() -> None:
    puts = 0

    async def always_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal puts
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"PUT"):
                puts += 1
                await reader.readexactly(len(DATA))
                writer.write(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async with server(always_gone) as port:
        with pytest.raises(Unavailable):
            await open_s3(url(port), retries=0).put("a", DATA)
    assert puts == 5


@pytest.mark.faults
async def test_a_body_cut_short_is_not_handed_out() -> None:
    async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            "HTTP/1.1 200 OK\r\nContent-Length: 4096\r\nETag: x\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
        )
        writer.write(head.encode() + bytes(100))
        await writer.drain()
        writer.transport.abort()

    async with server(cutting) as port:
        with pytest.raises(Unavailable):
            await open_s3(url(port), retries=0).get("a")


@pytest.mark.faults
async def test_a_store_that_comes_back_works_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = versitygw.start(tmp_path)
    for name, value in first.environment.items():
        monkeypatch.setenv(name, value)
    store = open_s3(first.bucket(), retries=0)
    try:
        await store.put("a", DATA)
    finally:
        first.stop()
    with pytest.raises(Unavailable):
        await store.put("b", DATA)
    second = versitygw.start(tmp_path, first.port, first.environment)
    try:
        assert await store.get("a") == DATA
        await store.put("b", DATA)
    finally:
        second.stop()


@pytest.mark.parametrize("call", ["put", "get", "get_range", "list"])
async def test_a_bucket_that_is_not_there_is_unavailable_and_not_a_loss(s3_url: str, call: str) -> None:
    store = open_s3(s3_url.replace("bucket-", "other-"), retries=0)
    with pytest.raises(Unavailable):
        await CALLS[call](store)


async def test_two_prefixes_of_a_bucket_do_not_meet(s3_url: str) -> None:
    one, other = open_s3(s3_url), open_s3(s3_url.replace("/a/prefix", "/a/prefix-2"))
    await one.put("a", DATA)
    assert await list_all(other) == []
    await other.put("a", b"other")
    assert await one.get("a") == DATA


@pytest.mark.parametrize(
    "bad",
    [
        "s3://",
        "s3:///prefix",
        "s3://key:secret@bucket",
        "s3://bucket:80/x",
        "s3://bucket/../x",
        "s3://bucket/a//b",
        "s3://bucket?secret_access_key=x",
        "s3://bucket?endpoint=ftp://host",
        "s3://bucket#x",
    ],
)
def test_a_malformed_url_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"object store|key"):
        open_blob_store(bad)
