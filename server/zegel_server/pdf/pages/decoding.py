"""What viewers decode from a content stream, even if its encoding is damaged.

Invariants:

* A damaged stream gives what could be decoded up to the damage, as viewers show it.
* Never more than ``MAX_CONTENT_BYTES``: :mod:`zegel_server.pdf.pages.expansion` has refused what expands further.
"""

import base64
import binascii
import re
import zlib
from contextlib import suppress

import pikepdf

from zegel_server.pdf.geometry import number
from zegel_server.pdf.limits import MAX_CONTENT_BYTES
from zegel_server.pdf.pages.expansion import filters

_STEP = 64
"""Bytes fed at a time if the data is damaged, so that what comes before the damage is not lost."""
_CLEAR, _END, _FIRST = 256, 257, 258
_LONGEST_CODE = 12
_RUN_END = 128
_PNG_PREDICTORS = 10
_TIFF_PREDICTOR = 2


def decoded(stream: pikepdf.Stream) -> bytes | None:
    """The data of a stream without its filters.

    Args:
        stream: Any stream but a picture's.

    Returns:
        The data, perhaps only its undamaged beginning; ``None`` if content cannot have one of the filters.
    """
    return decoded_soundly(stream)[0]


def decoded_soundly(stream: pikepdf.Stream) -> tuple[bytes | None, bool]:
    """The data of a stream as :func:`decoded` gives them, and whether all readers get the same.

    Args:
        stream: Any stream but a picture's.
    """
    if "/F" in stream:
        return None, False  # its data would lie in another file
    try:
        return bytes(stream.read_bytes()), True
    except (pikepdf.PdfError, NotImplementedError, RuntimeError):
        return _salvaged(stream), False


def _salvaged(stream: pikepdf.Stream) -> bytes | None:
    try:
        data = bytes(stream.read_raw_bytes())
    except (pikepdf.PdfError, RuntimeError):
        return None
    told = stream.get("/DecodeParms")
    parameters = told.as_list() if isinstance(told, pikepdf.Array) else [told]
    for index, name in enumerate(filters(stream)):
        given = parameters[index] if index < len(parameters) else None
        settings = given if isinstance(given, pikepdf.Dictionary) else pikepdf.Dictionary()
        if name in {"/FlateDecode", "/Fl"}:
            data = _unpredicted(_inflated(data), settings)
        elif name in {"/LZWDecode", "/LZW"}:
            early = number(settings.get("/EarlyChange", 1)) != 0
            data = _unpredicted(_unpacked(data, early=early), settings)
        elif name in {"/ASCIIHexDecode", "/AHx"}:
            data = _from_hex(data)
        elif name in {"/ASCII85Decode", "/A85"}:
            data = _from_base85(data)
        elif name in {"/RunLengthDecode", "/RL"}:
            data = _unrolled(data)
        elif name != "/Crypt":
            return None
    return data[:MAX_CONTENT_BYTES]


def _inflated(data: bytes) -> bytes:
    inflater, out, size = zlib.decompressobj(), [], 0
    try:
        for position in range(0, len(data), _STEP):
            rest = data[position : position + _STEP]
            while rest and not inflater.eof and size <= MAX_CONTENT_BYTES:
                out.append(inflater.decompress(rest, _STEP * 1024))
                size += len(out[-1])
                rest = inflater.unconsumed_tail
    except zlib.error:
        out.append(_last_bytes(data, b"".join(out)))
    return b"".join(out)


def _last_bytes(data: bytes, before: bytes) -> bytes:
    """What a damaged step still contained, found byte by byte."""
    inflater, out = zlib.decompressobj(), []
    with suppress(zlib.error):
        for position in range(len(data)):
            out.append(inflater.decompress(data[position : position + 1], MAX_CONTENT_BYTES))  # noqa: PERF401 - until it fails
    return b"".join(out)[len(before) :]


def _unpacked(data: bytes, *, early: bool) -> bytes:
    """LZW (ISO 32000-1, 7.4.4)."""
    table = [bytes([value]) for value in range(256)] + [b"", b""]
    out, last, width, held, bits, size = [], b"", 9, 0, 0, 0
    for byte in data:
        held, bits = (held << 8 | byte) & 0xFFFFFF, bits + 8
        if bits < width:
            continue
        bits -= width
        code = held >> bits & ((1 << width) - 1)
        if code == _END or size > MAX_CONTENT_BYTES:
            break
        if code == _CLEAR:
            del table[_FIRST:]
            last, width = b"", 9
            continue
        if code < len(table):
            entry = table[code]
        elif last and code == len(table):
            entry = last + last[:1]
        else:
            break
        out.append(entry)
        size += len(entry)
        if last and len(table) < 1 << _LONGEST_CODE:
            table.append(last + entry[:1])
        last = entry
        width = min(max((len(table) + early).bit_length(), 9), _LONGEST_CODE)
    return b"".join(out)


def _from_hex(data: bytes) -> bytes:
    digits = re.sub(rb"[^0-9A-Fa-f]", b"", data.split(b">")[0])
    return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))


def _from_base85(data: bytes) -> bytes:
    body = re.sub(rb"[^!-uz]", b"", data.split(b"~")[0].removeprefix(b"<"))
    while body:
        try:
            return base64.a85decode(body)
        except (ValueError, binascii.Error):
            body = body[: len(body) // 2]
    return b""


def _unrolled(data: bytes) -> bytes:
    out, position, size = [], 0, 0
    while position < len(data) and data[position] != _RUN_END and size <= MAX_CONTENT_BYTES:
        length = data[position]
        if length < _RUN_END:
            out.append(data[position + 1 : position + 2 + length])
            position += 2 + length
        else:
            out.append(data[position + 1 : position + 2] * (257 - length))
            position += 2
        size += len(out[-1])
    return b"".join(out)


def _unpredicted(data: bytes, settings: pikepdf.Object) -> bytes:
    """Undo a predictor (ISO 32000-1, 7.4.4.4) of one byte a sample, as content would have it."""
    predictor = int(number(settings.get("/Predictor")) or 1)
    columns = int(number(settings.get("/Columns")) or 1)
    if predictor < _PNG_PREDICTORS or not 0 < columns <= MAX_CONTENT_BYTES:
        return data if predictor != _TIFF_PREDICTOR else b""
    out, above = bytearray(), bytes(columns)
    for position in range(0, len(data), columns + 1):
        kind, row = data[position], bytearray(data[position + 1 : position + 1 + columns])
        for index, value in enumerate(row):
            left, up = row[index - 1] if index else 0, above[index]
            corner = above[index - 1] if index else 0
            row[index] = (value + _guess(kind, left, up, corner)) & 0xFF
        out += row
        above = bytes(row).ljust(columns, b"\0")
    return bytes(out)


def _guess(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:  # noqa: PLR2004 - Paeth
        guess = left + up - corner
        return min((left, up, corner), key=lambda value: abs(guess - value))
    return (0, left, up, (left + up) // 2)[kind] if kind < 4 else 0  # noqa: PLR2004
