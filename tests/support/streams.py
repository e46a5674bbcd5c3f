"""Whole documents through `zegel.segments`, in uneven pieces."""

import random
from collections.abc import Iterator

import pytest

from zegel import segments
from zegel.segments import (
    SEGMENT_PLAINTEXT_SIZE,
    SEGMENT_SIZE,
    SegmentCipher,
    SegmentError,
    StreamDecryptor,
    StreamEncryptor,
)

DEK = bytes(range(32))
AAD = segments.document_aad("tenant", "document", 7)


def pieces(data: bytes, sizes: Iterator[int]) -> Iterator[memoryview]:
    """Cut bytes into pieces of the given sizes."""
    view, at = memoryview(data), 0
    while at < len(data):
        step = next(sizes)
        yield view[at : at + step]
        at += step


def chunk_sizes(seed: int) -> Iterator[int]:
    """Yield sizes from a few bytes to several segments, the same ones for a seed."""
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    while True:
        yield dice.choice((1, 13, 65_536, 262_144, SEGMENT_SIZE, SEGMENT_PLAINTEXT_SIZE, 3 * SEGMENT_SIZE))


def encrypt(plaintext: bytes, aad: bytes = AAD, seed: int = 0) -> bytes:
    """Encrypt a whole document in uneven pieces."""
    cipher = SegmentCipher.create(DEK, aad)
    encryptor = StreamEncryptor(cipher)
    out = [cipher.header]
    for piece in pieces(plaintext, chunk_sizes(seed)):
        out += encryptor.update(piece)
    out.append(encryptor.finish())
    return b"".join(out)


def decrypt(stream: bytes, aad: bytes = AAD, seed: int = 0) -> bytes:
    """Decrypt a whole document in uneven pieces."""
    decryptor = StreamDecryptor(DEK, aad)
    out: list[bytes] = []
    for piece in pieces(stream, chunk_sizes(seed)):
        out += decryptor.update(piece)
    out.append(decryptor.finish())
    return b"".join(out)


def released(stream: bytes, aad: bytes = AAD, seed: int = 0) -> list[bytes]:
    """Return what a bad stream yields before it is rejected, and fail if it is not rejected."""
    decryptor = StreamDecryptor(DEK, aad)
    out: list[bytes] = []
    try:
        for piece in pieces(stream, chunk_sizes(seed)):
            out += decryptor.update(piece)
        out.append(decryptor.finish())
    except SegmentError:
        return out
    pytest.fail(f"a bad stream gave {sum(map(len, out))} bytes and no error")
