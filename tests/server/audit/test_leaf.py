"""Leaves are composed in the one form that the verifier reads."""

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.effort import Effort
from support.merkle_log import make_fields
from zegel.evidence.canonical import MAX_INTEGER, CanonicalError, dumps, loads
from zegel.evidence.leaves import BARE_HASHES, LEAF_VERSION, MAX_LEAF_BYTES
from zegel.evidence.transparency import leaf_hash
from zegel_server.audit.leaf import (
    PREV_MARK,
    SEQ_MARK,
    DocumentCommitment,
    InvalidLeaf,
    LeafFields,
    commitment,
    complete,
    compose,
    draft,
    parse,
    prev_text,
    seq_text,
)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
counts = st.integers(0, MAX_INTEGER)
extras = st.dictionaries(words.map(lambda word: "x_" + word), st.none() | st.booleans() | words, max_size=3)
places = st.one_of(
    st.just((None, None, None)),
    st.tuples(words, st.just(1), st.none()),
    st.tuples(words, st.integers(2, MAX_INTEGER), hashes),
)


@st.composite
def leaf_fields(draw: st.DrawFn) -> LeafFields:
    trail, seq, prev = draw(places)
    version = draw(st.sampled_from([BARE_HASHES, LEAF_VERSION]))
    return LeafFields(
        event_id=draw(words),
        tenant=draw(st.none() | words),
        trail=trail,
        seq=seq,
        prev=prev,
        type=draw(st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)),
        time=draw(st.datetimes(timezones=st.just(UTC))),
        actor=draw(st.none() | words),
        actor_kind=draw(words),
        auth=draw(st.none() | words),
        role=draw(st.none() | words),
        decision=draw(words),
        policy_version=draw(counts),
        documents=tuple(
            draw(
                st.lists(
                    st.builds(
                        DocumentCommitment,
                        words,
                        counts,
                        hashes,
                        st.just("") if version == BARE_HASHES else words,
                        extras,
                    ),
                    max_size=3,
                )
            )
        ),
        resource=draw(st.none() | words),
        personal=draw(st.none() | hashes),
        extra=draw(extras),
        version=version,
    )


@given(leaf_fields(), st.none() | words)
def test_a_draft_completed_is_the_leaf(fields: LeafFields, session: str | None) -> None:
    if session is not None:
        # Members that stand on each side of the two marks, and the one that most events have.
        fields = replace(fields, extra={**fields.extra, "session": session})
    drafted = draft(replace(fields, seq=None, prev=None))
    assert complete(drafted, fields.seq, fields.prev) == compose(fields)
    assert parse(compose(fields)) == fields
    assert drafted.replace(PREV_MARK, prev_text(fields.prev)).replace(SEQ_MARK, seq_text(fields.seq)) == (
        compose(fields).decode()
    )


@pytest.mark.parametrize("text", ["", "{}", "\n", "\t", "\t\n", "\n\t\t", "\n\n\t", "a\nb"])
def test_what_is_no_draft_is_refused(text: str) -> None:
    with pytest.raises(InvalidLeaf):
        complete(text, 1, None)


def test_a_draft_leaves_room_for_its_place() -> None:
    """Whatever is accepted with the event fits into the log, whatever place it gets."""
    fields = make_fields(1, None)
    spare = MAX_LEAF_BYTES - len(draft(fields).encode())
    for more in range(spare - 200, spare + 10):
        try:
            drafted = draft(replace(fields, resource="r" * more))
        except InvalidLeaf:
            continue
        assert len(complete(drafted, MAX_INTEGER, "ab" * 32)) <= MAX_LEAF_BYTES


@given(leaf_fields())
def test_a_leaf_is_read_back_and_is_canonical(fields: LeafFields) -> None:
    leaf = compose(fields)
    assert parse(leaf) == fields
    assert compose(parse(leaf)) == leaf
    assert dumps(loads(leaf)) == leaf


def as_it_stands(document: str, version: int) -> str:
    personal = hashlib.sha256(b"commitment").hexdigest()
    return (
        '{"actor":"5af3ac70","actor_kind":"signer","auth":"link","decision":"allowed","documents":'
        f'[{document}],"event_id":"evt_aud_1_1","personal":"{personal}",'
        '"policy_version":4,"prev":null,"resource":"sig_1","role":"signer","seq":1,"tenant":"b5b0ab1e",'
        f'"time":"2031-01-02T03:04:06.678900Z","trail":"aud_1","type":"FIELDS_FILLED","v":{version}}}'
    )


def test_a_leaf_as_it_stands_in_the_log() -> None:
    committed = hashlib.sha256(b"document").hexdigest()
    document = f'{{"commitment":"{committed}","content":"original","document":"doc_1","version":1}}'
    assert compose(make_fields(1, None)).decode() == as_it_stands(document, 2)


def test_a_leaf_from_before_commitments_is_read_and_composed_as_it_was() -> None:
    bare = hashlib.sha256(b"document").hexdigest()
    document = f'{{"document":"doc_1","sha256":"{bare}","version":1}}'
    leaf = as_it_stands(document, 1).encode()
    assert parse(leaf).documents == (DocumentCommitment("doc_1", 1, bare),)
    assert compose(parse(leaf)) == leaf


def test_time_is_told_in_utc_whatever_its_zone() -> None:
    fields = make_fields(1, None)
    elsewhere = replace(fields, time=fields.time.astimezone(timezone(timedelta(hours=-9, minutes=-30))))
    assert compose(elsewhere) == compose(fields)
    with pytest.raises(InvalidLeaf, match="zone"):
        compose(replace(fields, time=datetime(2031, 1, 1)))  # noqa: DTZ001 - what is refused here


def test_a_leaf_has_a_longest_length() -> None:
    fields = replace(make_fields(1, None), resource="x")
    room = MAX_LEAF_BYTES - len(compose(fields))
    longest = compose(replace(fields, resource="x" * (room + 1)))
    assert len(longest) == MAX_LEAF_BYTES
    assert compose(parse(longest)) == longest
    with pytest.raises(InvalidLeaf, match="long"):
        compose(replace(fields, resource="x" * (room + 2)))


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(CanonicalError):
        compose(replace(make_fields(1, None), resource="\ud800"))


def test_an_unknown_member_does_not_stand_in_for_a_known_one() -> None:
    assert parse(compose(replace(make_fields(1, None), extra={"actor": "forged", "v": 9}))).actor == "5af3ac70"


# ---------------------------------------------------------------------------------------------------------- commitments

KEY = bytes(range(32))
PERSON = {"name": "Åsa Öberg", "email": "asa@example.com", "address": "192.0.2.7", "user_agent": "curl/8"}


def test_a_commitment_is_the_hmac_of_the_canonical_data() -> None:
    data = '{"address":"192.0.2.7","email":"asa@example.com","name":"Åsa Öberg","user_agent":"curl/8"}'
    assert commitment(KEY, PERSON) == hmac.new(KEY, data.encode(), hashlib.sha256).hexdigest()
    assert commitment(KEY, dict(reversed(PERSON.items()))) == commitment(KEY, PERSON)


def test_a_commitment_depends_on_key_and_data() -> None:
    found = {commitment(KEY, PERSON), commitment(KEY[::-1], PERSON), commitment(KEY, PERSON | {"name": "Asa Oberg"})}
    assert len(found) == 3


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_subject_s_key_has_one_length(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(bytes(length), PERSON)


def test_composing_costs_microseconds() -> None:
    fields = make_fields(5, "0" * 64)
    spent = []
    for _ in range(5):
        with Effort() as effort:
            for _ in range(1_000):
                leaf_hash(compose(fields))
        spent.append(effort.seconds)
    # Several times what it takes: this finds another order of magnitude.
    assert min(spent) / 1_000 < 60e-6
