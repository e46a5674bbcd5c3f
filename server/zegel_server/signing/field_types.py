"""The types of field, each as one entry of one table. No I/O.

An entry says which values a type takes, how one is checked, what Zegel fills in itself, how a value is drawn, and how
many characters that adds to the page. The rest follows from a type's name: ``FIELD_TYPE_<name>`` in the contract, and
``<name>`` in stored fields and in the boxes of the evidence.

Invariants:

* A type that is not in the table, or that cannot be drawn, cannot be sent: see ``can_be_sent``.
* Only the header of a drawn mark is read here; it is decoded only in the sandbox.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from zegel_server import zones
from zegel_server.edge import validation
from zegel_server.errors import InvalidArgument
from zegel_server.pdf.model import Box, Stamp, StampKind
from zegel_server.pdf.pictures import png_size
from zegel_server.signing.values import Value, ValueKind

MAX_TEXT: Final = 2_000
"""Characters of a text, as the contract says: as much as is legible in a box on a page."""
MAX_TYPED: Final = 200
"""Characters of a typed mark, as the contract says: as long as a signer's name."""
MAX_PNG_BYTES: Final = 256 * 1024
"""Bytes of a drawn mark, as the contract says: 1,200 by 400 pixels of ink take about 30 KB."""
MAX_PNG_SIDE: Final = 2_000
"""Pixels of each side of a drawn mark, as the contract says: 16 MB decoded."""
CAPTION: Final = 60
"""Characters of a signature's caption beside the name, at most: a time and an identifier."""
DAY: Final = 11 + zones.MAX_NAME
"""Characters of a day and its time zone, at most."""


class FieldType(StrEnum):
    """What goes into a field."""

    SIGNATURE = "SIGNATURE"
    INITIALS = "INITIALS"
    DATE_SIGNED = "DATE_SIGNED"
    TEXT = "TEXT"
    CHECKBOX = "CHECKBOX"


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Who signed, and when: what stands beside a signature.

    Attributes:
        name: The signer's name, or what stands for it.
        signature_id: The signature.
        time: When it was made, ready to print.
    """

    name: str
    signature_id: str
    time: str


Check = Callable[[Value, str], Value]
"""Checks a value of a kind that the type takes, at a path in the request; returns it as it is stored."""

Draw = Callable[[Value, Box, SignedBy], Stamp]
"""Makes the stamp of a value that is not an empty text, in its box."""


def _takes_no_value(value: Value, _path: str) -> Value:
    return value


def _adds_nothing(_name: str) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTypeEntry:
    """The definition of a type of field.

    Attributes:
        takes: The kinds of value that a signer may put into it; none where Zegel fills it in.
        check: Checks such a value.
        draw: Draws a value; ``None`` if that is not implemented, in which case the type cannot be sent.
        always_required: Whether every signer must fill it in before signing, whatever the sender says.
        fill: What Zegel puts into it by itself, from the time of the signature in microseconds and the signer's time
            zone; ``None`` where the signer fills it in.
        added_text: The most characters that it adds to the page beyond what the signer fills in, given the
        signer's name.
    """

    takes: frozenset[ValueKind]
    draw: Draw | None
    check: Check = _takes_no_value
    always_required: bool = False
    fill: Callable[[int, str], Value] | None = None
    added_text: Callable[[str], int] = _adds_nothing


# ----------------------------------------------------------------------------------------------- how values are checked


def check_png(data: bytes, path: str) -> None:
    """Checks that a picture claims to be a PNG within the limits.

    Args:
        data: The picture.
        path: Its path in the request.

    Raises:
        InvalidArgument: It is too long, does not begin as a PNG, or is too large.
    """
    if len(data) > MAX_PNG_BYTES:
        raise InvalidArgument(path, f"must be at most {MAX_PNG_BYTES // 1024} KiB")
    if (size := png_size(data)) is None:
        raise InvalidArgument(path, "must be a PNG")
    width, height = size
    if not (0 < width <= MAX_PNG_SIDE and 0 < height <= MAX_PNG_SIDE):
        raise InvalidArgument(path, f"must have 1 to {MAX_PNG_SIDE:,} pixels on each side")


def _check_mark(value: Value, path: str) -> Value:
    if value.picture is not None:
        check_png(value.picture, f"{path}.mark.drawn_png")
        return value
    return Value("typed", validation.text(value.text, f"{path}.mark.typed", most=MAX_TYPED))


def _check_text(value: Value, path: str) -> Value:
    return Value("text", validation.text(value.text, f"{path}.text", least=0, most=MAX_TEXT, lines=True))


# ------------------------------------------------------------------------------------------------- how values are drawn


def _stamp(kind: StampKind, box: Box, *, text: str = "", image: bytes | None = None, caption: str = "") -> Stamp:
    return Stamp(box.page, box.x, box.y, box.width, box.height, kind, text, image, caption)


def _draw_signature(value: Value, box: Box, signed_by: SignedBy) -> Stamp:
    caption = f"{signed_by.name}\n{signed_by.time}\n{signed_by.signature_id}"
    return _stamp("signature", box, text=value.text, image=value.picture, caption=caption)


def _draw_initials(value: Value, box: Box, _signed_by: SignedBy) -> Stamp:
    return _stamp("initials", box, text=value.text, image=value.picture)


def _draw_date(value: Value, box: Box, _signed_by: SignedBy) -> Stamp:
    return _stamp("date", box, text=value.text)


def _draw_text(value: Value, box: Box, _signed_by: SignedBy) -> Stamp:
    return _stamp("text", box, text=value.text)


def _draw_checkbox(value: Value, box: Box, _signed_by: SignedBy) -> Stamp:
    return _stamp("checkbox", box, text="x" if value.content else "")


# ------------------------------------------------------------------------------------------------------------ the table


def _today(sign_time: int, time_zone: str) -> Value:
    return Value("text", zones.day(sign_time, time_zone))


FIELD_TYPES: Final[Mapping[FieldType, FieldTypeEntry]] = MappingProxyType(
    {
        FieldType.SIGNATURE: FieldTypeEntry(
            takes=frozenset({"typed", "drawn"}),
            check=_check_mark,
            draw=_draw_signature,
            always_required=True,
            added_text=lambda name: len(name) + CAPTION,
        ),
        FieldType.INITIALS: FieldTypeEntry(
            takes=frozenset({"typed", "drawn"}),
            check=_check_mark,
            draw=_draw_initials,
            always_required=True,
        ),
        FieldType.DATE_SIGNED: FieldTypeEntry(
            takes=frozenset(),
            draw=_draw_date,
            fill=_today,
            added_text=lambda _name: DAY,
        ),
        FieldType.TEXT: FieldTypeEntry(takes=frozenset({"text"}), check=_check_text, draw=_draw_text),
        FieldType.CHECKBOX: FieldTypeEntry(takes=frozenset({"checked"}), draw=_draw_checkbox),
    }
)
"""All types of field."""


def draw_value(field_type: FieldType, value: Value, box: Box, signed_by: SignedBy) -> Stamp:
    """Draws a value into its box.

    Args:
        field_type: The field's type, which can be sent.
        value: What is in the field; not an empty text.
        box: The field's box.
        signed_by: Who signed, and when.

    Raises:
        TypeError: The type cannot be sent.
    """
    draw = FIELD_TYPES[field_type].draw
    if draw is None:
        raise TypeError(f"a field of type {field_type} cannot be drawn, and so cannot be sent")
    return draw(value, box, signed_by)


def entry_of(field_type: FieldType) -> FieldTypeEntry:
    """The entry of a type that was checked to be sendable.

    Args:
        field_type: The type.
    """
    return FIELD_TYPES[field_type]


def type_named(name: str) -> FieldType | None:
    """Looks up a type by its name; ``None`` if there is no such type or it cannot be drawn yet.

    Args:
        name: Its name, such as ``SIGNATURE``.
    """
    try:
        field_type = FieldType(name)
    except ValueError:
        return None
    return field_type if can_be_sent(field_type) else None


def can_be_sent(field_type: FieldType) -> bool:
    """Whether fields of a type can be sent, that is, whether their values can be drawn once everybody has signed.

    Args:
        field_type: The type.
    """
    entry = FIELD_TYPES.get(field_type)
    return entry is not None and entry.draw is not None
