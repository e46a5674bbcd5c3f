"""Tink's own streaming AEAD with a key from the test."""

import io
from functools import cache
from typing import cast

import tink
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from zegel.segments import SEGMENT_SIZE

TYPE_URL = "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"


@cache
def tink_aead(dek: bytes) -> streaming_aead.StreamingAead:
    """Tink's primitive for a key, as a RAW ``AES256_GCM_HKDF_1MB`` keyset."""
    streaming_aead.register()
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        key_value=dek,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=SEGMENT_SIZE,
            derived_key_size=32,
            hkdf_hash_type=common_pb2.SHA256,
        ),
    )
    keyset = tink_pb2.Keyset(
        primary_key_id=1,
        key=[
            tink_pb2.Keyset.Key(
                key_data=tink_pb2.KeyData(
                    type_url=TYPE_URL,
                    value=key.SerializeToString(),
                    key_material_type=tink_pb2.KeyData.SYMMETRIC,
                ),
                status=tink_pb2.ENABLED,
                key_id=1,
                output_prefix_type=tink_pb2.RAW,
            ),
        ],
    )
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return cast("streaming_aead.StreamingAead", handle.primitive(streaming_aead.StreamingAead))


class _Kept(io.BytesIO):
    """Keeps its bytes when Tink closes it."""

    written = b""

    def close(self) -> None:
        self.written = self.getvalue()
        super().close()


def tink_encrypt(aead: streaming_aead.StreamingAead, plaintext: bytes, aad: bytes) -> bytes:
    """What Tink makes of a document."""
    sink = _Kept()
    with aead.new_encrypting_stream(sink, aad) as stream:
        stream.write(plaintext)
    return sink.written


def tink_decrypt(aead: streaming_aead.StreamingAead, stream: bytes, aad: bytes) -> bytes:
    """What Tink reads in a stream.

    Raises:
        tink.TinkError: It does not authenticate.
    """
    with aead.new_decrypting_stream(io.BytesIO(stream), aad) as source:
        return bytes(source.read())
