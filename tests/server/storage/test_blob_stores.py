"""What every blob store keeps, whichever it is."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from zegel_server.errors import AlreadyExists, DataLoss
from zegel_server.storage import BlobStore

DATA = bytes(range(256)) * 16


async def keys(store: BlobStore, prefix: str = "") -> set[str]:
    return {info.key async for info in store.list(prefix)}


async def test_what_is_put_is_there(store: BlobStore) -> None:
    await store.put("tenant/document/0", DATA)
    assert await store.get("tenant/document/0") == DATA
    assert await store.size("tenant/document/0") == len(DATA)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_any_buffer_can_be_put(store: BlobStore, kind: type[bytes | bytearray | memoryview]) -> None:
    await store.put("a", kind(DATA))
    await store.put("a", kind(DATA))
    assert await store.get("a") == DATA


async def test_an_empty_object_is_an_object(store: BlobStore) -> None:
    await store.put("empty", b"")
    assert await store.size("empty") == 0
    assert await store.get("empty") == b""


async def test_a_large_object_goes_through(store: BlobStore) -> None:
    large = DATA * 1024
    await store.put("large", large)
    assert await store.get("large") == large
    assert await store.get("large", 4_000_000, 100_000) == large[4_000_000:4_100_000]


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (0, None),
        (0, 1),
        (1, None),
        (17, 100),
        (len(DATA) - 1, 1),
        (len(DATA), None),
        (len(DATA), 0),
        (0, len(DATA)),
        (5, 0),
    ],
)
async def test_a_range_is_what_a_slice_would_be(store: BlobStore, start: int, length: int | None) -> None:
    await store.put("a/b", DATA)
    stop = len(DATA) if length is None else start + length
    assert await store.get("a/b", start, length) == DATA[start:stop]


@pytest.mark.parametrize(
    ("start", "length"), [(0, len(DATA) + 1), (len(DATA), 1), (len(DATA) + 1, None), (len(DATA) + 1, 0)]
)
async def test_a_range_past_the_end_is_a_loss(store: BlobStore, start: int, length: int | None) -> None:
    await store.put("a/b", DATA)
    with pytest.raises(DataLoss):
        await store.get("a/b", start, length)


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
async def test_a_negative_range_is_refused(store: BlobStore, start: int, length: int | None) -> None:
    await store.put("a", DATA)
    with pytest.raises(ValueError, match="range"):
        await store.get("a", start, length)


async def test_a_missing_object_is_a_loss_to_its_reader_and_none_to_who_asks(store: BlobStore) -> None:
    await store.put("a/b", DATA)
    for key in ("a", "a/c", "a/b/c", "z"):
        assert await store.size(key) is None
    for key in ("a/c", "a/b/c", "z"):
        with pytest.raises(DataLoss):
            await store.get(key)
        with pytest.raises(DataLoss):
            await store.get(key, 0, 0)


async def test_the_same_bytes_can_be_put_again(store: BlobStore) -> None:
    await store.put("a", DATA)
    await store.put("a", DATA)
    assert await store.get("a") == DATA


@pytest.mark.parametrize("other", [DATA[:-1], DATA + b"\0", DATA[:-1] + b"x", b""])
async def test_other_bytes_are_refused_and_change_nothing(store: BlobStore, other: bytes) -> None:
    await store.put("a", DATA)
    with pytest.raises(AlreadyExists):
        await store.put("a", other)
    assert await store.get("a") == DATA
    assert await keys(store) == {"a"}


async def test_of_two_writers_one_wins_whole(store: BlobStore) -> None:
    bodies = [bytes([number]) * 300_000 for number in range(8)]
    outcomes = await asyncio.gather(*(store.put("contested", body) for body in bodies), return_exceptions=True)
    won = [body for body, outcome in zip(bodies, outcomes, strict=True) if outcome is None]
    assert len(won) == 1
    assert {type(outcome) for outcome in outcomes if outcome is not None} == {AlreadyExists}
    assert await store.get("contested") == won[0]


async def test_deleting_is_final_and_can_be_repeated(store: BlobStore) -> None:
    await store.put("a/b/c", DATA)
    await store.delete("a/b/c")
    await store.delete("a/b/c")
    await store.delete("never/there")
    assert await store.size("a/b/c") is None
    assert await keys(store) == set()
    await store.put("a/b/c", b"new")
    assert await store.get("a/b/c") == b"new"


async def test_writers_and_deleters_of_one_folder_do_not_trip_each_other(store: BlobStore) -> None:
    async def come_and_go(number: int) -> None:
        for _ in range(15):
            await store.put(f"shared/folder/{number}", DATA)
            await store.delete(f"shared/folder/{number}")

    await asyncio.gather(*(come_and_go(number) for number in range(4)))
    assert await keys(store) == set()


async def test_listing_goes_by_whole_folder_names(store: BlobStore) -> None:
    for key in ("a", "b/1", "b/2", "b/c/3", "bb/4", "b-1/5"):
        await store.put(key, DATA)
    assert await keys(store) == {"a", "b/1", "b/2", "b/c/3", "bb/4", "b-1/5"}
    assert await keys(store, "b") == {"b/1", "b/2", "b/c/3"}
    assert await keys(store, "b/c") == {"b/c/3"}
    assert await keys(store, "nothing") == set()


async def test_a_listing_tells_size_and_time(store: BlobStore) -> None:
    await store.put("a", DATA)
    [info] = [info async for info in store.list()]
    assert info.size == len(DATA)
    assert info.modified.utcoffset() == timedelta(0)
    assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=5)


async def test_a_listing_has_more_than_one_page(store: BlobStore) -> None:
    wanted = {f"many/{number:04}" for number in range(1_100)}
    for start in range(0, 1_100, 100):
        await asyncio.gather(*(store.put(key, b"") for key in sorted(wanted)[start : start + 100]))
    assert await keys(store, "many") == wanted


async def test_a_listing_can_be_left_in_its_middle(store: BlobStore) -> None:
    for key in "abc":
        await store.put(key, DATA)
    async for _ in store.list():
        break
    assert len(await keys(store)) == 3


BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../../b",
    ".incoming/x",
    "a/.hidden",
    "-a",
    "a b",
    "a\0b",
    "a\nb",
    "a\\b",
    "é",
    "x" * 129,
    "/".join(["x" * 60] * 10),
]


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
async def test_a_malformed_key_reaches_no_storage(store: BlobStore, key: str) -> None:
    calls = (lambda: store.put(key, DATA), lambda: store.get(key), lambda: store.size(key), lambda: store.delete(key))
    for call in calls:
        with pytest.raises(ValueError, match="key"):
            await call()
    if key:
        with pytest.raises(ValueError, match="key"):
            await keys(store, key)


async def test_a_cancelled_put_leaves_nothing_or_all(store: BlobStore) -> None:
    body = bytes(2_000_000)
    task = asyncio.create_task(store.put("cancelled", body))
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.size("cancelled") in {None, len(body)}
    await store.put("cancelled", body)
    assert await store.get("cancelled") == body
