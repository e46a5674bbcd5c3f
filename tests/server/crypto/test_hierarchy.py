"""Keys go down the hierarchy and back, rotate, and are gone when they are said to be."""

import copy
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.crypto import (
    KeyDestroyed,
    KeyHierarchy,
    NoRootKey,
    RootKeys,
    TenantKey,
    new_dek,
    rewrap_dek,
    unwrap_dek,
)
from zegel_server.errors import DataLoss

A = TenantKey("tenant-key-a", bytes(range(32)))
B = TenantKey("tenant-key-b", bytes(range(1, 33)))


async def test_a_dek_comes_back_through_all_levels(root_keys: RootKeys) -> None:
    await root_keys.create()
    hierarchy = KeyHierarchy(root_keys)
    tenant_key, stored_tenant_key = await hierarchy.new_tenant_key("k1")
    dek, stored_dek = new_dek(tenant_key, "d1")
    opened = await hierarchy.unwrap_tenant_key(stored_tenant_key)
    assert opened == tenant_key
    assert unwrap_dek(opened, stored_dek) == dek
    assert len(dek.key) == 32
    assert len(stored_dek.blob) == 40


async def test_rotating_changes_the_wrapping_and_nothing_else(root_keys: RootKeys) -> None:
    old = await root_keys.create()
    hierarchy = KeyHierarchy(root_keys)
    tenant_key, stored = await hierarchy.new_tenant_key("k1")
    new = await root_keys.create()
    rewrapped = await hierarchy.rewrap_tenant_key(stored)
    assert (stored.wrapped.root_key_id, rewrapped.wrapped.root_key_id) == (old, new)
    assert rewrapped.commitment == stored.commitment
    assert await hierarchy.unwrap_tenant_key(stored) == tenant_key
    await root_keys.destroy(old)
    assert await hierarchy.unwrap_tenant_key(rewrapped) == tenant_key
    with pytest.raises(KeyDestroyed):
        await hierarchy.unwrap_tenant_key(stored)


async def test_an_erased_dek_cannot_be_had_from_a_copy_made_before(root_keys: RootKeys) -> None:
    hierarchy = KeyHierarchy(root_keys)
    old_root = await root_keys.create("tenant")
    tenant_key, stored_tenant_key = await hierarchy.new_tenant_key("k1", "tenant")
    kept, kept_stored = new_dek(tenant_key, "kept")
    _, erased_stored = new_dek(tenant_key, "erased")
    backup = copy.deepcopy((stored_tenant_key, kept_stored, erased_stored))

    await root_keys.create("tenant")
    new_tenant_key, new_stored = await hierarchy.new_tenant_key("k2", "tenant")
    kept_stored = rewrap_dek(tenant_key, new_tenant_key, kept_stored)
    await root_keys.destroy(old_root)

    assert unwrap_dek(await hierarchy.unwrap_tenant_key(new_stored), kept_stored) == kept
    with pytest.raises(KeyDestroyed):
        await hierarchy.unwrap_tenant_key(backup[0])
    with pytest.raises(DataLoss):
        unwrap_dek(new_tenant_key, backup[2])
    with pytest.raises(DataLoss):
        unwrap_dek(new_tenant_key, dataclasses.replace(backup[2], tenant_key_id="k2"))


async def test_without_a_root_key_there_is_no_tenant_key(root_keys: RootKeys) -> None:
    with pytest.raises(NoRootKey):
        await KeyHierarchy(root_keys).new_tenant_key("k1")


async def test_a_swapped_tenant_key_is_refused(root_keys: RootKeys) -> None:
    await root_keys.create()
    hierarchy = KeyHierarchy(root_keys)
    _, one = await hierarchy.new_tenant_key("k1")
    _, other = await hierarchy.new_tenant_key("k2")
    for swapped in (
        dataclasses.replace(one, wrapped=other.wrapped),
        dataclasses.replace(one, commitment=other.commitment),
        dataclasses.replace(one, key_id="k2"),
        dataclasses.replace(other, key_id="k1"),
    ):
        with pytest.raises(DataLoss):
            await hierarchy.unwrap_tenant_key(swapped)
        with pytest.raises(DataLoss):
            await hierarchy.rewrap_tenant_key(swapped)


@given(st.lists(st.sampled_from([A, B]), max_size=6))
def test_a_dek_survives_any_number_of_rewraps(path: list[TenantKey]) -> None:
    dek, stored = new_dek(A, "d1")
    at = A
    for onward in path:
        stored, at = rewrap_dek(at, onward, stored), onward
    assert unwrap_dek(at, stored) == dek


def test_a_swapped_dek_is_refused() -> None:
    _, one = new_dek(A, "d1")
    _, other = new_dek(A, "d2")
    for swapped in (
        dataclasses.replace(one, blob=other.blob),
        dataclasses.replace(one, blob=other.blob, commitment=other.commitment),
        dataclasses.replace(one, commitment=other.commitment),
        dataclasses.replace(one, key_id="d2"),
        dataclasses.replace(one, tenant_key_id=B.key_id),
    ):
        for act in (lambda stored=swapped: unwrap_dek(A, stored), lambda stored=swapped: rewrap_dek(A, B, stored)):
            with pytest.raises(DataLoss):
                act()
    with pytest.raises(DataLoss):
        unwrap_dek(B, dataclasses.replace(one, tenant_key_id=B.key_id))


def test_no_key_shows_in_a_representation() -> None:
    dek, stored = new_dek(A, "d1")
    shown = repr(A) + repr(dek) + repr(stored)
    for secret in (A.key, dek.key, stored.blob):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def test_every_dek_is_another() -> None:
    assert len({new_dek(A, "d1")[0].key for _ in range(100)}) == 100
