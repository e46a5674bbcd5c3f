"""Trails and detached proofs: what is proved, and that every edit is found and named."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.effort import Effort
from support.merkle_log import KEY, ORIGIN, MadeLog, make_fields, make_trail
from zegel.evidence.canonical import dumps, loads
from zegel.evidence.leaves import BARE_HASHES
from zegel.evidence.note_signing import SignerKey
from zegel.evidence.trail import (
    MAX_LEAF_BYTES,
    SEALED_EVENT_TYPE,
    Check,
    DocumentCommitment,
    InvalidLeaf,
    SealedOpening,
    check_detached,
    check_trail,
    parse_leaf,
)
from zegel.evidence.transparency import COSIGNATURE_ED25519, ED25519, LogProof, leaf_hash
from zegel_server.audit.leaf import compose

LOG = KEY.verifier
EVENTS = 9
SEALED = b"%PDF-1.7 the sealed file"
SEALED_HASH = hashlib.sha256(SEALED).digest()
OPENING = SealedOpening("doc_1", 2, bytes(range(32)))


def lines(leaves: list[bytes]) -> bytes:
    return b"".join(leaf + b"\n" for leaf in leaves)


class Evidence:
    """A log with one trail in it, among other events, and the sealing of its file."""

    def __init__(self, events: int = EVENTS) -> None:
        self.leaves = make_trail(events)
        self.log = MadeLog()
        for number, leaf in enumerate(self.leaves):
            self.log.add(leaf, *make_trail(1, trail=f"aud_other_{number}"))
        self.last = self.log.entries.index(self.leaves[-1])
        self.proof = self.log.proof(self.last).format()
        self.jsonl = lines(self.leaves)
        fields = make_fields(events + 1, leaf_hash(self.leaves[-1]).hex(), kind=SEALED_EVENT_TYPE)
        committed = DocumentCommitment("doc_1", 2, OPENING.commit(SEALED_HASH, len(SEALED)), "sealed")
        self.sealing = replace(fields, documents=(committed,))
        self.detached = self.prove(compose(self.sealing))

    def prove(self, leaf: bytes) -> bytes:
        self.log.add(leaf)
        return self.log.proof(self.log.size - 1, extra=True).format()


@pytest.fixture(scope="module")
def made() -> Evidence:
    return Evidence()


def failed(jsonl: bytes, proof: bytes, **more: Any) -> set[Check]:
    report = check_trail(jsonl, proof, [LOG], **more)
    assert report.ok == (not report.failures)
    assert (report.trail is not None) == report.ok
    return {failure.check for failure in report.failures}


# ---------------------------------------------------------------------------------------------------------------- trail


def test_a_whole_trail_is_proved(made: Evidence) -> None:
    report = check_trail(made.jsonl, made.proof, [LOG])
    assert report.failures == ()
    assert report.ok
    assert report.trail == "aud_1"
    assert [leaf.seq for leaf in report.leaves] == list(range(1, EVENTS + 1))
    assert report.index == made.last
    assert report.checkpoint
    assert (report.checkpoint.origin, report.checkpoint.size) == (ORIGIN, 2 * EVENTS)
    assert report.clock_steps == ()


def test_a_trail_from_before_commitments_is_proved() -> None:
    leaves = make_trail(EVENTS, bare=True)
    log = MadeLog()
    log.add(*leaves)
    report = check_trail(lines(leaves), log.proof(EVENTS - 1).format(), [LOG])
    assert report.ok
    assert {leaf.version for leaf in report.leaves} == {BARE_HASHES}


@pytest.mark.slow
def test_any_changed_byte_of_the_trail_is_noticed(made: Evidence) -> None:
    jsonl = made.jsonl
    for at in range(len(jsonl)):
        assert failed(jsonl[:at] + bytes([jsonl[at] ^ 1]) + jsonl[at + 1 :], made.proof)
        assert failed(jsonl[:at], made.proof)


def test_any_changed_byte_of_the_proof_is_noticed(made: Evidence) -> None:
    proof = made.proof
    for at in range(len(proof)):
        assert failed(made.jsonl, proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :])
        assert failed(made.jsonl, proof[:at])


EDITS: list[tuple[Callable[[list[bytes]], list[bytes]], set[Check]]] = [
    (lambda leaves: leaves[:-1], {Check.INCLUSION}),
    (lambda leaves: leaves[1:], {Check.SEQUENCE, Check.CHAIN}),
    (lambda leaves: [*leaves[:3], *leaves[4:]], {Check.SEQUENCE, Check.CHAIN}),
    (lambda leaves: [*leaves[:3], leaves[4], leaves[3], *leaves[5:]], {Check.SEQUENCE, Check.CHAIN}),
    (lambda leaves: [*leaves[:3], leaves[3], *leaves[3:]], {Check.SEQUENCE, Check.CHAIN}),
    (lambda leaves: [*leaves, leaves[-1]], {Check.SEQUENCE, Check.CHAIN}),
    (lambda leaves: leaves[::-1], {Check.SEQUENCE, Check.CHAIN, Check.INCLUSION}),
    (lambda leaves: [*leaves[:3], b"", *leaves[3:]], {Check.LEAF_FORMAT, Check.SEQUENCE, Check.CHAIN}),
    (lambda _: [], {Check.LEAF_FORMAT, Check.INCLUSION}),
    (lambda leaves: make_trail(len(leaves), trail="aud_2"), {Check.INCLUSION}),
    (lambda leaves: [make_trail(1, trail="aud_2")[0], *leaves[1:]], {Check.CHAIN, Check.ONE_TRAIL}),
]


@pytest.mark.parametrize(("edit", "checks"), EDITS)
def test_an_edited_trail_is_found_and_named(
    made: Evidence, edit: Callable[[list[bytes]], list[bytes]], checks: set[Check]
) -> None:
    assert failed(lines(edit(made.leaves)), made.proof) == checks


def test_a_leaf_rewritten_breaks_the_chain_after_it(made: Evidence) -> None:
    value: Any = loads(made.leaves[3])
    value["actor"] = "somebody else"
    edited = [*made.leaves[:3], dumps(value), *made.leaves[4:]]
    report = check_trail(lines(edited), made.proof, [LOG])
    assert [(failure.check, failure.line) for failure in report.failures] == [(Check.CHAIN, 5)]


def test_a_trail_rechained_by_a_forger_is_not_in_the_log(made: Evidence) -> None:
    forged: list[bytes] = []
    for leaf in made.leaves:
        value: Any = loads(leaf)
        value["actor"] = "somebody else"
        value["prev"] = leaf_hash(forged[-1]).hex() if forged else None
        forged.append(dumps(value))
    assert failed(lines(forged), made.proof) == {Check.INCLUSION}


def test_another_tenant_s_leaf_is_named(made: Evidence) -> None:
    first = parse_leaf(made.leaves[0])
    leaves = [made.leaves[0]]
    leaves.append(compose(replace(make_fields(2, leaf_hash(leaves[0]).hex()), tenant="another")))
    log = MadeLog()
    log.add(*leaves)
    assert first.tenant != "another"
    assert failed(lines(leaves), log.proof(1).format()) == {Check.ONE_TRAIL}


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\n", lambda d: d.replace(b"\n", b"\r\n")])
def test_line_ends_are_newlines_and_each_line_has_one(made: Evidence, change: Callable[[bytes], bytes]) -> None:
    assert Check.LEAF_FORMAT in failed(change(made.jsonl), made.proof)


def test_a_trail_too_long_is_refused_unread(made: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zegel.evidence.trail.MAX_TRAIL_BYTES", len(made.jsonl) - 1)
    assert Check.LEAF_FORMAT in failed(made.jsonl, made.proof)


def test_a_clock_that_went_back_is_told_and_takes_nothing_from_the_proof() -> None:
    first = compose(make_fields(1, None))
    fields = make_fields(2, leaf_hash(first).hex())
    second = compose(replace(fields, time=fields.time - timedelta(hours=1)))
    log = MadeLog()
    log.add(first, second)
    report = check_trail(lines([first, second]), log.proof(1).format(), [LOG])
    assert report.ok
    assert report.clock_steps == (2,)


def test_a_proof_of_another_event_is_refused(made: Evidence) -> None:
    assert failed(made.jsonl, made.log.proof(made.last - 1).format()) == {Check.INCLUSION}


def test_a_checkpoint_of_another_log_is_refused(made: Evidence) -> None:
    other = SignerKey(ORIGIN, ED25519, b"o" * 32)
    proof = replace(LogProof.parse(made.proof), checkpoint=made.log.checkpoint(2 * EVENTS, other))
    assert failed(made.jsonl, proof.format()) == {Check.SIGNATURE}
    assert check_trail(made.jsonl, made.proof, []).failures[0].check is Check.SIGNATURE


def test_a_quorum_of_witnesses_can_be_asked_for(made: Evidence) -> None:
    witness = SignerKey("w.example", COSIGNATURE_ED25519, b"w" * 32)
    assert failed(made.jsonl, made.proof, witnesses=[witness.verifier], quorum=1) == {Check.SIGNATURE}
    text = made.log.checkpoint(2 * EVENTS).partition(b"\n\n")[0] + b"\n"
    proof = LogProof.parse(made.proof)
    cosigned = replace(proof, checkpoint=proof.checkpoint + witness.sign(text, 5))
    assert failed(made.jsonl, cosigned.format(), witnesses=[witness.verifier], quorum=1) == set()


def test_extra_data_that_is_not_the_leaf_is_refused(made: Evidence) -> None:
    proof = LogProof.parse(made.proof)
    assert failed(made.jsonl, replace(proof, extra=made.leaves[-1]).format()) == set()
    assert failed(made.jsonl, replace(proof, extra=made.leaves[0]).format()) == {Check.PROOF_FORMAT}


def test_a_hundred_events_are_checked_well_under_50_ms() -> None:
    made = Evidence(100)
    spent = []
    for _ in range(5):
        with Effort() as effort:
            assert check_trail(made.jsonl, made.proof, [LOG]).ok
            assert check_detached(SEALED_HASH, len(SEALED), made.detached, [LOG], opening=OPENING, trail="aud_1").ok
        spent.append(effort.seconds)
    assert min(spent) < 0.05


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_input_makes_it_raise(jsonl: bytes, proof: bytes) -> None:
    assert not check_trail(jsonl, proof, [LOG]).ok
    assert not check_detached(SEALED_HASH, len(SEALED), proof, [LOG], opening=OPENING).ok


# ------------------------------------------------------------------------------------------------------- detached proof


def unproved(proof: bytes, file_sha256: bytes = SEALED_HASH, **more: Any) -> set[Check]:
    report = check_detached(
        file_sha256, **{"file_size": len(SEALED), "opening": OPENING, **more}, proof=proof, logs=[LOG]
    )
    assert report.ok == (not report.failures)
    return {failure.check for failure in report.failures}


def test_the_sealed_file_is_proved_by_its_hash_and_what_opens_the_commitment_to_it(made: Evidence) -> None:
    report = check_detached(SEALED_HASH, len(SEALED), made.detached, [LOG], opening=OPENING)
    assert report.ok
    assert report.leaf == made.sealing
    assert unproved(made.detached, trail="aud_1") == set()


def test_any_changed_byte_of_the_detached_proof_is_noticed(made: Evidence) -> None:
    proof = made.detached
    for at in range(len(proof)):
        assert unproved(proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :])
        assert unproved(proof[:at])


@pytest.mark.parametrize(
    "opening",
    [None, replace(OPENING, document="doc_2"), replace(OPENING, version=1), replace(OPENING, salt=bytes(32))],
)
def test_without_its_own_opening_no_file_is_proved(made: Evidence, opening: SealedOpening | None) -> None:
    assert unproved(made.detached, opening=opening) == {Check.SEALED_FILE}


def test_the_same_document_as_another_content_is_not_the_sealed_file(made: Evidence) -> None:
    (document,) = made.sealing.documents
    other = compose(replace(made.sealing, documents=(replace(document, content="original"),)))
    assert unproved(made.prove(other)) == {Check.SEALED_FILE}


def test_a_sealing_from_before_commitments_is_proved_by_the_file_s_hash_alone(made: Evidence) -> None:
    bare = replace(made.sealing, documents=(DocumentCommitment("doc_1", 2, SEALED_HASH.hex()),), version=BARE_HASHES)
    proof = made.prove(compose(bare))
    assert unproved(proof, opening=None) == set()
    assert unproved(proof) == set()
    assert unproved(proof, hashlib.sha256(b"another").digest(), opening=None) == {Check.SEALED_FILE}


def test_another_file_or_trail_is_refused(made: Evidence) -> None:
    assert unproved(made.detached, hashlib.sha256(SEALED + b"\n").digest()) == {Check.SEALED_FILE}
    assert unproved(made.detached, file_size=len(SEALED) + 1) == {Check.SEALED_FILE}
    assert unproved(made.detached, trail="aud_2") == {Check.ONE_TRAIL}


def test_an_event_that_only_mentions_the_file_does_not_seal_it(made: Evidence) -> None:
    mention = compose(replace(made.sealing, type="DOCUMENT_DOWNLOADED"))
    assert unproved(made.prove(mention)) == {Check.SEALED_FILE}


def test_a_proof_without_its_leaf_is_refused(made: Evidence) -> None:
    bare = replace(LogProof.parse(made.detached), extra=b"")
    assert unproved(bare.format()) == {Check.INCLUSION, Check.LEAF_FORMAT}


def test_an_entry_that_is_no_leaf_is_refused(made: Evidence) -> None:
    assert unproved(made.prove(b"no leaf")) == {Check.LEAF_FORMAT}


def test_a_sealing_outside_a_trail_is_refused(made: Evidence) -> None:
    lone = compose(replace(made.sealing, trail=None, seq=None, prev=None))
    assert unproved(made.prove(lone)) == {Check.ONE_TRAIL}


# --------------------------------------------------------------------------------------------------------------- leaves


def test_what_a_leaf_holds_beyond_is_kept() -> None:
    value: Any = loads(make_trail(1)[0])
    value["added_later"] = {"deep": [1, None]}
    value["documents"][0]["pages"] = 3
    value["type"] = "A_TYPE_OF_TOMORROW"
    leaf = parse_leaf(dumps(value))
    assert leaf.extra == {"added_later": {"deep": [1, None]}}
    assert leaf.documents[0].extra == {"pages": 3}
    assert compose(leaf) == dumps(value)


SAMPLE: Any = loads(make_trail(1)[0])


@pytest.mark.parametrize("name", sorted(SAMPLE))
def test_a_leaf_lacks_nothing(name: str) -> None:
    value: Any = loads(make_trail(1)[0])
    del value[name]
    with pytest.raises(InvalidLeaf):
        parse_leaf(dumps(value))


@pytest.mark.parametrize(
    "change",
    [
        {"v": 0},
        {"v": 1},
        {"v": 3},
        {"v": []},
        {"v": True},
        {"v": "1"},
        {"event_id": ""},
        {"event_id": None},
        {"tenant": ""},
        {"tenant": 5},
        {"seq": 0},
        {"seq": -1},
        {"seq": True},
        {"seq": "1"},
        {"seq": None},
        {"seq": 2},
        {"trail": None},
        {"trail": ""},
        {"prev": "0" * 64},
        {"seq": 2, "prev": "0" * 63},
        {"seq": 2, "prev": "A" * 64},
        {"type": "lower"},
        {"type": ""},
        {"type": "A" * 65},
        {"type": "A\n"},
        {"time": "2031-01-02T03:04:05Z"},
        {"time": "2031-01-02T03:04:05.000000+00:00"},
        {"time": "2031-13-02T03:04:05.000000Z"},
        {"time": "2031-01-02 03:04:05.000000Z"},
        {"time": 5},
        {"actor": ""},
        {"actor_kind": None},
        {"decision": None},
        {"policy_version": -1},
        {"policy_version": None},
        {"documents": None},
        {"documents": {}},
        {"documents": [5]},
        {"documents": [{"document": "d", "version": 1}]},
        {"documents": [{"document": "d", "version": 1, "sha256": "0" * 64}]},
        {"documents": [{"document": "d", "version": 1, "commitment": "0" * 64}]},
        {"documents": [{"document": "d", "version": 1, "commitment": "0" * 64, "content": ""}]},
        {"documents": [{"document": "d", "version": 1, "commitment": "0", "content": "original"}]},
        {"documents": [{"document": "d", "version": "1", "commitment": "0" * 64, "content": "original"}]},
        {"personal": "0"},
    ],
)
def test_a_leaf_misstates_nothing(change: dict[str, Any]) -> None:
    value: Any = loads(make_trail(1)[0])
    with pytest.raises(InvalidLeaf):
        parse_leaf(dumps(value | change))


@pytest.mark.parametrize(
    "document",
    [
        {"document": "d", "version": 1, "sha256": "0"},
        {"document": "d", "version": "1", "sha256": "0" * 64},
        {"document": "d", "version": 1, "commitment": "0" * 64, "content": "original"},
    ],
)
def test_nor_does_one_from_before_commitments(document: dict[str, Any]) -> None:
    value: Any = loads(make_trail(1, bare=True)[0])
    assert parse_leaf(dumps(value)).documents
    with pytest.raises(InvalidLeaf):
        parse_leaf(dumps(value | {"documents": [document]}))


@pytest.mark.parametrize("data", [b"", b"5", b"[]", b"null", b"x" * (MAX_LEAF_BYTES + 1)])
def test_what_is_no_object_is_no_leaf(data: bytes) -> None:
    with pytest.raises(InvalidLeaf):
        parse_leaf(data)
