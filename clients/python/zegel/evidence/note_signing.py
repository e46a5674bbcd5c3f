"""Signing notes, as logs and witnesses do. Verifiers do not need this module.

Sources: C2SP ``signed-note`` and ``tlog-cosignature``; RFC 8032, FIPS 204.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from zegel.evidence.transparency import (
    COSIGNATURE_MLDSA44,
    ED25519,
    MAX_SIZE,
    InvalidKey,
    InvalidNote,
    VerifierKey,
    encode_base64,
    signed_message,
    split_note,
)

SEED_SIZE: Final = 32
"""Bytes of a private key's seed, Ed25519 and ML-DSA alike."""

_SECRET: Final = re.compile(r"PRIVATE\+KEY\+([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class SignerKey:
    """A private key that signs notes. Its ``repr`` shows no secret.

    Args:
        name: Whose key it is; see ``VerifierKey``.
        algorithm: See ``VerifierKey``.
        seed: The private key's 32-byte seed (RFC 8032, FIPS 204).
    """

    name: str
    algorithm: int
    seed: bytes = field(repr=False)
    verifier: VerifierKey = field(init=False)
    _sign: Callable[[bytes], bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_SIZE:
            raise InvalidKey("a signer key's seed has a wrong length")
        mldsa = self.algorithm == COSIGNATURE_MLDSA44
        key = MLDSA44PrivateKey.from_seed_bytes(self.seed) if mldsa else Ed25519PrivateKey.from_private_bytes(self.seed)
        object.__setattr__(
            self, "verifier", VerifierKey(self.name, self.algorithm, key.public_key().public_bytes_raw())
        )
        object.__setattr__(self, "_sign", key.sign)

    @classmethod
    def parse(cls, secret: str) -> "SignerKey":
        """Read a key from its line in a file of keys, as Go's ``sumdb/note`` writes a signer.

        Args:
            secret: ``PRIVATE+KEY+name+hex(id)+base64(type | seed)``.

        Raises:
            InvalidKey: It is not a key; the message reveals nothing of it.
        """
        found = _SECRET.fullmatch(secret)
        try:
            name, key_id, encoded = found.groups() if found else ("", "", "")
            data = base64.b64decode(encoded, validate=True)
            signer = cls(name, data[0], data[1:])
        except (binascii.Error, IndexError, ValueError) as error:
            raise InvalidKey("a line is no signer's key") from error
        if signer.verifier.key_id.hex() != key_id:
            raise InvalidKey("a signer key's id is not the one of its name and key")
        return signer

    def secret(self) -> str:
        """Return the line that ``parse`` reads. Anybody who has it can sign with this key."""
        encoded = encode_base64(bytes([self.algorithm]) + self.seed)
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{encoded}"

    def sign(self, text: bytes, timestamp: int | None = None) -> bytes:
        """Return the signature line for a note's text.

        Args:
            text: The note's text, which ends in a newline.
            timestamp: Seconds since 1970, only for a cosignature.

        Raises:
            InvalidNote: The text cannot be signed with this time and type of key.
        """
        if (timestamp is None) != (self.algorithm == ED25519) or not 0 <= (timestamp or 0) <= MAX_SIZE:
            raise InvalidNote("a cosignature needs a time, and no other signature may have one")
        stamp = b"" if timestamp is None else timestamp.to_bytes(8)
        signature = stamp + self._sign(signed_message(self.name, self.algorithm, text, timestamp))
        return signature_line(self.verifier, signature)


def signature_line(key: VerifierKey, signature: bytes) -> bytes:
    """Return the note's line for a signature made elsewhere, such as in a hardware module."""
    return f"— {key.name} {encode_base64(key.key_id + signature)}\n".encode()


def sign_note(text: bytes, *lines: bytes) -> bytes:
    """Join a note's text, which ends in a newline, and its signature lines; raises ``InvalidNote``."""
    note = text + b"\n" + b"".join(lines)
    if not text.endswith(b"\n") or split_note(note)[0] != text:
        raise InvalidNote("a note needs a text and signature lines")
    return note
