"""Documents down, over connections that break or alter what they carry."""

import hashlib
import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

import zegel
from support.fake_documents import CONTENT, MIB, World
from support.fake_server import relaying
from zegel._internal import patience
from zegel.document.v1 import document_service_pb2 as pb


def files_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_a_document_comes_down_as_bytes(documents: World) -> None:
    assert await documents.download() == CONTENT


async def test_a_document_comes_down_to_a_path(documents: World, tmp_path: Path) -> None:
    path = tmp_path / "signed.pdf"
    path.write_bytes(b"what was there before")
    version = await documents.download(to=path)
    assert (version.version, version.sha256) == (3, hashlib.sha256(CONTENT).digest())
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files_in(tmp_path) == ["signed.pdf"]


async def test_a_document_comes_down_to_a_file_object(documents: World) -> None:
    file = io.BytesIO()
    told: list[tuple[int, int]] = []
    await documents.download(to=file, progress=lambda *each: told.append(each))
    assert file.getvalue() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert not file.closed


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 10, CONTENT[:10]), (MIB - 3, 7, CONTENT[MIB - 3 : MIB + 4]), (-7, None, b"the end"), (-7, 3, b"the")],
)
async def test_a_range_comes_down(documents: World, offset: int, length: int | None, expected: bytes) -> None:
    assert await documents.download(offset=offset, length=length) == expected


@pytest.mark.parametrize("length", [0, -1])
async def test_no_length_is_not_everything(documents: World, length: int) -> None:
    with pytest.raises(ValueError, match="length"):
        await documents.download(length=length)
    assert documents.served.asked == []


@pytest.mark.parametrize("cuts", [[0], [1], [4], [6], [2, 2, 0]])
async def test_a_download_that_is_cut_off_goes_on_from_there(documents: World, cuts: list[int], tmp_path: Path) -> None:
    documents.served.cut_down = list(cuts)
    path = tmp_path / "signed.pdf"
    await documents.download(to=path, offset=-len(CONTENT) + 5)
    assert path.read_bytes() == CONTENT[5:]
    for again in documents.served.asked[1:]:
        assert again.version in {0, 3}
        assert again.read_offset >= 5 or again.read_offset < 0


async def test_a_download_goes_on_with_the_same_version(documents: World) -> None:
    documents.served.cut_down = [2]
    assert await documents.download() == CONTENT
    assert [(each.version, each.read_offset) for each in documents.served.asked] == [(0, 0), (3, 2 * MIB)]


async def test_downloads_over_connections_that_really_break(documents: World) -> None:
    with relaying(documents.running, down=[1_500_000, 3_000_000, 10_000]) as relay:
        assert await documents.download(relay=relay) == CONTENT
    assert relay.cuts == 3


async def test_a_download_that_never_moves_is_given_up(documents: World) -> None:
    documents.served.cut_down = [0] * 100
    with pytest.raises(zegel.Unavailable):
        await documents.download()
    assert len(documents.served.asked) == patience.MAX_TRIES


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
    documents: World, number: int, spoil: Callable[[Any], None], reason: str, tmp_path: Path
) -> None:
    documents.served.spoil = lambda at, message: spoil(message) if at == number else None
    with pytest.raises(zegel.DataLoss) as caught:
        await documents.download(to=tmp_path / "signed.pdf")
    assert caught.value.reason == reason
    assert files_in(tmp_path) == []
    assert len(documents.served.asked) == 1


async def test_a_download_that_goes_on_with_another_version_is_refused(documents: World) -> None:
    documents.served.cut_down = [2]

    def spoil(_at: int, message: pb.DownloadDocumentResponse) -> None:
        if len(documents.served.asked) > 1 and message.HasField("start"):
            message.start.version.version = 4

    documents.served.spoil = spoil
    with pytest.raises(zegel.DataLoss):
        await documents.download()


async def test_what_signers_are_shown_comes_down(documents: World, tmp_path: Path) -> None:
    documents.served.cut_down = [2]
    assert await documents.download(content="rendition") == documents.served.rendition
    assert [each.content for each in documents.served.asked] == [pb.DOCUMENT_CONTENT_RENDITION] * 2
    version = await documents.download(to=tmp_path / "shown.pdf", content="rendition")
    assert (tmp_path / "shown.pdf").read_bytes() == documents.served.rendition
    assert version.version == 3


@pytest.mark.parametrize(("asked", "sent"), [("original", 2), ("rendition", 1)])
async def test_another_content_than_was_asked_for_is_refused(documents: World, asked: str, sent: int) -> None:
    def spoil(_at: int, message: pb.DownloadDocumentResponse) -> None:
        if message.HasField("start"):
            message.start.content = pb.DocumentContent.ValueType(sent)

    documents.served.spoil = spoil
    with pytest.raises(zegel.DataLoss):
        await documents.download(content=asked)


async def test_a_download_never_goes_on_with_the_other_content(documents: World) -> None:
    documents.served.cut_down = [2]

    def spoil(_at: int, message: pb.DownloadDocumentResponse) -> None:
        if len(documents.served.asked) > 1 and message.HasField("start"):
            message.start.sha256 = hashlib.sha256(documents.served.rendition).digest()

    documents.served.spoil = spoil
    with pytest.raises(zegel.DataLoss):
        await documents.download()


async def test_no_content_but_these_two(documents: World) -> None:
    with pytest.raises(ValueError, match="content"):
        await documents.download(content="sealed")
    assert documents.served.asked == []


async def test_a_refused_download_leaves_no_file(documents: World, tmp_path: Path) -> None:
    with pytest.raises(zegel.NotFound) as caught:
        await documents.download("doc_2", to=tmp_path / "signed.pdf")
    assert caught.value.resource == "document"
    assert files_in(tmp_path) == []


async def test_a_folder_that_is_not_there(documents: World, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await documents.download(to=tmp_path / "none" / "signed.pdf")
    assert documents.served.asked == []


async def test_an_empty_document_comes_down(documents: World) -> None:
    documents.served.content = b""
    assert await documents.download() == b""
