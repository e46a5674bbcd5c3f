"""Reads the ``/ToUnicode`` map of a font (ISO 32000-1, 9.10.3)."""

import warnings
from collections.abc import Iterator

import pikepdf

MAX_CMAP_BYTES = 1024 * 1024
"""Longest map that is read, in bytes: 65,536 single entries take 1 MB; longer maps are ignored."""

MAX_ENTRIES = 65_536
"""Most codes of a map: all values of two bytes."""


def read_to_unicode(stream: pikepdf.Object | None) -> dict[int, str]:
    """Texts by code.

    Args:
        stream: The map, if there is one.

    Returns:
        What could be read; empty for a map that is damaged or too large.
    """
    if not isinstance(stream, pikepdf.Stream):
        return {}
    found: dict[int, str] = {}
    try:
        if len(stream.read_bytes()) > MAX_CMAP_BYTES:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about a map that ends too early
            instructions = pikepdf.parse_content_stream(stream)
        for instruction in instructions:
            operands = list(instruction.operands)
            if str(instruction.operator) == "endbfchar":
                found.update(_singles(operands))
            elif str(instruction.operator) == "endbfrange":
                found.update(_ranges(operands))
            if len(found) > MAX_ENTRIES:
                break
    except (pikepdf.PdfError, ValueError, TypeError):
        return {}
    return found


def _singles(operands: list[pikepdf.Object]) -> Iterator[tuple[int, str]]:
    for code, text in zip(operands[::2], operands[1::2], strict=False):
        if isinstance(code, pikepdf.String) and isinstance(text, pikepdf.String):
            yield _code(code), _text(bytes(text))


def _ranges(operands: list[pikepdf.Object]) -> Iterator[tuple[int, str]]:
    for low, high, texts in zip(operands[::3], operands[1::3], operands[2::3], strict=False):
        if not isinstance(low, pikepdf.String) or not isinstance(high, pikepdf.String):
            continue
        first = _code(low)
        for step in range(min(_code(high) - first + 1, MAX_ENTRIES)):
            text = _in_range(texts, step)
            if text is not None:
                yield first + step, text


def _in_range(texts: object, step: int) -> str | None:
    if isinstance(texts, pikepdf.Array):
        text = texts[step] if step < len(texts) else None
        return _text(bytes(text)) if isinstance(text, pikepdf.String) else None
    if not isinstance(texts, pikepdf.String):
        return None
    start = bytes(texts)
    whole = int.from_bytes(start, "big") + step
    return _text(whole.to_bytes(len(start), "big")) if whole < 1 << (8 * len(start)) else None


def _code(value: pikepdf.String) -> int:
    return int.from_bytes(bytes(value), "big")


def _text(value: bytes) -> str:
    return value.decode("utf-16-be", "ignore") if len(value) > 1 else value.decode("latin-1")
