"""A witness: it remembers the newest tree of each log and cosigns only checkpoints that continue it (``tlog-witness``).

Its folder holds its keys (``witness.key``), its state (``state.json``), and proofs of logs that forked
(``fork-...``). Keys and state belong together: keys whose state is lost could cosign a different past, so they are not
used again.

Invariants:

* A checkpoint is durable before it is cosigned, in one file that is replaced as a whole: even if it is killed, a
  witness knows at least what it has cosigned.
* It never cosigns two trees of one size, a smaller tree after a larger one, or a tree that does not continue the one
  before. Checking, storing and signing happen under one lock; a second process on the folder does not start.
* Its keys make timestamped cosignatures and nothing else.
* Nothing in a request is trusted except what a configured log's key signed.
"""

import fcntl
import hashlib
import json
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from zegel._internal.files import create_durably, replace_durably
from zegel.evidence.note_signing import SEED_SIZE, SignerKey, sign_note, signature_line
from zegel.evidence.transparency import (
    COSIGNATURE_MLDSA44,
    EMPTY_ROOT,
    Checkpoint,
    InvalidProof,
    TransparencyError,
    VerifierKey,
    open_note,
    split_note,
    verify_consistency,
)
from zegel.evidence.witness_messages import SIZE_TYPE, AddCheckpoint, check_witness_key

KEY_FILE: Final = "witness.key"
"""The keys, one on each line, readable only by the owner."""
STATE_FILE: Final = "state.json"
"""The newest checkpoint cosigned of each log."""
STATE_FORMAT: Final = "zegel-witness-state-v1"
FOLDER_MODE: Final = 0o700

_LOCK_FILE = "lock"
_TEXT = "text/plain; charset=utf-8"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MLDSA_NAME_BYTES = 255


class WitnessError(Exception):
    """The witness's folder or settings cannot be used; the message says why, without secrets."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A witness's answer: an HTTP status, the body and its type."""

    status: int
    body: bytes
    content_type: str = _TEXT


def create_witness(folder: Path, name: str, algorithms: Sequence[int]) -> list[VerifierKey]:
    """Make a witness's folder, with its keys and an empty state.

    Args:
        folder: The folder; made if it is missing.
        name: The witness's name, such as ``witness.example/w1``.
        algorithms: A key is made for each: ``COSIGNATURE_ED25519``, ``COSIGNATURE_MLDSA44``.

    Returns:
        The verifier keys, to be given to those who will trust it.

    Raises:
        WitnessError: The folder already holds a witness, or an algorithm is not for witnesses.
        InvalidKey: The name is not valid.
        OSError: The folder cannot be written.
    """
    signers = [SignerKey(name, each, secrets.token_bytes(SEED_SIZE)) for each in algorithms]
    for signer in signers:
        check_witness_key(signer.verifier)
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    if (folder / KEY_FILE).exists():
        raise WitnessError(f"{folder} holds a witness already")
    # The state first: keys without one mean a witness that has lost its state.
    replace_durably(folder / STATE_FILE, _pack(signers, {}))
    try:
        create_durably(folder / KEY_FILE, "".join(each.secret() + "\n" for each in signers).encode())
    except FileExistsError as error:
        raise WitnessError(f"{folder} holds a witness already") from error
    return [signer.verifier for signer in signers]


class Memory:
    """A witness's folder, opened: its keys and its state.

    Args:
        folder: What ``create_witness`` made.

    Raises:
        WitnessError: The folder is in use by another process, damaged, or readable by others.
        OSError: It cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not (folder / KEY_FILE).exists():
            raise WitnessError(f"{folder} holds no witness: make one with --init")
        self._lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.signers = self._read_keys()
            self._notes = self._read_state()
        except BlockingIOError as error:
            self.close()
            raise WitnessError(f"another process is the witness of {folder}") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder for another process."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def known(self) -> Mapping[str, bytes]:
        """The newest cosigned checkpoint of each log, as signed by the log, by the log's origin."""
        return self._notes

    def remember(self, origin: str, note: bytes) -> None:
        """Store a checkpoint as the newest of a log. It is durable when this returns.

        Args:
            origin: The log.
            note: The checkpoint, signed by the log.

        Raises:
            OSError: It could not be written, so nothing must be cosigned.
        """
        notes = {**self._notes, origin: note}
        replace_durably(self._folder / STATE_FILE, _pack(self.signers, notes))
        self._notes = notes

    def keep_fork(self, origin: str, known: bytes, shown: bytes) -> Path:
        """Store the proof that a log signed two trees of one size; only the first for each log is kept.

        Args:
            origin: The log.
            known: The checkpoint that was cosigned.
            shown: The other one.
        """
        path = self._folder / f"fork-{hashlib.sha256(origin.encode()).hexdigest()[:16]}"
        if not path.exists():
            replace_durably(path, known + b"\n" + shown)
        return path

    def _read_keys(self) -> list[SignerKey]:
        with (self._folder / KEY_FILE).open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise WitnessError(f"{KEY_FILE} can be read by others than its owner: consider who may have read it")
            try:
                signers = [SignerKey.parse(line) for line in file.read().splitlines()]
                for signer in signers:
                    check_witness_key(signer.verifier)
            except TransparencyError as error:
                raise WitnessError(f"{KEY_FILE}: {error}") from error
        if not signers:
            raise WitnessError(f"{KEY_FILE} is empty")
        return signers

    def _read_state(self) -> dict[str, bytes]:
        path = self._folder / STATE_FILE
        if not path.exists():
            raise WitnessError(f"{STATE_FILE} is missing: without it, the keys could cosign a different past")
        try:
            state: Any = json.loads(path.read_bytes())
            if state["format"] != STATE_FORMAT or state["witness"] != [str(each.verifier) for each in self.signers]:
                raise WitnessError(f"{STATE_FILE} is of another version or of other keys")
            notes = {origin: note.encode() for origin, note in state["logs"].items()}
            for origin, note in notes.items():
                if _head_of(note).origin != origin:
                    raise WitnessError(f"{STATE_FILE} is damaged")
        except (ValueError, KeyError, TypeError, AttributeError, TransparencyError) as error:
            raise WitnessError(f"{STATE_FILE} is damaged") from error
        return notes


class Witness:
    """Answers ``add-checkpoint``; several threads may call it.

    Args:
        memory: Its folder.
        logs: The verifier keys of each log that it watches, by the log's origin.
        told: Called with one line about a log that forked.
        clock: Seconds since 1970.

    Raises:
        WitnessError: A log's key is a key of the witness, or the stored checkpoint of a log was not signed by its keys.
    """

    def __init__(
        self,
        memory: Memory,
        logs: Mapping[str, Sequence[VerifierKey]],
        *,
        told: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory = memory
        self._logs = dict(logs)
        self._told = told
        self._clock = clock
        self._turn = threading.Lock()
        for origin, keys in self._logs.items():
            try:
                for signer in memory.signers:
                    check_witness_key(signer.verifier, keys)
                if origin in memory.known:
                    open_note(memory.known[origin], keys)
            except TransparencyError as error:
                raise WitnessError(f"{origin}: {error}") from error

    def add_checkpoint(self, body: bytes) -> Answer:
        """Cosign a checkpoint if it continues the known tree of its log; otherwise say why not.

        Args:
            body: The request.

        Returns:
            200 with the cosignatures, or 400, 403, 404, 409 or 422 as tlog-witness specifies.

        Raises:
            OSError: What would have been cosigned could not be made durable.
        """
        try:
            request = AddCheckpoint.parse(body)
            text, lines = split_note(request.checkpoint)
            head = Checkpoint.parse(text)
        except TransparencyError as error:
            return _refusal(400, error)
        keys = self._logs.get(head.origin)
        if keys is None:
            return _refusal(404, "this log is not watched here")
        try:
            opened = open_note(request.checkpoint, keys)
        except TransparencyError as error:
            return _refusal(403, error)
        if request.old > head.size:
            return _refusal(400, "the old size is larger than the checkpoint's")
        signers = [each for each in self._memory.signers if _can_sign(each, head)]
        if not signers:
            return _refusal(400, "a post-quantum cosignature covers neither extension lines nor a long name")
        # Signature lines of other keys are dropped: they have no effect here and could make the state arbitrarily long.
        own = {(key.name, key.key_id): key for key in opened.signatures}
        kept = [(own.get((name, signature[:4])), signature[4:]) for name, signature in lines]
        note = sign_note(text, *(signature_line(key, signature) for key, signature in kept if key))
        with self._turn:
            return self._add(request, head, note) or self._sign(signers, text)

    def _add(self, request: AddCheckpoint, head: Checkpoint, note: bytes) -> Answer | None:
        known_note = self._memory.known.get(head.origin)
        known = _head_of(known_note) if known_note else Checkpoint(head.origin, 0, EMPTY_ROOT)
        if request.old != known.size:
            return Answer(409, b"%d\n" % known.size, SIZE_TYPE)
        if head.size == known.size and head.root != known.root:
            kept = self._memory.keep_fork(head.origin, known_note or b"", note)
            self._told(f"{head.origin} signed two different trees of {head.size} entries; the proof is in {kept}")
            return _refusal(409, "another tree of this size was cosigned")
        if request.proof and not request.old:
            return _refusal(422, "a proof from the empty tree proves nothing")
        try:
            if request.old:
                verify_consistency(known.size, head.size, known.root, head.root, request.proof)
        except InvalidProof as error:
            return _refusal(422, error)
        if known_note is None or head.size > known.size:
            self._memory.remember(head.origin, note)
        return None

    def _sign(self, signers: Sequence[SignerKey], text: bytes) -> Answer:
        now = int(self._clock())
        return Answer(200, b"".join(each.sign(text, now) for each in signers))


def _can_sign(signer: SignerKey, head: Checkpoint) -> bool:
    names = (signer.name, head.origin)
    fits = not head.extensions and all(len(each.encode()) <= _MLDSA_NAME_BYTES for each in names)
    return signer.algorithm != COSIGNATURE_MLDSA44 or fits


def _head_of(note: bytes) -> Checkpoint:
    return Checkpoint.parse(split_note(note)[0])


def _refusal(status: int, why: object) -> Answer:
    return Answer(status, f"{why}\n".encode())


def _pack(signers: Sequence[SignerKey], notes: Mapping[str, bytes]) -> bytes:
    state = {
        "format": STATE_FORMAT,
        "witness": [str(each.verifier) for each in signers],
        "logs": {origin: note.decode() for origin, note in notes.items()},
    }
    return json.dumps(state, ensure_ascii=False, indent=1).encode() + b"\n"
