"""``request_id``: a call made twice with the same arguments is done once, and answered twice (AIP-155).

Invariants:

* A ``request_id`` counts within a caller and a method: the same one in two methods names two calls.
* The answer is stored in the transaction of the change: either both are there or neither.
* An answer that holds a token is stored without it: a secret that is shown once is not kept.
* Of the request a keyed hash is stored: names and addresses are guessed soon enough, and without the tenant's key no
  guess can be checked. The key is one that no rotation changes.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message
from sqlalchemy import delete, select

from zegel_server import clock
from zegel_server.caller import Caller
from zegel_server.db import Database, Statement, Transaction, UniqueViolation, bind, insert_into
from zegel_server.db.schema import idempotency
from zegel_server.edge import validation
from zegel_server.errors import Aborted, AlreadyExists, FailedPrecondition, ResourceExhausted

KEPT: Final = 2 * clock.DAY
"""How long an answer is kept: the contract promises a day at least."""

M = TypeVar("M", bound=Message)
T = TypeVar("T")

Keep = Callable[[Transaction, T], Awaitable[None]]
"""Stores the answer that a use case's result makes, in the use case's own transaction, for a repetition of the call."""


async def keep_nothing(_transaction: Transaction, _result: object) -> None:
    """The ``Keep`` of a use case that no repeatable call stands behind: it stores nothing."""


_LABEL: Final = b"zegel/request/v1"
_KEYED: Final = b"\x01"
"""Begins a keyed hash: 33 bytes then, where the plain SHA-256 that earlier servers stored has 32."""

_LATE: Final = (UniqueViolation, Aborted, AlreadyExists, FailedPrecondition, ResourceExhausted)
"""What a call can run into because the same call, made at the same time, was done first."""

_SELECT: Final = Statement(
    select(idempotency.c.request_id, idempotency.c.request_hash, idempotency.c.response).where(
        idempotency.c.tenant_id == bind("tenant_id"),
        idempotency.c.principal_id == bind("principal_id"),
        idempotency.c.request_id.in_((bind("name"), bind("request_id"))),
    )
)
_INSERT: Final = insert_into(idempotency)
FORGET: Final = Statement(delete(idempotency).where(idempotency.c.create_time < bind("before")))
"""Deletes answers that were kept long enough."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may be a repetition of an earlier one, or be repeated.

    Attributes:
        database: Where answers are kept.
        caller: Who calls; another's ``request_id`` is another.
        request_id: The call's; empty where it is none that can be repeated.
        name: Under which its answer is kept: its method's request, and its ``request_id``.
        plain: SHA-256 of the request: it is stored nowhere.
        keyed: What is stored of the request.
    """

    database: Database
    caller: Caller
    request_id: str
    name: str
    plain: bytes = field(repr=False)
    keyed: bytes

    async def earlier(self, answer: type[M]) -> M | None:
        """The answer to the same call made before, if there was one.

        Args:
            answer: The answer's type.

        Raises:
            AlreadyExists: The method had the ``request_id`` before, with other arguments (``REQUEST_ID_REUSED``).
        """
        if not self.request_id:
            return None
        rows = await self.database.fetch(
            _SELECT,
            tenant_id=self.caller.tenant_id,
            principal_id=self.caller.principal_id,
            name=self.name,
            request_id=self.request_id,
        )
        for row in rows:
            # A row from before an upgrade has the plain hash, for two days at most.
            if row.request_hash in {self.keyed, self.plain}:
                return answer.FromString(row.response)
        # One from before names no method: with another hash, it may be another method's.
        if any(row.request_id == self.name for row in rows):
            raise AlreadyExists(
                "The request_id was used before in this method, with other arguments.", reason="REQUEST_ID_REUSED"
            )
        return None

    async def remember(self, transaction: Transaction, answer: Message) -> None:
        """Stores the answer for a repetition of the call.

        Args:
            transaction: That of the change.
            answer: The answer; its tokens are not stored.

        Raises:
            UniqueViolation: The same call was made at the same time; ask ``earlier`` again.
        """
        if not self.request_id:
            return
        await transaction.execute(
            _INSERT,
            tenant_id=self.caller.tenant_id,
            principal_id=self.caller.principal_id,
            request_id=self.name,
            request_hash=self.keyed,
            response=_without_tokens(answer).SerializeToString(),
            create_time=clock.now(),
        )


def _without_tokens(answer: M) -> M:
    """An answer without what its fields named ``token`` or ``…_token`` hold."""
    bare = type(answer)()
    bare.CopyFrom(answer)
    for each in answer.DESCRIPTOR.fields:
        if each.name == "token" or each.name.endswith("_token"):
            bare.ClearField(each.name)
    return bare


class KeyedHashes(Protocol):
    """Makes hashes that only their tenant's key makes again; the key domain stands above the edge."""

    async def keyed_hash(self, tenant_id: str, label: bytes, data: bytes) -> bytes:
        """A tenant's hash of bytes.

        Args:
            tenant_id: Whose key.
            label: What for; another label is another hash.
            data: What to hash.
        """
        ...


class Answers:
    """Answers that are kept for repetitions.

    Args:
        database: Where they are.
        keys: Makes the hashes by which a request is known again.
    """

    def __init__(self, database: Database, keys: KeyedHashes) -> None:
        self._database = database
        self._keys = keys

    async def call(self, caller: Caller, request: Message) -> Call:
        """A call, known again by its caller, its method, its ``request_id`` and its arguments; before any transaction.

        Args:
            caller: Who calls.
            request: The request, with a field ``request_id``.

        Raises:
            InvalidArgument: The ``request_id`` is malformed.
            Unavailable: The key provider does not answer.
        """
        request_id = validation.request_id(request.request_id)  # type: ignore[attr-defined]
        if not request_id:
            return Call(self._database, caller, "", "", b"", b"")
        method = request.DESCRIPTOR.full_name
        data = method.encode() + b"\0" + request.SerializeToString(deterministic=True)
        plain = hashlib.sha256(data).digest()
        keyed = await self._keys.keyed_hash(caller.tenant_id, _LABEL, plain)
        return Call(self._database, caller, request_id, f"{method}/{request_id}", plain, _KEYED + keyed)

    async def once(
        self,
        caller: Caller,
        request: Message,
        kind: type[M],
        act: Callable[[Keep[T]], Awaitable[T]],
        answer: Callable[[T], M],
        *,
        kept: Callable[[T], M] | None = None,
        restore: Callable[[M], Awaitable[None]] | None = None,
    ) -> M:
        """Does a call once, and answers it as often as it is made, also where it is made twice at the same time.

        Args:
            caller: Who calls.
            request: The request, with a field ``request_id``.
            kind: The answer's type.
            act: Does it; it must await what it is given with its transaction and its result, as the last step of the
                transaction.
            answer: Makes the answer of the result.
            kept: Makes what of the answer is stored, where that is not all of it. Tokens are never stored.
            restore: Adds to a stored answer what was not stored of it, such as a new token.

        Returns:
            The answer: of the result, or the one stored before with what ``restore`` added.

        Raises:
            Aborted: The same call was being made at the same time.
            AlreadyExists: The method had the ``request_id`` before, with other arguments (``REQUEST_ID_REUSED``).
            InvalidArgument: The ``request_id`` is malformed.
            Unavailable: The key provider does not answer.
        """
        call = await self.call(caller, request)
        make_kept = kept or answer

        async def keep(transaction: Transaction, result: T) -> None:
            await call.remember(transaction, make_kept(result))

        before = await call.earlier(kind)
        if before is None:
            try:
                return answer(await act(keep))
            except _LATE as error:
                before = await call.earlier(kind)
                if before is None and isinstance(error, UniqueViolation):
                    raise Aborted("The same call is being made at the same time; try again.") from None
                if before is None:
                    raise
        if restore is not None:
            await restore(before)
        return before
