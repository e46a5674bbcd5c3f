"""A reader of DER that accepts one encoding and no other (X.690, clauses 8 and 10).

ASN.1 libraries are lenient where it matters here: they take BER lengths, trailing bytes and unknown fields. Every byte
of a structure read through this module is checked: it is part of a tag or a length, which can have only one value, or
of an element's content, which the caller then compares with something.
"""

from typing import NamedTuple

SEQUENCE, SET, OID, INTEGER, OCTET_STRING = 0x30, 0x31, 0x06, 0x02, 0x04
CONTEXT_0, CONTEXT_1 = 0xA0, 0xA1
_LONG_FORM, _HIGH_TAG, _MAX_LENGTH_BYTES = 0x80, 0x1F, 4


class DerError(ValueError):
    """Not DER, or not the expected structure."""


class Element(NamedTuple):
    """One tag-length-value.

    Args:
        tag: The identifier octet.
        content: The value.
        encoding: All of it: tag, length and value.
    """

    tag: int
    content: bytes
    encoding: bytes

    def children(self, *tags: int) -> list["Element"]:
        """The elements of a constructed one, which must have exactly these tags in this order.

        Raises:
            DerError: It has others, fewer or more.
        """
        found = self.elements()
        if tuple(child.tag for child in found) != tags:
            raise DerError("the structure does not have the expected fields")
        return found

    def elements(self) -> list["Element"]:
        """The elements of a constructed one, whatever they are.

        Raises:
            DerError: The content is not a whole number of elements.
        """
        found, position = [], 0
        while position < len(self.content):
            child = read_element(self.content, position)
            found.append(child)
            position += len(child.encoding)
        return found


def read_element(data: bytes, position: int = 0) -> Element:
    """Read the element that begins at ``position``; whether bytes may follow it is for the caller to check.

    Raises:
        DerError: A multi-byte tag, an indefinite, overlong or too long length, or data that ends too early.
    """
    if position + 2 > len(data):
        raise DerError("an element ends too early")
    tag, length, start = data[position], data[position + 1], position + 2
    if tag & _HIGH_TAG == _HIGH_TAG:
        raise DerError("a multi-byte tag")
    if length >= _LONG_FORM:
        count = length - _LONG_FORM
        if not 1 <= count <= _MAX_LENGTH_BYTES:
            raise DerError("an indefinite or too long length")
        length = int.from_bytes(data[start : start + count], "big")
        if length < _LONG_FORM or length >> 8 * (count - 1) == 0:
            raise DerError("a length in more bytes than it needs")
        start += count
    end = start + length
    if end > len(data):
        raise DerError("an element ends too early")
    return Element(tag, data[start:end], data[position:end])


def read_only_element(data: bytes, tag: int) -> Element:
    """Read an element that makes up all of ``data``.

    Raises:
        DerError: It has another tag, or something follows.
    """
    element = read_element(data)
    if element.tag != tag or len(element.encoding) != len(data):
        raise DerError("not exactly one element of the expected kind")
    return element


def encode(tag: int, content: bytes) -> bytes:
    """Encode an element with a one-byte tag.

    Args:
        tag: The identifier octet.
        content: The value.
    """
    size = len(content)
    if size < _LONG_FORM:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM + len(length)]) + length + content
