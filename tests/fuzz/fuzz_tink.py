"""Random documents under random associated data, written by Tink and read by ``zegel.segments``, and the other way.

Run: ``python tests/fuzz/fuzz_tink.py --count 100000 --seed 1``. It prints one line of JSON, and exits 1 where anything
came out otherwise. A case is repeatable by seed and number. Each case has a length, an associated data, a direction and
the sizes of the pieces in which it is written; one in sixteen is then read under another associated data, which must be
refused.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]

import tink

from support.streams import DEK, decrypt, encrypt
from support.tink_streams import tink_aead, tink_decrypt, tink_encrypt
from zegel.segments import FIRST_SEGMENT_PLAINTEXT_SIZE, SEGMENT_PLAINTEXT_SIZE, SegmentError, ciphertext_size

EDGES = (0, 1, FIRST_SEGMENT_PLAINTEXT_SIZE, FIRST_SEGMENT_PLAINTEXT_SIZE + SEGMENT_PLAINTEXT_SIZE)
"""Lengths around which the number of segments changes."""
SMALL, EDGE = 0.9, 0.07
"""Shares of small lengths, and of those on an edge."""
BLOCK = random.Random(0).randbytes(4 * SEGMENT_PLAINTEXT_SIZE)  # noqa: S311 - no secret


def length(dice: random.Random) -> int:
    """Mostly small, for many; often on an edge; now and then several segments."""
    kind = dice.random()
    if kind < SMALL:
        return dice.randrange(3_000)
    if kind < SMALL + EDGE:
        return max(0, dice.choice(EDGES) + dice.randint(-2, 2))
    return dice.randrange(3 * SEGMENT_PLAINTEXT_SIZE)


def case(seed: int, number: int) -> str:
    """Runs one case.

    Returns:
        What went wrong; empty for nothing.
    """
    dice = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable, not secret
    size = length(dice)
    start = dice.randrange(len(BLOCK) - size + 1)
    plaintext, aad = BLOCK[start : start + size], dice.randbytes(dice.choice((0, 1, 32, 60, 300, 5000)))
    aead = tink_aead(DEK)
    ours = bool(dice.getrandbits(1))
    stream = encrypt(plaintext, aad, number) if ours else tink_encrypt(aead, plaintext, aad)
    if len(stream) != ciphertext_size(size):
        return "another length"
    read_aad = aad + b"x" if not dice.randrange(16) else aad
    try:
        back = tink_decrypt(aead, stream, read_aad) if ours else decrypt(stream, read_aad, number)
    except (SegmentError, tink.TinkError):
        return "" if read_aad != aad else "refused"
    if read_aad != aad:
        return "read under another associated data"
    return "" if back == plaintext else "another plaintext"


def fuzz(count: int, seed: int) -> Counter[str]:
    """Runs cases.

    Returns:
        How often what went wrong.
    """
    wrong: Counter[str] = Counter()
    for number in range(count):
        if problem := case(seed, number):
            wrong[problem] += 1
            print(f"case {number} of seed {seed}: {problem}", file=sys.stderr)  # noqa: T201 - its outcome
    return wrong


def main() -> int:
    """Runs it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.perf_counter()
    wrong = fuzz(given.count, given.seed)
    seconds = round(time.perf_counter() - began, 1)
    print(json.dumps({"cases": given.count, "seed": given.seed, "mismatches": wrong.total(), "seconds": seconds}))  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
