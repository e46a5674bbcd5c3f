"""The fonts that the content of a PDF's pages can use.

Invariants:

* Each object is looked into once, however many ways lead to it: time is linear in the file, and cycles end.
"""

from collections.abc import Iterator

import pikepdf

from zegel_server.pdf.fonts.simple_fonts import word

SIMPLE = frozenset({"Type1", "MMType1", "TrueType"})
"""Kinds of fonts with codes of one byte and a font file."""

_FILES = ("/FontFile", "/FontFile2", "/FontFile3")
_HELD = (("/Font", "font"), ("/XObject", "content"), ("/Pattern", "content"), ("/ExtGState", "state"))


def fonts(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """All font dictionaries that pages, forms, patterns, soft masks, Type 3 glyphs and annotations name, each once.

    Args:
        pdf: The PDF; its pages have their resources themselves.
    """
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[str, pikepdf.Object | None]] = []
    for page in pdf.pages:
        waiting.append(("resources", page.obj.get("/Resources")))
        for item in values(page.obj.get("/Annots")):
            waiting.extend(("appearance", look) for look in values(item.get("/AP")))
        while waiting:
            kind, holder = waiting.pop()
            if not isinstance(holder, pikepdf.Dictionary | pikepdf.Stream):
                continue
            if holder.is_indirect:
                if holder.objgen in seen:
                    continue
                seen.add(holder.objgen)
            if kind == "font":
                yield holder
            waiting.extend(_held(kind, holder))


def lacks_file(font: pikepdf.Object) -> bool:
    """Whether a font is one that needs a font file and has none.

    Args:
        font: A font dictionary.
    """
    kind = word(font.get("/Subtype"))
    if kind == "Type0":
        descendants = font.get("/DescendantFonts")
        font = descendants[0] if isinstance(descendants, pikepdf.Array) and len(descendants) else pikepdf.Dictionary()
        if not isinstance(font, pikepdf.Dictionary):
            return True
    elif kind not in SIMPLE:
        return False
    descriptor = font.get("/FontDescriptor")
    if not isinstance(descriptor, pikepdf.Dictionary):
        return True
    return not any(isinstance(descriptor.get(key), pikepdf.Stream) for key in _FILES)


def _held(kind: str, holder: pikepdf.Object) -> Iterator[tuple[str, pikepdf.Object | None]]:
    """What an object holds that may name fonts."""
    if kind in {"content", "font"} or (kind == "appearance" and isinstance(holder, pikepdf.Stream)):
        yield "resources", holder.get("/Resources")
    elif kind == "appearance":
        yield from (("content", look) for look in values(holder))
    elif kind == "state":
        font = holder.get("/Font")
        yield "font", font[0] if isinstance(font, pikepdf.Array) and len(font) else None
        mask = holder.get("/SMask")
        yield "content", mask.get("/G") if isinstance(mask, pikepdf.Dictionary) else None
    elif kind == "resources":
        for key, found in _HELD:
            yield from ((found, value) for value in values(holder.get(key)))


def values(holder: pikepdf.Object | None) -> list[pikepdf.Object]:
    """The dictionaries and streams that an array or a dictionary holds.

    Args:
        holder: The array or dictionary; anything else holds none.
    """
    if isinstance(holder, pikepdf.Array):
        held = list(holder)
    else:
        held = [value for _key, value in holder.items()] if isinstance(holder, pikepdf.Dictionary) else []
    return [value for value in held if isinstance(value, pikepdf.Dictionary | pikepdf.Stream)]
