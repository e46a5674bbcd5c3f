"""Alters proofs, checkpoints, tiles, entries and trails at random, and counts how many altered ones are believed: none.

Run: ``python tests/fuzz/fuzz_transparency.py --count 10000000 --seed 1``. It prints one line of JSON and exits 1 if a
mutant was accepted. A run is repeatable by its seed; several seeds may run side by side.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]

from support.merkle_log import KEY, MadeLog, make_trail
from zegel.evidence.note_signing import SignerKey, sign_note
from zegel.evidence.tiles import decode_bundle, encode_bundle
from zegel.evidence.trail import check_trail
from zegel.evidence.transparency import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    HASH_SIZE,
    Checkpoint,
    InvalidProof,
    InvalidTile,
    LogProof,
    TransparencyError,
    leaf_hash,
    merkle_root,
    open_checkpoint,
    verify_consistency,
)

LOGS = [KEY.verifier]
WITNESSES = [
    SignerKey("w.example/1", COSIGNATURE_ED25519, b"1" * 32),
    SignerKey("w.example/2", COSIGNATURE_MLDSA44, b"2" * 32),
]
SIZES = (1, 3, 256, 300, 700)


# ------------------------------------------------------------------------------------------------------------- mutators


def flip_bit(data: bytes, choose: random.Random) -> bytes:
    at = choose.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << choose.randrange(8)]) + data[at + 1 :]


def set_byte(data: bytes, choose: random.Random) -> bytes:
    at = choose.randrange(len(data))
    return data[:at] + bytes([choose.choice(b"\n\r\0 +=/A0\xff" + data)]) + data[at + 1 :]


def drop(data: bytes, choose: random.Random) -> bytes:
    at = choose.randrange(len(data))
    return data[:at] + data[at + choose.choice((1, 1, 2, 32, 33)) :]


def insert(data: bytes, choose: random.Random) -> bytes:
    at = choose.randrange(len(data) + 1)
    return data[:at] + choose.choice((b"\n", b" ", b"=", b"0", b"\0", choose.randbytes(32))) + data[at:]


def truncate(data: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data))]


def swap_bytes(data: bytes, choose: random.Random) -> bytes:
    i, j = sorted((choose.randrange(len(data)), choose.randrange(len(data))))
    return data if i == j else data[:i] + data[j : j + 1] + data[i + 1 : j] + data[i : i + 1] + data[j + 1 :]


def swap_hashes(data: bytes, choose: random.Random) -> bytes:
    pieces = [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]
    i, j = choose.randrange(len(pieces)), choose.randrange(len(pieces))
    pieces[i], pieces[j] = pieces[j], pieces[i]
    return b"".join(pieces)


def swap_lines(data: bytes, choose: random.Random) -> bytes:
    lines = data.split(b"\n")
    i, j = choose.randrange(len(lines)), choose.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def repeat_line(data: bytes, choose: random.Random) -> bytes:
    lines = data.split(b"\n")
    lines.insert(choose.randrange(len(lines)), choose.choice(lines))
    return b"\n".join(lines)


def repeat_end(data: bytes, choose: random.Random) -> bytes:
    return data + data[-choose.randrange(1, len(data) + 1) :]


MUTATORS = (
    flip_bit,
    flip_bit,
    set_byte,
    drop,
    insert,
    truncate,
    swap_bytes,
    swap_hashes,
    swap_lines,
    repeat_line,
    repeat_end,
)


# -------------------------------------------------------------------------------------------------------------- targets


@dataclass(frozen=True)
class Target:
    """Something valid, and how it is checked.

    Args:
        kind: What it is.
        data: Its bytes.
        check: Raises ``TransparencyError`` if bytes in its place are not to be believed.
    """

    kind: str
    data: bytes
    check: Callable[[bytes], object]


def make_targets() -> list[Target]:
    """Make one of each thing that is handed out, from a log of some sizes."""
    log = MadeLog()
    trail = make_trail(SIZES[-1])
    for before, after in zip((0, *SIZES), SIZES, strict=False):
        log.add(*trail[before:after])
    size = SIZES[-1]
    targets = [
        Target("proof", log.proof(index, extra=extra, size=at).format(), proof_check(trail[index], extra=extra))
        for index, at, extra in ((0, 1, True), (2, 3, False), (255, 256, False), (299, 300, True), (17, 700, False))
    ]
    targets += [Target("checkpoint", log.checkpoint(at), lambda data: open_checkpoint(data, LOGS)) for at in SIZES]
    text = Checkpoint(KEY.name, size, log.roots[size]).format()
    cosigned = sign_note(text, KEY.sign(text), *(each.sign(text, 1_700_000_000) for each in WITNESSES))
    witnesses = [each.verifier for each in WITNESSES]
    targets.append(Target("cosigned", cosigned, lambda data: open_checkpoint(data, LOGS, witnesses, 2)))
    for old in SIZES[:-1]:
        proof = b"".join(log.consistency(old, size))
        targets.append(Target("consistency", proof, consistency_check(old, size, log.roots[old], log.roots[size])))
    tile, parent = log.tiles[0, 0], log.tiles[1, 0][:HASH_SIZE]
    targets.append(Target("tile", tile, tile_check(parent)))
    targets.append(Target("entries", encode_bundle(log.entries[:8]), bundle_check(tile[: 8 * HASH_SIZE])))
    short = MadeLog()
    short.add(*trail[:3])
    jsonl, proof = b"".join(leaf + b"\n" for leaf in trail[:3]), short.proof(2).format()
    targets.append(Target("trail", jsonl, trail_check(proof)))
    return targets


def proof_check(leaf: bytes, *, extra: bool) -> Callable[[bytes], object]:
    def check(data: bytes) -> object:
        proof = LogProof.parse(data)
        # Extra data is authenticated by being the leaf, as `zegel.evidence.trail` does it.
        if not extra and proof.extra:
            raise InvalidProof("extra data where there was none")
        return proof.verify(proof.extra if extra else leaf, LOGS)

    return check


def consistency_check(old: int, new: int, old_root: bytes, new_root: bytes) -> Callable[[bytes], object]:
    def check(data: bytes) -> None:
        hashes = [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]
        verify_consistency(old, new, old_root, new_root, hashes)

    return check


def tile_check(root: bytes) -> Callable[[bytes], object]:
    def check(data: bytes) -> None:
        if len(data) % HASH_SIZE or merkle_root([data[i : i + 32] for i in range(0, len(data), HASH_SIZE)]) != root:
            raise InvalidTile("not the tile that its parent names")

    return check


def bundle_check(hashes: bytes) -> Callable[[bytes], object]:
    def check(data: bytes) -> None:
        entries = decode_bundle(data, len(hashes) // HASH_SIZE)
        if b"".join(map(leaf_hash, entries)) != hashes:
            raise InvalidTile("not the entries that their tile names")

    return check


def trail_check(proof: bytes) -> Callable[[bytes], object]:
    def check(data: bytes) -> None:
        if not check_trail(data, proof, LOGS).ok:
            raise InvalidProof("the trail is not proved")

    return check


# ------------------------------------------------------------------------------------------------------------------ run


def same_note(one: bytes, other: bytes) -> bool:
    """Whether two notes differ in the order of their signature lines only, which says nothing (C2SP signed-note)."""
    (text, _, lines), (other_text, _, other_lines) = one.rpartition(b"\n\n"), other.rpartition(b"\n\n")
    return (
        text == other_text != b""
        and sorted(lines.split(b"\n")) == sorted(other_lines.split(b"\n"))
        and lines[-1:] == b"\n"
    )


def fuzz(count: int, seed: int) -> tuple[Counter[str], list[tuple[str, bytes]]]:
    """Make mutants and check them.

    Args:
        count: How many.
        seed: What repeats the run.

    Returns:
        How many of each kind were refused, and those that were accepted.
    """
    choose = random.Random(seed)  # noqa: S311 - to be repeatable
    targets = make_targets()
    for target in targets:
        target.check(target.data)
    valid = {target.data for target in targets}
    refused: Counter[str] = Counter()
    accepted: list[tuple[str, bytes]] = []
    while refused.total() + len(accepted) < count:
        target = choose.choice(targets)
        mutant = choose.choice(MUTATORS)(target.data, choose)
        if mutant in valid or same_note(mutant, target.data):
            continue
        try:
            target.check(mutant)
        except TransparencyError:
            refused[target.kind] += 1
        else:
            accepted.append((target.kind, mutant))
    return refused, accepted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=100_000, help="mutants to make")
    parser.add_argument("--seed", type=int, default=1, help="what repeats the run")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    refused, accepted = fuzz(options.count, options.seed)
    for kind, mutant in accepted[:10]:
        sys.stderr.write(f"accepted {kind}: {mutant[:2000]!r}\n")
    summary = {
        "mutants": refused.total() + len(accepted),
        "accepted": len(accepted),
        "refused": dict(sorted(refused.items())),
        "seed": options.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if accepted else 0


if __name__ == "__main__":
    sys.exit(main())
