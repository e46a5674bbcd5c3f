"""Reading the second revision: its variable parts are extracted, everything else is rebuilt and compared.

See :mod:`zegel.evidence.sealed_file.completion` for what it holds.
"""

import re
from binascii import unhexlify
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from zegel.evidence.sealed_file.completion import (
    FILES,
    MAX_EVIDENCE_BYTES,
    Completion,
    Numbers,
    Texts,
    head_objects,
    rendition_pages,
)
from zegel.evidence.sealed_file.drawing import demand_drawing, demand_resources
from zegel.evidence.sealed_file.graph import demand_order, references
from zegel.evidence.sealed_file.overlays import Box, stamp_extent
from zegel.evidence.sealed_file.placing import demand_ranges
from zegel.evidence.sealed_file.rendition import PAGE_TREE, entries_of, shape_of
from zegel.evidence.sealed_file.revisions import Revision
from zegel.evidence.sealed_file.syntax import BoundError, FormError, Name, Ref, Stream, Value, same

_STAMP_LINE = re.compile(
    rb"q 1 0 0 1 (-?[0-9]{1,9}(?:\.[0-9]{1,9})?) (-?[0-9]{1,9}(?:\.[0-9]{1,9})?) cm /S[0-9]{5} Do Q\n"
)
_DATE = re.compile(rb"D:([0-9]{14})Z")
_AUDIT_PAGE_KEYS: Final = frozenset({"Type", "Parent", "MediaBox", "Contents", "Resources", "Annots"})
_STAMP_KEYS: Final = frozenset({"Type", "Subtype", "BBox", "Resources", "Group", "Filter"})
_UTF_16: Final = b"\xfe\xff"
_HEX: Final = Name("ASCIIHexDecode")


def read_completion(rendition: Revision, revision: Revision) -> Completion:
    """Read the second revision.

    Args:
        rendition: The first revision.
        revision: The second.

    Returns:
        Its variable parts.

    Raises:
        FormError: Something in it is not as the canonical form requires.
    """
    objects = revision.objects
    pages = rendition_pages(rendition)
    stamped = [number for number in objects if number in pages]
    kids = entries_of(objects, PAGE_TREE).get("Kids")
    audit_pages = len(kids) - len(pages) if isinstance(kids, list) else 0
    if audit_pages < 1:
        raise FormError("the file has no audit page")
    numbers = Numbers(rendition.size, len(stamped), audit_pages)
    if revision.info != numbers.info:
        raise FormError("the file's information is not where it should be")
    files = _files(objects, numbers)
    overlays = {
        page - pages.start + 1: _boxes(rendition, objects, page, numbers.overlay(index))
        for index, page in enumerate(stamped)
    }
    texts = _texts(entries_of(objects, numbers.info), entries_of(objects, numbers.seal))
    gap = demand_ranges(revision, numbers.seal)
    contents = entries_of(objects, numbers.seal)["Contents"]
    _demand_rebuilt(objects, head_objects(rendition, numbers, texts, files, overlays), numbers)
    boxes = tuple(box for each in overlays.values() for box in each)
    for index, box in enumerate(boxes):
        _demand_stamp(objects.get(numbers.first_drawn + index), box)
    _demand_audit_pages(objects, numbers)
    for number in range(numbers.first_drawn, revision.size):
        demand_drawing(objects.get(number), f"object {number}")
        if any(each < numbers.first_drawn for each in references(objects.get(number))):
            raise FormError(f"object {number} refers to something outside of what is drawn")
    heads = [number for number in objects if number < numbers.first_drawn]
    demand_order(objects, heads, numbers.first_drawn, range(1, numbers.form))
    return Completion(numbers, texts, files, boxes, gap, contents if isinstance(contents, bytes) else b"")


def _demand_rebuilt(objects: Mapping[int, Value], expected: Mapping[int, Value], numbers: Numbers) -> None:
    """Check that everything except audit pages and what is drawn equals what is rebuilt."""
    found = {number for number in objects if number < numbers.first_drawn and number not in numbers.audit}
    if found != set(expected):
        raise FormError("objects are changed or added that should not be, or missing")
    for number, value in expected.items():
        given = objects[number]
        if number == numbers.seal and isinstance(given, dict):
            given = {key: item for key, item in given.items() if key not in {"ByteRange", "Contents"}}
        if not same(given, value):
            raise FormError(f"object {number} is not as it should be")


def _files(objects: Mapping[int, Value], numbers: Numbers) -> dict[str, bytes]:
    """The data of the attached files, counted before any of it is copied."""
    streams = [objects.get(numbers.file(index) + 1) for index in range(len(FILES))]
    found = [each for each in streams if isinstance(each, Stream)]
    if len(found) != len(FILES):
        raise FormError("the evidence is not attached")
    if sum(len(each.data) for each in found) > MAX_EVIDENCE_BYTES:
        raise BoundError(f"the attached files have more than {MAX_EVIDENCE_BYTES // 2**20} MiB")
    return {file.name: _decoded(each) for file, each in zip(FILES, found, strict=True)}


def _decoded(stream: Stream) -> bytes:
    if stream.entries.get("Filter") != _HEX:
        return bytes(stream.data)
    try:
        return unhexlify(stream.data[:-1])
    except ValueError as error:
        raise FormError("the evidence is spelled in malformed hexadecimal digits") from error


def _texts(info: Mapping[str, Value], seal: Mapping[str, Value]) -> Texts:
    return Texts(
        title=_text(info.get("Title")),
        reason=_text(seal.get("Reason")),
        time=_moment(info.get("CreationDate")),
        seal_time=_moment(seal.get("M")),
    )


def _text(value: Value) -> str:
    try:
        if isinstance(value, bytes):
            return value[2:].decode("utf-16-be") if value.startswith(_UTF_16) else value.decode("ascii")
    except UnicodeDecodeError:
        pass
    raise FormError("a text is none")


def _moment(value: Value) -> datetime:
    found = _DATE.fullmatch(value) if isinstance(value, bytes) else None
    try:
        if found:
            return datetime.strptime(found[1].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise FormError("a time is none")


def _boxes(rendition: Revision, objects: Mapping[int, Value], page: int, overlay: int) -> list[Box]:
    """The boxes that a page's form draws stamps in."""
    height = shape_of(entries_of(rendition.objects, page)).height
    form = objects.get(overlay + 1)
    if not isinstance(form, Stream):
        raise FormError(f"page object {page} was changed and has no stamps")
    resources = form.entries.get("Resources")
    named = resources.get("XObject") if isinstance(resources, dict) else None
    lines = list(_STAMP_LINE.finditer(bytes(form.data)))
    if not isinstance(named, dict) or len(named) != len(lines) or not lines:
        raise FormError("stamps are not drawn as they should be")
    first = page - rendition_pages(rendition).start + 1
    boxes = []
    for line, stamp in zip(lines, named.values(), strict=True):
        drawn = objects.get(stamp.number) if isinstance(stamp, Ref) else None
        extent = drawn.entries.get("BBox") if isinstance(drawn, Stream) else None
        if not isinstance(extent, list) or len(extent) != 4:  # noqa: PLR2004 - corners
            raise FormError("a stamp has no box")
        width, upright = (_thousandths(each) for each in extent[2:])
        bottom = _thousandths(height - Decimal(line[2].decode("ascii")))
        boxes.append(Box(first, _thousandths(Decimal(line[1].decode("ascii"))), bottom - upright, width, upright))
    return boxes


def _thousandths(value: Value) -> int:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        whole = Decimal(value) * 1000
        if whole == whole.to_integral_value():
            return int(whole)
    raise FormError("a stamp's box is not given in thousandths of a point")


def _demand_stamp(stamp: Value, box: Box) -> None:
    if (
        not isinstance(stamp, Stream)
        or not stamp.entries.keys() <= _STAMP_KEYS
        or stamp.entries.get("Subtype") != Name("Form")
        or not same(stamp.entries.get("BBox"), stamp_extent(box))
        or min(box.width, box.height) <= 0
    ):
        raise FormError("a stamp is not clipped to its box")


def _demand_audit_pages(objects: Mapping[int, Value], numbers: Numbers) -> None:
    for number in numbers.audit:
        page = entries_of(objects, number)
        annotations = Ref(numbers.widgets) if number == numbers.first_audit_page else None
        content = page.get("Contents")
        if (
            page.get("Type") != Name("Page")
            or page.get("Parent") != Ref(PAGE_TREE)
            or page.get("Annots") != annotations
            or not page.keys() <= _AUDIT_PAGE_KEYS
            or not isinstance(content, Ref)
            or not isinstance(objects.get(content.number), Stream)
        ):
            raise FormError(f"object {number} is not an audit page")
        shape_of(page)
        demand_resources(page.get("Resources"), f"object {number}")
        led = {*references(page)} - {PAGE_TREE, numbers.widgets}
        if any(each < numbers.first_drawn for each in led):
            raise FormError(f"object {number} refers to something outside of what is drawn")
