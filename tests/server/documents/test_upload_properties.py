"""However a document is cut into chunks and streams, it stays the same; however a writer dies, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.databases import sqlite_url
from support.documents_world import (
    MIB,
    SPEC,
    Crash,
    World,
    make_world,
    pdf_of,
    rendition_of,
    reopen,
    stream_of,
)
from zegel_server.caller import Caller
from zegel_server.documents.chunk_receiver import Patience
from zegel_server.documents.model import Content, Received, read_range
from zegel_server.documents.parts import part_count, stored_range, whole_parts_size
from zegel_server.errors import OutOfRange, ResourceExhausted, Unavailable, ZegelError

DATA = pdf_of(13 * MIB + 12_345)
MANY = max(8, settings().max_examples // 100)
"""Examples of the tests that move whole documents: few, and more where the profile asks for many."""
PART = whole_parts_size(1)
"""Bytes of the first whole part."""


@settings(max_examples=MANY)
@given(st.data())
async def test_any_chunks_in_any_streams_give_the_same_document(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([1000, 3 * MIB, PART, PART + 1, 2 * PART + 40, len(DATA)]), label="size")
    document = DATA[:size]
    with TemporaryDirectory() as folder:
        world = await make_world(sqlite_url(Path(folder)), Path(folder))
        caller = world.member()
        upload = await world.uploads.start(caller, SPEC)
        persisted = 0
        for _ in range(data.draw(st.integers(0, 3), label="cut off")):
            start = data.draw(st.integers(0, persisted), label="start")
            stop = data.draw(st.integers(start, size), label="stop")
            sizes = data.draw(st.lists(st.integers(1, MIB), max_size=20), label="sizes")
            came = await world.partly(caller, document, upload_id=upload.upload_id, start=start, stop=stop, sizes=sizes)
            assert came.persisted_size >= persisted, "it never goes backwards"
            assert came.persisted_size <= max(stop, persisted)
            persisted = came.persisted_size
            assert (await world.uploads.get(caller, upload.upload_id)).persisted_size == persisted
        start = data.draw(st.integers(0, persisted), label="last start")
        sizes = data.draw(st.lists(st.integers(1, MIB), max_size=20), label="last sizes")
        await world.upload(caller, document, upload_id=upload.upload_id, start=start, sizes=sizes)
        assert await world.download(caller, upload.document_id) == document
        assert len(await world.originals()) == part_count(size)
        assert len(await world.renditions()) == part_count(len(rendition_of(document)))
        await world.close()


@pytest.mark.faults
@settings(max_examples=MANY)
@given(put=st.integers(1, 7), late=st.booleans(), then=st.integers(1, 7), again=st.booleans())
async def test_a_writer_may_die_around_any_put(*, put: int, late: bool, then: int, again: bool) -> None:
    """The process ends before or after the n-th put, so before its row says so; twice over; the upload goes on."""
    with TemporaryDirectory() as folder:
        url = sqlite_url(Path(folder))
        world = await make_world(url, Path(folder))
        caller = world.member()
        upload = await world.uploads.start(caller, SPEC)
        for number, after in ((put, late), (then, again)):
            acknowledged = (await world.uploads.get(caller, upload.upload_id)).persisted_size
            await _die(world, caller, upload.upload_id, acknowledged, (number, after))
            await world.close()
            world = await reopen(world, url, Path(folder))
            try:
                stands = (await world.uploads.get(caller, upload.upload_id)).persisted_size
            except ZegelError:
                raise AssertionError("nothing was finished or closed") from None
            assert stands >= acknowledged
        stands = (await world.uploads.get(caller, upload.upload_id)).persisted_size
        await world.upload(caller, DATA, upload_id=upload.upload_id, start=stands)
        assert await world.download(caller, upload.document_id) == DATA
        assert len(await world.originals()) == part_count(len(DATA))
        assert len(await world.renditions()) == part_count(len(rendition_of(DATA)))
        assert await world.download(caller, upload.document_id, content=Content.RENDITION) == rendition_of(DATA)
        assert (await world.events()).count("DOCUMENT_UPLOADED") == 1
        await world.close()


async def _die(world: World, caller: Caller, upload_id: str, start: int, where: tuple[int, bool]) -> None:
    left = part_count(len(DATA)) - next(n for n in range(9) if whole_parts_size(n) == start)
    left += part_count(len(rendition_of(DATA)))
    number, after = min(where[0], left), where[1]
    puts = 0

    def maybe(_number: int) -> None:
        nonlocal puts
        puts += 1
        if puts >= number:
            raise Crash

    if after:
        world.blobs.after = maybe
    else:
        world.blobs.before = maybe
    with pytest.raises(Crash):
        await world.upload(caller, DATA, upload_id=upload_id, start=start)


@pytest.mark.faults
@pytest.mark.parametrize("fault", [Unavailable("No answer."), ResourceExhausted("Full.", reason="STORAGE_FULL")])
@pytest.mark.parametrize("number", [1, 2, 4])
async def test_a_store_that_fails_loses_nothing_and_lies_about_nothing(
    world: World, fault: ZegelError, number: int
) -> None:
    caller = world.member()
    upload = await world.uploads.start(caller, SPEC)

    def fail(put: int) -> None:
        if put >= number:
            raise fault

    world.blobs.before = fail
    with pytest.raises(type(fault)) as refusal:
        await world.upload(caller, DATA, upload_id=upload.upload_id)
    assert refusal.value.reason == fault.reason
    stands = (await world.uploads.get(caller, upload.upload_id)).persisted_size
    assert stands == whole_parts_size(number - 1)
    assert len(await world.stored()) == number - 1
    world.blobs.before = lambda _put: None
    await world.upload(caller, DATA, upload_id=upload.upload_id, start=stands)
    assert await world.download(caller, upload.document_id) == DATA


async def test_a_client_that_vanishes_leaves_what_was_stored(world: World) -> None:
    caller = world.member()
    upload = await world.uploads.start(caller, SPEC)

    async def vanishing() -> AsyncIterator[Received]:
        async for message in stream_of(DATA, upload_id=upload.upload_id, finish=False):
            yield message
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await world.uploads.receive(caller, vanishing())
    stands = (await world.uploads.get(caller, upload.upload_id)).persisted_size
    assert stands == whole_parts_size(3)
    await world.upload(caller, DATA, upload_id=upload.upload_id, start=stands)
    assert await world.download(caller, upload.document_id) == DATA


@pytest.mark.parametrize("after", range(1, 13, 3))
async def test_a_stream_that_is_canceled_ends_its_work_and_can_be_continued(sqlite_world: World, after: int) -> None:
    world, caller = sqlite_world, sqlite_world.member()
    upload = await world.uploads.start(caller, SPEC)
    reached = asyncio.Event()

    async def waiting() -> AsyncIterator[Received]:
        number = 0
        async for message in stream_of(DATA, upload_id=upload.upload_id):
            if number == after:
                reached.set()
            number += 1
            yield message

    before = asyncio.all_tasks()
    receiving = asyncio.create_task(world.uploads.receive(caller, waiting()))
    await reached.wait()
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    left = {task for task in asyncio.all_tasks() - before if "SqliteDatabase" not in repr(task)}
    assert not left
    stands = (await world.uploads.get(caller, upload.upload_id)).persisted_size
    await world.upload(caller, DATA, upload_id=upload.upload_id, start=stands)
    assert await world.download(caller, upload.document_id) == DATA


@given(st.integers(0, 4 << 30), st.integers(), st.integers(0))
def test_ranges_are_pythons_own(size: int, offset: int, limit: int) -> None:
    if offset > size:
        with pytest.raises(OutOfRange):
            read_range(offset, limit, size)
        return
    expected = range(size)[offset:]
    assert read_range(offset, limit, size) == (expected[:limit] if limit else expected) or not expected


@given(st.integers(1, 4 << 30), st.data())
def test_parts_hold_every_segment_once(size: int, data: st.DataObject) -> None:
    from zegel.segments import ciphertext_range, segment_count  # noqa: PLC0415 - of this test alone

    index = data.draw(st.integers(0, segment_count(size) - 1))
    part, within = stored_range(index, size)
    assert 0 <= part < part_count(size)
    assert within.start + part * (4 << 20) == ciphertext_range(index, size).start
    assert len(within) == len(ciphertext_range(index, size))
    assert within.stop <= 4 << 20


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, MIB))))
def test_patience_is_never_more_than_at_the_beginning(messages: list[tuple[float, int]]) -> None:
    patience = Patience(30.0, 16 * 1024)
    for waited, size in messages:
        patience.spend(waited, size)
        assert 0 <= patience.left <= 30.0
    waited_all, size_all = sum(each[0] for each in messages), sum(each[1] for each in messages)
    if waited_all <= 30.0 and size_all == 0:
        assert patience.left == pytest.approx(30.0 - waited_all)
