"""The fields of a request: their positions, allowed values, and which are still missing. No I/O.

Invariants:

* A field lies entirely on an existing page, as that page is shown.
* A value is of its field's type and within its limits before it is stored.
* ``from_json(to_json(field)) == field``.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from zegel_server.documents.model import Page
from zegel_server.edge import validation
from zegel_server.errors import InvalidArgument, ResourceExhausted
from zegel_server.pdf.limits import MAX_STAMP_LENGTH, PIXELS_PER_CHARACTER
from zegel_server.signing.field_types import FieldType, can_be_sent, entry_of
from zegel_server.signing.values import Value, Values

MAX_API_ID: Final = 64
"""Characters of a field's own name, as the contract says."""
MAX_FIELD_NAME: Final = 200
"""Characters of a field's name for people, as the contract says."""
MAX_VALUES: Final = 1_000
"""Values of one call, as the contract says: as many as a request has fields."""
MAX_REQUEST_TEXT: Final = MAX_STAMP_LENGTH
"""Characters of all texts, marks and captions of a request, as the contract says; drawn marks count by their pixels."""
MIN_SIDE: Final = 4.0
"""The least width and height of a field, in points: 1.4 mm. Nothing can be read or signed in less."""
TOLERANCE: Final = 0.01
"""Points by which a box may exceed the page: partners compute in floating point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A box on a page that a signer fills in; lengths are points from the top left of the page as shown.

    Attributes:
        api_id: The partner's own name for it, unique in the request.
        type: What goes into it.
        document_index: Which document of the request, from 0.
        page: Which page of it, from 1.
        x: Distance of its left edge.
        y: Distance of its top edge.
        width: Its width.
        height: Its height.
        required: Whether the signer cannot sign without it.
        signer_index: Index of the signer who fills it in, from 0.
        name: Its name, as shown to people.
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
        """Whether the signer has to fill it in before signing."""
        entry = entry_of(self.type)
        return entry.always_required or (self.required and entry.fill is None)

    def to_json(self) -> dict[str, Any]:
        """The field as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Reads what ``to_json`` made.

        Args:
            data: The JSON object.
        """
        return cls(**{**data, "type": FieldType(data["type"])})


def added_text_length(fields: Iterable[Field], names: Sequence[str]) -> int:
    """Characters that the fields of a request add to the pages beyond what signers fill in: captions and dates.

    Args:
        fields: The request's fields.
        names: The signers' names, in their order.
    """
    return sum(entry_of(field.type).added_text(names[field.signer_index]) for field in fields)


def filled_at_signing(fields: Iterable[Field], sign_time: int, time_zone: str) -> Values:
    """The values that Zegel fills in when a signer signs.

    Args:
        fields: The signer's own fields.
        sign_time: When, in microseconds since the epoch.
        time_zone: The signer's time zone.
    """
    entries = ((field.api_id, entry_of(field.type)) for field in fields)
    return {api_id: entry.fill(sign_time, time_zone) for api_id, entry in entries if entry.fill is not None}


def check_text_budget(fields: Iterable[Field], names: Sequence[str], text: int, path: str) -> None:
    """Refuses more text, and drawn marks of more pixels, than can be sealed, while less can still be filled in.

    Args:
        fields: The request's fields.
        names: The signers' names, in their order.
        text: Characters that all signers have filled in, drawn marks at their pixels.
        path: The path in the request of the value that takes the most of it.

    Raises:
        ResourceExhausted: It is too much.
    """
    if text + added_text_length(fields, names) > MAX_REQUEST_TEXT:
        raise ResourceExhausted(
            f"All texts and marks of a request together must have at most {MAX_REQUEST_TEXT:,} characters; a drawn mark"
            f" counts as one for each {PIXELS_PER_CHARACTER:,} pixels.",
            limit="request_text",
            field=path,
        )


def missing(fields: Iterable[Field], values: Values) -> list[str]:
    """The ``api_id`` of each field that must be filled in before signing and is not.

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
    """Checks whatever can be checked of a field without its document.

    Args:
        field: The field as the sender asks for it.
        path: Its path in the request.
        documents: How many documents the request has.
        signers: How many signers it has.

    Returns:
        The field in its stored form.

    Raises:
        InvalidArgument: Something about it is wrong.
    """
    if not can_be_sent(field.type):
        raise InvalidArgument(f"{path}.type", "is not a type of field that can be sent")
    if not 0 <= field.document_index < documents:
        raise InvalidArgument(f"{path}.document_index", f"must be an index into the {documents} documents, from 0")
    if not 0 <= field.signer_index < signers:
        raise InvalidArgument(f"{path}.signer_index", f"must be an index into the {signers} signers, from 0")
    _check_numbers(field, path)
    data = field.to_json() | {
        "api_id": validation.text(field.api_id, f"{path}.api_id", most=MAX_API_ID),
        "name": validation.text(field.name, f"{path}.name", least=0, most=MAX_FIELD_NAME),
        "required": field.required or entry_of(field.type).always_required,
    }
    return Field.from_json(data)


def _check_numbers(field: Field, path: str) -> None:
    if field.page < 1:
        raise InvalidArgument(f"{path}.page", "must be a page of the document, from 1")
    for name in ("x", "y", "width", "height"):
        if not math.isfinite(getattr(field, name)):
            raise InvalidArgument(f"{path}.{name}", "must be a finite number")
    for name in ("x", "y"):
        if getattr(field, name) < 0:
            raise InvalidArgument(f"{path}.{name}", "must not be negative")
    for name in ("width", "height"):
        if getattr(field, name) < MIN_SIDE:
            raise InvalidArgument(f"{path}.{name}", f"must be at least {MIN_SIDE:g} points")


def check_box(field: Field, path: str, pages: Sequence[Page]) -> None:
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


def check_value(field: Field, value: Value, path: str) -> Value:
    """Checks a value against its field.

    Args:
        field: The signer's own field.
        value: What the signer puts into it.
        path: The value's path in the request.

    Returns:
        The value in its stored form.

    Raises:
        InvalidArgument: It does not match the field's type, is too long, or is not a PNG within the limits.
    """
    entry = entry_of(field.type)
    if entry.fill is not None:
        raise InvalidArgument(f"{path}.api_id", "is a date that is filled in when the signer signs")
    if value.kind not in entry.takes:
        kinds = " or ".join(sorted(entry.takes))
        raise InvalidArgument(f"{path}.value", f"must be {kinds}, to match the field's type")
    return entry.check(value, path)


def check_values(fields: Iterable[Field], values: Sequence[tuple[str, Value]]) -> dict[str, Value]:
    """Checks what a signer fills in; of two values for one field, the later counts.

    Args:
        fields: The signer's own fields.
        values: Each field's ``api_id`` and its value.

    Raises:
        InvalidArgument: There are none or too many, or one is not for a field of the signer's own, or not of its type.
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
