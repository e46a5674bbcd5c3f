"""The PDF before its seal: stamps at their places, nothing left that acts or hides, audit pages, evidence."""

import hashlib
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from support.pdfs import edited, ink, one_page, png, shown_text, stream
from support.tools import tool
from zegel_server.errors import FailedPrecondition, InvalidArgument
from zegel_server.pdf.model import Attachment, AuditDocument, AuditEvent, AuditPage, AuditParty, PrepareJob, Stamp
from zegel_server.pdf.workshop import Workshop

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIME = datetime(2026, 11, 24, 7, 9, 33, tzinfo=UTC)
BLANK = one_page(b"")
AUDIT = AuditPage(
    audit_id="zgl_01JD8X4QK7M3N5P9R2S6T8V0WY",
    title="Employment agreement",
    tenant_name="Example Ltd",
    completed_time="2026-11-24 07:09:33 UTC",
    documents=[AuditDocument("Agreement.pdf", hashlib.sha256(b"x").hexdigest(), 1)],
    parties=[AuditParty("Ana Müller", "ana@example.com", "Signer", "Signed", "2026-11-24 07:08:59 UTC", "E-mail link")],
    events=[AuditEvent("2026-11-24 07:08:59.123", "Document signed", "Ana Müller")],
    origin="log.example.com/zegel",
    verify_hint="zegel verify signed.pdf",
)


def make_job(*originals: bytes, stamps: list[Stamp] | None = None, audit: AuditPage | None = None) -> PrepareJob:
    return PrepareJob(list(originals), stamps or [], audit, [], time=TIME)


def opened(pdf: bytes) -> pikepdf.Pdf:
    return pikepdf.open(BytesIO(pdf))


BOXES = {
    "plain": b"/MediaBox [0 0 300 200]",
    "origin elsewhere": b"/MediaBox [-70 40 230 240]",
    "crop box": b"/MediaBox [0 0 500 500] /CropBox [100 50 400 250]",
    "turned right": b"/MediaBox [0 0 200 300] /Rotate 90",
    "upside down": b"/MediaBox [0 0 300 200] /Rotate 180",
    "turned left": b"/MediaBox [0 0 200 300] /Rotate 270",
    "turned, cropped, elsewhere": b"/MediaBox [-10 -10 500 500] /CropBox [100 50 300 350] /Rotate 90",
    "turned left, cropped": b"/MediaBox [0 0 500 500] /CropBox [100 50 300 350] /Rotate 270",
}


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize(
    "content", [b"", b"q 2 0 0 2 50 50 cm", b"Q Q 0.5 0 0 0.5 9 9 cm BT", b"/OC /x BDC 3 0 0 3 0 0 cm q"]
)
async def test_a_stamp_is_where_it_was_placed(workshop: Workshop, name: str, content: bytes) -> None:
    stamp = Stamp(0, 1, 40, 30, 120, 60, "signature", image=png(120, 60))
    out = await workshop.prepare(make_job(one_page(content, BOXES[name]), stamps=[stamp]))
    (size,) = (await workshop.inspect(out)).pages
    assert (size.width, size.height) == pytest.approx((300, 200))
    found = ink(out)
    assert found is not None
    left, top, right, bottom = found
    assert 38 <= left < right <= 162
    assert 28 <= top < bottom <= 92
    assert bottom - top >= 55


async def test_a_user_unit_scales_the_page_and_not_the_stamp(workshop: Workshop) -> None:
    page = b"/MediaBox [0 0 150 100] /UserUnit 2"
    out = await workshop.prepare(make_job(one_page(b"", page), stamps=[Stamp(0, 1, 40, 30, 120, 60, "checkbox", "x")]))
    with opened(out) as pdf:
        content = pdf.pages[0].Contents
        joined = (
            b"".join(part.read_bytes() for part in content)
            if isinstance(content, pikepdf.Array)
            else content.read_bytes()
        )
    assert b"0.500000 0.000000 0.000000 0.500000 0.000000 0.000000 cm" in joined


@pytest.mark.parametrize(
    "stamp",
    [
        Stamp(
            0, 1, 50, 50, 60, 12, "text", "A text that is much too long for so small a box, and goes on, word by word"
        ),
        Stamp(0, 1, 50, 50, 60, 12, "text", "W" * 200),
        Stamp(0, 1, 50, 50, 60, 12, "date", "2026-11-24"),
        Stamp(
            0,
            1,
            50,
            50,
            60,
            40,
            "signature",
            "Wilhelmina Featherstonehaugh-Cholmondeley",
            None,
            "W. F.-C.\nsig_1234567890",
        ),
        Stamp(0, 1, 50, 50, 60, 40, "initials", "WFC"),
        Stamp(0, 1, 50, 50, 20, 20, "checkbox", "true"),
        Stamp(0, 1, 50, 50, 60, 40, "signature", image=png(900, 30), caption="Ana"),
    ],
)
async def test_a_stamp_stays_within_its_box(workshop: Workshop, stamp: Stamp) -> None:
    found = ink(await workshop.prepare(make_job(BLANK, stamps=[stamp])), dark=200)
    assert found is not None
    assert found[0] >= 48
    assert found[1] >= 48
    assert found[2] <= 50 + stamp.width + 2
    assert found[3] <= 50 + stamp.height + 2


async def test_a_check_mark_differs_from_an_empty_box(workshop: Workshop) -> None:
    yes, no = [Stamp(0, 1, 50, 50, 40, 40, "checkbox", text) for text in ("x", "")]
    assert ink(await workshop.prepare(make_job(BLANK, stamps=[yes])), dark=100)
    assert not ink(await workshop.prepare(make_job(BLANK, stamps=[no])), dark=100)


@pytest.mark.parametrize(
    "name",
    [
        "Ana Müller",
        "Łukasz Żółć",
        "Олена Ковальчук",
        "Γιώργος",
        "王小明",
        "山田太郎",
        "김철수",
        "გიორგი",
        "สมชาย",
        "अनिल कुमार",
    ],
)
async def test_names_in_many_scripts_show_and_can_be_copied(workshop: Workshop, name: str, tmp_path: Path) -> None:
    stamps = [Stamp(0, 1, 50, 50, 300, 40, "text", name), Stamp(0, 1, 50, 200, 300, 60, "signature", name)]
    audit = replace(AUDIT, tenant_name=name)
    out = await workshop.prepare(make_job(BLANK, stamps=stamps, audit=audit))
    (tmp_path / "out.pdf").write_bytes(out)
    command = [str(tool("pdftotext")), str(tmp_path / "out.pdf"), "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert text.count(name) >= 3
    assert "\ufffd" not in text


async def test_right_to_left_names_show(workshop: Workshop) -> None:
    for name in ("محمد العربي", "דוד כהן"):
        out = await workshop.prepare(make_job(BLANK, stamps=[Stamp(0, 1, 50, 50, 300, 40, "text", name)]))
        assert ink(out)
        assert "\ufffd" not in shown_text(out)


async def test_what_no_font_has_is_replaced_where_it_can_be_seen(workshop: Workshop) -> None:
    out = await workshop.prepare(make_job(BLANK, stamps=[Stamp(0, 1, 50, 50, 300, 40, "text", "a\U00012000b")]))
    assert "a\ufffdb" in shown_text(out)


async def test_steering_characters_do_not_steer(workshop: Workshop) -> None:
    stamp = Stamp(0, 1, 50, 50, 300, 40, "text", "pay\u202e001\u202c EUR\u0000")
    assert "pay001 EUR" in shown_text(await workshop.prepare(make_job(BLANK, stamps=[stamp])))


async def test_the_same_job_makes_the_same_bytes_in_another_process(workshop: Workshop) -> None:
    stamp = Stamp(0, 1, 40, 30, 120, 60, "signature", "Ana", png(30, 20), "x")
    job = replace(make_job(BLANK, stamps=[stamp], audit=AUDIT), attachments=[Attachment("a", "text/plain", b"x")])
    first = await workshop.prepare(job)
    async with Workshop() as another:
        assert await another.prepare(job) == first


async def test_originals_follow_one_another_and_stamps_find_theirs(workshop: Workshop) -> None:
    two = edited(one_page(b"", b"/MediaBox [0 0 100 100]"), lambda pdf: pdf.pages.append(pdf.pages[0]))
    out = await workshop.prepare(
        make_job(BLANK, two, stamps=[Stamp(1, 2, 10, 10, 50, 20, "text", "here")], audit=AUDIT)
    )
    assert [page.width for page in (await workshop.inspect(out)).pages] == pytest.approx([595, 100, 100, 595.276])
    assert ["here" in shown_text(out, page) for page in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    "stamp",
    [
        Stamp(0, 2, 0, 0, 10, 10, "text", "x"),
        Stamp(0, 0, 0, 0, 10, 10, "text", "x"),
        Stamp(1, 1, 0, 0, 10, 10, "text", "x"),
        Stamp(-1, 1, 0, 0, 10, 10, "text", "x"),
        Stamp(0, 1, 0, 0, 0, 10, "text", "x"),
        Stamp(0, 1, 0, 0, 10, -10, "text", "x"),
        Stamp(0, 1, 0, 0, 10, 10, "text", "x" * 4001),
        Stamp(0, 1, 0, 0, 10, 10, "signature", image=b"GIF89a"),
        Stamp(0, 1, 0, 0, 10, 10, "signature", image=b""),
        Stamp(0, 1, 0, 0, 10, 10, "signature", image=png(20, 20)[:-30]),
        Stamp(0, 1, 0, 0, 10, 10, "signature", image=png(8000, 8000)),
        Stamp(0, 1, 0, 0, 10, 10, "signature", image=bytes(3 * 1024 * 1024)),
    ],
)
async def test_an_impossible_stamp_is_the_callers_fault(workshop: Workshop, stamp: Stamp) -> None:
    with pytest.raises(InvalidArgument):
        await workshop.prepare(make_job(BLANK, stamps=[stamp]))


async def test_a_bad_original_is_refused_with_its_reason(workshop: Workshop) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await workshop.prepare(make_job(BLANK, b"no"))
    assert caught.value.reason == "DOCUMENT_UNREADABLE"


def with_scripts(pdf: pikepdf.Pdf) -> None:
    script = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert('ZEGELEVIL')")
    launch = pikepdf.Dictionary(S=pikepdf.Name.Launch, F="ZEGELEVIL.exe")
    page = pdf.pages[0].obj
    pdf.Root.OpenAction = script
    pdf.Root.AA = pikepdf.Dictionary(WC=script)
    pdf.Root.Names = pikepdf.Dictionary(JavaScript=pikepdf.Dictionary(Names=pikepdf.Array(["a", script])))
    pdf.attachments["ZEGELEVIL.exe"] = pikepdf.AttachedFileSpec(pdf, b"ZEGELEVIL")
    page.AA = pikepdf.Dictionary(O=script)
    form = pdf.make_stream(b"ZEGELEVIL", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.PS)
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(P=form))
    page.Annots = pikepdf.Array(
        [
            pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, Rect=[0, 0, 9, 9], A=action)
            for action in (script, launch, pikepdf.Dictionary(S=pikepdf.Name.URI, URI="javascript:ZEGELEVIL"))
        ]
        + [
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot,
                Subtype=pikepdf.Name.Link,
                Rect=[0, 0, 9, 9],
                A=pikepdf.Dictionary(S=pikepdf.Name.URI, URI="https://example.com/", Next=script),
            )
        ]
    )
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array(), XFA=pdf.make_stream(b"<xdp>ZEGELEVIL</xdp>"))


async def test_nothing_that_acts_is_left(workshop: Workshop) -> None:
    out = await workshop.prepare(make_job(edited(BLANK, with_scripts)))
    plain = BytesIO()
    with opened(out) as pdf:
        assert set(pdf.Root.keys()) <= {"/Type", "/Pages", "/Metadata"}
        links = pdf.pages[0].obj.Annots.as_list()
        assert [str(link.A.URI) for link in links if "/A" in link] == ["https://example.com/"]
        assert all(link.is_indirect for link in links)  # pyHanko takes others for changes after the seal
        pdf.save(plain, qdf=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    for word in (b"JavaScript", b"Launch", b"ZEGELEVIL", b"/AA", b"/XFA", b"OpenAction", b"/Next", b"/PS"):
        assert word not in plain.getvalue()


def text_field(pdf: pikepdf.Pdf) -> None:
    page = pdf.pages[0].obj
    font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    field = pdf.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Annot,
            Subtype=pikepdf.Name.Widget,
            FT=pikepdf.Name.Tx,
            T="name",
            V="Filled in before",
            DA="/F 12 Tf 0 g",
            F=4,
            Rect=[100, 700, 300, 720],
        )
    )
    page.Annots = pikepdf.Array([field])
    pdf.Root.AcroForm = pikepdf.Dictionary(
        Fields=pikepdf.Array([field]),
        NeedAppearances=True,
        DA="/F 12 Tf 0 g",
        DR=pikepdf.Dictionary(Font=pikepdf.Dictionary(F=font)),
    )


async def test_what_was_filled_in_stays_and_can_no_longer_change(workshop: Workshop) -> None:
    out = await workshop.prepare(make_job(edited(BLANK, text_field)))
    assert "Filled in before" in shown_text(out)
    with opened(out) as pdf:
        assert "/AcroForm" not in pdf.Root
        assert "/Annots" not in pdf.pages[0].obj


def layered(off: bool, content: bytes) -> bytes:
    state = b"/OFF [5 0 R]" if off else b""
    return one_page(
        content,
        b"/MediaBox [0 0 300 200] /Resources << /Properties << /L 5 0 R >> /XObject << /X 6 0 R >> >>",
        b"/OCProperties << /OCGs [5 0 R] /D << /Order [5 0 R] %s >> >>" % state,
        b"<< /Type /OCG /Name (layer) >>",
        stream(b"0 0 50 50 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 50 50] /OC 5 0 R"),
    )


@pytest.mark.parametrize(
    "content", [b"/OC /L BDC 0 0 50 50 re f EMC", b"/X Do", b"/OC /L BDC q /A BMC 0 0 9 9 re B EMC Q EMC"]
)
async def test_layers_are_frozen_as_they_are_shown(workshop: Workshop, content: bytes) -> None:
    shown = await workshop.prepare(make_job(layered(False, content)))
    hidden = await workshop.prepare(make_job(layered(True, content)))
    assert ink(shown)
    assert not ink(hidden)
    for out in (shown, hidden):
        plain = BytesIO()
        with opened(out) as pdf:
            assert "/OCProperties" not in pdf.Root
            pdf.save(plain, qdf=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
        assert b"/OCG" not in plain.getvalue()


async def test_the_audit_page_says_what_it_is_told(workshop: Workshop) -> None:
    out = await workshop.prepare(make_job(BLANK, audit=AUDIT))
    text = shown_text(out, 1)
    for word in (AUDIT.audit_id, AUDIT.title, AUDIT.tenant_name, AUDIT.origin, AUDIT.verify_hint, "Audit page 1 of 1"):
        assert word in text
    for word in ("Agreement.pdf", AUDIT.documents[0].sha256, "Ana Müller", "ana@example.com", "Document signed"):
        assert word in text
    assert "2026-11-24 07:08:59.123" in text


async def test_a_long_history_runs_over_pages_and_is_whole(workshop: Workshop) -> None:
    events = [AuditEvent(f"2026-11-24 07:08:{number:02}", f"Event number {number:04}", "x") for number in range(300)]
    out = await workshop.prepare(make_job(BLANK, audit=replace(AUDIT, events=events)))
    count = len((await workshop.inspect(out)).pages)
    text = "".join(shown_text(out, page) for page in range(1, count))
    assert all(f"Event number {number:04}" in text for number in range(300))
    assert all(f"Audit page {number} of {count - 1}" in text for number in range(1, count))
    assert text.count("WHAT HAPPENED") >= count - 2


async def test_evidence_is_attached(workshop: Workshop) -> None:
    files = [
        Attachment("b.jsonl", "application/json", b"{}\n", "Events"),
        Attachment("a.tlog-proof", "text/plain", bytes(99)),
    ]
    out = await workshop.prepare(replace(make_job(BLANK), attachments=files))
    with opened(out) as pdf:
        assert {name: file.get_file().read_bytes() for name, file in pdf.attachments.items()} == {
            item.name: item.data for item in files
        }
        assert [str(item.UF) for item in pdf.Root.AF.as_list()] == ["b.jsonl", "a.tlog-proof"]
        assert {str(item.AFRelationship) for item in pdf.Root.AF.as_list()} == {"/Data"}
        assert str(pdf.Root.AF[0].EF.F.Subtype) == "/application/json"


async def test_others_accept_it(workshop: Workshop, tmp_path: Path) -> None:
    stamp = Stamp(0, 1, 40, 30, 120, 60, "signature", "Ana", caption="x")
    job = replace(make_job(BLANK, stamps=[stamp], audit=AUDIT), attachments=[Attachment("a", "text/plain", b"x")])
    path = tmp_path / "prepared.pdf"
    path.write_bytes(await workshop.prepare(job))
    checked = subprocess.run([tool("qpdf"), "--check", path], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout
    fonts = subprocess.run([tool("pdffonts"), path], capture_output=True, check=True, text=True).stdout.splitlines()[2:]
    assert fonts
    assert all(" yes " in line for line in fonts)


def unseen(kind: str, **entries: Any) -> bytes:
    """A page with one annotation that leaves its appearance to the reader."""

    def change(pdf: pikepdf.Pdf) -> None:
        item = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name("/" + kind), F=4, C=[0, 0, 0], **entries
        )
        pdf.pages[0].obj.Annots = pikepdf.Array([pdf.make_indirect(item)])

    return edited(one_page(b"", b"/MediaBox [0 0 300 200]"), change)


QUAD = [100, 120, 200, 120, 100, 100, 200, 100]


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        ("Square", {"Rect": [100, 100, 200, 120]}),
        ("Square", {"Rect": [200, 120, 100, 100]}),
        ("Circle", {"Rect": [100, 100, 200, 120], "IC": [0.2]}),
        (
            "Line",
            {
                "Rect": [100, 100, 200, 120],
                "L": [100, 100, 200, 120],
                "LE": [pikepdf.Name("/None"), pikepdf.Name.OpenArrow],
            },
        ),
        ("Line", {"Rect": [0, 0, 1, 1], "L": [100, 100, 200, 120]}),
        ("PolyLine", {"Rect": [100, 100, 200, 120], "Vertices": [100, 100, 150, 120, 200, 100]}),
        ("Polygon", {"Rect": [100, 100, 200, 120], "Vertices": [100, 100, 150, 120, 200, 100]}),
        ("Ink", {"Rect": [100, 100, 200, 120], "InkList": pikepdf.Array([pikepdf.Array([100, 100, 200, 120])])}),
        ("Highlight", {"Rect": [100, 100, 200, 120], "QuadPoints": QUAD}),
        ("Underline", {"Rect": [100, 100, 200, 120], "QuadPoints": QUAD}),
        ("StrikeOut", {"Rect": [100, 100, 200, 120], "QuadPoints": QUAD}),
        ("Squiggly", {"Rect": [100, 100, 200, 120], "QuadPoints": QUAD}),
        ("FreeText", {"Rect": [100, 100, 200, 120], "Contents": "Załącznik numer 1", "DA": "/Helv 12 Tf 0 g"}),
    ],
)
async def test_what_readers_draw_themselves_is_drawn_for_good(
    workshop: Workshop, kind: str, entries: dict[str, Any]
) -> None:
    out = await workshop.prepare(make_job(unseen(kind, **entries)))
    found = ink(out)
    assert found is not None
    assert 85 <= found[0] <= 106
    assert found[1] >= 70
    assert 190 <= found[2] <= 212
    assert found[3] <= 112
    with opened(out) as pdf:
        assert "/Annots" not in pdf.pages[0].obj


@pytest.mark.parametrize("flag", [1, 2])
async def test_what_is_hidden_stays_unseen(workshop: Workshop, flag: int) -> None:
    out = await workshop.prepare(
        make_job(unseen("Square", Rect=[100, 100, 200, 120]).replace(b"/F 4", b"/F %d" % flag))
    )
    assert ink(out) is None


async def test_a_field_beyond_latin_1_is_drawn_as_it_was_filled_in(workshop: Workshop) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        text_field(pdf)
        pdf.pages[0].obj.Annots[0].V = "Łukasz 王小明"

    assert "Łukasz 王小明" in shown_text(await workshop.prepare(make_job(edited(BLANK, change)))).replace(".", "")


@pytest.mark.parametrize(
    "entries",
    [
        {"Rect": [0, 0, 0, 0], "L": [1]},
        {"Rect": [1, 2], "L": "x"},
        {"L": [0, 0, 1e9, 1e9]},
        {"Rect": [0, 0, 9, 9], "InkList": pikepdf.Array([1, pikepdf.Array([1]), "x"])},
        {"Rect": [0, 0, 9, 9], "QuadPoints": [1, 2, 3], "CA": "x", "BS": 3, "Border": [1]},
    ],
)
@pytest.mark.parametrize("kind", ["Line", "Ink", "Highlight", "FreeText", "Widget", "Unheard"])
async def test_annotations_out_of_shape_do_no_harm(workshop: Workshop, kind: str, entries: dict[str, Any]) -> None:
    assert len((await workshop.inspect(unseen(kind, **entries))).pages) == 1


async def test_what_no_page_uses_is_left_behind(workshop: Workshop) -> None:
    draft = one_page(
        b"0 0 9 9 re f", b"/MediaBox [0 0 99 99] /PieceInfo 5 0 R", b"", b"(ZEGELDRAFT)", b"(ZEGELDRAFT too)"
    )
    plain = BytesIO()
    with opened(await workshop.prepare(make_job(draft))) as pdf:
        pdf.save(plain, qdf=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    assert b"ZEGELDRAFT" in draft
    assert b"ZEGELDRAFT" not in plain.getvalue()
    assert b"ZEGELDRAFT".hex().encode() not in plain.getvalue().lower()


async def test_more_text_than_can_be_fitted_in_time_is_refused(workshop: Workshop) -> None:
    stamps = [Stamp(0, 1, 0, 0, 10, 10, "text", "x " * 2000)] * 51
    with pytest.raises(InvalidArgument):
        await workshop.prepare(make_job(BLANK, stamps=stamps))
    assert await workshop.prepare(make_job(BLANK, stamps=stamps[:50]))
