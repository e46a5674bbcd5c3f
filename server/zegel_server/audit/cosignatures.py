"""The witnesses' cosignatures of our checkpoints: checked, stored, and added to what is handed out.

A cosignature is a line of the signed note; the code calls it a line. Which checkpoint is handed out: if ``needed``
witnesses are required, the newest that so many have cosigned, and for a proof the newest of those that covers it. If
none is required, the newest there is, with the lines that it has, and for a proof the newest that covers it and has a
line.

Invariants:

* A line is stored and handed out only after it was checked with the key of a configured witness.
* Few rows are kept: the newest checkpoint with enough lines, and newer ones that may still get enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from zegel.evidence.note_signing import sign_note, signature_line
from zegel.evidence.transparency import TransparencyError, VerifierKey, open_note, split_note
from zegel_server.audit import store
from zegel_server.audit.log import Head, Log, damaged
from zegel_server.audit.witnesses import Witness
from zegel_server.db import Database, Row
from zegel_server.errors import Unavailable

KEPT: Final = 16
"""Checkpoints kept that are newer than the newest with enough lines: a late line may still complete one."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint with the lines that it has.

    Attributes:
        head: The checkpoint, including these lines.
        names: The witnesses that cosigned it.
    """

    head: Head
    names: frozenset[str]


class Cosignatures:
    """The lines of the configured witnesses.

    Args:
        database: Where they are stored.
        log: The log.
        witnesses: The witnesses whose lines count.
        needed: How many of them must have cosigned a checkpoint before it is handed out.

    Raises:
        ValueError: More witnesses are needed than there are.
    """

    def __init__(self, database: Database, log: Log, witnesses: Sequence[Witness] = (), needed: int = 0) -> None:
        if needed > len(witnesses):
            message = f"witnesses_needed: {needed} are needed, and {len(witnesses)} named"
            raise ValueError(message)
        self._database = database
        self._log = log
        self._keys = {_id_of(key): key for witness in witnesses for key in witness.keys}
        self._believed: dict[tuple[str, bytes, bytes], Head] = {}
        self.needed = needed

    @property
    def keys(self) -> list[VerifierKey]:
        """The witnesses' keys."""
        return list(self._keys.values())

    async def newest(self) -> Head | None:
        """The checkpoint to hand out; ``None`` if no checkpoint has enough cosignatures yet.

        Raises:
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        head = await self._log.head()
        if not self._keys:
            return head
        found = await self._read(head)
        if self.needed:
            return next((each.head for each in found if len(each.names) >= self.needed), None)
        return next((each.head for each in found if each.head.size == head.size), head)

    async def demanded(self) -> Head:
        """The same as ``newest``, but raises if there is none.

        Raises:
            Unavailable: No checkpoint has enough cosignatures yet (``NOT_WITNESSED_YET``).
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        head = await self.newest()
        if head is None:
            raise _not_yet()
        return head

    async def covering(self, size: int, head: Head) -> Head:
        """The checkpoint under which to prove something.

        Args:
            size: How many leaves it must cover.
            head: The newest checkpoint, which covers at least that many.

        Raises:
            Unavailable: No such checkpoint has enough cosignatures yet (``NOT_WITNESSED_YET``).
            DataLoss: The log was altered (``LOG_DAMAGED``).
        """
        if not self._keys:
            return head
        for each in await self._read(head):
            if each.head.size >= size and len(each.names) >= max(self.needed, 1):
                return each.head
        if self.needed:
            raise _not_yet()
        return head

    async def keep(self, head: Head, lines: Mapping[VerifierKey, bytes]) -> None:
        """Stores lines, and deletes those of checkpoints that will not be handed out any more.

        Args:
            head: The checkpoint that they cosign.
            lines: The lines, already checked.

        Raises:
            Unavailable: The database does not answer.
        """
        checkpoint = self.plain(head)
        rows = [
            {"size": head.size, "witness": _id_of(key), "checkpoint": checkpoint, "line": line}
            for key, line in lines.items()
        ]
        async with self._database.transaction() as transaction:
            await transaction.execute_many(store.WRITE_COSIGNATURE, rows)
            found = self._group(await transaction.fetch(store.COSIGNATURES), None)
            if len(found) > KEPT:
                good = [each for each in found if len(each.names) >= max(self.needed, 1)]
                kept = good[0].head.size if good else -1
                await transaction.execute(store.FORGET_COSIGNATURES, least=found[KEPT - 1].head.size, kept=kept)

    def plain(self, head: Head) -> bytes:
        """A checkpoint with only the log's own signature lines.

        Args:
            head: The checkpoint.
        """
        key = self._log.key.verifier
        text, lines = split_note(head.checkpoint)
        own = [signature[4:] for name, signature in lines if (name, signature[:4]) == (key.name, key.key_id)]
        return sign_note(text, *(signature_line(key, signature) for signature in own))

    async def has(self, head: Head, witness: Witness) -> bool:
        """Whether a witness has cosigned a checkpoint with at least one of its keys.

        Args:
            head: The checkpoint.
            witness: The witness.
        """
        rows = await self._database.fetch(store.COSIGNATURES)
        return any(row.size == head.size and row.witness in map(_id_of, witness.keys) for row in rows)

    async def _read(self, head: Head) -> list[Cosigned]:
        return self._group(await self._database.fetch(store.COSIGNATURES), head)

    def _group(self, rows: Sequence[Row], head: Head | None) -> list[Cosigned]:
        """Checks rows, and groups them by checkpoint, newest first."""
        believed: dict[tuple[str, bytes, bytes], Head] = {}
        sizes: dict[int, list[tuple[VerifierKey, bytes, Head]]] = {}
        for row in rows:
            key = self._keys.get(row.witness)
            # From a witness that is no longer configured; or newer than this process's newest checkpoint.
            if key is None or (head is not None and row.size > head.size):
                continue
            fact = (row.witness, bytes(row.checkpoint), bytes(row.line))
            signed = believed[fact] = self._believed.get(fact) or self._check(key, fact[1], fact[2])
            if signed.size != row.size:
                raise damaged("a cosignature is stored with a checkpoint of another size")
            sizes.setdefault(row.size, []).append((key, fact[2], signed))
        if head is not None:
            self._believed = believed
        return [
            Cosigned(
                Head(size, parts[0][2].root, parts[0][2].checkpoint + b"".join(line for _, line, _ in parts)),
                frozenset(key.name for key, _, _ in parts),
            )
            for size, parts in sizes.items()
        ]

    def _check(self, key: VerifierKey, checkpoint: bytes, line: bytes) -> Head:
        head = self._log.parse(checkpoint)
        try:
            open_note(split_note(checkpoint)[0] + b"\n" + line, [key])
        except TransparencyError as error:
            raise damaged(f"a cosignature was not made by {key.name}") from error
        return head


def _id_of(key: VerifierKey) -> str:
    return f"{key.name}+{key.key_id.hex()}"


def _not_yet() -> Unavailable:
    return Unavailable(
        "Too few witnesses have cosigned a checkpoint that covers it yet; try again in a moment.",
        reason="NOT_WITNESSED_YET",
    )
