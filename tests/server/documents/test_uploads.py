"""Uploads: whole, in pieces, cut off and continued, refused, given up."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support.away import KeysAway
from support.documents_world import MIB, SPEC, World, assemble, pdf_of, stream_of
from zegel.segments import FIRST_SEGMENT_PLAINTEXT_SIZE, SEGMENT_PLAINTEXT_SIZE, StreamDecryptor, document_aad
from zegel_server import clock
from zegel_server.caller import Scope
from zegel_server.crypto import open_root_keys
from zegel_server.documents.model import Finish, Received, UploadSpec
from zegel_server.documents.parts import PART_SEGMENTS, whole_parts_size
from zegel_server.errors import NotFound, ZegelError
from zegel_server.ids import new_id
from zegel_server.keys.service import StoredDek

PART = whole_parts_size(1)
SIZES = [
    9,
    100_000,
    FIRST_SEGMENT_PLAINTEXT_SIZE,
    FIRST_SEGMENT_PLAINTEXT_SIZE + 1,
    PART - 1,
    PART,
    PART + 1,
    PART + PART_SEGMENTS * SEGMENT_PLAINTEXT_SIZE,
    9 * MIB,
]


@pytest.mark.parametrize("size", SIZES)
async def test_a_document_comes_out_as_it_went_in(world: World, size: int) -> None:
    data, caller = pdf_of(size), world.member()
    document_id = await world.upload(caller, data)
    assert await world.download(caller, document_id) == data
    document = await world.documents.get(caller, document_id)
    version = document.versions[0]
    assert (version.number, version.size, version.sha256) == (1, size, hashlib.sha256(data).digest())
    assert (document.title, document.state, document.owner_id) == (SPEC.title, "ACTIVE", caller.principal_id)
    assert [(page.width, page.height) for page in version.pages] == [(595.0, 842.0)]
    assert world.sandbox.seen == [data]
    assert (await world.events())[-2:] == ["DOCUMENT_UPLOADED", "DOCUMENT_DOWNLOADED"]


async def test_the_bytes_at_rest_are_not_the_documents(world: World) -> None:
    data = pdf_of(100_000)
    await world.upload(world.member(), data)
    for key in await world.stored():
        assert data[:64] not in await world.blobs.get(key)


async def test_the_parts_are_one_tink_stream(world: World) -> None:
    data, caller = pdf_of(9 * MIB), world.member()
    document_id = await world.upload(caller, data)
    (row,) = await world.version_rows()
    whole = b"".join([await world.blobs.get(key) for key in await world.originals()])
    assert whole[: len(row.header)] == row.header
    stored = StoredDek(row.key_version, row.wrapped_key, row.commitment)
    key = await world.keys.open_dek(world.tenant_id, f"{document_id}/1", stored)
    decryptor = StreamDecryptor(key, document_aad(world.tenant_id, document_id, 1))
    assert b"".join([*decryptor.update(whole), decryptor.finish()]) == data


async def test_a_small_document_needs_no_row_of_an_upload(world: World) -> None:
    await world.upload(world.member(), pdf_of(1000))
    assert await world.upload_rows() == []
    assert await world.events() == ["DOCUMENT_UPLOADED"]


async def test_a_started_upload_is_continued_where_get_says(world: World) -> None:
    data, caller = pdf_of(10 * MIB), world.member()
    started = await world.uploads.start(caller, replace(SPEC, size=len(data), sha256=hashlib.sha256(data).digest()))
    assert started.persisted_size == 0
    assert started.version == 1
    first = await world.partly(caller, data, upload_id=started.upload_id, stop=5 * MIB)
    assert first.persisted_size == PART
    assert (await world.uploads.get(caller, started.upload_id)).persisted_size == PART
    document_id = await world.upload(caller, data, upload_id=started.upload_id, start=PART)
    assert document_id == started.document_id
    assert await world.download(caller, document_id) == data
    assert await world.events() == ["UPLOAD_STARTED", "DOCUMENT_UPLOADED", "DOCUMENT_DOWNLOADED"]
    assert (await world.uploads.get(caller, started.upload_id)).persisted_size == len(data)
    (row,) = await world.upload_rows()
    assert row.wrapped_key is None, "the key is the version's from now on"


async def test_a_part_is_stored_with_the_byte_that_follows_it(world: World) -> None:
    """As the contract says of ``Upload.persisted_size``."""
    caller, second = world.member(), whole_parts_size(2)
    assert (PART, second - PART) == (4_194_200, 4_194_240)
    data = pdf_of(second + 2)
    for stop, persisted in ((PART - 1, 0), (PART, 0), (PART + 1, PART), (second, PART), (second + 1, second)):
        upload = await world.partly(caller, data, stop=stop)
        assert (await world.uploads.get(caller, upload.upload_id)).persisted_size == persisted, stop
        assert await world.upload(caller, data, upload_id=upload.upload_id, start=persisted)


async def test_an_upload_opened_inline_can_be_continued(world: World) -> None:
    data, caller = pdf_of(6 * MIB), world.member()
    upload = await world.partly(caller, data, stop=5 * MIB)
    assert upload.persisted_size == PART
    assert await world.upload(caller, data, upload_id=upload.upload_id, start=upload.persisted_size)
    empty = await world.partly(caller, data, stop=0)
    assert empty.persisted_size == 0
    assert await world.upload(caller, data, upload_id=empty.upload_id)


async def test_resent_bytes_are_the_same_or_refused(world: World) -> None:
    data, caller = pdf_of(6 * MIB), world.member()
    upload = await world.partly(caller, data)
    other = bytearray(data)
    other[PART - 5] ^= 1
    with pytest.raises(ZegelError) as refusal:
        await world.upload(caller, bytes(other), upload_id=upload.upload_id, start=MIB)
    assert refusal.value.reason == "RESENT_BYTES_DIFFER"
    document_id = await world.upload(caller, data, upload_id=upload.upload_id, start=2 * MIB + 17, sizes=[700_000] * 9)
    assert await world.download(caller, document_id) == data


async def test_an_upload_cannot_end_where_it_went_on_before(world: World) -> None:
    data, caller = pdf_of(6 * MIB), world.member()
    upload = await world.partly(caller, data)
    with pytest.raises(ZegelError) as refusal:
        await world.upload(caller, data[:PART], upload_id=upload.upload_id, start=PART)
    assert refusal.value.reason == "SIZE_MISMATCH"


async def test_a_finished_upload_is_finished_again_with_the_same_end(world: World) -> None:
    data, caller = pdf_of(5 * MIB), world.member()
    started = await world.uploads.start(caller, SPEC)
    document_id = await world.upload(caller, data, upload_id=started.upload_id)
    before = await world.events()
    assert await world.upload(caller, data, upload_id=started.upload_id) == document_id
    assert await world.upload(caller, data, upload_id=started.upload_id, start=len(data)) == document_id
    assert await world.events() == before
    with pytest.raises(ZegelError) as refusal:
        await world.upload(caller, data[:-1] + bytes([data[-1] ^ 1]), upload_id=started.upload_id)
    assert refusal.value.reason == "RESENT_BYTES_DIFFER"
    with pytest.raises(ZegelError) as refusal:
        await world.upload(caller, data + b"x", upload_id=started.upload_id)
    assert refusal.value.reason == "SIZE_MISMATCH"


async def test_a_new_version_of_a_document(world: World) -> None:
    first, second, caller = pdf_of(1000), pdf_of(2000), world.member()
    document_id = await world.upload(caller, first)
    assert await world.upload(caller, second, spec=UploadSpec(document_id=document_id)) == document_id
    document = await world.documents.get(caller, document_id)
    assert [(each.number, each.size) for each in document.versions] == [(1, 1000), (2, 2000)]
    assert document.revision == 2
    assert await world.download(caller, document_id) == second
    assert await world.download(caller, document_id, version=1) == first
    with pytest.raises(NotFound):
        await world.download(caller, document_id, version=3)


async def test_versions_begun_together_have_numbers_of_their_own(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, pdf_of(100))
    spec = UploadSpec(document_id=document_id)
    a = await world.uploads.start(caller, spec)
    b = await world.uploads.start(caller, spec)
    assert (a.version, b.version) == (2, 3)
    await world.upload(caller, pdf_of(300), upload_id=b.upload_id)
    await world.upload(caller, pdf_of(200), upload_id=a.upload_id)
    document = await world.documents.get(caller, document_id)
    assert [(each.number, each.size) for each in document.versions] == [(1, 100), (2, 200), (3, 300)]


async def test_no_new_version_of_what_is_out_of_reach_or_deleted(world: World) -> None:
    caller, stranger = world.member(), world.member()
    document_id = await world.upload(caller, pdf_of(100))
    spec = UploadSpec(document_id=document_id)
    with pytest.raises(NotFound):
        await world.uploads.start(stranger, spec)
    with pytest.raises(NotFound):
        await world.uploads.start(caller, UploadSpec(document_id=new_id("doc")))
    late = await world.uploads.start(caller, spec)
    await world.documents.delete(caller, document_id, "")
    with pytest.raises(ZegelError) as refusal:
        await world.uploads.start(caller, spec)
    assert refusal.value.reason == "DOCUMENT_DESTROYED"
    with pytest.raises(ZegelError) as refusal:
        await world.upload(caller, pdf_of(100), upload_id=late.upload_id)
    assert refusal.value.reason == "DOCUMENT_DESTROYED"


async def test_an_upload_is_its_owners_alone(world: World) -> None:
    started = await world.uploads.start(world.member(), SPEC)
    stranger = world.member()
    for attempt in (
        world.uploads.get(stranger, started.upload_id),
        world.uploads.cancel(stranger, started.upload_id),
        world.partly(stranger, b"", upload_id=started.upload_id),
        world.uploads.get(world.member(), new_id("upl")),
        world.uploads.get(world.member(), "upl_nonsense"),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await world.uploads.get(world.member(Scope.ANY), started.upload_id) == started


async def test_a_canceled_upload_is_closed_and_leaves_nothing(world: World) -> None:
    data, caller = pdf_of(6 * MIB), world.member()
    upload = await world.partly(caller, data)
    assert len(await world.stored()) == 1
    await world.uploads.cancel(caller, upload.upload_id)
    await world.uploads.cancel(caller, upload.upload_id)
    for attempt in (
        world.uploads.get(caller, upload.upload_id),
        world.upload(caller, data, upload_id=upload.upload_id),
    ):
        with pytest.raises(ZegelError) as refusal:
            await attempt
        assert refusal.value.reason == "UPLOAD_CLOSED"
    assert await world.events() == ["UPLOAD_STARTED", "UPLOAD_CANCELED"]
    assert await world.remover.drain() == 1
    assert await world.stored() == []
    assert await world.jobs() == []
    (row,) = await world.upload_rows()
    assert row.wrapped_key is None


async def test_a_finished_upload_cannot_be_canceled(world: World) -> None:
    caller = world.member()
    done = await world.uploads.start(caller, SPEC)
    data = pdf_of(100)
    document_id = await world.upload(caller, data, upload_id=done.upload_id)
    with pytest.raises(ZegelError) as refusal:
        await world.uploads.cancel(caller, done.upload_id)
    assert refusal.value.reason == "FAILED_PRECONDITION"
    assert await world.download(caller, document_id) == data


async def test_an_expired_upload_is_closed_and_swept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    data, caller = pdf_of(6 * MIB), world.member()
    upload = await world.partly(caller, data)
    assert await world.uploads.sweep() == 0
    monkeypatch.setattr(clock, "now", lambda: upload.expire_time)
    with pytest.raises(ZegelError) as refusal:
        await world.uploads.get(caller, upload.upload_id)
    assert refusal.value.reason == "UPLOAD_CLOSED"
    assert await world.uploads.sweep() == 1
    assert await world.uploads.sweep() == 0
    await world.remover.drain()
    assert await world.stored() == []


async def test_uploads_expire_while_their_tenants_key_is_away(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await world.uploads.start(world.member(), SPEC)
    keys = KeysAway(world.database, open_root_keys(f"local:{tmp_path / 'keyring.json'}"))
    keys.away = {world.tenant_id}
    sweeping = assemble(world.database, keys, tmp_path, (world.tenant_id, world.tenant_subject))
    monkeypatch.setattr(clock, "now", lambda: upload.expire_time)
    assert await sweeping.uploads.sweep() == 1
    assert (await world.events())[-1] == "UPLOAD_CANCELED"
    await sweeping.encrypted_store.close()
    await sweeping.blobs.close()
    assert (await world.events())[-1] == "UPLOAD_CANCELED"


async def test_a_file_that_is_no_pdf_leaves_nothing(world: World) -> None:
    caller = world.member()
    for size in (1000, 9 * MIB):
        with pytest.raises(ZegelError) as refusal:
            await world.upload(caller, os.urandom(size))
        assert refusal.value.reason == "DOCUMENT_UNREADABLE"
    started = await world.uploads.start(caller, SPEC)
    with pytest.raises(ZegelError):
        await world.upload(caller, b"plain text", upload_id=started.upload_id)
    with pytest.raises(ZegelError) as refusal:
        await world.uploads.get(caller, started.upload_id)
    assert refusal.value.reason == "UPLOAD_CLOSED"
    await world.remover.drain()
    assert await world.stored() == []
    assert await world.version_rows() == []


async def test_a_wrong_end_leaves_the_upload_open(world: World) -> None:
    data, caller = pdf_of(5 * MIB), world.member()
    digest = hashlib.sha256(data).digest()
    started = await world.uploads.start(caller, SPEC)
    for finish, reason, field in (
        (Finish(len(data), bytes(32)), "CHECKSUM_MISMATCH", "finish.sha256"),
        (Finish(len(data) + 1, digest), "SIZE_MISMATCH", "finish.size"),
        (Finish(len(data), b""), "MISSING_FIELD", "finish.sha256"),
        (Finish(len(data), digest[:31]), "INVALID_FIELD", "finish.sha256"),
    ):

        async def messages(finish: Finish = finish) -> AsyncIterator[Received]:
            at = (await world.uploads.get(caller, started.upload_id)).persisted_size
            async for message in stream_of(data, upload_id=started.upload_id, start=at, finish=False):
                yield message
            yield Received(finish=finish)

        with pytest.raises(ZegelError) as refusal:
            await world.uploads.receive(caller, messages())
        assert (refusal.value.reason, refusal.value.metadata["field"]) == (reason, field)
    document_id = await world.upload(caller, data, upload_id=started.upload_id, start=PART)
    assert await world.download(caller, document_id) == data


async def test_the_loser_of_two_writers_is_told(world: World) -> None:
    data, caller = pdf_of(9 * MIB), world.member()
    started = await world.uploads.start(caller, SPEC)
    halfway, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[Received]:
        async for message in stream_of(data, upload_id=started.upload_id):
            if message.chunk is not None and message.chunk.offset == 3 * MIB:
                halfway.set()
                await go_on.wait()
            yield message

    loser = asyncio.create_task(world.uploads.receive(caller, slow()))
    await halfway.wait()
    assert await world.upload(caller, data, upload_id=started.upload_id) == started.document_id
    go_on.set()
    with pytest.raises(ZegelError) as refusal:
        await loser
    assert refusal.value.reason in {"OFFSET_MISMATCH", "UPLOAD_CLOSED"}
    assert await world.download(caller, started.document_id) == data
    assert len(await world.version_rows()) == 1


async def test_many_writers_of_one_upload_make_one_document(world: World) -> None:
    data, caller = pdf_of(9 * MIB), world.member()
    started = await world.uploads.start(caller, SPEC)
    outcomes = await asyncio.gather(
        *(world.upload(caller, data, upload_id=started.upload_id) for _ in range(4)), return_exceptions=True
    )
    won = [each for each in outcomes if not isinstance(each, BaseException)]
    assert won
    assert set(won) == {started.document_id}
    for each in outcomes:
        assert not isinstance(each, BaseException) or (
            isinstance(each, ZegelError) and each.reason in {"OFFSET_MISMATCH", "UPLOAD_CLOSED"}
        )
    assert await world.download(caller, started.document_id) == data
    assert len(await world.version_rows()) == 1


async def test_other_bytes_never_meet_a_nonce_twice(world: World) -> None:
    """A part that was claimed and never noted still belongs to its bytes: others are refused before they are stored."""
    data, caller = pdf_of(6 * MIB), world.member()
    started = await world.uploads.start(caller, SPEC)

    def fail(_number: int) -> None:
        raise ConnectionResetError

    world.blobs.before = fail
    with pytest.raises(ConnectionResetError):
        await world.upload(caller, data, upload_id=started.upload_id)
    calm: Callable[[int], None] = lambda _number: None  # noqa: E731 - what it was before
    world.blobs.before = calm
    puts = world.blobs.puts
    with pytest.raises(ZegelError) as refusal:
        await world.upload(caller, pdf_of(6 * MIB), upload_id=started.upload_id)
    assert refusal.value.reason == "RESENT_BYTES_DIFFER"
    assert world.blobs.puts == puts
    await world.upload(caller, data, upload_id=started.upload_id)
    assert await world.download(caller, started.document_id) == data
