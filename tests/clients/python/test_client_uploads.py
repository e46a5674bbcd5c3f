"""Documents up, over connections that break."""

import hashlib
import io
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zegel
from support.fake_documents import CONTENT, MIB, World
from support.fake_server import relaying
from zegel._internal import patience
from zegel._internal.source import CHUNK_BYTES, Source
from zegel._internal.upload import Attempt
from zegel.document.v1 import document_service_pb2 as pb
from zegel.segments import plaintext_range


async def test_bytes_go_up(documents: World) -> None:
    document = await documents.upload(CONTENT, title="Contract")
    assert (document.title, document.versions[0].size) == ("Contract", len(CONTENT))
    assert documents.received == CONTENT
    assert documents.served.streams == [[plaintext_range(each, len(CONTENT)).start for each in range(6)]]


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_file_goes_up_under_its_name(documents: World, tmp_path: Path, as_text: bool) -> None:
    path = tmp_path / "lease.pdf"
    path.write_bytes(CONTENT)
    document = await documents.upload(str(path) if as_text else path)
    assert document.title == "lease.pdf"
    assert documents.received == CONTENT
    assert documents.served.uploads["upl_0"].spec.size == len(CONTENT)


async def test_a_file_object_goes_up_from_where_it_stands_and_stays_open(documents: World, tmp_path: Path) -> None:
    path = tmp_path / "lease.pdf"
    path.write_bytes(b"envelope" + CONTENT)
    with path.open("rb") as file:
        file.seek(8)
        document = await documents.upload(file)
        assert not file.closed
    assert (document.title, documents.received) == ("lease.pdf", CONTENT)


async def test_a_new_version_keeps_the_document_s_title(documents: World, tmp_path: Path) -> None:
    path = tmp_path / "second.pdf"
    path.write_bytes(CONTENT)
    await documents.upload(path, document_id="doc_1")
    assert (documents.served.uploads["upl_0"].spec.title, documents.served.uploads["upl_0"].spec.document_id) == (
        "",
        "doc_1",
    )


class Pipe(io.RawIOBase):
    """Bytes that come once, in small pieces."""

    def __init__(self, data: bytes) -> None:
        self._left = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._left.read(min(size, 100_000))


async def test_a_pipe_goes_up(documents: World) -> None:
    told: list[tuple[int, int | None]] = []
    await documents.upload(Pipe(CONTENT), title="x", progress=lambda *each: told.append(each))
    assert documents.received == CONTENT
    assert told[-1] == (len(CONTENT), None)
    assert documents.served.uploads["upl_0"].spec.size == 0


async def test_progress_is_told(documents: World) -> None:
    told: list[tuple[int, int | None]] = []
    await documents.upload(CONTENT, title="x", progress=lambda *each: told.append(each))
    size = len(CONTENT)
    assert told == [(plaintext_range(each, size).stop, size) for each in range(6)]


@pytest.mark.parametrize("granularity", [1, 700_000, 3 * MIB])
@pytest.mark.parametrize("cuts", [[0], [3], [2, 0, 1], [5]])
async def test_an_upload_that_is_cut_off_goes_on_where_the_server_has_it(
    documents: World, cuts: list[int], granularity: int
) -> None:
    documents.served.cut_up, documents.served.granularity = list(cuts), granularity
    document = await documents.upload(CONTENT, title="x")
    assert documents.received == CONTENT
    assert document.versions[0].sha256 == hashlib.sha256(CONTENT).digest()
    assert len(documents.served.uploads) == 1
    assert len(documents.served.streams) == len(cuts) + 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.ABORTED, "STREAM_STALLED"),
        (grpc.StatusCode.ABORTED, "OFFSET_MISMATCH"),
        (grpc.StatusCode.INTERNAL, ""),
        (grpc.StatusCode.UNKNOWN, ""),
    ],
)
async def test_what_a_stream_may_break_with(documents: World, code: grpc.StatusCode, reason: str) -> None:
    documents.served.refusal, documents.served.cut_up = (code, reason), [2]
    await documents.upload(CONTENT, title="x")
    assert documents.received == CONTENT


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
    documents: World, code: grpc.StatusCode, reason: str, kind: type[zegel.ZegelError]
) -> None:
    documents.served.refusal, documents.served.cut_up = (code, reason), [0] * 9
    with pytest.raises(kind):
        await documents.upload(CONTENT, title="x")
    if documents.kind == "sync":  # grpc.aio now and then loses the status, and the next try hears the refusal
        assert len(documents.served.streams) == 1


async def test_an_upload_that_never_moves_is_given_up(documents: World) -> None:
    documents.served.cut_up, documents.served.granularity = [0] * 100, 64 * MIB
    with pytest.raises(zegel.Unavailable):
        await documents.upload(CONTENT, title="x")
    assert len(documents.served.streams) == patience.MAX_TRIES


async def test_a_server_that_is_away_for_a_moment_is_asked_again(documents: World) -> None:
    documents.served.cut_up, documents.served.away = [3], 4
    await documents.upload(CONTENT, title="x")
    assert documents.received == CONTENT
    assert (len(documents.served.uploads), len(documents.served.streams)) == (1, 2)


async def test_a_server_that_stays_away_is_given_up(documents: World) -> None:
    documents.served.cut_up, documents.served.away = [3], 100
    with pytest.raises(zegel.Unavailable):  # what the server said, not how the last call broke
        await documents.upload(CONTENT, title="x")
    assert documents.served.away == 100 - (patience.MAX_TRIES - 1)


async def test_a_pipe_cannot_be_sent_again(documents: World) -> None:
    documents.served.cut_up = [2]
    with pytest.raises(zegel.Unavailable):
        await documents.upload(Pipe(CONTENT), title="x")
    assert len(documents.served.streams) == 1


@pytest.mark.parametrize("forgets", [True, False])
async def test_an_answer_that_was_lost_is_found(documents: World, forgets: bool) -> None:
    documents.served.lose_the_answer, documents.served.forget_finished = 1, forgets
    document = await documents.upload(CONTENT, title="x")
    assert document.versions[0].sha256 == hashlib.sha256(CONTENT).digest()
    assert documents.received == CONTENT


async def test_connections_that_really_break(documents: World) -> None:
    with relaying(documents.running, up=[1_500_000, 3_000_000, 10_000]) as relay:
        await documents.upload(CONTENT, title="x", relay=relay)
    assert relay.cuts == 3
    assert documents.received == CONTENT


async def test_an_error_of_the_source_comes_out_as_it_is(documents: World) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > MIB:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        await documents.upload(Broken(CONTENT), title="x")


async def test_an_error_of_the_callback_comes_out_as_it_is(documents: World) -> None:
    def progress(_sent: int, _total: int | None) -> None:
        raise LookupError("no such bar")

    with pytest.raises(LookupError, match="no such bar"):
        await documents.upload(CONTENT, title="x", progress=progress)


async def test_a_file_of_text_is_refused(documents: World) -> None:
    with pytest.raises(TypeError, match="'rb'"):
        await documents.upload(cast("BinaryIO", io.StringIO("x")), title="x")
    assert documents.served.uploads == {}


async def test_a_file_that_is_not_there(documents: World, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await documents.upload(tmp_path / "none.pdf")
    assert documents.served.uploads == {}


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


@pytest.mark.parametrize("content", [CONTENT, io.BytesIO(CONTENT)], ids=["bytes", "no name"])
async def test_a_new_document_without_any_name_is_refused_before_a_call(documents: World, content: Any) -> None:
    with pytest.raises(ValueError, match="title: needed"):
        await documents.upload(content)
    assert not documents.served.uploads
