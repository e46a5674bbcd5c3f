"""Small uploads that were got wrong once, each one of a kind; they lie beside the project, with what is right."""

from io import BytesIO

import pikepdf
import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import ImageChops

from support.pdfs import shown_text
from support.shared import shared
from zegel_server.errors import FailedPrecondition
from zegel_server.pdf.model import Rendition
from zegel_server.pdf.sandbox.client import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")


def case(name: str) -> bytes:
    return shared(f"cases/uploads/{name}.pdf").read_bytes()


def plain(pdf: bytes) -> bytes:
    out = BytesIO()
    with pikepdf.open(BytesIO(pdf)) as found:
        found.save(out, qdf=True, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    return out.getvalue()


def far_apart(one: bytes, other: bytes) -> float:
    """The share of the first page's pixels that differ much: an edge of a letter of another font does, a letter too."""
    pictures = []
    for data in (one, other):
        document = pypdfium2.PdfDocument(data)
        document.init_forms()
        pictures.append(document[0].render(scale=1, may_draw_forms=True).to_pil().convert("L"))
        document.close()
    histogram = ImageChops.difference(*pictures).histogram()
    return float(sum(histogram[128:])) / sum(histogram)


SEEN = [
    *("unbalanced-BX", "unbalanced-bmc_open", "unbalanced-bt_open", "unbalanced-bt_open_in_text", "unbalanced-extra_Q"),
    *("unbalanced-q_cm_open", "unbalanced-q_first", "unbalanced-q_open", "unbalanced-white_rg"),
    *("ctm_left_open", "clip_left_open", "ocg_hidden_page", "ocg_hidden_form_without_resources"),
    *("ocg_hidden_in_pattern_type3", "ocmd_not", "ocg_image_xobject_off", "ocg_shown_covers", "field_V_differs"),
    *("overlay_annot_printonly", "script_sets_field", "image_alternates", "unused_objects"),
]


@pytest.mark.parametrize("name", SEEN)
async def test_what_was_seen_is_there_and_what_was_hidden_is_not(sandbox: Sandbox, name: str) -> None:
    original = case(name)
    made = await sandbox.render(original)
    assert "SEEN price 45 euro" in shown_text(made.data)
    assert far_apart(original, made.data) < 0.0005
    hidden = b"HIDDEN also", b"HIDDEN ocmd", b"HIDDEN 9999", b"HIDDEN invisible", b"SCRIPT"
    for word in hidden:
        assert word not in plain(made.data)
        assert word.hex().encode() not in plain(made.data).lower()
    for key in (b"/OC", b"/Alternates", b"/JavaScript", b"/Spare", b"/AcroForm"):
        assert key not in plain(made.data)


@pytest.mark.parametrize(
    "name",
    [
        *("type3-uses-page-fonts", "type3-glyph-named-S", "resources-is-a-stream", "object-numbers-far-apart"),
        *("root-of-generation-1", "overlay_annot_screenonly", "render_mode_invisible", "fake_audit_page"),
    ],
)
async def test_what_readers_open_looks_as_before(sandbox: Sandbox, name: str) -> None:
    original = case(name)
    made = await sandbox.render(original)
    if name != "root-of-generation-1":  # which the library that looks does not open as it is
        assert far_apart(original, made.data) < 0.0005


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("truncated", "truncated"),
        ("portfolio", "portfolio"),
        ("xfa-without-needs-rendering", "dynamic_form"),
    ],
)
async def test_what_is_to_be_signed_is_not_on_the_pages(sandbox: Sandbox, name: str, why: str) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await sandbox.render(case(name))
    assert (caught.value.reason, caught.value.metadata) == ("DOCUMENT_UNREADABLE", {"detail": why})


async def test_a_password_is_nowhere(sandbox: Sandbox) -> None:
    made = await sandbox.render(case("password-field"))
    assert "*" in shown_text(made.data)
    assert b"secret-4711" not in plain(made.data)
    assert b"secret-4711".hex().encode() not in plain(made.data).lower()


async def test_a_field_that_is_left_to_the_reader_shows_its_value(sandbox: Sandbox) -> None:
    assert "HIDDEN 9999" in shown_text((await sandbox.render(case("field_needappearances"))).data).replace("\r\n", " ")


async def test_notes_are_furniture_and_free_text_is_not(sandbox: Sandbox) -> None:
    made = await sandbox.render(case("sticky_note_and_popup"))
    assert "SEEN freetext no AP" in shown_text(made.data)
    assert b"SEEN note" not in plain(made.data)


async def test_the_sender_is_told(sandbox: Sandbox) -> None:
    async def told(name: str) -> Rendition:
        return await sandbox.render(case(name))

    assert (await told("script_sets_field")).facts.has_scripts
    assert (await told("ocg_hidden_page")).facts.has_hidden_content
    assert (await told("ocmd_not")).facts.has_hidden_content
    font = (await told("font_not_embedded")).facts
    assert "AcmeCorporateSans" in {*font.fonts_substituted, *font.fonts_missing}
