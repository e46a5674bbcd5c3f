"""Alters stored documents at random, reads them as the server does, and counts what comes out and should not: nothing.

Run: ``python tests/fuzz/fuzz_stored.py --count 1000000 --seed 1``. It prints one line of JSON, and exits 1 where a byte
of an altered segment came out, or a document came out whole that was altered. A case is repeatable by seed and number.

Altered are objects (flipped, cut, longer, missing, exchanged within a document, with another document, version, tenant)
and what the row says of them (size, header, wrapped key, commitment, version).
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]

from zegel.segments import SEGMENT_PLAINTEXT_SIZE, SegmentCipher, StreamEncryptor, segment_count
from zegel_server.crypto import TenantKey, WrappedDek, new_dek, unwrap_dek
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.parts import PART_SIZE, part_key, stored_range
from zegel_server.documents.streams import ContentId
from zegel_server.errors import DataLoss
from zegel_server.keys.service import StoredDek
from zegel_server.storage import BlobInfo

SIZES = (9, 1_000, 70_000)
"""Bytes of the small documents, which nearly every case is about."""
LARGE = 5 * SEGMENT_PLAINTEXT_SIZE + 77
"""Of the large one: two parts, six segments."""
LARGE_SHARE = 0.02


class Blobs:
    """Objects in memory, some of them altered."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.altered: dict[str, bytes | None] = {}

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = self.altered[key] if key in self.altered else self.stored.get(key)
        if data is None:
            raise DataLoss("A stored object is missing.")
        stop = len(data) if length is None else start + length
        if stop > len(data):
            raise DataLoss("A stored object is shorter than it was written.")
        return data[start:stop]

    async def put(self, key: str, data: Any) -> None:
        self.stored[key] = bytes(data)

    async def size(self, key: str) -> int | None:
        return len(self.stored[key]) if key in self.stored else None

    async def delete(self, key: str) -> None:
        self.stored.pop(key, None)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        for _ in ():
            yield BlobInfo(prefix, 0, None)  # type: ignore[arg-type]  # never reached

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class Keys:
    """The tenants' keys, without a database."""

    tenants: dict[str, TenantKey] = field(default_factory=dict)

    async def open_dek(self, tenant_id: str, key_id: str, stored: StoredDek) -> bytes:
        tenant_key = self.tenants[tenant_id]
        wrapped = WrappedDek(key_id, tenant_key.key_id, stored.wrapped_key or b"", stored.commitment)
        return unwrap_dek(tenant_key, wrapped).key


@dataclass(frozen=True)
class Document:
    """What the row has, and what it is of."""

    content_id: ContentId
    prefix: str
    header: bytes
    dek: StoredDek
    size: int
    segments: tuple[bytes, ...]

    @property
    def parts(self) -> list[str]:
        return [part_key(self.prefix, part) for part in range(stored_range(len(self.segments) - 1, self.size)[0] + 1)]


class World:
    """Two tenants with documents."""

    def __init__(self) -> None:
        self.blobs = Blobs()
        self.keys = Keys()
        self.encrypted_store = EncryptedStore(self.blobs, self.keys)  # type: ignore[arg-type]  # as much of the keys as it needs here
        self.small: list[Document] = []
        self.large: list[Document] = []
        for tenant in ("ten_a", "ten_b"):
            self.keys.tenants[tenant] = TenantKey(f"{tenant}/1", random.Random(tenant).randbytes(32))  # noqa: S311
            for name in ("doc_a", "doc_b"):
                for version in (1, 2):
                    self.small += [self.make(tenant, f"{name}{size}", version, size) for size in SIZES]
            self.large += [self.make(tenant, "doc_large", version, LARGE) for version in (1, 2)]

    def make(self, tenant_id: str, document_id: str, version: int, size: int) -> Document:
        content_id = ContentId(tenant_id, document_id, version)
        dek, wrapped = new_dek(self.keys.tenants[tenant_id], content_id.key_id)
        cipher = SegmentCipher.create(dek.key, content_id.aad)
        data = random.Random(f"{content_id}").randbytes(size)  # noqa: S311 - no secret
        encryptor = StreamEncryptor(cipher)
        pieces = [*encryptor.update(data), encryptor.finish()]
        stream = b"".join([cipher.header, *pieces])
        prefix = f"documents/{tenant_id}/{document_id}/{version}-x"
        for part in range(-(-len(stream) // PART_SIZE)):
            self.blobs.stored[part_key(prefix, part)] = stream[part * PART_SIZE : (part + 1) * PART_SIZE]
        plain, at = [], 0
        for piece in pieces:
            plain.append(data[at : at + len(piece) - 16])
            at += len(piece) - 16
        stored = StoredDek(1, wrapped.blob, wrapped.commitment)
        return Document(content_id, prefix, cipher.header, stored, size, tuple(plain))


Alter = Callable[[World, Document, Document, random.Random], Document]
"""Alters the objects of a document, or returns another row of it; it is given one that is like it."""


def flip(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def flipped(world: World, document: Document, _: Document, dice: random.Random) -> Document:
    key = dice.choice(document.parts)
    world.blobs.altered[key] = flip(world.blobs.stored[key], dice)
    return document


def cut(world: World, document: Document, _: Document, dice: random.Random) -> Document:
    key = dice.choice(document.parts)
    world.blobs.altered[key] = world.blobs.stored[key][: dice.randrange(len(world.blobs.stored[key]))]
    return document


def shifted(world: World, document: Document, _: Document, dice: random.Random) -> Document:
    """A byte more or less somewhere, and the size as before."""
    key = dice.choice(document.parts)
    data = world.blobs.stored[key]
    at = dice.randrange(len(data))
    if dice.getrandbits(1):
        world.blobs.altered[key] = (data[:at] + dice.randbytes(1) + data[at:])[: len(data)]
    else:
        world.blobs.altered[key] = data[:at] + data[at + 1 :] + dice.randbytes(1)
    return document


def missing(world: World, document: Document, _: Document, dice: random.Random) -> Document:
    world.blobs.altered[dice.choice(document.parts)] = None
    return document


def foreign(world: World, document: Document, other: Document, dice: random.Random) -> Document:
    """An object, or a piece of one, of another version, document or tenant."""
    index = dice.randrange(len(document.parts))
    key, theirs = document.parts[index], world.blobs.stored[other.parts[index]]
    if dice.getrandbits(1):
        world.blobs.altered[key] = theirs
    else:
        start, stop = sorted(dice.randrange(len(theirs) + 1) for _ in range(2))
        data = world.blobs.stored[key]
        world.blobs.altered[key] = data[:start] + theirs[start:stop] + data[stop:]
    return document


def swapped(world: World, document: Document, _: Document, dice: random.Random) -> Document:
    """Two segments of a part exchanged; of a small document, two of its bytes."""
    key = dice.choice(document.parts)
    data = bytearray(world.blobs.stored[key])
    unit = 1 << 20 if len(data) > 3 << 20 else 1
    first, second = (unit * dice.randrange(len(data) // unit) for _ in range(2))
    size = min(unit, len(data) - max(first, second))
    data[first : first + size], data[second : second + size] = (
        data[second : second + size],
        data[first : first + size],
    )
    world.blobs.altered[key] = bytes(data)
    return document


def resized(_: World, document: Document, __: Document, dice: random.Random) -> Document:
    sizes = (dice.randrange(2 * document.size), document.size + dice.choice((-1, 1)), document.size - (1 << 20))
    return replace(document, size=max(0, dice.choice(sizes)))


def reheaded(_: World, document: Document, other: Document, dice: random.Random) -> Document:
    return replace(document, header=dice.choice((other.header, flip(document.header, dice))))


def rekeyed(_: World, document: Document, other: Document, dice: random.Random) -> Document:
    key, commitment = document.dek.wrapped_key or b"", document.dek.commitment
    dek = dice.choice(
        (
            other.dek,
            replace(document.dek, wrapped_key=flip(key, dice)),
            replace(document.dek, commitment=flip(commitment, dice)),
            replace(document.dek, wrapped_key=other.dek.wrapped_key),
        )
    )
    return replace(document, dek=dek)


def displaced(_: World, document: Document, other: Document, __: random.Random) -> Document:
    """The same bytes under another name: the row of another version, document or tenant points to them."""
    return replace(other, prefix=document.prefix, segments=document.segments)


def readdressed(_: World, document: Document, other: Document, __: random.Random) -> Document:
    """The same, with its key and header, which an attacker at the database can move along."""
    return replace(document, content_id=other.content_id)


ALTERATIONS: tuple[Alter, ...] = (
    flipped,
    cut,
    shifted,
    missing,
    foreign,
    swapped,
    resized,
    reheaded,
    rekeyed,
    displaced,
    readdressed,
)


async def read(world: World, row: Document) -> list[bytes]:
    """What comes out until it is refused."""
    out: list[bytes] = []
    try:
        stream = await world.encrypted_store.open_stream(row.content_id, row.prefix, row.header, row.dek, row.size)
        async for segment in stream.segments(range(segment_count(row.size))):
            out.append(segment)  # noqa: PERF401 - what came before an error counts
    except DataLoss:
        return out
    return [*out, b"the end"]


def still_good(world: World, document: Document, row: Document) -> int | None:
    """How many segments from the beginning may come out; nothing where nothing is altered."""
    count = len(document.segments)
    if row == document:
        good = next((index for index in range(count) if altered(world, document, index)), count)
        return None if good == count else good
    if replace(row, size=document.size) != document:
        return 0
    # Of another size alone: all before the last segment of either are the same ones.
    return min(segment_count(row.size), count) - 1


def altered(world: World, document: Document, index: int) -> bool:
    """Whether a stored byte of a segment is another."""
    part, within = stored_range(index, document.size)
    key = part_key(document.prefix, part)
    if key not in world.blobs.altered:
        return False
    now, before = world.blobs.altered[key], world.blobs.stored[key]
    return now is None or now[within.start : within.stop] != before[within.start : within.stop]


async def case(world: World, seed: int, number: int) -> tuple[str, int]:
    """Runs one case.

    Returns:
        What was altered, and how many bytes came out that should not; -1 where nothing was in fact.
    """
    dice = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable, not secret
    large = dice.random() < LARGE_SHARE
    document = dice.choice(world.large if large else world.small)
    others = [each for each in (world.large if large else world.small) if each.size == document.size]
    other = dice.choice([each for each in others if each is not document])
    alter = dice.choice(ALTERATIONS)
    world.blobs.altered.clear()
    row = alter(world, document, other, dice)
    good = still_good(world, document, row)
    if good is None:
        return alter.__name__, -1
    out = await read(world, row)
    wrong = 0
    for index, segment in enumerate(out):
        if index >= good or segment != document.segments[index]:
            wrong += len(segment)
    return alter.__name__, wrong


async def fuzz(count: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """Runs cases.

    Returns:
        How often what was altered, and how many bytes came out of it that should not.
    """
    world = World()
    done: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    number = 0
    while done.total() < count:
        kind, released = await case(world, seed, number)
        if released >= 0:
            done[kind] += 1
        if released > 0:
            wrong[kind] += released
            print(f"case {number} of seed {seed}: {kind}, {released} bytes", file=sys.stderr)  # noqa: T201
        number += 1
    await world.encrypted_store.close()
    return done, wrong


def main() -> int:
    """Runs it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.perf_counter()
    done, wrong = asyncio.run(fuzz(given.count, given.seed))
    figures = {
        "mutations": done.total(),
        "seed": given.seed,
        "bytes_released": wrong.total(),
        "kinds": dict(done),
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps(figures))  # noqa: T201 - its outcome
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
