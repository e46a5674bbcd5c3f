"""The second revision: what is added to a rendition once everybody has signed.

On each page with stamps, one content stream is added after the page's own and draws one form; that form draws the
stamps, each of which is a form clipped to its box. Audit pages follow the rendition's pages. The evidence is attached
as three files with fixed names. The seal is a signature field on the first audit page; it certifies the file and
permits no changes.

New objects, numbered from the rendition's size on: the form dictionary, the seal's field, the seal, the information
dictionary, the array of the first audit page's annotations; description and data of each attached file; content and
form of each stamped page, in the order of the pages; the audit pages; then everything that the stamps and audit pages
refer to.

Invariants:

* Everything but the variable parts follows from the rendition: the reader rebuilds it and compares.
* The variable parts are title, time, reason, the three files, which boxes are stamped, and how each stamp and audit
  page is drawn.
"""

import hashlib
from binascii import hexlify
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from zegel.evidence.sealed_file.overlays import Box, overlay_content, overlay_form, overlay_name, stamped_page
from zegel.evidence.sealed_file.rendition import FIRST_PAGE, PAGE_TREE, entries_of, page_tree, shape_of
from zegel.evidence.sealed_file.revisions import CATALOGUE, Revision
from zegel.evidence.sealed_file.syntax import BoundError, FormError, Name, Ref, Stream, Value

SEAL_FIELD: Final = "ZegelSeal"
"""Name of the seal's field."""
PRODUCER: Final = b"Zegel"
"""The file's producer in the information dictionary."""


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """An attached file of the canonical form."""

    name: str
    mime: str
    description: str


FILES: Final = (
    EvidenceFile("audit.jsonl", "application/jsonl", "The audit trail: one event a line"),
    EvidenceFile("completed.tlog-proof", "text/plain", "Proof that the trail is in the log"),
    EvidenceFile("openings.json", "application/json", "What the trail's commitments commit to"),
)
"""The files that are attached, in their order."""

HEADS: Final = 5 + 2 * len(FILES)
"""How many of the revision's own objects come before those of stamped pages."""
MAX_EVIDENCE_BYTES: Final = 96 * 2**20
"""Maximum size in bytes of the attached files together: a trail has at most 64 MiB, and the others two."""
_PIECE: Final = 2**20
_END_WORD: Final = b"endstream"


@dataclass(frozen=True, slots=True)
class Texts:
    """What the second revision says of itself.

    Args:
        title: Title of the document.
        reason: Why it is sealed, for a viewer's signature panel.
        time: When everybody had signed, with a time zone; whole seconds.
        seal_time: When the seal claims to be made, with a time zone; whole seconds.
    """

    title: str
    reason: str
    time: datetime
    seal_time: datetime


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of the second revision's own objects.

    Args:
        form: The form dictionary's, which is the first.
        stamped: How many pages have stamps.
        audit_pages: How many audit pages there are.
    """

    form: int
    stamped: int
    audit_pages: int

    @property
    def field(self) -> int:
        """The number of the seal's field."""
        return self.form + 1

    @property
    def seal(self) -> int:
        """The number of the seal."""
        return self.form + 2

    @property
    def info(self) -> int:
        """The number of the information dictionary."""
        return self.form + 3

    @property
    def widgets(self) -> int:
        """The number of the array of the first audit page's annotations."""
        return self.form + 4

    def file(self, index: int) -> int:
        """The number of a file's description; its data has the next number.

        Args:
            index: Which file.
        """
        return self.form + 5 + 2 * index

    def overlay(self, index: int) -> int:
        """The number of a stamped page's added content; the form that it draws has the next number.

        Args:
            index: Which of the stamped pages.
        """
        return self.form + HEADS + 2 * index

    @property
    def first_audit_page(self) -> int:
        """The number of the first audit page."""
        return self.overlay(self.stamped)

    @property
    def first_drawn(self) -> int:
        """The number of the first object that the stamps and audit pages refer to."""
        return self.first_audit_page + self.audit_pages

    @property
    def audit(self) -> range:
        """The numbers of the audit pages."""
        return range(self.first_audit_page, self.first_drawn)


@dataclass(frozen=True, slots=True)
class Completion:
    """A second revision, as read.

    Args:
        numbers: The numbers of its objects.
        texts: Its texts and times.
        files: The attached files by their names.
        boxes: Where the stamps are.
        gap: Where the seal's bytes are in the file.
        contents: The seal's bytes, with the zeros after them.
    """

    numbers: Numbers
    texts: Texts
    files: Mapping[str, bytes]
    boxes: tuple[Box, ...]
    gap: tuple[int, int]
    contents: bytes


def head_objects(
    rendition: Revision,
    numbers: Numbers,
    texts: Texts,
    files: Mapping[str, bytes],
    overlays: Mapping[int, Sequence[Box]],
) -> dict[int, Value]:
    """All objects of the second revision except the audit pages, the stamps and what these refer to.

    The seal's dictionary is still without ``ByteRange`` and ``Contents``. A page's form refers to its stamps in the
    order of the boxes; they are numbered from ``numbers.first_drawn`` on.

    Args:
        rendition: The first revision.
        numbers: The numbers of the objects.
        texts: Its texts and times.
        files: The attached files by their names.
        overlays: The boxes that are stamped, by page from 1, in the order of the pages.

    Raises:
        FormError: A page is missing, or a box is outside of it.
    """
    pages = rendition_pages(rendition)
    more = [Ref(number) for number in numbers.audit]
    catalogue, own = _catalogue(rendition, numbers), _own(numbers, texts, files)
    found: dict[int, Value] = {CATALOGUE: catalogue, PAGE_TREE: page_tree(len(pages), more), **own}
    stamp = numbers.first_drawn
    for index, (page, boxes) in enumerate(overlays.items()):
        if page not in range(1, len(pages) + 1):
            raise FormError("a stamp lies on a page that does not exist")
        place = numbers.overlay(index)
        shown = entries_of(rendition.objects, pages[page - 1])
        shape = shape_of(shown)
        found[pages[page - 1]] = stamped_page(shown, place)
        found[place] = Stream({}, overlay_content(shape, overlay_name(shown)))
        found[place + 1] = overlay_form(shape, boxes, stamp)
        stamp += len(boxes)
    return dict(sorted(found.items()))


def rendition_pages(rendition: Revision) -> range:
    """The numbers of a rendition's pages.

    Args:
        rendition: The first revision.
    """
    kids = entries_of(rendition.objects, PAGE_TREE)["Kids"]
    return range(FIRST_PAGE, FIRST_PAGE + (len(kids) if isinstance(kids, list) else 0))


def text_string(text: str) -> bytes:
    """Encode a text for PDF: ASCII as it is, other text in UTF-16 (ISO 32000-2, 7.9.2.2).

    Args:
        text: The text.
    """
    return text.encode("ascii") if text.isascii() else b"\xfe\xff" + text.encode("utf-16-be")


def _date(moment: datetime) -> bytes:
    return f"D:{moment.astimezone(UTC):%Y%m%d%H%M%S}Z".encode("ascii")


def _catalogue(rendition: Revision, numbers: Numbers) -> dict[str, Value]:
    described: list[Value] = [Ref(numbers.file(index)) for index in range(len(FILES))]
    named: list[Value] = [
        part for file, each in zip(FILES, described, strict=True) for part in (file.name.encode("ascii"), each)
    ]
    return {
        **entries_of(rendition.objects, CATALOGUE),
        "AcroForm": Ref(numbers.form),
        "AF": described,
        "Names": {"EmbeddedFiles": {"Names": named}},
        "Perms": {"DocMDP": Ref(numbers.seal)},
        "ViewerPreferences": {"DisplayDocTitle": True},
    }


def _own(numbers: Numbers, texts: Texts, files: Mapping[str, bytes]) -> dict[int, Value]:
    """The form, field, seal, information dictionary, annotations and files."""
    date = _date(texts.time)
    info: dict[str, Value] = {
        "CreationDate": date,
        "ModDate": date,
        "Producer": PRODUCER,
        "Title": text_string(texts.title),
    }
    found: dict[int, Value] = {
        numbers.form: {"Fields": [Ref(numbers.field)], "SigFlags": 3},
        numbers.field: signature_field(SEAL_FIELD, numbers.seal, numbers.first_audit_page),
        numbers.seal: _seal(texts),
        numbers.info: info,
        numbers.widgets: [Ref(numbers.field)],
    }
    room = MAX_EVIDENCE_BYTES
    for index, file in enumerate(FILES):
        place = numbers.file(index)
        data = _embedded(file, files[file.name], date)
        room -= len(data.data)
        found[place], found[place + 1] = _described(file, place + 1), data
    if room < 0:
        raise BoundError(f"the attached files have more than {MAX_EVIDENCE_BYTES // 2**20} MiB")
    return found


def signature_field(name: str, value: int, page: int) -> dict[str, Value]:
    """An invisible signature field (ISO 32000-2, 12.7.5.5).

    Args:
        name: Its name.
        value: Number of the signature in it.
        page: Number of the page that it is on.
    """
    return {
        "Type": Name("Annot"),
        "Subtype": Name("Widget"),
        "FT": Name("Sig"),
        "T": name.encode("ascii"),
        "F": 132,
        "Rect": [0, 0, 0, 0],
        "P": Ref(page),
        "V": Ref(value),
    }


def _seal(texts: Texts) -> dict[str, Value]:
    """The seal without its signature: a certification that permits no changes (EN 319 142-1; ISO 32000-2, 12.8.2.2)."""
    return {
        "Type": Name("Sig"),
        "Filter": Name("Adobe.PPKLite"),
        "SubFilter": Name("ETSI.CAdES.detached"),
        "M": _date(texts.seal_time),
        "Reason": text_string(texts.reason),
        "Reference": [
            {
                "Type": Name("SigRef"),
                "TransformMethod": Name("DocMDP"),
                "TransformParams": {"Type": Name("TransformParams"), "P": 1, "V": Name("1.2")},
            }
        ],
    }


def _described(file: EvidenceFile, data: int) -> dict[str, Value]:
    name = file.name.encode("ascii")
    return {
        "Type": Name("Filespec"),
        "F": name,
        "UF": name,
        "Desc": file.description.encode("ascii"),
        "AFRelationship": Name("Data"),
        "EF": {"F": Ref(data), "UF": Ref(data)},
    }


def _embedded(file: EvidenceFile, data: bytes, date: bytes) -> Stream:
    entries: dict[str, Value] = {
        "Type": Name("EmbeddedFile"),
        "Subtype": Name(file.mime),
        "Params": {
            "Size": len(data),
            "ModDate": date,
            # The checksum that PDF asks for; the seal is what proves the files.
            "CheckSum": hashlib.md5(data, usedforsecurity=False).digest(),
        },
    }
    if _END_WORD in data:  # a stream must not contain this word, so the data is spelled in hexadecimal instead
        return Stream({**entries, "Filter": Name("ASCIIHexDecode")}, _digits(data))
    return Stream(entries, data)


def _digits(data: bytes) -> memoryview:
    """Data in hexadecimal digits with their end mark, made in pieces to save memory."""
    found = bytearray(2 * len(data) + 1)
    for start in range(0, len(data), _PIECE):
        piece = hexlify(data[start : start + _PIECE]).upper()
        found[2 * start : 2 * start + len(piece)] = piece
    found[-1:] = b">"
    return memoryview(found)
