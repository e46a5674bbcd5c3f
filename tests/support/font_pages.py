"""Pages with text in one font, before and after Zegel's font replaces it, drawn by two renderers."""

import subprocess
import warnings
from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2  # type: ignore[import-untyped]
from PIL import Image, ImageChops, ImageFilter

from support.pdfs import one_page
from support.tools import tool
from zegel_server.pdf.fonts.embedding import FontReport, embed_fonts

SCALE = 2.0
APART = 0.001
"""Share of the ink that two renderers may place more than a pixel apart."""


def page_with(font: bytes, shown: bytes, *more: bytes) -> bytes:
    """Returns a page with strings in one font, which is object 5; further objects begin at 6."""
    resources = b"/MediaBox [0 0 700 200] /Resources << /Font << /F 5 0 R >> >>"
    content = b"BT /F 24 Tf 20 100 Td %s ET" % shown
    return one_page(content, resources, b"", b"<< /Type /Font %s >>" % font, *more)


def embedded(pdf: bytes) -> tuple[bytes, FontReport]:
    with pikepdf.open(BytesIO(pdf)) as opened:
        report = embed_fonts(opened)
        return saved(opened), report


def saved(opened: pikepdf.Pdf) -> bytes:
    out = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pikepdf.exceptions.PageCopyWarning)  # of forms that are wrong already
        opened.save(out, static_id=True)
    return out.getvalue()


def pdfium(pdf: bytes, page: int = 0) -> Image.Image:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return document[page].render(scale=SCALE).to_pil().convert("L")  # type: ignore[no-any-return]
    finally:
        document.close()


def poppler(pdf: bytes, folder: Path) -> Image.Image:
    (folder / "in.pdf").write_bytes(pdf)
    command = [
        str(tool("pdftoppm")),
        "-r",
        str(72 * SCALE),
        "-gray",
        "-singlefile",
        str(folder / "in.pdf"),
        str(folder / "out"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(folder / "out.pgm") as picture:
        return picture.convert("L")


def face_names(pdf: bytes) -> list[str]:
    with pikepdf.open(BytesIO(pdf)) as opened:
        dictionaries = [item for item in opened.objects if isinstance(item, pikepdf.Dictionary)]
        return [str(item.FontName)[8:] for item in dictionaries if item.get("/Type") == "/FontDescriptor"]


def ink_apart(one: Image.Image, other: Image.Image) -> float:
    """Returns the share of the ink of two images that is not within a pixel of the other's ink: 0 for equal pages."""
    dark = [picture.point(lambda value: 255 if value < 128 else 0) for picture in (one, other)]
    near = [picture.filter(ImageFilter.MinFilter(3)).point(lambda v: 255 if v < 225 else 0) for picture in (one, other)]
    alone = ImageChops.lighter(ImageChops.subtract(dark[0], near[1]), ImageChops.subtract(dark[1], near[0]))
    total = sum(picture.histogram()[255] for picture in dark)
    assert total > 100
    return alone.histogram()[255] / total


def edited_alone(pdf: bytes) -> bytes:
    with pikepdf.open(BytesIO(pdf)) as opened:
        return saved(opened)
