"""The table of field types: nothing can be sent that could not be drawn once everybody has signed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from support.completing import stamped
from support.pdfs import ink, one_page, png
from support.signing_world import SQLITE_ONLY, World, make_field
from zegel.signing.v1 import signature_request_pb2 as pb
from zegel.signing.v1 import signing_service_pb2 as signing_pb
from zegel_server import clock
from zegel_server.errors import InvalidArgument
from zegel_server.ids import new_id
from zegel_server.pdf.model import Box
from zegel_server.signing import field_types, messages
from zegel_server.signing.field_types import FIELD_TYPES, FieldType, SignedBy, draw_value, type_named
from zegel_server.signing.fields import added_text_length, check_value, filled_at_signing
from zegel_server.signing.new_request import check_new_request
from zegel_server.signing.values import Value, ValueKind

SAMPLES: dict[ValueKind, Value] = {
    "text": Value("text", "Keys: three"),
    "checked": Value("checked", content=True),
    "typed": Value("typed", "Ann Example"),
    "drawn": Value("drawn", png(60, 20)),
}
"""A value of each kind."""

SIGNED_BY = SignedBy("A" * 200, new_id("sig"), "2026-11-24 07:08:09 UTC")
IN_THE_CONTRACT = [number for number in pb.FieldType.values() if number != pb.FIELD_TYPE_UNSPECIFIED]


def filled(field_type: FieldType) -> list[Value]:
    """What a field of a type can hold when everybody has signed: a value of each kind, or what Zegel fills in."""
    field = make_field("field", field_type)
    own = filled_at_signing([field], clock.now(), "America/Argentina/ComodRivadavia")
    if own:
        return list(own.values())
    return [check_value(field, SAMPLES[kind], "values[0]") for kind in sorted(FIELD_TYPES[field_type].takes)]


def asked_for(number: pb.FieldType.ValueType) -> signing_pb.CreateSignatureRequestRequest:
    """A request with a signature, and with a field of a type of the contract."""
    box: dict[str, Any] = {"page": 1, "x": 10.0, "y": 10.0, "width": 100.0, "height": 40.0}
    return signing_pb.CreateSignatureRequestRequest(
        title="Lease",
        documents=[pb.RequestedDocument(document_id=new_id("doc"))],
        signers=[pb.Signer(name="Ann", email="ann@example.com")],
        fields=[
            pb.Field(api_id="signature", type=pb.FIELD_TYPE_SIGNATURE, **box),
            pb.Field(api_id="other", type=number, **box),
        ],
    )


Remove = Callable[[pytest.MonkeyPatch, FieldType], None]
"""Takes what draws a type out of the table."""


def without_entry(monkeypatch: pytest.MonkeyPatch, field_type: FieldType) -> None:
    monkeypatch.setattr(
        field_types, "FIELD_TYPES", {key: each for key, each in FIELD_TYPES.items() if key != field_type}
    )


def without_drawing(monkeypatch: pytest.MonkeyPatch, field_type: FieldType) -> None:
    changed = {**FIELD_TYPES, field_type: replace(FIELD_TYPES[field_type], draw=None)}
    monkeypatch.setattr(field_types, "FIELD_TYPES", changed)


@pytest.mark.parametrize("number", IN_THE_CONTRACT, ids=pb.FieldType.Name)
def test_each_type_of_the_contract_is_in_the_table_or_refused_when_it_is_sent(number: pb.FieldType.ValueType) -> None:
    field_type = type_named(pb.FieldType.Name(number).removeprefix("FIELD_TYPE_"))
    if field_type is None:
        with pytest.raises(InvalidArgument) as caught:
            messages.new_request(asked_for(number))
        assert caught.value.metadata["field"] == "fields[1].type"
    else:
        sent = check_new_request(messages.new_request(asked_for(number)))
        assert sent.fields[1].type is field_type
        assert filled(field_type), "a field that nobody can fill in"


def test_each_type_in_the_table_is_in_the_contract() -> None:
    assert {f"FIELD_TYPE_{each}" for each in FIELD_TYPES} <= set(pb.FieldType.keys())
    assert set(FIELD_TYPES) == set(FieldType)
    assert type_named("HOLOGRAM") is None


@pytest.mark.parametrize("remove", [without_entry, without_drawing])
@pytest.mark.parametrize("field_type", FIELD_TYPES)
def test_what_nothing_draws_is_refused_by_its_field_when_it_is_sent(
    monkeypatch: pytest.MonkeyPatch, field_type: FieldType, remove: Remove
) -> None:
    number = pb.FieldType.Value(f"FIELD_TYPE_{field_type}")
    new = messages.new_request(asked_for(number))
    remove(monkeypatch, field_type)
    index = [field.type for field in new.fields].index(field_type)
    with pytest.raises(InvalidArgument) as caught:
        messages.new_request(asked_for(number))
    assert caught.value.metadata["field"] == f"fields[{index}].type"
    with pytest.raises(InvalidArgument) as caught:
        check_new_request(new)
    assert caught.value.metadata["field"] == f"fields[{index}].type"


@SQLITE_ONLY
@pytest.mark.parametrize("remove", [without_entry, without_drawing])
async def test_nothing_is_sent_that_nothing_draws(
    world: World, monkeypatch: pytest.MonkeyPatch, remove: Remove
) -> None:
    sender = world.member()
    new = await world.draft(sender)
    remove(monkeypatch, FieldType.DATE_SIGNED)
    with pytest.raises(InvalidArgument):
        await world.send(sender, new)
    assert await world.event_rows() == []


@pytest.mark.parametrize("field_type", FIELD_TYPES)
def test_whatever_can_be_sent_leaves_ink_in_its_box(field_type: FieldType) -> None:
    box = Box(page=1, x=150, y=300, width=120, height=40)
    for value in filled(field_type):
        stamp = draw_value(field_type, value, box, SIGNED_BY)
        found = ink(stamped(one_page(b""), stamp), dark=200)
        assert found is not None, f"a field with a value of the kind {value.kind} shows nothing"
        left, top, right, bottom = found
        assert left >= box.x - 1
        assert top >= box.y - 1
        assert right <= box.x + box.width + 1
        assert bottom <= box.y + box.height + 1


@pytest.mark.parametrize("field_type", FIELD_TYPES)
def test_the_text_that_is_counted_in_advance_is_enough_for_what_is_drawn(field_type: FieldType) -> None:
    field = make_field("field", field_type)
    counted = added_text_length([field], [SIGNED_BY.name])
    for value in filled(field_type):
        stamp = draw_value(field_type, value, Box(1, 0, 0, 100, 40), SIGNED_BY)
        by_the_signer = 0 if FIELD_TYPES[field_type].fill else len(value.text)
        # A check mark is one character that nobody types.
        assert len(stamp.text) + len(stamp.caption) <= counted + max(by_the_signer, 1)
