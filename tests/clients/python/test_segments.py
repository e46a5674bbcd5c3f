"""The stored form agrees with Tink, byte for byte, and gives nothing of a damaged stream."""

import io
import os
import random
from typing import TYPE_CHECKING

import pytest
import tink
from hypothesis import given
from hypothesis import strategies as st
from tink import streaming_aead

from support.streams import AAD, DEK, decrypt, encrypt
from support.tink_streams import tink_aead, tink_encrypt
from zegel import segments
from zegel.segments import (
    FIRST_SEGMENT_PLAINTEXT_SIZE,
    HEADER_SIZE,
    MAX_PLAINTEXT_SIZE,
    MAX_SEGMENTS,
    SEGMENT_PLAINTEXT_SIZE,
    SEGMENT_SIZE,
    TAG_SIZE,
    Position,
    SegmentCipher,
    SegmentError,
    StreamDecryptor,
    StreamEncryptor,
)

if TYPE_CHECKING:
    pass

BOUNDARIES = sorted(
    {
        max(0, around + delta)
        for around in (
            0,
            FIRST_SEGMENT_PLAINTEXT_SIZE,
            SEGMENT_PLAINTEXT_SIZE,
            SEGMENT_SIZE,
            FIRST_SEGMENT_PLAINTEXT_SIZE + SEGMENT_PLAINTEXT_SIZE,
            2 * SEGMENT_SIZE,
            FIRST_SEGMENT_PLAINTEXT_SIZE + 2 * SEGMENT_PLAINTEXT_SIZE,
        )
        for delta in (-1, 0, 1)
    },
)
"""Sizes on, before and after each place where the number of segments changes."""


@pytest.fixture(scope="module", name="tink_aead")
def tink_aead_of_ours() -> streaming_aead.StreamingAead:
    return tink_aead(DEK)


@pytest.mark.parametrize("size", BOUNDARIES)
def test_tink_opens_what_we_write(tink_aead: streaming_aead.StreamingAead, size: int) -> None:
    plaintext = os.urandom(size)
    with tink_aead.new_decrypting_stream(io.BytesIO(encrypt(plaintext, seed=size)), AAD) as stream:
        assert stream.read() == plaintext


@pytest.mark.parametrize("size", BOUNDARIES)
def test_we_open_what_tink_writes(tink_aead: streaming_aead.StreamingAead, size: int) -> None:
    plaintext = os.urandom(size)
    stream = tink_encrypt(tink_aead, plaintext, AAD)
    assert len(stream) == segments.ciphertext_size(size)
    assert decrypt(stream, seed=size) == plaintext


@given(
    size=st.one_of(st.integers(0, 2_000), st.integers(0, 3 * SEGMENT_SIZE)),
    aad=st.binary(max_size=300),
    seed=st.integers(0, 2**32),
    tink_writes=st.booleans(),
)
def test_any_document_under_any_associated_data_is_the_same_to_tink(
    tink_aead: streaming_aead.StreamingAead, size: int, aad: bytes, seed: int, tink_writes: bool
) -> None:
    plaintext = random.Random(seed).randbytes(size)  # noqa: S311 - repeatable, not secret
    if tink_writes:
        assert decrypt(tink_encrypt(tink_aead, plaintext, aad), aad, seed) == plaintext
    else:
        with tink_aead.new_decrypting_stream(io.BytesIO(encrypt(plaintext, aad, seed)), aad) as stream:
            assert stream.read() == plaintext


def test_tink_refuses_our_stream_under_other_associated_data(tink_aead: streaming_aead.StreamingAead) -> None:
    stream = encrypt(b"contract")
    other = segments.document_aad("tenant", "document", 8)
    with tink_aead.new_decrypting_stream(io.BytesIO(stream), other) as source, pytest.raises(tink.TinkError):
        source.read()


@given(st.one_of(st.integers(0, 5 * SEGMENT_SIZE), st.integers(0, MAX_PLAINTEXT_SIZE)))
def test_sizes_go_there_and_back(size: int) -> None:
    stored = segments.ciphertext_size(size)
    assert segments.plaintext_size(stored) == size
    assert stored == HEADER_SIZE + size + segments.segment_count(size) * TAG_SIZE


@given(st.integers(0, 4 * SEGMENT_SIZE))
def test_a_stored_size_is_either_one_documents_or_refused(stored: int) -> None:
    try:
        size = segments.plaintext_size(stored)
    except SegmentError:
        # Between a full last segment and the next one's first byte there are exactly 16 sizes that no stream has.
        assert stored < HEADER_SIZE + TAG_SIZE or 1 <= stored % SEGMENT_SIZE <= TAG_SIZE
    else:
        assert segments.ciphertext_size(size) == stored


@given(st.data())
def test_an_offset_lies_in_the_segment_that_says_so(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 5 * SEGMENT_SIZE))
    offset = data.draw(st.integers(0, size - 1))
    where = segments.locate(offset)
    held = segments.plaintext_range(where.index, size)
    assert offset in held
    assert held[where.offset] == offset
    assert len(segments.ciphertext_range(where.index, size)) == len(held) + TAG_SIZE


@pytest.mark.parametrize("size", BOUNDARIES)
def test_segments_tile_the_stream_and_the_plaintext(size: int) -> None:
    stored_end, plain_end = HEADER_SIZE, 0
    for index in range(segments.segment_count(size)):
        stored, plain = segments.ciphertext_range(index, size), segments.plaintext_range(index, size)
        assert (stored.start, plain.start) == (stored_end, plain_end)
        stored_end, plain_end = stored.stop, plain.stop
    assert (stored_end, plain_end) == (segments.ciphertext_size(size), size)


def test_the_places_around_the_first_boundary() -> None:
    assert segments.locate(FIRST_SEGMENT_PLAINTEXT_SIZE - 1) == Position(0, FIRST_SEGMENT_PLAINTEXT_SIZE - 1)
    assert segments.locate(FIRST_SEGMENT_PLAINTEXT_SIZE) == Position(1, 0)
    assert segments.locate(MAX_PLAINTEXT_SIZE - 1) == Position(MAX_SEGMENTS - 1, SEGMENT_PLAINTEXT_SIZE - 1)


@pytest.mark.parametrize("size", [-1, MAX_PLAINTEXT_SIZE + 1])
def test_impossible_sizes_are_refused(size: int) -> None:
    for ask in (segments.segment_count, segments.ciphertext_size):
        with pytest.raises(ValueError, match="a document is"):
            ask(size)


@pytest.mark.parametrize("offset", [-1, MAX_PLAINTEXT_SIZE])
def test_impossible_offsets_are_refused(offset: int) -> None:
    with pytest.raises(ValueError, match="an offset is"):
        segments.locate(offset)


@pytest.mark.parametrize("index", [-1, 2])
def test_segments_a_document_does_not_have_are_refused(index: int) -> None:
    for ask in (segments.ciphertext_range, segments.plaintext_range):
        with pytest.raises(ValueError, match="no such segment"):
            ask(index, SEGMENT_SIZE)


@given(st.binary(max_size=2000))
def test_encrypting_into_memory_gives_the_same_segment(plaintext: bytes) -> None:
    cipher = SegmentCipher.create(DEK, AAD)
    out = bytearray(len(plaintext) + 20)
    cipher.encrypt_into(0, True, plaintext, memoryview(out)[2:-2])
    assert out == bytes(2) + cipher.encrypt(0, True, plaintext) + bytes(2)
    for wrong in (bytearray(len(plaintext) + 15), bytearray(len(plaintext) + 17)):
        with pytest.raises(ValueError, match="buffer"):
            cipher.encrypt_into(0, True, plaintext, wrong)
    with pytest.raises(ValueError, match="length"):
        cipher.encrypt_into(0, False, plaintext, out)


def test_a_segment_can_be_read_alone() -> None:
    plaintext = os.urandom(2 * SEGMENT_SIZE + 5)
    stream = memoryview(encrypt(plaintext))
    cipher = SegmentCipher(DEK, AAD, bytes(stream[:HEADER_SIZE]))
    count = segments.segment_count(len(plaintext))
    for index in reversed(range(count)):
        stored = segments.ciphertext_range(index, len(plaintext))
        plain = segments.plaintext_range(index, len(plaintext))
        got = cipher.decrypt(index, index == count - 1, stream[stored.start : stored.stop])
        assert got == plaintext[plain.start : plain.stop]


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_a_stream_goes_on_from_a_segment_boundary(stored: int) -> None:
    plaintext = os.urandom(2 * SEGMENT_SIZE + 5)
    cipher = SegmentCipher.create(DEK, AAD)
    first = StreamEncryptor(cipher)
    kept = first.update(plaintext)[:stored]

    again = StreamEncryptor(SegmentCipher(DEK, AAD, cipher.header), next_index=stored)
    rest = plaintext[segments.plaintext_range(stored, len(plaintext)).start :]
    stream = b"".join([cipher.header, *kept, *again.update(rest), again.finish()])

    assert decrypt(stream) == plaintext


def test_an_encryptor_tells_what_it_holds() -> None:
    encryptor = StreamEncryptor(SegmentCipher.create(DEK, AAD))
    assert encryptor.update(bytes(FIRST_SEGMENT_PLAINTEXT_SIZE)) == []
    assert (encryptor.next_index, encryptor.pending) == (0, FIRST_SEGMENT_PLAINTEXT_SIZE)
    assert [len(segment) for segment in encryptor.update(b"x")] == [SEGMENT_SIZE - HEADER_SIZE]
    assert (encryptor.next_index, encryptor.pending) == (1, 1)


def test_a_decryptor_can_begin_in_the_middle_and_stop_before_the_end() -> None:
    plaintext = os.urandom(4 * SEGMENT_SIZE)
    stream = encrypt(plaintext)
    decryptor = StreamDecryptor(DEK, AAD, header=stream[:HEADER_SIZE], next_index=1)
    start, stop = segments.ciphertext_range(1, len(plaintext)).start, segments.ciphertext_range(2, len(plaintext)).stop
    got = b"".join([*decryptor.update(stream[start:stop]), decryptor.finish(end_of_stream=False)])
    wanted = slice(segments.plaintext_range(1, len(plaintext)).start, segments.plaintext_range(2, len(plaintext)).stop)
    assert got == plaintext[wanted]


def test_the_callers_buffer_may_change_after_update() -> None:
    cipher = SegmentCipher.create(DEK, AAD)
    encryptor = StreamEncryptor(cipher)
    buffer = bytearray(b"first")
    encryptor.update(buffer)
    buffer[:] = b"other"
    assert decrypt(cipher.header + encryptor.finish()) == b"first"


def test_two_streams_of_one_document_share_nothing() -> None:
    one, other = encrypt(b"same"), encrypt(b"same")
    assert one[:HEADER_SIZE] != other[:HEADER_SIZE]
    assert one[HEADER_SIZE:] != other[HEADER_SIZE:]


@pytest.mark.parametrize(
    ("index", "last", "size"),
    [
        (0, False, 0),
        (0, False, 10),
        (1, False, FIRST_SEGMENT_PLAINTEXT_SIZE),
        (1, True, 0),
        (0, True, FIRST_SEGMENT_PLAINTEXT_SIZE + 1),
    ],
)
def test_a_segment_of_the_wrong_length_is_not_written(index: int, last: bool, size: int) -> None:
    with pytest.raises(ValueError, match="wrong length"):
        SegmentCipher.create(DEK, AAD).encrypt(index, last, bytes(size))


@pytest.mark.parametrize("index", [-1, MAX_SEGMENTS])
def test_an_index_that_four_bytes_cannot_hold_is_refused(index: int) -> None:
    cipher = SegmentCipher.create(DEK, AAD)
    for act in (cipher.encrypt, cipher.decrypt):
        with pytest.raises(ValueError, match="no such segment"):
            act(index, True, b"x" * 17)
    with pytest.raises(ValueError, match="no such segment"):
        StreamEncryptor(cipher, index)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    for make in (lambda: SegmentCipher.create(bytes(16), AAD), lambda: StreamDecryptor(bytes(33), AAD)):
        with pytest.raises(ValueError, match="32 bytes"):
            make()


def test_a_beginning_in_the_middle_needs_its_header() -> None:
    with pytest.raises(ValueError, match="needs its header"):
        StreamDecryptor(DEK, AAD, next_index=1)


def test_a_stream_ends_once() -> None:
    stream = encrypt(b"x")
    encryptor, decryptor = StreamEncryptor(SegmentCipher.create(DEK, AAD)), StreamDecryptor(DEK, AAD)
    encryptor.finish()
    decryptor.update(stream)
    decryptor.finish()
    for act in (encryptor.finish, decryptor.finish, lambda: encryptor.update(b"x"), lambda: decryptor.update(b"x")):
        with pytest.raises(ValueError, match="is finished"):
            act()


def test_a_continued_stream_cannot_end_in_an_empty_segment() -> None:
    with pytest.raises(ValueError, match="wrong length"):
        StreamEncryptor(SegmentCipher.create(DEK, AAD), next_index=1).finish()


identifiers = st.text(min_size=1, max_size=20)


@given(
    st.tuples(identifiers, identifiers, st.integers(0, 2**64 - 1)),
    st.tuples(identifiers, identifiers, st.integers(0, 2**64 - 1)),
)
def test_associated_data_tells_every_document_apart(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert (segments.document_aad(*one) == segments.document_aad(*other)) == (one == other)


def test_associated_data_has_its_documented_form() -> None:
    assert b"zegel/document/v1\0\6tenant\0\x08document" + (7).to_bytes(8) == AAD


@pytest.mark.parametrize(
    ("tenant", "document", "version"),
    [("", "d", 0), ("t", "", 0), ("t", "d" * 65_536, 0), ("t", "d", -1), ("t", "d", 2**64)],
)
def test_associated_data_refuses_what_it_cannot_hold(tenant: str, document: str, version: int) -> None:
    with pytest.raises(ValueError, match="is "):
        segments.document_aad(tenant, document, version)
