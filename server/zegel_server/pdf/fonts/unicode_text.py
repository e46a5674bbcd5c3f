"""Unicode properties of a line of text: its grapheme clusters, their visual order, and where it may be broken.

The answers are ICU's: Unicode's own implementation of the bidirectional algorithm (UAX #9), of grapheme clusters
(UAX #29), and of line breaks (UAX #14, with dictionaries for Thai, Lao, Khmer and Burmese). ``icu4py`` ships ICU and
wraps the last two; for the first, the library is called through ctypes.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from fontTools import unicodedata
from icu4py import breakers, icu_version

LEFT_TO_RIGHT_MARK, RIGHT_TO_LEFT_MARK = "\u200e", "\u200f"

COMMON = "Zyyy"
"""ISO 15924 code of characters that belong to no script: digits, punctuation, symbols."""

_OF_NO_SCRIPT = {COMMON, "Zinh", "Zzzz"}
_FIRST_STRONG = 0xFE
"""ICU's ``UBIDI_DEFAULT_LTR``: the first strong character decides; left to right if there is none."""


@dataclass(frozen=True, slots=True)
class DirectedText:
    """A part of a line that runs in one direction.

    Args:
        text: The characters, in the order they are read.
        right_to_left: Its direction.
    """

    text: str
    right_to_left: bool


@cache
def _icu(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of ICU; its exported names end in the number of its release."""
    found = getattr(_library(), f"{name}_{icu_version.split('.')[0]}")
    found.restype, found.argtypes = result, arguments
    return found  # type: ignore[no-any-return]


@cache
def _library() -> ctypes.CDLL:
    """ICU, loaded through an extension that is linked with it: the path of its own file differs between platforms."""
    return ctypes.CDLL(breakers.__file__)


class _Paragraph:
    """A text as one paragraph of ICU's bidirectional algorithm; close it after use."""

    def __init__(self, text: str) -> None:
        self._status = ctypes.c_int(0)
        self._units = text.encode("utf-16-le")  # ICU reads it for as long as the paragraph is open
        self._bidi = _icu("ubidi_open", ctypes.c_void_p)()
        pointer, number, byte = ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint8
        length = len(self._units) // 2
        set_text = _icu("ubidi_setPara", None, pointer, ctypes.c_char_p, number, byte, pointer, pointer)
        set_text(self._bidi, self._units, length, _FIRST_STRONG, None, ctypes.byref(self._status))
        self._check()

    def _check(self) -> None:
        if self._status.value > 0:
            raise MemoryError("ICU has no room for a line of text")

    def level(self) -> int:
        """The embedding level of the paragraph: 1 if it runs from right to left."""
        return int(_icu("ubidi_getParaLevel", ctypes.c_uint8, ctypes.c_void_p)(self._bidi))

    def runs(self) -> list[tuple[int, int, bool]]:
        """Start and end of each run in UTF-16 code units, from left to right, and whether it reads right to left."""
        pointer = ctypes.c_void_p
        count = _icu("ubidi_countRuns", ctypes.c_int32, pointer, pointer)(self._bidi, ctypes.byref(self._status))
        self._check()
        start, length = ctypes.c_int32(), ctypes.c_int32()
        get = _icu("ubidi_getVisualRun", ctypes.c_int, pointer, ctypes.c_int32, pointer, pointer)
        found = []
        for index in range(count):
            direction = get(self._bidi, index, ctypes.byref(start), ctypes.byref(length))
            found.append((start.value, start.value + length.value, direction == 1))
        return found

    def close(self) -> None:
        _icu("ubidi_close", None, ctypes.c_void_p)(self._bidi)


def visual_runs(text: str) -> list[tuple[int, int, bool]]:
    """Put a line into visual order (UAX #9); its first strong character decides the direction of the whole.

    Args:
        text: One line, without line breaks.

    Returns:
        Start and end of each part of one direction, from left to right, and whether the part reads right to left.

    Raises:
        MemoryError: There is no memory for it.
    """
    if not text:
        return []
    paragraph = _Paragraph(text)
    try:
        runs = paragraph.runs()
    finally:
        paragraph.close()
    if text.isascii() or max(text) <= "\uffff":
        return runs
    places: list[int] = []  # index of the character, by UTF-16 code unit
    for index, char in enumerate(text):
        places += [index] * (2 if char > "\uffff" else 1)
    places.append(len(text))
    return [(places[start], places[end], back) for start, end, back in runs]


def visual_order(text: str) -> list[DirectedText]:
    """The parts of a line that each run in one direction.

    Args:
        text: One line, without line breaks.

    Returns:
        Its parts from left to right.

    Raises:
        MemoryError: There is no memory for it.
    """
    return [DirectedText(text[start:end], back) for start, end, back in visual_runs(text)]


def reads_right_to_left(text: str) -> bool:
    """Whether a paragraph runs from right to left as a whole.

    Args:
        text: The paragraph.
    """
    if text.isascii():
        return False
    paragraph = _Paragraph(text)
    try:
        return paragraph.level() == 1
    finally:
        paragraph.close()


def mirrored(char: str) -> str:
    """The character that is shown for another in right-to-left text.

    Args:
        char: A character, such as an opening bracket.

    Returns:
        Its mirror image, such as the closing bracket; the character itself if it has none.
    """
    return chr(_icu("u_charMirror", ctypes.c_int32, ctypes.c_int32)(ord(char)))


def clusters(text: str) -> list[str]:
    """Split a text into what readers perceive as characters: a letter with its marks, an emoji with its joiners.

    Args:
        text: Any text.
    """
    return list(breakers.CharacterBreaker(text, "en"))


def unbreakable_parts(text: str) -> list[str]:
    """Split a word at each place where a line may be broken.

    Args:
        text: The word: text between two spaces.
    """
    return list(breakers.LineBreaker(text, "en"))


@cache
def script_of(cluster: str) -> str:
    """The script of a cluster, as its four letters in ISO 15924.

    Args:
        cluster: A letter with its marks.

    Returns:
        The script of its first character that has one; :data:`COMMON` if none has.
    """
    for char in cluster:
        if (script := unicodedata.script(char)) not in _OF_NO_SCRIPT:
            return str(script)
    # A character that a few scripts share (a danda, a kashida) takes its script from its neighbours.
    return COMMON


def is_shared_with(cluster: str, script: str) -> bool:
    """Whether a cluster that belongs to no single script may be used in a given one.

    Args:
        cluster: The cluster.
        script: The script.
    """
    extensions = unicodedata.script_extension(cluster[0])
    return bool(extensions & _OF_NO_SCRIPT) or script in extensions
