"""Whatever can be wrong in an upload's messages: their fields, their order, their pace."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from support.documents_world import MIB, SPEC, World, chunk, finish_of, pdf_of, said, stream_of
from zegel_server.documents import chunk_receiver as receiver
from zegel_server.documents.model import Chunk, Received, UploadSpec
from zegel_server.documents.parts import whole_parts_size
from zegel_server.errors import ZegelError
from zegel_server.ids import new_id

PART = whole_parts_size(1)
OPENING = Received(spec=SPEC)
PDF = pdf_of(100)
FIRST = Received(chunk=chunk(0, PDF))
END = Received(finish=finish_of(PDF))
WRONG: list[tuple[str, list[Received], str, str]] = [
    ("nothing", [], "STREAM_ORDER", "upload_id"),
    ("no target", [FIRST], "STREAM_ORDER", "upload_id"),
    ("a spec twice", [OPENING, Received(spec=SPEC, chunk=FIRST.chunk)], "STREAM_ORDER", "spec"),
    ("a target later", [OPENING, Received(upload_id="upl_x", chunk=FIRST.chunk)], "STREAM_ORDER", "upload_id"),
    ("an empty message", [OPENING, Received()], "STREAM_ORDER", "chunk"),
    ("more after finish", [OPENING, FIRST, END, END], "STREAM_ORDER", "finish"),
    ("an empty chunk", [OPENING, Received(chunk=chunk(0, b""))], "CHUNK_SIZE", "chunk.data"),
    ("a large chunk", [OPENING, Received(chunk=chunk(0, bytes(MIB + 1)))], "CHUNK_SIZE", "chunk.data"),
    ("a wrong crc32c", [OPENING, Received(chunk=Chunk(0, PDF, 1))], "CHECKSUM_MISMATCH", "chunk.crc32c"),
    ("a missing crc32c", [OPENING, Received(chunk=Chunk(0, PDF, 0))], "CHECKSUM_MISMATCH", "chunk.crc32c"),
    ("past its size", [Received(spec=replace(SPEC, size=99)), FIRST], "SIZE_MISMATCH", "chunk.data"),
    (
        "another SHA-256 than announced",
        [Received(spec=replace(SPEC, sha256=bytes(32))), FIRST, END],
        "CHECKSUM_MISMATCH",
        "finish.sha256",
    ),
    ("no title", [Received(spec=UploadSpec())], "MISSING_FIELD", "spec.title"),
    ("a long title", [Received(spec=UploadSpec("x" * 256))], "INVALID_FIELD", "spec.title"),
    ("a large size", [Received(spec=replace(SPEC, size=(4 << 30) + 1))], "INVALID_FIELD", "spec.size"),
    ("a negative size", [Received(spec=replace(SPEC, size=-1))], "INVALID_FIELD", "spec.size"),
    ("half a SHA-256", [Received(spec=replace(SPEC, sha256=bytes(16)))], "INVALID_FIELD", "spec.sha256"),
    ("a media type", [Received(spec=replace(SPEC, media_type="text/html"))], "INVALID_FIELD", "spec.media_type"),
    (
        "a title of a version",
        [Received(spec=replace(SPEC, document_id=new_id("doc")))],
        "INVALID_FIELD",
        "spec.title",
    ),
    ("no bytes at all", [OPENING, Received(finish=finish_of(b""))], "DOCUMENT_UNREADABLE", ""),
]


@pytest.mark.parametrize(("messages", "reason", "field"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
async def test_whatever_can_be_wrong_in_a_stream(
    sqlite_world: World, messages: list[Received], reason: str, field: str
) -> None:
    with pytest.raises(ZegelError) as refusal:
        await sqlite_world.uploads.receive(sqlite_world.member(), said(*messages))
    assert (refusal.value.reason, refusal.value.metadata.get("field", "")) == (reason, field)
    assert await sqlite_world.stored() == []
    assert await sqlite_world.version_rows() == []


@pytest.mark.parametrize(("offsets", "expected"), [([5], 0), ([0, 200], 100), ([0, 50], 100), ([-1], 0), ([0, 0], 100)])
async def test_a_chunk_out_of_place(sqlite_world: World, offsets: list[int], expected: int) -> None:
    messages = [OPENING, *(Received(chunk=chunk(offset, PDF)) for offset in offsets)]
    with pytest.raises(ZegelError) as refusal:
        await sqlite_world.uploads.receive(sqlite_world.member(), said(*messages))
    assert refusal.value.reason == "OFFSET_MISMATCH"
    assert refusal.value.metadata["expected_offset"] == str(expected)


async def test_a_chunk_may_come_with_the_first_message_and_with_the_last(sqlite_world: World) -> None:
    caller = sqlite_world.member()
    outcome = await sqlite_world.uploads.receive(
        caller, said(Received(spec=SPEC, chunk=FIRST.chunk, finish=END.finish))
    )
    assert isinstance(outcome, str)
    assert await sqlite_world.download(caller, outcome) == PDF


async def test_a_stream_that_stands_still_is_ended_and_can_be_resumed(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "PATIENCE_S", 0.2)
    data, caller = pdf_of(5 * MIB), sqlite_world.member()
    started = await sqlite_world.uploads.start(caller, SPEC)

    async def stalling() -> AsyncIterator[Received]:
        async for message in stream_of(data, upload_id=started.upload_id, finish=False):
            yield message
        await asyncio.Event().wait()

    with pytest.raises(ZegelError) as refusal:
        await sqlite_world.uploads.receive(caller, stalling())
    assert refusal.value.reason == "STREAM_STALLED"
    assert (await sqlite_world.uploads.get(caller, started.upload_id)).persisted_size == PART


async def test_a_dribble_is_a_stall_too(sqlite_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "PATIENCE_S", 0.3)
    sent = 0

    async def dribbling() -> AsyncIterator[Received]:
        nonlocal sent
        yield OPENING
        for offset in range(100):
            yield Received(chunk=chunk(offset, b"%"))
            sent += 1
            await asyncio.sleep(0.05)

    with pytest.raises(ZegelError) as refusal:
        await sqlite_world.uploads.receive(sqlite_world.member(), dribbling())
    assert refusal.value.reason == "STREAM_STALLED"
    assert sent < 20
