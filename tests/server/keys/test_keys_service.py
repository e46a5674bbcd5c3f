"""Tenant keys, DEKs and the keys of persons, as rows."""

import asyncio
import secrets
from collections.abc import Hashable
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import select

from zegel_server import clock
from zegel_server.crypto import RootKeys, WrappedKey
from zegel_server.db import Database, Statement, bind, insert_into
from zegel_server.db.schema import subjects, tenants
from zegel_server.errors import Aborted, DataLoss, Unavailable
from zegel_server.ids import new_id
from zegel_server.keys.cache import SingleFlight
from zegel_server.keys.service import Keys, StoredDek

TENANT = insert_into(tenants)
SUBJECTS = Statement(select(subjects).where(subjects.c.tenant_id == bind("tenant_id")).order_by(subjects.c.subject_id))


async def found(database: Database, keys: Keys) -> str:
    """Founds a tenant."""
    tenant_id = new_id("ten")
    founded = await keys.found_tenant(tenant_id)
    async with database.transaction() as transaction:
        await transaction.execute(
            TENANT,
            tenant_id=tenant_id,
            pseudonym=f"p-{tenant_id}",
            name="Acme",
            policy_version=1,
            create_time=clock.now(),
            revision=1,
            sensitive="",
        )
        await keys.store_tenant(transaction, founded)
    return tenant_id


def again(database: Database, keys: Keys) -> Keys:
    """The same keys in another process: nothing of them in memory."""
    root_keys: RootKeys = keys._root_keys
    return Keys(database, root_keys)


async def test_a_tenant_s_key_is_the_same_in_every_process(database: Database, keys: Keys) -> None:
    tenant_id = await found(database, keys)
    version, key = await keys.tenant_key(tenant_id)
    assert version == 1
    assert await again(database, keys).tenant_key(tenant_id) == (version, key)
    assert await keys.tenant_key(tenant_id, 1) == (version, key)
    with pytest.raises(DataLoss):
        await keys.tenant_key(tenant_id, 2)
    with pytest.raises(DataLoss):
        await keys.tenant_key(new_id("ten"))


async def test_a_provider_is_asked_once_for_all_who_wait(
    database: Database, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant's key is due again for all of its streams at one moment."""
    tenant_id = await found(database, keys)
    _, key = await keys.tenant_key(tenant_id)
    root_keys: RootKeys = keys._root_keys
    unwrap, asked, came, broken = root_keys.unwrap, 0, 0, False
    gate, all_came = asyncio.Event(), asyncio.Event()

    class Counted(SingleFlight[Any]):
        async def ask(self, name: Hashable, question: Any) -> Any:
            nonlocal came
            came += 1
            if came == 50:
                all_came.set()
            return await super().ask(name, question)

    async def slow(wrapped: WrappedKey) -> bytes:
        nonlocal asked
        asked += 1
        await gate.wait()
        if broken:
            raise Unavailable("The key provider does not answer now.", dependency="key_provider")
        return await unwrap(wrapped)

    monkeypatch.setattr(root_keys, "unwrap", slow)
    for broken in (False, True):
        gate.clear()
        all_came.clear()
        other, asked, came = again(database, keys), 0, 0
        monkeypatch.setattr(other, "_unwrapping", Counted())
        first, *rest = [asyncio.create_task(other.tenant_key(tenant_id, 1)) for _ in range(50)]
        await all_came.wait()
        first.cancel()  # who came first gives up
        await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*rest, return_exceptions=True)
        assert asked == 1
        assert first.cancelled()
        if broken:
            assert all(isinstance(each, Unavailable) for each in answers)
            with pytest.raises(Unavailable):
                await other.tenant_key(tenant_id, 1)
            assert asked == 2
        else:
            assert answers == [(1, key)] * 49


async def test_a_dek_opens_for_its_own_document_alone(database: Database, keys: Keys) -> None:
    tenant_id, other = await found(database, keys), await found(database, keys)
    key, stored = await keys.new_dek(tenant_id, "doc_1/1")
    assert len(key) == 32
    assert await again(database, keys).open_dek(tenant_id, "doc_1/1", stored) == key
    for where, name in ((tenant_id, "doc_1/2"), (other, "doc_1/1")):
        with pytest.raises(DataLoss):
            await keys.open_dek(where, name, stored)
    assert stored.wrapped_key is not None
    for damaged in (
        StoredDek(1, bytes(40), stored.commitment),
        StoredDek(1, stored.wrapped_key[:-1] + b"\x00", stored.commitment),
        StoredDek(1, stored.wrapped_key, bytes(32)),
        StoredDek(1, None, stored.commitment),
    ):
        with pytest.raises(DataLoss):
            await keys.open_dek(tenant_id, "doc_1/1", damaged)
    assert key.hex() not in repr(stored)


async def test_a_person_is_found_again_by_address_within_a_tenant(database: Database, keys: Keys) -> None:
    tenant_id, other = await found(database, keys), await found(database, keys)
    ann = await keys.subject(tenant_id, "Ann@Example.com")
    assert await again(database, keys).subject(tenant_id, " ann@example.COM ") == ann
    assert (await keys.subject(other, "ann@example.com")).subject_id != ann.subject_id
    assert (await keys.subject(tenant_id, "bob@example.com")).key != ann.key
    assert await keys.subject_key(ann.subject_id) == ann.key
    assert await keys.subject_key(new_id("sub")) is None
    assert ann.key.hex() not in repr(ann)


async def test_the_rows_do_not_tell_whose_they_are(database: Database, keys: Keys) -> None:
    tenant_id = await found(database, keys)
    await keys.subject(tenant_id, "ann@example.com")
    rows = await database.fetch(SUBJECTS, tenant_id=tenant_id)
    assert "ann" not in repr(rows).casefold()
    assert sorted(len(row.email_index) for row in rows) == [0, 32]


async def test_twenty_at_once_find_one_person(database: Database, keys: Keys) -> None:
    tenant_id = await found(database, keys)
    processes = [again(database, keys) for _ in range(4)]
    people = await asyncio.gather(*(each.subject(tenant_id, "ann@example.com") for each in processes * 5))
    assert len({person.subject_id for person in people}) == 1
    assert len({person.key for person in people}) == 1


async def test_a_forgotten_person_is_forgotten_by_every_process(database: Database, keys: Keys) -> None:
    tenant_id = await found(database, keys)
    elsewhere = again(database, keys)
    ann = await keys.subject(tenant_id, "ann@example.com")
    assert await elsewhere.subject_key(ann.subject_id) == ann.key
    stored = keys.encrypt_personal(ann.key, {"name": "Ann"}, "row")
    async with database.transaction() as transaction:
        await keys.destroy_subject(transaction, ann.subject_id)
    for each in (keys, elsewhere):
        key = await each.subject_key(ann.subject_id)
        assert key is None
        assert each.decrypt_personal(key, stored, "row") == {}
    # Whoever comes back under the address is somebody new; the old row stays, for events point to it.
    back = await elsewhere.subject(tenant_id, "ann@example.com")
    assert back.subject_id != ann.subject_id
    assert back.key != ann.key
    assert len(await database.fetch(SUBJECTS, tenant_id=tenant_id)) == 3
    async with database.transaction() as transaction:
        await keys.destroy_subject(transaction, back.subject_id)
    assert (await keys.subject(tenant_id, "ann@example.com")).subject_id != back.subject_id


async def test_a_destruction_that_is_rolled_back_destroys_nothing(database: Database, keys: Keys) -> None:
    tenant_id = await found(database, keys)
    ann = await keys.subject(tenant_id, "ann@example.com")

    async def fail() -> None:
        async with database.transaction() as transaction:
            await keys.destroy_subject(transaction, ann.subject_id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await keys.subject_key(ann.subject_id) == ann.key


async def test_a_tenant_is_a_subject_itself(database: Database, keys: Keys) -> None:
    tenant_id = await found(database, keys)
    subject_id = await keys.tenant_subject(tenant_id)
    assert await again(database, keys).tenant_subject(tenant_id) == subject_id
    assert await keys.subject_key(subject_id)
    assert await keys.pseudonym(tenant_id) == f"p-{tenant_id}"
    for missing in (keys.tenant_subject(new_id("ten")), keys.pseudonym(new_id("ten"))):
        with pytest.raises(DataLoss):
            await missing


async def test_a_key_that_stands_can_be_held(database: Database, keys: Keys) -> None:
    tenant_id = await found(database, keys)
    async with database.transaction() as transaction:
        await keys.hold(transaction, tenant_id, 1)

    async def hold_gone() -> None:
        async with database.transaction() as transaction:
            await keys.hold(transaction, tenant_id, 2)

    with pytest.raises(Aborted):
        await hold_gone()


def test_personal_data_is_bound_to_its_place() -> None:
    keys = Keys(None, None)  # type: ignore[arg-type]  # neither is asked
    key = secrets.token_bytes(32)
    stored = keys.encrypt_personal(key, {"name": "Zoë ☃", "email": "z@example.com"}, "mem_1")
    assert keys.decrypt_personal(key, stored, "mem_1") == {"name": "Zoë ☃", "email": "z@example.com"}
    assert stored != keys.encrypt_personal(key, {"name": "Zoë ☃", "email": "z@example.com"}, "mem_1")
    assert keys.decrypt_personal(None, stored, "mem_1") == {}
    for wrong in ((secrets.token_bytes(32), stored, "mem_1"), (key, stored, "mem_2"), (key, stored[:-1], "mem_1")):
        with pytest.raises(DataLoss) as refused:
            keys.decrypt_personal(*wrong)
        assert isinstance(refused.value.__cause__, InvalidTag)
    for index in (0, 11, 12, len(stored) - 1):
        damaged = stored[:index] + bytes([stored[index] ^ 1]) + stored[index + 1 :]
        with pytest.raises(DataLoss):
            keys.decrypt_personal(key, damaged, "mem_1")
    for short in (b"", stored[:11], stored[:12]):
        with pytest.raises(DataLoss):
            keys.decrypt_personal(key, short, "mem_1")
