"""Renditions: nothing left that acts or hides, what viewers draw themselves, forms filled in, links, outlines."""

import re
import zlib
from io import BytesIO
from typing import Any

import pikepdf
import pytest

from support.pdfs import edited, ink, one_page, raw_pdf, shown_text, stream
from zegel_server.pdf.model import FoundSignature
from zegel_server.pdf.sandbox.client import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")

BLANK = one_page(b"")


async def rendered(sandbox: Sandbox, pdf: bytes) -> bytes:
    return (await sandbox.render(pdf)).data


def opened(pdf: bytes) -> pikepdf.Pdf:
    return pikepdf.open(BytesIO(pdf))


def plain(pdf: bytes) -> bytes:
    """All that a PDF holds, readable."""
    out = BytesIO()
    with opened(pdf) as found:
        found.save(out, qdf=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    return out.getvalue()


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


async def test_nothing_that_acts_is_left(sandbox: Sandbox) -> None:
    out = await rendered(sandbox, edited(BLANK, with_scripts))
    with opened(out) as pdf:
        assert set(pdf.Root.keys()) == {"/Type", "/Pages"}
        links = pdf.pages[0].obj.Annots.as_list()
        assert [str(link.A.URI) for link in links if "/A" in link] == ["https://example.com/"]
        assert all(link.is_indirect for link in links)  # pyHanko takes others for changes after the seal
    for word in (b"JavaScript", b"Launch", b"ZEGELEVIL", b"/AA", b"/XFA", b"OpenAction", b"/Next", b"/PS"):
        assert word not in plain(out)


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


async def test_what_was_filled_in_stays_and_can_no_longer_change(sandbox: Sandbox) -> None:
    out = await rendered(sandbox, edited(BLANK, text_field))
    assert "Filled in before" in shown_text(out)
    with opened(out) as pdf:
        assert "/AcroForm" not in pdf.Root
        assert "/Annots" not in pdf.pages[0].obj


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
    sandbox: Sandbox, kind: str, entries: dict[str, Any]
) -> None:
    out = await rendered(sandbox, unseen(kind, **entries))
    found = ink(out)
    assert found is not None
    assert 85 <= found[0] <= 106
    assert found[1] >= 70
    assert 190 <= found[2] <= 212
    assert found[3] <= 112
    with opened(out) as pdf:
        assert "/Annots" not in pdf.pages[0].obj


@pytest.mark.parametrize("flag", [1, 2])
async def test_what_is_hidden_stays_unseen(sandbox: Sandbox, flag: int) -> None:
    out = await rendered(sandbox, unseen("Square", Rect=[100, 100, 200, 120]).replace(b"/F 4", b"/F %d" % flag))
    assert ink(out) is None


async def test_a_field_beyond_latin_1_is_drawn_as_it_was_filled_in(sandbox: Sandbox) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        text_field(pdf)
        pdf.pages[0].obj.Annots[0].V = "Łukasz 王小明"

    assert "Łukasz 王小明" in shown_text(await rendered(sandbox, edited(BLANK, change))).replace(".", "")


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
async def test_annotations_out_of_shape_do_no_harm(sandbox: Sandbox, kind: str, entries: dict[str, Any]) -> None:
    assert len((await sandbox.render(unseen(kind, **entries))).facts.pages) == 1


async def test_what_no_page_uses_is_left_behind(sandbox: Sandbox) -> None:
    draft = one_page(
        b"0 0 9 9 re f", b"/MediaBox [0 0 99 99] /PieceInfo 5 0 R", b"", b"(ZEGELDRAFT)", b"(ZEGELDRAFT too)"
    )
    out = await rendered(sandbox, draft)
    assert b"ZEGELDRAFT" in draft
    assert b"ZEGELDRAFT" not in plain(out)
    assert b"ZEGELDRAFT".hex().encode() not in plain(out).lower()


SOUND = b"q 1 0 0 1 20 20 cm 0 0 50 30 re f Q"


@pytest.mark.parametrize(
    "content",
    [
        *(b"q", b"q q 5 0 0 5 0 0 cm", b"BT", b"BT 7 Tr", b"/P BMC", b"/P << /A (>>) >> BDC", b"BX", b"Q", b"ET"),
        *(b"EMC Q EX", b"0 0 1 1 re W n", b"1 1 1 rg", b"(never ends", b"[ 1 2 (", b"<< /A", b"% a comment"),
        *(b"BI /W 9 /H 9 ID x", b"<41", b"1 2 3"),
    ],
)
async def test_content_that_leaves_something_open_keeps_its_look_and_lets_nothing_out(
    sandbox: Sandbox, content: bytes
) -> None:
    page = b"/MediaBox [0 0 300 200]"
    out = await rendered(sandbox, one_page(SOUND + b"\n" + content, page))
    assert ink(out) == ink(one_page(SOUND, page)) == (20, 150, 70, 180)
    with opened(out) as pdf:
        made = pdf.pages[0].obj.Contents.read_bytes()
        assert made.startswith(b"q\n")
        assert made.endswith(b"\nQ\n")
        pdf.pages[0].contents_add(b"0 0 0 rg 200 20 50 30 re f")
        later = BytesIO()
        pdf.save(later)
    assert ink(later.getvalue()) == (20, 150, 250, 180)


async def test_parts_of_content_are_read_one_after_another(sandbox: Sandbox) -> None:
    parts = one_page(
        b"q 1 0 0 1 20 20 c",
        b"/MediaBox [0 0 300 200] /Contents [4 0 R 5 0 R null 99 0 R 6 0 R]",
        b"",
        stream(b"m 1 0 0 1 20 20 cm 0 0 50"),
        stream(b"30 re f"),
    )
    assert ink(await rendered(sandbox, parts.replace(b"/Contents 4 0 R ", b""))) == ink(
        parts.replace(b"/Contents 4 0 R ", b"")
    )


RESOURCES = {
    "missing": b"",
    "a number": b"/Resources 5",
    "a stream": b"/Resources 6 0 R",
    "inherited by the form": b"/Resources << /XObject << /F 5 0 R >> >>",
    "in a stream of pages": b"/Resources << /XObject 6 0 R >>",
}


@pytest.mark.parametrize("name", RESOURCES)
async def test_resources_of_any_shape_are_survived(sandbox: Sandbox, name: str) -> None:
    page = b"/MediaBox [0 0 300 200] " + RESOURCES[name]
    form = stream(b"0 0 20 20 re f /F Do", b"/Type /XObject /Subtype /Form /BBox [0 0 50 50]")
    pdf = one_page(SOUND + b" /F Do", page, b"", form, stream(b"", b"/XObject << /F 5 0 R >>"))
    out = await rendered(sandbox, pdf)
    assert ink(out) == ink(pdf)
    with opened(out) as found:
        assert type(found.pages[0].obj.Resources) is pikepdf.Object
        assert not found.pages[0].obj.Resources.is_indirect


async def test_a_form_without_resources_takes_those_of_each_page_that_draws_it(sandbox: Sandbox) -> None:
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 300 200]"
    wide, high = (stream(b"0 0 %d %d re f" % size, form) for size in ((60, 10), (10, 60)))
    resources = b"/Resources << /XObject << /F 6 0 R /G %d 0 R >> >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 5 0 R " + resources + b" >>"
    pdf = raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>",
            page % 7,
            page % 8,
            stream(b"/F Do"),
            stream(b"/G Do", form),
            wide,
            high,
        ]
    )
    out = await rendered(sandbox, pdf)
    assert [ink(out, number) for number in (0, 1)] == [(0, 190, 60, 200), (0, 140, 10, 200)]


async def test_a_rendition_is_the_same_each_time_and_its_own_rendition_again(sandbox: Sandbox) -> None:
    pdf = edited(one_page(SOUND), with_scripts)
    first, second = await rendered(sandbox, pdf), await rendered(sandbox, pdf)
    assert first == second
    again = await rendered(sandbox, first)
    assert ink(again) == ink(first)
    async with Sandbox() as another:
        assert await rendered(another, pdf) == first


async def test_a_password_is_nowhere(sandbox: Sandbox) -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        text_field(pdf)
        pdf.pages[0].obj.Annots[0].V = "ZEGELSECRET"
        pdf.pages[0].obj.Annots[0].Ff = 1 << 13

    out = await rendered(sandbox, edited(BLANK, change))
    assert re.fullmatch(r"\**\s*", shown_text(out))
    assert ink(out) is not None
    assert b"ZEGELSECRET" not in plain(out)


async def test_damaged_content_yields_what_readers_get_of_it(sandbox: Sandbox) -> None:
    whole = SOUND * 200
    packed = zlib.compress(whole + bytes(range(256)) * 50)[:-100]
    pdf = raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 300 200] >>",
            stream(packed, b"/Filter /FlateDecode"),
        ]
    )
    assert ink(await rendered(sandbox, pdf)) == ink(pdf)


async def test_signatures_of_others_are_told(sandbox: Sandbox) -> None:
    empty = FoundSignature("timestamp", intact=False, covers_whole_file=False)

    def change(pdf: pikepdf.Pdf) -> None:
        value = pikepdf.Dictionary(
            Type=pikepdf.Name("/DocTimeStamp"),
            SubFilter=pikepdf.Name("/ETSI.RFC3161"),
            ByteRange=[0, 1, 2, 3],
            Contents=b"x",
        )
        pdf.Root.AcroForm = pikepdf.Dictionary(
            Fields=[pdf.make_indirect(pikepdf.Dictionary(FT=pikepdf.Name.Sig, T="t", V=pdf.make_indirect(value)))]
        )

    assert (await sandbox.render(edited(BLANK, change))).facts.signatures == (empty,)
