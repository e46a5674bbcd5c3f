"""A commitment ties a stored key to its identifier."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.crypto.commitment import COMMITMENT_SIZE, check_commitment, commit
from zegel_server.errors import DataLoss

keys = st.binary(min_size=32, max_size=32)


@given(keys, st.text(max_size=100))
def test_it_is_hkdf_expand_as_rfc_5869_has_it(key: bytes, key_id: str) -> None:
    info = b"zegel/kc/v1" + key_id.encode("utf-8")
    assert commit(key, key_id) == hmac.new(key, info + b"\x01", hashlib.sha256).digest()
    assert len(commit(key, key_id)) == COMMITMENT_SIZE


@given(keys, st.text(max_size=20), keys, st.text(max_size=20))
def test_only_its_own_key_and_identifier_pass(key: bytes, key_id: str, other_key: bytes, other_id: str) -> None:
    commitment = commit(key, key_id)
    check_commitment(key, key_id, commitment)
    if other_key != key:
        with pytest.raises(DataLoss):
            check_commitment(other_key, key_id, commitment)
    if other_id != key_id:
        with pytest.raises(DataLoss):
            check_commitment(key, other_id, commitment)


@given(st.binary(max_size=64))
def test_anything_else_is_refused(commitment: bytes) -> None:
    with pytest.raises(DataLoss):
        check_commitment(bytes(32), "id", commitment)
