"""Documents up and down, over connections that break."""

import hashlib
import io
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import google_crc32c
import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zegel
import zegel.aio
from support.fake_server import Relay, Running, made, refuse, relaying, serving
from zegel._internal import patience
from zegel._internal.upload import CHUNK_BYTES, Attempt, Source
from zegel.document.v1 import document_service_pb2 as pb
from zegel.document.v1.document_service_pb2_grpc import DocumentServiceServicer

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 4 * 1024 * 5 + b"the end"  # five chunks and a bit


@dataclass
class Stored:
    """An upload that the server knows."""

    spec: pb.UploadSpec
    data: bytearray = field(default_factory=bytearray)
    document: pb.Document | None = None


class Documents(DocumentServiceServicer):
    """Keeps uploads in memory as the contract has it, and fails where it is told to."""

    def __init__(self) -> None:
        self.uploads: dict[str, Stored] = {}
        self.streams: list[list[int]] = []
        self.cut_up: list[int] = []
        """For each upload stream in turn: after how many chunks it fails."""
        self.cut_down: list[int] = []
        """The same for downloads."""
        self.granularity = 1
        """The persisted size is a multiple of this."""
        self.lose_the_answer = 0
        self.forget_finished = False
        self.content = CONTENT
        self.asked: list[pb.DownloadDocumentRequest] = []
        self.spoil: Callable[[int, pb.DownloadDocumentResponse], None] | None = None
        self.refusal = grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"

    def _upload(self, upload_id: str) -> pb.Upload:
        size = len(self.uploads[upload_id].data)
        return pb.Upload(upload_id=upload_id, document_id="doc_1", version=1, persisted_size=size)

    async def StartUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        upload_id = f"upl_{len(self.uploads)}"
        self.uploads[upload_id] = Stored(request.spec)
        return pb.StartUploadResponse(upload=self._upload(upload_id))

    async def GetUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.forget_finished and self.uploads[request.upload_id].document:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_CLOSED")
        return pb.GetUploadResponse(upload=self._upload(request.upload_id))

    async def GetDocument(self, request: Any, context: Any) -> Any:  # noqa: N802
        [stored] = self.uploads.values()
        return pb.GetDocumentResponse(document=stored.document)

    async def UploadDocument(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        cut = self.cut_up.pop(0) if self.cut_up else None
        offsets: list[int] = []
        self.streams.append(offsets)
        upload_id = ""
        pending = b""
        position: int | None = None
        async for message in request_iterator:
            upload_id = upload_id or message.upload_id
            stored = self.uploads[upload_id]
            if message.HasField("chunk"):
                chunk = message.chunk
                assert google_crc32c.value(chunk.data) == chunk.crc32c
                assert 1 <= len(chunk.data) <= MIB
                assert chunk.offset == (len(stored.data) if position is None else position)
                position = chunk.offset + len(chunk.data)
                offsets.append(chunk.offset)
                pending += chunk.data
                whole = len(pending) // self.granularity * self.granularity
                stored.data += pending[:whole]
                pending = pending[whole:]
            if cut is not None and len(offsets) > cut:
                await refuse(context, *self.refusal)
            if message.HasField("finish"):
                stored.data += pending
                assert message.finish.size == len(stored.data)
                assert message.finish.sha256 == hashlib.sha256(stored.data).digest()
                version = pb.DocumentVersion(version=1, size=message.finish.size, sha256=message.finish.sha256)
                stored.document = pb.Document(document_id="doc_1", title=stored.spec.title, versions=[version])
                if self.lose_the_answer:
                    self.lose_the_answer -= 1
                    await refuse(context, grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
                return pb.UploadDocumentResponse(document=stored.document)
        return pb.UploadDocumentResponse(upload=self._upload(upload_id))

    async def DownloadDocument(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.asked.append(request)
        cut = self.cut_down.pop(0) if self.cut_down else None
        if request.document_id != "doc_1":
            await refuse(context, grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", {"resource": "document"})
        size = len(self.content)
        start = request.read_offset + size if request.read_offset < 0 else request.read_offset
        end = min(size, start + request.read_limit) if request.read_limit else size
        for number, message in enumerate(self._messages(start, end)):
            if cut is not None and number > cut:
                await refuse(context, *self.refusal)
            if self.spoil:
                self.spoil(number, message)
            yield message

    def _messages(self, start: int, end: int) -> Iterator[pb.DownloadDocumentResponse]:
        version = pb.DocumentVersion(version=3, size=len(self.content), sha256=hashlib.sha256(self.content).digest())
        head = pb.DownloadStart(document_id="doc_1", version=version, offset=start, length=end - start)
        yield pb.DownloadDocumentResponse(start=head)
        for at in range(start, end, MIB):
            data = self.content[at : min(end, at + MIB)]
            yield pb.DownloadDocumentResponse(chunk=pb.Chunk(offset=at, data=data, crc32c=google_crc32c.value(data)))


class World:
    """A server with documents, and either client."""

    def __init__(self, running: Running, kind: str, served: Documents) -> None:
        self.running = running
        self.kind = kind
        self.served = served

    async def _with(self, target: str, work: Callable[[Any], Any]) -> Any:
        if self.kind == "sync":
            with zegel.Client(target, token="zs_x", insecure=True) as client:
                return work(client.documents)
        async with zegel.aio.Client(target, token="zs_x", insecure=True) as other:
            return await cast("Awaitable[Any]", work(other.documents))

    async def upload(self, content: Any, *, relay: Relay | None = None, **more: Any) -> pb.Document:
        answer: pb.Document = await self._with(
            relay.target if relay else self.running.target, lambda documents: documents.upload(content, **more)
        )
        return answer

    async def download(self, document_id: str = "doc_1", *, relay: Relay | None = None, **more: Any) -> Any:
        return await self._with(
            relay.target if relay else self.running.target, lambda documents: documents.download(document_id, **more)
        )

    @property
    def received(self) -> bytes:
        [stored] = self.served.uploads.values()
        return bytes(stored.data)


def files_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.001)


@pytest.fixture(params=["sync", "aio"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    served: Documents = made(Documents)
    with serving(served) as running:
        yield World(running, request.param, served)


# ------------------------------------------------------------------------------------------------------------------ up


async def test_bytes_go_up(world: World) -> None:
    document = await world.upload(CONTENT, title="Contract")
    assert (document.title, document.versions[0].size) == ("Contract", len(CONTENT))
    assert world.received == CONTENT
    assert world.served.streams == [[each * MIB for each in range(6)]]


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_file_goes_up_under_its_name(world: World, tmp_path: Path, as_text: bool) -> None:
    path = tmp_path / "lease.pdf"
    path.write_bytes(CONTENT)
    document = await world.upload(str(path) if as_text else path)
    assert document.title == "lease.pdf"
    assert world.received == CONTENT
    assert world.served.uploads["upl_0"].spec.size == len(CONTENT)


async def test_a_file_object_goes_up_from_where_it_stands_and_stays_open(world: World, tmp_path: Path) -> None:
    path = tmp_path / "lease.pdf"
    path.write_bytes(b"envelope" + CONTENT)
    with path.open("rb") as file:
        file.seek(8)
        document = await world.upload(file)
        assert not file.closed
    assert (document.title, world.received) == ("lease.pdf", CONTENT)


async def test_a_new_version_keeps_the_document_s_title(world: World, tmp_path: Path) -> None:
    path = tmp_path / "second.pdf"
    path.write_bytes(CONTENT)
    await world.upload(path, document_id="doc_1")
    assert (world.served.uploads["upl_0"].spec.title, world.served.uploads["upl_0"].spec.document_id) == ("", "doc_1")


class Pipe(io.RawIOBase):
    """Bytes that come once, in small pieces."""

    def __init__(self, data: bytes) -> None:
        self._left = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._left.read(min(size, 100_000))


async def test_a_pipe_goes_up(world: World) -> None:
    told: list[tuple[int, int | None]] = []
    await world.upload(Pipe(CONTENT), title="x", progress=lambda *each: told.append(each))
    assert world.received == CONTENT
    assert told[-1] == (len(CONTENT), None)
    assert world.served.uploads["upl_0"].spec.size == 0


async def test_progress_is_told(world: World) -> None:
    told: list[tuple[int, int | None]] = []
    await world.upload(CONTENT, title="x", progress=lambda *each: told.append(each))
    size = len(CONTENT)
    assert told == [(min(each * MIB, size), size) for each in range(1, 7)]


@pytest.mark.parametrize("granularity", [1, 700_000, 3 * MIB])
@pytest.mark.parametrize("cuts", [[0], [3], [2, 0, 1], [5]])
async def test_an_upload_that_is_cut_off_goes_on_where_the_server_has_it(
    world: World, cuts: list[int], granularity: int
) -> None:
    world.served.cut_up, world.served.granularity = list(cuts), granularity
    document = await world.upload(CONTENT, title="x")
    assert world.received == CONTENT
    assert document.versions[0].sha256 == hashlib.sha256(CONTENT).digest()
    assert len(world.served.uploads) == 1
    assert len(world.served.streams) == len(cuts) + 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.ABORTED, "STREAM_STALLED"),
        (grpc.StatusCode.ABORTED, "OFFSET_MISMATCH"),
        (grpc.StatusCode.INTERNAL, ""),
        (grpc.StatusCode.UNKNOWN, ""),
    ],
)
async def test_what_a_stream_may_break_with(world: World, code: grpc.StatusCode, reason: str) -> None:
    world.served.refusal, world.served.cut_up = (code, reason), [2]
    await world.upload(CONTENT, title="x")
    assert world.received == CONTENT


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "DOCUMENT_ENCRYPTED", zegel.DocumentEncrypted),
        (grpc.StatusCode.INVALID_ARGUMENT, "CHECKSUM_MISMATCH", zegel.ChecksumMismatch),
        (grpc.StatusCode.UNAUTHENTICATED, "SESSION_REVOKED", zegel.SessionRevoked),
        (grpc.StatusCode.INTERNAL, "INTERNAL", zegel.Internal),
    ],
)
async def test_a_refusal_is_told_and_not_tried_again(
    world: World, code: grpc.StatusCode, reason: str, kind: type[zegel.ZegelError]
) -> None:
    world.served.refusal, world.served.cut_up = (code, reason), [0] * 9
    with pytest.raises(kind):
        await world.upload(CONTENT, title="x")
    if world.kind == "sync":  # grpc.aio now and then says INTERNAL for it, and the next try hears the refusal
        assert len(world.served.streams) == 1


async def test_an_upload_that_never_moves_is_given_up(world: World) -> None:
    world.served.cut_up, world.served.granularity = [0] * 100, 64 * MIB
    with pytest.raises(zegel.Unavailable):
        await world.upload(CONTENT, title="x")
    assert len(world.served.streams) == patience.MAX_TRIES


async def test_a_pipe_cannot_be_sent_again(world: World) -> None:
    world.served.cut_up = [2]
    with pytest.raises(zegel.Unavailable):
        await world.upload(Pipe(CONTENT), title="x")
    assert len(world.served.streams) == 1


@pytest.mark.parametrize("forgets", [True, False])
async def test_an_answer_that_was_lost_is_found(world: World, forgets: bool) -> None:
    world.served.lose_the_answer, world.served.forget_finished = 1, forgets
    document = await world.upload(CONTENT, title="x")
    assert document.versions[0].sha256 == hashlib.sha256(CONTENT).digest()
    assert world.received == CONTENT


async def test_connections_that_really_break(world: World) -> None:
    with relaying(world.running, up=[1_500_000, 3_000_000, 10_000]) as relay:
        await world.upload(CONTENT, title="x", relay=relay)
    assert relay.cuts == 3
    assert world.received == CONTENT


async def test_an_error_of_the_source_comes_out_as_it_is(world: World) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > MIB:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        await world.upload(Broken(CONTENT), title="x")


async def test_an_error_of_the_callback_comes_out_as_it_is(world: World) -> None:
    def progress(_sent: int, _total: int | None) -> None:
        raise LookupError("no such bar")

    with pytest.raises(LookupError, match="no such bar"):
        await world.upload(CONTENT, title="x", progress=progress)


async def test_a_file_of_text_is_refused(world: World) -> None:
    with pytest.raises(TypeError, match="'rb'"):
        await world.upload(cast("BinaryIO", io.StringIO("x")), title="x")
    assert world.served.uploads == {}


async def test_a_file_that_is_not_there(world: World, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await world.upload(tmp_path / "none.pdf")
    assert world.served.uploads == {}


@given(size=st.integers(0, 3 * CHUNK_BYTES), starts=st.lists(st.integers(0, 3 * CHUNK_BYTES), max_size=4))
def test_each_byte_is_hashed_once_however_often_it_is_sent(size: int, starts: list[int]) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    with Source(data) as source:
        for start in (*starts, 0):
            offset = min(start, size)
            upload = pb.Upload(upload_id="upl_1", persisted_size=offset)
            *chunks, last = list(Attempt(source, upload, None))
            assert [each.upload_id for each in (*chunks, last)] == ["upl_1", *[""] * len(chunks)]
            assert b"".join(each.chunk.data for each in chunks) == data[offset:]
            assert (last.finish.size, last.finish.sha256) == (size, hashlib.sha256(data).digest())


def test_an_attempt_that_was_stopped_reads_no_more() -> None:
    reading, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            reading.set()
            assert go_on.wait(5)
            return super().read(size)

    with Source(Slow(CONTENT)) as source:
        old = Attempt(source, pb.Upload(upload_id="upl_1"), None)
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.extend(old))
        thread.start()
        assert reading.wait(5)
        stopper = threading.Thread(target=old.stop)
        stopper.start()
        go_on.set()
        thread.join(5)
        stopper.join(5)
        assert list(old) == []
        sent = b"".join(each.chunk.data for each in Attempt(source, pb.Upload(upload_id="upl_1"), None))
        assert sent == CONTENT


# ---------------------------------------------------------------------------------------------------------------- down


async def test_a_document_comes_down_as_bytes(world: World) -> None:
    assert await world.download() == CONTENT


async def test_a_document_comes_down_to_a_path(world: World, tmp_path: Path) -> None:
    path = tmp_path / "signed.pdf"
    path.write_bytes(b"what was there before")
    version = await world.download(to=path)
    assert (version.version, version.sha256) == (3, hashlib.sha256(CONTENT).digest())
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files_in(tmp_path) == ["signed.pdf"]


async def test_a_document_comes_down_to_a_file_object(world: World) -> None:
    file = io.BytesIO()
    told: list[tuple[int, int]] = []
    await world.download(to=file, progress=lambda *each: told.append(each))
    assert file.getvalue() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert not file.closed


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 10, CONTENT[:10]), (MIB - 3, 7, CONTENT[MIB - 3 : MIB + 4]), (-7, None, b"the end"), (-7, 3, b"the")],
)
async def test_a_range_comes_down(world: World, offset: int, length: int | None, expected: bytes) -> None:
    assert await world.download(offset=offset, length=length) == expected


@pytest.mark.parametrize("length", [0, -1])
async def test_no_length_is_not_everything(world: World, length: int) -> None:
    with pytest.raises(ValueError, match="length"):
        await world.download(length=length)
    assert world.served.asked == []


@pytest.mark.parametrize("cuts", [[0], [1], [4], [6], [2, 2, 0]])
async def test_a_download_that_is_cut_off_goes_on_from_there(world: World, cuts: list[int], tmp_path: Path) -> None:
    world.served.cut_down = list(cuts)
    path = tmp_path / "signed.pdf"
    await world.download(to=path, offset=-len(CONTENT) + 5)
    assert path.read_bytes() == CONTENT[5:]
    for again in world.served.asked[1:]:
        assert again.version in {0, 3}
        assert again.read_offset >= 5 or again.read_offset < 0


async def test_a_download_goes_on_with_the_same_version(world: World) -> None:
    world.served.cut_down = [2]
    assert await world.download() == CONTENT
    assert [(each.version, each.read_offset) for each in world.served.asked] == [(0, 0), (3, 2 * MIB)]


async def test_downloads_over_connections_that_really_break(world: World) -> None:
    with relaying(world.running, down=[1_500_000, 3_000_000, 10_000]) as relay:
        assert await world.download(relay=relay) == CONTENT
    assert relay.cuts == 3


async def test_a_download_that_never_moves_is_given_up(world: World) -> None:
    world.served.cut_down = [0] * 100
    with pytest.raises(zegel.Unavailable):
        await world.download()
    assert len(world.served.asked) == patience.MAX_TRIES


def _flip(message: pb.DownloadDocumentResponse) -> None:
    message.chunk.data = bytes([message.chunk.data[0] ^ 1]) + message.chunk.data[1:]


def _flip_and_sign(message: pb.DownloadDocumentResponse) -> None:
    _flip(message)
    message.chunk.crc32c = google_crc32c.value(message.chunk.data)


def _move(message: pb.DownloadDocumentResponse) -> None:
    message.chunk.offset += 1


def _lengthen(message: pb.DownloadDocumentResponse) -> None:
    message.chunk.data += b"more"
    message.chunk.crc32c = google_crc32c.value(message.chunk.data)


@pytest.mark.parametrize(
    ("number", "spoil", "reason"),
    [
        (2, _flip, "CHECKSUM_MISMATCH"),
        (2, _flip_and_sign, "CHECKSUM_MISMATCH"),
        (2, _move, "OFFSET_MISMATCH"),
        (6, _lengthen, "SIZE_MISMATCH"),
    ],
)
async def test_altered_bytes_leave_no_file(
    world: World, number: int, spoil: Callable[[Any], None], reason: str, tmp_path: Path
) -> None:
    world.served.spoil = lambda at, message: spoil(message) if at == number else None
    with pytest.raises(zegel.DataLoss) as caught:
        await world.download(to=tmp_path / "signed.pdf")
    assert caught.value.reason == reason
    assert files_in(tmp_path) == []
    assert len(world.served.asked) == 1


async def test_a_download_that_goes_on_with_another_version_is_refused(world: World) -> None:
    world.served.cut_down = [2]

    def spoil(_at: int, message: pb.DownloadDocumentResponse) -> None:
        if len(world.served.asked) > 1 and message.HasField("start"):
            message.start.version.version = 4

    world.served.spoil = spoil
    with pytest.raises(zegel.DataLoss):
        await world.download()


async def test_a_refused_download_leaves_no_file(world: World, tmp_path: Path) -> None:
    with pytest.raises(zegel.NotFound) as caught:
        await world.download("doc_2", to=tmp_path / "signed.pdf")
    assert caught.value.resource == "document"
    assert files_in(tmp_path) == []


async def test_a_folder_that_is_not_there(world: World, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await world.download(to=tmp_path / "none" / "signed.pdf")
    assert world.served.asked == []


async def test_an_empty_document_comes_down(world: World) -> None:
    world.served.content = b""
    assert await world.download() == b""
