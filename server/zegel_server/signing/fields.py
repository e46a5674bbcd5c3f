"""Fields and what signers put into them: the rules, without I/O.

Invariants:

* A field lies whole on a page that exists, as that page is shown.
* A value is of its field's type and within its limits before it is stored. A picture is looked at no further than its
  header here: it is decoded in the sandbox alone.
* ``from_json(to_json(x)) == x``, for fields and for values.
"""

import base64
import hashlib
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, Self, cast

from zegel.evidence.canonical import Json, dumps
from zegel_server.edge import validation
from zegel_server.errors import InvalidArgument, ResourceExhausted
from zegel_server.pdf.limits import MAX_STAMP_TEXT_TOTAL

MAX_API_ID: Final = 64
"""Characters of a field's own name, as the contract says."""
MAX_FIELD_NAME: Final = 200
"""Characters of a field's name for people, as the contract says."""
MAX_TEXT: Final = 2_000
"""Characters of a text, as the contract says: what can still be read in a box on a page."""
MAX_TYPED: Final = 200
"""Characters of a typed signature, as the contract says: as long as a signer's name."""
MAX_VALUES: Final = 1_000
"""Values of one call, as the contract says: as many as a request has fields."""
MAX_PNG_BYTES: Final = 256 * 1024
"""Bytes of a drawn signature, as the contract says: 1,200 by 400 pixels of ink have some 30 KB."""
MAX_PNG_SIDE: Final = 2_000
"""Pixels of a drawn signature's side, as the contract says: 16 MB when it is decoded."""
CAPTION: Final = 60
"""Characters of a signature's caption beside the name: a time and an identifier."""
DATE: Final = 10
"""Characters of a date."""
MAX_REQUEST_TEXT: Final = MAX_STAMP_TEXT_TOTAL
"""Characters of all texts, marks and captions of a request, as the contract says."""
TOLERANCE: Final = 0.01
"""Points by which a box may stand out: partners compute in floating point, and nobody sees a hundredth of a point."""

_PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"


class FieldType(StrEnum):
    """What goes into a field."""

    SIGNATURE = "SIGNATURE"
    INITIALS = "INITIALS"
    DATE_SIGNED = "DATE_SIGNED"
    TEXT = "TEXT"
    CHECKBOX = "CHECKBOX"


MARKS: Final = frozenset({FieldType.SIGNATURE, FieldType.INITIALS})
"""Fields that take a mark; they are always required."""


@dataclass(frozen=True, slots=True)
class PageSize:
    """A page as shown, in points."""

    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A place on a page that a signer fills; lengths are points from the top left of the page as shown.

    Attributes:
        api_id: The partner's own name of it, unique in the request.
        type: What goes into it.
        document_index: Which document of the request, from 0.
        page: Which page of it, from 1.
        x: Distance of its left edge.
        y: Distance of its top edge.
        width: Its width.
        height: Its height.
        required: Whether the signer cannot sign without it.
        signer_index: Whose it is, from 0.
        name: Its name for people.
    """

    api_id: str
    type: FieldType
    document_index: int
    page: int
    x: float
    y: float
    width: float
    height: float
    required: bool
    signer_index: int
    name: str = ""

    @property
    def needs_value(self) -> bool:
        """Whether the signer has to fill it before signing; the date is Zegel's to fill."""
        return self.type in MARKS or (self.required and self.type is not FieldType.DATE_SIGNED)

    def to_json(self) -> dict[str, Any]:
        """The field as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What ``to_json`` made, read back.

        Args:
            data: As JSON has it.
        """
        return cls(**{**data, "type": FieldType(data["type"])})


Kind = Literal["text", "checked", "typed", "drawn"]
"""What form a value has."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a signer put into a field.

    Attributes:
        kind: ``text`` (``str``), ``checked`` (``bool``), ``typed`` (``str``) or ``drawn`` (``bytes``, a PNG).
        content: It.
    """

    kind: Kind
    content: str | bool | bytes

    @property
    def is_filled(self) -> bool:
        """Whether it counts as an answer: a text that says something, a box that is ticked."""
        return bool(self.content)

    @property
    def size(self) -> int:
        """Bytes that it takes in a message."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return len(self.content.encode()) if isinstance(self.content, str) else 1

    def to_json(self) -> dict[str, Any]:
        """The value as JSON has it."""
        if isinstance(self.content, bytes):
            return {self.kind: base64.b64encode(self.content).decode()}
        return {self.kind: self.content}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What ``to_json`` made, read back.

        Args:
            data: As JSON has it.
        """
        ((kind, content),) = data.items()
        return cls(cast("Kind", kind), base64.b64decode(content) if kind == "drawn" else content)


Values = Mapping[str, Value]
"""Values by their field's ``api_id``."""


def digest_of(values: Values) -> str:
    """SHA-256 over the canonical form of values, in hex; of a picture, its own SHA-256 stands in it.

    It can be guessed from the values, so it is personal: it goes under the subject's key with the rest.

    Args:
        values: The values.
    """
    canonical: dict[str, Json] = {
        api_id: {
            value.kind: hashlib.sha256(value.content).hexdigest() if isinstance(value.content, bytes) else value.content
        }
        for api_id, value in values.items()
    }
    return hashlib.sha256(dumps(canonical)).hexdigest()


def text_length(values: Values) -> int:
    """How many characters of text values put onto the pages.

    Args:
        values: The values.
    """
    return sum(len(value.content) for value in values.values() if isinstance(value.content, str))


def caption_length(fields: Iterable[Field], names: Sequence[str]) -> int:
    """How many characters the captions of a request's signatures have, and its dates.

    Args:
        fields: The request's fields.
        names: The signers' names, in their order.
    """
    found = 0
    for field in fields:
        if field.type is FieldType.SIGNATURE:
            found += len(names[field.signer_index]) + CAPTION
        elif field.type is FieldType.DATE_SIGNED:
            found += DATE
    return found


def check_room(fields: Iterable[Field], names: Sequence[str], text: int) -> None:
    """Refuses more text than the sealed file's stamps can have, while it can still be shortened.

    Args:
        fields: The request's fields.
        names: The signers' names, in their order.
        text: Characters that all signers have filled in.

    Raises:
        ResourceExhausted: It is too much.
    """
    if text + caption_length(fields, names) > MAX_REQUEST_TEXT:
        raise ResourceExhausted(
            f"All texts of a request together must have at most {MAX_REQUEST_TEXT:,} characters.",
            limit="request_text",
        )


def missing(fields: Iterable[Field], values: Values) -> list[str]:
    """The ``api_id`` of each field that has to be filled before signing, and is not.

    Args:
        fields: The signer's own fields.
        values: What the signer has filled in.
    """
    return [
        field.api_id
        for field in fields
        if field.needs_value and not (field.api_id in values and values[field.api_id].is_filled)
    ]


def check_field(field: Field, path: str, *, documents: int, signers: int) -> Field:
    """Checks what can be known of a field without its document.

    Args:
        field: The field as the sender asks for it.
        path: Its path in the request.
        documents: How many documents the request has.
        signers: How many signers it has.

    Returns:
        The field as it is stored.

    Raises:
        InvalidArgument: Something about it is wrong.
    """
    if not 0 <= field.document_index < documents:
        raise InvalidArgument(f"{path}.document_index", f"must be an index into the {documents} documents, from 0")
    if not 0 <= field.signer_index < signers:
        raise InvalidArgument(f"{path}.signer_index", f"must be an index into the {signers} signers, from 0")
    if field.page < 1:
        raise InvalidArgument(f"{path}.page", "must be a page of the document, from 1")
    for name in ("x", "y", "width", "height"):
        if not math.isfinite(getattr(field, name)):
            raise InvalidArgument(f"{path}.{name}", "must be a finite number")
    for name in ("x", "y"):
        if getattr(field, name) < 0:
            raise InvalidArgument(f"{path}.{name}", "must not be negative")
    for name in ("width", "height"):
        if getattr(field, name) <= 0:
            raise InvalidArgument(f"{path}.{name}", "must be more than 0")
    data = field.to_json() | {
        "api_id": validation.text(field.api_id, f"{path}.api_id", most=MAX_API_ID),
        "name": validation.text(field.name, f"{path}.name", least=0, most=MAX_FIELD_NAME),
        "required": field.required or field.type in MARKS,
    }
    return Field.from_json(data)


def check_place(field: Field, path: str, pages: Sequence[PageSize]) -> None:
    """Checks that a field lies on its page.

    Args:
        field: The field.
        path: Its path in the request.
        pages: The document's pages as shown, in order.

    Raises:
        InvalidArgument: The page does not exist, or the box does not lie within it.
    """
    if field.page > len(pages):
        raise InvalidArgument(f"{path}.page", f"must be a page of the document, 1 to {len(pages)}")
    page = pages[field.page - 1]
    if field.x + field.width > page.width + TOLERANCE:
        raise InvalidArgument(f"{path}.width", f"must end within the page, which is {page.width:g} points wide")
    if field.y + field.height > page.height + TOLERANCE:
        raise InvalidArgument(f"{path}.height", f"must end within the page, which is {page.height:g} points high")


_TAKES: Final[Mapping[FieldType, frozenset[str]]] = {
    FieldType.SIGNATURE: frozenset({"typed", "drawn"}),
    FieldType.INITIALS: frozenset({"typed", "drawn"}),
    FieldType.DATE_SIGNED: frozenset(),
    FieldType.TEXT: frozenset({"text"}),
    FieldType.CHECKBOX: frozenset({"checked"}),
}


def check_value(field: Field, value: Value, path: str) -> Value:
    """Checks a value against its field.

    Args:
        field: The signer's own field.
        value: What the signer puts into it.
        path: The value's path in the request.

    Returns:
        The value as it is stored.

    Raises:
        InvalidArgument: It is of another type than the field, too long, or no PNG within the limits.
    """
    takes = _TAKES[field.type]
    if not takes:
        raise InvalidArgument(f"{path}.api_id", "is a date that is filled in when the signer signs")
    if value.kind not in takes:
        raise InvalidArgument(f"{path}.value", f"must be {' or '.join(sorted(takes))}, as the field's type wants it")
    if isinstance(value.content, bytes):
        check_png(value.content, f"{path}.mark.drawn_png")
        return value
    if isinstance(value.content, bool):
        return value
    if value.kind == "typed":
        return Value("typed", validation.text(value.content, f"{path}.mark.typed", most=MAX_TYPED))
    return Value("text", validation.text(value.content, f"{path}.text", least=0, most=MAX_TEXT, lines=True))


def check_values(fields: Iterable[Field], values: Sequence[tuple[str, Value]]) -> dict[str, Value]:
    """Checks what a signer fills in; of two values for one field, the later holds.

    Args:
        fields: The signer's own fields.
        values: Each field's ``api_id`` and its value.

    Raises:
        InvalidArgument: There is none, too many, or one is not of a field of the signer's own, or not of its type.
    """
    if not values:
        raise InvalidArgument("values", "must not be empty", reason="MISSING_FIELD")
    if len(values) > MAX_VALUES:
        raise InvalidArgument("values", f"must be at most {MAX_VALUES:,}, not {len(values):,}")
    own = {field.api_id: field for field in fields}
    checked = {}
    for index, (api_id, value) in enumerate(values):
        if api_id not in own:
            raise InvalidArgument(f"values[{index}].api_id", "must name a field of the signer's own")
        checked[api_id] = check_value(own[api_id], value, f"values[{index}]")
    return checked


def check_png(data: bytes, path: str) -> None:
    """Checks that a picture says of itself to be a PNG within the limits (PNG, third edition, 5.2 and 11.2.1).

    Args:
        data: The picture.
        path: Its path in the request.

    Raises:
        InvalidArgument: It is too long, does not begin as a PNG, or is too large.
    """
    if len(data) > MAX_PNG_BYTES:
        raise InvalidArgument(path, f"must be at most {MAX_PNG_BYTES // 1024} KiB")
    if not data.startswith(_PNG) or len(data) < len(_PNG) + 8:
        raise InvalidArgument(path, "must be a PNG")
    width, height = struct.unpack_from(">II", data, len(_PNG))
    if not (0 < width <= MAX_PNG_SIDE and 0 < height <= MAX_PNG_SIDE):
        raise InvalidArgument(path, f"must have 1 to {MAX_PNG_SIDE:,} pixels on each side")
