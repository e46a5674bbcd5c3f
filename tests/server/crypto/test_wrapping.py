"""Key wrapping is RFC 3394's, and refuses what it did not make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.crypto.wrapping import WRAPPED_SIZE, unwrap_key, wrap_key
from zegel_server.errors import DataLoss

keys = st.binary(min_size=32, max_size=32)


def test_the_vector_of_rfc_3394_section_4_6() -> None:
    kek = bytes.fromhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    wrapped = bytes.fromhex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21")
    assert wrap_key(kek, key) == wrapped
    assert unwrap_key(kek, wrapped) == key


@given(keys, keys)
def test_a_key_goes_there_and_back(wrapping_key: bytes, key: bytes) -> None:
    blob = wrap_key(wrapping_key, key)
    assert len(blob) == WRAPPED_SIZE
    assert unwrap_key(wrapping_key, blob) == key


@given(keys, keys, st.integers(0, WRAPPED_SIZE * 8 - 1))
def test_a_flipped_bit_is_refused(wrapping_key: bytes, key: bytes, bit: int) -> None:
    blob = bytearray(wrap_key(wrapping_key, key))
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DataLoss):
        unwrap_key(wrapping_key, bytes(blob))


@given(st.binary(max_size=80))
def test_other_bytes_are_refused(blob: bytes) -> None:
    with pytest.raises(DataLoss):
        unwrap_key(bytes(32), blob)


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33, 64])
def test_only_256_bit_keys_are_taken(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_key(bytes(size), bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_key(bytes(32), bytes(size))
    with pytest.raises(ValueError, match="32 bytes"):
        unwrap_key(bytes(size), bytes(40))
