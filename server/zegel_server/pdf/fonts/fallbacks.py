"""Glyphs for characters that the chosen face lacks.

A character is taken from the first face of the chain that has it. A ligature or an accented letter that no face has is
composed of its parts.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from zegel_server.pdf.fonts import faces

MAX_TEXT = 8
"""Most characters that one code may show: the longest ligatures have four."""


@dataclass(frozen=True, slots=True)
class Part:
    """An outline and its position.

    Args:
        outline: The outline.
        left: Horizontal position of its origin, in thousandths of the font size.
    """

    outline: faces.Outline
    left: float


@lru_cache(maxsize=4096)
def compose(face: str, text: str) -> tuple[tuple[Part, ...], float] | None:
    """The outlines that show a text, side by side.

    Args:
        face: The face to begin with.
        text: One character, or the few that a ligature stands for.

    Returns:
        The outlines and their total advance; ``None`` if no face has one of the characters.
    """
    if len(text) > MAX_TEXT:
        return None
    parts: list[Part] = []
    left = 0.0
    for char in text:
        found = _single(face, char)
        if found is None:
            apart = unicodedata.normalize("NFKD", char)
            whole = compose(face, apart) if len(text) == 1 and len(apart) > 1 else None
            if whole is None:
                return None
            return whole
        # A combining mark is drawn to the left of its own origin, so it lands on the letter before it.
        parts.append(Part(found, left))
        left += found.advance
    return tuple(parts), left


def _single(face: str, char: str) -> faces.Outline | None:
    for name in faces.chain(face):
        found = faces.face(name).of(char)
        if found is not None:
            return found
    return None
