"""Use cases of delegations: one member acts on another's resources, for a limited time.

Invariants:

* A delegation is part of the policy: creating or ending one raises the policy's version in the same transaction. It
  expires by the clock without a new version.
* It gives what delegator and delegate both hold at that moment, for work only: never the power to act as the
  delegator. It is not transitive, and does not reach what the delegator's teams own.
* Nobody grants what they do not hold: a caller other than the delegator must hold in scope ANY what it delegates, and
  cannot delegate more than the delegator holds at that moment.
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
"""Delegations to one member: a page of a list that it may see takes one query for each."""


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
        """Creates a delegation.

        Args:
            caller: Who creates it.
            delegator_id: Whose resources are delegated.
            delegate_id: The member to delegate to.
            permissions: The permissions it is narrowed to; empty for no narrowing.
            expire_time: When it expires.
            keep: Stores the result for a retry of the call.

        Raises:
            AlreadyExists: There already is a delegation between the two.
            FailedPrecondition: It would give nothing (``NOTHING_TO_DELEGATE``).
            InvalidArgument: A part of it is not allowed.
            NotFound: One of the members is absent, or the caller may not delegate for the delegator.
            PermissionDenied: It gives a permission that the caller does not hold (``GRANT_EXCEEDS_GRANTER``).
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
                    # Under the policy's lock, so that no member is removed between this check and the commit.
                    if await transaction.fetch_one(store.PRINCIPAL, **named) is None:
                        raise NotFound("member")
                if delegator_id == delegate_id:  # last, to reveal nothing about another tenant's members
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
            raise AlreadyExists("There already is a delegation between the two.", resource="delegation") from None
        return made

    async def _carried(
        self, transaction: Transaction, caller: Caller, policy: Policy, delegator_id: str, permissions: frozenset[str]
    ) -> frozenset[str] | None:
        """The permissions it is narrowed to, after checking that its creator may delegate them."""
        if caller.principal_id == delegator_id and not caller.narrowed:
            return permissions or None
        held = await held_within(transaction, policy, delegator_id, permissions or self._work)
        carried = frozenset(name for name, scope in held.items() if scope & (Scope.OWN | Scope.ANY))
        if not carried:
            raise FailedPrecondition("The delegator holds none of these permissions.", reason="NOTHING_TO_DELEGATE")
        # For oneself scope OWN suffices; delegating for another member takes scope ANY.
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
            raise ResourceExhausted("Too many delegate to the member already.", limit="delegations_to_member")
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
        """A page of the delegations that have not ended and that the caller may see, oldest first.

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
        """Ends a delegation before it expires.

        Args:
            caller: Who ends it: its delegator, its delegate, or anyone who may end any delegation.
            delegation_id: The delegation.

        Raises:
            NotFound: There is no current one, or the caller may not end it.
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
