"""Pages drawn and read by PDFium, so that what they show can be compared.

Invariants:

* The machine's fonts are never read: what is not embedded is drawn with the fonts inside PDFium, so a page looks the
  same on every machine, and the same in a sandbox that opens no files as in a test.
* Annotations and form fields are drawn as a viewer shows them on the screen; nothing of a file is run (this PDFium has
  no JavaScript and no XFA).
* Memory is bounded whatever the size of a page: it is drawn in bands.
"""

import contextlib
import ctypes
import math
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

SCALE = 1.0
"""Pixels for each point: 72 dpi, at which a line of 6 point print is six rows high and a comma still leaves a grey
pixel."""

MAX_PIXELS = 8_000_000
"""Pixels of a page: an A0 plan at 72 dpi; a page of 5 x 5 m still has 14 dpi."""

BAND_PIXELS = 1_000_000
"""Pixels drawn at a time: a picture has 4 MB, and an A4 page fits into one."""

MIN_PIXELS, MAX_SIDE = 16, 32_000
"""Shortest and longest side of a drawn page: a narrow strip still has a middle, and PDFium's arithmetic stays within 16
bits."""

SMALL_SIDE = 256
"""A page whose longer side is shorter than this (in pixels) is drawn larger, as a viewer's user would zoom in."""

_INVISIBLE = {"Cf", "Cc", "Zs", "Zl", "Zp", "Cn", "Co"}
"""Kinds of characters that no word has: spaces, controls, hyphens at line ends, private codes of one font."""

_SETTLINGS = 4
"""How often PDFium's adjustable fonts are used before a page is drawn: twice was enough except for the first page of a
process."""

_CHAR_BOX = 4
_SETTLING_FONT = (
    b"<</Type/Font/Subtype/TrueType/BaseFont/Qqqq/Encoding/WinAnsiEncoding/FirstChar 65/LastChar 65/Widths[600]"
    b"/FontDescriptor<</Type/FontDescriptor/FontName/Qqqq/Flags %d/StemV 80/ItalicAngle 0/Ascent 800/Descent -200"
    b"/CapHeight 700/FontBBox[0 0 1000 1000]>>>>"
)
_SETTLING = (
    b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 20 20]/Contents 4 0 R/Resources<</Font<</A %s/B %s>>>>>>endobj "
    b"4 0 obj<</Length 48>>stream\nBT /A 9 Tf 2 2 Td (A) Tj /B 9 Tf (A) Tj ET       \nendstream endobj\n"
    b"trailer<</Root 1 0 R/Size 5>>\n%%%%EOF\n"
) % (_SETTLING_FONT % 32, _SETTLING_FONT % 34)
"""A page with both of PDFium's adjustable fonts, without and with serifs."""

_fonts = pdfium.FPDF_SYSFONTINFO(version=1)
"""A source of system fonts that has none; kept here because PDFium keeps the pointer."""


class UnreadableError(Exception):
    """Raised when PDFium cannot open a file or a page."""


@dataclass(frozen=True, slots=True)
class Size:
    """A page's size in pixels.

    Args:
        width: Columns.
        height: Rows.
    """

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word where it stands on a drawn page.

    Args:
        text: Its characters, normalized.
        left: First column it touches.
        top: First row it touches.
        right: Column after the last.
        bottom: Row after the last.
        lent: Whether some of it is drawn in a font that is not embedded.
        guessed: Whether such a font leaves unclear which characters it shows.
        across: Whether its line runs across the page as shown, rather than up or down.
    """

    text: str
    left: int
    top: int
    right: int
    bottom: int
    lent: bool = False
    guessed: bool = False
    across: bool = True

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


@cache
def preload() -> None:
    """Keep PDFium from using the machine's fonts, once for the process."""
    pdfium.FPDF_SetSystemFontInfo(_fonts)
    _settle()


def _settle() -> None:
    """Bring PDFium's adjustable fonts, its substitutes for unknown ones, into a known state.

    If a file gives no widths, their look depends on what was drawn with them before, even in other files (measured with
    pypdfium2 5.15, PDFium 8149). After drawing the same letters a few times it no longer does.
    """
    for _time in range(_SETTLINGS):
        document = pypdfium2.PdfDocument(_SETTLING)
        try:
            page = document[0]
            page.render(scale=SCALE)
            page.close()
        finally:
            document.close()


def closely(width: float, height: float) -> Size:
    """Work out at what size to draw a page to look at single words: at least at the usual resolution.

    Args:
        width: Width of the page in points.
        height: Height in points.
    """
    scale = min(max(SCALE, SMALL_SIDE / max(width, height)), MAX_SIDE / max(width, height))
    return Size(*(max(math.ceil(side * scale), MIN_PIXELS) for side in (width, height)))


def fit(width: float, height: float, factor: float = 1.0) -> Size:
    """Work out at what size a page is drawn.

    Args:
        width: Width of the page in points.
        height: Height in points.
        factor: Multiplies the usual resolution, when time is short.
    """
    scale = SCALE * factor
    longest = max(width, height)
    if longest * scale < SMALL_SIDE:
        scale = SMALL_SIDE / longest
    scale = min(scale, math.sqrt(MAX_PIXELS * factor * factor / (width * height)))
    across, upright = (min(max(math.ceil(side * scale), MIN_PIXELS), MAX_SIDE) for side in (width, height))
    return Size(across, upright)


class Drawn:
    """An open PDF.

    Args:
        data: The file; it must live as long as this does.
        forms: Whether form fields are drawn.
        settled: Whether the first page drawn is to look the same whatever was drawn before.

    Raises:
        UnreadableError: PDFium cannot open it.
    """

    def __init__(self, data: bytes, *, forms: bool = True, settled: bool = False) -> None:
        preload()
        self._settled = settled
        try:
            self._document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError:
            raise UnreadableError from None
        if forms and self._document.get_formtype() != pdfium.FORMTYPE_NONE:
            # Asks PDFium directly: the package's own call writes to the log about XFA forms.
            config = pdfium.FPDF_FORMFILLINFO(version=2)
            raw = pdfium.FPDFDOC_InitFormFillEnvironment(self._document, config)
            if raw:
                self._document.formenv = pypdfium2.PdfFormEnv(raw, config)

    def close(self) -> None:
        """Free it."""
        self._document.close()

    def __len__(self) -> int:
        """Number of its pages."""
        return len(self._document)

    @contextlib.contextmanager
    def page(self, index: int) -> Iterator["DrawnPage"]:
        """Open a page.

        Args:
            index: Which, from 0.

        Raises:
            UnreadableError: PDFium cannot open it.
        """
        try:
            page = self._document[index]
        except pypdfium2.PdfiumError:
            raise UnreadableError from None
        try:
            yield DrawnPage(page, settled=self._settled)
        finally:
            page.close()


class DrawnPage:
    """An open page.

    Args:
        page: What PDFium made of it.
        settled: See :class:`Drawn`.
    """

    def __init__(self, page: pypdfium2.PdfPage, *, settled: bool = False) -> None:
        self._page = page
        self._settled = settled
        self._page_turn = int(pdfium.FPDFPage_GetRotation(page))
        self.width, self.height = (float(side) for side in page.get_size())
        if not (math.isfinite(self.width) and math.isfinite(self.height) and self.width > 0 and self.height > 0):
            raise UnreadableError

    def band(self, size: Size, top: int, bottom: int, *, bare: bool = False) -> bytes:
        """Draw some rows of the page.

        Args:
            size: Size of the whole page.
            top: First row.
            bottom: Row after the last.
            bare: Whether annotations and form fields are left out.

        Returns:
            Four bytes a pixel (blue, green, red, nothing), row by row from the top.
        """
        return self.part(size, (0, top, size.width, bottom), bare=bare)

    def part(self, size: Size, box: tuple[int, int, int, int], *, bare: bool = False) -> bytes:
        """Draw a part of the page.

        Args:
            size: Size of the whole page.
            box: Left, top, right, bottom of the part.
            bare: Whether annotations and form fields are left out.

        Returns:
            The same.
        """
        if self._settled:
            _settle()
        left, top, right, bottom = box
        columns, rows = right - left, bottom - top
        buffer = (ctypes.c_ubyte * (columns * rows * 4))()
        bitmap = pdfium.FPDFBitmap_CreateEx(columns, rows, pdfium.FPDFBitmap_BGRx, buffer, columns * 4)
        if not bitmap:
            raise MemoryError
        try:
            pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, columns, rows, 0xFFFFFFFF)
            flags = pdfium.FPDF_RENDER_LIMITEDIMAGECACHE | (0 if bare else pdfium.FPDF_ANNOT)
            arguments = (bitmap, self._page, -left, -top, size.width, size.height, 0, flags)
            pdfium.FPDF_RenderPageBitmap(*arguments)
            if self._page.formenv and not bare:
                pdfium.FPDF_FFLDraw(self._page.formenv, *arguments)
        finally:
            pdfium.FPDFBitmap_Destroy(bitmap)
        return bytes(buffer)

    def words(self) -> list[str]:
        """The words that can be copied from the page's content, normalized; those of annotations are left out."""
        with self._text() as text:
            return [word for part in str(text.get_text_range(errors="replace")).split() if (word := _plain(part))]

    def placed_words(self, size: Size) -> Iterator[Word]:
        """The same words, with their places.

        Args:
            size: Size of the drawn page.
        """
        with self._text() as text:
            letters: list[_Letter] = []
            for index in range(text.count_chars()):
                code = pdfium.FPDFText_GetUnicode(text, index)
                char = chr(code) if 0 < code <= sys.maxunicode else ""
                if not char or char.isspace():
                    yield from _word(letters, size)
                    letters = []
                else:
                    letters.append(self._letter(text, index, char, size))
            yield from _word(letters, size)

    @contextlib.contextmanager
    def _text(self) -> Iterator[pypdfium2.PdfTextPage]:
        try:
            text = self._page.get_textpage()
        except pypdfium2.PdfiumError:
            raise UnreadableError from None
        try:
            yield text
        finally:
            text.close()

    def _letter(self, text: pypdfium2.PdfTextPage, index: int, char: str, size: Size) -> "_Letter":
        box = [ctypes.c_double() for _side in range(_CHAR_BOX)]
        corners = []
        if pdfium.FPDFText_GetCharBox(text, index, *box):
            left, right, bottom, top = (side.value for side in box)
            for across, upright in ((left, top), (right, bottom)):
                column, row = ctypes.c_int(), ctypes.c_int()
                pdfium.FPDF_PageToDevice(self._page, 0, 0, size.width, size.height, 0, across, upright, column, row)
                corners.append((column.value, row.value))
        shape = pdfium.FPDFText_GetTextObject(text, index)
        font = pdfium.FPDFTextObj_GetFont(shape) if shape else None
        lent = bool(font) and pdfium.FPDFFont_GetIsEmbedded(font) == 0
        turn = pdfium.FPDFText_GetCharAngle(text, index) + math.pi / 2 * self._page_turn
        across = abs(math.sin(turn)) < math.sqrt(0.5)
        return _Letter(char, corners, lent, lent and pdfium.FPDFText_HasUnicodeMapError(text, index) == 1, across)


@dataclass(frozen=True, slots=True)
class _Letter:
    char: str
    corners: list[tuple[int, int]]
    lent: bool
    guessed: bool
    across: bool


def _word(letters: list[_Letter], size: Size) -> Iterator[Word]:
    text = _plain("".join(letter.char for letter in letters))
    corners = [corner for letter in letters for corner in letter.corners]
    if not text or not corners:
        return
    columns, rows = zip(*corners, strict=True)
    yield Word(
        text,
        left=min(max(min(columns) - 1, 0), size.width - 1),
        top=min(max(min(rows) - 1, 0), size.height - 1),
        right=max(min(max(columns) + 2, size.width), 1),
        bottom=max(min(max(rows) + 2, size.height), 1),
        lent=any(letter.lent for letter in letters),
        guessed=any(letter.guessed for letter in letters),
        across=letters[0].across,
    )


def _plain(text: str) -> str:
    """A word without the details that readers treat differently: ligatures, widths, invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) not in _INVISIBLE)


def missing_words(before: list[str], after: list[str]) -> set[str]:
    """Words that occurred more often before, whatever their order and the spaces between them.

    Args:
        before: The words of one page.
        after: The words of another.
    """
    lost = Counter(before) - Counter(after)
    if not lost:
        return set()
    joined, kept = "".join(before), "".join(after)
    return {word for word in lost if kept.count(word) < joined.count(word)}
