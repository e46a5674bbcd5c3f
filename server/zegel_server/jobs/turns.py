"""Whose turn it is: the order in which the tenants' due jobs of one kind are taken.

Tenants are served in the order of their identifiers, from where the last turn ended, those first that have the fewest
jobs running here. So a tenant that comes waits for at most one job of each other that waits, however many these have.

Invariants:

* A tenant has at most its share of a process's jobs of a kind, so one tenant's jobs that hang hold up no other's.
* A look costs the same however many jobs wait: it visits at most ``WINDOW`` tenants, and the next look goes on there.
"""

from collections import Counter
from typing import Final

from zegel_server.db import Row, Transaction
from zegel_server.jobs import store

WINDOW: Final = 1_000
"""Tenants with waiting jobs that one look visits: most have some due, so it ends long before that."""


class Turns:
    """The turns of the tenants in one process, for one kind of job.

    Args:
        share: How many jobs of a tenant may run at a time; 0 for no limit.

    Attributes:
        is_cut_short: Whether the last look ended before it had visited every tenant, and found fewer jobs than it could
            have taken.
    """

    def __init__(self, share: int = 0) -> None:
        self._share = share
        self._running: Counter[str] = Counter()
        self._after = ""
        self.is_cut_short = False

    def begun(self, tenant_id: str) -> None:
        """Counts a job that begins.

        Args:
            tenant_id: Whose.
        """
        self._running[tenant_id] += 1

    def ended(self, tenant_id: str) -> None:
        """Counts a job that has ended.

        Args:
            tenant_id: Whose.
        """
        self._running[tenant_id] -= 1
        if not self._running[tenant_id]:
            del self._running[tenant_id]

    async def take(self, transaction: Transaction, kind: str, now: int, limit: int) -> list[Row]:
        """Finds due jobs, and locks their rows where the database does.

        Args:
            transaction: The one that will claim them.
            kind: Which kind of job.
            now: The time, in microseconds since the epoch.
            limit: How many at most.

        Raises:
            Unavailable: The database does not answer.
        """
        found: list[Row] = []
        visited = await self._visit(transaction, kind, now, limit + len(self._running))
        free = sorted((each for each in visited if self._left(each, limit)), key=self._running.__getitem__)
        each_ones = -(-limit // max(1, len(free)))
        for tenant_id in free:
            if len(found) >= limit:
                break
            most = min(each_ones, self._left(tenant_id, limit), limit - len(found))
            rows = await transaction.fetch(store.DUE_OF_TENANT, kind=kind, tenant_id=tenant_id, now=now, limit=most)
            found += rows
            if rows and not self.is_cut_short:
                self._after = tenant_id
        if self.is_cut_short and len(found) < limit:
            found += await self._oldest(transaction, kind, now, limit, found)
        self.is_cut_short = self.is_cut_short and len(found) < limit
        return found

    def _left(self, tenant_id: str, limit: int) -> int:
        """How many more jobs of a tenant may run here, up to a limit."""
        return max(0, min(limit, self._share - self._running[tenant_id])) if self._share else limit

    async def _visit(self, transaction: Transaction, kind: str, now: int, limit: int) -> list[str]:
        """Tenants with a job due, in the order of their turns; if cut short, the next look begins behind the last."""
        found = list[str]()
        begins = self._after
        self.is_cut_short = False
        for after in (begins, "") if begins else ("",):
            rows = await transaction.fetch(
                store.TENANTS, kind=kind, after=after, now=now, limit=limit - len(found), window=WINDOW
            )
            found += [row.tenant_id for row in rows if row.is_due and row.tenant_id not in found]
            if len(found) >= limit:
                break
            if rows and rows[-1].step == WINDOW:
                self.is_cut_short = True
                self._after = rows[-1].tenant_id
                break
        return found

    async def _oldest(self, transaction: Transaction, kind: str, now: int, limit: int, taken: list[Row]) -> list[Row]:
        """Those due for longest, whoever's they are, so that what is due is done even where few tenants have any."""
        known, more = {row.job_id for row in taken}, Counter(row.tenant_id for row in taken)
        found = list[Row]()
        for row in await transaction.fetch(store.DUE, kind=kind, now=now, limit=limit):
            more[row.tenant_id] += 1
            is_free = more[row.tenant_id] <= self._left(row.tenant_id, limit)
            if row.job_id not in known and is_free and len(taken) + len(found) < limit:
                found.append(row)
        return found
