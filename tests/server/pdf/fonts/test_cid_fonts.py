"""Composite fonts that a PDF does not hold: put in where their codes can be told, and left where not."""

from pathlib import Path

import pytest

from support.font_pages import APART, embedded, ink_apart, page_with, pdfium, poppler
from support.pdfs import one_page, shown_text, stream
from zegel_server.pdf.comparison import drawing
from zegel_server.pdf.fonts.embedding import FontReport


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    drawing.preload()


IDENTITY = (
    b"/Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /ToUnicode 6 0 R /DescendantFonts [<< /Type /Font "
    b"/Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> "
    b"/DW 500 /W [1 [722 500] 900 901 1000] >>]"
)
CMAP = (
    b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <0000> <FFFF> "
    b"endcodespacerange 2 beginbfchar <0001> <0041> <0002> <00FC> endbfchar 1 beginbfrange <0384> <0385> <6F22> "
    b"endbfrange endcmap end end"
)


def test_a_composite_font_shows_what_its_map_to_text_says(tmp_path: Path) -> None:
    before = page_with(IDENTITY % (b"Unheard", b"Unheard"), b"<0001000203840385> Tj", stream(CMAP))
    after, report = embedded(before)
    assert report == FontReport(("Unheard",), ())
    assert shown_text(after) == "Aü\u6f22\u6f23"
    assert ink_apart(pdfium(after), poppler(after, tmp_path)) < APART
    assert pdfium(after).point(lambda value: 255 - value).getbbox() is not None


def test_a_core_font_of_windows_shows_its_glyphs_by_number() -> None:
    font = IDENTITY.replace(b"/ToUnicode 6 0 R ", b"") % (b"TimesNewRoman", b"TimesNewRoman")
    after, report = embedded(page_with(font, b"<0039005200 4F00580050004800560003> Tj"))
    assert report == FontReport(("TimesNewRoman",), ())
    assert shown_text(after).strip() == "Volumes"


def test_a_composite_font_is_left_if_a_code_that_is_shown_has_no_text() -> None:
    shown = b"<0001000200030384> Tj"
    _after, report = embedded(page_with(IDENTITY % (b"Unheard", b"Unheard"), shown, stream(CMAP)))
    assert report == FontReport((), ("Unheard",))


def test_a_composite_font_is_left_if_a_form_shows_something_in_the_font_it_was_called_with() -> None:
    form = stream(b"BT <0003> Tj ET", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]")
    page = b"/MediaBox [0 0 9 9] /Resources << /Font << /F 5 0 R >> /XObject << /X 7 0 R >> >>"
    font = b"<< /Type /Font %s >>" % (IDENTITY % (b"Unheard", b"Unheard"))
    pdf = one_page(b"BT /F 9 Tf ET /X Do", page, b"", font, stream(CMAP), form)
    assert embedded(pdf)[1] == FontReport((), ("Unheard",))


def test_russian_in_a_core_font_of_windows_is_read_by_glyph_number() -> None:
    font = IDENTITY.replace(b"/ToUnicode 6 0 R ", b"") % (b"Arial", b"Arial")
    after, report = embedded(page_with(font, b"<024D025D0265> Tj"))
    assert report == FontReport(("Arial",), ())
    assert shown_text(after) == "\u0423\u0433\u043b"
