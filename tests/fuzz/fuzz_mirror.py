"""Alters the files of a log at random, under a monitor that knows its beginning, and counts what is wrongly believed.

A monitor that is shown an altered log must refuse it, or come to the very tree that the log's key signed. What else it
says of it matters too: nothing but damage may be called a rewrite, unless the log's key signed another past.

Run: ``python tests/fuzz/fuzz_mirror.py --count 100000 --seed 1``. It prints one line of JSON and exits 1 if a mutant
was accepted. A run is repeatable by its seed; several seeds may run side by side.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]

from fuzz.fuzz_transparency import MUTATORS
from support.merkle_log import KEY, ORIGIN, MadeLog, make_trail
from zegel.evidence.mirror import Follower, LogRewritten, Trails
from zegel.evidence.note_signing import SignerKey, sign_note
from zegel.evidence.transparency import ED25519, Checkpoint, TransparencyError, open_checkpoint

KNOWN, SHOWN = 300, 600
"""Entries that the monitor knows, and that it is shown."""
KEYS = [KEY.verifier]
THIEF = SignerKey(ORIGIN, ED25519, b"t" * 32)

Files = dict[str, bytes]


class Shown:
    """Files in memory."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def get(self, path: str) -> bytes | None:
        """See ``Source.get``."""
        return self.files.get(path)


@dataclass
class Logs:
    """What a mutant is made of: the log, what a monitor knows of it, and another log of the same key."""

    log: MadeLog = field(default_factory=MadeLog)
    fork: MadeLog = field(default_factory=MadeLog)
    known: bytes = b""

    def __post_init__(self) -> None:
        trail = make_trail(SHOWN)
        other = [*trail[:100], *make_trail(SHOWN - 100, trail="aud_other")]
        for made, entries in ((self.log, trail), (self.fork, other)):
            for size in (1, 256, KNOWN, SHOWN - 1, SHOWN):
                made.add(*entries[made.size : size])
        early = MadeLog()
        early.add(*trail[:KNOWN])
        follower = Follower(KEYS)
        follower.follow(Shown(early.files()))
        self.known = follower.save()


# ------------------------------------------------------------------------------------------------------------- mutators


def alter(files: Files, _: Logs, choose: random.Random) -> None:
    """A file's bytes."""
    name = choose.choice(sorted(files))
    files[name] = choose.choice(MUTATORS)(files[name] or b"x", choose)


def remove(files: Files, _: Logs, choose: random.Random) -> None:
    """A file."""
    del files[choose.choice(sorted(files))]


def exchange(files: Files, _: Logs, choose: random.Random) -> None:
    """Two files for one another."""
    one, other = choose.choice(sorted(files)), choose.choice(sorted(files))
    files[one], files[other] = files[other], files[one]


def mix(files: Files, logs: Logs, choose: random.Random) -> None:
    """A file, or some, with those of the other log."""
    theirs = logs.fork.files()
    for name in choose.sample(sorted(files), choose.randrange(1, len(files) + 1)):
        files[name] = theirs[name]


def forge(files: Files, logs: Logs, choose: random.Random) -> None:
    """The checkpoint: of another key, size or root, or with others' lines."""
    size = choose.choice((1, 256, KNOWN, SHOWN - 1, SHOWN, SHOWN + 1))
    root = choose.choice((logs.log.roots.get(size), logs.fork.roots.get(size), choose.randbytes(32))) or bytes(32)
    text = Checkpoint(ORIGIN, size, root).format()
    own = logs.log.checkpoint().rpartition(b"\n\n")[2]
    files["checkpoint"] = choose.choice(
        (
            lambda: sign_note(text, THIEF.sign(text)),
            lambda: text + b"\n" + own,
            lambda: sign_note(text, THIEF.sign(text)) + own,
        )
    )()


def set_back(files: Files, logs: Logs, choose: random.Random) -> None:
    """The checkpoint, to an older one that the key signed: a log that was set back, or one that stood still."""
    files["checkpoint"] = logs.log.checkpoint(choose.choice((1, 256, KNOWN, SHOWN - 1)))


CHANGES: tuple[Callable[[Files, Logs, random.Random], None], ...] = (
    alter,
    alter,
    alter,
    remove,
    exchange,
    mix,
    forge,
    set_back,
)


# ------------------------------------------------------------------------------------------------------------------ run


@dataclass
class Result:
    """What became of the mutants."""

    refused: Counter[str] = field(default_factory=Counter)
    same: int = 0
    accepted: list[str] = field(default_factory=list)


def fuzz(count: int, seed: int) -> Result:
    """Make mutants and show them, to a monitor that knows the beginning and to one that knows nothing.

    Args:
        count: How many.
        seed: What repeats the run.
    """
    choose = random.Random(seed)  # noqa: S311 - to be repeatable
    logs = Logs()
    good = logs.log.files()
    result = Result()
    while result.refused.total() + result.same + len(result.accepted) < count:
        files = dict(good)
        changes = [choose.choice(CHANGES) for _ in range(choose.choice((1, 1, 1, 2, 3)))]
        for change in changes:
            if files:
                change(files, logs, choose)
        if files == good:
            continue
        knowing = choose.random() < 0.7
        name = "+".join(sorted(change.__name__ for change in changes)) if len(changes) == 1 else "several"
        judge(Shown(files), logs, result, knowing=knowing, name=name)
    return result


def judge(source: Shown, logs: Logs, result: Result, *, knowing: bool, name: str) -> None:
    """Show one mutant, and note what the monitor makes of it."""
    follower = Follower.load(logs.known, KEYS) if knowing else Follower(KEYS, trails=Trails())
    try:
        head = follower.follow(source)
    except LogRewritten as error:
        # Whoever is accused of that must have signed it.
        shown = open_checkpoint(error.shown, KEYS)
        if not knowing or shown.root not in {logs.log.roots.get(shown.size), logs.fork.roots.get(shown.size)}:
            result.accepted.append(f"{name}: called a rewrite what nobody signed")
        else:
            result.refused[name] += 1
        return
    except TransparencyError:
        result.refused[name] += 1
        return
    trees = [logs.log.roots] if knowing else [logs.log.roots, logs.fork.roots]
    if any(roots.get(head.size) == head.root for roots in trees) and (not knowing or head.size >= KNOWN):
        result.same += 1
    else:
        result.accepted.append(f"{name}: believed a tree of {head.size}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=10_000, help="mutants to make")
    parser.add_argument("--seed", type=int, default=1, help="what repeats the run")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    result = fuzz(options.count, options.seed)
    for each in result.accepted[:10]:
        sys.stderr.write(f"accepted {each}\n")
    summary = {
        "mutants": result.refused.total() + result.same + len(result.accepted),
        "accepted": len(result.accepted),
        "same": result.same,
        "refused": dict(sorted(result.refused.items())),
        "seed": options.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if result.accepted else 0


if __name__ == "__main__":
    sys.exit(main())
