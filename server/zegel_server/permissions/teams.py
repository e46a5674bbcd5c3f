"""Use cases of teams. What a team owns counts as the own of every principal in it.

Invariants:

* A membership is part of the policy: each change raises the policy's version in its own transaction.
* Nobody adds a principal, itself or another, to a team without having all the access to what the team owns that it or
  the added principal would get, including what it could still grant to that principal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, Scope
from zegel_server.crypto import TextKey
from zegel_server.db import Database, Reader, Row, Transaction
from zegel_server.edge import etags
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import NotFound, ResourceExhausted
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys
from zegel_server.keys.texts import encrypt_texts, text_key, text_keys
from zegel_server.permissions import store
from zegel_server.permissions.changes import change_policy, held_within
from zegel_server.permissions.sharing import check_reaches_all

MAX_TEAMS: Final = 1_000
"""Teams of a tenant."""
MAX_TEAMS_OF: Final = 50
"""Teams that one principal is in: a page of a list that it may see takes one query for each."""


@dataclass(frozen=True, slots=True)
class Team:
    """A team; times in microseconds since the epoch."""

    team_id: str
    name: str
    create_time: int
    revision: int = 1


@dataclass(frozen=True, slots=True)
class TeamMember:
    """A principal in a team; times in microseconds since the epoch."""

    principal_id: str
    expire_time: int | None
    create_time: int


class Teams:
    """A tenant's teams.

    Args:
        database: Where the rows are.
        keys: Encrypts their names.
        recorder: Records the events.
        known: Every permission that a method requires.
    """

    def __init__(self, database: Database, keys: Keys, recorder: Recorder, known: Collection[str]) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._known = known

    async def create(self, caller: Caller, name: str, keep: Keep[Team] = keep_nothing) -> Team:
        """Creates a team with its creator as the first principal in it.

        Args:
            caller: Who creates it.
            name: Its name.
            keep: Stores the result for a retry of the call.

        Raises:
            ResourceExhausted: The tenant has, or the creator is in, the maximum number of teams.
        """
        team = Team(new_id("tea"), name, clock.now())
        key = await text_key(self._keys, caller.tenant_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_TEAM_CREATED, resource_id=team.team_id)
        async with self._database.transaction() as transaction:
            await change_policy(transaction, caller.tenant_id)
            row = await transaction.fetch_one(store.COUNT_TEAMS, tenant_id=caller.tenant_id)
            if row is not None and row.count >= MAX_TEAMS:
                raise ResourceExhausted("The tenant has the maximum number of teams.", limit="teams")
            await self._keys.hold(transaction, caller.tenant_id, key.key_version)
            await transaction.execute(
                store.INSERT_TEAM,
                team_id=team.team_id,
                tenant_id=caller.tenant_id,
                texts=_encrypted(key, team.team_id, name),
                texts_key_version=key.key_version,
                create_time=team.create_time,
                revision=1,
            )
            await self._insert(transaction, caller, team.team_id, caller.principal_id, None)
            await self._recorder.record(transaction, draft)
            await keep(transaction, team)
        return team

    async def get(self, caller: Caller, team_id: str) -> Team:
        """A team that the caller may see.

        Args:
            caller: Who asks.
            team_id: The team.

        Raises:
            NotFound: There is no such team, or the caller may not see it.
        """
        [team] = await self._named(caller, [await find_team(self._database, caller, "team.read", team_id)])
        return team

    async def _named(self, caller: Caller, rows: Sequence[Row]) -> list[Team]:
        keys = await text_keys(self._keys, caller.tenant_id, rows)
        return [
            Team(row.team_id, keys.read(row, "team", row.team_id).get("name", ""), row.create_time, row.revision)
            for row in rows
        ]

    async def list_page(self, caller: Caller, page: PageRequest) -> Page[Team]:
        """A page of the teams that the caller may see, oldest first.

        Args:
            caller: Who asks.
            page: Which page.
        """
        rows = await self._database.fetch(
            store.TEAMS,
            tenant_id=caller.tenant_id,
            owners=caller.reach("team.read"),
            after=page.start("")[0],
            limit=page.rows,
        )
        found = page.cut(rows, "team_id")
        return found.holding(await self._named(caller, found.items))

    async def update(self, caller: Caller, team_id: str, name: str, etag: str) -> Team:
        """Changes a team's name.

        Args:
            caller: Who changes it.
            team_id: The team.
            name: Its new name.
            etag: The etag last read; empty to overwrite whatever is there.

        Raises:
            Aborted: The team was changed since.
            NotFound: There is no such team, or the caller may not change it.
        """
        key = await text_key(self._keys, caller.tenant_id)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_TEAM_UPDATED, resource_id=team_id)
        async with self._database.transaction() as transaction:
            team = await find_team(transaction, caller, "team.update", team_id)
            etags.check(etag, team.revision, "team")
            await self._keys.hold(transaction, caller.tenant_id, key.key_version)
            if not await transaction.execute(
                store.UPDATE_TEAM,
                tenant=caller.tenant_id,
                id=team_id,
                read_revision=team.revision,
                new_texts=_encrypted(key, team_id, name),
                new_texts_key_version=key.key_version,
            ):
                raise etags.changed("team")
            await self._recorder.record(transaction, draft)
        return Team(team_id, name, team.create_time, team.revision + 1)

    async def delete(self, caller: Caller, team_id: str, etag: str) -> None:
        """Deletes a team; what it owned stays the tenant's, and only a permission with scope ANY reaches it.

        Args:
            caller: Who deletes it.
            team_id: The team.
            etag: The etag last read; empty to skip the comparison.

        Raises:
            Aborted: The team was changed since.
            NotFound: There is no such team, or the caller may not delete it.
        """
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_TEAM_DELETED, resource_id=team_id)
        async with self._database.transaction() as transaction:
            await change_policy(transaction, caller.tenant_id)
            team = await find_team(transaction, caller, "team.delete", team_id)
            etags.check(etag, team.revision, "team")
            for statement in (store.DELETE_MEMBERS_OF_TEAM, store.DELETE_TEAM):
                await transaction.execute(statement, tenant_id=caller.tenant_id, team_id=team_id)
            await self._recorder.record(transaction, draft)

    async def add(self, caller: Caller, team_id: str, principal_id: str, expire_time: int | None) -> TeamMember:
        """Adds a principal to a team; one that is already in it gets the new expiry.

        Args:
            caller: Who adds it.
            team_id: The team.
            principal_id: The member or API key.
            expire_time: When the membership expires; ``None`` for never.

        Raises:
            NotFound: There is no such team that the caller may change, or no such principal.
            PermissionDenied: The caller itself lacks access to what the team owns (``GRANT_EXCEEDS_GRANTER``).
            ResourceExhausted: The principal is in the maximum number of teams.
        """
        draft = await self._recorder.draft(
            caller,
            events.EVENT_TYPE_TEAM_MEMBER_ADDED,
            resource_id=team_id,
            extra={"principal": principal_id, "expire_time": clock.to_rfc3339(expire_time) if expire_time else None},
        )
        async with self._database.transaction() as transaction:
            policy = await change_policy(transaction, caller.tenant_id)
            await find_team(transaction, caller, "team.update", team_id)
            named = {"tenant_id": caller.tenant_id, "principal_id": principal_id}
            # Under the policy's lock, so that no principal is removed between this check and the commit.
            if await transaction.fetch_one(store.PRINCIPAL, **named) is None:
                raise NotFound("principal")
            held = await held_within(transaction, policy, principal_id, self._known)
            own = {name: scope & Scope.OWN for name, scope in held.items()}
            check_reaches_all(caller, team_id, own, self._known)
            member = await self._insert(transaction, caller, team_id, principal_id, expire_time)
            await self._recorder.record(transaction, draft)
        return member

    async def remove(self, caller: Caller, team_id: str, principal_id: str) -> None:
        """Removes a principal from a team.

        Args:
            caller: Who removes it.
            team_id: The team.
            principal_id: The member or API key.

        Raises:
            NotFound: There is no such team that the caller may change, or the principal is not in it.
        """
        draft = await self._recorder.draft(
            caller,
            events.EVENT_TYPE_TEAM_MEMBER_REMOVED,
            resource_id=team_id,
            extra={"principal": principal_id},
        )
        async with self._database.transaction() as transaction:
            await change_policy(transaction, caller.tenant_id)
            await find_team(transaction, caller, "team.update", team_id)
            if not await transaction.execute(
                store.DELETE_TEAM_MEMBER, tenant_id=caller.tenant_id, team_id=team_id, principal_id=principal_id
            ):
                raise NotFound("principal")
            await self._recorder.record(transaction, draft)

    async def members(self, caller: Caller, team_id: str, page: PageRequest) -> Page[TeamMember]:
        """A page of the principals in a team at this moment, by identifier.

        Args:
            caller: Who asks.
            team_id: The team.
            page: Which page.

        Raises:
            NotFound: There is no such team, or the caller may not see it.
        """
        await self.get(caller, team_id)
        rows = await self._database.fetch(
            store.TEAM_MEMBERS,
            tenant_id=caller.tenant_id,
            team_id=team_id,
            after=page.start("")[0],
            now=clock.now(),
            limit=page.rows,
        )
        return page.cut([TeamMember(*row) for row in rows], "principal_id")

    async def _insert(
        self, transaction: Transaction, caller: Caller, team_id: str, principal_id: str, expire_time: int | None
    ) -> TeamMember:
        member = TeamMember(principal_id, expire_time, clock.now())
        named = {"tenant_id": caller.tenant_id, "principal_id": principal_id, "team_id": team_id}
        row = await transaction.fetch_one(store.COUNT_OTHER_TEAMS, now=member.create_time, **named)
        if row is not None and row.count >= MAX_TEAMS_OF:
            raise ResourceExhausted("The principal is in the maximum number of teams.", limit="teams_of_principal")
        await transaction.execute(
            store.UPSERT_TEAM_MEMBER,
            **named,
            expire_time=expire_time,
            create_time=member.create_time,
            creator_id=caller.principal_id,
        )
        return member


def _encrypted(key: TextKey, team_id: str, name: str) -> bytes:
    return encrypt_texts(key, {"name": name}, "team", team_id)


async def find_team(reader: Reader, caller: Caller, permission: str, team_id: str) -> Row:
    """The row of a team in whose resources a caller holds a permission.

    Args:
        reader: The database, or a transaction.
        caller: Who asks.
        permission: As ``<resource>.<verb>``.
        team_id: The team.

    Raises:
        NotFound: There is no such team, or the caller does not hold the permission there.
    """
    row = await reader.fetch_one(
        store.TEAM, tenant_id=caller.tenant_id, team_id=team_id, owners=caller.reach(permission)
    )
    if row is None:
        raise NotFound("team")
    return row
