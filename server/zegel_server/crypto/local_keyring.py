"""Root keys in a file: the default, for installations without a hardware module or key service.

The file is JSON, readable only by its owner::

    {"format": "zegel-keyring-v1", "keys": [{"id": "rk-...", "purpose": "default", "key": "<base64>"}, ...]}

Invariants:

* The file is replaced as a whole and flushed before a change is acknowledged, under a lock between all processes.
* A destroyed key stays in the list without its bytes, and the bytes of the replaced file are overwritten as far as the
  file system allows it. A backup of the keyring undoes that: keep none that is older than the last erasure.
* Each call checks whether another process replaced the file, so a key destroyed there is refused here at once.
* A file that others can read is refused.
"""

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from zegel_server.crypto.root_keys import (
    DEFAULT_PURPOSE,
    KeyDestroyed,
    NoRootKey,
    RootKeyInfo,
    WrappedKey,
    check_purpose,
    created_at,
    infos_of,
    new_root_key_id,
    primary_of,
    provider_unavailable,
    unknown_root_key,
)
from zegel_server.crypto.wrapping import KEY_SIZE, check_key_size, unwrap_key, wrap_key
from zegel_server.errors import DataLoss, Unavailable

__all__ = ["LocalKeyring"]

_FORMAT: Final = "zegel-keyring-v1"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class _Entry:
    root_key_id: str
    purpose: str
    key: bytes | None = field(repr=False)
    """None once it has been destroyed."""


_Keys = dict[str, _Entry]
_Stamp = tuple[int, int, int]
"""What changes whenever the file is replaced: its inode number, time and size."""


class LocalKeyring:
    """A `RootKeys` provider over a file, which several processes of one machine can share.

    Args:
        path: The file. It is created with the first root key; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._lock_path = self._path.with_name(self._path.name + ".lock")
        # One attribute, so that no thread can pair the keys of an earlier file with the stamp of a later one.
        self._state: tuple[_Stamp | None, _Keys] = (None, {})

    async def create(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.create`."""
        return await asyncio.to_thread(self._add, check_purpose(purpose), reuse=False)

    async def ensure(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.ensure`."""
        check_purpose(purpose)
        with contextlib.suppress(NoRootKey):
            return await self.primary(purpose)
        return await asyncio.to_thread(self._add, purpose, reuse=True)

    async def primary(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.primary`."""
        return _primary(await self._current(), purpose).root_key_id

    async def wrap(self, key: bytes, purpose: str = DEFAULT_PURPOSE) -> WrappedKey:
        """See `RootKeys.wrap`."""
        check_key_size(key)
        entry = _primary(await self._current(), purpose)
        return WrappedKey(entry.root_key_id, wrap_key(_living(entry), key))

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """See `RootKeys.unwrap`."""
        return unwrap_key(_living(_find(await self._current(), wrapped.root_key_id)), wrapped.blob)

    async def destroy(self, root_key_id: str) -> None:
        """See `RootKeys.destroy`."""
        await asyncio.to_thread(self._destroy, root_key_id)

    async def list(self, purpose: str | None = None) -> list[RootKeyInfo]:
        """See `RootKeys.list`."""
        keys = {name: each for name, each in (await self._current()).items() if purpose in (None, each.purpose)}
        return infos_of(
            {entry.root_key_id: entry.purpose for entry in keys.values() if entry.key},
            {entry.root_key_id: entry.purpose for entry in keys.values() if not entry.key},
        )

    async def close(self) -> None:
        """See `RootKeys.close`."""
        self._state = (None, {})

    async def _current(self) -> _Keys:
        """Return the keys as they are on disk at this moment."""
        with _translated():
            stamp, keys = self._state
            if self._stamp() == stamp:
                return keys
        return await asyncio.to_thread(self._reload)

    def _stamp(self) -> "_Stamp | None":
        try:
            return _stamp_of(os.stat(self._path))  # noqa: PTH116 - the tests let the system's own calls fail
        except FileNotFoundError:
            return None

    def _reload(self) -> _Keys:
        with self._locked(fcntl.LOCK_SH):
            return self._load()

    def _load(self) -> _Keys:
        """Read the file; the caller holds the lock."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            self._state = (None, {})
            return {}
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mode & _OTHERS or found.st_uid != os.geteuid():
                raise Unavailable(
                    "The keyring file belongs to another user or can be read by others; chmod 600 it.",
                    dependency="key_provider",
                )
            keys = _parse(file.read())
        self._state = (_stamp_of(found), keys)
        return keys

    def _add(self, purpose: str, *, reuse: bool) -> str:
        with self._locked(fcntl.LOCK_EX):
            keys = self._load()
            if reuse:
                with contextlib.suppress(NoRootKey):
                    return _primary(keys, purpose).root_key_id
            entry = _Entry(new_root_key_id(keys), purpose, secrets.token_bytes(KEY_SIZE))
            self._save({**keys, entry.root_key_id: entry})
            return entry.root_key_id

    def _destroy(self, root_key_id: str) -> None:
        with self._locked(fcntl.LOCK_EX):
            keys = self._load()
            entry = _find(keys, root_key_id)
            if entry.key is None:
                return
            with open(self._path, "r+b", buffering=0) as replaced:  # noqa: PTH123
                self._save({**keys, root_key_id: replace(entry, key=None)})
                # The new file is already in use, whether or not this succeeds.
                with contextlib.suppress(OSError):
                    os.write(replaced.fileno(), bytes(os.fstat(replaced.fileno()).st_size))
                    os.fsync(replaced.fileno())

    def _save(self, keys: _Keys) -> None:
        """Replace the file, durably; the caller holds the lock for writing."""
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_format(keys))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)  # noqa: PTH105 - the tests let the system's own calls fail
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        """Hold the lock between all processes. It has its own file, because the keyring's is replaced."""
        with _translated():
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, mode)
                yield
            finally:
                os.close(descriptor)


def _stamp_of(found: os.stat_result) -> _Stamp:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _primary(keys: _Keys, purpose: str) -> _Entry:
    return keys[primary_of(((entry.root_key_id, entry.purpose) for entry in keys.values() if entry.key), purpose)]


def _find(keys: _Keys, root_key_id: str) -> _Entry:
    entry = keys.get(root_key_id)
    if entry is None:
        raise unknown_root_key()
    return entry


def _living(entry: _Entry) -> bytes:
    if entry.key is None:
        raise KeyDestroyed
    return entry.key


def _format(keys: _Keys) -> bytes:
    listed = [
        {"id": entry.root_key_id, "purpose": entry.purpose}
        | ({"key": base64.b64encode(entry.key).decode()} if entry.key else {"destroyed": True})
        for entry in keys.values()
    ]
    return json.dumps({"format": _FORMAT, "keys": listed}, indent=1).encode() + b"\n"


def _parse(text: bytes) -> _Keys:
    try:
        document = json.loads(text)
        known = document["format"] == _FORMAT
        keys: _Keys = {}
        for item in document["keys"]:
            key = None if item.get("destroyed") else check_key_size(base64.b64decode(item["key"], validate=True))
            created_at(item["id"])
            keys[item["id"]] = _Entry(item["id"], check_purpose(item["purpose"]), key)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Without the cause: a parser's message may quote the file.
        raise DataLoss("The keyring file is damaged.") from None
    if not known:
        raise DataLoss("The keyring file has a format that this version does not know.")
    return keys


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise provider_unavailable() from error
