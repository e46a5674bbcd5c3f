"""Root keys in a hardware module, or any other token with a PKCS#11 driver.

A root key is generated in the token as an AES-256 key that is sensitive and not extractable; the token wraps and
unwraps with it by AES Key Wrap. Its label is its purpose, its ``CKA_ID`` its identifier.

Invariants:

* A root key's bytes never leave the token.
* A destroyed key leaves a data object with its name behind, to distinguish it from one that never existed.
* Before each call a marker object is looked up. A session that lost its login or its token does not see it, and is
  reopened: otherwise it would report every key as missing.
* A refused PIN is not tried again: tokens lock themselves after a few attempts.

Calls to a driver run one at a time, in threads: drivers block, and must not be used while being reinitialised.
"""

import contextlib
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast
from urllib.parse import parse_qsl, unquote

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, PKCS11Error

from zegel_server.crypto.blocking import CALL_TIMEOUT, BlockingRootKeys
from zegel_server.crypto.root_keys import (
    KeyDestroyed,
    NoRootKey,
    RootKeyInfo,
    WrappedKey,
    infos_of,
    new_root_key_id,
    primary_of,
    unknown_root_key,
)
from zegel_server.crypto.wrapping import KEY_SIZE, WRAPPED_SIZE
from zegel_server.errors import DataLoss, Unavailable

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Driver  # noqa: N812 - it is a class

__all__ = ["Pkcs11RootKeys", "open_pkcs11"]

T = TypeVar("T")

_APPLICATION: Final = "zegel"
_MARKER: Final = "zegel/marker"
_LIVING: Final = "zegel/key/"
_DESTROYED: Final = "zegel/destroyed/"
_SESSION_KEY: Final = {Attribute.TOKEN: False, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
"""A temporary object: a tenant key while the token wraps or unwraps it."""

_driver_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class _RootKey(Protocol):
    """What is used of a root key in the token; for type checking: the library creates its classes at run time."""

    id: bytes
    label: str

    def destroy(self) -> None: ...

    def wrap_key(self, key: pkcs11.Object, *, mechanism: Mechanism) -> bytes: ...

    def unwrap_key(
        self,
        object_class: ObjectClass,
        key_type: KeyType,
        key_data: bytes,
        *,
        mechanism: Mechanism,
        store: bool,
        template: dict[Attribute, bool],
    ) -> pkcs11.Object: ...


class Pkcs11RootKeys(BlockingRootKeys):
    """A `RootKeys` provider over one token.

    Args:
        module: The driver, a shared library.
        token: The token's label.
        pin_source: A file with the user's PIN; read each time the token is opened, so it can be changed.
        call_timeout: Seconds after which a call is given up.
    """

    def __init__(self, module: Path, token: str, pin_source: Path, *, call_timeout: float = CALL_TIMEOUT) -> None:
        super().__init__("pkcs11", (PKCS11Error, OSError), threads=1, call_timeout=call_timeout)
        self._module = str(module)
        self._token = token
        self._pin_source = pin_source
        self._session: pkcs11.Session | None = None
        self._refused_pin: str | None = None
        self._lock = _driver_locks[self._module]

    def _create(self, purpose: str) -> str:
        return self._with_session(lambda session: _generate(session, purpose))

    def _ensure(self, purpose: str) -> str:
        """Two processes at once may create one key each; both then use the newer one as the primary."""

        def primary_or_new(session: pkcs11.Session) -> str:
            with contextlib.suppress(NoRootKey):
                return primary_of(_living(session, purpose), purpose)
            return _generate(session, purpose)

        return self._with_session(primary_or_new)

    def _primary(self, purpose: str) -> str:
        return self._with_session(lambda session: primary_of(_living(session, purpose), purpose))

    def _wrap(self, key: bytes, purpose: str) -> WrappedKey:
        def wrap_with_primary(session: pkcs11.Session) -> WrappedKey:
            root_key_id = primary_of(_living(session, purpose), purpose)
            return WrappedKey(root_key_id, _wrap(session, _find(session, root_key_id), key))

        return self._with_session(wrap_with_primary)

    def _unwrap(self, wrapped: WrappedKey) -> bytes:
        return self._with_session(lambda session: _unwrap(session, _find(session, wrapped.root_key_id), wrapped.blob))

    def _destroy(self, root_key_id: str) -> None:
        self._with_session(lambda session: _destroy(session, root_key_id))

    def _list(self) -> list[RootKeyInfo]:
        return self._with_session(lambda session: infos_of(dict(_living(session)), _destroyed(session)))

    def _close(self) -> None:
        with self._lock:
            self._drop()

    def _with_session(self, call: Callable[[pkcs11.Session], T]) -> T:
        with self._lock:
            try:
                return call(self._live_session())
            except (PKCS11Error, OSError):
                self._drop()
                raise

    def _live_session(self) -> pkcs11.Session:
        """Return the session if it still sees the token's objects, or a new one; the caller holds the lock."""
        if self._session:
            with contextlib.suppress(PKCS11Error):
                if _has_marker(self._session):
                    return self._session
            self._drop()
        self._session = self._connect()
        return self._session

    def _connect(self) -> pkcs11.Session:
        pin = self._pin_source.read_text(encoding="utf-8").rstrip("\r\n")
        if pin == self._refused_pin:
            raise Unavailable("The token refused its PIN; correct it.", dependency="key_provider")
        driver = pkcs11.lib(self._module)
        try:
            session = _open(driver, self._token, pin)
        except (pkcs11.PinIncorrect, pkcs11.PinLocked, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinExpired):
            self._refused_pin = pin
            raise
        except PKCS11Error:
            # A driver that lost its token may need reinitialising. Other providers' sessions end too, and reopen.
            driver.reinitialize()
            session = _open(driver, self._token, pin)
        self._refused_pin = None
        if not _has_marker(session):
            session.create_object(_data_object(_MARKER))
        return session

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session:
            with contextlib.suppress(PKCS11Error):
                session.close()


def open_pkcs11(url: str) -> Pkcs11RootKeys:
    """Open a token.

    Args:
        url: A PKCS#11 URI (RFC 7512) with the token's label, the driver and the file with the PIN:
            ``pkcs11:token=zegel?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin``. A PIN
            in the URI itself is not accepted: URIs end up in logs.

    Raises:
        ValueError: The URI is malformed, or has attributes other than these.
    """
    path, _, query = url.removeprefix("pkcs11:").partition("?")
    where = dict(part.partition("=")[::2] for part in path.split(";"))
    how = dict(parse_qsl(query))
    module, pin_source = how.get("module-path", ""), how.get("pin-source", "").removeprefix("file:")
    token = unquote(where.get("token", ""))
    known = where.keys() == {"token"} and how.keys() == {"module-path", "pin-source"}
    if not url.startswith("pkcs11:") or not known or not token or module[:1] != "/" or pin_source[:1] != "/":
        raise ValueError(
            "a key provider's PKCS#11 URI is pkcs11:token=<label>?module-path=<driver>&pin-source=file:<path>",
        )
    return Pkcs11RootKeys(Path(module), token, Path(pin_source))


def _open(driver: "Driver", token: str, pin: str) -> pkcs11.Session:
    found = driver.get_token(token_label=token)
    try:
        return found.open(rw=True, user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:
        # A login holds for all of a process's sessions with the token.
        return found.open(rw=True)


def _data_object(label: str, value: bytes = b"") -> dict[Attribute, object]:
    return {
        Attribute.CLASS: ObjectClass.DATA,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.APPLICATION: _APPLICATION,
        Attribute.LABEL: label,
        Attribute.VALUE: value,
    }


def _data(session: pkcs11.Session, label: str | None = None) -> list[pkcs11.Object]:
    wanted: dict[Attribute, object] = {Attribute.CLASS: ObjectClass.DATA, Attribute.APPLICATION: _APPLICATION}
    if label:
        wanted[Attribute.LABEL] = label
    return list(session.get_objects(wanted))


def _has_marker(session: pkcs11.Session) -> bool:
    # First a call that needs no cleanup: a failed search would raise again when it is garbage-collected.
    session.generate_random(8)
    return bool(_data(session, _MARKER))


def _keys(session: pkcs11.Session, wanted: dict[Attribute, object]) -> list[_RootKey]:
    kind = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES}
    return cast("list[_RootKey]", list(session.get_objects(kind | wanted)))


def _living(session: pkcs11.Session, purpose: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield identifier and purpose of the existing root keys, of one purpose or of all."""
    for key in _keys(session, {Attribute.LABEL: _LIVING + purpose} if purpose else {}):
        if key.label.startswith(_LIVING):
            yield key.id.decode("ascii"), key.label.removeprefix(_LIVING)


def _destroyed(session: pkcs11.Session) -> dict[str, str]:
    """Return the purpose of each destroyed root key."""
    return {
        found[Attribute.LABEL].removeprefix(_DESTROYED): found[Attribute.VALUE].decode("ascii")
        for found in _data(session)
        if found[Attribute.LABEL].startswith(_DESTROYED)
    }


def _find(session: pkcs11.Session, root_key_id: str) -> _RootKey:
    for key in _keys(session, {Attribute.ID: root_key_id.encode()}):
        if key.label.startswith(_LIVING):
            return key
    if _data(session, _DESTROYED + root_key_id):
        raise KeyDestroyed
    raise unknown_root_key()


def _generate(session: pkcs11.Session, purpose: str) -> str:
    existing = {root_key_id for root_key_id, _ in _living(session)} | _destroyed(session).keys()
    root_key_id = new_root_key_id(existing)
    session.generate_key(
        KeyType.AES,
        KEY_SIZE * 8,
        id=root_key_id.encode(),
        label=_LIVING + purpose,
        store=True,
        capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP,
        template={Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )
    return root_key_id


def _destroy(session: pkcs11.Session, root_key_id: str) -> None:
    try:
        key = _find(session, root_key_id)
    except KeyDestroyed:
        return
    # The record of destruction first: otherwise a key destroyed just before a crash would look lost.
    if not _data(session, _DESTROYED + root_key_id):
        session.create_object(_data_object(_DESTROYED + root_key_id, key.label.removeprefix(_LIVING).encode()))
    key.destroy()


def _wrap(session: pkcs11.Session, root_key: _RootKey, key: bytes) -> bytes:
    held = session.create_object(
        _SESSION_KEY
        | {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
            Attribute.VALUE: key,
        },
    )
    try:
        return bytes(root_key.wrap_key(held, mechanism=Mechanism.AES_KEY_WRAP))
    finally:
        held.destroy()


def _unwrap(session: pkcs11.Session, root_key: _RootKey, blob: bytes) -> bytes:
    damaged = DataLoss("A stored key cannot be unwrapped.")
    if len(blob) != WRAPPED_SIZE:
        raise damaged
    try:
        return _unwrap_with(root_key, blob)
    except PKCS11Error:
        # Drivers report a wrong tag with different errors. If the key opens a fresh blob, the stored one is damaged.
        probe = secrets.token_bytes(KEY_SIZE)
        if _unwrap_with(root_key, _wrap(session, root_key, probe)) == probe:
            raise damaged from None
        raise


def _unwrap_with(root_key: _RootKey, blob: bytes) -> bytes:
    held = root_key.unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.GENERIC_SECRET,
        blob,
        mechanism=Mechanism.AES_KEY_WRAP,
        store=False,
        template=_SESSION_KEY,
    )
    try:
        return bytes(held[Attribute.VALUE])
    finally:
        held.destroy()
