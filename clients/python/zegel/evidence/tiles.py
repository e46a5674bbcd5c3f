"""The paths of a log's tiles and entries, and how entries are bundled (C2SP ``tlog-tiles``).

Invariants:

* A tile has one path and a path names one tile, or none.
* A bundle has one encoding: it holds exactly the entries that its path says.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from zegel.evidence.transparency import MAX_SIZE, InvalidTile

TILE_WIDTH: Final = 256
"""Hashes of a full tile, entries of a full bundle (tlog-tiles)."""
MAX_TILE_LEVEL: Final = 63
"""The highest level a tile's path may name (tlog-tiles)."""
MAX_ENTRY_BYTES: Final = 65_535
"""Longest entry: the maximum of its 16-bit length prefix (tlog-tiles)."""
ENTRIES: Final = -1
"""The level of an entry bundle in a ``Tile``, as in Go's ``tlog.Tile``."""

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """The position of a tile or entry bundle (tlog-tiles).

    Args:
        level: 0 for leaf hashes, then up; ``ENTRIES`` for a bundle of entries.
        index: Position within the level, from 0.
        width: Hashes or entries in it, 1 to 256; a full one has 256.
    """

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path under the log's prefix, such as ``tile/0/x001/x234/067.p/5``; raises ``InvalidTile``."""
        in_range = ENTRIES <= self.level <= MAX_TILE_LEVEL and 0 <= self.index <= MAX_SIZE
        if not in_range or not 1 <= self.width <= TILE_WIDTH:
            raise InvalidTile("the tile's level, index or width is out of range")
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        *outer, last = (digits[i : i + 3] for i in range(0, len(digits), 3))
        level = "entries" if self.level == ENTRIES else self.level
        return "/".join(["tile", str(level), *(f"x{each}" for each in outer), last]) + (
            f".p/{self.width}" if self.width < TILE_WIDTH else ""
        )

    @classmethod
    def parse(cls, path: str) -> "Tile":
        """Read a path; raises ``InvalidTile`` unless it is exactly the one that ``path`` yields."""
        match = _PATH.fullmatch(path) if len(path) <= 64 else None  # noqa: PLR2004 - the longest path is shorter
        if not match:
            raise InvalidTile("the path names no tile")
        level, number, width = match.groups()
        index = int(number.replace("/", "").replace("x", ""))
        tile = cls(ENTRIES if level == "entries" else int(level), index, int(width or TILE_WIDTH))
        if tile.path != path:
            raise InvalidTile("the path is not the tile's canonical path")
        return tile


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Join up to 256 entries, each after its length in two bytes, big endian; raises ``InvalidTile``."""
    if len(entries) > TILE_WIDTH or any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise InvalidTile("a bundle has at most 256 entries of at most 65,535 bytes")
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Split a bundle into its ``width`` entries; raises ``InvalidTile`` if it holds more, fewer, or a partial one."""
    ends = [0]
    while ends[-1] < len(data) and len(ends) <= width:
        ends.append(ends[-1] + 2 + int.from_bytes(data[ends[-1] : ends[-1] + 2]))
    if ends[-1] != len(data) or len(ends) != width + 1:
        raise InvalidTile("the bundle does not hold the entries it should")
    return [data[start + 2 : end] for start, end in pairwise(ends)]
