"""Where a reader stops within content, and that what lies behind it is shown all the same."""

import subprocess
from pathlib import Path

import pytest
from PIL import Image

from support.pdfs import one_page, stream
from support.tools import tool
from zegel_server.pdf.pages.incomplete_operators import stops_readers
from zegel_server.pdf.sandbox.client import Sandbox

SOUND = (
    *(b"q 1 0 0 rg 10 10 50 50 re f Q", b"(a) Tj", b"[(a) 1 (b(c)d)] TJ", b"/OC /X BDC", b"/P << /MCID 0 >> BDC"),
    *(b"/F 12 Tf", b"[1 2] 0 d", b"[] 0 d", b'0 0 (x) "', b"/X gs /Y Do /Z sh", b"<41> Tj", b".5 scn", b"(1e3) Tj"),
    *(b"q BI /W 1 /H 1 /BPC 8 /CS /G ID x EI Q", b"1 0 0 1 10 10 cm\n/Im0 Do", b"% 1 w", b"foo", b"1 2 3 4 w"),
)
HALTING = (
    b"Tj",
    b"1e3 w",
    b"1 2 cm",
    b"[1] d",
    b"% 1 2 3\n w",
    b"BT Tj ET",
    b"/F Tf",
    b'(a Tj) "',
    b"1 0 0 1 0 0 cm Do",
)


@pytest.mark.parametrize("content", SOUND)
def test_sound_content_stays_on_the_page(content: bytes) -> None:
    assert not stops_readers(content)


@pytest.mark.parametrize("content", HALTING)
def test_an_operator_that_lacks_operands_halts(content: bytes) -> None:
    assert stops_readers(content)
    assert stops_readers(b"0 0 9 9 re f " + content + b" 0 0 9 9 re f")


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("content", HALTING)
async def test_what_lies_on_such_a_page_is_shown_by_every_reader(
    sandbox: Sandbox, content: bytes, tmp_path: Path
) -> None:
    page = b"/MediaBox [0 0 300 300] /Annots [5 0 R]"
    annotation = b"<< /Type /Annot /Subtype /Stamp /F 4 /Rect [100 100 150 150] /AP << /N 6 0 R >> >>"
    look = stream(b"0 0 1 rg 0 0 50 50 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 50 50]")
    made = await sandbox.render(one_page(b"1 0 0 rg 10 10 50 50 re f " + content, page, b"", annotation, look))
    file = tmp_path / "made.pdf"
    file.write_bytes(made.data)
    command = [str(tool("pdftoppm")), "-r", "72", "-singlefile", str(file), str(tmp_path / "page")]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(tmp_path / "page.ppm") as picture:
        assert picture.getpixel((30, 270)) == (255, 0, 0)
        assert picture.getpixel((125, 175)) == (0, 0, 255)
