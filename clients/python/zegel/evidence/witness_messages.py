"""The messages between a log and a witness (C2SP ``tlog-witness``).

A log sends ``add-checkpoint``; a witness answers with signature lines (``tlog-cosignature``), or with the size of the
tree that it knows.

Invariants:

* Functions of bytes only: they use no clock, network or file.
* A message has one form: anything but exactly what ``format`` returns is refused.
* A line is returned only if a known witness made it, for this very text, at a plausible time.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zegel.evidence.note_signing import signature_line
from zegel.evidence.transparency import (
    ED25519,
    HASH_SIZE,
    MAX_PROOF_HASHES,
    MAX_SIZE,
    Checkpoint,
    InvalidKey,
    InvalidNote,
    InvalidNoteSignature,
    TransparencyError,
    VerifierKey,
    encode_base64,
    open_note,
    split_note,
)

PATH: Final = "/add-checkpoint"
"""Path where a witness accepts checkpoints, under its submission prefix (tlog-witness)."""
SIZE_TYPE: Final = "text/x.tlog.size"
"""Media type of the body that holds the size that a witness knows (tlog-witness)."""
MAX_REQUEST_BYTES: Final = 65_536
"""The longest request, in bytes: a proof takes 2.8 kB, a checkpoint with 16 post-quantum lines some 55 kB."""
MAX_ANSWER_BYTES: Final = 65_536
"""The longest answer, in bytes: a line takes 0.2 kB, a post-quantum one 3.3 kB."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")
_MAX_HEAD_BYTES = 24 + MAX_PROOF_HASHES * 45


class InvalidRequest(TransparencyError):  # noqa: N818 - named after what is invalid
    """The bytes are not an ``add-checkpoint`` in canonical form."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A log's request to a witness to cosign a checkpoint (tlog-witness).

    Args:
        old: Size of the tree that the log thinks the witness knows; 0 for none.
        proof: The consistency proof from that tree on, hashes of 32 bytes; empty if ``old`` is 0.
        checkpoint: The checkpoint, signed by the log.
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    @classmethod
    def parse(cls, data: bytes) -> "AddCheckpoint":
        """Read a request, without verifying it.

        Args:
            data: The body.

        Raises:
            InvalidRequest: It is not in canonical form.
            InvalidNote: What it holds as checkpoint is not a signed note.
            InvalidCheckpoint: That note is not a checkpoint.
        """
        head, blank, checkpoint = data.partition(b"\n\n")
        if not blank or len(data) > MAX_REQUEST_BYTES or len(head) > _MAX_HEAD_BYTES:
            raise InvalidRequest("a request is an old size, a proof, an empty line and a checkpoint")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise InvalidRequest("a request's first lines must be ASCII") from error
        old = _OLD.fullmatch(first)
        if not old or int(old[1]) > MAX_SIZE:
            raise InvalidRequest("the old size is not a decimal number in canonical form")
        if len(lines) > MAX_PROOF_HASHES:
            raise InvalidRequest("the proof is too long")
        Checkpoint.parse(split_note(checkpoint)[0])
        return cls(int(old[1]), tuple(map(_hash, lines)), checkpoint)

    def format(self) -> bytes:
        """Return the body; raises what ``parse`` would raise for it."""
        lines = "".join(f"{encode_base64(each)}\n" for each in self.proof)
        data = f"old {self.old}\n{lines}\n".encode() + self.checkpoint
        if self.parse(data) != self:
            raise InvalidRequest("the request has no canonical form")
        return data


def _hash(line: str) -> bytes:
    try:
        found = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("a hash is not base64") from error
    if len(found) != HASH_SIZE or encode_base64(found) != line:
        raise InvalidRequest("a hash is not the canonical base64 encoding of 32 bytes")
    return found


def read_cosignatures(
    text: bytes, answer: bytes, witnesses: Sequence[VerifierKey], *, earliest: int, latest: int
) -> dict[VerifierKey, bytes]:
    """Read a witness's answer and check it; lines of unknown keys are ignored.

    Args:
        text: The text of the checkpoint that it was asked to cosign.
        answer: The answer's body: signature lines.
        witnesses: The witness's verifier keys, of a timestamped type.
        earliest: Seconds since 1970; an earlier cosignature was not made for this request.
        latest: Seconds since 1970; a later cosignature is from the future.

    Returns:
        The signature line, its newline included, of each key that signed.

    Raises:
        InvalidNote: The answer is not a sequence of signature lines.
        InvalidNoteSignature: A line of a known key is bad, repeated, without a time, or of another time.
        UnsignedNote: No known key signed.
    """
    if len(answer) > MAX_ANSWER_BYTES:
        raise InvalidNote("the answer is too long")
    note = text + b"\n" + answer
    opened = open_note(note, witnesses)
    if opened.text != text:
        raise InvalidNote("the answer has something besides signature lines")
    for key, time in opened.signatures.items():
        if time is None or not earliest <= time <= latest:
            raise InvalidNoteSignature(f"a cosignature of {key.name} has an implausible time")
    return {
        key: signature_line(key, signature[4:])
        for name, signature in split_note(note)[1]
        for key in opened.signatures
        if (key.name, key.key_id) == (name, signature[:4])
    }


def parse_size(content_type: str, body: bytes) -> int | None:
    """Read from a refusal the size that the witness knows; ``None`` if it states none.

    Args:
        content_type: The answer's type.
        body: Its body.
    """
    told = _SIZE.fullmatch(body) if content_type == SIZE_TYPE else None
    return int(told[1]) if told and int(told[1]) <= MAX_SIZE else None


def check_witness_key(key: VerifierKey, logs: Sequence[VerifierKey] = ()) -> None:
    """Refuse a key that cannot be a witness's: one that signs without a time, or that is a log's.

    Args:
        key: The verifier key.
        logs: Verifier keys of logs.

    Raises:
        InvalidKey: It is not a witness's key.
    """
    if key.algorithm == ED25519:
        raise InvalidKey(f"{key.name} is a log's key: a witness's signature has a time")
    if any(each.public == key.public for each in logs):
        raise InvalidKey(f"{key.name} has the public key of a log: a key must make only one kind of signature")
