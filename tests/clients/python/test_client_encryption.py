"""A document's key reaches the one it is wrapped to, and nobody else; Tink is the other implementation."""

import dataclasses
import os
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tink import hybrid, proto_keyset_format, secret_key_access
from tink.proto import hpke_pb2, tink_pb2

from zegel.client_encryption import (
    PUBLIC_KEY_SIZE,
    WRAPPED_DEK_SIZE,
    ReceiverKey,
    UnwrapError,
    client_encryption_info,
    wrap_dek,
)

DEK = bytes(range(32))
INFO = client_encryption_info("tenant", "document", 3)
KEY = ReceiverKey.generate()


@dataclasses.dataclass(frozen=True)
class TinkKey:
    """The same key pair in Tink's hands."""

    ours: ReceiverKey
    decrypt: hybrid.HybridDecrypt
    encrypt: hybrid.HybridEncrypt


@pytest.fixture(scope="module")
def tink_key() -> TinkKey:
    hybrid.register()
    private_key = X25519PrivateKey.generate()
    message = hpke_pb2.HpkePrivateKey(
        private_key=private_key.private_bytes_raw(),
        public_key=hpke_pb2.HpkePublicKey(
            public_key=private_key.public_key().public_bytes_raw(),
            params=hpke_pb2.HpkeParams(
                kem=hpke_pb2.DHKEM_X25519_HKDF_SHA256,
                kdf=hpke_pb2.HKDF_SHA256,
                aead=hpke_pb2.AES_256_GCM,
            ),
        ),
    )
    keyset = tink_pb2.Keyset(
        primary_key_id=1,
        key=[
            tink_pb2.Keyset.Key(
                key_data=tink_pb2.KeyData(
                    type_url="type.googleapis.com/google.crypto.tink.HpkePrivateKey",
                    value=message.SerializeToString(),
                    key_material_type=tink_pb2.KeyData.ASYMMETRIC_PRIVATE,
                ),
                status=tink_pb2.ENABLED,
                key_id=1,
                output_prefix_type=tink_pb2.RAW,
            ),
        ],
    )
    handle = proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return TinkKey(
        ReceiverKey(private_key),
        cast("hybrid.HybridDecrypt", handle.primitive(hybrid.HybridDecrypt)),
        cast("hybrid.HybridEncrypt", handle.public_keyset_handle().primitive(hybrid.HybridEncrypt)),
    )


def test_tink_opens_what_we_wrap(tink_key: TinkKey) -> None:
    assert tink_key.decrypt.decrypt(wrap_dek(tink_key.ours.public_bytes, DEK, INFO), INFO) == DEK


def test_we_open_what_tink_wraps(tink_key: TinkKey) -> None:
    wrapped = tink_key.encrypt.encrypt(DEK, INFO)
    assert len(wrapped) == WRAPPED_DEK_SIZE
    assert tink_key.ours.unwrap(wrapped, INFO) == DEK


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_a_key_goes_there_and_back(dek: bytes, info: bytes) -> None:
    wrapped = wrap_dek(KEY.public_bytes, dek, info)
    assert len(wrapped) == WRAPPED_DEK_SIZE
    assert KEY.unwrap(wrapped, info) == dek


def test_wrapping_twice_gives_other_bytes() -> None:
    assert wrap_dek(KEY.public_bytes, DEK, INFO) != wrap_dek(KEY.public_bytes, DEK, INFO)


@pytest.mark.parametrize(
    "info",
    [
        b"",
        INFO + b"\0",
        client_encryption_info("other", "document", 3),
        client_encryption_info("tenant", "other", 3),
        client_encryption_info("tenant", "document", 4),
    ],
)
def test_a_key_wrapped_for_another_document_does_not_open(info: bytes) -> None:
    with pytest.raises(UnwrapError):
        KEY.unwrap(wrap_dek(KEY.public_bytes, DEK, info), INFO)


def test_nobody_else_opens_it() -> None:
    with pytest.raises(UnwrapError):
        ReceiverKey.generate().unwrap(wrap_dek(KEY.public_bytes, DEK, INFO), INFO)


@given(st.integers(0, WRAPPED_DEK_SIZE * 8 - 1))
def test_a_flipped_bit_is_refused(bit: int) -> None:
    wrapped = bytearray(wrap_dek(KEY.public_bytes, DEK, INFO))
    wrapped[bit // 8] ^= 1 << bit % 8
    # RFC 7748 ignores the top bit of a point, but HPKE's key schedule hashes the encapsulated key as it came.
    with pytest.raises(UnwrapError):
        KEY.unwrap(bytes(wrapped), INFO)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(wrapped: bytes) -> None:
    with pytest.raises(UnwrapError):
        KEY.unwrap(wrapped, INFO)


def test_another_length_is_refused() -> None:
    wrapped = wrap_dek(KEY.public_bytes, DEK, INFO)
    for other in (wrapped[:-1], wrapped + b"\0", wrapped[:PUBLIC_KEY_SIZE]):
        with pytest.raises(UnwrapError):
            KEY.unwrap(other, INFO)


LOW_ORDER = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]
"""Points whose shared secret is known to everybody."""


@pytest.mark.parametrize("public_bytes", LOW_ORDER)
def test_a_public_key_of_low_order_is_refused(public_bytes: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wrap_dek(public_bytes, DEK, INFO)


@pytest.mark.parametrize("point", LOW_ORDER)
def test_an_encapsulated_key_of_low_order_is_refused(point: bytes) -> None:
    with pytest.raises(UnwrapError):
        KEY.unwrap(point + os.urandom(48), INFO)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_keys_of_another_length_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_dek(bytes([9]) * size, DEK, INFO)
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_dek(KEY.public_bytes, bytes(size), INFO)


def test_a_key_pair_shows_nothing() -> None:
    assert "Private" not in repr(KEY)
    assert not hasattr(KEY, "__dict__")
