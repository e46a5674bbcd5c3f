"""Small PDFs, good and hostile, made from their parts; and a look at what a PDF shows."""

import warnings
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO

import pikepdf
import pypdfium2  # type: ignore[import-untyped]
from PIL import Image

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


def slow_pdf(streams: int = 40) -> bytes:
    """A PDF that takes a worker some seconds and is no bomb: many streams just below the limits of one."""
    data = zlib.compress(bytes(16 * 1024 * 1024), 9)
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 595 842] >>",
            *([stream(data, b"/Filter /FlateDecode")] * streams),
        ]
    )


def edited(pdf: bytes, change: Callable[[pikepdf.Pdf], None]) -> bytes:
    """A PDF after a change to its objects."""
    with pikepdf.open(BytesIO(pdf)) as opened:
        change(opened)
        out = BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pikepdf.exceptions.PageCopyWarning)  # bad forms are what is wanted
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
