"""Fonts embedded in one file: the glyphs of a face that the file uses, under their own numbers.

reportlab embeds fonts by character; shaped text needs them by glyph, since some glyphs belong to no single character.

Invariants:

* Each glyph is mapped to its characters (``/ToUnicode``), so that readers search, copy and order it as any other text.
* The same glyphs give the same font, whatever was drawn elsewhere.
"""

from typing import Any

import uharfbuzz  # type: ignore[import-untyped]
from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName, PDFStream, PDFString, PDFZCompress
from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.fonts.registry import Face

_SYMBOLIC = 4
_STEM = 80
_NOT_NEEDED = ("GSUB", "GPOS", "GDEF", "gasp", "STAT", "DSIG", "MATH", "BASE", "name", "post", "OS/2", "cmap")
"""Tables that do not affect how a glyph looks."""

_TO_UNICODE = """/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
%s
endcmap
CMapName currentdict /CMap defineresource pop
end
end"""
_MOST_AT_ONCE = 100
"""Entries of one ``beginbfchar`` (Adobe Technical Note 5014, 4.1)."""


class GlyphFont:
    """The font of one face in one file.

    Args:
        face: The face.
        number: Its index among the fonts of the file, from 0.
    """

    def __init__(self, face: Face, number: int) -> None:
        self._face = face
        self._number = number
        self._texts: dict[int, str] = {}
        self.name = f"G{number}"

    def says(self, glyph: int, text: str) -> bool:
        """Map a glyph to characters, unless it is mapped already.

        Args:
            glyph: Its number.
            text: The characters; empty where the glyph before it is mapped to them.

        Returns:
            Whether it is mapped to exactly these characters now.
        """
        return self._texts.setdefault(glyph, text) == text

    def addObjects(self, doc: Any) -> None:  # noqa: N802 - reportlab calls it so
        """Add the font to a file that is about to be written.

        Args:
            doc: reportlab's document.
        """
        glyphs, face = sorted(self._texts), self._face
        tag = "".join(chr(ord("A") + self._number // 26**place % 26) for place in range(6))
        name = PDFName(f"{tag}+{face.name.replace('*', '-Bold')}")

        def placed(thing: Any, part: str) -> Any:
            return doc.Reference(thing, f"{self.name}.{part}")

        extents = face.font.get_font_extents("ltr")
        up, down = (round(value * 1000 / face.units) for value in (extents.ascender, extents.descender))
        descriptor = {
            "Type": PDFName("FontDescriptor"),
            "FontName": name,
            "Flags": _SYMBOLIC,
            "FontBBox": PDFArray([-1000, down, 2000, up]),
            "ItalicAngle": 0,
            "Ascent": up,
            "Descent": down,
            "CapHeight": up,
            "StemV": _STEM,
            "FontFile2": placed(_stream(self._subset(glyphs)), "file"),
        }
        widths: list[Any] = []
        for glyph in glyphs:
            widths += [glyph, PDFArray([round(face.font.get_glyph_h_advance(glyph) * 1000 / face.units)])]
        system = {"Registry": PDFString("Adobe"), "Ordering": PDFString("Identity"), "Supplement": 0}
        descendant = {
            "Type": PDFName("Font"),
            "Subtype": PDFName("CIDFontType2"),
            "BaseFont": name,
            "CIDSystemInfo": PDFDictionary(system),
            "FontDescriptor": placed(PDFDictionary(descriptor), "descriptor"),
            "DW": 0,
            "W": PDFArray(widths),
            "CIDToGIDMap": PDFName("Identity"),
        }
        whole = {
            "Type": PDFName("Font"),
            "Subtype": PDFName("Type0"),
            "BaseFont": name,
            "Encoding": PDFName("Identity-H"),
            "DescendantFonts": PDFArray([placed(PDFDictionary(descendant), "descendant")]),
            "ToUnicode": placed(_stream(self._to_unicode(glyphs)), "unicode"),
        }
        doc.idToObject["BasicFonts"].dict[self.name] = placed(PDFDictionary(whole), "font")

    def _subset(self, glyphs: list[int]) -> bytes:
        asked = uharfbuzz.SubsetInput()
        asked.glyph_set.update(glyphs)
        flags = uharfbuzz.SubsetFlags
        asked.flags = flags.RETAIN_GIDS | flags.NO_HINTING | flags.NO_LAYOUT_CLOSURE
        asked.drop_table_tag_set.update(int.from_bytes(tag.encode("ascii"), "big") for tag in _NOT_NEEDED)
        loaded = self._face.font.face
        if self._face.weight:
            asked.pin_axis_location(loaded, "wght", float(self._face.weight))
        return bytes(uharfbuzz.subset(loaded, asked).blob.data)

    def _to_unicode(self, glyphs: list[int]) -> bytes:
        said = [(glyph, self._texts[glyph].encode("utf-16-be").hex().upper()) for glyph in glyphs if self._texts[glyph]]
        blocks = [said[start : start + _MOST_AT_ONCE] for start in range(0, len(said), _MOST_AT_ONCE)]
        lines: list[str] = []
        for block in blocks:
            lines.append(f"{len(block)} beginbfchar")
            lines += [f"<{glyph:04X}> <{text}>" for glyph, text in block]
            lines.append("endbfchar")
        return (_TO_UNICODE % "\n".join(lines)).encode("ascii")


def _stream(content: bytes) -> PDFStream:
    stream = PDFStream(content=content, filters=[PDFZCompress])
    stream.dictionary["Length1"] = len(content)
    return stream


def can_be_embedded(face: Face) -> bool:
    """Whether a face has TrueType outlines, which can be embedded with few other tables.

    Args:
        face: The face.
    """
    return "glyf" in face.font.face.table_tags


def font_in(canvas: Canvas, face: Face) -> GlyphFont:
    """The font of a face in the file that a canvas belongs to.

    Args:
        canvas: The canvas.
        face: The face.
    """
    doc = canvas._doc  # noqa: SLF001 - reportlab has no call for fonts of one's own
    fonts: dict[Face, GlyphFont] = doc.__dict__.setdefault("glyph_fonts", {})
    found = fonts.get(face)
    if found is None:
        found = fonts[face] = GlyphFont(face, len(fonts))
        doc.delayedFonts.append(found)
    return found
