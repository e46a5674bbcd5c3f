"""Divides a line of text into stretches of one direction, one script and one font.

Invariants:

* A cluster is divided only where no font has all of it: a mark stays with its letter, an emoji with its joiners.
* A font is chosen for a cluster only after HarfBuzz has shaped the cluster in it without a missing glyph.
* A script with joined letters is set in a single font if there is one with all of the letters.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from zegel_server.pdf.fonts.registry import EMOJI, Face, face, faces_for
from zegel_server.pdf.fonts.shaping import lacks_glyphs, shape
from zegel_server.pdf.fonts.unicode_text import (
    COMMON,
    LEFT_TO_RIGHT_MARK,
    RIGHT_TO_LEFT_MARK,
    clusters,
    is_shared_with,
    script_of,
    visual_order,
)

PLAIN_SCRIPTS = frozenset({"Latn", "Grek", "Cyrl", COMMON})
"""Scripts that need no shaping: one glyph per letter, in reading order."""

_STACKS = {
    "body": ("notos",),
    "bold": ("notosbo",),
    "mono": ("cascadia", "notos"),
    "hand": ("caveat", "notosit"),
}
"""The fonts of the plain scripts, best first."""

_KEPT_ANSWERS = 65_536
"""Pairs of cluster and font whose answers are cached."""

_JOINERS = {"\u200c", "\u200d"}
_DRAWN_FORMATS = {
    0x0600,
    0x0601,
    0x0602,
    0x0603,
    0x0604,
    0x0605,
    0x06DD,
    0x070F,
    0x0890,
    0x0891,
    0x08E2,
    0x110BD,
    0x110CD,
}
"""Format characters that are drawn: signs that go around or under numbers."""
_SHAPING_FORMATS = {0x180E}
_TAGS = range(0xE0020, 0xE0080)
"""Tag characters, which spell the region of a flag."""
_EMOJI_STYLE, _KEYCAP = "\ufe0f", "\u20e3"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a line that is shaped as a whole.

    Args:
        text: The characters, in the order they are read.
        script: Their script, as its four letters in ISO 15924.
        right_to_left: Their direction.
        face: The font; ``None`` if no font has the characters.
        plain: Whether each character is one glyph of the font, so that reportlab can draw it.
    """

    text: str
    script: str
    right_to_left: bool
    face: Face | None
    plain: bool


def plain_fonts(stack: str) -> tuple[str, ...]:
    """Names of the fonts that a stack uses for plain scripts, best first.

    Args:
        stack: Name of a stack of fonts.
    """
    return _STACKS[stack]


def stacks() -> Iterable[str]:
    """Names of the stacks."""
    return _STACKS


def prepare(text: str) -> str:
    """Normalise a text: composed (NFC), with plain spaces, and without invisible control characters.

    Args:
        text: Any text.

    Returns:
        The text; a direction mark at its beginning is kept.
    """
    composed = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if char.isspace() else char for char in composed)
    kept = "".join(char for char in spaced if _is_kept(char))
    return text[0] + kept if text[:1] in {LEFT_TO_RIGHT_MARK, RIGHT_TO_LEFT_MARK} else kept


def itemize(line: str, stack: str) -> list[Stretch]:
    """Divide a line into stretches.

    Args:
        line: One line, as :func:`prepare` makes it.
        stack: Name of a stack of fonts.

    Returns:
        Its stretches from left to right.
    """
    found: list[Stretch] = []
    for part in visual_order(line):
        text = part.text.strip(LEFT_TO_RIGHT_MARK + RIGHT_TO_LEFT_MARK)
        stretches = [
            stretch
            for script, members in _scripts(clusters(text))
            for stretch in _in_fonts(members, script, part.right_to_left, stack)
        ]
        found.extend(reversed(stretches) if part.right_to_left else stretches)
    return found


def _is_kept(char: str) -> bool:
    if unicodedata.category(char) not in {"Cc", "Cf"}:
        return True
    return char in _JOINERS or ord(char) in _DRAWN_FORMATS or ord(char) in _SHAPING_FORMATS or ord(char) in _TAGS


def _scripts(parts: list[str]) -> list[tuple[str, list[str]]]:
    """Clusters by script; one without a script of its own joins the one before it, or else the one after it."""
    scripts = [script_of(part) for part in parts]
    first = next((script for script in scripts if script != COMMON), COMMON)
    resolved: list[str] = []
    for part, script in zip(parts, scripts, strict=True):
        around = resolved[-1] if resolved else first
        resolved.append(script if script != COMMON else around if is_shared_with(part, around) else COMMON)
    pairs = zip(resolved, parts, strict=True)
    return [(script, [part for _script, part in pairs]) for script, pairs in groupby(pairs, key=lambda pair: pair[0])]


def _in_fonts(members: list[str], script: str, right_to_left: bool, stack: str) -> list[Stretch]:
    """Divide clusters of one script and direction by font."""
    faces = _faces(script, stack)
    own = {part for part in members if script_of(part) == script}
    whole = (each for each in faces if all(_draws(each, part, script, right_to_left) for part in own))
    first = next(whole, None) if script != COMMON else None  # symbols need not share a font
    ordered = (first, *faces) if first else faces
    chosen = [piece for part in members for piece in _set(part, script, right_to_left, stack, ordered)]
    return [
        Stretch("".join(piece.text for piece in pieces), *key[:1], right_to_left, *key[1:])
        for key, pieces in groupby(chosen, key=lambda piece: (piece.script, piece.face, piece.plain))
    ]


def _set(part: str, script: str, right_to_left: bool, stack: str, faces: tuple[Face, ...]) -> list[Stretch]:
    """A cluster in a font; its letter and its marks in separate fonts if none has both."""
    found = _choose(part, script, right_to_left, stack, faces)
    if found is None and len(part) > 1:  # a mark of one script on a letter of another, which no language uses
        scripts = [own if (own := script_of(char)) != COMMON else script for char in part]
        return [
            Stretch(char, own, right_to_left, _choose(char, own, right_to_left, stack, _faces(own, stack)), plain=False)
            for char, own in zip(part, scripts, strict=True)
        ]
    bare = part.strip("".join(_JOINERS)) if script in PLAIN_SCRIPTS else part
    plain = (
        found is not None
        and found.name in _STACKS[stack]
        and script in PLAIN_SCRIPTS
        and not right_to_left
        and len(bare) == 1
        and bool(found.font.get_nominal_glyph(ord(bare)))  # HarfBuzz can also compose a letter of parts
    )
    return [Stretch(bare if plain else part, script, right_to_left, found, plain)]


def _choose(part: str, script: str, right_to_left: bool, stack: str, faces: tuple[Face, ...]) -> Face | None:
    if _is_emoji(part):
        emoji = face(EMOJI)
        if emoji is not None and _draws(emoji, part, script, right_to_left):
            return emoji
    found = next((each for each in faces if _draws(each, part, script, right_to_left)), None)
    if found is None and script != COMMON:
        found = next((each for each in _faces(COMMON, stack) if _draws(each, part, script, right_to_left)), None)
    return found


def _is_emoji(part: str) -> bool:
    """Whether a cluster is to be shown as a picture: it has an emoji selector, or joins several pictures."""
    if part[-1] == _KEYCAP or _EMOJI_STYLE in part:
        return True
    return len(part) > 1 and unicodedata.category(part[0]) == "So"


@lru_cache(maxsize=_KEPT_ANSWERS)
def _draws(font: Face, part: str, script: str, right_to_left: bool) -> bool:
    return not lacks_glyphs(shape(font, part, script, right_to_left=right_to_left))


def _faces(script: str, stack: str) -> tuple[Face, ...]:
    """The fonts for a script in a stack, best first."""
    own = [face(name) for name in _STACKS[stack]]
    others = faces_for(script, bold=stack == "bold", italic=stack == "hand")
    plain = script in PLAIN_SCRIPTS
    ordered = [*own, *others] if plain else [*others, *own]
    return tuple(dict.fromkeys(each for each in ordered if each is not None))
