"""What every provider of root keys keeps, whichever it is."""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from zegel_server.crypto import KeyDestroyed, NoRootKey, RootKeyInfo, RootKeys, WrappedKey, open_root_keys
from zegel_server.crypto import root_keys as model
from zegel_server.errors import DataLoss

KEY = bytes(range(32))


async def info(root_keys: RootKeys, root_key_id: str) -> RootKeyInfo:
    return next(found for found in await root_keys.list() if found.root_key_id == root_key_id)


async def test_a_key_goes_there_and_back(root_keys: RootKeys) -> None:
    root_key_id = await root_keys.create()
    wrapped = await root_keys.wrap(KEY)
    assert wrapped.root_key_id == root_key_id
    assert KEY not in wrapped.blob
    assert 40 <= len(wrapped.blob) <= 512
    assert await root_keys.unwrap(wrapped) == KEY


async def test_the_newest_is_primary_and_older_ones_still_open(root_keys: RootKeys) -> None:
    old = await root_keys.create()
    wrapped = await root_keys.wrap(KEY)
    new = await root_keys.create()
    assert await root_keys.primary() == new
    assert (await root_keys.wrap(KEY)).root_key_id == new
    assert await root_keys.unwrap(wrapped) == KEY
    assert [(found.root_key_id, found.primary) for found in await root_keys.list()] == [(old, False), (new, True)]


async def test_each_purpose_has_root_keys_of_its_own(root_keys: RootKeys) -> None:
    await root_keys.create()
    one, other = await root_keys.create("tenant-1"), await root_keys.create("tenant-2")
    wrapped_one, wrapped_other = await root_keys.wrap(KEY, "tenant-1"), await root_keys.wrap(KEY, "tenant-2")
    assert (wrapped_one.root_key_id, wrapped_other.root_key_id) == (one, other)
    assert wrapped_one.blob != wrapped_other.blob
    await root_keys.destroy(one)
    assert await root_keys.unwrap(wrapped_other) == KEY
    with pytest.raises(NoRootKey):
        await root_keys.wrap(KEY, "tenant-1")


async def test_destroying_is_final(root_keys: RootKeys, root_keys_url: str) -> None:
    root_key_id = await root_keys.create()
    wrapped = await root_keys.wrap(KEY)
    await root_keys.destroy(root_key_id)
    await root_keys.destroy(root_key_id)
    again = open_root_keys(root_keys_url)
    for provider in (root_keys, again):
        with pytest.raises(KeyDestroyed):
            await provider.unwrap(wrapped)
        with pytest.raises(NoRootKey):
            await provider.primary()
        assert (await info(provider, root_key_id)).destroyed
        assert not (await info(provider, root_key_id)).primary
    await again.close()


async def test_when_the_primary_goes_the_next_newest_takes_its_place(root_keys: RootKeys) -> None:
    first, second, third = [await root_keys.create() for _ in range(3)]
    await root_keys.destroy(third)
    assert await root_keys.primary() == second
    await root_keys.destroy(first)
    assert await root_keys.primary() == second
    assert await root_keys.create() > third


async def test_what_was_wrapped_elsewhere_is_a_loss(root_keys: RootKeys) -> None:
    root_key_id = await root_keys.create()
    wrapped = await root_keys.wrap(KEY)
    stranger = model.new_root_key_id([root_key_id])
    with pytest.raises(DataLoss):
        await root_keys.unwrap(WrappedKey(stranger, wrapped.blob))
    with pytest.raises(DataLoss):
        await root_keys.destroy(stranger)


@pytest.mark.parametrize("blob", [b"", bytes(39), bytes(40), bytes(48)])
async def test_a_damaged_blob_is_a_loss(root_keys: RootKeys, blob: bytes) -> None:
    root_key_id = await root_keys.create()
    with pytest.raises(DataLoss):
        await root_keys.unwrap(WrappedKey(root_key_id, blob))


async def test_a_flipped_bit_is_a_loss(root_keys: RootKeys) -> None:
    await root_keys.create()
    wrapped = await root_keys.wrap(KEY)
    for position in range(len(wrapped.blob)):
        blob = bytearray(wrapped.blob)
        blob[position] ^= 1
        with pytest.raises(DataLoss):
            await root_keys.unwrap(WrappedKey(wrapped.root_key_id, bytes(blob)))


async def test_another_root_keys_blob_is_a_loss(root_keys: RootKeys) -> None:
    first = await root_keys.create()
    await root_keys.create()
    wrapped = await root_keys.wrap(KEY)
    with pytest.raises(DataLoss):
        await root_keys.unwrap(WrappedKey(first, wrapped.blob))


async def test_many_keys_live_side_by_side(root_keys: RootKeys) -> None:
    purposes = [f"tenant-{number}" for number in range(30)]
    await asyncio.gather(*(root_keys.create(purpose) for purpose in purposes))
    keys = {purpose: os.urandom(32) for purpose in purposes}
    wrapped = {purpose: await root_keys.wrap(key, purpose) for purpose, key in keys.items()}
    assert len({found.root_key_id for found in wrapped.values()}) == len(purposes)
    opened = await asyncio.gather(*(root_keys.unwrap(wrapped[purpose]) for purpose in purposes))
    assert dict(zip(purposes, opened, strict=True)) == keys


async def test_ensure_makes_one_key_however_many_ask(root_keys: RootKeys, root_keys_url: str) -> None:
    again = open_root_keys(root_keys_url)
    got = await asyncio.gather(*(provider.ensure("tenant") for provider in (root_keys, again) * 4))
    assert len(set(got)) == 1
    assert await root_keys.ensure("tenant") == got[0]
    assert [found.purpose for found in await again.list()] == ["tenant"]
    await again.close()


async def test_two_open_providers_see_each_others_changes(root_keys: RootKeys, root_keys_url: str) -> None:
    again = open_root_keys(root_keys_url)
    first = await root_keys.create()
    wrapped = await again.wrap(KEY)
    assert wrapped.root_key_id == first
    second = await again.create()
    assert await root_keys.primary() == second
    await again.destroy(first)
    with pytest.raises(KeyDestroyed):
        await root_keys.unwrap(wrapped)
    await again.close()


async def test_a_key_tells_its_age(root_keys: RootKeys) -> None:
    root_key_id = await root_keys.create("tenant")
    found = await info(root_keys, root_key_id)
    assert abs(found.created - datetime.now(UTC)) < timedelta(minutes=1)
    assert (found.purpose, found.primary, found.destroyed) == ("tenant", True, False)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
async def test_only_256_bit_keys_are_wrapped(root_keys: RootKeys, size: int) -> None:
    await root_keys.create()
    with pytest.raises(ValueError, match="32 bytes"):
        await root_keys.wrap(bytes(size))


@pytest.mark.parametrize("purpose", ["", "a b", "-a", "a/b", "é", "x" * 129, "a\n"])
async def test_a_malformed_purpose_is_refused(root_keys: RootKeys, purpose: str) -> None:
    for call in (root_keys.create, root_keys.ensure):
        with pytest.raises(ValueError, match="purpose"):
            await call(purpose)


def test_identifiers_are_in_order_even_when_the_clock_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    for milliseconds in (1_700_000_000_000, 1_600_000_000_000, 1_600_000_000_000, 1_800_000_000_000):
        monkeypatch.setattr(time, "time_ns", lambda now=milliseconds: now * 1_000_000)
        made.append(model.new_root_key_id(made))
    assert made == sorted(made)
    assert len(set(made)) == 4
    assert model.created_at(made[0]) == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "rk-", "rk-00000000000g-00000000000000000000", "rk-ffffffffffff-00000000000000000000"]
)
def test_what_is_no_identifier_tells_no_age(text: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        model.created_at(text)


@pytest.mark.parametrize("url", ["", "local", "local:", "file:///x", "keys.json"])
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="key provider"):
        open_root_keys(url)
