"""Forges sealed files, with fresh tokens of the trusted timestamp authority, and counts which the verifier believes.

Run: ``python tests/fuzz/fuzz_sealed.py --count 1000000 --seed 1 --processes 2``. It prints one line of JSON and exits 1
if a forgery was accepted. A run is repeatable by its seed but for the tokens, which are always fresh.

What anybody may make, by the design, is no forgery (see ``docs/sealed-file.md``, "What anyone can vary"):

* the first two revisions as they are, but for the timestamp on the seal, which may be a later one;
* after them timestamps' revisions in the one form, whose validation data is genuine: certificates, lists and answers
  of the authorities on the paths that are used, in any number and order, and room for a token of any size allowed.

Of a forgery whose structure is refused nothing else is asked, since structure does not depend on what tokens say; each
other one gets fresh tokens and is verified in full.
"""

import argparse
import hashlib
import json
import multiprocessing
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]

from fuzz.sealed_book import Book, spelled
from fuzz.sealed_mutations import BYTES, SPELLINGS, change_value, flip, parsed, reshape
from fuzz.sealed_reuse import QuickForger, Seed, reused
from support.forging import (
    CERTIFICATES,
    ON_SEAL,
    SIGNATURE,
    SIGNED_DATA,
    World,
    edited,
    make_world,
    part,
    unstamped,
    with_seal,
)
from support.sealed import AUDIT, STAMP, make_pdf, make_sealed
from zegel.evidence.sealed_file import timestamps
from zegel.evidence.sealed_file.placing import place_signature
from zegel.evidence.sealed_file.reading import read_sealed_file
from zegel.evidence.sealed_file.syntax import FormError, Value
from zegel.evidence.sealed_file.timestamps import Validation, write_timestamp
from zegel.evidence.verification import verify_pdf
from zegel.evidence.verification.container import read_padded
from zegel.evidence.verification.der import DerError, read_element

_GAP = re.compile(rb"/Contents <[0-9A-F]{2000,}>")
Choose = random.Random
REUSED = 0.98
"""The share of forgeries of which only what differs from their origin is read; the others prove that to be the same."""


@dataclass
class Desk:
    """What a forger has.

    Args:
        world: The authorities.
        seeds: Honest files of several shapes.
        genuine: All validation data that is genuine.
    """

    world: World
    seeds: list[Seed]
    genuine: frozenset[bytes]
    counts: Counter[str] = field(default_factory=Counter)


def make_desk(folder: Path) -> Desk:
    """Make honest files: without stamps, with stamps on several pages and a title in other letters, with renewals."""
    world = make_world(folder)
    slow = world.forger
    quick = QuickForger(slow.respond, world.authority.timestamp.sign, slow.token(bytes(32)))
    world = replace(world, forger=quick)
    many = [replace(STAMP, page=page, x=72.0 + page) for page in (1, 1, 3)]
    many[1] = replace(many[1], y=500.0)
    titled = replace(AUDIT, title="Überlassungsvertrag \N{GREEK SMALL LETTER OMEGA} \N{SNOWMAN}")
    plain = world.sealed
    bare = make_sealed(folder, stamps=())
    pages = make_sealed(folder, make_pdf(pages=3), stamps=many, audit=titled)
    seeds = [Seed(each, each.pdf, Book.of(each.pdf)) for each in (plain, bare, pages)]
    for each, count in ((plain, 1), (pages, 2)):
        pdf = each.pdf
        for _ in range(count):
            pdf = world.forger.renewed(pdf)
        seeds.append(Seed(each, pdf, Book.of(pdf)))
    authority = world.authority
    held = [unstamped(each.pdf)[3] for each in seeds]
    genuine = {data for each in held for kind in (each.certificates, each.crls, each.ocsps) for data in kind}
    genuine |= {authority.root.chain[0], authority.issuer.chain[0], authority.timestamp_issuer.chain[0]}
    return Desk(world, seeds, frozenset(genuine))


# ------------------------------------------------------------------------------------------------------------- forging


def by_bytes(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """Bytes anywhere, tables as they were; at the end more often, where the newest revision is."""
    low = choose.choice((0, 0, seed.file.ends[-2]))
    return choose.choice(BYTES)(seed.pdf, choose, low)


def by_raw_bytes(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """Bytes of an object, tables made anew."""
    book = seed.book.copy()
    leaf = choose.choice(book.leaves)
    at = choose.randrange(len(leaf.objects))
    number, raw = leaf.objects[at]
    leaf.objects[at] = (number, choose.choice(BYTES)(raw, choose))
    return book.assemble()


def by_spelling(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """The same value, or nearly, in another spelling, tables made anew."""
    book = seed.book.copy()
    leaf = choose.choice(book.leaves)
    at = choose.randrange(len(leaf.objects))
    number, raw = leaf.objects[at]
    leaf.objects[at] = (number, choose.choice(SPELLINGS)(raw, choose))
    return book.assemble()


def by_value(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """Another value in good spelling, in any revision, tables made anew."""
    book = seed.book.copy()
    top = max(number for leaf in book.leaves for number, _ in leaf.objects)
    for _ in range(choose.choice((1, 1, 1, 2, 3))):
        leaf = choose.choice(book.leaves)
        at = choose.randrange(len(leaf.objects))
        number, raw = leaf.objects[at]
        leaf.objects[at] = (number, spelled(number, change_value(parsed(raw), choose, top)))
    return book.assemble()


def by_shape(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """Objects and revisions added, dropped, repeated, moved; tables and trailers of other kinds."""
    book = seed.book.copy()
    for _ in range(choose.choice((1, 1, 2))):
        reshape(book, choose)
    return book.assemble()


def by_body(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """A second body before, after or between the revisions."""
    other = choose.choice(desk.seeds)
    ends = seed.file.ends
    at = choose.choice((0, *ends))
    body = choose.choice((make_pdf("9,999 euro"), other.pdf, other.pdf[: other.file.ends[0]], b""))
    more = choose.choice((b"", b"\n", b"%PDF-1.7\n", other.pdf[-3000:]))
    return seed.pdf[:at] + body + more + seed.pdf[at:]


def by_renewal(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """A renewal with something else in it, in good spelling."""
    top = seed.file.state.numbers.first_drawn

    def change(objects: dict[int, Value]) -> None:
        what = choose.randrange(3)
        number = choose.choice(list(objects))
        if what == 0:
            objects[number] = change_value(objects[number], choose, top)
        elif what == 1:
            number = choose.randrange(1, max(objects) + 3)
            objects[number] = change_value(objects.get(number, {}), choose, top)
        elif len(objects) > 1:
            del objects[number]

    return unsigned_with(seed, change)


def unsigned_with(seed: Seed, change: Callable[[dict[int, Value]], None]) -> bytes:
    """The file with a renewal in which something was changed and no token stands yet."""
    state, base = seed.file.state, seed.base
    objects, number, _ = timestamps._built(base.size, state, ((), (), ()))
    change(objects)
    if not isinstance(objects.get(number), dict):
        raise FormError("no place for a signature")
    objects = dict(sorted(objects.items()))
    unsigned = place_signature(base, objects, number, 4_096, size=max(*objects, base.size - 1) + 1, info=base.info)
    return seed.pdf + unsigned.signed(b"")


def by_store(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """Other validation data, in the first timestamp's revision or in a renewal."""
    held = seed.unstamped[3]
    lists = [list(held.certificates), list(held.crls), list(held.ocsps)]
    authority = desk.world.authority
    for _ in range(choose.choice((1, 1, 2))):
        kind = choose.choice(lists)
        what = choose.randrange(8)
        if what == 0 and kind:
            del kind[choose.randrange(len(kind))]
        elif what in {1, 2, 3} and kind:
            at = choose.randrange(len(kind))
            kind[at] = choose.choice(BYTES)(kind[at] or b" ", choose)
        elif what == 4:
            kind.append(choose.randbytes(choose.choice((0, 1, 30, 3000))))
        elif what == 5:
            kind.append(choose.choice((authority.tls.chain[0], *authority.crls, authority.root.chain[0])))
        elif what == 6 and kind:
            kind.append(inside(choose.choice(kind), choose))
        else:
            choose.shuffle(kind)
    added = Validation(*(tuple(dict.fromkeys(kind)) for kind in lists))
    if choose.random() < 0.5:
        return seed.pdf + write_timestamp(seed.base, seed.file.state, added, 4_096).signed(b"")
    before, base, state, _ = seed.unstamped
    return before + write_timestamp(base, state, added, choose.choice((4_096, 9_000))).signed(b"")


def inside(data: bytes, choose: Choose) -> bytes:
    """DER with one of its elements changed, and all lengths with it."""
    path: list[int] = []
    try:
        while choose.random() < 0.8:
            element = read_element(part(data, path) if path else data)
            children = element.elements()
            if not element.tag & 0x20 or not children:
                break
            path.append(choose.randrange(len(children)))
        return edited(data, path, lambda each: choose.choice(BYTES)(each, choose))
    except DerError:
        return flip(data or b" ", choose)


def by_seal(desk: Desk, seed: Seed, choose: Choose) -> bytes:
    """Something in the seal's container that its signature may not cover; stamped anew."""
    forger = desk.world.forger

    def change(seal: bytes) -> bytes:
        what = choose.randrange(5)
        if what == 0:
            signature = read_element(part(seal, SIGNATURE)).content
            return edited(seal, ON_SEAL, lambda _: forger.token(hashlib.sha256(signature).digest()))
        if what == 1:
            return edited(seal, ON_SEAL, partial(inside, choose=choose))
        if what == 2:
            return edited(seal, CERTIFICATES, partial(inside, choose=choose))
        if what == 3:
            return edited(seal, SIGNED_DATA, partial(inside, choose=choose))
        return inside(seal, choose)

    try:
        return with_seal(seed.sealed.pdf, forger, change)
    except (AssertionError, FormError):
        return by_bytes(desk, seed, choose)


WAYS: tuple[tuple[Callable[[Desk, Seed, Choose], bytes], int], ...] = (
    (by_bytes, 330),
    (by_raw_bytes, 130),
    (by_spelling, 130),
    (by_value, 130),
    (by_shape, 160),
    (by_body, 60),
    (by_renewal, 50),
    (by_store, 7),
    (by_seal, 3),
)
"""How, and how often in a thousand."""


# ------------------------------------------------------------------------------------------------------------- judging


def with_fresh_token(desk: Desk, pdf: bytes) -> bytes:
    """A well-formed file with a fresh token in its newest revision."""
    start, end = read_sealed_file(pdf).timestamps[-1].gap
    token = desk.world.forger.token(hashlib.sha256(pdf[:start] + pdf[end:]).digest())
    digits = token.hex().upper().encode("ascii").ljust(end - start - 2, b"0")
    return pdf[: start + 1] + digits + pdf[end - 1 :] if len(digits) == end - start - 2 else pdf


def is_allowed(desk: Desk, seed: Seed, pdf: bytes) -> bool:
    """Whether a file is one that anybody may make of this one."""
    file, honest = read_sealed_file(pdf), seed.file
    end = honest.ends[1]
    start, stop = honest.completion.gap
    if file.ends[1] != end or pdf[:start] + pdf[stop:end] != seed.pdf[:start] + seed.pdf[stop:end]:
        return False
    one, other = (read_padded(each.completion.contents) for each in (file, honest))
    if edited(one, ON_SEAL, lambda _: b"\x05\x00") != edited(other, ON_SEAL, lambda _: b"\x05\x00"):
        return False
    added = [each.added for each in file.timestamps]
    every = {data for each in added for kind in (each.certificates, each.crls, each.ocsps) for data in kind}
    return every <= desk.genuine


def judge(desk: Desk, seed: Seed, pdf: bytes, *, both: bool = True) -> str:
    """``structure``, ``refused``, ``allowed``, or ``accepted``; ``both`` tries it with its stale token as well."""
    try:
        read_sealed_file(pdf)
    except FormError:
        return "structure"
    stamped = with_fresh_token(desk, pdf)
    for each in {pdf, stamped} if both else {stamped}:
        if verify_pdf(each, [seed.sealed.vkey], [seed.sealed.root_pem]).ok and each != seed.pdf:
            return "allowed" if is_allowed(desk, seed, each) else "accepted"
    return "refused"


def fuzz(count: int, seed: int, ways: Sequence[str] = ()) -> tuple[Counter[str], list[tuple[str, bytes]]]:
    """Forge files and verify them.

    Args:
        count: How many.
        seed: What repeats the run.
        ways: Names of the ways to forge; all where left out.

    Returns:
        How many of each way came to which end, and those that were accepted.
    """
    choose = random.Random(seed)  # noqa: S311 - to be repeatable
    ends: Counter[str] = Counter()
    accepted: list[tuple[str, bytes]] = []
    chosen = [(way, weight) for way, weight in WAYS if not ways or way.__name__ in ways]
    with tempfile.TemporaryDirectory() as folder:
        desk = make_desk(Path(folder))
        for each in desk.seeds:
            assert verify_pdf(each.pdf, [each.sealed.vkey], [each.sealed.root_pem]).ok
        while ends.total() < count:
            (way,) = choose.choices([way for way, _ in chosen], [weight for _, weight in chosen])
            origin = choose.choice(desk.seeds)
            try:
                pdf = way(desk, origin, choose)
            except FormError:  # the writer itself refuses
                continue
            if any(pdf == each.pdf for each in desk.seeds):
                continue
            with reused(origin) if choose.random() < REUSED else nullcontext():
                end = judge(desk, origin, pdf, both=way is by_bytes or choose.random() < 0.1)
            ends[f"{way.__name__}:{end}"] += 1
            if end == "accepted":
                accepted.append((way.__name__, pdf))
    return ends, accepted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=20_000, help="forgeries to make")
    parser.add_argument("--seed", type=int, default=1, help="what repeats the run")
    parser.add_argument("--processes", type=int, default=2, help="processes that forge side by side")
    parser.add_argument("--keep", type=Path, help="a folder for forgeries that were accepted")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    share = -(-options.count // options.processes)
    jobs = [(share, options.seed * 1000 + index) for index in range(options.processes)]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        results = pool.starmap(fuzz, jobs)
    ends: Counter[str] = sum((each for each, _ in results), Counter())
    accepted = [pair for _, pairs in results for pair in pairs]
    for index, (way, pdf) in enumerate(accepted[:20]):
        sys.stderr.write(f"accepted {way}: {len(pdf)} bytes\n")
        if options.keep:
            (options.keep / f"accepted-{index}.pdf").write_bytes(pdf)
    totals: Counter[str] = Counter()
    for key, number in ends.items():
        totals[key.partition(":")[2]] += number
    summary = {
        "forgeries": ends.total() - totals["allowed"],
        "accepted": len(accepted),
        "verified_in_full": ends.total() - totals["structure"],
        "made_as_anybody_may": totals["allowed"],
        "ends": dict(sorted(ends.items())),
        "seed": options.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if accepted else 0


if __name__ == "__main__":
    sys.exit(main())
