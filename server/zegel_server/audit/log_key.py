"""The log's signing key: made once, and kept in one file together with the log's name.

The file has one line per key, in the format of Go's ``sumdb/note`` for a signer:
``PRIVATE+KEY+name+hex(id)+base64(type | seed)``. The first is the log's Ed25519 key; each further key would add its
own signature line to the same checkpoint.

Invariants:

* The file is created atomically and flushed before anything is signed: if two servers start at once, both use the key
  of the first.
* Only its owner can read it; a file that others can read is refused.
* The file holds the log's name: it can be chosen at the first start, and never changed.
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
"""The log's name if none is configured: for a server that nobody else follows."""
FILE: Final = "log.key"
"""The file's name in the folder of keys."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class LogKeyError(ValueError):
    """The log's key cannot be used; the message says why, without a secret."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """The keys that sign the log's checkpoints.

    ``LogKey.open(folder, origin)`` reads them, or makes them the first time.

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
        """Signs a tree head in the format of C2SP ``tlog-checkpoint``.

        Args:
            size: Leaves of the tree.
            root: Its root, 32 bytes.
        """
        text = Checkpoint(self.origin, size, root).format()
        return sign_note(text, *(signer.sign(text) for signer in self.signers))

    @classmethod
    def open(cls, folder: Path, origin: str = "") -> "LogKey":
        """Reads the log's key, or makes it if there is none yet.

        Args:
            folder: The folder of keys, which exists.
            origin: The log's name, such as ``example.com/log``: a URL without its scheme, by which its followers know
                it. Empty for the name that the file has, or else the default.

        Raises:
            LogKeyError: The file is damaged or readable by others, or the name is malformed or not the log's.
            OSError: The file cannot be read or created.
        """
        path = folder / FILE
        if not path.exists():
            _make(path, origin or DEFAULT_ORIGIN)
        key = cls(_read(path))
        if origin and origin != key.origin:
            message = f"the log's name is {key.origin} and cannot change: its followers know it by that name"
            raise LogKeyError(message)
        return key


def _make(path: Path, origin: str) -> None:
    try:
        signer = SignerKey(origin, ED25519, secrets.token_bytes(SEED_SIZE))
    except InvalidKey as error:
        message = "a log's name is like example.com/log, without spaces or plus signs"
        raise LogKeyError(message) from error
    temporary = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(signer.secret() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # Unlike a rename, a link does not replace an existing file: the first server's key stays.
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
            message = f"{FILE} can be read by others than its owner: chmod 600 it, and consider who may have read it"
            raise LogKeyError(message)
        lines = file.read().splitlines()
    signers = tuple(_parse(line) for line in lines)
    if not signers or len({signer.name for signer in signers}) != 1:
        message = f"{FILE} does not contain a key of the log"
        raise LogKeyError(message)
    return signers


def _parse(line: str) -> SignerKey:
    refusal = LogKeyError(f"a line of {FILE} is not a signer's key")
    try:
        signer = SignerKey.parse(line)
    except InvalidKey as error:
        raise refusal from error
    # A timestamped signature is what a witness makes; a log's own signature has no timestamp.
    if signer.algorithm != ED25519:
        raise refusal
    return signer
