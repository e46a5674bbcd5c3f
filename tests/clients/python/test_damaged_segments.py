"""A damaged, cut, reordered or foreign stream gives nothing but the whole segments before the fault."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from support.streams import AAD, DEK, encrypt, released
from zegel import segments
from zegel.segments import (
    FIRST_SEGMENT_PLAINTEXT_SIZE,
    HEADER_SIZE,
    SEGMENT_PLAINTEXT_SIZE,
    SEGMENT_SIZE,
    TAG_SIZE,
    SegmentCipher,
    SegmentError,
    StreamDecryptor,
)

MUTATION_SIZE = 2 * SEGMENT_SIZE + 1000
"""A document of three segments."""


@pytest.fixture(scope="module")
def original() -> tuple[bytes, bytes]:
    """Return a document of three segments and its stream."""
    plaintext = random.Random(1).randbytes(MUTATION_SIZE)  # noqa: S311 - repeatable, not secret
    return plaintext, encrypt(plaintext)


def segment_of(stream: bytes, index: int) -> bytes:
    """Cut one segment out of the three-segment stream."""
    place = segments.ciphertext_range(index, MUTATION_SIZE)
    return stream[place.start : place.stop]


@given(position=st.integers(HEADER_SIZE, segments.ciphertext_size(MUTATION_SIZE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_nothing_of_its_segment(original: tuple[bytes, bytes], position: int, bit: int) -> None:
    _, stream = original
    index = position // SEGMENT_SIZE
    damaged = bytearray(segment_of(stream, index))
    damaged[position - segments.ciphertext_range(index, MUTATION_SIZE).start] ^= 1 << bit
    cipher = SegmentCipher(DEK, AAD, stream[:HEADER_SIZE])
    with pytest.raises(SegmentError):
        cipher.decrypt(index, index == 2, damaged)


@pytest.mark.parametrize("position", range(HEADER_SIZE))
def test_a_changed_header_gives_nothing(original: tuple[bytes, bytes], position: int) -> None:
    stream = bytearray(original[1])
    stream[position] ^= 1
    assert released(bytes(stream)) == []


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_damaged_stream_gives_only_what_came_whole_before(original: tuple[bytes, bytes], index: int) -> None:
    plaintext, stream = original
    damaged = bytearray(stream)
    damaged[segments.ciphertext_range(index, MUTATION_SIZE).start] ^= 1
    got = b"".join(released(bytes(damaged), seed=index))
    # A call that fails gives nothing, so the good segments it completed along the way may be missing too.
    assert plaintext.startswith(got)
    assert len(got) <= segments.plaintext_range(index, MUTATION_SIZE).start


@given(st.integers(0, segments.ciphertext_size(MUTATION_SIZE) - 1))
def test_a_truncated_stream_is_refused(original: tuple[bytes, bytes], length: int) -> None:
    plaintext, stream = original
    assert plaintext.startswith(b"".join(released(stream[:length])))


@pytest.mark.parametrize(
    "order", [(1, 0, 2), (0, 2, 1), (0, 0, 1, 2), (0, 1, 1, 2), (0, 2), (1, 2), (0, 1), (0,), (0, 1, 2, 2)]
)
def test_segments_in_another_order_are_refused(original: tuple[bytes, bytes], order: tuple[int, ...]) -> None:
    plaintext, stream = original
    spliced = stream[:HEADER_SIZE] + b"".join(segment_of(stream, index) for index in order)
    assert plaintext.startswith(b"".join(released(spliced)))


@pytest.mark.parametrize("tail", [b"\0", bytes(TAG_SIZE), bytes(SEGMENT_SIZE)])
def test_bytes_after_the_end_are_refused(original: tuple[bytes, bytes], tail: bytes) -> None:
    plaintext, stream = original
    assert plaintext.startswith(b"".join(released(stream + tail)))


def test_a_segment_of_another_stream_under_the_same_key_is_refused(original: tuple[bytes, bytes]) -> None:
    stream, other = original[1], encrypt(bytes(MUTATION_SIZE))
    spliced = stream[:HEADER_SIZE] + segment_of(other, 0) + segment_of(stream, 1) + segment_of(stream, 2)
    assert released(spliced) == []


@pytest.mark.parametrize(
    "aad",
    [
        segments.document_aad("other", "document", 7),
        segments.document_aad("tenant", "other", 7),
        segments.document_aad("tenant", "document", 8),
        b"",
    ],
)
def test_another_tenant_document_or_version_gives_nothing(original: tuple[bytes, bytes], aad: bytes) -> None:
    assert released(original[1], aad) == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ((0, False), (0, True)),
        ((0, True), (0, False)),
        ((2, False), (2, True)),
        ((2, True), (2, False)),
        ((2, True), (1, True)),
        ((2, False), (3, False)),
    ],
)
def test_the_last_flag_and_the_index_are_authenticated(written: tuple[int, bool], read: tuple[int, bool]) -> None:
    cipher = SegmentCipher.create(DEK, AAD)
    full = bytes(SEGMENT_PLAINTEXT_SIZE if written[0] else FIRST_SEGMENT_PLAINTEXT_SIZE)
    segment = cipher.encrypt(*written, full)
    assert cipher.decrypt(*written, segment) == full
    with pytest.raises(SegmentError, match="authenticate"):
        cipher.decrypt(*read, segment)


def test_a_decryptor_that_failed_gives_nothing_more(original: tuple[bytes, bytes]) -> None:
    stream = original[1]
    decryptor = StreamDecryptor(DEK, AAD)
    broken = bytearray(stream[: SEGMENT_SIZE + 1])
    broken[100] ^= 1
    with pytest.raises(SegmentError):
        decryptor.update(broken)
    with pytest.raises(SegmentError):
        decryptor.update(stream)
    with pytest.raises(SegmentError):
        decryptor.finish()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(stream: bytes) -> None:
    assert released(stream) == []


@given(st.data())
def test_no_mutation_of_a_stored_stream_releases_a_byte_past_it(
    original: tuple[bytes, bytes], data: st.DataObject
) -> None:
    plaintext, stream = original
    other = encrypt(plaintext, segments.document_aad("other-tenant", "document", 7))
    at = data.draw(st.integers(0, len(stream) - 1))
    length = data.draw(st.integers(1, 4_096))
    kind = data.draw(st.sampled_from(["flip", "cut", "drop", "repeat", "zero", "foreign", "foreign segment"]))
    match kind:
        case "flip":
            mutated = stream[:at] + bytes([stream[at] ^ data.draw(st.integers(1, 255))]) + stream[at + 1 :]
        case "cut":
            mutated = stream[:at]
        case "drop":
            mutated = stream[:at] + stream[at + length :]
        case "repeat":
            mutated = stream[: at + length] + stream[at:]
        case "zero":
            mutated = stream[:at] + bytes(len(stream[at : at + length])) + stream[at + length :]
        case "foreign":
            mutated = stream[:at] + other[at : at + length] + stream[at + length :]
        case _:
            place = segments.ciphertext_range(at // SEGMENT_SIZE, MUTATION_SIZE)
            at, mutated = place.start, stream[: place.start] + other[place.start : place.stop] + stream[place.stop :]
    assume(mutated != stream)
    got = b"".join(released(mutated, seed=at))
    whole_before = 0 if at < SEGMENT_SIZE else segments.plaintext_range(at // SEGMENT_SIZE, MUTATION_SIZE).start
    assert len(got) <= whole_before
    assert plaintext.startswith(got)
