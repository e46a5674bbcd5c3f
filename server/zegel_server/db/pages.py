"""Pages of what several owners own, the newest first, in one query.

Invariants:

* The cost of a page does not grow with how much anybody owns: each owner's newest are read in the order of an index.
* A query has a power of two of branches, one an owner, so that there are few queries to compile and to plan.
"""

import heapq
from collections.abc import Callable, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, Subquery, select, union_all

from zegel_server.db.database import Reader, Row
from zegel_server.db.statement import Statement, bind

MAX_BRANCHES: Final = 64
"""The most owners whose rows one query reads."""


def newest(
    columns: Sequence[Any],
    *conditions: ColumnElement[bool],
    key: Column[Any],
    owner: Column[Any],
    branches: int,
) -> Subquery:
    """A page of a table's rows, by a descending key: the parameters are ``before``, ``limit`` and the owners.

    Args:
        columns: The columns to read; the key is one of them.
        conditions: What else the rows fulfil.
        key: The key.
        owner: The column with the owner.
        branches: How many owners there are (``owner_0``, ...); 0 for everybody's rows.
    """

    def first(query: Select[Any]) -> Select[Any]:
        return query.order_by(query.selected_columns[key.key].desc()).limit(bind("limit"))

    wanted = (*conditions, key < bind("before"))
    if branches == 0:
        return first(select(*columns).where(*wanted)).subquery("page")
    own = [
        first(select(*columns).where(*wanted, owner == bind(f"owner_{number}"))).subquery(f"own_{number}")
        for number in range(branches)
    ]
    if branches == 1:
        return own[0]
    every = union_all(*(select(*each.c) for each in own)).subquery("every")
    return first(select(*every.c)).subquery("page")


async def fetch_newest(
    reader: Reader,
    statement: Callable[[int], Statement],
    owners: Sequence[str] | None,
    *,
    key: str,
    limit: int,
    **values: Any,
) -> Sequence[Row]:
    """Reads a page: in one query up to ``MAX_BRANCHES`` owners.

    Args:
        reader: Where the rows are.
        statement: Makes the query for a number of branches.
        owners: Only theirs; ``None`` for everybody's.
        key: Name of the key.
        limit: The most rows.
        values: The query's other parameters.
    """
    if owners is None:
        return await reader.fetch(statement(0), limit=limit, **values)
    pages = []
    for first in range(0, len(owners), MAX_BRANCHES):
        some = owners[first : first + MAX_BRANCHES]
        branches = 1 << (len(some) - 1).bit_length()
        named = {f"owner_{number}": "" for number in range(branches)}  # nobody's, for those left over
        named |= {f"owner_{number}": owner_id for number, owner_id in enumerate(some)}
        pages.append(await reader.fetch(statement(branches), limit=limit, **named, **values))
    if len(pages) == 1:
        return pages[0]
    return list(islice(heapq.merge(*pages, key=attrgetter(key), reverse=True), limit))
