"""A file that is being grown: its objects, its fonts, and the places in it where content is drawn."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO

import pymupdf_fonts  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFontFile

from support.pdfs import stream

SIDE = 300
"""Side of the square, in units, in which content is drawn."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass
class Book:
    """A file being grown: its objects, numbered from 1, and the words in it."""

    choose: random.Random
    objects: list[bytes] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    features: set[str] = field(default_factory=set)
    layers: dict[str, bytes] = field(default_factory=dict)
    fonts: dict[str, bytes] = field(default_factory=dict)
    fields: list[bytes] = field(default_factory=list)
    named: int = 0
    typefaces: tuple[str, ...] = ("embedded",)

    def add(self, body: bytes) -> bytes:
        """Add an object, and return the reference to it."""
        self.objects.append(body)
        return b"%d 0 R" % len(self.objects)

    def reserve(self) -> tuple[int, bytes]:
        """Keep a number for an object that comes later."""
        reference = self.add(b"null")
        return len(self.objects) - 1, reference

    def chance(self, part: float, feature: str = "") -> bool:
        """Decide, and note the feature that is thereby in the file."""
        taken = self.choose.random() < part
        if taken and feature:
            self.features.add(feature)
        return taken

    def name(self) -> bytes:
        """A name of its own for a resource."""
        self.named += 1
        return b"N%d" % self.named

    def word(self) -> str:
        """A word that no other place has."""
        self.named += 1
        number, letters = self.named, ""
        while number:
            number, digit = divmod(number, 26)
            letters += LETTERS[digit]
        return "W" + letters.ljust(3, "Q") + "X"


@dataclass(frozen=True)
class Place:
    """Where content is being drawn.

    Args:
        book: The file.
        resources: What the content names, by category; filled as it is drawn.
        depth: Levels of content around it.
        shown: Whether a word drawn here is seen; ``None`` where that is not known.
    """

    book: Book
    resources: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    depth: int = 0
    shown: bool | None = True

    def put(self, category: str, value: bytes) -> bytes:
        """Give a resource a name."""
        name = self.book.name()
        self.resources.setdefault(category, {})[name] = value
        return name

    def inside(self) -> Place:
        """One level deeper, with resources of its own."""
        return replace(self, resources={}, depth=self.depth + 1)

    def unsure(self) -> Place:
        """The same, where it is not known what is seen."""
        return replace(self, shown=None)


def dictionary(resources: dict[str, dict[bytes, bytes]]) -> bytes:
    """Resources as a dictionary."""
    parts = (
        b"/%s << %s >>" % (category.encode(), b" ".join(b"/%s %s" % item for item in items.items()))
        for category, items in resources.items()
    )
    return b"<< %s >>" % b" ".join(parts)


# --------------------------------------------------------------------------------------------------------------- fonts


@cache
def _font_file() -> tuple[bytes, list[int]]:
    face = TTFontFile(BytesIO(pymupdf_fonts.myfont("notos")))
    codes = [ord(letter) for letter in LETTERS]
    return bytes(face.makeSubset(codes)), [round(face.charWidths[code]) for code in codes]


def font(book: Book) -> tuple[bytes, bool]:
    """A font for words, and whether it is embedded: else it is one of those that readers have."""
    kind = book.choose.choice(book.typefaces)
    embedded = kind == "embedded"
    if kind not in book.fonts:
        book.fonts[kind] = _embedded(book) if embedded else _standard(book, kind)
    if not embedded:
        book.features.add("font not embedded")
    return book.fonts[kind], embedded


def _standard(book: Book, name: str) -> bytes:
    return book.add(b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>" % name.encode())


def _embedded(book: Book) -> bytes:
    data, widths = _font_file()
    program = book.add(stream(zlib.compress(data), b"/Filter /FlateDecode /Length1 %d" % len(data)))
    about = book.add(
        b"<< /Type /FontDescriptor /FontName /ABCDEF+Noto /Flags 4 /FontBBox [-600 -300 2000 1100] /ItalicAngle 0 "
        b"/Ascent 1069 /Descent -293 /CapHeight 714 /StemV 90 /FontFile2 %s >>" % program
    )
    lines = b"\n".join(b"<%02X> <%04X>" % (code, ord(letter)) for code, letter in enumerate(LETTERS))
    unicode = book.add(
        stream(
            b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
            b"1 begincodespacerange <00> <FF> endcodespacerange %d beginbfchar\n%s\nendbfchar endcmap end end"
            % (len(LETTERS), lines)
        )
    )
    return book.add(
        b"<< /Type /Font /Subtype /TrueType /BaseFont /ABCDEF+Noto /FirstChar 0 /LastChar %d /Widths [%s] "
        b"/FontDescriptor %s /ToUnicode %s >>"
        % (len(widths) - 1, b" ".join(b"%d" % each for each in widths), about, unicode)
    )
