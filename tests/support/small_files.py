"""Small files in the canonical format, made by hand: without fonts, an authority or valid evidence."""

import datetime as dt
from collections.abc import Mapping, Sequence

from zegel.evidence.sealed_file.completion import FILES, Numbers, Texts, head_objects
from zegel.evidence.sealed_file.overlays import Box, stamp_extent
from zegel.evidence.sealed_file.placing import place_signature
from zegel.evidence.sealed_file.rendition import PAGE_TREE, page_tree, write_rendition
from zegel.evidence.sealed_file.revisions import Revision, read_base, read_revisions
from zegel.evidence.sealed_file.syntax import Name, Ref, Stream, Value
from zegel.evidence.sealed_file.timestamps import Validation, first_state, write_timestamp

TIME = dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
TEXTS = Texts("An agreement", "Completed", TIME, TIME)
EVIDENCE = {file.name: b"of " + file.name.encode() for file in FILES}


def page(content: int, **changes: Value) -> dict[str, Value]:
    return {
        "Type": Name("Page"),
        "Parent": Ref(PAGE_TREE),
        "MediaBox": [0, 0, 600, 800],
        "Contents": Ref(content),
        "Resources": {},
        **changes,
    }


def rendition_objects(pages: int = 1, /, **changes: Value) -> list[Value]:
    """The objects of a rendition whose pages draw a square each; ``changes`` are to the first page."""
    first = 3 + pages
    every: list[Value] = [page(first + index, **(changes if index == 0 else {})) for index in range(pages)]
    contents: list[Value] = [Stream({}, b"q\n%d 10 50 50 re f\nQ\n" % (index * 10)) for index in range(pages)]
    return [{"Type": Name("Catalog"), "Pages": Ref(PAGE_TREE)}, page_tree(pages), *every, *contents]


def make_rendition(pages: int = 1, /, **changes: Value) -> bytes:
    return write_rendition(rendition_objects(pages, **changes)).data


def completion_objects(
    rendition: Revision,
    boxes: Mapping[int, Sequence[Box]],
    texts: Texts = TEXTS,
    files: Mapping[str, bytes] = EVIDENCE,
) -> tuple[Numbers, dict[int, Value]]:
    """The second revision's objects, the seal without its place."""
    numbers = Numbers(rendition.size, len(boxes), 1)
    objects = head_objects(rendition, numbers, texts, files, boxes)
    flat = [box for each in boxes.values() for box in each]
    drawn = numbers.first_drawn + len(flat)
    for index, box in enumerate(flat):
        entries: dict[str, Value] = {"Type": Name("XObject"), "Subtype": Name("Form"), "BBox": stamp_extent(box)}
        objects[numbers.first_drawn + index] = Stream(entries, b"0 0 10 10 re f\n")
    objects[numbers.first_audit_page] = page(drawn, Annots=Ref(numbers.widgets))
    objects[drawn] = Stream({}, b"q\n1 0 0 rg 10 10 500 20 re f\nQ\n")
    return numbers, dict(sorted(objects.items()))


def make_completed(
    rendition: bytes, boxes: Mapping[int, Sequence[Box]], texts: Texts = TEXTS, files: Mapping[str, bytes] = EVIDENCE
) -> bytes:
    first = read_revisions(rendition)[0]
    numbers, objects = completion_objects(first, boxes, texts, files)
    return with_seal(rendition, numbers, objects)


def with_seal(rendition: bytes, numbers: Numbers, objects: Mapping[int, Value], size: int = 0) -> bytes:
    first = read_revisions(rendition)[0]
    base = read_base(rendition, first)
    size = size or max(objects) + 1
    unsigned = place_signature(base, objects, numbers.seal, 100, size=size, info=numbers.info)
    return rendition + unsigned.signed(b"\x30\x03\x02\x01\x05")


def make_small(
    pages: int = 1,
    boxes: Mapping[int, Sequence[Box]] | None = None,
    added: Validation | None = None,
    **changes: Value,
) -> bytes:
    """Returns a whole file whose signatures are empty."""
    rendition = make_rendition(pages, **changes)
    pdf = make_completed(rendition, boxes or {})
    first, second = read_revisions(pdf)
    catalogue = second.objects[1]
    assert isinstance(catalogue, dict)
    state = first_state(catalogue, Numbers(first.size, len(boxes or {}), 1))
    unsigned = write_timestamp(read_base(pdf, second), state, added or Validation((b"certificate",)), 100)
    return pdf + unsigned.signed(b"\x30\x03\x02\x01\x07")
