"""The log's signing key: made once, kept in one file, and never apart from the log's name.

The file holds one line for each key, as Go's ``sumdb/note`` writes a signer: ``PRIVATE+KEY+name+hex(id)+base64(type |
seed)``. The first is the log's Ed25519 key; further ones would sign the same checkpoint with a line of their own.

Invariants:

* The file is made atomically and flushed before anything is signed: of two servers that start at once both take the
  key of the first.
* It is readable for its owner only; a file that others can read is not used.
* The log's name stands in the file: it can be told other than the default at the first start, and never again.
"""

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from zegel.evidence.note_signing import SEED_SIZE, SignerKey, sign_note
from zegel.evidence.transparency import ED25519, Checkpoint, InvalidKey, VerifierKey

DEFAULT_ORIGIN: Final = "zegel.localhost/log"
"""The log's name where none is told: that of a server nobody else knows."""
FILE: Final = "log.key"
"""The file's name in the folder of keys."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class LogKeyError(ValueError):
    """The log's key cannot be used; the message says why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """The keys that sign the log's checkpoints.

    ``LogKey.open(folder, origin)`` reads or makes them.

    Attributes:
        signers: The keys, the log's own first. None of them makes a timestamped signature.
    """

    signers: tuple[SignerKey, ...] = field(repr=False)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.signers[0].name

    @property
    def verifier(self) -> VerifierKey:
        """The public key that verifies the log."""
        return self.signers[0].verifier

    def checkpoint(self, size: int, root: bytes) -> bytes:
        """Signs a tree head, as C2SP ``tlog-checkpoint`` has it.

        Args:
            size: Leaves of the tree.
            root: Its root, 32 bytes.
        """
        text = Checkpoint(self.origin, size, root).format()
        return sign_note(text, *(signer.sign(text) for signer in self.signers))

    @classmethod
    def open(cls, folder: Path, origin: str = "") -> "LogKey":
        """Reads the log's key, or makes it where there is none yet.

        Args:
            folder: The folder of keys; it is there.
            origin: The log's name, such as ``example.com/log``: a URL without its scheme, by which the world will know
                it. Empty for the one that it has, or the default.

        Raises:
            LogKeyError: The file is damaged or readable for others, the name is none, or the log has another.
            OSError: The file cannot be read or made.
        """
        path = folder / FILE
        if not path.exists():
            _make(path, origin or DEFAULT_ORIGIN)
        key = cls(_read(path))
        if origin and origin != key.origin:
            message = f"the log's name is {key.origin} and cannot change: whoever follows it knows it by that"
            raise LogKeyError(message)
        return key


def _make(path: Path, origin: str) -> None:
    try:
        signer = SignerKey(origin, ED25519, secrets.token_bytes(SEED_SIZE))
    except InvalidKey as error:
        message = "a log's name has neither space nor plus, such as example.com/log"
        raise LogKeyError(message) from error
    temporary = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(signer.secret() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, unlike a rename, replaces nothing: the first server's key stays.
            path.hardlink_to(temporary)
        except FileExistsError:
            return
        finally:
            temporary.unlink()
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> tuple[SignerKey, ...]:
    with path.open(encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            message = f"{FILE} can be read by others than its owner: chmod 600 it, and think who may have read it"
            raise LogKeyError(message)
        lines = file.read().splitlines()
    signers = tuple(_parse(line) for line in lines)
    if not signers or len({signer.name for signer in signers}) != 1:
        message = f"{FILE} holds no key of the log"
        raise LogKeyError(message)
    return signers


def _parse(line: str) -> SignerKey:
    refusal = LogKeyError(f"a line of {FILE} is no signer's key")
    try:
        signer = SignerKey.parse(line)
    except InvalidKey as error:
        raise refusal from error
    # A timestamped signature is a witness's statement; with the log's own key it would be no log's.
    if signer.algorithm != ED25519:
        raise refusal
    return signer
