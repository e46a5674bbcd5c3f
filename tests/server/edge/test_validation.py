"""Checks of fields, each of which names the field it refuses."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from zegel.identity.v1 import identity_service_pb2 as identity
from zegel_server import clock
from zegel_server.edge import validation
from zegel_server.errors import InvalidArgument, NotFound


@given(st.text())
def test_a_text_that_passes_is_clean(text: str) -> None:
    try:
        found = validation.text(text, "f", most=50)
    except InvalidArgument:
        return
    assert 1 <= len(found) <= 50
    assert found.strip()
    assert found.encode("utf-8")
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in found)


def test_a_text_comes_in_its_normal_form() -> None:
    assert validation.text("e\u0301", "f", most=1) == "\u00e9"


def test_lines_are_allowed_where_they_are_meant() -> None:
    assert validation.text("a\n\tb", "f", most=10, lines=True) == "a\n\tb"
    with pytest.raises(InvalidArgument):
        validation.text("a\nb", "f", most=10)
    assert validation.text("", "f", least=0, most=10) == ""


@pytest.mark.parametrize("address", ["a@b", "ann@example.com", "a.b+c@d-e.f.gh", "üñ@exämple.com", " ann@example.com "])
def test_a_mail_address_is_one(address: str) -> None:
    assert validation.email(address, "f") == address.strip()


@pytest.mark.parametrize(
    "address",
    [
        *("", "a", "@", "a@", "@b", "a@@b", "a@b@c", "a b@c", "a@b c", "a@.b", "a@b.", "a@b..c", "<a@b>", "a@b,c@d"),
        *('"a"@b', "a@[1.2.3.4]", "a\x00@b", "a\n@b", "x" * 65 + "@b", "a@" + "b" * 254),
    ],
)
def test_what_is_no_mail_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgument):
        validation.email(address, "f")


def test_an_identifier_is_missing_or_found_or_not() -> None:
    good = "doc_" + "0" * 26
    assert validation.identifier(good, "doc", "f", "document") == good
    with pytest.raises(InvalidArgument) as refused:
        validation.identifier("", "doc", "f", "document")
    assert (refused.value.reason, refused.value.metadata) == ("MISSING_FIELD", {"field": "f"})
    for bad in ("x", "mem_" + "0" * 26, good + "\x00"):
        with pytest.raises(NotFound) as absent:
            validation.identifier(bad, "doc", "f", "document")
        assert absent.value.metadata == {"resource": "document"}
        assert bad not in absent.value.message


@pytest.mark.parametrize("text", ["", "a", "x" * 64, "550e8400-e29b-41d4-a716-446655440000"])
def test_a_request_id_is_short_and_plain(text: str) -> None:
    assert validation.request_id(text) == text


@pytest.mark.parametrize("text", ["x" * 65, "é", "a\n", "\x00", "a\x7f"])
def test_another_request_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        validation.request_id(text)


@pytest.mark.parametrize(
    "message",
    [
        Timestamp(seconds=-1),
        Timestamp(seconds=2**62),
        Timestamp(nanos=-1),
        Timestamp(nanos=10**9),
        Timestamp(seconds=253_402_300_800),
    ],
)
def test_a_time_out_of_reach_is_refused(message: Timestamp) -> None:
    with pytest.raises(InvalidArgument):
        validation.time(message, "f")


def test_the_future_lies_ahead_but_not_too_far() -> None:
    ahead = clock.to_timestamp(clock.now() + clock.HOUR)
    assert ahead is not None
    assert validation.future(ahead, "f", most=2 * clock.HOUR) == clock.from_timestamp(ahead)
    with pytest.raises(InvalidArgument):
        validation.future(ahead, "f", most=clock.MINUTE)
    with pytest.raises(InvalidArgument):
        validation.future(Timestamp(seconds=1), "f")


def test_a_mask_names_fields_or_all_of_them() -> None:
    allowed = ("name", "email")
    sent = identity.Member(name="Ann", roles=["admin"])
    assert validation.mask(FieldMask(paths=["*"]), sent, allowed) == {"name", "email"}
    assert validation.mask(FieldMask(paths=["email", "email"]), sent, allowed) == {"email"}
    for bad in (["name", "*"], ["roles"], [""], ["member.name"], ["x" * 10_000]):
        with pytest.raises(InvalidArgument) as refused:
            validation.mask(FieldMask(paths=bad), sent, allowed)
        assert refused.value.metadata == {"field": "update_mask"}
        assert len(refused.value.message) < 200


def test_without_a_mask_the_fields_that_are_set_are_changed() -> None:
    allowed = ("name", "email")
    assert validation.mask(FieldMask(), identity.Member(name="Ann", roles=["admin"]), allowed) == {"name"}
    assert validation.mask(FieldMask(), identity.Member(name="Ann", email="a@b.c"), allowed) == {"name", "email"}
    with pytest.raises(InvalidArgument) as refused:
        validation.mask(FieldMask(), identity.Member(roles=["admin"]), allowed)
    assert (refused.value.reason, refused.value.metadata) == ("MISSING_FIELD", {"field": "update_mask"})
