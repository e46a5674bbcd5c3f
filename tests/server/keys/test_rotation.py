"""Keys wrapped anew and destroyed: while documents are read and written, interrupted anywhere, on each database."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from support import openbao, softhsm
from support.databases import sqlite_url
from support.documents_world import MIB, SPEC, World, make_world, pdf_of, reopen, stream_of
from zegel_server.caller import Caller, Scope
from zegel_server.crypto import KeyDestroyed, open_root_keys
from zegel_server.db import Statement, bind
from zegel_server.db.schema import document_versions, subjects, tenant_keys, uploads
from zegel_server.documents.parts import whole_parts_size
from zegel_server.errors import Aborted, ZegelError
from zegel_server.keys import rotation
from zegel_server.keys.rotation import Rotation

TENANT_KEYS = Statement(select(tenant_keys).where(tenant_keys.c.tenant_id == bind("tenant_id")))
WRAPPED = tuple(Statement(select(table)) for table in (document_versions, uploads, subjects))
EMAIL = "sanne@example.com"


def rotation_of(world: World, readers_s: float = 0.05) -> Rotation:
    return Rotation(world.database, world.keys._root_keys, readers_s=readers_s)


async def versions_in_use(world: World) -> set[int]:
    """Versions of tenant keys under which anything is wrapped."""
    return {row.key_version for table in WRAPPED for row in await world.database.fetch(table)}


async def tenant_keys_of(world: World) -> list[int]:
    rows = await world.database.fetch(TENANT_KEYS, tenant_id=world.tenant_id)
    return sorted(row.key_version for row in rows)


async def blobs_of(world: World) -> dict[str, str]:
    return {key: hashlib.sha256(await world.blobs.get(key)).hexdigest() for key in await world.stored()}


async def test_everything_is_wrapped_anew_and_nothing_stored_is_rewritten(
    world: World, url: str, tmp_path: Path
) -> None:
    caller = world.member(Scope.ANY)
    documents = {await world.upload(caller, data): data for data in map(pdf_of, (10, MIB, 5 * MIB))}
    data = pdf_of(9 * MIB)
    open_upload = await world.uploads.start(caller, SPEC)
    await world.partly(caller, data, upload_id=open_upload.upload_id, stop=6 * MIB)
    person = await world.keys.subject(world.tenant_id, EMAIL)
    stored = await blobs_of(world)
    files = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("0*")) if path.is_file()}  # noqa: ASYNC240

    done = await rotation_of(world).rotate(world.tenant_id)
    assert (done.key_version, done.destroyed) == (2, 0)
    assert done.rewrapped == len(documents) + 2 + 2  # two had uploads; the person, and the tenant as one
    assert await versions_in_use(world) == {2}
    assert await tenant_keys_of(world) == [2]
    assert await blobs_of(world) == stored
    assert {path: path.stat().st_mtime_ns for path in files} == files

    other = await reopen(world, url, tmp_path)
    for each in (world, other):
        for document_id, expected in documents.items():
            assert await each.download(caller, document_id) == expected
        assert (await each.keys.subject(each.tenant_id, EMAIL)).key == person.key
    await other.close()
    assert (
        await world.uploads.receive(caller, stream_of(data, upload_id=open_upload.upload_id, start=whole_parts_size(1)))
        == open_upload.document_id
    )
    assert await world.download(caller, open_upload.document_id) == data


async def test_documents_are_read_and_written_meanwhile(
    world: World, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two server processes; one of them rotates three times, and no call of either fails."""
    monkeypatch.setattr(rotation, "BATCH", 3)
    other = await reopen(world, url, tmp_path)
    caller = world.member(Scope.ANY)
    known = {await world.upload(caller, data): data for data in (pdf_of(1000 + n) for n in range(20))}
    failures: list[BaseException] = []
    calls = 0
    over = False

    async def again(act: Callable[[int], Awaitable[None]]) -> None:
        nonlocal calls
        number = 0
        while not over:
            number += 1
            calls += 1
            try:
                await act(number)
            except (ZegelError, AssertionError) as error:
                failures.append(error)
            await asyncio.sleep(0)

    async def read(number: int) -> None:
        each = (world, other)[number % 2]
        document_id = list(known)[number * 7 % len(known)]
        assert await each.download(caller, document_id) == known[document_id]

    async def write(number: int) -> None:
        data = pdf_of(500 + number)
        known[await (world, other)[number % 2].upload(caller, data)] = data

    async def meet(number: int) -> None:
        each = (world, other)[number % 2]
        first = await each.keys.subject(each.tenant_id, f"p{number}@example.com")
        assert await (other, world)[number % 2].keys.subject_key(first.subject_id) == first.key

    tasks = [asyncio.create_task(again(act)) for act in (read, read, write, meet)]
    for expected in (2, 3, 4):
        assert (await rotation_of(world, 0.3).rotate(world.tenant_id)).key_version == expected
    over = True
    await asyncio.gather(*tasks)
    assert failures == []
    assert calls > 50
    assert await versions_in_use(world) == {4}
    assert await tenant_keys_of(world) == [4]
    for document_id, data in known.items():
        assert await other.download(caller, document_id) == data
    await other.close()


class Interrupted(BaseException):
    """The process dies."""


class Dying:
    """A database whose process dies before or after a given transaction."""

    def __init__(self, database: Any, at: int, *, after: bool) -> None:
        self._database = database
        self._left = at
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def transaction(self) -> Any:
        self._left -= 1
        if self._left or not self._after:
            if not self._left:
                raise Interrupted
            return self._database.transaction()
        return _ThenDead(self._database.transaction())


class _ThenDead:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aenter__(self) -> Any:
        return await self._inner.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)
        raise Interrupted


@pytest.mark.parametrize("after", [False, True])
async def test_what_was_interrupted_is_gone_on_with(
    world: World, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    caller = world.member(Scope.ANY)
    known = {await world.upload(caller, data): data for data in (pdf_of(100 + n) for n in range(5))}
    died = 0
    for at in range(1, 40):
        dying: Any = Dying(world.database, at, after=after)
        try:
            await Rotation(dying, world.keys._root_keys, readers_s=0).rotate(world.tenant_id, erase=True)
        except Interrupted:
            died += 1
            for document_id, data in known.items():
                assert await world.download(caller, document_id) == data
        else:
            break
    assert died > 5
    assert len(await tenant_keys_of(world)) == 1
    assert await versions_in_use(world) == set(await tenant_keys_of(world))
    live = [each for each in await world.keys._root_keys.list() if not each.destroyed]
    assert len([each for each in live if each.purpose == world.tenant_id]) == 1
    for document_id, data in known.items():
        assert await world.download(caller, document_id) == data


async def purged(world: World, caller: Caller) -> tuple[str, str]:
    """Two documents, of which the first one is purged."""
    gone, kept = await world.upload(caller, pdf_of(3000)), await world.upload(caller, pdf_of(4000))
    await world.documents.delete(caller, gone, "")
    await world.documents.purge(caller, gone, "")
    return gone, kept


async def test_what_is_erased_is_gone_from_old_copies_too(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    world = await make_world(sqlite_url(tmp_path / "live"), tmp_path / "live")
    caller = world.member(Scope.ANY)
    gone, kept = await world.upload(caller, pdf_of(3000)), await world.upload(caller, pdf_of(4000))
    backup = tmp_path / "backup"
    async with world.database.transaction():  # nothing is half written meanwhile
        shutil.copytree(tmp_path / "live", backup)
    await world.documents.delete(caller, gone, "")
    await world.documents.purge(caller, gone, "")
    await world.remover.drain()

    async def in_backup() -> World:
        # A thief has the copy, and what the provider's keyring says now: the old one is not to be had from a provider.
        shutil.copy(tmp_path / "live/keyring.json", backup / "keyring.json")
        return await reopen(world, f"sqlite:///{backup / 'zegel.sqlite'}", backup)

    old = await in_backup()
    assert len(await old.download(caller, gone)) == 3000  # so an erasure is needed
    await old.close()
    assert (await rotation_of(world).rotate(world.tenant_id)).destroyed == 0
    old = await in_backup()
    assert len(await old.download(caller, gone)) == 3000  # and a rotation alone is none
    await old.close()

    assert (await rotation_of(world).rotate(world.tenant_id, erase=True)).destroyed == 1
    old = await in_backup()
    for document_id in (gone, kept):
        with pytest.raises(KeyDestroyed):
            await old.download(caller, document_id)
    await old.close()
    assert len(await world.download(caller, kept)) == 4000
    live = await reopen(world, f"sqlite:///{tmp_path / 'live/zegel.sqlite'}", tmp_path / "live")
    assert len(await live.download(caller, kept)) == 4000
    await live.close()
    await world.close()


async def test_old_rows_of_either_database_open_no_more(world: World) -> None:
    caller = world.member(Scope.ANY)
    document_id = await world.upload(caller, pdf_of(3000))
    tenant_rows = await world.database.fetch(TENANT_KEYS, tenant_id=world.tenant_id)
    await rotation_of(world).rotate(world.tenant_id, erase=True)
    (row,) = tenant_rows
    with pytest.raises(KeyDestroyed):
        await world.keys._hierarchy.unwrap_tenant_key(rotation.stored_tenant_key(row))
    assert len(await world.download(caller, document_id)) == 3000


async def test_another_root_key_leaves_everything_readable(world: World, url: str, tmp_path: Path) -> None:
    caller = world.member(Scope.ANY)
    _, kept = await purged(world, caller)
    before = {row.root_key_id for row in await world.database.fetch(TENANT_KEYS, tenant_id=world.tenant_id)}
    assert await rotation_of(world).rewrap_root(world.tenant_id) == 1
    after = {row.root_key_id for row in await world.database.fetch(TENANT_KEYS, tenant_id=world.tenant_id)}
    assert not before & after
    other = await reopen(world, url, tmp_path)
    for each in (world, other):
        assert len(await each.download(caller, kept)) == 4000
    await other.close()


async def test_two_rotations_at_once_lose_nothing(world: World) -> None:
    caller = world.member(Scope.ANY)
    known = {await world.upload(caller, data): data for data in (pdf_of(100 + n) for n in range(10))}
    outcomes = await asyncio.gather(
        *(rotation_of(world).rotate(world.tenant_id) for _ in range(2)), return_exceptions=True
    )
    assert any(not isinstance(each, BaseException) for each in outcomes)
    assert all(isinstance(each, Aborted) for each in outcomes if isinstance(each, BaseException))
    for document_id, data in known.items():
        assert await world.download(caller, document_id) == data
    await rotation_of(world).rotate(world.tenant_id)
    assert len(await tenant_keys_of(world)) == 1
    for document_id, data in known.items():
        assert await world.download(caller, document_id) == data


class Before:
    """A database of which something is done before a given transaction begins."""

    def __init__(self, database: Any, at: int, act: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._left = at
        self._act = act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self._left -= 1
        if not self._left:
            await self._act()
        async with self._database.transaction() as transaction:
            yield transaction


DOCUMENTS, SUBJECTS = 2, 3
"""The transactions that wrap the keys of documents, and of subjects; the first one has the new tenant key."""


@pytest.mark.parametrize("at", [DOCUMENTS, SUBJECTS])
async def test_what_is_destroyed_while_it_is_wrapped_anew_stays_destroyed(world: World, at: int) -> None:
    caller = world.member(Scope.ANY)
    gone, kept = await world.upload(caller, pdf_of(3000)), await world.upload(caller, pdf_of(4000))
    forgotten = await world.keys.subject(world.tenant_id, EMAIL)
    await world.documents.delete(caller, gone, "")

    async def destroy() -> None:
        if at == DOCUMENTS:
            await world.documents.purge(caller, gone, "")
        async with world.database.transaction() as transaction:
            await world.keys.destroy_subject(transaction, forgotten.subject_id)

    meanwhile: Any = Before(world.database, at, destroy)
    await Rotation(meanwhile, world.keys._root_keys, readers_s=0).rotate(world.tenant_id)
    rows = {row.document_id: row.wrapped_key for row in await world.version_rows()}
    assert (rows[gone] is None) == (at == DOCUMENTS)
    assert rows[kept] is not None
    assert await world.keys.subject_key(forgotten.subject_id) is None
    assert await versions_in_use(world) == {2}


@contextmanager
def provider_of(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a token in SoftHSM, or of a transit engine in OpenBao."""
    (folder / kind).mkdir()
    if kind == "token":
        with softhsm.token(folder / kind) as soft:
            yield soft.url
    else:
        with openbao.server(folder / kind) as bao:
            yield bao.url()


@pytest.mark.parametrize("kind", ["token", "vault"])
async def test_keys_of_other_providers_are_rotated_as_well(tmp_path: Path, kind: str) -> None:
    with provider_of(kind, tmp_path) as provider:
        root_keys = open_root_keys(provider)
        world = await make_world(sqlite_url(tmp_path), tmp_path, root_keys_url=provider)
        caller = world.member(Scope.ANY)
        data = pdf_of(os.urandom(1)[0] + 1000)
        document_id = await world.upload(caller, data)
        for erase in (False, True):
            done = await Rotation(world.database, root_keys, readers_s=0).rotate(world.tenant_id, erase=erase)
            assert done.destroyed == erase
            assert await world.download(caller, document_id) == data
        await world.close()
        await root_keys.close()
