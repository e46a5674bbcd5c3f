"""One access decision, at 10, 1,000 and 10,000 tenants, against plain pycasbin with the same rules.

A decision is what each request does: it calls ``Policies.holdings`` with the version read when the session was looked
up, and checks the permission. The rows are in a real SQLite database; 1 % of the principals are active, in random
order. Plain pycasbin walks through every rule for each decision, so it gets only the smallest set, in full. Its time
grows with the number of rules and the server's does not, so the reported ratio is a lower bound.
"""

import asyncio
import gc
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import casbin
from sqlalchemy import create_engine

from bench import _run
from zegel_server.caller import Scope
from zegel_server.db import open_database
from zegel_server.db.schema import metadata
from zegel_server.permissions.decisions import MODEL, rules
from zegel_server.permissions.model import BUILT_IN, NOT_BINDABLE, Grant, Role
from zegel_server.permissions.policies import Policies

SHAPES: Final = {
    "small": {10: 1_000, 1_000: 20, 10_000: 10},
    "large": {10: 100_000, 1_000: 1_000, 10_000: 100},
}
"""Number of bindings of each tenant, by the number of tenants."""
DECISIONS: Final = {"small": 60_000, "large": 1_000_000}
ACTIVE: Final = 0.01
LEAST_ACTIVE: Final = 1_000
COLD: Final = 200
"""Number of tenants whose first decision is timed."""
PLAIN: Final = {"small": 40, "large": 400}
"""Number of decisions by plain pycasbin, which takes milliseconds for each."""
ROUNDS: Final = 3

GRANTABLE: Final = sorted({grant.permission for role in BUILT_IN.values() for grant in role.grants})
ROLES: Final = [name for name in BUILT_IN if name not in NOT_BINDABLE]
OWN_ROLES: Final = ("clerk", "head-clerk")


def own_roles() -> tuple[Role, ...]:
    """Returns each tenant's two custom roles, one of which inherits from the other."""
    clerk = frozenset(Grant(name, Scope.OWN) for name in GRANTABLE[:10])
    head = frozenset(Grant(name, Scope.ANY) for name in GRANTABLE[10:20])
    return Role("clerk", "", clerk), Role("head-clerk", "", head, frozenset({"clerk"}))


@dataclass(frozen=True, slots=True)
class Principal:
    """A principal with a role."""

    tenant_id: str
    principal_id: str
    role: str


def principals(tenants: int, each: int) -> Iterator[Principal]:
    """Yields the bindings: one for each principal, with the roles in turn.

    Args:
        tenants: Number of tenants.
        each: Number of bindings of each tenant.
    """
    roles = [*ROLES, *OWN_ROLES]
    for tenant in range(tenants):
        for number in range(each):
            yield Principal(f"ten_{tenant:026}", f"mem_{tenant:010}{number:016}", roles[number % len(roles)])


def fill(path: Path, tenants: int, each: int) -> None:
    """Creates the database.

    Args:
        path: Its file.
        tenants: Number of tenants.
        each: Number of bindings of each tenant.
    """
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    names = [f"ten_{tenant:026}" for tenant in range(tenants)]
    made = own_roles()
    with closing(sqlite3.connect(path)) as rows:
        rows.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;")
        rows.executemany(
            "INSERT INTO tenants (tenant_id, pseudonym, name, policy_version, create_time, revision)"
            " VALUES (?, ?, 'T', 1, 0, 1)",
            ((name, name) for name in names),
        )
        rows.executemany(
            "INSERT INTO roles (tenant_id, role, revision) VALUES (?, ?, 1)",
            ((name, role.name) for name in names for role in made),
        )
        rows.executemany(
            "INSERT INTO role_grants (tenant_id, role, permission, scope) VALUES (?, ?, ?, ?)",
            (
                (name, role.name, grant.permission, grant.scope.name)
                for name in names
                for role in made
                for grant in role.grants
            ),
        )
        rows.executemany(
            "INSERT INTO role_parents (tenant_id, role, parent) VALUES (?, ?, ?)",
            ((name, role.name, parent) for name in names for role in made for parent in role.parents),
        )
        rows.executemany(
            "INSERT INTO bindings (tenant_id, principal_id, role, expire_time, create_time, creator_id)"
            " VALUES (?, ?, ?, NULL, 0, '')",
            ((one.tenant_id, one.principal_id, one.role) for one in principals(tenants, each)),
        )
        rows.commit()


@dataclass(frozen=True, slots=True)
class Measured:
    """The results for one size; times in microseconds, except ``cold_ms`` and ``cold_p99_ms`` in milliseconds."""

    p50_us: float
    p99_us: float
    cold_ms: float
    cold_p99_ms: float
    memory_mib: float
    active: int


def anonymous_mib() -> float:
    """Returns this process's anonymous memory, which does not come from files (proc(5))."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("bench: /proc/self/status has no RssAnon: this needs Linux")


def quantile(sorted_times: Sequence[int], part: float) -> float:
    """Returns a quantile of sorted times."""
    return sorted_times[min(len(sorted_times) - 1, int(len(sorted_times) * part))]


async def measure(path: Path, tenants: int, each: int, decisions: int, choose: random.Random) -> Measured:
    """Measures one size.

    Args:
        path: The database.
        tenants: Number of tenants in it.
        each: Number of bindings of each tenant.
        decisions: Number of decisions timed in each round.
        choose: Chooses the active principals, and the caller of each decision.
    """
    total = tenants * each
    wanted = set(choose.sample(range(total), min(total, max(LEAST_ACTIVE, int(total * ACTIVE)))))
    active = [one for number, one in enumerate(principals(tenants, each)) if number in wanted]
    database = await open_database(f"sqlite:///{path}")
    try:
        await Policies(database).warm()  # as a server does before it serves
        cold = await first_decisions(Policies(database), active)
        gc.collect()
        before = anonymous_mib()
        policies = Policies(database)
        for one in active:
            decide = (await policies.holdings(one.tenant_id, 1, one.principal_id)).decide
            decide("document.read")
            decide("signature_request.create")
        gc.collect()
        memory = anonymous_mib() - before
        asked = [choose.choice(active) for _ in range(decisions)]
        rounds = []
        for _ in range(ROUNDS):
            times = []
            clock = time.perf_counter_ns
            for one in asked:
                began = clock()
                decide = (await policies.holdings(one.tenant_id, 1, one.principal_id)).decide
                decide("document.read")
                times.append(clock() - began)
            times.sort()
            rounds.append((quantile(times, 0.5) / 1_000, quantile(times, 0.99) / 1_000))
            await asyncio.sleep(0)
    finally:
        await database.close()
    return Measured(
        p50_us=_run.median([each[0] for each in rounds]),
        p99_us=_run.median([each[1] for each in rounds]),
        cold_ms=cold[0],
        cold_p99_ms=cold[1],
        memory_mib=memory,
        active=len(active),
    )


async def first_decisions(policies: Policies, active: Sequence[Principal]) -> tuple[float, float]:
    """Returns the median and the p99, in milliseconds, of the first decision for tenants that have had no call yet."""
    firsts: dict[str, Principal] = {}
    for one in active:
        # The most expensive kind: a custom role that inherits from another.
        if one.role == "head-clerk" or one.tenant_id not in firsts:
            firsts[one.tenant_id] = one
    times = []
    for one in list(firsts.values())[:COLD]:
        began = time.perf_counter_ns()
        decide = (await policies.holdings(one.tenant_id, 1, one.principal_id)).decide
        decide(GRANTABLE[0])
        times.append(time.perf_counter_ns() - began)
    times.sort()
    return quantile(times, 0.5) / 1e6, quantile(times, 0.99) / 1e6


def plain(tenants: int, each: int, questions: int, choose: random.Random) -> tuple[float, int]:
    """Measures plain pycasbin with every rule of the smallest set.

    Args:
        tenants: Number of tenants.
        each: Number of bindings of each tenant.
        questions: Number of decisions timed.
        choose: Chooses the caller of each decision.

    Returns:
        The median in microseconds, and the number of rules.
    """
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
    held = 0
    for tenant in range(tenants):
        grants, parents = rules([*(BUILT_IN[name] for name in ROLES), *own_roles()], f"ten_{tenant:026}")
        enforcer.add_policies(grants)
        enforcer.add_grouping_policies(parents)
        held += len(grants) + len(parents)
    everybody = list(principals(tenants, each))
    enforcer.add_grouping_policies([[one.principal_id, one.role, one.tenant_id] for one in everybody])
    held += len(everybody)
    times = []
    for _ in range(questions):
        one = choose.choice(everybody)
        began = time.perf_counter_ns()
        # A decision returns the scopes that the caller has; for pycasbin, each scope is a separate check.
        for scope in ("OWN", "PARTY", "ANY"):
            enforcer.enforce(one.principal_id, one.tenant_id, "document.read", scope)
        times.append((time.perf_counter_ns() - began) / 1_000)
    return statistics.median(times), held


def main() -> None:
    """Measures and prints."""
    size = _run.arguments(str(__doc__).partition("\n")[0]).size
    choose = random.Random(1)  # noqa: S311 - a choice that repeats, not a secret
    found: dict[int, Measured] = {}
    for tenants, each in SHAPES[size].items():
        with tempfile.TemporaryDirectory(prefix="zegel-bench-") as folder:
            path = Path(folder) / "rows.db"
            fill(path, tenants, each)
            found[tenants] = asyncio.run(measure(path, tenants, each, DECISIONS[size], choose))
        one = found[tenants]
        what = f"{tenants:,} tenants, {tenants * each:,} bindings, {one.active:,} active, {one.memory_mib:.1f} MiB"
        cold = f"p50 {one.cold_ms:.2f} ms, p99 {one.cold_p99_ms:.2f} ms"
        print(f"{what}: p50 {one.p50_us:.2f} us, p99 {one.p99_us:.2f} us; first decision {cold}")
    fewest = min(SHAPES[size])
    # At most 1,000 bindings per tenant: pycasbin takes minutes to load more, and decides no faster with them.
    plain_us, held = plain(fewest, min(1_000, SHAPES[size][fewest]), PLAIN[size], choose)
    print(f"plain pycasbin with the {held:,} rules of {fewest} tenants: {plain_us:,.0f} us a decision", flush=True)
    most = max(found)
    _run.finish(
        p50_us=_run.rounded(found[most].p50_us, 2),
        p99_us=_run.rounded(found[most].p99_us, 2),
        p99_us_by_tenants={str(tenants): _run.rounded(one.p99_us, 2) for tenants, one in found.items()},
        cold_ms=_run.rounded(max(one.cold_ms for one in found.values())),
        cold_p99_ms=_run.rounded(max(one.cold_p99_ms for one in found.values())),
        ratio_to_pycasbin=_run.rounded(plain_us / found[fewest].p50_us, 0),
        memory_mib=_run.rounded(max(one.memory_mib for one in found.values()), 1),
        pycasbin_us=_run.rounded(plain_us, 0),
        pycasbin_rules=held,
        bindings={str(tenants): tenants * each for tenants, each in SHAPES[size].items()},
    )


if __name__ == "__main__":
    main()
