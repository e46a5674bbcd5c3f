"""Commitments are what is written down, hide what they commit to, and bind it."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zegel.evidence.commitments import (
    CONTENTS,
    ORIGINAL,
    RENDITION,
    Box,
    DocumentHash,
    SealedOpening,
    boxes_salt,
    commit_boxes,
    commit_document,
    document_salt,
)

KEY = bytes(range(32))
DOCUMENT = DocumentHash("doc_1", 2, "ab" * 32, 1234, RENDITION)
BOX = Box(page=3, x=10_500, y=0, width=200_000, height=60_000, signature="sig_1", type="SIGNATURE")

# Made by OpenSSL, over JSON written by hand:
#   printf 'zegel/document-salt/v1\0["rendition","doc_1",2]' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001..1f
DOCUMENT_SALT = "b3dd7baf892e21a80c0b21030e10ba2d1e875d7bbee3ea4fcb191da7c45c2b8a"
#   {"content":"rendition","document":"doc_1","sha256":"abab..","size":1234,"version":2} under that salt
DOCUMENT_COMMITMENT = "3bfff606ba1834f49edf02203bb7e59a162627ab41c1ca1c60877b9768dba487"
#   zegel/boxes-salt/v1\0["aud_1"]
BOXES_SALT = "b965dd8f2a012b69ac56bc0e338996724195d4af33782ad9cb873481c03a14ce"
#   [{"height":60000,"page":3,"signature":"sig_1","type":"SIGNATURE","width":200000,"x":10500,"y":0}] under that salt
BOXES_COMMITMENT = "151d2f328ef7d0e071abcba079b07425f2a7e3168763b7805ae7f87c3bea4c66"
#   [] under that salt
NO_BOXES = "1c3f2447c0ea9705f5d0c2f82e77193d1aafc2b3035078df652b288c421e4d89"

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
counts = st.integers(1, 2**53 - 1)
documents = st.builds(
    DocumentHash,
    names,
    counts,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    counts,
    st.sampled_from(list(CONTENTS)),
)
boxes = st.builds(Box, counts, counts, counts, counts, counts, names, names)
salts = st.binary(min_size=32, max_size=32)


def test_a_document_is_committed_to_as_openssl_does() -> None:
    assert document_salt(KEY, RENDITION, "doc_1", 2).hex() == DOCUMENT_SALT
    assert commit_document(bytes.fromhex(DOCUMENT_SALT), DOCUMENT) == DOCUMENT_COMMITMENT


def test_boxes_are_committed_to_as_openssl_does() -> None:
    assert boxes_salt(KEY, "aud_1").hex() == BOXES_SALT
    assert commit_boxes(bytes.fromhex(BOXES_SALT), [BOX]) == BOXES_COMMITMENT
    assert commit_boxes(bytes.fromhex(BOXES_SALT), []) == NO_BOXES


@given(documents, documents, salts, salts)
def test_a_commitment_is_to_one_document_under_one_salt(
    one: DocumentHash, other: DocumentHash, salt: bytes, another: bytes
) -> None:
    assert (commit_document(salt, one) == commit_document(another, other)) == ((one, salt) == (other, another))


@given(st.lists(boxes, max_size=3), st.lists(boxes, max_size=3), salts)
def test_a_commitment_is_to_these_boxes_in_their_order(one: list[Box], other: list[Box], salt: bytes) -> None:
    assert (commit_boxes(salt, one) == commit_boxes(salt, other)) == (one == other)


@given(st.tuples(names, names, counts), st.tuples(names, names, counts))
def test_each_document_has_a_salt_of_its_own(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assume(one != other)
    assert document_salt(KEY, *one) != document_salt(KEY, *other)


@given(names, names, counts)
def test_the_salt_of_a_trail_is_that_of_no_document(content: str, document: str, version: int) -> None:
    assert boxes_salt(KEY, document) != document_salt(KEY, content, document, version)


def test_a_sealed_file_is_committed_to_as_any_other_document() -> None:
    opening = SealedOpening("doc_1", 2, bytes.fromhex(DOCUMENT_SALT))
    assert opening.commit(bytes.fromhex("ab" * 32), 1234) == commit_document(
        bytes.fromhex(DOCUMENT_SALT), replace(DOCUMENT, content="sealed")
    )


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_and_salts_have_one_length(length: int) -> None:
    """HMAC takes a key and the same with zeros behind it for one: two openings would fit."""
    for make in (
        lambda: document_salt(bytes(length), ORIGINAL, "doc_1", 1),
        lambda: boxes_salt(bytes(length), "aud_1"),
        lambda: commit_document(bytes(length), DOCUMENT),
        lambda: commit_boxes(bytes(length), [BOX]),
    ):
        with pytest.raises(ValueError, match="32 bytes"):
            make()
