"""Fonts that a PDF does not hold: what is put in for them shows the same, in the same places, in every reader."""

import subprocess
import unicodedata
from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import ImageChops
from reportlab.pdfbase import _fontdata

from support.effort import Effort
from support.font_pages import APART, edited_alone, embedded, face_names, ink_apart, page_with, pdfium, poppler
from support.pdfs import one_page, shown_text, stream
from support.shared import real_pdfs, shared
from support.tools import tool
from zegel_server.pdf.comparison import drawing
from zegel_server.pdf.fonts.embedding import MAX_NAME, MAX_TOLD, FontReport, preload
from zegel_server.pdf.fonts.faces import STANDARD
from zegel_server.pdf.fonts.to_unicode import read_to_unicode

LATIN = b"(Hamburgefonstiv 012346789 ,.;:!?&%$ AVTo) Tj"
"""Without what PDFium gives another width than Adobe's metrics do: the at sign and, in one face, the five."""
SYMBOLS = b"<6162636465664142434445A5B3C5F2> Tj"
SHAPES = b"<21222334486C6E7376A8AABEC0D5> Tj"


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    drawing.preload()
    preload()


def text_for(name: str) -> bytes:
    return {"Symbol": SYMBOLS, "ZapfDingbats": SHAPES}.get(name, LATIN)


@pytest.mark.parametrize("name", STANDARD)
def test_each_standard_font_looks_as_before_and_the_same_in_two_readers(name: str, tmp_path: Path) -> None:
    before = page_with(b"/Subtype /Type1 /BaseFont /%s" % name.encode(), text_for(name))
    after, report = embedded(before)
    assert report == FontReport((name,), ())
    assert ImageChops.difference(pdfium(before), pdfium(after)).getbbox() is None
    assert ink_apart(pdfium(after), poppler(after, tmp_path)) < APART
    assert shown_text(after) == shown_text(before)


@pytest.mark.parametrize("name", STANDARD)
def test_pdffonts_calls_them_embedded_subsets_with_texts(name: str, tmp_path: Path) -> None:
    after, _report = embedded(page_with(b"/Subtype /Type1 /BaseFont /%s" % name.encode(), text_for(name)))
    (tmp_path / "a.pdf").write_bytes(after)
    lines = subprocess.run([str(tool("pdffonts")), str(tmp_path / "a.pdf")], check=True, capture_output=True, text=True)
    (line,) = lines.stdout.splitlines()[2:]
    assert "Type 1C" in line
    assert " yes yes yes " in line  # embedded, a subset, with a map to Unicode
    assert line[6] == "+"
    assert lines.stderr == ""


@pytest.mark.parametrize("name", STANDARD[:12])
def test_widths_that_a_standard_font_does_not_tell_are_written_as_its_metrics_give_them(name: str) -> None:
    after, _report = embedded(
        page_with(b"/Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding" % name.encode(), LATIN)
    )
    metrics, names = _fontdata.widthsByFontGlyph[name], _fontdata.encodings["WinAnsiEncoding"]
    with pikepdf.open(BytesIO(after)) as opened:
        font = opened.pages[0].Resources.Font.F
        assert [int(font.FirstChar), int(font.LastChar)] == [32, 255]
        assert [int(width) for width in font.Widths] == [metrics[glyph] for glyph in names[32:]]


@pytest.mark.parametrize(
    ("encoding", "shown", "text"),
    [
        (b"/WinAnsiEncoding", b"<80E4F6FCDF9C8AA9>", "€äöüßœŠ©"),
        (b"/MacRomanEncoding", b"<8A9A9FA7CFA9D2D3>", "äöüßœ©“”"),
        (b"/StandardEncoding", b"<60A127AEAFFBE1>", "\u2018¡\u2019\ufb01\ufb02ßÆ"),
        (b"<< /Differences [65 /aogonek /Euro 200 /uni0142 /u0144] >>", b"<4142C8C9>", "ą€łń"),
        (b"<< /BaseEncoding /WinAnsiEncoding /Differences [1 /afii10017 /Omega /Delta] >>", b"<010203E4>", "АΩ∆ä"),
        (b"<< /BaseEncoding /WinAnsiEncoding /Differences [1 /ff /ffi /dotlessj] >>", b"<0102>", "ffffi"),
    ],
)
def test_codes_show_what_their_encoding_names(encoding: bytes, shown: bytes, text: str, tmp_path: Path) -> None:
    after, report = embedded(page_with(b"/Subtype /Type1 /BaseFont /Helvetica /Encoding %s" % encoding, shown + b" Tj"))
    assert report.substituted == ("Helvetica",)
    assert unicodedata.normalize("NFKC", shown_text(after)) == unicodedata.normalize("NFKC", text)
    with pikepdf.open(BytesIO(after)) as opened:
        told = read_to_unicode(opened.pages[0].Resources.Font.F.ToUnicode)
    said = "".join(told[code] for code in bytes.fromhex(shown.strip(b"<>").decode()))
    assert unicodedata.normalize("NFKC", said) == unicodedata.normalize("NFKC", text)
    assert ink_apart(pdfium(after), poppler(after, tmp_path)) < APART


def test_a_code_without_a_name_keeps_its_width_and_shows_nothing() -> None:
    font = b"/Encoding /WinAnsiEncoding /FirstChar 30 /LastChar 33 /Widths [900 800 278 278]"
    after, report = embedded(page_with(b"/Subtype /TrueType /BaseFont /Arial " + font, b"<1E1F2141> Tj"))
    assert report.substituted == ("Arial",)
    with pikepdf.open(BytesIO(after)) as opened:
        written = opened.pages[0].Resources.Font.F
        assert int(written.FirstChar) == 30
        assert [int(width) for width in list(written.Widths)[:4]] == [900, 800, 278, 278]


def widened(name: bytes, factor: float, flags: int = 32) -> bytes:
    names, metrics = _fontdata.encodings["WinAnsiEncoding"], _fontdata.widthsByFontGlyph["Helvetica"]
    widths = b" ".join(b"%d" % round(metrics[glyph] * factor) for glyph in names[32:])
    descriptor = (
        b"/FontDescriptor << /Type /FontDescriptor /FontName /%s /Flags %d /FontBBox [0 -200 1000 900] /ItalicAngle 0 "
        b"/Ascent 900 /Descent -200 /CapHeight 700 /StemV 80 >>" % (name, flags)
    )
    return page_with(
        b"/Subtype /TrueType /BaseFont /%s /Encoding /WinAnsiEncoding /FirstChar 32 /LastChar 255 /Widths [%s] %s"
        % (name, widths, descriptor),
        b"(Hamburg) Tj (mmmm) Tj",
    )


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.0, 1.2, 1.6])
@pytest.mark.parametrize("name", [b"Arial", b"Verdana"])
def test_each_letter_keeps_the_place_that_its_widths_give_it(name: bytes, factor: float, tmp_path: Path) -> None:
    after, _report = embedded(widened(name, factor))
    document = pypdfium2.PdfDocument(after)
    text = document[0].get_textpage()
    metrics = _fontdata.widthsByFontGlyph["Helvetica"]
    right = 20 + 24 / 1000 * sum(round(metrics[char] * factor) for char in "Hamburg" + "m" * 4)
    last = text.get_charbox(text.count_chars() - 1)
    document.close()
    assert last[2] <= right + 0.5  # narrowed where it is too wide, so that it never runs into what follows
    assert last[2] >= right - 24 * 0.833 * factor / 2
    assert ink_apart(pdfium(after), poppler(after, tmp_path)) < APART


@pytest.mark.parametrize(
    ("name", "flags", "face"),
    [
        (b"ArialMT", 32, "ZegelSans"),
        (b"Arial,Bold", 32, "ZegelSans-Bold"),
        (b"ABCDEF+Arial-BoldItalicMT", 32, "ZegelSans-BoldItalic"),
        (b"TimesNewRomanPS-ItalicMT", 34, "ZegelSerif-Italic"),
        (b"CourierNewPS-BoldMT", 33, "ZegelMono-Bold"),
        (b"Georgia", 32, "ZegelSerif"),
        (b"Unheard-Of", 34, "ZegelSerif"),
        (b"Unheard-Of", 32 + 64 + (1 << 18), "ZegelSans-BoldItalic"),
        (b"Open#20Sans", 32, "ZegelSans"),
        (b"MyriadMM_400_600_", 32, "ZegelSans"),
    ],
)
def test_a_family_is_chosen_by_name_and_flags(name: bytes, flags: int, face: str) -> None:
    after, _report = embedded(widened(name, 1.0, flags))
    assert face_names(after) == [face]


@pytest.mark.parametrize(
    "font",
    [
        b"/Subtype /TrueType /BaseFont /Wingdings /Encoding /WinAnsiEncoding",
        b"/Subtype /Type1 /BaseFont /Unheard /FirstChar 65 /LastChar 65 /Widths [500] /FontDescriptor << /Flags 4 >>",
        b"/Subtype /Type1 /BaseFont /Helvetica /Encoding << /Differences [65 /g23 /nosuchname] >>",
        b"/Subtype /TrueType /BaseFont /#CB#CE#CC#E5 /Encoding /WinAnsiEncoding",
        b"/Subtype /Type0 /BaseFont /MSung /Encoding /ETen-B5-H /DescendantFonts [<< /Subtype /CIDFontType0 >>]",
        b"/Subtype /Type0 /BaseFont /Unheard /Encoding /Identity-H /DescendantFonts [<< /Subtype /CIDFontType2 >>]",
        b"/Subtype /Type0 /BaseFont /Arial /Encoding /Identity-H /DescendantFonts 7",
        b"/Subtype /Type0 /BaseFont /Arial",
    ],
)
def test_what_cannot_be_told_is_left_as_it_was_and_named(font: bytes) -> None:
    before = page_with(font, b"<4142> Tj")
    after, report = embedded(before)
    assert report.substituted == ()
    assert len(report.missing) == 1
    assert after == edited_alone(before)


STRANGE_WIDTHS = (
    b"/Subtype /Type0 /BaseFont /Arial /Encoding /Identity-H /DescendantFonts [<< /Subtype /CIDFontType2 "
    b"/BaseFont /Arial /W [3 [(a) 5] 9 99999999 4 7 [] 1] /DW (x) >>]"
)


@pytest.mark.parametrize(
    "font",
    [
        b"/Subtype /Type1 /BaseFont /Helvetica /Widths 5 /FirstChar /A /Encoding 7 /FontDescriptor []",
        b"/Subtype /Type1 /BaseFont /Helvetica /Widths [(a) null << >> 1e30 -500 99999999999] /FirstChar -3",
        b"/Subtype /Type1 /BaseFont /Helvetica /Encoding << /Differences [/A 300 /B -5 /C 1e20 /D (x)] >>",
        b"/Subtype /Type1 /BaseFont (Helvetica) /ToUnicode << >>",
        b"/Subtype /Type1 /BaseFont /Helvetica /FirstChar 99999999999 /Widths [1]",
        b"/Subtype /MMType1 /BaseFont /#FF#00#FE",
        b"/Subtype /TrueType",
        STRANGE_WIDTHS,
    ],
)
def test_a_strange_font_ends_in_a_report(font: bytes) -> None:
    after, report = embedded(page_with(font, b"(A) Tj"))
    assert len(report.substituted) + len(report.missing) == 1
    with pikepdf.open(BytesIO(after)) as opened:
        assert opened.pages[0].Resources.Font.F.Type == "/Font"


def test_fonts_are_found_wherever_something_shown_can_name_them() -> None:
    font = b"/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /%s >> >>"
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << %s /XObject << /Again 5 0 R >> >>"
    pdf = one_page(
        b"",
        b"/MediaBox [0 0 99 99] /Annots [<< /Subtype /Link /Rect [0 0 9 9] /AP << /N << /On 10 0 R >> >> >>] "
        b"/Resources << /XObject << /X 5 0 R >> /Pattern << /P 6 0 R >> /Font << /T 7 0 R >> "
        b"/ExtGState << /G << /Font [9 0 R 12] /SMask << /S /Alpha /G 8 0 R >> >> >> >>",
        b"",
        stream(b"", form % (font % b"Helvetica")),
        stream(b"", b"/PatternType 1 /Resources << %s >>" % (font % b"Times-Roman")),
        b"<< /Type /Font /Subtype /Type3 /Resources << %s >> >>" % (font % b"Courier"),
        stream(b"", form % (font % b"Symbol")),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /ZapfDingbats >>",
        stream(b"", form % (font % b"Times-Bold")),
    )
    _after, report = embedded(pdf)
    assert report.substituted == ("Courier", "Helvetica", "Symbol", "Times-Bold", "Times-Roman", "ZapfDingbats")


def test_a_font_that_is_embedded_is_left_alone() -> None:
    once, _report = embedded(page_with(b"/Subtype /Type1 /BaseFont /Courier", LATIN))
    twice, report = embedded(once)
    assert report == FontReport()
    assert twice == edited_alone(once)


def test_the_same_fonts_are_embedded_once_and_always_as_the_same_bytes() -> None:
    fonts = b" ".join(b"/F%d << /Type /Font /Subtype /Type1 /BaseFont /Courier >>" % number for number in range(50))
    pdf = one_page(b"", b"/MediaBox [0 0 9 9] /Resources << /Font << %s >> >>" % fonts)
    after, _report = embedded(pdf)
    assert face_names(after) == ["ZegelMono"]
    assert embedded(pdf)[0] == after


def test_forms_that_share_each_other_cost_no_more_than_they_are() -> None:
    names = b" ".join(b"/X%d %d 0 R" % (number, number) for number in range(5, 305))
    form = stream(b"", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << %s >> >>" % names)
    pdf = one_page(b"", b"/MediaBox [0 0 9 9] /Resources << /XObject << %s >> >>" % names, b"", *[form] * 300)
    with Effort() as effort:
        assert embedded(pdf)[1] == FontReport()
    assert effort.seconds < 5


@pytest.mark.slow
def test_a_thousand_fonts_that_all_differ_cost_seconds() -> None:
    fonts = b" ".join(
        b"/F%d << /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding /FirstChar 32 /Widths "
        b"[%s] >>" % (number, b" ".join(b"%d.%d" % (200 + number // 2, code) for code in range(224)))
        for number in range(1_500)
    )
    with Effort() as effort:
        _after, report = embedded(one_page(b"", b"/MediaBox [0 0 9 9] /Resources << /Font << %s >> >>" % fonts))
    assert effort.seconds < 30
    assert report == FontReport(("Times-Roman",), ("Times-Roman",))


def test_names_that_are_told_are_bounded_and_printable() -> None:
    fonts = b" ".join(
        b"/F%d << /Type /Font /Subtype /TrueType /BaseFont /Wingdings#0A#1B%03d%s >>" % (number, number, b"x" * 300)
        for number in range(MAX_TOLD + 50)
    )
    _after, report = embedded(one_page(b"", b"/MediaBox [0 0 9 9] /Resources << /Font << %s >> >>" % fonts))
    assert len(report.missing) == MAX_TOLD
    assert all(len(name) <= MAX_NAME and name.isprintable() for name in report.missing)


def test_the_case_of_a_font_that_is_not_embedded() -> None:
    before = shared("cases/uploads/font_not_embedded.pdf").read_bytes()
    after, report = embedded(before)
    assert report.substituted
    assert report.missing == ()
    assert "SEEN" in shown_text(after)


@pytest.mark.corpus
def test_real_files_are_left_with_no_font_missing_but_the_one_that_cannot_be_told() -> None:
    files = real_pdfs()
    missing: dict[str, tuple[str, ...]] = {}
    touched = 0
    for path in files:
        try:
            _after, report = embedded(path.read_bytes())
        except (pikepdf.PdfError, pikepdf.PasswordError):
            continue
        if report.missing:
            missing[path.name] = report.missing
        touched += bool(report.substituted)
    assert touched > 30
    # A font of East Asia under an encoding for Latin, whose codes are two bytes all the same.
    assert missing == {"issue20489.pdf": ("ËÎÌå",)}
