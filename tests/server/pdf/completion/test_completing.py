"""What is added to a rendition: stamps at their places however a page lies, audit pages, evidence."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from PIL import Image, ImageChops

from support.completing import EVIDENCE, TIME, completed, make_job, opened, pdfium, poppler, stamped, with_audit
from support.pdfs import edited, ink, one_page, png, shown_text, stream
from support.sealed import AUDIT, STAMP, make_pdf, make_sealed
from support.tools import tool
from zegel.evidence.sealed_file.completion import FILES
from zegel_server.pdf.limits import MAX_STAMP_TEXT
from zegel_server.pdf.model import Stamp
from zegel_server.pdf.refusal import Refusal, RefusedError

BLANK = one_page(b"")
Draw = Callable[[bytes, int, int, int], Image.Image]


def quarters() -> bytes:
    """A picture whose four quarters differ, so that turning, mirroring and scaling it can be seen."""
    picture = Image.new("RGBA", (120, 60))
    for index, colour in enumerate(((255, 0, 0, 255), (0, 160, 0, 255), (0, 0, 255, 255), (0, 0, 0, 255))):
        picture.paste(colour, (index % 2 * 60, index // 2 * 30, index % 2 * 60 + 60, index // 2 * 30 + 30))
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


QUARTERS = quarters()
COLOURS = ((255, 0, 0), (0, 160, 0), (0, 0, 255), (0, 0, 0))

# Each page is 300 wide and 200 high as shown, times what is said; the box is in these points.
PAGES = {
    "plain": (b"/MediaBox [0 0 300 200]", 1.0),
    "origin elsewhere": (b"/MediaBox [-70.5 40.25 229.5 240.25]", 1.0),
    "far from its origin": (b"/MediaBox [-9000 7000 -8700 7200]", 1.0),
    "crop box": (b"/MediaBox [0 0 500 500] /CropBox [100 50 400 250]", 1.0),
    "turned right": (b"/MediaBox [0 0 200 300] /Rotate 90", 1.0),
    "upside down": (b"/MediaBox [0 0 300 200] /Rotate 180", 1.0),
    "turned left": (b"/MediaBox [0 0 200 300] /Rotate 270", 1.0),
    "turned back": (b"/MediaBox [0 0 200 300] /Rotate -90", 1.0),
    "turned, cropped, elsewhere": (b"/MediaBox [-10 -10 500 500] /CropBox [100 50 300 350] /Rotate 90", 1.0),
    "turned left, cropped": (b"/MediaBox [0 0 500 500] /CropBox [100 50 300 350] /Rotate 270", 1.0),
    "upside down, elsewhere": (b"/MediaBox [50 60 350 260] /Rotate 180", 1.0),
    "in units of two": (b"/MediaBox [0 0 150 100] /UserUnit 2", 1.0),
    "in thirds, turned": (b"/MediaBox [-20 10 580 910] /Rotate 90 /UserUnit 0.333333", 1.0),
    "in units of seven, turned left": (b"/MediaBox [70 140 270 440] /Rotate 270 /UserUnit 7", 7.0),
    "upside down in units of 1.7": (b"/MediaBox [0 0 300 200] /Rotate 180 /UserUnit 1.7", 1.7),
    "tiny": (b"/MediaBox [0 0 3 2]", 0.01),
    "huge": (b"/MediaBox [0 0 14400 9600]", 48.0),
    "huge in the largest units, turned": (b"/MediaBox [0 0 9600 14400] /Rotate 90 /UserUnit 75", 3600.0),
    "in units of three thousand": (b"/MediaBox [0 0 300 200] /UserUnit 3000", 3000.0),
    "in units of seven hundred thousand": (b"/MediaBox [0 0 1.5 1] /UserUnit 700000", 3500.0),
    "one unit": (b"/MediaBox [0 0 1 0.666667] /UserUnit 300", 1.0),
}
CONTENTS = [b"", b"q 2 0 0 2 50 50 cm", b"Q Q 0.5 0 0 0.5 9 9 cm BT", b"/OC /x BDC 3 0 0 3 0 0 cm q 0 0 1 1 re W n"]


@pytest.mark.parametrize("draw", [pdfium, poppler])
@pytest.mark.parametrize("name", PAGES)
def test_a_stamp_is_where_it_was_placed_at_its_size_and_upright(name: str, draw: Draw) -> None:
    page, scale = PAGES[name]
    stamp = Stamp(1, 40 * scale, 30 * scale, 120 * scale, 61 * scale, "signature", image=QUARTERS)
    for content in CONTENTS:
        out = stamped(one_page(content, page), stamp)
        picture = draw(out, 0, 600, 400)
        for index, colour in enumerate(COLOURS):
            # Just inside of each quarter's corners: two pixels a point.
            left, top = 80 + index % 2 * 120, 60 + index // 2 * 60
            for x, y in ((left + 8, top + 8), (left + 104, top + 8), (left + 8, top + 52), (left + 104, top + 52)):
                seen = picture.getpixel((x, y))
                assert isinstance(seen, tuple)
                assert all(abs(one - other) < 40 for one, other in zip(seen, colour, strict=True)), (x, y, seen)
        around = picture.copy()
        around.paste((255, 255, 255), (79, 59, 321, 183))
        assert around.getbbox() is not None
        assert ImageChops.invert(around.convert("L")).point(lambda value: 255 if value > 20 else 0).getbbox() is None


@pytest.mark.parametrize("content", CONTENTS)
def test_what_a_page_leaves_open_does_not_reach_its_stamps(content: bytes) -> None:
    found = ink(stamped(one_page(content), Stamp(1, 40, 30, 120, 60, "signature", image=png(120, 60))))
    assert found is not None
    assert found == pytest.approx((40, 30, 160, 90), abs=2)


def test_stamps_find_their_pages_though_pages_share_all_they_have() -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages.extend([pdf.pages[0], pdf.pages[0]])

    page = b"/MediaBox [0 0 200 100] /Resources << /XObject << /F 5 0 R >> >>"
    form = stream(b"0 0 9 9 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]")
    shared = edited(one_page(b"/F Do", page, b"", form), change)
    texts = ((3, 10, "three"), (2, 10, "two"), (3, 50, "again"))
    stamps = [Stamp(number, 10, top, 90, 20, "text", text) for number, top, text in texts]
    out = stamped(shared, *stamps)
    assert [shown_text(out, page).split() for page in range(3)] == [[], ["two"], ["three", "again"]]


def test_stamps_of_one_page_lie_over_one_another_in_their_order() -> None:
    red, blue = (
        Stamp(1, 50, 50, 100, 101, "signature", image=png(100, 100, colour))
        for colour in ((255, 0, 0, 255), (0, 0, 255, 255))
    )
    assert pdfium(stamped(BLANK, red, blue), 0, 595, 842).getpixel((100, 100)) == (0, 0, 255)
    assert pdfium(stamped(BLANK, blue, red), 0, 595, 842).getpixel((100, 100)) == (255, 0, 0)


def test_all_but_stamped_pages_and_the_catalogue_stays_as_it_is() -> None:
    original = make_pdf(pages=3)
    out = stamped(original, replace(STAMP, page=2))
    before, after = opened(make_job(original).rendition), opened(out)
    assert out.startswith(make_job(original).rendition)
    for number in (1, 3):
        assert before.pages[number - 1].obj.unparse() == after.pages[number - 1].obj.unparse()
    page = after.pages[1].obj
    assert page.Contents[0].objgen == before.pages[1].obj.Contents.objgen
    assert page.Contents[1].read_bytes() == b"q 1 0 0 1 0 0 cm /ZegelStamps Do Q\n"
    assert set(after.Root.keys()) - set(before.Root.keys()) == {
        *("/AcroForm", "/AF", "/Names", "/Perms", "/ViewerPreferences"),
    }


def test_a_sealed_file_can_be_signed_again(tmp_path: Path) -> None:
    first = make_sealed(tmp_path).pdf
    again = Stamp(1, 72, 500, 180, 60, "text", "Once more")
    out = stamped(first, again, Stamp(2, 20, 20, 100, 12, "text", "On its audit page"))
    assert "Once more" in shown_text(out)
    assert "Ann Bell" in shown_text(out)
    assert "On its audit page" in shown_text(out, 1)
    with opened(out) as pdf:
        names = set(pdf.pages[0].obj.Resources.XObject.keys())
        assert {"/ZegelStamps", "/ZegelStamps_"} <= names
        assert len(pdf.attachments) == len(FILES)
    assert ink(out, 0) is not None
    assert [shown_text(out, 2).count(word) for word in ("Audit trail", AUDIT.title)] == [1, 2]


def test_the_same_job_makes_the_same_bytes_in_another_process() -> None:
    program = (
        "import hashlib\n"
        "from support.completing import completed, make_job\n"
        "from support.pdfs import one_page, png\n"
        "from zegel_server.pdf.model import Stamp\n"
        "one = Stamp(1, 40, 30, 120, 60, 'signature', 'Ana', png(30, 20), 'x')\n"
        "two = Stamp(1, 40, 130, 120, 60, 'signature', 'Олена 王小明')\n"
        "print(hashlib.sha256(completed(make_job(one_page(b''), one, two))).hexdigest())\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "4711"}
    there = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    one = Stamp(1, 40, 30, 120, 60, "signature", "Ana", png(30, 20), "x")
    two = Stamp(1, 40, 130, 120, 60, "signature", "Олена 王小明")
    assert there.stdout.strip() == sha256(completed(make_job(one_page(b""), one, two))).hexdigest()


@pytest.mark.parametrize(
    ("stamp", "refusal"),
    [
        (Stamp(2, 0, 0, 10, 10, "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(0, 0, 0, 10, 10, "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(-1, 0, 0, 10, 10, "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(1, 0, 0, 0, 10, "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(1, 0, 0, 10, -10, "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(1, 0, 0, 0.0004, 10, "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(1, 0, 0, 10, float("nan"), "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(1, float("inf"), 0, 10, 10, "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(1, 0, 1e15, 10, 10, "text", "x"), Refusal.STAMP_PLACE),
        (Stamp(1, 0, 0, 10, 10, "text", "x" * (MAX_STAMP_TEXT + 1)), Refusal.STAMP_PLACE),
        (Stamp(1, 0, 0, 10, 10, "signature", image=b"GIF89a"), Refusal.IMAGE),
        (Stamp(1, 0, 0, 10, 10, "signature", image=b""), Refusal.IMAGE),
        (Stamp(1, 0, 0, 10, 10, "signature", image=png(20, 20)[:-30]), Refusal.IMAGE),
        (Stamp(1, 0, 0, 10, 10, "signature", image=png(8000, 8000)), Refusal.IMAGE),
        (Stamp(1, 0, 0, 10, 10, "signature", image=bytes(3 * 1024 * 1024)), Refusal.IMAGE),
    ],
)
def test_an_impossible_stamp_is_refused(stamp: Stamp, refusal: Refusal) -> None:
    with pytest.raises(RefusedError) as caught:
        stamped(BLANK, stamp)
    assert caught.value.refusal is refusal


def test_evidence_is_attached_and_the_file_says_what_it_is(tmp_path: Path) -> None:
    job = make_job(BLANK, audit=with_audit(title="Vertrag über 王"))
    (tmp_path / "out.pdf").write_bytes(completed(job))
    with opened(completed(job)) as pdf:
        assert {name: file.get_file().read_bytes() for name, file in pdf.attachments.items()} == EVIDENCE
        assert [str(item.UF) for item in pdf.Root.AF.as_list()] == [file.name for file in FILES]
        assert {str(item.AFRelationship) for item in pdf.Root.AF.as_list()} == {"/Data"}
        assert str(pdf.Root.AF[0].EF.F.Subtype) == "/application/jsonl"
        assert str(pdf.docinfo.Title) == "Vertrag über 王"
        assert str(pdf.docinfo.CreationDate) == f"D:{TIME:%Y%m%d%H%M%S}Z"
    listed = subprocess.run([tool("pdfdetach"), "-list", tmp_path / "out.pdf"], capture_output=True, check=True)
    assert [line.partition(": ")[2] for line in listed.stdout.decode().splitlines()[1:]] == sorted(EVIDENCE)


def test_evidence_that_holds_the_word_that_ends_a_stream_is_attached_as_it_is() -> None:
    evidence = {**EVIDENCE, "audit.jsonl": b"{}\nendstream\nendobj\n"}
    with opened(completed(replace(make_job(BLANK), files=evidence))) as pdf:
        assert pdf.attachments["audit.jsonl"].get_file().read_bytes() == evidence["audit.jsonl"]


def test_others_accept_it(tmp_path: Path) -> None:
    path = tmp_path / "completed.pdf"
    path.write_bytes(
        stamped(make_pdf(), replace(STAMP, text="Олена 王小明 สมชาย", caption="x"), replace(STAMP, kind="date"))
    )
    checked = subprocess.run([tool("qpdf"), "--check", path], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout
    fonts = subprocess.run([tool("pdffonts"), path], capture_output=True, check=True, text=True).stdout.splitlines()[2:]
    assert fonts
    assert all(" yes " in line for line in fonts)
