"""Which characters a text of people's may have: those that show, and what their scripts need beside them.

A character that does not show lets two different names look alike, hides words, or turns the reading order of what
follows. So the rule is that of a form written down (after RFC 8264, FreeformClass), not a list of tricks:

* letters, marks, digits, punctuation, symbols and spaces are allowed;
* of the characters that are invisible by design (Unicode's ``Default_Ignorable_Code_Point`` and the format characters)
  only those are, which a script or an emoji needs where they stand: joiners after a letter or mark of a script that
  joins (RFC 5892, appendix A), joiners within an emoji sequence and variation selectors after what they vary (UTS 51),
  the tags of a flag;
* controls, line and paragraph separators, surrogates, private and noncharacters, and direction controls are not.
"""

import re
import unicodedata
from typing import Final

ZWNJ: Final = "\u200c"
ZWJ: Final = "\u200d"

_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""``Default_Ignorable_Code_Point`` of Unicode 16.0 (DerivedCoreProperties.txt)."""
_NEVER: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_BLANK: Final = "\u2800"
"""A Braille pattern without a dot: a symbol that shows nothing."""

_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,8}\U000e007f")
"""The flag of a part of a country, such as Scotland's (UTS 51, ED-14a)."""
_PICTURE: Final = (
    "(?:[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff][\U0001f3fb-\U0001f3ff]?\ufe0f?)"
)
_EMOJI: Final = re.compile(f"{_PICTURE}(?:{ZWJ}{_PICTURE})*|[0-9#*]\ufe0f\u20e3|[\u0021-\u3299]\ufe0e")
"""Emoji, joined or not; keycaps; what is shown as text (UTS 51, ED-16; narrower than what readers may draw)."""
_VARIED: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff][\ufe00-\ufe02\U000e0100-\U000e01ef]")
"""An ideograph in one of its registered variants (UTS 37)."""
_MONGOLIAN: Final = re.compile("[\u1820-\u18aa][\u180b-\u180d\u180f]")
_WITH_COMPANIONS: Final = re.compile("|".join(each.pattern for each in (_FLAG, _EMOJI, _VARIED, _MONGOLIAN)))

_VIRAMA: Final = 9
"""Canonical combining class of the signs after which a joiner chooses how letters join."""
_JOINING: Final = re.compile(
    "[\u0620-\u07ff\u0840-\u08ff\u0900-\u0dff\u0e00-\u0fff\u1000-\u109f\u1780-\u18af\u1a20-\u1aaf\u1b00-\u1c4f"
    "\ua800-\ua82f\ua840-\ua8ff\ua980-\ua9df\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U0001193f"
    "\U0001e900-\U0001e95f]"
)
"""Letters and marks of the scripts whose letters join or stack: Arabic to Syriac, the Indic ones, Khmer, Mongolian."""


def unfit(text: str, allowed: str = "") -> str | None:
    """The first character of a text that does not belong where it stands.

    Args:
        text: The text, in normal form C.
        allowed: Control characters that may stand in it.

    Returns:
        The character, or ``None`` where there is none.
    """
    if text.isascii() and text.isprintable():
        return None
    companions = {index for found in _WITH_COMPANIONS.finditer(text) for index in range(found.start() + 1, found.end())}
    for index, char in enumerate(text):
        if char in allowed or index in companions:
            continue
        if char in {ZWNJ, ZWJ}:
            if not _joins(text, index):
                return char
        elif char == _BLANK or _IGNORABLE.match(char) or _is_never(char):
            return char
    return None


def _is_never(char: str) -> bool:
    code = ord(char)
    return unicodedata.category(char) in _NEVER or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # noqa: PLR2004 - Unicode's noncharacters


def _joins(text: str, index: int) -> bool:
    """Whether a joiner stands between two characters of scripts that join, or after a virama (RFC 5892, A.1, A.2)."""
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    if not before or not _JOINING.match(before):
        return False
    return unicodedata.combining(before) == _VIRAMA or bool(after and _JOINING.match(after))


def named(char: str) -> str:
    """A character as a message names it.

    Args:
        char: The character.

    Returns:
        Such as ``U+202E RIGHT-TO-LEFT OVERRIDE``.
    """
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()
