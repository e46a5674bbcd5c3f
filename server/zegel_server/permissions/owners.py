"""The two ends of a move: who may give away what somebody owns, and to whom.

Invariants:

* Nobody gives to whom they do not reach: a receiver is the caller itself, a team that it is in, a member who delegates
  to it, or, with the permission to make such a thing in any resource, anybody in the tenant.
* What a team owns leaves it by the hand of whoever runs the team. A delegation carries no move at all: what was given
  away would outlast it.
* Nobody lets another reach by a move what they do not themselves reach: by every permission that the receiver, or
  anybody in the team that receives, holds in what is their own. What the caller could still grant is among them.
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
"""What whoever runs a team holds in it."""


class Owners:
    """Whom work can be given to.

    Args:
        policies: What principals may do.
        known: Every permission that a method demands.
    """

    def __init__(self, policies: Policies, known: Collection[str]) -> None:
        self._policies = policies
        self._known = known

    async def check_move(
        self, reader: Reader, caller: Caller, *, giver_id: str, receiver_id: str, moving: str, making: str
    ) -> None:
        """Refuses a move that the caller may not make; that it reaches what is moved was seen before.

        Args:
            reader: Where the rows are.
            caller: Who moves it.
            giver_id: Who owns it.
            receiver_id: Who is to own it.
            moving: The permission by which the caller reaches it, such as ``document.move``.
            making: The permission by which it reaches the receiver, such as ``document.create``.

        Raises:
            NotFound: There is no such receiver, or the caller does not reach it.
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
                "What a team owns is given away by whoever holds team.update in it.",
                reason="GRANT_EXCEEDS_GRANTER",
                permission=RUNS_TEAM,
            )
        snapshot = await self._policies.snapshot(caller.tenant_id, caller.policy_version)
        held = await held_within(reader, snapshot.policy, receiver_id, self._known)
        check_reaches_all(caller, giver_id, {name: scope & Scope.OWN for name, scope in held.items()}, self._known)


def check_named(receiver_id: str) -> None:
    """Refuses a move to nobody.

    Args:
        receiver_id: Who is to own it, as the caller says.

    Raises:
        InvalidArgument: It is empty.
    """
    if not receiver_id:
        raise InvalidArgument("owner_id", "must not be empty", reason="MISSING_FIELD")
