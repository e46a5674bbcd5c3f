"""Converting a PDF opened with pikepdf to objects in canonical form, and those to a rendition's bytes.

Invariants:

* Only objects reachable from the pages and the catalogue are written, each once, numbered in the order they are found.
* A stream's bytes stay as they are, with two exceptions: a stream without a filter is deflated, and a stream whose data
  contains ``endstream`` gets one or two filters more.
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from operator import itemgetter

import pikepdf

from zegel.evidence.sealed_file.rendition import FIRST_PAGE, PAGE_TREE, page_tree, write_rendition
from zegel.evidence.sealed_file.revisions import CATALOGUE
from zegel.evidence.sealed_file.syntax import BoundError, DepthError, Name, Ref, Stream, Value
from zegel_server.pdf.limits import MAX_OBJECTS, MAX_RENDITION_BYTES
from zegel_server.pdf.refusal import Refusal, RefusedError

_LEVEL = 6
_SHORT = 64
"""Streams shorter than this, in bytes, are not deflated: it would not pay."""
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_END_WORD = b"endstream"


class Converter:
    """Turns the objects of one PDF into values, and numbers the objects they refer to in the order it meets them.

    Args:
        first: The number to give to the first object.
    """

    def __init__(self, first: int) -> None:
        self._next = first
        self._numbers: dict[tuple[int, int], int] = {}
        self._queue: list[tuple[int, pikepdf.Object]] = []

    def number(self, item: pikepdf.Object, number: int) -> None:
        """Fix an object's number in advance; the caller converts that object itself.

        Args:
            item: An indirect object.
            number: Its number.
        """
        self._numbers[item.objgen] = number

    def value(self, item: object) -> Value:  # noqa: PLR0911 - a kind a line
        """The value of the object itself; indirect objects inside it become references.

        Args:
            item: What pikepdf gives: an object, or a Python value.

        Raises:
            RefusedError: ``DAMAGED``: it is not of a kind that a PDF file can hold. ``TOO_MANY_OBJECTS``: it refers to
                one too many.
        """
        if isinstance(item, bool) or item is None:
            return item
        if isinstance(item, int):
            return int(item)
        if isinstance(item, Decimal | float):
            return Decimal(str(item))
        if isinstance(item, pikepdf.Name):
            return name_of(item)
        if isinstance(item, pikepdf.String):
            return bytes(item)
        if isinstance(item, pikepdf.Stream):
            return self._stream(item)
        if isinstance(item, pikepdf.Array):
            return [self.reference(part) for part in item.as_list()]
        if isinstance(item, pikepdf.Dictionary):
            return self.entries(item)
        raise RefusedError(Refusal.DAMAGED)

    def reference(self, item: object) -> Value:
        """A value as it is written inside another one: as a reference if it is an indirect array, dictionary or stream.

        Args:
            item: What pikepdf gives.
        """
        if not isinstance(item, pikepdf.Object) or not (item.is_indirect and _is_holder(item)):
            return self.value(item)
        known = self._numbers.get(item.objgen)
        if known is None:
            known = self._numbers[item.objgen] = self._next
            self._next += 1
            self._queue.append((known, item))
            if self._next > MAX_OBJECTS:
                raise RefusedError(Refusal.TOO_MANY_OBJECTS)
        return Ref(known)

    def follow(self) -> Iterable[tuple[int, Value]]:
        """Convert all objects that were met but not converted yet, and all objects reachable from them."""
        position = 0
        while position < len(self._queue):
            number, item = self._queue[position]
            yield number, self.value(item)
            position += 1
        self._queue.clear()

    def entries(self, item: pikepdf.Object, *, without: tuple[str, ...] = ()) -> dict[str, Value]:
        """The entries of a dictionary, or of a stream's dictionary.

        Args:
            item: What pikepdf gives.
            without: Keys to leave out.
        """
        named = sorted(((_key(key), value) for key, value in item.items()), key=itemgetter(0))
        found = {key: self.reference(value) for key, value in named if key not in without}
        return {key: value for key, value in found.items() if value is not None}

    def _stream(self, item: pikepdf.Stream) -> Stream:
        entries = self.entries(item, without=("Length",))
        return packed(entries, bytes(item.read_raw_bytes()))


def write(pdf: pikepdf.Pdf) -> bytes:
    """Write a cleaned PDF as a rendition.

    Args:
        pdf: The PDF; its pages and catalogue already have the form that :mod:`zegel.evidence.sealed_file.rendition`
            requires.

    Returns:
        The rendition.

    Raises:
        RefusedError: It has too many objects, is nested too deeply, or is larger than a rendition may be.
        FormError: Its pages or catalogue do not have the form that a rendition requires: a bug in the code that cleaned
            it.
    """
    try:
        return finish(_objects(pdf))
    except RecursionError:
        raise RefusedError(Refusal.NESTED) from None


def _objects(pdf: pikepdf.Pdf) -> dict[int, Value]:
    """A rendition's objects by number."""
    pages = [page.obj for page in pdf.pages]
    first = FIRST_PAGE + len(pages)
    converter = Converter(first)
    for number, page in enumerate(pages, FIRST_PAGE):
        converter.number(page, number)
    converter.number(pdf.Root, 1)
    converter.number(pdf.Root.Pages, PAGE_TREE)
    objects: dict[int, Value] = {PAGE_TREE: page_tree(len(pages))}
    for number, page in enumerate(pages, FIRST_PAGE):
        objects[number] = {**converter.entries(page, without=("Parent",)), "Parent": Ref(PAGE_TREE)}
    objects[CATALOGUE] = converter.value(pdf.Root)
    objects.update(converter.follow())
    return objects


def finish(objects: Mapping[int, Value]) -> bytes:
    """The bytes of a rendition.

    Args:
        objects: Its objects by number.

    Raises:
        RefusedError: It is nested too deeply, or larger than a rendition may be.
        FormError: Its pages or catalogue do not have the form that a rendition requires.
    """
    try:
        data = write_rendition([objects[number] for number in range(1, len(objects) + 1)]).data
    except DepthError:
        raise RefusedError(Refusal.NESTED) from None
    except BoundError:
        raise RefusedError(Refusal.EXPANDS) from None
    if len(data) > MAX_RENDITION_BYTES:
        raise RefusedError(Refusal.EXPANDS)
    return data


def packed(entries: dict[str, Value], data: bytes) -> Stream:
    """Make a stream; deflate data that has no filter, and add a filter to data that contains ``endstream``.

    Args:
        entries: Its dictionary, without ``Length``.
        data: Its bytes, encoded as the dictionary says.

    Raises:
        RefusedError: ``DAMAGED``: no wrapping helps.
    """
    if "Filter" not in entries and len(data) >= _SHORT:
        deflated = zlib.compress(data, _LEVEL)
        if len(deflated) < len(data):
            entries, data = {**entries, "Filter": Name("FlateDecode")}, deflated
    if _END_WORD in data:
        entries, data = _wrapped(entries, "FlateDecode"), zlib.compress(data, 9)
    if _END_WORD in data:
        entries, data = _wrapped(entries, "ASCIIHexDecode"), data.hex().upper().encode("ascii") + b">"
    return Stream(entries, data)


def _wrapped(entries: Mapping[str, Value], name: str) -> dict[str, Value]:
    """A stream's dictionary with one more filter, the first to be undone when reading (ISO 32000-2, 7.4.1)."""
    before = _listed(entries.get("Filter"))
    parameters = _listed(entries.get("DecodeParms"))
    found: dict[str, Value] = {**entries, "Filter": [Name(name), *before]}
    if any(parameters):
        found["DecodeParms"] = [None, *parameters]
    return found


def _listed(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [] if value is None else [value]


def name_of(name: pikepdf.Name) -> Name:
    """A name without its slash, one character for each byte, whatever the bytes are."""
    spelled = name.unparse(resolved=True)  # otherwise an indirect name comes out as the reference to it
    return Name(_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), spelled[1:]).decode("latin-1"))


def _key(key: str) -> str:
    """The same for a dictionary's key, which pikepdf gives unescaped, with undecodable bytes as surrogates."""
    return key[1:].encode("utf-8", "surrogateescape").decode("latin-1")


def _is_holder(item: pikepdf.Object) -> bool:
    return isinstance(item, pikepdf.Dictionary | pikepdf.Array | pikepdf.Stream)
