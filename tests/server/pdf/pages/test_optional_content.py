"""Layers are frozen as they are shown, wherever they are, and nothing of a hidden one is left."""

from io import BytesIO

import pikepdf
import pytest

from support.pdfs import ink, one_page, stream
from zegel_server.pdf.pages.optional_content import frozen
from zegel_server.pdf.sandbox.client import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
async def test_layers_are_frozen_as_they_are_shown(sandbox: Sandbox, content: bytes) -> None:
    shown = await rendered(sandbox, layered(False, content))
    hidden = await rendered(sandbox, layered(True, content))
    assert ink(shown)
    assert not ink(hidden)
    for out in (shown, hidden):
        assert b"/OC" not in plain(out)


HELD = {
    "form": stream(b"/OC /L BDC 0 0 50 50 re f EMC", b"/Type /XObject /Subtype /Form /BBox [0 0 99 99]"),
    "form with its own": stream(
        b"/OC /M BDC 0 0 50 50 re f EMC",
        b"/Type /XObject /Subtype /Form /BBox [0 0 99 99] /Resources << /Properties << /M 5 0 R >> >>",
    ),
    "form that is one": stream(b"0 0 50 50 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 99 99] /OC 7 0 R"),
    "picture that is one": stream(
        bytes(4),
        b"/Type /XObject /Subtype /Image /Width 2 /Height 2 /BitsPerComponent 8 /ColorSpace /DeviceGray /OC 5 0 R",
    ),
}


@pytest.mark.parametrize("held", HELD)
async def test_hidden_layers_are_gone_wherever_they_are(sandbox: Sandbox, held: str) -> None:
    pdf = one_page(
        b"q 50 0 0 50 0 0 cm /X Do Q /X Do",
        b"/MediaBox [0 0 300 200] /Resources << /Properties << /L 5 0 R >> /XObject << /X 6 0 R >> >>",
        b"/OCProperties << /OCGs [5 0 R] /D << /OFF [5 0 R] >> >>",
        b"<< /Type /OCG /Name (layer) >>",
        HELD[held],
        b"<< /Type /OCMD /OCGs [5 0 R] /P /AllOn >>",
    )
    made = await sandbox.render(pdf)
    assert made.facts.has_hidden_content
    assert ink(made.data) is None
    assert b"/OC" not in plain(made.data)
    assert b"50 50 re" not in plain(made.data).replace(b"50 50 re n", b"")


@pytest.mark.parametrize(
    ("configuration", "shown"),
    [
        (b"/D << >>", True),
        (b"/D << /BaseState /OFF >>", False),
        (b"/D << /BaseState /OFF /ON [5 0 R] >>", True),
        (b"/D << /AS [<< /Event /View /OCGs [5 0 R] /Category [/View] >>] >>", False),
        (b"/D << /OFF [6 0 R] >>", True),
    ],
)
async def test_the_default_configuration_tells_what_is_hidden(
    sandbox: Sandbox, configuration: bytes, shown: bool
) -> None:
    usage = b"/Usage << /View << /ViewState /OFF >> >>" if b"/AS" in configuration else b""
    pdf = one_page(
        b"/OC /L BDC 0 0 50 50 re f EMC",
        b"/MediaBox [0 0 300 200] /Resources << /Properties << /L 5 0 R >> >>",
        b"/OCProperties << /OCGs [5 0 R 6 0 R] %s >>" % configuration,
        b"<< /Type /OCG /Name (layer) %s >>" % usage,
        b"<< /Type /OCG /Name (other) >>",
    )
    assert (ink(await rendered(sandbox, pdf)) is not None) == shown


@pytest.mark.parametrize("before", [b"", b"null ", b"<< /A 1 >> ", b"/A /B ", b"[1 2] 3 true "])
async def test_a_hidden_layer_stays_hidden_whatever_stands_before_its_operands(before: bytes) -> None:
    kept = frozen(b"1 w %s/OC /L BDC (HIDDEN) Tj EMC (SEEN) Tj" % before, frozenset({"/L"}))
    assert b"HIDDEN" not in kept
    assert b"(SEEN) Tj" in kept
