"""The messages of tlog-witness have one form each, and only a witness's own fresh lines are taken from an answer."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.merkle_log import KEY
from zegel.evidence.note_signing import SignerKey, sign_note
from zegel.evidence.transparency import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    ED25519,
    MAX_SIZE,
    Checkpoint,
    InvalidKey,
    InvalidNoteSignature,
    TransparencyError,
    UnsignedNote,
    leaf_hash,
)
from zegel.evidence.witness_messages import (
    MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES,
    AddCheckpoint,
    check_witness_key,
    parse_size,
    read_cosignatures,
)

NOW = 1_700_000_000
W1 = SignerKey("w.example/1", COSIGNATURE_ED25519, b"1" * 32)
W2 = SignerKey("w.example/1", COSIGNATURE_MLDSA44, b"2" * 32)
TEXT = Checkpoint(KEY.name, 3, leaf_hash(b"root")).format()
NOTE = sign_note(TEXT, KEY.sign(TEXT))


def read(answer: bytes, *keys: SignerKey) -> dict[str, bytes]:
    known = [each.verifier for each in keys or (W1, W2)]
    found = read_cosignatures(TEXT, answer, known, earliest=NOW - 60, latest=NOW + 60)
    return {str(key): line for key, line in found.items()}


@given(st.integers(0, MAX_SIZE), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_comes_back_as_it_was(old: int, proof: list[bytes]) -> None:
    request = AddCheckpoint(old, tuple(proof), NOTE)
    assert AddCheckpoint.parse(request.format()) == request


def test_a_request_is_written_as_the_standard_has_it() -> None:
    """The form of the example in tlog-witness."""
    proof = (leaf_hash(b"a"), leaf_hash(b"b"))
    lines = "".join(base64.b64encode(each).decode() + "\n" for each in proof)
    assert AddCheckpoint(20852014, proof, NOTE).format() == f"old 20852014\n{lines}\n".encode() + NOTE


@given(st.data())
def test_a_changed_request_is_another_or_none(data: st.DataObject) -> None:
    good = AddCheckpoint(2, (leaf_hash(b"a"),), NOTE).format()
    place = data.draw(st.integers(0, len(good) - 1))
    changed = good[:place] + data.draw(st.binary(max_size=3)) + good[place + data.draw(st.integers(0, 3)) :]
    with suppress(TransparencyError):
        # Whatever is read is exactly what it would be written as.
        assert AddCheckpoint.parse(changed).format() == changed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 1\n",
        NOTE,
        b"\n\n" + NOTE,
        b"old 01\n\n" + NOTE,
        b"old -1\n\n" + NOTE,
        b"old +1\n\n" + NOTE,
        b"old 1 \n\n" + NOTE,
        b"old  1\n\n" + NOTE,
        b"Old 1\n\n" + NOTE,
        b"old 9223372036854775808\n\n" + NOTE,
        b"old 1\r\n\r\n" + NOTE,
        b"old 1\nAAAA\n\n" + NOTE,
        b"old 1\n" + base64.b64encode(bytes(31)) + b"\n\n" + NOTE,
        b"old 1\n" + base64.b64encode(bytes(32)).rstrip(b"=") + b"\n\n" + NOTE,
        b"old 1\n" + base64.b64encode(bytes(32))[:-2] + b"B=\n\n" + NOTE,  # stray bits
        b"old 1\n" + (base64.b64encode(bytes(32)) + b"\n") * 64 + b"\n" + NOTE,
        b"old 1\n\n" + NOTE[:-1],
        b"old 1\n\n" + TEXT,
        b"old 1\n\nnot a checkpoint\n\n" + NOTE.partition(b"\n\n")[2],
        b"old 1\n\n" + NOTE + b"x" * MAX_REQUEST_BYTES,
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(TransparencyError):
        AddCheckpoint.parse(body)


def test_the_lines_of_a_known_witness_are_taken_and_others_passed_over() -> None:
    stranger = SignerKey("stranger.example", COSIGNATURE_ED25519, b"3" * 32)
    lines = [each.sign(TEXT, NOW) for each in (W1, stranger, W2)]
    assert read(b"".join(lines)) == {str(W1.verifier): lines[0], str(W2.verifier): lines[2]}
    assert read(b"".join(lines), W1) == {str(W1.verifier): lines[0]}


OTHER = Checkpoint(KEY.name, 4, leaf_hash(b"root")).format()


@pytest.mark.parametrize(
    "answer",
    [
        W1.sign(OTHER, NOW),
        W2.sign(OTHER, NOW),
        W1.sign(TEXT, NOW - 61),
        W1.sign(TEXT, NOW + 61),
        W2.sign(TEXT, 0),
        W1.sign(TEXT, NOW) * 2,
        W1.sign(TEXT, NOW) + W2.sign(OTHER, NOW),
    ],
)
def test_a_known_witness_s_bad_line_refuses_the_answer(answer: bytes) -> None:
    with pytest.raises(InvalidNoteSignature):
        read(answer)


def test_somebody_else_s_line_is_none_of_the_witness_s() -> None:
    renamed = SignerKey("w.example/1", COSIGNATURE_ED25519, b"4" * 32)
    for answer in (renamed.sign(TEXT, NOW), KEY.sign(TEXT)):
        with pytest.raises(UnsignedNote):
            read(answer)


@pytest.mark.parametrize(
    "answer",
    [b"", b"\n", b"garbage\n", W1.sign(TEXT, NOW)[:-1], b"\n" + W1.sign(TEXT, NOW), b"\xff" * 100],
)
def test_garbage_is_no_answer(answer: bytes) -> None:
    with pytest.raises(TransparencyError):
        read(answer)
    with pytest.raises(TransparencyError):
        read(answer + b"x" * MAX_ANSWER_BYTES)


def test_an_answer_cannot_lengthen_the_checkpoint() -> None:
    longer = TEXT + b"\nmore\n"
    with pytest.raises(TransparencyError):
        read(b"more\n\n" + W1.sign(longer, NOW))


def test_a_size_is_told_in_one_form() -> None:
    kind = "text/x.tlog.size"
    assert parse_size(kind, b"0\n") == 0
    assert parse_size(kind, b"20852014\n") == 20852014
    for body in (b"", b"1", b"01\n", b"-1\n", b"1\n\n", b"9223372036854775808\n", b"1 \n"):
        assert parse_size(kind, body) is None
    assert parse_size("text/plain", b"1\n") is None


def test_a_key_makes_one_kind_of_signature() -> None:
    check_witness_key(W1.verifier, [KEY.verifier])
    with pytest.raises(InvalidKey):
        check_witness_key(SignerKey("w.example/1", ED25519, b"1" * 32).verifier)
    with pytest.raises(InvalidKey, match="a key must make only one kind"):
        check_witness_key(SignerKey("w.example/1", COSIGNATURE_ED25519, KEY.seed).verifier, [KEY.verifier])


@pytest.mark.parametrize("key", [KEY, W1, W2])
def test_a_signer_comes_back_from_its_line(key: SignerKey) -> None:
    assert SignerKey.parse(key.secret()).verifier == key.verifier
    assert key.seed.hex() not in repr(key)
    for damaged in (key.secret()[:-2], key.secret().replace("PRIVATE", "PUBLIC"), key.secret() + "\n", ""):
        with pytest.raises(InvalidKey):
            SignerKey.parse(damaged)
