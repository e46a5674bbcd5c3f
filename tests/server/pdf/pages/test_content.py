"""Content read as viewers read it: what opens and closes, where it counts, and what is cut off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.effort import Effort
from zegel_server.pdf.pages.content import balanced, instructions, names, operand_names

NOTHING = b"BX EX"


@pytest.mark.parametrize(
    ("content", "closed"),
    [
        (b"q BT (a) Tj", b"q BT (a) Tj\nET\nQ"),
        (b"Q q Q", NOTHING + b" q Q"),
        (b"q Q Q", b"q Q " + NOTHING),
        (b"BT (a(q)b q) Tj ET", b"BT (a(q)b q) Tj ET"),
        (rb"(\( q) Tj (\\) Tj q", rb"(\( q) Tj (\\) Tj q" + b"\nQ"),
        (b"[(a) q (b)] TJ", b"[(a) q (b)] TJ"),
        (b"/q gs /Q gs", b"/q gs /Q gs"),
        (b"<</A <</B (q)>> >> BDC", b"<</A <</B (q)>> >> BDC\nEMC"),
        (b"% q Q\nq", b"% q Q\nq\nQ"),
        (b"qQ Qq", b"qQ Qq"),
        (b"q(a)Tj/X Do Q", b"q(a)Tj/X Do Q"),
        (b"q (never", b"q \nQ"),
        (b"q [(a) q", b"q \nQ"),
        (b"q <</A (x) q", b"q \nQ"),
        (b"q <41 q", b"q \nQ"),
        (b"BI /W 3 /H 1 /BPC 8 /CS /G ID q q EI q", b"BI /W 3 /H 1 /BPC 8 /CS /G ID q q EI q\nQ"),
        (b"BI /W 2 /H 2 /F /AHx ID 71> EI q", b"BI /W 2 /H 2 /F /AHx ID 71> EI q\nQ"),
        (b"BI q Q", b"BI q Q"),
        (b"q BI /W 9 /H 9 ID x", b"q \nQ"),
        (b"/P BMC BX BT", b"/P BMC BX BT\nET\nEMC\nEX"),
        (b"q BT Q ET", b"q BT Q ET"),
    ],
)
def test_what_is_open_is_closed_and_what_closes_nothing_is_taken_out(content: bytes, closed: bytes) -> None:
    assert balanced(content) == closed


WORDS = st.sampled_from(
    [
        *(b"q", b"Q", b"BT", b"ET", b"BMC", b"EMC", b"BX", b"EX", b"(", b")", b"[", b"]", b"<<", b">>", b"<", b">"),
        *(b"%", b"\n", b"/a", b"1", b"Tj", b"BI", b"ID", b"EI", b"\\", b"/F /Fl", b"\x80"),
    ]
)


@given(
    st.lists(WORDS, max_size=40).map(b" ".join) | st.lists(WORDS, max_size=20).map(b"".join) | st.binary(max_size=60)
)
def test_what_is_closed_stays_as_it_is_and_whatever_follows_counts(content: bytes) -> None:
    once = balanced(content)
    assert balanced(once) == once
    counts = [item.operator for item in instructions(once)]
    after = [item.operator for item in instructions(once + b"\nMARK\n")]
    assert after == [*counts, b"MARK"]
    for opener, closer in ((b"q", b"Q"), (b"BT", b"ET"), (b"BX", b"EX")):
        assert counts.count(opener) == counts.count(closer)


def test_operators_come_with_their_operands() -> None:
    data = b"/OC /L#41 BDC 1 0 0 1 2 3 cm EMC"
    found = list(instructions(data))
    assert [item.operator for item in found] == [b"BDC", b"cm", b"EMC"]
    assert operand_names(data, found[0]) == ["/OC", "/LA"]
    assert names(data) == {"/OC", "/LA"}


def test_well_formed_content_costs_little() -> None:
    line = b"q 1 0 0 1 72 720 cm BT /F1 12 Tf (Some text) Tj T* [(ab) -20 (c)] TJ ET Q\n" + b"10 20 m 30 40 l S\n" * 20
    data = line * 5_000
    with Effort() as effort:
        assert balanced(data) == data
    assert effort.seconds < 1.0


@pytest.mark.parametrize(
    "hostile", [b"(" * 200_000, b"[" * 200_000, b"<<" * 100_000, b"q " * 200_000, b"BI ID " * 2_000]
)
def test_hostile_content_costs_little_too(hostile: bytes) -> None:
    with Effort() as effort:
        balanced(hostile)
    assert effort.seconds < 2.0
