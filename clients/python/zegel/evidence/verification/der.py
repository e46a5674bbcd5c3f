"""A reader of DER that accepts one encoding and no other (X.690, clauses 8 and 10).

ASN.1 libraries are lenient where it matters here: they take BER lengths, trailing bytes and unknown fields. A
structure read through this module has no byte that was not looked at: it is a tag or a length, which must be as they
are, or it lies in the content of an element that the caller then compares with something.
"""

from typing import NamedTuple

SEQUENCE, SET, OID, INTEGER, OCTET_STRING = 0x30, 0x31, 0x06, 0x02, 0x04
CONTEXT_0, CONTEXT_1 = 0xA0, 0xA1
_LONG_FORM, _HIGH_TAG, _MAX_LENGTH_BYTES = 0x80, 0x1F, 4


class DerError(ValueError):
    """Not DER, or not the structure it should be."""


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
        """The elements in a constructed one: exactly these tags in this order.

        Raises:
            DerError: Others, fewer or more.
        """
        found = self.elements()
        if tuple(child.tag for child in found) != tags:
            raise DerError("the structure has other fields than it should")
        return found

    def elements(self) -> list["Element"]:
        """The elements in a constructed one, whatever they are.

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
    """Read the element that begins at ``position``; bytes after it are the caller's.

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
    """Read an element that is all of ``data``.

    Raises:
        DerError: Another tag, or something follows.
    """
    element = read_element(data)
    if element.tag != tag or len(element.encoding) != len(data):
        raise DerError("not one element of the kind that should be here")
    return element


def encode(tag: int, content: bytes) -> bytes:
    """An element of one-byte tag, its length as DER has it.

    Args:
        tag: The identifier octet.
        content: The value.
    """
    size = len(content)
    if size < _LONG_FORM:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM + len(length)]) + length + content
