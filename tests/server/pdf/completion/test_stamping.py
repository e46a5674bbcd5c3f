"""How stamps are drawn: whole and within their boxes, in the letters of many scripts, and never as something else."""

import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from support.completing import completed, make_job, opened, pdfium, stamped, with_audit
from support.pdfs import ink, one_page, png, shown_text
from support.tools import tool
from zegel_server.pdf.completion.stamping import draw_stamp
from zegel_server.pdf.fonts import typesetting as fonts
from zegel_server.pdf.fonts.typesetting import PLAIN_FONT
from zegel_server.pdf.model import Stamp, StampKind

BLANK = one_page(b"")


def drawn(stamp: Stamp) -> bytes:
    """A stamp on a page of its own, which does not end at its box as completed renditions make it."""
    fonts.preload()
    out = BytesIO()
    canvas = Canvas(out, (595, 842), invariant=1, initialFontName=PLAIN_FONT)
    draw_stamp(canvas, stamp, 842)
    canvas.save()
    return out.getvalue()


LONG = "A text that is much too long for so small a box, and goes on, word by word"
STAMPS = {
    "long text": Stamp(1, 50, 50, 60, 12, "text", LONG),
    "one long word": Stamp(1, 50, 50, 60, 12, "text", "W" * 200),
    "date": Stamp(1, 50, 50, 60, 12, "date", "2026-11-24"),
    "typed": Stamp(
        1, 50, 50, 60, 40, "signature", "Wilhelmina Featherstonehaugh-Cholmondeley", None, "W.\nsig_1234567890"
    ),
    "typed with tails": Stamp(1, 50, 50, 90, 30, "signature", "gjpqy ÅÇ"),
    "typed in another script": Stamp(1, 50, 50, 60, 40, "signature", "สมชาย अनिल"),
    "initials": Stamp(1, 50, 50, 60, 40, "initials", "WFC"),
    "check mark": Stamp(1, 50, 50, 20, 20, "checkbox", "true"),
    "wide check mark": Stamp(1, 50, 50, 60, 20, "checkbox", "true"),
    "picture": Stamp(1, 50, 50, 60, 40, "signature", image=png(900, 30), caption="Ana"),
    "high picture": Stamp(1, 50, 50, 60, 40, "signature", image=png(30, 900), caption="Ana"),
    "low box": Stamp(1, 50, 50, 60, 1, "signature", "Ana", None, "Ana\nsig_1"),
    "narrow box": Stamp(1, 50, 50, 1, 60, "signature", "Ana", None, "Ana\nsig_1"),
    "low picture": Stamp(1, 50, 50, 60, 0.5, "initials", image=png(90, 30)),
}


@pytest.mark.parametrize("name", STAMPS)
def test_a_stamp_shows_whole_within_its_box(name: str) -> None:
    stamp = STAMPS[name]
    found = ink(drawn(stamp), dark=200)
    assert found is not None
    assert found[0] >= 48
    assert found[1] >= 48
    assert found[2] <= 50 + stamp.width + 2
    assert found[3] <= 50 + stamp.height + 2
    assert ink(stamped(BLANK, stamp), dark=200) is not None


@pytest.mark.parametrize("kind", ["signature", "initials"])
@pytest.mark.parametrize("height", [0.6, 1.0, 3.0, 12.0, 40.0])
def test_a_signature_is_seen_in_a_box_of_any_height(kind: StampKind, height: float) -> None:
    for stamp in (
        Stamp(1, 0, 0, 3 * height, height, kind, "Ana", caption="Ana Bell"),
        Stamp(1, 0, 0, 3 * height, height, kind, image=png(30, 10)),
    ):
        page = b"/MediaBox [0 0 %f %f]" % (3 * height, height)
        picture = pdfium(stamped(one_page(b"", page), stamp), 0, 120, 40)
        dark = sum(picture.convert("L").point(lambda value: 255 if value < 128 else 0).histogram()[255:])
        assert dark > 60


def test_a_check_mark_differs_from_an_empty_box() -> None:
    yes, no = [Stamp(1, 50, 50, 40, 40, "checkbox", text) for text in ("x", "")]
    assert ink(stamped(BLANK, yes), dark=100)
    assert not ink(stamped(BLANK, no), dark=100)
    assert ink(stamped(BLANK, no), dark=200)


def test_the_margin_of_a_drawn_signature_is_cut_off() -> None:
    large = Image.new("RGBA", (400, 400))
    large.paste((0, 0, 0, 255), (180, 190, 220, 210))
    out = BytesIO()
    large.save(out, "PNG")
    found = ink(stamped(BLANK, Stamp(1, 50, 50, 100, 51, "signature", image=out.getvalue())))
    assert found == pytest.approx((50, 50, 150, 100), abs=2)


NAMES = [
    *("Ana Müller", "Łukasz Żółć", "Олена Ковальчук", "Γιώργος", "王小明", "山田太郎", "김철수", "გიორგი", "สมชาย"),
    "अनिल कुमार",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_many_scripts_show_and_can_be_copied(name: str, tmp_path: Path) -> None:
    stamps = [Stamp(1, 50, 50, 300, 40, "text", name), Stamp(1, 50, 200, 300, 60, "signature", name)]
    job = make_job(BLANK, *stamps, audit=with_audit(tenant_name=name))
    (tmp_path / "out.pdf").write_bytes(completed(job))
    command = [str(tool("pdftotext")), str(tmp_path / "out.pdf"), "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert text.count(name) >= 3
    assert "\ufffd" not in text


@pytest.mark.parametrize("name", ["محمد العربي", "דוד כהן"])
def test_right_to_left_names_show(name: str) -> None:
    out = stamped(BLANK, Stamp(1, 50, 50, 300, 40, "text", name))
    assert ink(out)
    assert "\ufffd" not in shown_text(out)


def test_what_no_font_has_is_set_by_its_number() -> None:
    assert "a[U+12000]b" in shown_text(stamped(BLANK, Stamp(1, 50, 50, 300, 40, "text", "a\U00012000b")))


def test_steering_characters_do_not_steer() -> None:
    stamp = Stamp(1, 50, 50, 300, 40, "text", "pay\u202e001\u202c EUR\u0000")
    assert "pay001 EUR" in shown_text(stamped(BLANK, stamp))


def test_what_is_typed_is_no_content() -> None:
    hostile = ") Tj ET Q Q 9 0 0 9 0 0 cm /ZegelStamps Do \\) (\\"
    out = stamped(BLANK, Stamp(1, 50, 50, 300, 40, "text", hostile, caption=hostile))
    assert hostile in shown_text(out).replace("\r\n", " ")
    found = ink(out)
    assert found is not None
    assert 48 <= found[0] < found[2] <= 352


def test_stamps_are_drawn_the_same_however_many_there_are() -> None:
    stamp = Stamp(1, 50, 50, 200, 40, "signature", "Ana")
    many = [replace(stamp, y=50.0 + 50 * row, text=f"Ana {row}") for row in range(12)]
    alone = pdfium(stamped(BLANK, many[0]), 0, 595, 842).crop((50, 50, 250, 90))
    among = pdfium(stamped(BLANK, *many), 0, 595, 842).crop((50, 50, 250, 90))
    assert alone.tobytes() == among.tobytes()
    with opened(stamped(BLANK, *many)) as pdf:
        form = pdf.pages[0].obj.Resources.XObject["/ZegelStamps"]
        assert sorted(form.Resources.XObject.keys()) == [f"/S{number:05d}" for number in range(12)]
