"""Content at which a reader stops, so that it does not show what is drawn after it.

Poppler (22.12; Evince and Okular use it) leaves a content stream at the first operator that has fewer operands than
it needs. All streams of a page are one to it, so flattened annotations and stamps behind such an operator would be
gone. In a form of its own the content ends alone.
"""

import re

from zegel_server.pdf.pages.content import instructions

_NEEDED = {
    **dict.fromkeys((b"c", b"cm", b"Tm", b"d1"), 6),
    **dict.fromkeys((b"v", b"y", b"re", b"k", b"K"), 4),
    **dict.fromkeys((b"rg", b"RG", b'"'), 3),
    **dict.fromkeys((b"m", b"l", b"d", b"Td", b"TD", b"Tf", b"d0", b"BDC", b"DP"), 2),
    **dict.fromkeys((b"w", b"j", b"J", b"M", b"i", b"ri", b"gs", b"g", b"G", b"cs", b"CS", b"sh", b"Do"), 1),
    **dict.fromkeys((b"Tc", b"Tw", b"Tz", b"TL", b"Tr", b"Ts", b"Tj", b"TJ", b"'", b"BMC", b"MP"), 1),
}
"""How many operands operators need (ISO 32000-1, Annex A), except those that take any number."""

_DIFFICULT = re.compile(rb"[^0-9+\-.\x00\t\n\x0c\r ]")
_OPERAND = re.compile(
    rb"\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*+\))*+\)|\[[^\]]*+\]|<<|<[^>]*+>|%[^\r\n]*+"
    rb"|/?[^\x00\t\n\x0c\r ()<>\[\]{}/%]++|/",
    re.DOTALL,
)
_ODD_NUMBER = re.compile(rb"(?<![^\x00\t\n\x0c\r \[\]()<>])[0-9+\-.][0-9+\-.]*[^0-9+\-.\x00\t\n\x0c\r ()<>\[\]{}/%]")

_MAX_SCANNED = 4 * 1024 * 1024
"""Maximum size in bytes of content that is scanned, which takes some two seconds. Longer content is assumed to halt,
which does no harm."""


def stops_readers(data: bytes) -> bool:
    """Tell whether a reader may stop within content.

    Args:
        data: Decoded content.
    """
    if len(data) > _MAX_SCANNED:
        return True
    for item in instructions(data):
        needed = _NEEDED.get(item.operator)
        if needed is None:
            continue
        operands = data[item.start : item.at]
        if not _DIFFICULT.search(operands):
            if len(operands.split()) < needed:
                return True
            continue
        # Such as 1e3, which that reader takes for a number and an operator.
        if _ODD_NUMBER.search(operands) and item.operator not in {b"Tj", b"TJ", b"'", b'"'}:
            return True
        if sum(not found.startswith(b"%") for found in _OPERAND.findall(operands)) < needed:
            return True
    return False
