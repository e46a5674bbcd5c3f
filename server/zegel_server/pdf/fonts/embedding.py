"""Embedding substitutes for fonts that a PDF does not embed, so that it looks the same to everybody.

Invariants:

* Content is never changed: each code keeps its place, its width and its text; only the font dictionary is rewritten.
* A font that cannot be substituted correctly is left as it was, and reported. A malformed font raises nothing.
* Each font is looked at once, however often and by however many ways it is reached.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pikepdf

from zegel_server.pdf.fonts import faces, simple_fonts
from zegel_server.pdf.fonts.cid_fonts import Composite, descendant, read_composite
from zegel_server.pdf.fonts.font_programs import Glyph, cid_program, font_box, glyph, simple_program
from zegel_server.pdf.fonts.font_walk import SIMPLE, fonts, lacks_file
from zegel_server.pdf.fonts.simple_fonts import (
    FIXED,
    ITALIC,
    NONSYMBOLIC,
    SERIF,
    SYMBOLIC,
    Code,
    Simple,
    plain_name,
    word,
)
from zegel_server.pdf.fonts.used_codes import Scan

MAX_FONTS = 1_000
"""Fonts of a file that are looked at; more are reported as missing. The most that real files have is some hundred."""

MAX_GLYPHS = 10_000
"""Glyphs that are drawn for a file: fifty fonts that all differ, in some five seconds."""

MAX_EMBEDDED_BYTES = 16 * 1024 * 1024
"""What may be added to a file: a font of Latin text has 12 KB, so it is room for a thousand different ones."""

MAX_TOLD = 100
"""Names that are reported of each kind: a list that a person can read."""

MAX_NAME = 64
"""Characters of a font's name that are told; names of PostScript fonts have at most 29 by custom."""

_NAMES = {"Helvetica": "ZegelSans", "Times": "ZegelSerif", "Courier": "ZegelMono"}
_STYLES = {"Roman": "", "Oblique": "Italic", "BoldOblique": "BoldItalic"}
_PICTURES = {"Symbol": "ZegelSigns", "ZapfDingbats": "ZegelShapes"}


@dataclass(frozen=True, slots=True)
class FontReport:
    """What became of the fonts that a PDF does not hold.

    Args:
        substituted: Names of those for which one of ours was put in, sorted.
        missing: Names of those that are left to each reader, sorted.
    """

    substituted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def embed_fonts(pdf: pikepdf.Pdf) -> FontReport:
    """Put a font of ours in for each that a PDF's pages name and do not hold.

    Args:
        pdf: A cleaned PDF; changed in place.

    Returns:
        The names of what was put in and of what could not be.
    """
    embedder = _Embedder(pdf)
    substituted: set[str] = set()
    missing: set[str] = set()
    for count, font in enumerate(fonts(pdf)):
        if not lacks_file(font):
            continue
        name = _told(plain_name(font))
        done = count < MAX_FONTS and embedder.embed(font)
        (substituted if done else missing).add(name)
    return FontReport(tuple(sorted(substituted)[:MAX_TOLD]), tuple(sorted(missing)[:MAX_TOLD]))


def preload() -> None:
    """Load the faces, and draw what nearly every file that lacks a font asks for."""
    faces.preload()
    for name in ("Helvetica", "Helvetica-Bold", "Times-Roman", "Courier"):
        font = pikepdf.Dictionary(BaseFont=pikepdf.Name(f"/{name}"), Encoding=pikepdf.Name.WinAnsiEncoding)
        read = simple_fonts.read_simple(font)
        for code in read.codes if read else ():
            glyph(code.parts, code.width, stretch=False)


@dataclass(frozen=True, slots=True)
class _Made:
    """A program that is in the PDF already, with all that follows from it."""

    base: pikepdf.Name
    descriptor: pikepdf.Object
    encoding: pikepdf.Object


class _Embedder:
    """Writes fonts into one PDF, each program once."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._made: dict[Simple, _Made] = {}
        self._scan = Scan(pdf)
        self._room = MAX_EMBEDDED_BYTES
        self._glyphs = MAX_GLYPHS

    def embed(self, font: pikepdf.Object) -> bool:
        """Rewrite one font; returns whether that could be done."""
        if self._room < 0 or self._glyphs < 0:
            return False
        if word(font.get("/Subtype")) not in SIMPLE:
            composite = read_composite(font, self._scan)
            return composite is not None and self._embed_composite(font, composite)
        read = simple_fonts.read_simple(font)
        return read is not None and self._embed_simple(font, read)

    def _embed_simple(self, font: pikepdf.Object, read: Simple) -> bool:
        made = self._made.get(read) or self._make(read)
        self._made[read] = made
        said = font.get("/ToUnicode")
        for key in set(font.keys()) - {"/Name"}:
            del font[key]
        font.Type = pikepdf.Name.Font
        font.Subtype = pikepdf.Name.Type1
        font.BaseFont = made.base
        font.FirstChar = read.first
        font.LastChar = read.first + len(read.widths) - 1
        font.Widths = pikepdf.Array([_plain(width) for width in read.widths])
        font.Encoding = made.encoding
        font.FontDescriptor = made.descriptor
        texts = {code.code: code.text for code in read.codes}
        font.ToUnicode = said if isinstance(said, pikepdf.Stream) else self._stream(_to_unicode(texts, digits=2))
        return True

    def _embed_composite(self, font: pikepdf.Object, read: Composite) -> bool:
        inner = descendant(font)
        if inner is None:
            return False
        self._glyphs -= len(read.parts)
        drawn = {cid: glyph(parts, read.widths[cid], stretch=read.stretch) for cid, parts in sorted(read.parts.items())}
        name = f"{_tag((str(cid), item) for cid, item in drawn.items())}+{_name(read.face)}"
        file = self._stream(cid_program(name, drawn))
        file.Subtype = pikepdf.Name.CIDFontType0C
        base = pikepdf.Name(f"/{name}")
        new = pikepdf.Dictionary(
            Type=pikepdf.Name.Font,
            Subtype=pikepdf.Name.CIDFontType0,
            BaseFont=base,
            CIDSystemInfo=pikepdf.Dictionary(
                Registry=pikepdf.String("Adobe"), Ordering=pikepdf.String("Identity"), Supplement=0
            ),
            FontDescriptor=self._pdf.make_indirect(
                _descriptor(read.face, base, font_box(list(drawn.values())), file, latin=False)
            ),
        )
        for key in ("/DW", "/W", "/DW2", "/W2"):
            if key in inner:
                new[key] = inner[key]
        font.BaseFont = base
        font.DescendantFonts = pikepdf.Array([self._pdf.make_indirect(new)])
        if not isinstance(font.get("/ToUnicode"), pikepdf.Stream):
            font.ToUnicode = self._stream(_to_unicode(read.texts, digits=4))
        return True

    def _make(self, read: Simple) -> _Made:
        self._glyphs -= len(read.codes)
        named = list(_distinct(read.codes))
        drawn: dict[int, tuple[str, Glyph]] = {
            code.code: (name, glyph(code.parts, code.width, stretch=read.stretch))
            for name, code in zip(named, read.codes, strict=True)
        }
        name = f"{_tag((f'{code} {given}', item) for code, (given, item) in drawn.items())}+{_name(read.face)}"
        base = pikepdf.Name(f"/{name}")
        file = self._stream(simple_program(name, drawn))
        file.Subtype = pikepdf.Name.Type1C
        box = font_box([item for _name, item in drawn.values()])
        differences: list[pikepdf.Object | int] = []
        last = -2
        for code, (glyph_name, _item) in drawn.items():
            differences += [code] if code != last + 1 else []
            differences.append(pikepdf.Name(f"/{glyph_name}"))
            last = code
        encoding = pikepdf.Dictionary(Type=pikepdf.Name.Encoding, Differences=pikepdf.Array(differences))
        # Nonsymbolic is what has glyphs of the standard Latin set alone.
        latin = set(faces.base_encoding("StandardEncoding")) | set(faces.base_encoding("WinAnsiEncoding"))
        descriptor = _descriptor(read.face, base, box, file, latin=all(code.name in latin for code in read.codes))
        return _Made(base, self._pdf.make_indirect(descriptor), self._pdf.make_indirect(encoding))

    def _stream(self, data: bytes) -> pikepdf.Stream:
        packed = zlib.compress(data, 9)
        self._room -= len(packed)
        stream = self._pdf.make_stream(packed)
        stream.Filter = pikepdf.Name.FlateDecode
        return stream


def _descriptor(
    face: str, base: pikepdf.Name, box: tuple[int, int, int, int], file: pikepdf.Stream, *, latin: bool
) -> pikepdf.Dictionary:
    """A font descriptor (ISO 32000-1, 9.8)."""
    ascent, descent = faces.standard_height(face)
    slanted = "Italic" in face or "Oblique" in face
    flags = NONSYMBOLIC if latin else SYMBOLIC
    flags |= SERIF if face.startswith(("Times", "Courier")) else 0
    flags |= FIXED if face.startswith("Courier") else 0
    flags |= ITALIC if slanted else 0
    return pikepdf.Dictionary(
        Type=pikepdf.Name.FontDescriptor,
        FontName=base,
        Flags=flags,
        FontBBox=pikepdf.Array(list(box)),
        ItalicAngle=-12 if slanted else 0,
        Ascent=ascent,
        Descent=descent,
        CapHeight=ascent,
        StemV=140 if "Bold" in face else 80,
        FontFile3=file,
    )


def _told(name: str) -> str:
    """A font's name as it is reported: only printable characters, and of limited length."""
    return "".join(char for char in name if char.isprintable())[:MAX_NAME] or "?"


def _name(face: str) -> str:
    if face in _PICTURES:
        return _PICTURES[face]
    family, _dash, style = face.partition("-")
    style = _STYLES.get(style, style)
    return f"{_NAMES[family]}-{style}" if style else _NAMES[family]


def _tag(drawn: Iterable[tuple[str, Glyph]]) -> str:
    """The six letters before a subset's name, which differ where the subsets do (ISO 32000-1, 9.6.4)."""
    digest = hashlib.sha256()
    for key, item in drawn:
        digest.update(f"{key} {len(item.charstring)} ".encode() + item.charstring)
    return "".join(chr(ord("A") + byte % 26) for byte in digest.digest()[:6])


def _distinct(codes: tuple[Code, ...]) -> Iterator[str]:
    """A name for each code's glyph, none of them twice."""
    used: set[str] = set()
    for code in codes:
        name = code.name if code.name.isascii() and code.name.replace(".", "").replace("_", "").isalnum() else "g"
        if name in used or name == "g":
            name = f"{name}.x{code.code:02X}"
        used.add(name)
        yield name


def _to_unicode(texts: Mapping[int, str], *, digits: int) -> bytes:
    """A map from codes to text (ISO 32000-1, 9.10.3)."""
    lines = [f"<{code:0{digits}X}> <{text.encode('utf-16-be').hex().upper()}>" for code, text in texts.items() if text]
    blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    body = "".join(f"{len(block)} beginbfchar\n{chr(10).join(block)}\nendbfchar\n" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        f"1 begincodespacerange\n<{'0' * digits}> <{'F' * digits}>\nendcodespacerange\n{body}"
        "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode("ascii")


def _plain(width: float) -> int | str | object:
    return int(width) if width == int(width) else round(width, 3)
