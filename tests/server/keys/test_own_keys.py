"""Tenants that bring a key provider of their own: SoftHSM, OpenBao, beside the installation's."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from support import openbao, softhsm
from support.databases import sqlite_url
from support.documents_world import World, assemble, found_tenant, pdf_of
from zegel.event.v1 import event_type_pb2 as events
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Scope
from zegel_server.crypto import KeyDestroyed, open_root_keys
from zegel_server.db import Database, Statement, open_database
from zegel_server.db.schema import audit_events, document_versions, own_key_providers, tenant_keys
from zegel_server.errors import DataLoss, NotFound, Unavailable, ZegelError
from zegel_server.identity.own_keys import OwnKeys
from zegel_server.ids import new_id
from zegel_server.keys.moving import Moving
from zegel_server.keys.providers import KeyProviders, RootKeyGone, check_name, provider_of
from zegel_server.keys.rotation import Rotation, stored_tenant_key
from zegel_server.keys.service import Keys

TENANT_KEYS = Statement(select(tenant_keys).order_by(tenant_keys.c.tenant_id, tenant_keys.c.key_version))
VERSIONS = Statement(select(document_versions).order_by(document_versions.c.document_id))
ASSIGNED = Statement(select(own_key_providers))
EVENTS = Statement(select(audit_events).where(audit_events.c.event_type == events.EVENT_TYPE_KEY_PROVIDER_CHANGED))


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openbao.Bao]:
    with openbao.server(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[softhsm.SoftToken]:
    with softhsm.token(tmp_path_factory.mktemp("softhsm")) as soft:
        yield soft


class Place:
    """An installation with providers, and one server process after another over it.

    Args:
        folder: Where its files are.
        rows: Its database.
        own: URLs of the providers that tenants bring.
    """

    def __init__(self, folder: Path, rows: str, own: dict[str, str]) -> None:
        self.folder, self.rows, self.own = folder, rows, own
        self.worlds: list[World] = []
        self.opened: list[tuple[KeyProviders, Database]] = []

    async def process(self, own: dict[str, str] | None = None, *, max_age_s: float = 300.0) -> "Process":
        database = await open_database(self.rows)
        named = self.own if own is None else own
        providers = KeyProviders(
            database,
            open_root_keys(f"local:{self.folder / 'keyring.json'}"),
            {name: open_root_keys(url) for name, url in named.items()},
        )
        self.opened.append((providers, database))
        return Process(self, database, providers, Keys(database, providers, max_age_s=max_age_s))

    async def close(self) -> None:
        for world in self.worlds:
            await world.encrypted_store.close()
            await world.blobs.close()
        for providers, database in self.opened:
            with suppress(ZegelError):
                await providers.close()
            await database.close()


class Process:
    """One process of the server."""

    def __init__(self, place: Place, database: Database, providers: KeyProviders, keys: Keys) -> None:
        self.place, self.database, self.providers, self.keys = place, database, providers, keys

    @property
    def own_keys(self) -> OwnKeys:
        return OwnKeys(self.database, Moving(self.database, self.providers, readers_s=0.05), Recorder(self.keys))

    def rotation(self) -> Rotation:
        return Rotation(self.database, self.providers, readers_s=0.05)

    def world(self, tenant: tuple[str, str]) -> World:
        made = assemble(self.database, self.keys, self.place.folder, tenant)
        self.place.worlds.append(made)
        return made

    async def tenant(self) -> tuple[World, str, bytes]:
        """A new tenant with a document."""
        world = self.world(await found_tenant(self.database, self.keys))
        data = pdf_of(3000)
        return world, await world.upload(world.member(Scope.ANY), data), data


def again(process: Process, world: World) -> World:
    """The same tenant in another process."""
    return process.world((world.tenant_id, world.tenant_subject))


async def read(world: World, document_id: str) -> bytes:
    return await world.download(world.member(Scope.ANY), document_id)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, bao: openbao.Bao, hsm: softhsm.SoftToken
) -> AsyncIterator[Place]:
    rows = sqlite_url(tmp_path) if request.param == "sqlite" else str(request.getfixturevalue("postgres_migrated_url"))
    made = Place(tmp_path, rows, {"acme": bao.url(), "lumen": hsm.url})
    yield made
    await made.close()


def mount_of(place: Place) -> str:
    return place.own["acme"].partition("?")[0].rpartition("/")[2]


async def test_two_tenants_move_to_two_providers_and_back(place: Place) -> None:
    one = await place.process()
    (acme, a, a_data), (lumen, b, b_data), (other, c, c_data) = [await one.tenant() for _ in range(3)]
    before = [(row.wrapped_key, row.key_version) for row in await one.database.fetch(VERSIONS)]
    stored = {key: hashlib.sha256(await acme.blobs.get(key)).digest() for key in await acme.stored()}

    assert (await one.own_keys.move(acme.tenant_id, "acme")).tenant_keys == 1
    assert (await one.own_keys.move(lumen.tenant_id, "lumen")).tenant_keys == 1
    rows = {row.tenant_id: row.root_key_id for row in await one.database.fetch(TENANT_KEYS)}
    assert provider_of(rows[acme.tenant_id]) == "acme"
    assert provider_of(rows[lumen.tenant_id]) == "lumen"
    assert provider_of(rows[other.tenant_id]) == ""
    # No DEK and no ciphertext was rewritten.
    assert [(row.wrapped_key, row.key_version) for row in await one.database.fetch(VERSIONS)] == before
    assert {key: hashlib.sha256(await acme.blobs.get(key)).digest() for key in stored} == stored

    fresh = await place.process()
    for world, document_id, data in ((acme, a, a_data), (lumen, b, b_data), (other, c, c_data)):
        assert await read(again(fresh, world), document_id) == data
        await again(fresh, world).upload(world.member(Scope.ANY), pdf_of(2000))
    for provider, tenant in (("acme", acme), ("lumen", lumen)):
        purposes = {each.purpose for each in await fresh.providers.list_in(provider)}
        assert tenant.tenant_id in purposes
        assert not purposes & ({acme.tenant_id, lumen.tenant_id, other.tenant_id} - {tenant.tenant_id})

    # Done again, nothing is left to do; and back, with the keys in its provider destroyed.
    assert (await one.own_keys.move(acme.tenant_id, "acme")).tenant_keys == 0
    done = await one.own_keys.move(acme.tenant_id, "", destroy_old=True)
    assert (done.tenant_keys, done.destroyed, done.away) == (1, 1, [])
    assert await read(again(await place.process(own={}), acme), a) == a_data
    told = [row.body for row in await one.database.fetch(EVENTS)]
    assert len(told) == 3
    assert '"key_provider":"acme"' in told[0].replace(" ", "")
    assert '"key_provider":"installation"' in told[2].replace(" ", "")


async def test_the_old_root_key_goes_only_when_it_is_asked_to(place: Place) -> None:
    one = await place.process()
    world, document_id, data = await one.tenant()
    (old_row,) = [row for row in await one.database.fetch(TENANT_KEYS) if row.tenant_id == world.tenant_id]
    assert (await one.own_keys.move(world.tenant_id, "acme")).destroyed == 0
    assert [each.destroyed for each in await one.providers.list_in("", world.tenant_id)] == [False]
    # What was interrupted after the move is done by doing it again.
    done = await one.own_keys.move(world.tenant_id, "acme", destroy_old=True)
    assert (done.tenant_keys, done.destroyed) == (0, 1)
    with pytest.raises(KeyDestroyed):
        await one.keys._hierarchy.unwrap_tenant_key(stored_tenant_key(old_row))
    assert await read(again(await place.process(), world), document_id) == data


async def test_keys_are_rotated_and_erased_within_a_tenants_own_provider(place: Place) -> None:
    one = await place.process()
    world, document_id, data = await one.tenant()
    await one.own_keys.move(world.tenant_id, "acme")
    assert (await one.rotation().rotate(world.tenant_id)).destroyed == 0
    assert await one.rotation().rewrap_root(world.tenant_id) == 1
    # Erasing reaches the installation's root key too: copies made before the move open with it.
    done = await one.rotation().rotate(world.tenant_id, erase=True)
    assert done.destroyed == 3
    (row,) = [row for row in await one.database.fetch(TENANT_KEYS) if row.tenant_id == world.tenant_id]
    assert provider_of(row.root_key_id) == "acme"
    assert await read(again(await place.process(), world), document_id) == data
    living = [each for each in await one.providers.list(world.tenant_id) if not each.destroyed]
    assert [each.root_key_id for each in living] == [row.root_key_id]


async def test_reads_and_writes_go_on_during_moves(place: Place) -> None:
    """Two processes, one of which moves the tenant to and fro, destroying what it leaves; no call of either fails."""
    one, two = await place.process(max_age_s=0.05), await place.process(max_age_s=0.05)
    world, document_id, data = await one.tenant()
    worlds = (world, again(two, world))
    failures: list[BaseException] = []
    calls, over = 0, False

    async def use(number: int) -> None:
        nonlocal calls
        while not over:
            number += 1
            calls += 1
            try:
                assert await read(worlds[number % 2], document_id) == data
                fresh = pdf_of(500 + number % 100)
                written = await worlds[number % 2].upload(world.member(Scope.ANY), fresh)
                assert await read(worlds[(number + 1) % 2], written) == fresh
            except (ZegelError, AssertionError) as error:
                failures.append(error)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(use(number)) for number in range(3)]
    mover = OwnKeys(one.database, Moving(one.database, one.providers, readers_s=0.5), Recorder(one.keys))
    for name in ("acme", "lumen", "", "acme"):
        assert (await mover.move(world.tenant_id, name, destroy_old=True)).tenant_keys == 1
    over = True
    await asyncio.gather(*tasks)
    assert failures == []
    assert calls > 10


async def test_a_tenant_that_takes_its_key_away_ends_all_reading_within_the_age_and_giving_it_back_heals(
    place: Place, bao: openbao.Bao
) -> None:
    one = await place.process(max_age_s=0.3)
    (world, document_id, data), (other, others, others_data) = await one.tenant(), await one.tenant()
    person = await one.keys.subject(world.tenant_id, "ann@example.com")
    await one.own_keys.move(world.tenant_id, "acme")
    assert await read(world, document_id) == data

    mount = mount_of(place)
    bao.call("POST", f"sys/policies/acl/{mount}", policy='path "nothing" { capabilities = ["read"] }')
    await asyncio.sleep(0.35)
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            await read(world, document_id)
        assert caught.value.metadata == {"dependency": "key_provider"}
        assert await read(other, others) == others_data
    with pytest.raises(Unavailable):
        await world.upload(world.member(Scope.ANY), pdf_of(1000))
    with pytest.raises(Unavailable):
        await one.keys.subject_key(person.subject_id)
    bao.call("POST", f"sys/policies/acl/{mount}", policy=openbao.POLICY.format(mount=mount))
    assert await read(world, document_id) == data
    assert await one.keys.subject_key(person.subject_id) == person.key


async def test_the_installations_keys_stay_in_memory_while_its_provider_is_away(place: Place) -> None:
    one = await place.process(max_age_s=0.0)
    world, document_id, data = await one.tenant()
    (place.folder / "keyring.json").rename(place.folder / "away")
    assert await read(world, document_id) == data
    (place.folder / "away").rename(place.folder / "keyring.json")


@pytest.mark.faults
async def test_a_provider_that_is_killed_fails_its_tenants_documents_alone(place: Place, bao: openbao.Bao) -> None:
    one = await place.process(max_age_s=0.0)
    (world, document_id, data), (other, others, others_data), (third, thirds, thirds_data) = [
        await one.tenant() for _ in range(3)
    ]
    await one.own_keys.move(world.tenant_id, "acme")
    await one.own_keys.move(other.tenant_id, "lumen")
    await asyncio.to_thread(bao.stop)
    try:
        with pytest.raises(Unavailable):
            await read(world, document_id)
        assert await read(other, others) == others_data
        assert await read(third, thirds) == thirds_data
        # Neither founding nor rotating others needs it.
        assert await one.tenant()
        assert (await one.rotation().rotate(third.tenant_id, erase=True)).destroyed == 1
        with pytest.raises(Unavailable):
            await one.rotation().rotate(world.tenant_id)
        with pytest.raises(Unavailable):
            await one.own_keys.move(world.tenant_id, "")
        with pytest.raises(Unavailable):
            await one.own_keys.move(third.tenant_id, "acme")
        # Destroying elsewhere tells which provider was not reached.
        done = await one.own_keys.move(third.tenant_id, "lumen", destroy_old=True)
        assert (done.tenant_keys, done.away) == (1, ["acme"])
    finally:
        await asyncio.to_thread(bao.start)
    assert await read(world, document_id) == data
    assert await read(third, thirds) == thirds_data


async def test_a_root_key_that_was_destroyed_or_removed_is_told_as_that(place: Place, bao: openbao.Bao) -> None:
    one = await place.process(max_age_s=0.0)
    (world, document_id, _), (other, others, _) = await one.tenant(), await one.tenant()
    for each in (world, other):
        await one.own_keys.move(each.tenant_id, "acme")
    await one.providers.destroy(await one.providers.primary(world.tenant_id))
    with pytest.raises(KeyDestroyed):
        await read(world, document_id)
    root_key_id = (await one.providers.primary(other.tenant_id)).removeprefix("acme:")
    key = f"{mount_of(place)}/keys/zegel.{other.tenant_id}.{root_key_id}"
    bao.call("POST", f"{key}/config", deletion_allowed=True)
    bao.call("DELETE", key)
    with pytest.raises(RootKeyGone):
        await read(other, others)


async def test_a_provider_that_is_missing_in_the_settings_fails_its_tenant_alone(place: Place) -> None:
    one = await place.process()
    (world, document_id, data), (other, others, others_data) = await one.tenant(), await one.tenant()
    await one.own_keys.move(world.tenant_id, "acme")
    without = await place.process(own={"lumen": place.own["lumen"]})
    with pytest.raises(Unavailable, match="not set up"):
        await read(again(without, world), document_id)
    with pytest.raises(Unavailable, match="not set up"):
        await without.rotation().rotate(world.tenant_id)
    assert await read(again(without, other), others) == others_data
    assert await read(again(await place.process(), world), document_id) == data


async def test_two_providers_are_never_mixed_up(place: Place) -> None:
    """The settings swap two names: each is asked for the other's keys, and neither opens anything."""
    one = await place.process()
    world, document_id, data = await one.tenant()
    await one.own_keys.move(world.tenant_id, "acme")
    swapped = await place.process(own={"acme": place.own["lumen"], "lumen": place.own["acme"]})
    with pytest.raises(RootKeyGone):
        await read(again(swapped, world), document_id)
    assert await read(again(await place.process(), world), document_id) == data


async def test_an_unknown_tenant_or_provider_is_refused(place: Place) -> None:
    one = await place.process()
    world, _, _ = await one.tenant()
    with pytest.raises(NotFound):
        await one.own_keys.move(new_id("ten"), "acme")
    with pytest.raises(Unavailable):
        await one.own_keys.move(world.tenant_id, "nobody")
    assert await one.database.fetch(ASSIGNED) == []


async def test_a_move_beside_rotations_leaves_everything_under_the_new_provider(place: Place) -> None:
    one, two = await place.process(), await place.process()
    world, document_id, data = await one.tenant()
    outcomes: Any = await asyncio.gather(
        one.own_keys.move(world.tenant_id, "acme"),
        two.rotation().rotate(world.tenant_id),
        two.rotation().rewrap_root(world.tenant_id),
        one.own_keys.move(world.tenant_id, "lumen"),
        return_exceptions=True,
    )
    assert all(not isinstance(each, BaseException) or isinstance(each, ZegelError) for each in outcomes)
    assert await read(again(await place.process(), world), document_id) == data
    (assigned,) = await one.database.fetch(ASSIGNED)
    rows = [row for row in await one.database.fetch(TENANT_KEYS) if row.tenant_id == world.tenant_id]
    assert {provider_of(row.root_key_id) for row in rows} == {assigned.key_provider}


async def test_a_move_that_dies_before_its_commit_leaves_the_old_state(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    one = await place.process()
    world, document_id, data = await one.tenant()

    async def die(*_: object) -> str:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", die)
        with pytest.raises(Died):
            await one.own_keys.move(world.tenant_id, "acme")
    assert await one.database.fetch(ASSIGNED) == []
    assert await one.database.fetch(EVENTS) == []
    assert await read(again(await place.process(), world), document_id) == data
    # The root key that was made is used by the next try.
    assert (await one.own_keys.move(world.tenant_id, "acme")).tenant_keys == 1
    assert len(await one.providers.list_in("acme", world.tenant_id)) == 1


@pytest.mark.parametrize("name", ["", "installation", "Acme", "a:b", "-a", "a b", "x" * 64])
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        check_name(name)


async def test_what_no_provider_of_the_installation_has_is_a_loss(place: Place) -> None:
    one = await place.process()
    world, document_id, _ = await one.tenant()
    (place.folder / "keyring.json").unlink()
    with pytest.raises(DataLoss):
        await read(again(await place.process(), world), document_id)
