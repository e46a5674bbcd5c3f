"""``request_id``: a call made twice with the same arguments is executed once, and answered twice (AIP-155).

Invariants:

* A ``request_id`` is specific to a caller and a method: the same one in two methods identifies two calls.
* The answer is stored in the transaction of the change: either both exist or neither.
* An answer is stored encrypted under the tenant's key, since it repeats what people typed.
* An answer that contains a token is stored without it: a secret that is shown only once is not kept.
* A keyed hash of the request is stored. From a plain hash, names and addresses could be guessed; without the tenant's
  key no guess can be checked. This key does not change in a rotation.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message
from sqlalchemy import delete, select

from zegel_server import clock
from zegel_server.caller import Caller
from zegel_server.crypto import TenantKey, TextKey
from zegel_server.db import Database, Statement, Transaction, UniqueViolation, bind, insert_into
from zegel_server.db.schema import idempotency
from zegel_server.db.typed_texts import text_context
from zegel_server.edge import validation
from zegel_server.errors import Aborted, AlreadyExists, FailedPrecondition, ResourceExhausted

KEPT: Final = 2 * clock.DAY
"""How long an answer is kept, in microseconds: the contract promises at least a day."""

M = TypeVar("M", bound=Message)
T = TypeVar("T")

Keep = Callable[[Transaction, T], Awaitable[None]]
"""Stores the answer for a use case's result, in the use case's own transaction, in case the call is repeated."""


async def keep_nothing(_transaction: Transaction, _result: object) -> None:
    """The ``Keep`` for a use case that is not called by a repeatable call: it stores nothing."""


_LABEL: Final = b"zegel/request/v1"
_KEYED: Final = b"\x01"
"""The first byte of a keyed hash, which thus has 33 bytes; the plain SHA-256 that earlier servers stored has 32."""

_LATE: Final = (UniqueViolation, Aborted, AlreadyExists, FailedPrecondition, ResourceExhausted)
"""Errors that a call can run into because the same call, made at the same time, was executed first."""

_SELECT: Final = Statement(
    select(
        idempotency.c.request_id,
        idempotency.c.request_hash,
        idempotency.c.response,
        idempotency.c.texts_key_version,
    ).where(
        idempotency.c.tenant_id == bind("tenant_id"),
        idempotency.c.principal_id == bind("principal_id"),
        idempotency.c.request_id.in_((bind("name"), bind("request_id"))),
    )
)
_INSERT: Final = insert_into(idempotency)
FORGET: Final = Statement(delete(idempotency).where(idempotency.c.create_time < bind("before")))
"""Deletes answers that were kept for long enough."""


class TenantKeys(Protocol):
    """What takes the tenants' keys; the edge cannot import the key domain, which says more about each method."""

    async def keyed_hash(self, tenant_id: str, label: bytes, data: bytes) -> bytes:
        """A keyed hash of bytes with a tenant's key.

        Args:
            tenant_id: Whose key.
            label: Its purpose; a different label gives a different hash.
            data: What to hash.
        """
        ...

    async def tenant_key(self, tenant_id: str, key_version: int | None = None) -> tuple[int, TenantKey]:
        """A tenant key and its version.

        Args:
            tenant_id: Whose.
            key_version: Which version; the newest if left out.
        """
        ...

    async def hold(self, transaction: Transaction, tenant_id: str, key_version: int) -> None:
        """Makes sure that a tenant key exists until the transaction ends.

        Args:
            transaction: The transaction.
            tenant_id: Whose it is.
            key_version: Its version.
        """
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may repeat an earlier one, or be repeated.

    Attributes:
        database: Where answers are kept.
        keys: Gives the tenants' keys.
        caller: Who calls; a ``request_id`` is specific to its caller.
        request_id: The call's; empty if it cannot be repeated.
        name: The key under which its answer is kept: the type of its request, and its ``request_id``.
        plain: SHA-256 of the request, which is not stored.
        keyed: Keyed hash of the request, which is stored.
        text_key: Encrypts the answer; ``None`` if the call cannot be repeated.
    """

    database: Database
    keys: TenantKeys
    caller: Caller
    request_id: str
    name: str
    plain: bytes = field(repr=False)
    keyed: bytes
    text_key: TextKey | None = None

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
            # Rows from before an upgrade have the plain hash, for two days at most.
            if row.request_hash in {self.keyed, self.plain}:
                key = TextKey(*await self.keys.tenant_key(self.caller.tenant_id, row.texts_key_version))
                return answer.FromString(key.decrypt(row.response, self._context(row.request_id)))
        # A row from before an upgrade names no method: if its hash differs, it may be another method's.
        if any(row.request_id == self.name for row in rows):
            raise AlreadyExists(
                "The request_id was used before in this method, with other arguments.", reason="REQUEST_ID_REUSED"
            )
        return None

    def _context(self, request_id: str) -> str:
        names = self.caller.tenant_id, self.caller.principal_id, request_id
        return text_context("answer", *names, column="response")

    async def remember(self, transaction: Transaction, answer: Message) -> None:
        """Stores the answer in case the call is repeated.

        Args:
            transaction: That of the change.
            answer: The answer; its tokens are not stored.

        Raises:
            Aborted: The tenant's key was changed at the same time.
            UniqueViolation: The same call was made at the same time; ask ``earlier`` again.
        """
        if self.text_key is None:
            return
        await self.keys.hold(transaction, self.caller.tenant_id, self.text_key.key_version)
        await transaction.execute(
            _INSERT,
            tenant_id=self.caller.tenant_id,
            principal_id=self.caller.principal_id,
            request_id=self.name,
            request_hash=self.keyed,
            response=self.text_key.encrypt(_without_tokens(answer).SerializeToString(), self._context(self.name)),
            texts_key_version=self.text_key.key_version,
            create_time=clock.now(),
        )


def _without_tokens(answer: M) -> M:
    """An answer without the contents of its fields named ``token`` or ``…_token``."""
    bare = type(answer)()
    bare.CopyFrom(answer)
    for each in answer.DESCRIPTOR.fields:
        if each.name == "token" or each.name.endswith("_token"):
            bare.ClearField(each.name)
    return bare


class Answers:
    """Answers that are kept in case their calls are repeated.

    Args:
        database: Where they are.
        keys: Makes the hashes by which a request is recognised, and encrypts the answers.
    """

    def __init__(self, database: Database, keys: TenantKeys) -> None:
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
            return Call(self._database, self._keys, caller, "", "", b"", b"")
        method = request.DESCRIPTOR.full_name
        data = method.encode() + b"\0" + request.SerializeToString(deterministic=True)
        plain = hashlib.sha256(data).digest()
        keyed = await self._keys.keyed_hash(caller.tenant_id, _LABEL, plain)
        text_key = TextKey(*await self._keys.tenant_key(caller.tenant_id))
        name = f"{method}/{request_id}"
        return Call(self._database, self._keys, caller, request_id, name, plain, _KEYED + keyed, text_key)

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
        """Executes a call once, and answers it as often as it is made, even if it is made twice at the same time.

        Args:
            caller: Who calls.
            request: The request, with a field ``request_id``.
            kind: The answer's type.
            act: Executes it. As the last step of its transaction, it must await the given ``Keep`` with the transaction
                and its result.
            answer: Makes the answer from the result.
            kept: Makes the part of the answer that is stored, if that is not all of it. Tokens are never stored.
            restore: Adds to a stored answer what was not stored, such as a new token.

        Returns:
            The answer for the result, or the stored one with what ``restore`` added.

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
