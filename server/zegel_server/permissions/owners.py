"""Rules for changing a resource's owner: who may give it away, and to whom.

Invariants:

* Nobody gives to someone beyond their reach: a receiver is the caller itself, a team that it is in, a member who
  delegates to it, or, with the permission to create such a resource with scope ANY, anybody in the tenant.
* Only whoever runs a team gives away what the team owns. A delegation never includes moving: what was given away would
  outlast it.
* Nobody gives another, by a move, access that they do not have themselves: they must hold every permission that the
  receiver, or anybody in the receiving team, holds in its own resources, including what the caller could still grant.
"""

from collections.abc import Collection
from typing import Final

from zegel_server.caller import Caller, Scope
from zegel_server.db import Reader
from zegel_server.errors import InvalidArgument, NotFound, PermissionDenied
from zegel_server.ids import is_id
from zegel_server.permissions import store
from zegel_server.permissions.changes import held_within
from zegel_server.permissions.model import is_principal
from zegel_server.permissions.policies import Policies
from zegel_server.permissions.sharing import check_reaches_all

RUNS_TEAM: Final = "team.update"
"""The permission that whoever runs a team holds in it."""


class Owners:
    """Decides whom work can be given to.

    Args:
        policies: Decides what principals may do.
        known: Every permission that a method requires.
    """

    def __init__(self, policies: Policies, known: Collection[str]) -> None:
        self._policies = policies
        self._known = known

    async def check_move(
        self, reader: Reader, caller: Caller, *, giver_id: str, receiver_id: str, moving: str, making: str
    ) -> None:
        """Refuses a move that the caller may not make; its access to the moved resource has already been checked.

        Args:
            reader: Where the rows are.
            caller: Who moves it.
            giver_id: The current owner.
            receiver_id: The new owner.
            moving: The permission by which the caller moves the resource, such as ``document.move``.
            making: The permission that decides whom it may give it to, such as ``document.create``.

        Raises:
            NotFound: There is no such receiver, or the caller may not give to it.
            PermissionDenied: The caller does not run the team that owns it, or the receiver could do with it what the
                caller may not (``GRANT_EXCEEDS_GRANTER``).
        """
        named = {"tenant_id": caller.tenant_id, "owner_id": receiver_id}
        if (
            not (is_principal(receiver_id) or is_id(receiver_id, "tea"))
            or not caller.reaches(making, owner_id=receiver_id)
            or await reader.fetch_one(store.OWNER, **named) is None
        ):
            raise NotFound("owner")
        runs = caller.scopes(moving) & Scope.ANY or caller.reaches(RUNS_TEAM, owner_id=giver_id)
        if is_id(giver_id, "tea") and not runs:
            raise PermissionDenied(
                "Only who holds team.update in a team can give away what it owns.",
                reason="GRANT_EXCEEDS_GRANTER",
                permission=RUNS_TEAM,
            )
        snapshot = await self._policies.snapshot(caller.tenant_id, caller.policy_version)
        held = await held_within(reader, snapshot.policy, receiver_id, self._known)
        check_reaches_all(caller, giver_id, {name: scope & Scope.OWN for name, scope in held.items()}, self._known)


def check_named(receiver_id: str) -> None:
    """Refuses a move without a receiver.

    Args:
        receiver_id: The new owner that the caller names.

    Raises:
        InvalidArgument: It is empty.
    """
    if not receiver_id:
        raise InvalidArgument("owner_id", "must not be empty", reason="MISSING_FIELD")
