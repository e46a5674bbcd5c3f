"""Text in any script: which font sets it, in which order it is seen, and that nothing of it is lost."""

import subprocess
import unicodedata
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from fuzz.set_scripts import LIVING, PACKAGED, campaign
from support.completing import pdfium
from support.pdfs import shown_text
from support.tools import noto_fonts, tool
from zegel_server.pdf.fonts import registry
from zegel_server.pdf.fonts import typesetting as fonts
from zegel_server.pdf.fonts.itemizing import prepare
from zegel_server.pdf.fonts.typesetting import PLAIN_FONT
from zegel_server.pdf.fonts.unicode_text import clusters, reads_right_to_left, visual_runs

NAMES = {
    "Arabic": "رحمان عبدالله",
    "Armenian": "Արամ Խաչատրյան",
    "Bengali": "রবীন্দ্রনাথ ঠাকুর",
    "Chinese": "王小明",
    "Chinese with a variant": "葛\U000e0100城",
    "Devanagari": "अनिल कुमार क्षत्रिय",
    "Ethiopic": "አበበ ቢቂላ",
    "Georgian": "გიორგი",
    "Greek": "Γιώργος Παπαδόπουλος",
    "Gujarati": "નરેન્દ્ર",
    "Gurmukhi": "ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ",
    "Hebrew": "דוד בן־גוריון",
    "Japanese": "山田太郎 やまだ タロウ",
    "Kannada with a joiner": "ರಾಜ್\u200cಕುಮಾರ್",
    "Khmer": "ជ័យវរ្ម័ន",
    "Korean": "김철수",
    "Lao": "ສົມສັກ",
    "Latin with marks": "Nguyễn Thị Ánh x\u0302",
    "Malayalam": "മോഹൻലാൽ",
    "Myanmar": "အောင်ဆန်းစုကြည်",
    "Oriya": "ଓଡ଼ିଆ ନବୀନ",
    "Persian with a joiner": "فردوسی می\u200cخواهم",  # noqa: RUF001
    "Russian": "Олена Ковальчук",
    "Sinhala with a joiner": "ශ්\u200dරී ලංකා",
    "Tamil": "தமிழ்ச்செல்வன்",
    "Telugu": "తెలుగు శ్రీను",
    "Thai": "สมชาย ใจดี",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f 1\ufe0f\u20e3 \U0001f600",
}
FROM_RIGHT_TO_LEFT = {"Arabic", "Hebrew", "Persian with a joiner"}
STACKS = ("body", "bold", "mono", "hand")


def page(text: str, stack: str = "body", size: float = 20) -> bytes:
    """A line of text on a page of its own."""
    fonts.preload()
    out = BytesIO()
    canvas = Canvas(out, (600, 100), invariant=1, initialFontName=PLAIN_FONT)
    fonts.draw_text(canvas, 20, 40, text, stack, size)
    canvas.save()
    return out.getvalue()


def seen(text: str, stack: str = "body") -> list[str]:
    """The runs of a line from left to right, each in the order it is read."""
    return [run.text for run in fonts.set_text(text, stack)]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_script_is_set_whole(name: str, stack: str) -> None:
    text = NAMES[name]
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, text)
        assert not fonts.unshown(written)
        assert fonts.leaves_ink(written, stack)
        assert all(run.stretch.face is not None for run in fonts.set_text(written, stack))
        assert "[U+" not in "".join(seen(written, stack))


@pytest.mark.parametrize("name", sorted(NAMES.keys() - FROM_RIGHT_TO_LEFT))
def test_a_name_of_any_script_can_be_copied(name: str, tmp_path: Path) -> None:
    (tmp_path / "out.pdf").write_bytes(page(NAMES[name]))
    command = [str(tool("pdftotext")), str(tmp_path / "out.pdf"), "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert unicodedata.normalize("NFC", NAMES[name]) in " ".join(text.split())


@pytest.mark.parametrize("text", ["דוד בן־גוריון", "דירה (ב)", NAMES["Persian with a joiner"], "Haifa רחוב"])
def test_lines_from_right_to_left_are_copied_in_the_order_they_are_read(text: str) -> None:
    assert shown_text(page(text)).strip() == text.replace("\u200c", "")


def test_of_a_font_only_the_glyphs_that_are_shown_are_embedded() -> None:
    with pikepdf.open(BytesIO(page("தமிழ் தமிழ்"))) as pdf:
        fonts_used = [font for font in pdf.pages[0].Resources.Font.values() if font.Subtype == "/Type0"]
        assert len(fonts_used) == 1
        program = fonts_used[0].DescendantFonts[0].FontDescriptor.FontFile2.read_bytes()
    assert len(program) < 8_000 < len(registry.font_data("NotoSansTamil"))


def test_every_letter_of_latin_is_drawn_in_every_stack() -> None:
    # A letter that a font only puts together from its parts was left out where each letter is set by itself.
    for stack in STACKS:
        for char in "ễựỗÅǺőşțĳſ":
            line, rest = page(f"l{char}l", stack), page("ll", stack)
            assert ink_of(line) > ink_of(rest) * 1.05, (stack, char)


def ink_of(data: bytes) -> int:
    return sum(pdfium(data, 0, 600, 100).convert("L").histogram()[:128])


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("רחוב הרצל 12", ["12", "רחוב הרצל "]),
        ("רחוב הרצל 12, דירה 3 (ב)", [" (ב)", "3", ", דירה ", "12", "רחוב הרצל "]),
        ("שארע 15 Main St", ["Main St", " ", "15", "שארע "]),
        ("Haifa, רחוב 5", ["Haifa, ", "5", "רחוב "]),
        ("شارع 15 مايو، رقم 7", ["7", " مايو، رقم ", "15", "شارع "]),
        ("أ (b) ج", [") ج", "b", "أ ("]),
    ],
)
def test_numbers_and_brackets_keep_their_order_in_lines_from_right_to_left(text: str, order: list[str]) -> None:
    assert seen(text) == order


def test_brackets_are_mirrored_where_the_line_runs_the_other_way() -> None:
    [run] = fonts.set_text("(א", "body")
    [other] = fonts.set_text(")א", "body")
    stretch = run.stretch
    assert stretch.right_to_left
    assert stretch.face is not None
    closing = stretch.face.font.get_nominal_glyph(ord(")"))
    opening = stretch.face.font.get_nominal_glyph(ord("("))
    assert fonts._glyphs(run.stretch)[-1].number == closing
    assert fonts._glyphs(other.stretch)[-1].number == opening


def test_lines_are_ordered_as_unicode_says() -> None:
    lines = Path(__file__).with_name("bidi_sample.txt").read_text(encoding="utf-8").splitlines()
    cases = [line.split(";") for line in lines if not line.startswith("#")]
    assert len(cases) == 200
    for points, order in cases:
        text = "".join(chr(int(point, 16)) for point in points.split())
        found: list[int] = []
        for start, end, back in visual_runs(text):
            found += reversed(range(start, end)) if back else range(start, end)
        assert found == [int(index) for index in order.split()], points


def test_places_are_those_of_characters_and_not_of_code_units() -> None:
    assert visual_runs("\U0001e900\U0001e901 7") == [(3, 4, False), (0, 3, True)]


def test_a_mark_never_leaves_its_letter() -> None:
    for text in ("x\u0302\u0323y", "க்ஷி", "\U0001f469\u200d\U0001f469\u200d\U0001f467a", "ש\u05c1\u05b8b", "e\u0301"):
        whole = set(clusters(prepare(text)))
        for run in fonts.set_text(text, "body"):
            assert set(clusters(run.text)) <= whole


def test_paragraphs_keep_their_direction_in_every_line() -> None:
    text = "שלום רחוב Main Street 12 עולם Main Street רחוב הרצל 12"
    lines = fonts.wrap_text(text, "body", 10, 60)
    assert len(lines) > 2
    assert all(reads_right_to_left(line) for line in lines)
    assert any(line.lstrip("\u200f")[0] == "M" for line in lines)
    latin = fonts.wrap_text("Main Street רחוב הרצל 12 Main Street", "body", 10, 60)
    assert not any(reads_right_to_left(line) for line in latin)


def test_scripts_without_spaces_break_between_words() -> None:
    thai = "ภาษาไทยง่ายนิดเดียว"
    lines = fonts.wrap_text(thai, "body", 10, 45)
    assert "".join(lines) == thai
    assert {"ภาษา", "ไทย", "ง่าย", "นิด", "เดียว"} >= {word for line in lines for word in fonts.unbreakable_words(line)}
    assert fonts.wrap_text("Rindfleischetikettierung", "body", 10, 500) == ["Rindfleischetikettierung"]


def test_what_no_font_has_is_told_and_set_by_its_number() -> None:
    assert fonts.unshown("a\U00012000b") == "\U00012000"
    assert seen("a\U00012000b") == ["a", "[U+12000]", "b"]
    assert not fonts.unshown("Ana")


@pytest.mark.parametrize("text", ["\u200b", "\u3164", "\u2800", " \u00a0", "\u034f\ufe0f", "\U000e0041"])
def test_what_nobody_sees_leaves_no_ink(text: str) -> None:
    assert not fonts.leaves_ink(text, "body")
    assert fonts.leaves_ink(f"{text}.", "body")


def test_a_line_that_is_too_long_is_cut_with_a_sign() -> None:
    for text in ("Lease of the house by the river " * 9, "தமிழ்ச்செல்வன்" * 20, "رحمان عبدالله " * 20):
        cut = fonts.cut_text(text, "body", 10, 200)
        assert cut.endswith(fonts.ELLIPSIS)
        assert fonts.text_width(cut, "body", 10) <= 200
        kept = cut.removesuffix(fonts.ELLIPSIS).rstrip()
        assert text.startswith(kept)
        assert clusters(text)[: len(clusters(kept))] == clusters(kept)
    assert fonts.cut_text("Lease", "body", 10, 200) == "Lease"


def test_a_mark_on_a_letter_that_no_font_has_it_with_is_drawn_beside_it() -> None:
    for text in ("\u042f\u0ac9", "\xab\u0a42", "x\u0651", "\u05d0\u0ac9"):
        assert not fonts.unshown(text), text
        assert "".join(sorted("".join(seen(text)))) == "".join(sorted(text))


def test_random_texts_of_every_script_are_set_whole_and_in_order() -> None:
    outcome = campaign(400, 31, PACKAGED)
    assert outcome.texts == 400
    assert not outcome.wrong, outcome.examples


def test_every_living_script_is_set_in_the_noto_projects_fonts() -> None:
    registry.use_folder(noto_fonts())
    try:
        outcome = campaign(400, 32, LIVING)
        for name in ("བསྟན་འཛིན་", "އަހްމަދު", "ᏍᏏᏉᏯ", "ܐܦܪܝܡ", "ߖߊ߬ߘߌ", "\U0001e900\U0001e923", "ꦗꦮ", "ᓄᓇᕗᑦ"):
            assert not fonts.unshown(name)
            assert fonts.leaves_ink(name, "hand")
    finally:
        registry.use_folder(None)
    assert not outcome.wrong, outcome.examples


def test_fonts_of_the_operators_folder_set_what_no_package_has(tmp_path: Path) -> None:
    tibetan = "བསྟན་འཛིན་"
    assert fonts.unshown(tibetan)
    # Any font that has the letters will do: here one from a package, under the name that is looked for.
    (tmp_path / "NotoSansCuneiform-Regular.ttf").write_bytes(with_cuneiform())
    registry.use_folder(tmp_path)
    try:
        assert not fonts.unshown("a\U00012000b")
        assert [run.font for run in fonts.set_text("a\U00012000", "body")] == [PLAIN_FONT, "NotoSansCuneiform"]
        assert fonts.unshown(tibetan)
    finally:
        registry.use_folder(None)
    assert fonts.unshown("a\U00012000b")


def with_cuneiform() -> bytes:
    """Noto Sans Lao, whose first letter stands for a cuneiform sign as well."""
    from fontTools.ttLib import TTFont  # noqa: PLC0415 - for this test alone

    font = TTFont(BytesIO(registry.font_data("NotoSansLao")))
    cmap = font.getBestCmap()
    glyph = cmap[0x0E81]
    for table in font["cmap"].tables:
        if table.isUnicode() and table.format == 12:
            table.cmap[0x12000] = glyph
    if not any(table.format == 12 for table in font["cmap"].tables):
        from fontTools.ttLib.tables._c_m_a_p import cmap_format_12  # noqa: PLC0415 - the same

        table = cmap_format_12(12)
        table.platformID, table.platEncID, table.language = 3, 10, 0
        table.cmap = {**cmap, 0x12000: glyph}
        font["cmap"].tables.append(table)
    out = BytesIO()
    font.save(out)
    return out.getvalue()
