"""How far a PDF's streams expand, measured without holding the expanded data.

Invariants:

* Memory stays constant: what is decoded is counted and dropped.
* A damaged stream counts with what could be decoded up to the damage, as readers show it.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Iterator

import pikepdf

from zegel_server.pdf.geometry import number, word
from zegel_server.pdf.limits import MAX_CONTENT_BYTES, MAX_EXPANSION_BYTES, MAX_FILTERS, MAX_STREAM_BYTES
from zegel_server.pdf.refusal import Refusal, RefusedError

_CHUNK = 256 * 1024
_FLATE = {"/FlateDecode", "/Fl"}
_HEX = {"/ASCIIHexDecode", "/AHx"}
_BASE85 = {"/ASCII85Decode", "/A85"}
_TEXT = _HEX | _BASE85
_PACKED = {"/LZWDecode", "/LZW", "/RunLengthDecode", "/RL"}


def check_expansion(pdf: pikepdf.Pdf) -> None:
    """Refuse a PDF with streams that expand too far.

    Raises:
        RefusedError: ``EXPANDS``.
    """
    total = 0
    for item in pdf.objects:
        if isinstance(item, pikepdf.Stream):
            image = item.get("/Subtype") == pikepdf.Name.Image
            most = MAX_STREAM_BYTES if image else MAX_CONTENT_BYTES
            if image and _declared_size(item) > most:
                raise RefusedError(Refusal.EXPANDS)
            size = 0
            for chunk in _decoded(item):
                size += len(chunk)
                if size > most or total + size > MAX_EXPANSION_BYTES:
                    raise RefusedError(Refusal.EXPANDS)
            total += size


def _declared_size(image: pikepdf.Stream) -> int:
    """Bytes of an image's pixels, at one byte for each, as it claims."""
    return int((number(image.get("/Width")) or 0) * (number(image.get("/Height")) or 0))


def filters(stream: pikepdf.Stream) -> list[str]:
    """Names of a stream's filters, in the order they are to be undone.

    Raises:
        RefusedError: ``EXPANDS``, if there are too many.
    """
    value = stream.get("/Filter")
    names = value.as_list() if isinstance(value, pikepdf.Array) else [] if value is None else [value]
    if len(names) > MAX_FILTERS:
        raise RefusedError(Refusal.EXPANDS)
    return [word(name) for name in names if isinstance(name, pikepdf.Name)]


def _decoded(stream: pikepdf.Stream) -> Iterable[bytes]:
    names = filters(stream)
    if not names:
        return []
    if _PACKED.intersection(names):
        # qpdf undoes these; its own limits and the address space bound it.
        return [_read(stream)]
    chunks: Iterable[bytes] = _pieces(bytes(stream.read_raw_bytes()))
    if _TEXT.intersection(names):
        if not _FLATE.intersection(names):
            return chunks  # text only shrinks
        if whole := _read(stream):
            return [whole]  # a hundred times as fast, if it is undamaged and within qpdf's limits
    for name in names:
        if name in _FLATE:
            chunks = _inflated(chunks)
        elif name in _HEX or name in _BASE85:
            chunks = _from_text(b"".join(chunks), name in _HEX)
        else:
            break  # a picture's own encoding, which readers bound by the picture's size
    return chunks


def _read(stream: pikepdf.Stream) -> bytes:
    try:
        return bytes(stream.read_bytes())
    except pikepdf.PdfError:
        return b""


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    try:
        for chunk in chunks:
            rest = chunk
            while rest and not inflater.eof:
                yield inflater.decompress(rest, _CHUNK)
                rest = inflater.unconsumed_tail
    except zlib.error:
        return


def _from_text(text: bytes, hexadecimal: bool) -> Iterator[bytes]:
    body = re.sub(rb"\s", b"", text).split(b">" if hexadecimal else b"~>")[0].removeprefix(b"<~")
    try:
        yield from _pieces(bytes.fromhex(body.decode("ascii")) if hexadecimal else base64.a85decode(body))
    except (ValueError, binascii.Error):
        return
