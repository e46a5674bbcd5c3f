"""Content streams read as viewers read them (ISO 32000-1, 7.8.2), by a lexical scan at the speed of the regex engine.

Invariants:

* What is not understood stays as it is: bytes are cut out or appended, but never rewritten.
* Operators are recognised where viewers recognise them: outside of strings, arrays, dictionaries, comments and inline
  pictures.
* :func:`balanced` closes everything that content leaves open and nothing else, so that what follows is not part of it.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = rb"\x00\t\n\x0c\r "
_REGULAR = rb"[^" + _SPACE + rb"()<>\[\]{}/%]"
_STRING = rb"\((?:[^()\\]++|\\.)*+\)"
_BEGINS = rb"(?<![^" + _SPACE + rb"()<>\[\]{}])"
_ENDS = rb"(?!" + _REGULAR + rb")"
_PLAIN = (
    _STRING
    + rb"|\[(?:[^\[\]()<>%]++|"
    + _STRING
    + rb"|<[0-9A-Fa-f"
    + _SPACE
    + rb"]*+>)*+\]|<<[^<>()%]*+>>|<(?!<)[^>]*+>|%[^\r\n]*+"
)
"""What one match skips: strings, arrays and dictionaries that hold nothing difficult, and comments."""

_SCOPES = {b"q": b"Q", b"BT": b"ET", b"BMC": b"EMC", b"BDC": b"EMC", b"BX": b"EX"}
_CLOSERS = (b"ET", b"EMC", b"EX", b"Q")
"""The order in which open constructs are closed: text clips end with the text, and before the graphics state."""
_NOTHING = b"BX EX"
"""Replaces a removed closer, so that the operands before it do not become those of the next operator."""

_SCOPE = _BEGINS + rb"(?:q|Q|BT|ET|BMC|BDC|EMC|BX|EX|BI)" + _ENDS
_NEXT_SCOPE = re.compile(
    rb"(?:[^(\[<%qQBE]++|" + _PLAIN + rb"|(?!" + _SCOPE + rb")[qQBE])*+(" + _SCOPE + rb"|[(\[<])?", re.DOTALL
)
_NEXT_OPERATOR = re.compile(
    rb"(?:["
    + _SPACE
    + rb"\]>){}]++|"
    + _PLAIN
    + rb"|/"
    + _REGULAR
    + rb"*+|[0-9+\-.]"
    + _REGULAR
    + rb"*+|(?:true|false|null)"
    + _ENDS
    + rb")*+([^"
    + _SPACE
    + rb"()<>\[\]{}/%]++|[(\[<])?",
    re.DOTALL,
)
_STRING_PART = re.compile(rb"[()]|\\.", re.DOTALL)
_NESTED_PART = re.compile(_STRING + rb"|<<|>>|<(?!<)[^<>]*+>|%[^\r\n]*+|[(\[\]]", re.DOTALL)
_NAME = re.compile(rb"/(" + _REGULAR + rb"*+)")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")

_IMAGE_PARAMETERS = re.compile(
    rb"(?:["
    + _SPACE
    + rb"]++|"
    + _PLAIN
    + rb"|/"
    + _REGULAR
    + rb"*+|[0-9+\-.]"
    + _REGULAR
    + rb"*+|(?:true|false|null)"
    + _ENDS
    + rb")*+ID(?:\r\n|["
    + _SPACE
    + rb"]|(?=[^A-Za-z]))",
    re.DOTALL,
)
_IMAGE_END = re.compile(rb"(?<![^" + _SPACE + rb">])EI(?=[" + _SPACE + rb"]|$|(?=Q))|EI(?=[" + _SPACE + rb"]|$)")
_IMAGE_NUMBER = rb"/(?:%s)[" + _SPACE + rb"]*+(\d{1,6})"
_IMAGE_WIDTH = re.compile(_IMAGE_NUMBER % b"W|Width")
_IMAGE_HEIGHT = re.compile(_IMAGE_NUMBER % b"H|Height")
_IMAGE_BITS = re.compile(_IMAGE_NUMBER % b"BPC|BitsPerComponent")
_IMAGE_FILTER = re.compile(rb"/(?:F|Filter)[" + _SPACE + rb"]*+\[?[" + _SPACE + rb"]*+/(" + _REGULAR + rb"++)")
_IMAGE_MASK = re.compile(rb"/(?:IM|ImageMask)[" + _SPACE + rb"]*+true")
_IMAGE_SPACE = re.compile(rb"/(?:CS|ColorSpace)[" + _SPACE + rb"]*+(/" + _REGULAR + rb"++|\[)")
_COMPONENTS = {
    **dict.fromkeys((b"/G", b"/DeviceGray", b"/CalGray", b"["), 1),
    **dict.fromkeys((b"/RGB", b"/DeviceRGB", b"/CalRGB"), 3),
    **dict.fromkeys((b"/CMYK", b"/DeviceCMYK"), 4),
}
_LOOK_AHEAD = 15
"""Bytes after ``EI`` that must look like content, as in pdf.js and qpdf: pictures can contain these two letters too."""
_CONTENT_BYTES = frozenset(b"\t\n\x0c\r" + bytes(range(0x20, 0x7F)) + b"\x00")


@dataclass(frozen=True, slots=True)
class Instruction:
    """An operator with its operands.

    Args:
        operator: The operator; ``BI`` for a whole inline picture.
        start: Where its operands begin.
        at: Where the operator itself begins.
        end: Where it ends.
    """

    operator: bytes
    start: int
    at: int
    end: int


def balanced(data: bytes) -> bytes:
    """Make content close everything it opens and leave nothing unfinished, without changing its look.

    Closers that close nothing are removed, as viewers ignore them; what is open at the end is closed; a string,
    array, dictionary or picture that never ends is cut off, since for viewers it swallows the rest as well.

    Args:
        data: Decoded content.
    """
    depths = dict.fromkeys(_CLOSERS, 0)
    cuts: list[tuple[int, int]] = []
    position, end = 0, len(data)
    while match := _NEXT_SCOPE.match(data, position):
        token, start, position = match[1], match.start(1), match.end()
        if token is None:
            break
        if closer := _SCOPES.get(token):
            depths[closer] += 1
        elif token in depths:
            if depths[token]:
                depths[token] -= 1
            else:
                cuts.append((start, position))
        else:
            after = _after(data, start, token)
            if after is None:
                end = start
                break
            position = after
    tail = b"".join((b"\n" + closer) * depths[closer] for closer in _CLOSERS)
    if not cuts and end == len(data):
        return data + tail
    kept, last = [], 0
    for start, after in cuts:
        kept += [data[last:start], _NOTHING]
        last = after
    return b"".join([*kept, data[last:end], tail])


def instructions(data: bytes) -> Iterator[Instruction]:
    """The operators of content, in order; what follows the last one is omitted.

    Args:
        data: Decoded content.
    """
    position = begin = 0
    while match := _NEXT_OPERATOR.match(data, position):
        token, start, position = match[1], match.start(1), match.end()
        if token is None:
            return
        if token in {b"(", b"[", b"<", b"BI"}:
            after = _after(data, start, token)
            if after is None:
                return
            position = after
            if token != b"BI":
                continue
        yield Instruction(token, begin, start, position)
        begin = position


def names(data: bytes) -> frozenset[str]:
    """All names that content mentions, with their slashes; also what only looks like one, in strings or pictures.

    Args:
        data: Decoded content.
    """
    return frozenset(name_of(found) for found in set(_NAME.findall(data)))


def name_of(raw: bytes) -> str:
    """A name as pikepdf spells it.

    Args:
        raw: What follows the slash.
    """
    if b"#" in raw:
        raw = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), raw)
    return "/" + raw.decode("utf-8", "surrogateescape")


def operand_names(data: bytes, instruction: Instruction) -> list[str]:
    """The names among an operator's operands, in order.

    Args:
        data: Decoded content.
        instruction: What :func:`instructions` found in it.
    """
    return [name_of(found) for found in _NAME.findall(data, instruction.start, instruction.at)]


def _after(data: bytes, start: int, token: bytes) -> int | None:
    """Where something difficult ends, or ``None`` if it never does."""
    if token == b"(":
        return _after_string(data, start)
    if token == b"BI":
        return _after_image(data, start + 2)
    if token == b"<" and data[start : start + 2] != b"<<":
        return None  # a plain match would have found its end
    return _after_nested(data, start)


def _after_string(data: bytes, start: int) -> int | None:
    depth = 0
    for part in _STRING_PART.finditer(data, start):
        token = part[0]
        depth += (token == b"(") - (token == b")")
        if depth == 0 and token == b")":
            return part.end()
    return None


def _after_nested(data: bytes, start: int) -> int | None:
    """The end of an array or dictionary, with all that lies in it."""
    opened = [b"]" if data[start] == ord("[") else b">>"]
    position = start + (1 if opened[0] == b"]" else 2)
    while match := _NESTED_PART.search(data, position):
        token, position = match[0], match.end()
        if token == b"(":
            after = _after_string(data, match.start())
            if after is None:
                return None
            position = after
        elif token in {b"[", b"<<"}:
            opened.append(b"]" if token == b"[" else b">>")
        elif token in opened:
            while opened.pop() != token:
                pass
            if not opened:
                return position
    return None


def _after_image(data: bytes, start: int) -> int | None:
    """The end of an inline picture; the end of ``BI`` if no picture follows it, since viewers then ignore it."""
    parameters = _IMAGE_PARAMETERS.match(data, start)
    if parameters is None:
        return start
    begin = _data_end(data, parameters)
    for match in _IMAGE_END.finditer(data, begin):
        ahead = data[match.end() : match.end() + _LOOK_AHEAD]
        if _CONTENT_BYTES.issuperset(ahead):
            return match.end()
    return None


def _data_end(data: bytes, parameters: re.Match[bytes]) -> int:
    """Where ``EI`` can be looked for: past the picture's data, as far as its length can be known."""
    told, begin = parameters[0], parameters.end()
    coding = _IMAGE_FILTER.search(told)
    if coding is None:
        width, height = (_number(pattern, told) for pattern in (_IMAGE_WIDTH, _IMAGE_HEIGHT))
        space = _IMAGE_SPACE.search(told)
        masked = _IMAGE_MASK.search(told) is not None
        parts = 1 if masked else _COMPONENTS.get(space[1] if space else b"/G", 0)
        bits = 1 if masked else _number(_IMAGE_BITS, told) or 8
        length = (width * parts * bits + 7) // 8 * height
        return begin + length if begin + length <= len(data) else begin
    if coding[1] in {b"Fl", b"FlateDecode"}:
        inflater = zlib.decompressobj()
        try:
            for position in range(begin, len(data), 65536):
                inflater.decompress(data[position : position + 65536])
                if inflater.eof:
                    return min(position + 65536, len(data)) - len(inflater.unused_data)
        except zlib.error:
            pass
    if coding[1] in {b"A85", b"ASCII85Decode", b"AHx", b"ASCIIHexDecode"}:
        return max(data.find(b">", begin) + 1, begin)
    return begin


def _number(pattern: re.Pattern[bytes], told: bytes) -> int:
    found = pattern.search(told)
    return int(found[1]) if found else 0
