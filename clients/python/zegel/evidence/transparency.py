"""Checking a transparency log: everything that must be right is in this one module, to be audited or ported.

It needs SHA-256, a signature library (``cryptography``) and nothing else of Zegel. Sources: RFC 6962 section 2 and
RFC 9162 section 2.1 for the Merkle tree; C2SP ``signed-note``, ``tlog-checkpoint``, ``tlog-cosignature``,
``tlog-tiles`` and ``tlog-proof`` for the formats; draft-ietf-plants-merkle-tree-certs for subtrees.

Invariants:

* Every value has exactly one encoding that is accepted: base64 is canonical, decimals have no leading zero, nothing may
  follow. A changed byte is refused. As C2SP specifies, two things have no effect: signature lines of keys that the
  caller does not know, and the order of signature lines.
* A note is believed only if a known key signed it, and if no line of a known key is bad or repeated.
* A checkpoint is the log's only if a key *named as its origin* signed it. A witness alone proves nothing.
* Sizes and indexes are 0 to 2^63 - 1. Nothing here recurses, and no input takes more than linear time.
* Whatever is refused raises a ``TransparencyError`` whose class says what failed; nothing else is raised.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

HASH_SIZE: Final = 32
"""Bytes of a SHA-256 hash."""
MAX_SIZE: Final = 2**63 - 1
"""The largest tree size: the maximum of Go's ``int64`` and of a database's ``BIGINT``."""
MAX_EXTRA_BYTES: Final = 65_535
"""The longest ``extra`` of a proof file: enough for the longest leaf."""
MAX_NOTE_BYTES: Final = 1_000_000
"""Longer notes are refused unread; 16 post-quantum signatures (the minimum that signed-note asks for) take about 80
kB."""
MAX_SIGNATURES: Final = 100
"""Maximum number of signature lines of a note, to bound a verifier's work; signed-note asks for at least 16."""
MAX_PROOF_HASHES: Final = 63
"""The longest inclusion proof in a tree of ``MAX_SIZE`` leaves."""
ED25519: Final = 0x01
"""Signature type: Ed25519 over the note's text (signed-note)."""
COSIGNATURE_ED25519: Final = 0x04
"""Signature type: timestamped Ed25519 over ``cosignature/v1``, the time and the text (tlog-cosignature)."""
COSIGNATURE_MLDSA44: Final = 0x06
"""Signature type: timestamped ML-DSA-44 over ``subtree/v1``, names, time and tree head (tlog-cosignature)."""
EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962, section 2.1)."""

_PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_PUBLIC_BYTES = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_MLDSA44: 1312}
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE_ED25519: 72, COSIGNATURE_MLDSA44: 2428}
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
_NOT_IN_NAME = re.compile("[\x00-\x1f\\s+\ud800-\udfff]")
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}", re.ASCII)


class TransparencyError(Exception):
    """Something about a log failed its check; the subclass says what."""


class InvalidKey(TransparencyError):  # noqa: N818 - named after what is invalid, as all of these
    """A verifier or signer key is malformed or of an unsupported type."""


class InvalidNote(TransparencyError):  # noqa: N818
    """The bytes are not a signed note in canonical form."""


class InvalidNoteSignature(TransparencyError):  # noqa: N818
    """A known key's signature line is not valid for this text, or is repeated."""


class UnsignedNote(TransparencyError):  # noqa: N818
    """No known key signed, or too few witnesses did."""


class InvalidCheckpoint(TransparencyError):  # noqa: N818
    """The note's text is not a checkpoint in canonical form."""


class InvalidProof(TransparencyError):  # noqa: N818
    """The hashes do not lead from the leaf, or the older tree, to the root."""


class InvalidProofFile(TransparencyError):  # noqa: N818
    """The bytes are not a ``tlog-proof`` in canonical form."""


class InvalidTile(TransparencyError):  # noqa: N818
    """A tile's path, a tile or an entry bundle is malformed."""


# ---------------------------------------------------------------------------------------------------------- Merkle tree


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf: ``SHA-256(0x00 | data)`` (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two nodes of 32 bytes into their parent: ``SHA-256(0x01 | left | right)`` (RFC 6962, section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, or over roots of full subtrees of one height, of 32 bytes each."""
    row = list(hashes)
    while len(row) > 1:
        # A last node without a sibling moves up unchanged: the same tree as RFC 6962's split at the largest power of
        # two.
        odd = row[-1:] if len(row) % 2 else []
        pairs = iter(row)
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)] + odd
    return row[0] if row else EMPTY_ROOT


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is in a tree (RFC 9162, section 2.1.3.2).

    Args:
        index: Position of the leaf, from 0.
        size: Leaves of the tree.
        leaf: The leaf's hash, 32 bytes.
        proof: Hashes of 32 bytes, from the leaf's sibling up to the root's child.
        root: The tree's root, 32 bytes.

    Raises:
        InvalidProof: The proof does not lead from the leaf to the root.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise InvalidProof("the index does not lie in the tree")
    _check_hashes((leaf, *proof))
    _, found = _climb(index, index, size - 1, leaf, proof)
    if found != root:
        raise InvalidProof("the inclusion proof does not lead to the root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that a tree is the beginning of another (RFC 9162, section 2.1.4.2).

    Args:
        old: Leaves of the older tree, at least 1: every tree is consistent with the empty one, so that would prove
            nothing.
        new: Leaves of the newer tree.
        old_root: Root of the older tree, 32 bytes.
        new_root: Root of the newer tree, 32 bytes.
        proof: Hashes of 32 bytes in the order of RFC 6962, section 2.1.2.

    Raises:
        InvalidProof: The proof does not lead to both roots.
    """
    if old == 0:
        raise InvalidProof("consistency with the empty tree proves nothing")
    verify_subtree_consistency((0, old), new, old_root, new_root, proof)


def verify_subtree_inclusion(
    index: int, subtree: tuple[int, int], leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that leaf ``index`` is in the subtree of the leaves ``[start, end)``; see ``verify_inclusion``.

    Raises:
        InvalidProof: There is no such subtree, or the proof does not lead from the leaf to its root.
    """
    start, end = _check_subtree(subtree)
    verify_inclusion(index - start, end - start, leaf, proof, root)


def verify_subtree_consistency(
    subtree: tuple[int, int], size: int, subtree_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the subtree of the leaves ``[start, end)`` is a part of a tree of ``size`` leaves.

    From ``start`` 0 it is RFC 9162's consistency proof. An empty subtree is a part of every tree.

    Raises:
        InvalidProof: There is no such subtree, or the proof does not lead to both roots.
    """
    start, end = _check_subtree(subtree)
    _check_hashes(proof)
    if not end <= size <= MAX_SIZE:
        raise InvalidProof("the subtree does not lie in the tree")
    if start == end or (start, end) == (0, size):
        # The empty tree has one root, and of one size there is one tree.
        if proof or subtree_root != (EMPTY_ROOT if start == end else root):
            raise InvalidProof("the roots differ, or a proof stands where none is needed")
        return
    fn, sn, tn = start, end - 1, size - 1
    # Climb to the largest complete subtree that ends where this one ends: the proof begins there.
    while fn != sn and (sn & 1 or sn == tn):
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    # If that is the whole subtree, the proof omits it.
    seed, rest = (subtree_root, proof) if fn == sn else (b"".join(proof[:1]), proof[1:])
    old, new = _climb(fn, sn, tn, seed, rest)
    if old != subtree_root or new != root:
        raise InvalidProof("the consistency proof does not lead to both roots")


def _climb(fn: int, sn: int, tn: int, seed: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Climb from a node to the roots of the older (sub)tree and of the whole; names as in RFC 9162.

    At each height ``fn`` and ``sn`` are the first and last node of the older part, ``tn`` the last of the whole. An
    inclusion proof is the case where that part is one leaf.
    """
    old = new = seed
    for sibling in proof:
        if tn == 0:
            raise InvalidProof("the proof is too long")
        if sn & 1 or sn == tn:
            if fn < sn:
                old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            # A last node without a sibling moves up unchanged.
            while sn and not sn & 1:
                fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
        else:
            new = node_hash(new, sibling)
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    if tn:
        raise InvalidProof("the proof is too short")
    return old, new


def _check_subtree(subtree: tuple[int, int]) -> tuple[int, int]:
    start, end = subtree
    if not 0 <= start <= end <= MAX_SIZE or start & ((1 << max(end - start - 1, 0).bit_length()) - 1):
        raise InvalidProof("the range is no subtree")
    return start, end


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(each) != HASH_SIZE for each in hashes):
        raise InvalidProof("a hash is not of 32 bytes")


# --------------------------------------------------------------------------------------------------------- signed notes


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name: the *vkey* ``name+hex(id)+base64(type | key)`` (signed-note).

    Args:
        name: Whose key it is, such as ``example.com/log``: no space, no plus. A log's name is its origin.
        algorithm: ``ED25519``, ``COSIGNATURE_ED25519`` or ``COSIGNATURE_MLDSA44``.
        public: The raw public key: 32 bytes, or 1312 for ML-DSA-44.

    Raises:
        InvalidKey: The name, type or length is not one of these.
    """

    name: str
    algorithm: int
    public: bytes = field(repr=False)
    key_id: bytes = field(init=False)
    _check: Callable[[bytes, bytes], None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _is_key_name(self.name) or _PUBLIC_BYTES.get(self.algorithm) != len(self.public):
            raise InvalidKey("a verifier key has a bad name, type or length")
        try:
            # Loaded once: loading takes as long as a signature check.
            key = (MLDSA44PublicKey if self.algorithm == COSIGNATURE_MLDSA44 else Ed25519PublicKey).from_public_bytes
            object.__setattr__(self, "_check", key(self.public).verify)
        except ValueError as error:
            raise InvalidKey("a verifier key is not a point of its curve") from error
        material = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        object.__setattr__(self, "key_id", sha256(material).digest()[:4])

    @classmethod
    def parse(cls, vkey: str) -> "VerifierKey":
        """Read a vkey; raises ``InvalidKey`` unless it is exactly what ``str`` of the result would be."""
        name, _, rest = vkey.partition("+")
        material = _unbase64(rest.partition("+")[2], InvalidKey)
        key = cls(name, material[0] if material else 0, material[1:])
        if str(key) != vkey:
            raise InvalidKey("a verifier key's id is not the one of its name and key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.algorithm]) + self.public)}"

    def verify(self, text: bytes, signature: bytes) -> int | None:
        """Check a signature over a note's text.

        Args:
            text: The note's text, its last newline included.
            signature: The bytes of the line after the key id.

        Returns:
            The time of a cosignature in seconds since 1970, or ``None`` for a plain signature.

        Raises:
            InvalidNoteSignature: It is not this key's signature over this text.
        """
        if len(signature) != _SIGNATURE_BYTES[self.algorithm]:
            raise InvalidNoteSignature(f"a signature of {self.name} has a wrong length")
        timestamp = None if self.algorithm == ED25519 else int.from_bytes(signature[:8])
        try:
            self._check(
                signature[0 if timestamp is None else 8 :], signed_message(self.name, self.algorithm, text, timestamp)
            )
        except (InvalidSignature, InvalidCheckpoint) as error:
            raise InvalidNoteSignature(f"a signature of {self.name} does not sign this text") from error
        return timestamp


@dataclass(frozen=True, slots=True)
class Note:
    """A note that a known key signed: its text, and when each known key signed (``None`` for a plain signature)."""

    text: bytes
    signatures: dict[VerifierKey, int | None]


def open_note(note: bytes, keys: Sequence[VerifierKey]) -> Note:
    """Read a signed note and check the signature lines of known keys; others are ignored.

    Raises:
        InvalidNote: The bytes are not a signed note.
        InvalidNoteSignature: A known key's line is bad or repeated.
        UnsignedNote: No known key signed.
    """
    text, lines = split_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    verified: dict[VerifierKey, int | None] = {}
    for name, signature in lines:
        if key := known.get((name, signature[:4])):
            if key in verified:
                raise InvalidNoteSignature(f"a signature of {name} is repeated")
            verified[key] = key.verify(text, signature[4:])
    if not verified:
        raise UnsignedNote("no known key signed the note")
    return Note(text, verified)


def split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Split a note into its text and (key name, key id and signature), unchecked; raises ``InvalidNote``."""
    if len(note) > MAX_NOTE_BYTES:
        raise InvalidNote("the note is too long")
    decoded = _utf8(note, InvalidNote)
    body, blank, tail = decoded.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or lines.pop() or not 0 < len(lines) <= MAX_SIGNATURES:
        raise InvalidNote("a note is a text, an empty line and signature lines")
    signatures = []
    for line in lines:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signature = _unbase64(encoded, InvalidNote)
        if dash != "—" or not _is_key_name(name) or len(signature) <= 4:  # noqa: PLR2004 - the key id's length
            raise InvalidNote("a signature line is malformed")
        signatures.append((name, signature))
    return body.encode() + b"\n", signatures


def signed_message(name: str, algorithm: int, text: bytes, timestamp: int | None) -> bytes:
    """Return what a key of this type signs for a note's text; raises ``InvalidCheckpoint`` if it cannot."""
    if timestamp is None:
        return text
    if algorithm == COSIGNATURE_ED25519:
        return b"cosignature/v1\ntime %d\n" % timestamp + text
    head = Checkpoint.parse(text)
    names = [each.encode() for each in (name, head.origin)]
    # This signature does not cover extension lines, so a checkpoint that has some cannot be signed with it.
    if head.extensions or any(len(each) > 255 for each in names):  # noqa: PLR2004 - an 8-bit length follows
        raise InvalidCheckpoint("ML-DSA-44 cannot sign extension lines or long names")
    cosigner, origin = (bytes([len(each)]) + each for each in names)
    stamp, start, end = (each.to_bytes(8) for each in (timestamp, 0, head.size))
    return b"subtree/v1\n\0" + cosigner + stamp + origin + start + end + head.root


def _is_key_name(name: str) -> bool:
    return bool(name) and not _NOT_IN_NAME.search(name)


# ---------------------------------------------------------------------------------------------------------- checkpoints


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head, which a log commits to (tlog-checkpoint).

    Args:
        origin: The log's name.
        size: Leaves of the tree.
        root: The tree's root, 32 bytes.
        extensions: Further lines. Zegel's log writes none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: bytes) -> "Checkpoint":
        """Read a note's text; raises ``InvalidCheckpoint``. Checks no signatures: see ``open_checkpoint``."""
        lines = _utf8(text, InvalidCheckpoint).split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):  # noqa: PLR2004 - three lines and the end
            raise InvalidCheckpoint("a checkpoint is at least three lines, none of them empty")
        origin, size, root, *extensions = lines
        head = cls(origin, _decimal(size, InvalidCheckpoint), _unbase64(root, InvalidCheckpoint), tuple(extensions))
        if len(head.root) != HASH_SIZE or (head.size == 0 and head.root != EMPTY_ROOT):
            raise InvalidCheckpoint("a checkpoint's root does not fit a tree of its size")
        return head

    def format(self) -> bytes:
        """Return the note's text; raises ``InvalidCheckpoint`` for what ``parse`` would refuse."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        text = "".join(f"{line}\n" for line in lines).encode()
        if self.parse(text) != self:
            raise InvalidCheckpoint("a checkpoint's line has a newline in it")
        return text


def open_checkpoint(
    note: bytes, logs: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = (), quorum: int = 0
) -> Checkpoint:
    """Read a signed checkpoint and check who signed it.

    Args:
        note: The checkpoint as the log serves it.
        logs: Keys of the logs that are trusted; the key named like the checkpoint's origin must have signed.
        witnesses: Keys of witnesses.
        quorum: How many of the witnesses must have signed too.

    Raises:
        TransparencyError: As ``open_note``; ``InvalidCheckpoint``; ``UnsignedNote`` if log or quorum is missing.
    """
    opened = open_note(note, (*logs, *witnesses))
    head = Checkpoint.parse(opened.text)
    if not any(key.name == head.origin for key in logs if key in opened.signatures):
        raise UnsignedNote("no key of the checkpoint's origin signed it")
    # One witness with two keys is still one.
    if len({key.name for key in witnesses if key in opened.signatures}) < quorum:
        raise UnsignedNote("too few witnesses signed the checkpoint")
    return head


# --------------------------------------------------------------------------------------------------------------- proofs


@dataclass(frozen=True, slots=True)
class LogProof:
    """A ``.tlog-proof`` file: a proof that a leaf is in a log, which can be checked without the log (tlog-proof).

    Args:
        index: Position of the leaf, from 0.
        hashes: The inclusion proof, from the leaf's sibling upward.
        checkpoint: The signed checkpoint, verbatim.
        extra: Opaque bytes that come with the proof and that it does not authenticate. Zegel's detached proofs carry
            the leaf here: hashing it and checking the proof then authenticates it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> "LogProof":
        """Read a proof file; only ``verify`` checks it.

        Raises:
            InvalidProofFile: It is not in canonical form.
            InvalidNote: What it holds as checkpoint is not a signed note.
            InvalidCheckpoint: That note is not a checkpoint.
        """
        head, blank, checkpoint = data.partition(b"\n\n")
        # Checked before anything is decoded, so that no input costs more than a proof can.
        if len(head) > MAX_EXTRA_BYTES * 4 // 3 + (MAX_PROOF_HASHES + 3) * 45:
            raise InvalidProofFile("the proof file is too long")
        header, *lines = _utf8(head, InvalidProofFile).split("\n")
        extra = _unbase64(lines.pop(0)[6:], InvalidProofFile) if lines and lines[0].startswith("extra ") else None
        if header != _PROOF_HEADER or not blank or extra == b"" or not lines or not lines[0].startswith("index "):
            raise InvalidProofFile("the proof file's first lines are malformed")
        index = _decimal(lines[0][6:], InvalidProofFile)
        hashes = tuple(_unbase64(line, InvalidProofFile) for line in lines[1:])
        if len(hashes) > MAX_PROOF_HASHES or any(len(each) != HASH_SIZE for each in hashes):
            raise InvalidProofFile("the proof file's hashes are malformed")
        Checkpoint.parse(split_note(checkpoint)[0])
        return cls(index, hashes, checkpoint, extra or b"")

    def format(self) -> bytes:
        """Return the file's bytes; raises what ``parse`` would raise for them."""
        extra = f"extra {encode_base64(self.extra)}\n" if self.extra else ""
        hashes = "".join(f"{encode_base64(each)}\n" for each in self.hashes)
        data = f"{_PROOF_HEADER}\n{extra}index {self.index}\n{hashes}\n".encode() + self.checkpoint
        if self.parse(data) != self:
            raise InvalidProofFile("the proof has no canonical form")
        return data

    def verify(
        self, leaf: bytes, logs: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = (), quorum: int = 0
    ) -> Checkpoint:
        """Check that the leaf's data is in a log that is trusted; arguments and errors as ``open_checkpoint``.

        Raises:
            InvalidProof: The leaf is not at this index of the checkpoint's tree.
        """
        head = open_checkpoint(self.checkpoint, logs, witnesses, quorum)
        verify_inclusion(self.index, head.size, leaf_hash(leaf), self.hashes, head.root)
        return head


# ------------------------------------------------------------------------------------------------------------ encodings


def _utf8(data: bytes, error: type[TransparencyError]) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as cause:
        raise error("the text is not UTF-8") from cause
    if _CONTROL.search(text):
        raise error("the text holds a control character")
    return text


def encode_base64(data: bytes) -> str:
    """Encode in the standard alphabet, padded (RFC 4648, section 4)."""
    return base64.b64encode(data).decode()


def _unbase64(text: str, error: type[TransparencyError]) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise error("not base64") from cause
    # The library ignores stray bits at the end, so one value would have several encodings.
    if encode_base64(data) != text:
        raise error("not the canonical base64 encoding of its bytes")
    return data


def _decimal(text: str, error: type[TransparencyError]) -> int:
    if not _DECIMAL.fullmatch(text) or (value := int(text)) > MAX_SIZE:
        raise error("not a decimal number from 0 to 2^63 - 1 in canonical form")
    return value
