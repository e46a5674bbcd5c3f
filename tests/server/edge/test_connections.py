"""Which connections are closed for what no call accounts for, and which are not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc.aio import AioRpcError

from support.edge import METADATA, Edge
from support.work import until
from zegel.document.v1 import document_service_pb2 as pb
from zegel_server.edge.grpc_adapter import connections
from zegel_server.edge.grpc_adapter.connections import HEAVY_BYTES, HEAVY_OF_ADDRESS, KNOWN_BYTES, Connections
from zegel_server.edge.wire import MAX_MESSAGE
from zegel_server.errors import InvalidArgument

FDS = Path("/proc/self/fd")
MANY = connections.UNKNOWN_BYTES + 2**20


class Sink:
    """A listener that reads whatever comes, and connections to it from this process."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.read = 0
        self.port = 0

    async def start(self) -> None:
        server = await self._stack.enter_async_context(await asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**20):
                self.read += len(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def send(self, size: int) -> tuple[asyncio.StreamReader, str]:
        """Returns a connection on which so much was sent and read, and its name."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._stack.callback(writer.close)
        expected = self.read + size
        writer.write(bytes(size))
        await writer.drain()

        async def is_read() -> bool:
            return self.read >= expected

        await until(is_read)
        return reader, f"ipv4:127.0.0.1:{writer.get_extra_info('sockname')[1]}"


@asynccontextmanager
async def sinking() -> AsyncIterator[Sink]:
    async with AsyncExitStack() as stack:
        sink = Sink(stack)
        await sink.start()
        yield sink


async def test_what_no_call_accounts_for_is_cut_off_and_what_calls_read_is_not() -> None:
    subject = Connections()
    async with sinking() as sink:
        light, _ = await sink.send(1_000)
        much, _ = await sink.send(MANY)
        read, peer = await sink.send(MANY)
        subject.account(peer).read(MANY)
        known, peer_of_known = await sink.send(MANY)
        subject.account(peer_of_known).is_known = True
        subject.look(sink.port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(much.read(1), 10)
        subject.look(sink.port)
        assert subject.closed == 1
        for each in (light, read, known):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(each.read(1), 0.05)


async def test_a_known_one_has_a_bound_too() -> None:
    subject = Connections()
    async with sinking() as sink:
        _, peer = await sink.send(KNOWN_BYTES + 2**20)
        subject.account(peer).is_known = True
        subject.look(sink.port)
    assert subject.closed == 1


async def test_refused_uploads_of_an_admitted_caller_account_for_what_they_leave_unread() -> None:
    subject = Connections()
    async with sinking() as sink:
        _, peer = await sink.send(KNOWN_BYTES + 2**20)
        account = subject.account(peer)
        account.left_unread()  # nobody was admitted yet
        assert account.bytes == 0
        account.is_known = True
        account.left_unread()
        subject.look(sink.port)
    assert subject.closed == 0


async def test_an_upload_that_is_refused_early_is_counted_as_left_unread(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[bool] = []
    monkeypatch.setattr(connections.Account, "left_unread", lambda account: left.append(account.is_known))

    async def chunks(number: int) -> AsyncIterator[pb.UploadDocumentRequest]:
        for _ in range(number):
            yield pb.UploadDocumentRequest(chunk=pb.Chunk(data=bytes(1_000)))

    async def refuse(requests: Any, _context: Any) -> pb.UploadDocumentResponse:
        await anext(aiter(requests))
        raise InvalidArgument("chunk", "is of no use")

    await edge.stub.UploadDocument(chunks(3), metadata=METADATA)
    assert left == []
    edge.servicer.upload = refuse
    with pytest.raises(AioRpcError):
        await edge.stub.UploadDocument(chunks(3), metadata=METADATA)
    assert left == [True]


async def test_a_trusted_proxy_s_are_left_alone() -> None:
    subject = Connections(lambda address: address == "127.0.0.1")
    async with sinking() as sink:
        await sink.send(MANY)
        subject.look(sink.port)
    assert subject.closed == 0


async def test_of_an_address_only_some_are_heavy() -> None:
    subject = Connections()
    async with sinking() as sink:
        for _ in range(HEAVY_OF_ADDRESS + 3):
            await sink.send(2 * HEAVY_BYTES)
        subject.look(sink.port)
    assert subject.closed == 3


async def test_nothing_is_kept_of_what_is_closed() -> None:
    subject = Connections()
    async with sinking() as sink:
        _, peer = await sink.send(10)
        account = subject.account(peer)
        subject.look(sink.port)
        assert subject.account(peer) is account

    async def is_forgotten() -> bool:
        subject.look(sink.port)
        return subject.account(peer) is not account

    await until(is_forgotten)


def test_no_descriptor_is_left_of_what_is_no_connection_any_more(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        before = len(list(FDS.iterdir()))
        assert connections._connected((str(file.fileno()), "socket:[1]"), 1) is None
        assert connections._received(str(file.fileno())) is None
        assert len(list(FDS.iterdir())) == before


@pytest.mark.parametrize(
    "peer", ["ipv6:%5B::1%5D:5000", "ipv6:[::1]:5000", "ipv6:%5B::1%25lo%5D:5000", "ipv6:[0:0:0:0:0:0:0:1%lo]:5000"]
)
def test_an_address_has_one_name(peer: str) -> None:
    subject = Connections()
    assert subject.account(peer) is subject.account("ipv6:[::1]:5000")


async def test_a_long_upload_is_not_cut_off(edge: Edge) -> None:
    async def chunks() -> AsyncIterator[pb.UploadDocumentRequest]:
        chunk = pb.UploadDocumentRequest(chunk=pb.Chunk(data=bytes(MAX_MESSAGE - 64)))
        for _ in range(2 * KNOWN_BYTES // MAX_MESSAGE):
            yield chunk

    await edge.stub.UploadDocument(chunks(), metadata=METADATA)
