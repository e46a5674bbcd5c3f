"""Small valid and hostile PDFs, built from their parts, and functions that inspect what a PDF shows."""

import math
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO

import pikepdf
import pypdfium2  # type: ignore[import-untyped]
from PIL import Image

from zegel_server.pdf.limits import MAX_PAGES
from zegel_server.pdf.pages import rendition

A4 = (0, 0, 595, 842)


def raw_pdf(objects: Sequence[bytes], *, root: int = 1) -> bytes:
    """A PDF of objects numbered from 1, written as they are.

    Args:
        objects: What stands between ``obj`` and ``endobj``.
        root: Number of the catalogue.
    """
    out = BytesIO()
    out.write(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, start))
    return out.getvalue()


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object's body."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)


def one_page(
    content: bytes = b"", page: bytes = b"/MediaBox [0 0 595 842]", catalog: bytes = b"", *more: bytes
) -> bytes:
    """A PDF of one page: catalogue 1, pages 2, page 3, content 4, and further objects from 5."""
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R %s >>" % page,
            stream(content),
            *more,
        ]
    )


def bomb(size: int, levels: int = 1) -> bytes:
    """Zeros, deflated over and over, in one content stream."""
    data = bytes(size)
    for _level in range(levels):
        data = zlib.compress(data, 9)
    names = b" ".join([b"/FlateDecode"] * levels)
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 595 842] >>",
            stream(data, b"/Filter [%s]" % names),
        ]
    )


def slow_pdf(seconds: float) -> bytes:
    """A PDF that takes a worker at least some time on this machine, however fast it is, and breaks no limit.

    All its pages share one content stream, so the file is small; each page is read for itself. A sample's cost tells
    how many pages that takes.

    Args:
        seconds: Processor time in seconds.

    Raises:
        AssertionError: The machine is so fast that the pages which a document may have do not take that long.
    """

    def pages(count: int) -> bytes:
        page = b"<< /Type /Page /Parent 2 0 R /Contents 3 0 R /MediaBox [0 0 595 842] >>"
        kids = b" ".join(b"%d 0 R" % number for number in range(4, count + 4))
        tree = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
        return raw_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", tree, stream(b"0 0 1 1 re f\n" * 5_000), *[page] * count])

    def cost(count: int) -> float:
        began = time.process_time()
        rendition.render(pages(count))
        return time.process_time() - began

    a_page = min(cost(3) - cost(1) for _sample in range(3)) / 2
    count = math.ceil(2 * seconds / max(a_page, 1e-4))  # twice: the sample may have been slow by chance
    assert count <= MAX_PAGES
    return pages(count)


def edited(pdf: bytes, change: Callable[[pikepdf.Pdf], None]) -> bytes:
    """A PDF after a change to its objects."""
    with pikepdf.open(BytesIO(pdf)) as opened:
        change(opened)
        out = BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pikepdf.exceptions.PageCopyWarning)  # malformed forms are intended here
            opened.save(out)
    return out.getvalue()


def shown_text(pdf: bytes, page: int = 0) -> str:
    """The text of a page, as a reader copies it."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return str(document[page].get_textpage().get_text_range())
    finally:
        document.close()


def ink(pdf: bytes, page: int = 0, dark: int = 128) -> tuple[float, float, float, float] | None:
    """Where a page as shown has ink: left, top, right, bottom in points; nothing if it is blank."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        picture = document[page].render(scale=1).to_pil().convert("L")
    finally:
        document.close()
    found: tuple[float, float, float, float] | None = picture.point(lambda value: 255 if value < dark else 0).getbbox()
    return found


def png(width: int, height: int, colour: tuple[int, int, int, int] = (0, 0, 0, 255)) -> bytes:
    """A PNG of one colour."""
    out = BytesIO()
    Image.new("RGBA", (width, height), colour).save(out, "PNG")
    return out.getvalue()
