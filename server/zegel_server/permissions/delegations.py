"""Use cases of delegations: what is a member's own, in another's hands until a time.

Invariants:

* A delegation is part of the policy: who makes or ends one raises the policy's version in the same transaction. It ends
  by the clock inside a version.
* It carries what delegator and delegate both hold at that moment, of work alone: never the power to act as the
  delegator. It is not transitive, and does not reach what the delegator's teams own.
* Nobody hands out what they do not hold: who is not the delegator holds in any resource what it makes over, and makes
  over no more than the delegator holds at that moment.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import GIVING, Caller, Scope
from zegel_server.db import Database, Row, Transaction, UniqueViolation
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from zegel_server.ids import new_id
from zegel_server.permissions import model, store
from zegel_server.permissions.changes import change_policy, held_within
from zegel_server.permissions.model import Policy
from zegel_server.permissions.sharing import EVERYTHING, is_work, stored_permissions

MAX_LIFETIME: Final = 366 * clock.DAY
"""How long a delegation may last, as the contract says."""
MAX_DELEGATIONS_TO: Final = 50
"""Delegations to one member: a page of what it reaches takes a query for each."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """A delegation; times in microseconds since the epoch; ``permissions`` is ``None`` for no narrowing."""

    delegation_id: str
    delegator_id: str
    delegate_id: str
    permissions: frozenset[str] | None
    create_time: int
    expire_time: int


class Delegations:
    """A tenant's delegations.

    Args:
        database: Where the rows are.
        recorder: Records the events.
        known: Every permission that a method demands.
    """

    def __init__(self, database: Database, recorder: Recorder, known: Collection[str]) -> None:
        self._database = database
        self._recorder = recorder
        self._work = frozenset(filter(is_work, known)) - GIVING

    async def create(
        self,
        caller: Caller,
        delegator_id: str,
        delegate_id: str,
        permissions: frozenset[str],
        expire_time: int,
        *,
        keep: Keep[Delegation] = keep_nothing,
    ) -> Delegation:
        """Makes a delegation.

        Args:
            caller: Who makes it.
            delegator_id: Whose resources are delegated.
            delegate_id: To whom.
            permissions: To which it is narrowed; empty for no narrowing.
            expire_time: When it ends.
            keep: Keeps the result for a repetition of the call.

        Raises:
            AlreadyExists: One stands between the two.
            FailedPrecondition: It would carry nothing (``NOTHING_TO_DELEGATE``).
            InvalidArgument: Something of it is not allowed.
            NotFound: One of the members is absent, or the delegator out of the caller's reach.
            PermissionDenied: It carries what the caller does not hold (``GRANT_EXCEEDS_GRANTER``).
        """
        if not permissions <= self._work:
            told = "must be permissions of documents, signature requests or their trails, and not to move them"
            raise InvalidArgument("permissions", told)
        caller.require("delegation.create", "member", owner_id=delegator_id)
        delegation_id, created = new_id("dlg"), clock.now()
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_DELEGATION_CREATED, resource_id=delegation_id)
        try:
            async with self._database.transaction() as transaction:
                policy = await change_policy(transaction, caller.tenant_id)
                for member_id in (delegator_id, delegate_id):
                    named = {"tenant_id": caller.tenant_id, "principal_id": member_id}
                    # Under the policy's lock: a member that is being removed is gone by now, or not until later.
                    if await transaction.fetch_one(store.PRINCIPAL, **named) is None:
                        raise NotFound("member")
                if delegator_id == delegate_id:  # only now: of another tenant's member nothing is told, not even this
                    raise InvalidArgument("delegate_id", "must be another member than the delegator")
                carried = await self._carried(transaction, caller, policy, delegator_id, permissions)
                made = Delegation(delegation_id, delegator_id, delegate_id, carried, created, expire_time)
                await self._insert(transaction, caller, made)
                extra = {
                    "delegator": delegator_id,
                    "delegate": delegate_id,
                    "expire_time": clock.to_rfc3339(expire_time),
                    "permissions": _stored(carried),
                }
                await self._recorder.record(transaction, draft.about(extra=extra))
                await keep(transaction, made)
        except UniqueViolation:
            raise AlreadyExists("A delegation between the two stands.", resource="delegation") from None
        return made

    async def _carried(
        self, transaction: Transaction, caller: Caller, policy: Policy, delegator_id: str, permissions: frozenset[str]
    ) -> frozenset[str] | None:
        """What it is narrowed to; checked that its maker may make over so much."""
        if caller.principal_id == delegator_id and not caller.narrowed:
            return permissions or None
        held = await held_within(transaction, policy, delegator_id, permissions or self._work)
        carried = frozenset(name for name, scope in held.items() if scope & (Scope.OWN | Scope.ANY))
        if not carried:
            raise FailedPrecondition("The delegator holds nothing of that.", reason="NOTHING_TO_DELEGATE")
        # Its own needs its own scope only; another's is reached by whoever reaches everybody's.
        wanted = Scope.OWN if caller.principal_id == delegator_id else Scope.ANY
        model.check_within({each: caller.scopes(each) for each in carried}, dict.fromkeys(carried, wanted))
        return carried

    async def _insert(self, transaction: Transaction, caller: Caller, made: Delegation) -> None:
        await transaction.execute(
            store.DELETE_ENDED_DELEGATIONS,
            tenant_id=caller.tenant_id,
            delegate_id=made.delegate_id,
            now=clock.now(),
        )
        row = await transaction.fetch_one(
            store.COUNT_DELEGATIONS_TO, tenant_id=caller.tenant_id, delegate_id=made.delegate_id
        )
        if row is not None and row.count >= MAX_DELEGATIONS_TO:
            raise ResourceExhausted("As many delegate to the member as may.", limit="delegations_to_member")
        await transaction.execute(
            store.INSERT_DELEGATION,
            delegation_id=made.delegation_id,
            tenant_id=caller.tenant_id,
            delegator_id=made.delegator_id,
            delegate_id=made.delegate_id,
            permissions=_stored(made.permissions),
            create_time=made.create_time,
            expire_time=made.expire_time,
            creator_id=caller.principal_id,
        )

    async def list_page(self, caller: Caller, page: PageRequest) -> Page[Delegation]:
        """A page of the delegations that stand and that the caller reaches, the oldest first.

        Args:
            caller: Who asks.
            page: Which page.
        """
        rows = await self._database.fetch(
            store.DELEGATIONS,
            tenant_id=caller.tenant_id,
            only=caller.owner_filter("delegation.read"),
            after=page.start("")[0],
            now=clock.now(),
            limit=page.rows,
        )
        return page.cut([_delegation(row) for row in rows], "delegation_id")

    async def end(self, caller: Caller, delegation_id: str) -> None:
        """Ends a delegation before its time.

        Args:
            caller: Who ends it: its delegator, its delegate, or who may end any.
            delegation_id: Which.

        Raises:
            NotFound: There is none that stands, or the caller does not reach it.
        """
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_DELEGATION_ENDED, resource_id=delegation_id)
        async with self._database.transaction() as transaction:
            await change_policy(transaction, caller.tenant_id)
            row = await transaction.fetch_one(
                store.DELEGATION,
                tenant_id=caller.tenant_id,
                delegation_id=delegation_id,
                only=caller.owner_filter("delegation.end"),
                now=clock.now(),
            )
            if row is None:
                raise NotFound("delegation")
            await transaction.execute(store.DELETE_DELEGATION, tenant_id=caller.tenant_id, delegation_id=delegation_id)
            extra = {"delegator": row.delegator_id, "delegate": row.delegate_id}
            await self._recorder.record(transaction, draft.about(extra=extra))


def _stored(permissions: frozenset[str] | None) -> str:
    return EVERYTHING if permissions is None else " ".join(sorted(permissions))


def _delegation(row: Row) -> Delegation:
    return Delegation(
        row.delegation_id,
        row.delegator_id,
        row.delegate_id,
        stored_permissions(row.permissions),
        row.create_time,
        row.expire_time,
    )
