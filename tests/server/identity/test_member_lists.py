"""Lists of members: a page is one query, however many members it has."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.signing_world import World, make_world
from zegel_server.caller import Scope
from zegel_server.db import Statement
from zegel_server.edge.paging import PageRequest
from zegel_server.identity.accounts import Accounts
from zegel_server.identity.members import Members
from zegel_server.permissions.model import BUILT_IN
from zegel_server.permissions.policies import Policies
from zegel_server.permissions.service import Permissions


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    made = await make_world(url, tmp_path)
    yield made
    await made.close()


async def test_a_page_of_members_is_one_query(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {grant.permission for role in BUILT_IN.values() for grant in role.grants}
    permissions = Permissions(world.database, world.keys, Policies(world.database), world.recorder, known)
    members = Members(world.database, world.keys, permissions, world.recorder, Accounts(world.database, world.keys))
    admin = world.member(Scope.ANY)
    made = [await members.create(admin, f"Ann {n}", f"ann-{n}@example.com", ["member"]) for n in range(6)]
    kind = type(world.database)
    fetch, ran = kind.fetch, []

    async def counted(self: Any, statement: Statement, **values: Any) -> Any:
        ran.append(statement)
        return await fetch(self, statement, **values)

    monkeypatch.setattr(kind, "fetch", counted)
    monkeypatch.setattr(kind, "fetch_one", None)
    for size, pages in ((10, 1), (2, 3)):
        ran.clear()
        page = await members.list(admin, PageRequest(size))
        found = list(page.items)
        while page.next is not None:
            page = await members.list(admin, PageRequest(size, page.next))
            found += page.items
        assert found == sorted(made, key=lambda each: each.member_id)
        assert len(ran) == pages
