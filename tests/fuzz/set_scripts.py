"""Random names and texts of every script, set as the server sets them: nothing a box, nothing lost or out of order.

    .venv/bin/python tests/fuzz/set_scripts.py --count 100000 --fonts /usr/share/fonts/truetype/noto

Texts are made of each script's letters, by the script property, with digits, brackets, punctuation and other scripts
between them; ``--texts FOLDER`` takes lines of files instead, of which each quotation and each word counts. Where
FriBidi is installed, the order of each line is compared with its.
"""

import argparse
import ctypes
import ctypes.util
import random
import re
import sys
import time
import unicodedata as ucd
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from fontTools import unicodedata

from zegel_server.pdf.fonts import registry
from zegel_server.pdf.fonts import typesetting as fonts
from zegel_server.pdf.fonts.itemizing import prepare
from zegel_server.pdf.fonts.shaping import lacks_glyphs, shape
from zegel_server.pdf.fonts.unicode_text import LEFT_TO_RIGHT_MARK, RIGHT_TO_LEFT_MARK, clusters, visual_runs

PACKAGED = (
    *("Arab", "Armn", "Beng", "Bopo", "Cyrl", "Deva", "Ethi", "Geor", "Grek", "Gujr", "Guru", "Hang", "Hani", "Hebr"),
    *("Hira", "Kana", "Khmr", "Knda", "Laoo", "Latn", "Mlym", "Mymr", "Orya", "Sinh", "Taml", "Telu", "Thai"),
)
"""Scripts that packages have fonts for."""

LIVING = (
    *PACKAGED,
    *("Thaa", "Tibt"),
    *("Adlm", "Bali", "Bamu", "Batk", "Cakm", "Cans", "Cham", "Cher", "Hmnp", "Java", "Kali", "Lana", "Lepc", "Limb"),
    *("Lisu", "Mand", "Mtei", "Newa", "Nkoo", "Olck", "Osge", "Plrd", "Rohg", "Saur", "Sund", "Sylo", "Syrc", "Tale"),
    *("Talu", "Tavt", "Tfng", "Vaii", "Wcho", "Yiii"),
)
"""Scripts of recommended and of limited use (UAX #31, tables 5 and 7)."""

BETWEEN = "0123456789 ,.-()[]/:'\"+%«»…\u2013"
JOINERS = "\u200c\u200d"
REFUSED = (
    *((0x0860, 0x086A), (0x1B4C, 0x1B4C), (0x312E, 0x312F), (0x31BB, 0x31BF), (0x9FD1, 0x9FFF), (0xFACF, 0xFAD7)),
    *((0x11147, 0x11147), (0x11AB0, 0x11ABF), (0x11FB0, 0x11FB0), (0x16FE3, 0x16FF1), (0x1AFF0, 0x1B167)),
)
"""Letters that no font has, and which are refused when they are typed: those of recent releases of Unicode, and kana
that nobody writes any more."""

ANCIENT_MUSIC = range(0x1D242, 0x1D245)
"""Marks of Greek musical notation, which no font has together with letters."""


@dataclass
class Outcome:
    """What a run found.

    Attributes:
        texts: How many texts were set.
        compared: How many lines were compared with FriBidi's.
        wrong: What went wrong, by kind.
        examples: Some of it.
    """

    texts: int = 0
    compared: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        """Notes that a text was set wrongly.

        Args:
            kind: What is wrong.
            text: The text.
        """
        self.wrong[kind] += 1
        if len(self.examples) < 40:
            self.examples.append(f"{kind}: {text!a}")


@cache
def letters(script: str) -> str:
    """The letters, marks and digits of a script that are not refused."""
    found = []
    for code in range(0x30, 0x20000):
        char = chr(code)
        if unicodedata.script(char) != script or (ucd.category(char)[0] not in "LM" and not char.isdecimal()):
            continue
        # Compatibility forms are other spellings of letters; variants of ideographs are tens of thousands.
        if code in ANCIENT_MUSIC or any(low <= code <= high for low, high in REFUSED):
            continue
        if "<" in ucd.decomposition(char) or code in range(0x3400, 0x4E00) or code in range(0x17000, 0x18D90):
            continue
        found.append(char)
    return "".join(found)


def random_text(rng: random.Random, scripts: Sequence[str]) -> str:
    """A name or a line in one script or two, with what stands between words."""
    words = []
    here = rng.choices(scripts, k=rng.choice((1, 1, 1, 2)))
    for _word in range(rng.randint(1, 4)):
        alphabet = letters(rng.choice(here))
        word = "".join(rng.choices(alphabet, k=rng.randint(1, 8)))
        if rng.random() < 0.1:
            word = word[:1] + rng.choice(JOINERS) + word[1:]
        words.append(word + "".join(rng.choices(BETWEEN, k=rng.choice((0, 1, 1, 2, 3)))))
    return rng.choice(("", " ")).join(words) if rng.random() < 0.2 else " ".join(words)


def written_texts(folder: Path) -> Iterator[str]:
    """What stands between quotation marks in a folder's files, and each of its words."""
    for path in sorted(folder.rglob("*.textproto")):
        for quoted in re.findall(r'"([^"]{2,400})"', path.read_text(encoding="utf-8")):
            yield quoted
            yield from quoted.split()


def check(text: str, outcome: Outcome, *, known: bool) -> None:
    """Sets a text in a stack, and looks at what came of it.

    Args:
        text: The text.
        outcome: Where the result goes.
        known: Whether all of its letters are of scripts that there are fonts for.
    """
    outcome.texts += 1
    stack = ("body", "bold", "hand", "mono")[outcome.texts % 4]
    line = prepare(text).strip(LEFT_TO_RIGHT_MARK + RIGHT_TO_LEFT_MARK)
    runs = fonts.set_text(text, stack)
    if known and (missing := fonts.unshown(text)):
        outcome.add("a letter that cannot be drawn", f"{missing}|{text}")
    for run in runs:
        face = run.stretch.face
        if face is None:
            continue
        glyphs = shape(face, run.text, run.stretch.script, right_to_left=run.stretch.right_to_left)
        if lacks_glyphs(glyphs):
            outcome.add("a box", text)
    if all(run.stretch.face for run in runs):
        if Counter(_bare("".join(run.text for run in runs))) != Counter(_bare(line)):
            outcome.add("a character lost", text)
        whole = {_bare(part) for part in clusters(line)}
        parts = [part for run in runs for part in clusters(run.text) if _bare(part)]
        if any(_bare(part) not in whole for part in parts) and not _divided(line):
            outcome.add("a mark without its letter", text)
    _compare(_bare(line), outcome)


def _divided(line: str) -> bool:
    """Whether marks of one script are on what is not of it, so that no font may have both."""
    return any(len({unicodedata.script(char) for char in part}) > 1 for part in clusters(line))


def _bare(text: str) -> str:
    """A text without joiners: they belong to no level, and fonts of plain letters do not see them."""
    return text.translate(dict.fromkeys(map(ord, JOINERS)))


def _compare(line: str, outcome: Outcome) -> None:
    fribidi = _fribidi()
    if fribidi is None or not line or not all(_same_class(char) for char in line):
        return
    outcome.compared += 1
    length = len(line)
    logical = (ctypes.c_uint32 * length)(*map(ord, line))
    direction = ctypes.c_uint32(0x40)  # FRIBIDI_PAR_ON: found; left to right where there is nothing to find it by
    levels = (ctypes.c_int8 * length)()
    fribidi.fribidi_log2vis(logical, length, ctypes.byref(direction), None, None, None, levels)
    if _ordered(list(levels)) != _places(line):
        outcome.add("another order than FriBidi's", line)


@cache
def _same_class(char: str) -> bool:
    """Whether FriBidi's data know a character as Python's do: both are of some release of Unicode."""
    fribidi = _fribidi()
    if fribidi is None:
        return False
    fribidi.fribidi_get_bidi_type_name.restype = ctypes.c_char_p
    name = fribidi.fribidi_get_bidi_type_name(fribidi.fribidi_get_bidi_type(ctypes.c_uint32(ord(char))))
    told = str(name.decode())
    spelled = {"LTR": "L", "RTL": "R", "BS": "B", "SS": "S"}.get(told, told)
    return spelled == ucd.bidirectional(char)


def _places(line: str) -> list[int]:
    found: list[int] = []
    for start, end, back in visual_runs(line):
        found += reversed(range(start, end)) if back else range(start, end)
    return found


def _ordered(levels: list[int]) -> list[int]:
    """Rule L2: from the highest level to the lowest odd one, reverse what is at that level or higher."""
    order = list(range(len(levels)))
    for level in range(max(levels), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            if end > start:
                order[start:end] = reversed(order[start:end])
            start = end + 1
    return order


@cache
def _fribidi() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("fribidi")
    return ctypes.CDLL(name) if name else None


def campaign(count: int, seed: int, scripts: Sequence[str]) -> Outcome:
    """Sets random texts.

    Args:
        count: How many.
        seed: Of the random numbers.
        scripts: The scripts, which there are fonts for.
    """
    rng, outcome = random.Random(seed), Outcome()  # noqa: S311 - to be repeatable
    fonts.preload()
    for _text in range(count):
        check(random_text(rng, scripts), outcome, known=True)
    return outcome


def main() -> int:
    """Runs the campaign; the exit status tells whether anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fonts", type=Path, help="folder of the fonts that no package has")
    parser.add_argument("--texts", type=Path, help="folder of texts to set instead of random ones")
    asked = parser.parse_args()
    registry.use_folder(asked.fonts)
    began = time.monotonic()
    if asked.texts:
        fonts.preload()
        outcome = Outcome()
        living = {*(LIVING if asked.fonts else PACKAGED), "Zyyy", "Zinh"}
        for text in dict.fromkeys(written_texts(asked.texts)):
            check(text, outcome, known={unicodedata.script(char) for char in text} <= living)
            if outcome.texts >= asked.count:
                break
    else:
        outcome = campaign(asked.count, asked.seed, LIVING if asked.fonts else PACKAGED)
    told = f"{outcome.texts:,} texts, {outcome.compared:,} compared with FriBidi, {time.monotonic() - began:.0f} s"
    sys.stdout.write("\n".join((told, str(dict(outcome.wrong)), *outcome.examples, "")))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
