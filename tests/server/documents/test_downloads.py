"""Downloads: ranges, what is read for them, and what is damaged."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.away import KeysAway
from support.documents_world import MIB, World, assemble, pdf_of
from zegel.segments import FIRST_SEGMENT_PLAINTEXT_SIZE, SEGMENT_SIZE
from zegel_server.audit import trail_quota as allowance
from zegel_server.crypto import open_root_keys
from zegel_server.documents.model import UploadSpec
from zegel_server.documents.parts import PART_SEGMENTS
from zegel_server.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    OutOfRange,
    ResourceExhausted,
    Unavailable,
    ZegelError,
)

DATA = pdf_of(5 * MIB)


def exchange(one: Path, two: Path) -> None:
    for path in (one, two):
        path.chmod(0o600)
    stored = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(stored)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_a_range_is_a_slice(ranged: tuple[World, str], data: st.DataObject) -> None:
    world, document_id = ranged
    offset = data.draw(st.integers(-len(DATA) - 5, len(DATA)), label="offset")
    limit = data.draw(st.one_of(st.integers(0, 50), st.integers(0, len(DATA) + 5)), label="limit")
    start = max(0, len(DATA) + offset) if offset < 0 else offset
    expected = DATA[start : start + limit] if limit else DATA[start:]
    caller = world.member(principal_id="owner")
    assert await world.download(caller, document_id, offset=offset, limit=limit) == expected


@pytest.fixture
async def ranged(sqlite_world: World) -> tuple[World, str]:
    return sqlite_world, await sqlite_world.upload(sqlite_world.member(principal_id="owner"), DATA)


@pytest.mark.parametrize(("offset", "limit", "segments"), [(0, 1, 1), (-1, 0, 1), (2 * MIB, 10, 1), (0, 0, 6)])
async def test_only_the_segments_asked_for_are_read(
    sqlite_world: World, offset: int, limit: int, segments: int
) -> None:
    caller = sqlite_world.member()
    document_id = await sqlite_world.upload(caller, DATA)
    sqlite_world.blobs.gets.clear()
    await sqlite_world.download(caller, document_id, offset=offset, limit=limit)
    assert len(sqlite_world.blobs.gets) == segments
    assert all(length is not None and length <= SEGMENT_SIZE for _, _, length in sqlite_world.blobs.gets)


async def test_a_slow_reader_holds_little(sqlite_world: World) -> None:
    caller = sqlite_world.member()
    document_id = await sqlite_world.upload(caller, pdf_of(12 * MIB))
    sqlite_world.blobs.gets.clear()
    download = await sqlite_world.downloads.open(caller, document_id, 0, 0, 0)
    await anext(download.chunks)
    assert len(sqlite_world.blobs.gets) <= 4
    await download.close()


async def test_the_place_must_exist(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, pdf_of(100))
    assert await world.download(caller, document_id, offset=100) == b""
    with pytest.raises(OutOfRange) as past:
        await world.download(caller, document_id, offset=101)
    assert (past.value.reason, past.value.metadata["field"]) == ("OUT_OF_RANGE", "read_offset")
    with pytest.raises(InvalidArgument) as negative:
        await world.download(caller, document_id, limit=-1)
    assert negative.value.metadata["field"] == "read_limit"
    for version in (-1, 2**31):
        with pytest.raises(InvalidArgument) as wrong:
            await world.download(caller, document_id, version=version)
        assert wrong.value.metadata["field"] == "version"


async def test_the_event_comes_before_the_first_byte(world: World) -> None:
    caller = world.member()
    data = pdf_of(1000)
    document_id = await world.upload(caller, data)
    download = await world.downloads.open(caller, document_id, 0, 10, 20)
    assert (await world.events())[-1] == "DOCUMENT_DOWNLOADED"
    body = (await world.event_rows())[-1].body
    # Neither the hash nor, by where a range ends, the size: who has a copy would know it by them.
    assert hashlib.sha256(data).hexdigest() not in body
    assert '"documents":[{"commitment":"' in body
    assert '"limit":20' in body
    assert '"offset":10' in body
    await download.close()
    download = await world.downloads.open(caller, document_id, 0, -(2**62), 2**62)
    await download.close()
    download = await world.downloads.open(caller, document_id, 0, -10, 0)
    assert '"limit":0' in (await world.event_rows())[-1].body
    assert '"offset":-10' in (await world.event_rows())[-1].body
    await download.close()


@pytest.mark.parametrize("what", ["flip", "cut", "swap", "gone", "other"])
async def test_nothing_of_a_damaged_segment_comes_out(sqlite_world: World, tmp_path: Path, what: str) -> None:
    caller = sqlite_world.member()
    await sqlite_world.upload(caller, pdf_of(len(DATA)))
    others_bytes = await sqlite_world.blobs.get((await sqlite_world.originals())[0])
    document_id = await sqlite_world.upload(caller, DATA)
    first = tmp_path / "blobs" / next(key for key in await sqlite_world.originals() if document_id in key)
    stored = bytearray(first.read_bytes())
    first.chmod(0o600)
    match what:
        case "flip":
            stored[SEGMENT_SIZE + 100] ^= 1
        case "cut":
            del stored[SEGMENT_SIZE + 100 :]
        case "swap":
            one, two = (slice(n * SEGMENT_SIZE, (n + 1) * SEGMENT_SIZE) for n in (1, 2))
            stored[one], stored[two] = stored[two], stored[one]
        case "other":
            stored[SEGMENT_SIZE:] = others_bytes[SEGMENT_SIZE:]
        case _:
            assert what == "gone"
    if what == "gone":
        first.unlink()
    else:
        first.write_bytes(stored)
    download = await sqlite_world.downloads.open(caller, document_id, 0, 0, 0)
    came = bytearray()

    async def read() -> None:
        async for chunk in download.chunks:
            came.extend(chunk.data)

    with pytest.raises(DataLoss) as refusal:
        await read()
    assert refusal.value.reason == "STORED_DATA_DAMAGED"
    assert came == (b"" if what == "gone" else DATA[:FIRST_SEGMENT_PLAINTEXT_SIZE])
    last = len(DATA) - 10
    assert last > PART_SEGMENTS * SEGMENT_SIZE
    assert await sqlite_world.download(caller, document_id, offset=last) == DATA[last:], "the rest is as good as it was"


async def test_a_key_of_another_document_is_refused(sqlite_world: World) -> None:
    caller = sqlite_world.member()
    one, two = [await sqlite_world.upload(caller, pdf_of(100)) for _ in range(2)]
    writing = sqlite_world.database._writing  # type: ignore[attr-defined]
    writing.execute(
        "UPDATE document_versions SET (wrapped_key, commitment) = "
        "(SELECT wrapped_key, commitment FROM document_versions WHERE document_id = ?) WHERE document_id = ?",
        (one, two),
    )
    with pytest.raises(DataLoss):
        await sqlite_world.downloads.open(caller, two, 0, 0, 0)
    assert (await sqlite_world.events()).count("DOCUMENT_DOWNLOADED") == 0


async def test_a_purge_in_the_middle_of_a_download_is_said_to_be_one(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, pdf_of(12 * MIB))
    download = await world.downloads.open(caller, document_id, 0, 0, 0)
    await anext(download.chunks)
    await world.documents.delete(caller, document_id, "")
    await world.documents.purge(caller, document_id, "")
    await world.remover.drain()
    with pytest.raises(ZegelError) as refusal:
        async for _ in download.chunks:
            pass
    assert refusal.value.reason == "DOCUMENT_DESTROYED"


async def test_a_download_goes_on_only_while_its_document_is_there(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, pdf_of(1000))
    download = await world.downloads.open(caller, document_id, 0, 0, 0)
    await download.check()
    await world.upload(caller, pdf_of(1000), spec=UploadSpec(document_id=document_id))
    await world.documents.rename(caller, document_id, "Sublease", "")
    await download.check()
    for end in (world.documents.delete, world.documents.purge):
        await end(caller, document_id, "")
        with pytest.raises(FailedPrecondition) as refusal:
            await download.check()
        assert refusal.value.reason == "DOCUMENT_DESTROYED"
    await download.close()


async def test_a_download_ends_when_its_document_is_given_away_but_for_a_party_to_it(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, pdf_of(1000))
    signer = world.signer(await world.send(document_id))
    downloads = [await world.downloads.open(each, document_id, 0, 0, 0) for each in (caller, signer)]
    async with world.database.transaction() as transaction:
        await world.signing_documents.move_sealed(transaction, document_id, "tea_1")
    with pytest.raises(Unavailable) as refusal:
        await downloads[0].check()
    assert refusal.value.metadata == {"dependency": "policy"}
    await downloads[1].check()
    for each in downloads:
        await each.close()


async def test_a_download_goes_on_only_while_its_key_is_to_be_had(sqlite_world: World, tmp_path: Path) -> None:
    caller = sqlite_world.member()
    document_id = await sqlite_world.upload(caller, pdf_of(1000))
    keys = KeysAway(sqlite_world.database, open_root_keys(f"local:{tmp_path / 'keyring.json'}"))
    world = assemble(sqlite_world.database, keys, tmp_path, (sqlite_world.tenant_id, sqlite_world.tenant_subject))
    client_public_key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    for to in (b"", client_public_key):
        download = await world.downloads.open(caller, document_id, 0, 0, 0, client_public_key=to)
        await download.check()
        keys.away = {world.tenant_id}
        with pytest.raises(Unavailable) as refusal:
            await download.check()
        assert refusal.value.metadata == {"dependency": "key_provider"}
        keys.away = set()
        await download.check()
        await download.close()
    await world.encrypted_store.close()
    await world.blobs.close()


async def test_a_read_that_the_trail_does_not_take_is_refused(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "SIGNER", 2)
    world, caller = sqlite_world, sqlite_world.member()
    document_id = await world.upload(caller, pdf_of(1000))
    request_id = await world.send(document_id)
    signer, other = world.signer(request_id), world.signer(request_id)
    for _ in range(2):
        await world.download(signer, document_id)
    for _ in range(2):
        with pytest.raises(ResourceExhausted) as refused:
            await world.downloads.open(signer, document_id, 0, 0, 0)
        assert refused.value.reason == "TRAIL_FULL"
    await world.download(other, document_id)
    assert (await world.events()).count("DOCUMENT_DOWNLOADED") == 3


async def test_versions_of_one_document_do_not_pass_for_each_other(sqlite_world: World, tmp_path: Path) -> None:
    caller, first, second = sqlite_world.member(), pdf_of(2000), pdf_of(2000)
    document_id = await sqlite_world.upload(caller, first)
    await sqlite_world.upload(caller, second, spec=UploadSpec(document_id=document_id))
    exchange(*(tmp_path / "blobs" / key for key in await sqlite_world.originals()))
    for version in (1, 2):
        with pytest.raises(DataLoss):
            await sqlite_world.download(caller, document_id, version=version)
