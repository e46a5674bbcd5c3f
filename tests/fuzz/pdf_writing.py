"""The ways to write a grown file down: tables of objects that are odd, broken or missing."""

import re
import warnings
from collections.abc import Callable
from io import BytesIO

import pikepdf

from fuzz.pdf_book import Book

_TREE = re.compile(rb" 2 0 R")


def written(book: Book) -> bytes:
    """Write a book's objects down, in one of the ways."""
    kind = book.choose.choice(("plain", "plain", "plain", "plain", "generations", *_WAYS))
    book.features.add(f"written: {kind}")
    if kind == "generations":
        return _table(book.objects, generation=3)
    plain = _table(book.objects, step=1000 if kind == "gaps" else 1)
    return _WAYS[kind](plain, book.objects) if kind in _WAYS else plain


def _streams(plain: bytes, _objects: list[bytes]) -> bytes:
    out = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pikepdf.exceptions.PageCopyWarning)
        with pikepdf.open(BytesIO(plain), suppress_warnings=True) as pdf:
            pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)
    return out.getvalue()


def _no_table(plain: bytes, _objects: list[bytes]) -> bytes:
    return plain[: plain.rindex(b"\nxref\n") + 1] + plain[plain.rindex(b"trailer") :]


def _wrong_place(plain: bytes, _objects: list[bytes]) -> bytes:
    return plain[: plain.rindex(b"startxref")] + b"startxref\n7\n%%EOF\n"


def _table(objects: list[bytes], *, step: int = 1, generation: int = 0) -> bytes:
    """A file with a classical table; only the last object is far away, and only references to it change."""
    count = len(objects)
    out = BytesIO()
    out.write(b"%PDF-1.7\n")
    places: dict[int, int] = {}
    last = count if step == 1 else count * step
    for number, body in enumerate(objects, 1):
        mine = last if number == count else number
        told = re.sub(rb"(?<![0-9])%d 0 R" % count, b"%d 0 R" % last, body) if step > 1 else body
        if generation:
            told = _TREE.sub(b" 2 %d R" % generation, told)
        places[mine] = out.tell()
        out.write(b"%d %d obj\n%s\nendobj\n" % (mine, generation if mine == 2 else 0, told))
    start = out.tell()
    out.write(b"xref\n0 1\n0000000000 65535 f \n")
    for number, place in places.items():
        out.write(b"%d 1\n%010d %05d n \n" % (number, place, generation if number == 2 else 0))
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (last + 1, start))
    return out.getvalue()


def _updated(plain: bytes, objects: list[bytes]) -> bytes:
    """A second revision that says again what the catalogue is, and brings an object that nothing needs."""
    before = int(plain.rsplit(b"startxref\n", 1)[1].split()[0])
    out = BytesIO()
    out.write(plain)
    first = out.tell()
    out.write(b"1 0 obj\n%s\nendobj\n" % objects[0])
    extra = out.tell()
    number = len(objects) + 1
    out.write(b"%d 0 obj\n(unused)\nendobj\n" % number)
    start = out.tell()
    out.write(b"xref\n1 1\n%010d 00000 n \n%d 1\n%010d 00000 n \n" % (first, number, extra))
    out.write(b"trailer\n<< /Size %d /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (number + 1, before, start))
    return out.getvalue()


_WAYS: dict[str, Callable[[bytes, list[bytes]], bytes]] = {
    "streams": _streams,
    "gaps": lambda plain, _objects: plain,
    "no table": _no_table,
    "wrong place": _wrong_place,
    "junk before": lambda plain, _objects: b"junk\n" * 3 + plain,
    "updated": _updated,
}
"""What becomes of a file that is written plainly."""
