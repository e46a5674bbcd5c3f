"""Whom work can be given to, as a rule: nobody comes to more by a move than whoever makes it has."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import assume, event, given
from hypothesis import strategies as st

from zegel_server.caller import Caller, PrincipalKind, Scope, Share
from zegel_server.errors import NotFound, PermissionDenied
from zegel_server.permissions import store
from zegel_server.permissions.model import SCOPES, Grant, Policy, Role
from zegel_server.permissions.owners import RUNS_TEAM, Owners
from zegel_server.permissions.policies import Snapshot

MOVE, MAKE = "document.move", "document.create"
WORK = (MOVE, MAKE, "document.read", "document.purge", "signature_request.open", "audit.read")
KNOWN = (*WORK, RUNS_TEAM, "session.create")
TENANT, ME, OTHER = "ten_x", "mem_" + "0" * 26, "mem_" + "1" * 26
TEAM, THEIR_TEAM = "tea_" + "0" * 26, "tea_" + "1" * 26
OWNERS = (ME, OTHER, TEAM, THEIR_TEAM)

FEW = st.dictionaries(st.sampled_from(KNOWN), st.sampled_from([Scope.NONE, *SCOPES]), max_size=3)
BASES = st.sampled_from([Scope.NONE, Scope.OWN, Scope.OWN, Scope.ANY])
HELD = st.builds(lambda base, changes: {**dict.fromkeys(KNOWN, base), **changes}, BASES, FEW)
"""Nothing, or everything in one scope, and then a few things otherwise."""


@dataclass(frozen=True)
class Move:
    """A move: what its maker holds, and the receiver; and the delegator to the maker, where there is one."""

    mine: Mapping[str, Scope]
    theirs: Mapping[str, Scope]
    delegators: Mapping[str, Scope] | None
    giver: str
    receiver: str
    absent: str


MOVES = st.builds(
    Move,
    HELD,
    HELD,
    st.none() | HELD,
    st.sampled_from(OWNERS),
    st.sampled_from(OWNERS),
    st.sampled_from(("", "", "", *OWNERS)),
)


@dataclass(frozen=True)
class Row:
    role: str


@dataclass(frozen=True)
class Rows:
    """The few rows that are asked for: everybody is there, and whoever receives has one role."""

    absent: str

    async def fetch_one(self, statement: Any, **named: Any) -> Row | None:
        assert statement is store.OWNER
        return None if named["owner_id"] == self.absent else Row("")

    async def fetch(self, statement: Any, **named: Any) -> list[Row]:
        assert statement is store.ROLES_WITHIN
        assert named["tenant_id"] == TENANT
        return [Row("receiver")]


@dataclass(frozen=True)
class OneSnapshot:
    """The tenant's policy."""

    policy: Policy

    async def snapshot(self, tenant_id: str, version: int) -> Snapshot:
        assert (tenant_id, version) == (TENANT, 1)
        return Snapshot(self.policy)


def policy_of(receiver: Mapping[str, Scope]) -> Policy:
    grants = frozenset(Grant(name, scope) for name, scopes in receiver.items() for scope in SCOPES if scopes & scope)
    return Policy(TENANT, 1, {"receiver": Role("receiver", "", grants)})


def mover(mine: Mapping[str, Scope], delegators: Mapping[str, Scope] | None) -> Caller:
    shares = {TEAM: Share(TEAM)}
    if delegators is not None:
        shares[OTHER] = Share(OTHER, "dlg_x", None, None, lambda name: delegators.get(name, Scope.NONE))
    decide = lambda name: mine.get(name, Scope.NONE)  # noqa: E731 - a value, as a session has it
    return Caller(TENANT, ME, PrincipalKind.MEMBER, "ses_x", "sub_x", "", 1, decide, shares=shares)


def outcome(move: Move, caller: Caller) -> str:
    """``NOT_FOUND``, the permission that is in the way, or nothing."""
    owners = Owners(OneSnapshot(policy_of(move.theirs)), KNOWN)  # type: ignore[arg-type]
    asked = owners.check_move(
        Rows(move.absent),
        caller,
        giver_id=move.giver,
        receiver_id=move.receiver,
        moving=MOVE,
        making=MAKE,
    )
    try:
        asyncio.run(asked)
    except NotFound:
        return "NOT_FOUND"
    except PermissionDenied as refused:
        return f"{refused.reason} {refused.metadata['permission']}"
    return ""


@given(MOVES)
def test_nobody_comes_to_more_by_a_move_than_whoever_makes_it_has(move: Move) -> None:
    mine, giver, receiver = move.mine, move.giver, move.receiver
    caller = mover(mine, move.delegators)
    assume(caller.reaches(MOVE, owner_id=giver))  # else it is not found, before it is asked whom to give it to
    lent = move.delegators is not None and bool(move.delegators[MAKE] & (Scope.OWN | Scope.ANY))
    near = {ME, TEAM, OTHER} if lent else {ME, TEAM}
    reached = bool(mine[MAKE] & Scope.ANY) or (bool(mine[MAKE] & Scope.OWN) and receiver in near)
    runs = bool(mine[MOVE] & Scope.ANY or mine[RUNS_TEAM] & (Scope.OWN | Scope.ANY)) or not giver.startswith("tea_")
    said = outcome(move, caller)
    event(said.partition(" ")[0] or "moved")
    # What the receiver does with it, and what the mover could do as the receiver, the mover could do before.
    wanted = {name for name in WORK if move.theirs[name] & Scope.OWN or mine[name]}
    missing = {name for name in wanted if not caller.reaches(name, owner_id=giver)}
    if not reached or receiver == move.absent:
        assert said == "NOT_FOUND"
    elif not runs:
        assert said == f"GRANT_EXCEEDS_GRANTER {RUNS_TEAM}"
    elif missing:
        assert said == f"GRANT_EXCEEDS_GRANTER {min(missing)}"
    else:
        assert said == ""
