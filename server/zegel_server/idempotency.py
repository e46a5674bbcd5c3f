"""``request_id``: a call made twice with the same arguments is done once, and answered twice (AIP-155).

Invariants:

* The answer is stored in the transaction of the change: either both are there or neither.
* An answer that holds a token is stored without it: a secret that is told once is not kept.
"""

import hashlib
from typing import Final, TypeVar

from google.protobuf.message import Message
from sqlalchemy import delete, select

from zegel_server import clock, validation
from zegel_server.caller import Caller
from zegel_server.db import Database, Statement, Transaction, bind, insert_into
from zegel_server.db.schema import idempotency
from zegel_server.errors import AlreadyExists

KEPT: Final = 2 * clock.DAY
"""How long an answer is kept: the contract promises a day at least."""

M = TypeVar("M", bound=Message)

_SELECT: Final = Statement(
    select(idempotency.c.request_hash, idempotency.c.response).where(
        idempotency.c.tenant_id == bind("tenant_id"),
        idempotency.c.principal_id == bind("principal_id"),
        idempotency.c.request_id == bind("request_id"),
    )
)
_INSERT: Final = insert_into(idempotency)
FORGET: Final = Statement(delete(idempotency).where(idempotency.c.create_time < bind("before")))
"""Deletes answers that were kept long enough."""


def _hash(request: Message) -> bytes:
    data = request.DESCRIPTOR.full_name.encode() + b"\0" + request.SerializeToString(deterministic=True)
    return hashlib.sha256(data).digest()


async def earlier_answer(database: Database, caller: Caller, request: Message, answer: type[M]) -> M | None:
    """The answer to the same call made before, if there was one.

    Args:
        database: Where answers are kept.
        caller: Who calls; another's ``request_id`` is another.
        request: The request, with a field ``request_id``.
        answer: The answer's type.

    Raises:
        AlreadyExists: The ``request_id`` was used with other arguments (``REQUEST_ID_REUSED``).
        InvalidArgument: The ``request_id`` is malformed.
    """
    request_id = validation.request_id(request.request_id)  # type: ignore[attr-defined]
    if not request_id:
        return None
    row = await database.fetch_one(
        _SELECT, tenant_id=caller.tenant_id, principal_id=caller.principal_id, request_id=request_id
    )
    if row is None:
        return None
    if row.request_hash != _hash(request):
        raise AlreadyExists("The request_id was used before with other arguments.", reason="REQUEST_ID_REUSED")
    return answer.FromString(row.response)


async def remember(transaction: Transaction, caller: Caller, request: Message, answer: Message) -> None:
    """Stores the answer for a repetition of the call.

    Args:
        transaction: That of the change.
        caller: Who calls.
        request: The request, with a field ``request_id``.
        answer: The answer, without any token.

    Raises:
        UniqueViolation: The same call is being made at the same time; ask ``earlier_answer`` again.
    """
    if not request.request_id:  # type: ignore[attr-defined]
        return
    await transaction.execute(
        _INSERT,
        tenant_id=caller.tenant_id,
        principal_id=caller.principal_id,
        request_id=request.request_id,  # type: ignore[attr-defined]
        request_hash=_hash(request),
        response=answer.SerializeToString(),
        create_time=clock.now(),
    )
