"""What people type, encrypted: for its own row and column alone, under its own tenant key alone."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.crypto import TenantKey, TextKey
from zegel_server.errors import DataLoss


def key_of(version: int = 1) -> TextKey:
    return TextKey(version, TenantKey(f"ten_1/{version}", secrets.token_bytes(32)))


@given(st.binary(max_size=300), st.text(max_size=60))
def test_it_opens_as_it_was(plain: bytes, context: str) -> None:
    key = key_of()
    stored = key.encrypt(plain, context)
    assert key.decrypt(stored, context) == plain
    assert len(stored) == 12 + len(plain) + 16
    assert key.encrypt(plain, context) != stored


def test_it_opens_nowhere_else() -> None:
    key = key_of()
    stored = key.encrypt(b"Lease", "document/doc_1/texts")
    for wrong, context in ((key, "document/doc_2/texts"), (key, "document/doc_1/fields"), (key_of(), "document/doc_1")):
        with pytest.raises(DataLoss):
            wrong.decrypt(stored, context)


@pytest.mark.parametrize("end", [0, 5, 12, 27, -1])
def test_what_was_cut_or_changed_is_damaged(end: int) -> None:
    key = key_of()
    stored = key.encrypt(b"Lease", "document/doc_1/texts")
    with pytest.raises(DataLoss):
        key.decrypt(stored[:end], "document/doc_1/texts")
    with pytest.raises(DataLoss):
        key.decrypt(stored[:end] + bytes([stored[end] ^ 1]) + stored[end:][1:], "document/doc_1/texts")


def test_it_does_not_show_the_key() -> None:
    assert "TextKey object" in repr(key_of())
