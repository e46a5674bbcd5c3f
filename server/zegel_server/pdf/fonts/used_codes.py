"""Finds the codes that a PDF's content shows in composite fonts.

Invariants:

* No code that is shown is missed: where the current font is unknown, the code counts for every font.
* Each stream is read once, up to a total length; in a PDF that exceeds it, no codes are known.
"""

from collections.abc import Iterator

import pikepdf

from zegel_server.pdf.fonts.font_walk import values
from zegel_server.pdf.fonts.simple_fonts import word

MAX_SCANNED_BYTES = 16 * 1024 * 1024
"""Most bytes of content that are read: 500 pages of dense print, which take about ten seconds."""

MAX_STATES = 64
"""Deepest nesting of graphics states that is followed: readers stop at 28 (ISO 32000-1, Annex C)."""

Key = tuple[int, int]


class Scan:
    """Reads a PDF's content once, when it is first needed.

    Args:
        pdf: The PDF.
    """

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._codes: dict[Key, set[int]] | None = None
        self._anywhere: set[int] = set()
        self._complete = True

    def codes(self, font: pikepdf.Object) -> frozenset[int] | None:
        """The two-byte codes that are shown in a font.

        Args:
            font: A composite font whose codes all have two bytes.

        Returns:
            The codes; ``None`` if they are not known.
        """
        if not font.is_indirect:
            return None
        if self._codes is None:
            self._codes = {}
            self._read()
        return frozenset(self._codes.get(font.objgen, set()) | self._anywhere) if self._complete else None

    def _read(self) -> None:
        room = MAX_SCANNED_BYTES
        for content, resources in _contents(self._pdf):
            try:
                room -= sum(len(part.read_bytes()) for part in _parts(content))
                if room < 0:
                    self._complete = False
                    return
                self._stream(content, resources)
            except (pikepdf.PdfError, ValueError, TypeError):
                self._complete = False
                return

    def _stream(self, content: pikepdf.Page | pikepdf.Object, resources: pikepdf.Object | None) -> None:
        fonts, states = _entries(resources, "/Font"), _entries(resources, "/ExtGState")
        current: Key | None = None
        kept: list[Key | None] = []
        for instruction in pikepdf.parse_content_stream(content):
            operator, operands = str(instruction.operator), list(instruction.operands)
            if operator == "q" and len(kept) < MAX_STATES:
                kept.append(current)
            elif operator == "Q" and kept:
                current = kept.pop()
            elif operator == "Tf" and operands:
                current = _key(fonts.get(word(operands[0])))
            elif operator == "gs" and operands:
                state = states.get(word(operands[0]))
                font = state.get("/Font") if isinstance(state, pikepdf.Dictionary) else None
                current = _key(font[0]) if isinstance(font, pikepdf.Array) and len(font) else current
            elif operator in {"Tj", "TJ", "'", '"'} and operands:
                self._shown(current, operands[-1])

    def _shown(self, font: Key | None, operand: pikepdf.Object) -> None:
        if self._codes is None:
            return
        found = self._anywhere if font is None else self._codes.setdefault(font, set())
        for item in operand if isinstance(operand, pikepdf.Array) else [operand]:
            if isinstance(item, pikepdf.String):
                data = bytes(item)
                found.update(int.from_bytes(data[start : start + 2], "big") for start in range(0, len(data) - 1, 2))


def _contents(pdf: pikepdf.Pdf) -> Iterator[tuple[pikepdf.Page | pikepdf.Object, pikepdf.Object | None]]:
    """All content streams that pages show, each once, with their resources."""
    seen: set[Key] = set()
    for page in pdf.pages:
        resources = page.obj.get("/Resources")
        yield page, resources
        looks = [look for item in values(page.obj.get("/Annots")) for look in values(item.get("/AP"))]
        waiting = [(look, resources) for look in [*looks, *(inner for look in looks for inner in values(look))]]
        waiting.extend(_inside(resources))
        while waiting:
            content, around = waiting.pop()
            if not isinstance(content, pikepdf.Stream) or content.objgen in seen:
                continue
            seen.add(content.objgen)
            own = content.get("/Resources", around)
            if word(content.get("/Subtype")) != "Image":
                yield content, own
                waiting.extend(_inside(own))


def _inside(resources: pikepdf.Object | None) -> Iterator[tuple[pikepdf.Object, pikepdf.Object | None]]:
    if not isinstance(resources, pikepdf.Dictionary):
        return
    for key in ("/XObject", "/Pattern"):
        yield from ((item, resources) for item in values(resources.get(key)))
    for state in values(resources.get("/ExtGState")):
        yield from ((item, resources) for item in values(state.get("/SMask")))
    for font in values(resources.get("/Font")):
        yield from ((item, font.get("/Resources", resources)) for item in values(font.get("/CharProcs")))


def _parts(content: pikepdf.Page | pikepdf.Object) -> list[pikepdf.Stream]:
    if not isinstance(content, pikepdf.Page):
        return [content] if isinstance(content, pikepdf.Stream) else []
    contents = content.obj.get("/Contents")
    items = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    return [item for item in items if isinstance(item, pikepdf.Stream)]


def _entries(resources: pikepdf.Object | None, key: str) -> dict[str, pikepdf.Object]:
    held = resources.get(key) if isinstance(resources, pikepdf.Dictionary) else None
    return {name[1:]: value for name, value in held.items()} if isinstance(held, pikepdf.Dictionary) else {}


def _key(font: pikepdf.Object | None) -> Key | None:
    """A font's object number; ``None`` if unknown, as in a form that inherits its font from the page."""
    return font.objgen if isinstance(font, pikepdf.Dictionary) else None
