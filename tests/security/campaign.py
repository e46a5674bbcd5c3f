"""Random decisions of a real server, from concurrent clients with live policy changes, against plain pycasbin.

Run: ``python tests/security/campaign.py --decisions 1000000``. It prints one line of JSON, and exits 1 if one differs.

One changer defines, changes and deletes roles and grants and takes them, and notes the policy after each version. Each
client asks what it holds, over and over. An answer must be what the oracle, holding every rule and binding of a
version, says; of a version that was not yet replaced when the question was put, nor made after the answer came.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import casbin
import grpc
import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask

from security.contracts import RPCS
from security.world import LIMITS_OFF, SCOPES
from support.flow import Office, open_office
from support.server import sqlite_server
from zegel.permission.v1 import permission_service_pb2 as pb
from zegel.permission.v1 import permission_service_pb2_grpc as rpc
from zegel_server.caller import Scope
from zegel_server.permissions.decisions import MODEL, rules
from zegel_server.permissions.model import BUILT_IN, Grant, Role

CLIENTS: Final = 8
PAUSE_S: Final = 0.05
"""Between two changes, so that several answers are given on most versions."""
ASKING: Final = "permission.check"
"""What asking itself takes."""
PERMISSIONS: Final = sorted({rpc.permission for rpc in RPCS.values()})
GRANTABLE: Final = sorted({grant.permission for grant in BUILT_IN["owner"].grants if grant.scope is Scope.ANY})
BINDABLE: Final = ("admin", "manager", "developer", "member", "auditor")
OWN_ROLES: Final = tuple(f"role-{number}" for number in range(6))
_NAMES: Final = {number: scope for scope, number in SCOPES.items()}


@dataclass(frozen=True)
class State:
    """A policy as the changer knows it.

    Attributes:
        roles: The tenant's own roles.
        bound: Roles by principal.
    """

    roles: Mapping[str, Role]
    bound: Mapping[str, frozenset[str]]


class Oracle:
    """Plain pycasbin: one enforcer a version, which holds every rule and every binding of it."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant = tenant_id
        self._version = -1
        self._enforcer: Any = None
        self._known: dict[tuple[int, str], frozenset[tuple[str, str]]] = {}

    def held(self, version: int, state: State, principal_id: str) -> frozenset[tuple[str, str]]:
        """Every permission and scope that a principal holds.

        Args:
            version: Of the policy.
            state: The policy.
            principal_id: Who.
        """
        found = self._known.get((version, principal_id))
        if found is None:
            if version != self._version:
                self._enforcer, self._version = self._build(state), version
            found = self._known[version, principal_id] = frozenset(
                (permission, str(scope.name))
                for permission in PERMISSIONS
                for scope in SCOPES
                if self._enforcer.enforce(principal_id, self._tenant, permission, scope.name)
            )
        return found

    def _build(self, state: State) -> Any:
        enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
        grants, parents = rules([*(BUILT_IN[name] for name in BINDABLE), *state.roles.values()], self._tenant)
        enforcer.add_policies(grants)
        bound = [[who, role, self._tenant] for who, roles in state.bound.items() for role in sorted(roles)]
        if parents or bound:
            enforcer.add_grouping_policies([*parents, *bound])
        return enforcer


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, with the versions between which it may lie; ``held`` is ``None`` where it was refused one."""

    principal_id: str
    least: int
    most: int
    told: int
    held: frozenset[tuple[str, str]] | None

    @property
    def decisions(self) -> int:
        """How many decisions it tells of: a refusal, of the scopes of what asking takes."""
        return len(SCOPES) * (1 if self.held is None else len(PERMISSIONS))

    def fits(self, held: frozenset[tuple[str, str]]) -> bool:
        """Whether it is what a principal is told who holds this."""
        if self.held is None:
            return not any(permission == ASKING for permission, _ in held)
        return self.held == held


@dataclass
class Outcome:
    """What came out."""

    decisions: int = 0
    versions: int = 0
    disagreements: list[str] = field(default_factory=list)
    stale: int = 0
    exceptions: int = 0
    seconds: float = 0.0


class Campaign:
    """Clients, a changer, and what they saw.

    Args:
        office: The tenant.
        stub: The server.
        choose: Chooses the changes.
    """

    def __init__(self, office: Office, stub: Any, choose: random.Random) -> None:
        self._office = office
        self._stub = stub
        self._choose = choose
        self._owner = str(office.owner._call.token)
        self.states: dict[int, State] = {}
        self.version = 0
        self.answers: list[Answered] = []
        self.exceptions = 0
        self._asked = 0

    async def _call(self, method: str, request: Any, token: str) -> Any:
        metadata = (("authorization", f"Bearer {token}"),)
        return await getattr(self._stub, method)(request, metadata=metadata, timeout=30)

    async def begin(self, principals: Mapping[str, str]) -> None:
        """Notes the first version.

        Args:
            principals: Token by principal: members of the role ``member``.
        """
        found = await self._call("ListPermissions", pb.ListPermissionsRequest(), self._owner)
        self.version = found.policy_version
        self.states[self.version] = State({}, {who: frozenset({"member"}) for who in principals})

    async def ask(self, principal_id: str, token: str, decisions: int) -> None:
        """Asks until that many decisions were told."""
        while self._asked < decisions:
            least = self.version
            try:
                found = await self._call("ListPermissions", pb.ListPermissionsRequest(), token)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.PERMISSION_DENIED:  # no role that it has lets it ask
                    self.answers.append(Answered(principal_id, least, self.version + 1, least, None))
                    continue
                self.exceptions += 1
                continue
            held = frozenset((each.permission, str(_NAMES[each.scope].name)) for each in found.grants)
            # The change that is under way may have been committed already.
            self.answers.append(Answered(principal_id, least, self.version + 1, found.policy_version, held))
            self._asked += self.answers[-1].decisions

    async def change(self, done: asyncio.Event) -> None:
        """Changes the policy until it is over."""
        while not done.is_set():
            await asyncio.sleep(PAUSE_S)
            before = self.states[self.version]
            method, request, after = self._next(before)
            # Before the call, so that an answer that comes during it finds what it is compared with.
            self.states[self.version + 1] = after
            await self._call(method, request, self._owner)
            self.version += 1

    def _next(self, before: State) -> tuple[str, Any, State]:
        choose = self._choose
        who = choose.choice(sorted(before.bound))
        roles = dict(before.roles)
        free = [name for name in OWN_ROLES if name not in roles]
        roll = choose.random()
        if roll < 0.25 and free:
            role = self._role(choose.choice(free), roles)
            roles[role.name] = role
            return "CreateRole", pb.CreateRoleRequest(role=_message(role)), State(roles, before.bound)
        if roll < 0.5 and roles:
            role = self._role(choose.choice(sorted(roles)), roles)
            roles[role.name] = role
            request = pb.UpdateRoleRequest(role=_message(role), update_mask=FieldMask(paths=["grants", "inherits"]))
            return "UpdateRole", request, State(roles, before.bound)
        if roll < 0.6 and roles:
            name = choose.choice(sorted(roles))
            del roles[name]
            kept = {each.name: Role(each.name, "", each.grants, each.parents - {name}) for each in roles.values()}
            bound = {each: held - {name} for each, held in before.bound.items()}
            return "DeleteRole", pb.DeleteRoleRequest(role=name), State(kept, bound)
        if roll < 0.8 and before.bound[who]:
            name = choose.choice(sorted(before.bound[who]))
            bound = {**before.bound, who: before.bound[who] - {name}}
            return "TakeRole", pb.TakeRoleRequest(principal_id=who, role=name), State(roles, bound)
        name = choose.choice([*BINDABLE, *sorted(roles)])
        bound = {**before.bound, who: before.bound[who] | {name}}
        return "GrantRole", pb.GrantRoleRequest(principal_id=who, role=name), State(roles, bound)

    def _role(self, name: str, roles: Mapping[str, Role]) -> Role:
        choose = self._choose
        grants = {Grant(choose.choice(GRANTABLE), choose.choice(list(SCOPES))) for _ in range(choose.randrange(12))}
        # Of roles with a smaller name alone, so that there is never a cycle.
        parents = [each for each in [*BINDABLE, *roles] if each < name and each != name]
        picked = frozenset(choose.sample(parents, min(len(parents), choose.randrange(3))))
        return Role(name, "", frozenset(grants), picked)

    def compare(self, oracle: Oracle) -> Outcome:
        """Holds every answer against the oracle.

        Args:
            oracle: The oracle.
        """
        outcome = Outcome(versions=len(self.states), exceptions=self.exceptions)
        for answer in sorted(self.answers, key=lambda each: each.least):
            outcome.decisions += answer.decisions
            outcome.stale += answer.told < answer.least
            versions = [each for each in range(answer.least, answer.most + 1) if each in self.states]
            if not any(
                answer.fits(oracle.held(version, self.states[version], answer.principal_id)) for version in versions
            ):
                told = "refused" if answer.held is None else sorted(answer.held)
                outcome.disagreements.append(f"{answer.principal_id} at {versions}: {told}")
        return outcome


def _message(role: Role) -> pb.Role:
    grants = [pb.Grant(permission=each.permission, scope=SCOPES[each.scope]) for each in sorted(role.grants)]
    return pb.Role(name=role.name, grants=grants, inherits=sorted(role.parents))


async def _run(office: Office, principals: Mapping[str, str], decisions: int, seed: int) -> Outcome:
    server = office.server
    credentials = grpc.ssl_channel_credentials(server.authority)
    choose = random.Random(seed)  # noqa: S311 - chooses changes, no secret
    async with grpc.aio.secure_channel(server.listen, credentials) as channel:
        campaign = Campaign(office, rpc.PermissionServiceStub(channel), choose)
        await campaign.begin(principals)
        done = asyncio.Event()
        changing = asyncio.create_task(campaign.change(done))
        began = time.monotonic()
        await asyncio.gather(*(campaign.ask(who, token, decisions) for who, token in principals.items()))
        seconds = time.monotonic() - began
        done.set()
        await changing
    outcome = campaign.compare(Oracle(office.tenant_id))
    outcome.seconds = seconds
    return outcome


def campaign(decisions: int, seed: int) -> Outcome:
    """Runs one on a server of its own.

    Args:
        decisions: How many.
        seed: Of the changes.
    """
    with sqlite_server(environment=LIMITS_OFF) as server, open_office(server, "Campaign") as office:
        principals = {}
        for number in range(CLIENTS):
            made = office.owner.identity.create_member(name="M", email=f"m{number}@example.com", roles=["member"])
            opened = office.owner.identity.create_session(member_id=made.member.member_id)
            principals[made.member.member_id] = opened.token
        return asyncio.run(_run(office, principals, decisions, seed))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcome = campaign(arguments.decisions, arguments.seed)
    for each in outcome.disagreements[:20]:
        sys.stdout.write(f"{each}\n")
    figures = {
        "decisions": outcome.decisions,
        "versions": outcome.versions,
        "clients": CLIENTS,
        "disagreements": len(outcome.disagreements),
        "stale": outcome.stale,
        "exceptions": outcome.exceptions,
        "seconds": round(outcome.seconds, 1),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.exit(bool(outcome.disagreements or outcome.stale or outcome.exceptions))


if __name__ == "__main__":
    main()
