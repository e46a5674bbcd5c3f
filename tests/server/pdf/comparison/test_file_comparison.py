"""What is found by looking at pages, and what is let pass."""

import random
from collections.abc import Callable

import pikepdf
import pytest

from support.effort import Effort
from support.pdfs import edited, one_page, raw_pdf, stream
from zegel_server.pdf.comparison import file_comparison
from zegel_server.pdf.comparison.drawing import MAX_PIXELS, MAX_SIDE, MIN_PIXELS, Drawn, fit, missing_words
from zegel_server.pdf.comparison.file_comparison import LOOK_SECONDS, MIN_FACTOR, compare_rendition, compare_sealed
from zegel_server.pdf.limits import MAX_PAGE_SIDE, MAX_PAGES, MIN_PAGE_SIDE
from zegel_server.pdf.model import Box
from zegel_server.pdf.refusal import Refusal, RefusedError

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
PAGE = b"/MediaBox [0 0 595 842] /Resources << /Font << /F 5 0 R >> /XObject << /I 6 0 R >> >>"
IMAGE = stream(
    bytes(range(0, 240, 5)),
    b"/Type /XObject /Subtype /Image /Width 4 /Height 4 /ColorSpace /DeviceRGB /BitsPerComponent 8",
)
LINES = [f"{number} The tenant pays 1,240 euro on the first of each month, and no later." for number in range(60)]


def text(lines: list[str], size: float = 6, colour: bytes = b"0 g") -> bytes:
    """Lines of print, one below the other."""
    shown = b"".join(b"(%s) Tj T* " % line.encode() for line in lines)
    return b"%s BT /F %.1f Tf 12 TL 50 780 Td %s ET" % (colour, size, shown)


def page(content: bytes, entries: bytes = PAGE, *more: bytes) -> bytes:
    return one_page(content, entries, b"", FONT, IMAGE, *more)


def annotated(annotation: bytes, *more: bytes, catalog: bytes = b"", content: bytes = b"") -> bytes:
    """A page with one annotation; what it names begins at object 8."""
    return one_page(content, PAGE + b" /Annots [7 0 R]", catalog, FONT, IMAGE, annotation, *more)


def refused(compare: Callable[[], object]) -> Refusal | None:
    try:
        compare()
    except RefusedError as error:
        return error.refusal
    return None


def differs(one: bytes, other: bytes) -> bool:
    return refused(lambda: compare_rendition(one, other)) is Refusal.DIFFERS


# ------------------------------------------------------------------------------------------- original and rendition


def test_the_same_page_passes_however_it_is_written() -> None:
    one = page(text(LINES))
    other = page(b"q\n" + text(LINES) + b"\nQ\n")
    assert compare_rendition(one, one) == ()
    assert compare_rendition(one, other) == ()


@pytest.mark.parametrize("lost", [0, 31, 59])
def test_one_lost_line_of_small_print_on_a_full_page_is_found(lost: int) -> None:
    lines = list(LINES)
    lines[lost] = ""
    assert differs(page(text(LINES)), page(text(lines)))
    assert differs(page(text(lines)), page(text(LINES)))


def test_a_lost_line_is_found_where_no_text_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zegel_server.pdf.comparison.page_comparison.missing_words", lambda _before, _after: set())
    assert differs(page(text(LINES)), page(text([*LINES[:31], "", *LINES[32:]])))
    assert differs(page(text(LINES)), page(text([*LINES[:31], LINES[31][:-9], *LINES[32:]])))


@pytest.mark.parametrize("background", [b"1 g", b"0 g", b".5 g", b".9 .9 1 rg"])
def test_lost_print_is_found_on_any_background(background: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zegel_server.pdf.comparison.page_comparison.missing_words", lambda _before, _after: set())
    ground = b"%s 0 0 595 842 re f " % background
    ink = b"1 g" if background == b"0 g" else b"0 g"
    assert differs(page(ground + text(["45 euro"], 8, ink)), page(ground))


def test_a_changed_digit_is_found() -> None:
    changed = [line.replace("1,240", "1,248") if line.startswith("31 ") else line for line in LINES]
    assert differs(page(text(LINES)), page(text(changed)))


def test_two_words_that_changed_places_are_the_same_words_in_other_places() -> None:
    assert differs(page(text(["45 euro", "", "9999 euro"], 10)), page(text(["9999 euro", "", "45 euro"], 10)))


def test_a_recoloured_paragraph_is_found() -> None:
    assert differs(page(text(LINES)), page(text(LINES, colour=b"1 0 0 rg")))


def test_a_missing_picture_is_found_and_a_covered_one() -> None:
    shown = b"q 60 0 0 60 100 100 cm /I Do Q"
    assert differs(page(shown), page(b""))
    assert differs(page(shown), page(shown + b" 1 g 100 100 60 60 re f"))
    assert differs(page(b""), page(shown))


def test_a_page_that_went_blank_is_found_whatever_it_showed() -> None:
    for content in (text(["."], 6), b"0.3 w .8 G 100 100 m 400 100 l S", b".97 g 0 0 595 842 re f 0 g 50 50 2 2 re f"):
        assert differs(page(content), page(b"")), content


def test_what_lies_a_fraction_of_a_pixel_elsewhere_passes() -> None:
    line = b"1 w 50 %.1f m 500 %.1f l S"
    assert not differs(page(line % (100.0, 100.0)), page(line % (100.4, 100.4)))
    assert differs(page(line % (100.0, 100.0)), page(line % (112.0, 112.0)))


def test_a_page_of_another_size_or_number_is_found() -> None:
    assert differs(page(b""), page(b"", b"/MediaBox [0 0 595 800]"))
    two = raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R 3 0 R] /Count 2 /MediaBox [0 0 595 842] >>",
            b"<< /Type /Page /Parent 2 0 R >>",
        ]
    )
    assert differs(two, page(b""))


def test_which_page_and_how_much_is_told() -> None:
    def move(pdf: pikepdf.Pdf) -> None:
        pdf.pages[1].Contents = pdf.make_stream(b"3 w 50 101.2 m 500 101.2 l S")

    def two(pdf: pikepdf.Pdf) -> None:
        pdf.pages.append(pdf.pages[0])

    one = edited(page(b"3 w 50 100 m 500 100 l S"), two)
    found = compare_rendition(one, edited(one, move))
    assert [each.page for each in found] in ([], [2])
    assert compare_rendition(one, one) == ()


# ------------------------------------------------------------------------------------- layers, annotations and fields


LAYERS = b"/OCProperties << /OCGs [7 0 R] /D << /OFF [7 0 R] >> >>"
LAYERED = b"/MediaBox [0 0 595 842] /Resources << /Font << /F 5 0 R >> /Properties << /L 7 0 R >> >>"


def test_a_hidden_layer_is_not_missed_and_must_not_appear() -> None:
    seen, hidden = text(["SEEN 45 euro"], 12), b"BT /F 20 Tf 50 300 Td (HIDDEN) Tj ET"
    layered = seen + b" /OC /L BDC " + hidden + b" EMC"
    original = one_page(layered, LAYERED, LAYERS, FONT, IMAGE, b"<< /Type /OCG /Name (x) >>")
    assert compare_rendition(original, page(seen)) == ()
    assert differs(original, page(seen + b" " + hidden))


def stamp(flags: int) -> bytes:
    return b"<< /Type /Annot /Subtype /Stamp /F %d /Rect [50 50 150 90] /AP << /N 8 0 R >> >>" % flags


LOOK = stream(b"1 0 0 rg 0 0 100 40 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 100 40]")


def test_an_annotation_with_its_own_look_must_stay_and_a_hidden_one_must_not_appear() -> None:
    drawn = page(b"1 0 0 rg 50 50 100 40 re f")
    assert compare_rendition(annotated(stamp(4), LOOK), drawn) == ()
    assert differs(annotated(stamp(4), LOOK), page(b""))
    assert compare_rendition(annotated(stamp(2), LOOK), page(b"")) == ()
    assert differs(annotated(stamp(2), LOOK), drawn)


def test_what_is_left_to_readers_is_told_and_passes() -> None:
    square = (
        b"<< /Type /Annot /Subtype /Polygon /F 4 /Rect [40 40 160 160] /C [1 0 0] /Vertices [50 50 150 50 150 150] >>"
    )
    found = compare_rendition(annotated(square), page(b"1 0 0 RG 50 50 m 150 50 l 150 150 l s"))
    assert [each.page for each in found] == [1]
    assert 0 < found[0].share < 0.01
    note = b"<< /Type /Annot /Subtype /Text /F 4 /Rect [50 700 70 720] /Contents (a note) >>"
    assert [each.page for each in compare_rendition(annotated(note), page(b""))] == [1]


def test_what_lay_open_under_an_annotation_must_stay() -> None:
    square = b"<< /Type /Annot /Subtype /Square /F 4 /Rect [0 0 595 842] /C [1 0 0] >>"
    frame = b"1 0 0 RG 1 1 593 840 re S "
    assert not differs(annotated(square, content=text(LINES)), page(frame + text(LINES)))
    assert differs(annotated(square, content=text(LINES)), page(frame))


FIELDS = b"/AcroForm << /Fields [7 0 R] /NeedAppearances true /DA (/Helv 12 Tf 0 g) >>"


def field(flags: int = 0) -> bytes:
    return (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /F 4 /Ff %d /V (9999) /DA (/Helv 12 Tf 0 g) "
        b"/Rect [50 700 250 720] >>" % flags
    )


def test_what_is_written_in_a_field_must_not_go() -> None:
    written = page(b"BT /F 12 Tf 52 705 Td (9999) Tj ET")
    assert not differs(annotated(field(), catalog=FIELDS), written)
    assert differs(annotated(field(), catalog=FIELDS), page(b""))


def test_a_password_is_no_writing() -> None:
    assert not differs(annotated(field(1 << 13), catalog=FIELDS), page(b""))


def test_words_in_a_readers_own_font_may_look_otherwise_and_must_be_there() -> None:
    said = b"BT /%s 12 Tf 50 700 Td (45 euro) Tj ET"
    lent = page(said % b"F")
    fonts = PAGE.replace(b"/F 5 0 R", b"/F 5 0 R /G 7 0 R")
    other = one_page(said % b"G", fonts, b"", FONT, IMAGE, FONT.replace(b"Helvetica", b"Courier-Bold"))
    assert not differs(lent, other)
    changed = (said % b"G").replace(b"45", b"46")
    assert differs(lent, one_page(changed, fonts, b"", FONT, IMAGE, FONT.replace(b"Helvetica", b"Courier")))
    assert differs(lent, page(b"1 0 0 rg " + said % b"F"))
    assert differs(lent, page(b""))


# ------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        (b"DejaVuSans", b"QqqqQqSans"),
        (b"DejaVuSerif-Bold", b"QqqqQqSerif-Bold"),
        (b"LiberationSans", b"QqqqqqqqqqSans"),
        (b"Arial", b"Helvetica"),
    ],
)
def test_the_machines_fonts_are_not_read(name: bytes, unknown: bytes) -> None:
    """A machine's font would draw text otherwise than what stands in for a name that no machine knows."""

    def draw(font: bytes) -> bytes:
        drawn = Drawn(
            page(text(["Some text"], 20)).replace(b"/BaseFont /Helvetica", b"/BaseFont /" + font), settled=True
        )
        try:
            with drawn.page(0) as opened:
                return opened.band(fit(595, 842), 0, 842)
        finally:
            drawn.close()

    draw(unknown)  # a process's first use of PDFium's adjustable fonts differs from all others
    assert draw(name) == draw(unknown)


@pytest.mark.parametrize("width", [MIN_PAGE_SIDE, 10, 595, 14_400, MAX_PAGE_SIDE])
@pytest.mark.parametrize("height", [MIN_PAGE_SIDE, 842, MAX_PAGE_SIDE])
def test_any_page_is_drawn_in_bounds(width: float, height: float) -> None:
    for factor in (1.0, MIN_FACTOR):
        size = fit(width, height, factor)
        assert MIN_PIXELS <= min(size.width, size.height) <= max(size.width, size.height) <= MAX_SIDE
        assert size.width * size.height <= 1.1 * MAX_PIXELS or MIN_PIXELS in (size.width, size.height)


def test_small_print_on_a_huge_page_and_a_mark_on_a_tiny_one_are_found() -> None:
    huge = b"/MediaBox [0 0 14400 14400] /Resources << /Font << /F 5 0 R >> >>"
    said = b"BT /F 12 Tf 7000 7000 Td (45 euro) Tj ET"
    assert differs(page(said, huge), page(said.replace(b"45", b"46"), huge))
    assert differs(page(said, huge), page(b"", huge))
    tiny = b"/MediaBox [0 0 2 2]"
    assert differs(page(b"0 g .5 .5 .2 .2 re f", tiny), page(b"", tiny))


def test_a_difference_is_found_at_a_seam_between_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zegel_server.pdf.comparison.page_comparison.BAND_PIXELS", 595 * 40)
    for line in (0, 23, 46):
        assert differs(page(text(LINES)), page(text([*LINES[:line], "", *LINES[line + 1 :]])))
    assert compare_rendition(page(text(LINES)), page(b"q " + text(LINES) + b" Q")) == ()


def test_the_resolution_falls_where_time_is_short_and_no_page_is_passed_over() -> None:
    clock = iter([0.0, 1.0, 30.0, 31.0, 32.0, 33.0, 34.0, 35.0, 36.0, 36.0])
    pace = file_comparison._Pace(MAX_PAGES, lambda: next(clock))
    factors = []
    for page_number in range(1, 9):
        pace.done(page_number)
        factors.append(pace.factor)
    assert factors[0] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == MIN_FACTOR
    assert factors[1] < 1.0
    assert LOOK_SECONDS > 0


@pytest.mark.parametrize("factor", [1.0, 0.5, MIN_FACTOR])
def test_a_lost_page_or_line_is_found_at_every_resolution(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(file_comparison._Pace):
        def __init__(self, pages: int) -> None:
            super().__init__(pages)
            self.factor = factor

    monkeypatch.setattr(file_comparison, "_Pace", Slow)
    monkeypatch.setattr("zegel_server.pdf.comparison.page_comparison.missing_words", lambda _before, _after: set())
    assert differs(page(text(LINES)), page(b""))
    assert differs(page(text(LINES, 9)), page(text([*LINES[:31], "", *LINES[32:]], 9)))
    assert compare_rendition(page(text(LINES)), page(b"q " + text(LINES) + b" Q")) == ()


def test_a_file_that_pdfium_cannot_open_is_looked_at_as_qpdf_reads_it() -> None:
    whole = page(text(LINES))
    broken = whole[: whole.rindex(b"xref\n0")].replace(b"/Type /Catalog", b"/Type /Catalog")
    assert compare_rendition(broken, whole) == ()
    assert differs(broken, page(b""))
    assert differs(b"%PDF-1.7\nnothing", whole)


def test_words_are_compared_whatever_their_order_and_spaces() -> None:
    assert missing_words(["a", "bc"], ["bc", "a"]) == set()
    assert missing_words(["ab", "c"], ["a", "bc"]) == set()
    assert missing_words(["12", "euro"], ["21", "euro"]) == {"12"}
    assert missing_words(["a", "a"], ["a"]) == {"a"}


# -------------------------------------------------------------------------------------- rendition and finished file


BOX = Box(1, 100, 842 - 500 - 30, 100, 30)


def stamped(x: int = 100, y: int = 500, extra: bytes = b"") -> bytes:
    # The frame's line lies within the box: half its width beside the path.
    inner = b"0 0 1 RG 1 w %.1f %.1f 99 29 re S BT 0 g /F 10 Tf %d %d Td (Ana) Tj ET" % (x + 0.5, y + 0.5, x + 4, y + 8)
    return page(b"q " + text(LINES) + b" Q " + inner + extra)


def test_stamps_within_their_boxes_pass_and_nothing_beside_them_does() -> None:
    before = page(text(LINES))
    compare_sealed(before, stamped(), [BOX])
    compare_sealed(before, before, [BOX])
    for other in (stamped(104), stamped(y=496), stamped(extra=b" 0 g 300 20 1 1 re f"), page(text(LINES[:-1]))):
        assert refused(lambda sealed=other: compare_sealed(before, sealed, [BOX])) is Refusal.SEAL  # type: ignore[misc]


def test_a_font_that_pdfium_adjusts_does_not_look_like_a_change() -> None:
    wide, narrow = (
        b"<< /Type /Font /Subtype /TrueType /BaseFont /Qqqq /Encoding /WinAnsiEncoding /FirstChar 32 /LastChar 126 "
        b"/Widths [%s] >>" % b" ".join([width] * 95)
        for width in (b"900", b"300")
    )
    loose = b"<< /Type /Font /Subtype /TrueType /BaseFont /Qqqq /Encoding /WinAnsiEncoding >>"
    entries = b"/MediaBox [0 0 595 842] /Resources << /Font << /F 5 0 R /G 6 0 R /H 7 0 R >> >>"
    said = b"BT /F 20 Tf 50 700 Td (loose) Tj /G 20 Tf (wide) Tj /F 20 Tf (loose) Tj /H 20 Tf (narrow) Tj ET"
    before = one_page(said, entries, b"", loose, wide, narrow)
    after = one_page(said + b" 0 g 100 100 50 50 re f", entries, b"", loose, wide, narrow)
    for _ in range(3):
        compare_sealed(before, after, [Box(1, 100, 842 - 150, 50, 50)])
        assert refused(lambda: compare_sealed(before, after, [Box(1, 100, 842 - 150, 50, 40)])) is Refusal.SEAL
        compare_rendition(before, before)


def test_a_stamp_is_found_that_has_no_box_on_its_page() -> None:
    before = page(text(LINES))
    assert refused(lambda: compare_sealed(before, stamped(), [Box(1, 300, 10, 50, 20)])) is Refusal.SEAL
    assert refused(lambda: compare_sealed(before, stamped(), [Box(2, 100, 100, 50, 20)])) is Refusal.SEAL
    assert refused(lambda: compare_sealed(before, stamped(), [Box(1, float("nan"), 100, 50, 20)])) is Refusal.SEAL


@pytest.mark.parametrize("entries", [b"/Rotate 90", b"/Rotate 180", b"/Rotate 270", b"/UserUnit 2", b"/UserUnit .5"])
def test_boxes_are_points_of_the_page_as_shown(entries: bytes) -> None:
    """A mark at the lower left of the page's own units, 40 x 20 of them."""
    shape = PAGE + b" " + entries
    before, after = page(text(LINES), shape), page(text(LINES) + b" 1 g 0 0 40 20 re f 0 g 5 5 30 10 re f", shape)
    place = {
        b"/Rotate 90": Box(1, 0, 0, 20, 40),
        b"/Rotate 180": Box(1, 555, 0, 40, 20),
        b"/Rotate 270": Box(1, 822, 555, 20, 40),
        b"/UserUnit 2": Box(1, 0, 1644, 80, 40),
        b"/UserUnit .5": Box(1, 0, 411, 20, 10),
    }[entries]
    compare_sealed(before, after, [place])
    small = Box(1, place.x, place.y, place.width / 4, place.height / 4)
    assert refused(lambda: compare_sealed(before, after, [small])) is Refusal.SEAL


def test_random_boxes_never_hide_a_mark_that_none_of_them_touches() -> None:
    choose = random.Random(3)  # noqa: S311 - to be repeatable
    before, tried = page(b""), 0
    while tried < 20:
        box = Box(1, choose.uniform(-20, 500), choose.uniform(-20, 700), choose.uniform(0, 300), choose.uniform(0, 300))
        x, y = choose.uniform(5, 580), choose.uniform(5, 830)
        beside = x > box.x + box.width + 2 or x + 6 < box.x
        if beside or y > box.y + box.height + 2 or y + 6 < box.y:
            tried += 1
            after = page(b"0 g %.2f %.2f 4 4 re f" % (x, 842 - y - 4))
            assert refused(lambda sealed=after, part=box: compare_sealed(before, sealed, [part])) is Refusal.SEAL  # type: ignore[misc]


def test_looking_at_a_stamped_page_takes_milliseconds() -> None:
    before, after = page(text(LINES)), stamped()
    compare_sealed(before, after, [BOX])
    with Effort() as effort:
        for _ in range(10):
            compare_sealed(before, after, [BOX])
    assert effort.seconds / 10 < 0.1
