"""Makes proofs from a log's tiles by the hundred thousand, and has each accepted by our verifier and by Go's.

Run: ``python tests/fuzz/accept_transparency.py --count 1000000 --leaves 1000000 --seed 1``. Half of them are inclusion
proofs, half consistency proofs. It prints one line of JSON and exits 1 if either side refused one. Needs Go.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]

from zegel.evidence.transparency import HASH_SIZE, verify_consistency, verify_inclusion
from zegel_server.audit.tree import Edge, Prover, append

GO_MODULE = Path(__file__).resolve().parents[1] / "server/audit/go"
BATCHES = 50
"""How often the log stopped growing, and so how many sizes there are to prove from and to."""


class Grown:
    """A log of made-up leaf hashes: its tiles, and its root at each size at which it stopped."""

    def __init__(self, leaves: int, choose: random.Random) -> None:
        sizes = sorted({leaves, *(choose.randrange(1, leaves + 1) for _ in range(BATCHES - 1))})
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.roots: dict[int, bytes] = {}
        edge = Edge()
        for size in sizes:
            done = append(edge, [sha256(b"%d" % i).digest() for i in range(edge.size, size)])
            self.tiles.update({(tile.level, tile.index): data for tile, data in done.tiles})
            self.roots[size] = done.root
            edge = done.edge

    def get_tile(self, level: int, index: int, width: int) -> bytes:
        return self.tiles[level, index][: width * HASH_SIZE]

    def leaf(self, index: int) -> bytes:
        return self.get_tile(0, index >> 8, (index & 255) + 1)[-HASH_SIZE:]


def encode(hashes: Iterable[bytes]) -> str:
    return " ".join(b64encode(each).decode() for each in hashes)


async def prove(grown: Grown, count: int, choose: random.Random, out: IO[str]) -> None:
    """Make proofs, have each accepted by our verifier, which raises if it is not, and write it for Go's."""
    prover = Prover(grown)
    sizes = list(grown.roots)
    for _ in range(count // 2):
        size = choose.choice(sizes)
        index = choose.randrange(size)
        leaf, root, proof = grown.leaf(index), grown.roots[size], await prover.inclusion(index, size)
        verify_inclusion(index, size, leaf, proof, root)
        out.write(f"{index} {size} {encode([root, leaf, *proof])}\n")
        old = choose.choice([each for each in sizes if each <= size])
        old_root, proof = grown.roots[old], await prover.consistency(old, size)
        verify_consistency(old, size, old_root, root, proof)
        out.write(f"{old} {size} {encode([old_root, root])} : {encode(proof)}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=100_000, help="proofs to make")
    parser.add_argument("--leaves", type=int, default=100_000, help="leaves of the log")
    parser.add_argument("--seed", type=int, default=1, help="what repeats the run")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    choose = random.Random(options.seed)  # noqa: S311 - to be repeatable
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "zegelcheck"
        environment = os.environ | {"GOFLAGS": "-mod=readonly"}
        subprocess.run(["go", "build", "-o", binary, "."], cwd=GO_MODULE, env=environment, check=True)
        with subprocess.Popen(
            [binary, "stream"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1 << 20
        ) as go:
            assert go.stdin
            assert go.stdout
            asyncio.run(prove(Grown(options.leaves, choose), options.count, choose, go.stdin))
            go.stdin.close()
            counted = json.loads(go.stdout.read() or "{}")
    accepted = counted.get("inclusion", 0) + counted.get("consistency", 0)
    summary = {
        "proofs": options.count // 2 * 2,
        "accepted_by_zegel": options.count // 2 * 2,
        "accepted_by_go": accepted,
        "leaves": options.leaves,
        "seed": options.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0 if accepted == summary["proofs"] else 1


if __name__ == "__main__":
    sys.exit(main())
