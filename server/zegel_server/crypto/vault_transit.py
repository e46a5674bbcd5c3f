"""Root keys in the transit engine of Vault or OpenBao, or of a service with the same API.

A root key is a transit key, AES-256-GCM, that cannot be exported; transit encrypts and decrypts with it. Transit keys
have no labels, so the name says what one is for, below a prefix that only this installation uses::

    <prefix>.<purpose>.<root key id>             the root key
    <prefix>-destroyed.<purpose>.<root key id>   a key that is never used, as a record of the destruction
    <prefix>-claim.<purpose>.<newest before>     gives all concurrent calls of ``ensure`` the same new identifier

Invariants:

* A root key's bytes never leave the engine.
* What is encrypted is bound to the root key's identifier and purpose, as associated data.
* The engine creates no name twice, so creating a key under an agreed identifier yields one key, whoever does it.
* Tokens stay in memory and credentials in their files: neither appears in a URL, a log line or an error.

Transit creates a missing key when asked to encrypt with it, unless the policy forbids that: grant no ``create`` on
``encrypt`` (see SECURITY.md).
"""

import base64
import contextlib
import hashlib
import ipaddress
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import hvac
import requests
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultError
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from zegel_server.crypto.blocking import CALL_TIMEOUT, BlockingRootKeys
from zegel_server.crypto.root_keys import (
    KeyDestroyed,
    NoRootKey,
    RootKeyInfo,
    WrappedKey,
    created_at,
    infos_of,
    new_root_key_id,
    primary_of,
    unknown_root_key,
)
from zegel_server.crypto.vault_login import AppRole, Login, TokenFile
from zegel_server.errors import DataLoss

__all__ = ["VaultRootKeys", "open_vault"]

THREADS: Final = 4
"""Concurrent calls: a call takes a few milliseconds."""
CONNECT_TIMEOUT: Final = 2.0
"""Seconds to reach the server."""
READ_TIMEOUT: Final = 5.0
"""Seconds for an answer."""
RETRIES: Final = 2
"""Retries of a request that failed in transit; every request made here can be repeated safely."""
LOGIN_AGAIN_S: Final = 5.0
"""Seconds that a login must be old before a refusal causes another: a policy's refusal must not cause a login storm."""
LEASE_USED: Final = 0.8
"""Share of a token's life after which a new one is fetched."""

_TYPE: Final = "aes256-gcm96"
_CIPHERTEXT: Final = re.compile(r"vault:v[1-9][0-9]{0,8}:(?:[A-Za-z0-9+/]{4})+")
"""What transit returns for 32 bytes. Transit would also open ``v0`` as ``v1``; here an altered blob is refused."""
_PREFIX: Final = re.compile(r"[A-Za-z0-9_]{1,32}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*")
_TOO_OLD: Final = "too old"
"""Transit's words for a key version that its owner has disabled: a decision, not damage."""


@dataclass(slots=True)
class _Token:
    since: float
    until: float


class VaultRootKeys(BlockingRootKeys):
    """A `RootKeys` provider over a transit engine.

    Args:
        client: A client for the server, without a token.
        mount: Where the engine is mounted.
        prefix: Distinguishes this installation's keys from others in the engine: letters, digits and ``_``.
        login: How to obtain a token.
        call_timeout: Seconds after which a call is abandoned.
    """

    def __init__(
        self, client: hvac.Client, mount: str, prefix: str, login: Login, *, call_timeout: float = CALL_TIMEOUT
    ) -> None:
        # An answer that does not follow the protocol raises one of the last three.
        failures = (VaultError, requests.RequestException, OSError, KeyError, TypeError, ValueError)
        super().__init__("vault", failures, threads=THREADS, call_timeout=call_timeout)
        self._client = client
        self._transit = client.secrets.transit
        self._mount = mount
        self._prefix = prefix
        self._login = login
        self._login_lock = threading.Lock()
        self._token: _Token | None = None
        # Never wrong, because a name is never reused; but it may contain destroyed keys.
        self._purposes: dict[str, str] = {}

    def _create(self, purpose: str) -> str:
        living, destroyed = self._names()
        return self._make(purpose, new_root_key_id(living.keys() | destroyed.keys()))

    def _ensure(self, purpose: str) -> str:
        living, destroyed = self._names()
        with contextlib.suppress(NoRootKey):
            return primary_of(living.items(), purpose)
        before = max((each for each, its in destroyed.items() if its == purpose), default="first")
        claim = f"{self._prefix}-claim.{purpose}.{before}"
        self._make_key(claim)
        made = self._ask(lambda: self._transit.read_key(claim, mount_point=self._mount))
        at = int(made["data"]["keys"]["1"]) * 1000
        if destroyed:
            at = max(at, int(max(destroyed).split("-")[1], 16) + 1)
        random = self._ask(
            lambda: self._transit.generate_hmac(claim, hash_input=_base64(b"zegel"), mount_point=self._mount)
        )
        drawn = hashlib.sha256(str(random["data"]["hmac"]).encode()).hexdigest()
        return self._make(purpose, f"rk-{at:012x}-{drawn[:20]}")

    def _primary(self, purpose: str) -> str:
        return primary_of(self._names()[0].items(), purpose)

    def _wrap(self, key: bytes, purpose: str) -> WrappedKey:
        root_key_id = self._primary(purpose)
        return WrappedKey(root_key_id, self._encrypt(root_key_id, purpose, key))

    def _unwrap(self, wrapped: WrappedKey) -> bytes:
        damaged = DataLoss("A stored key cannot be unwrapped.")
        purpose = self._find(wrapped.root_key_id, self._purposes)
        ciphertext = wrapped.blob.decode("ascii", "replace")
        if not _CIPHERTEXT.fullmatch(ciphertext):
            raise damaged
        try:
            return self._decrypt(wrapped.root_key_id, purpose, ciphertext)
        except InvalidRequest as error:
            # Deleted since its name was cached, or it never existed.
            self._find(wrapped.root_key_id, self._names()[0])
            if _TOO_OLD in str(error):
                raise
            # If the key opens a fresh blob, the stored one is damaged.
            probe = self._encrypt(wrapped.root_key_id, purpose, b"probe").decode("ascii")
            if self._decrypt(wrapped.root_key_id, purpose, probe) == b"probe":
                raise damaged from None
            raise

    def _destroy(self, root_key_id: str) -> None:
        living, destroyed = self._names()
        if root_key_id not in living:
            if root_key_id in destroyed:
                return
            raise unknown_root_key()
        name = self._name(living[root_key_id], root_key_id)
        # The record of destruction first: otherwise a key destroyed just before a crash would look lost.
        self._make_key(f"{self._prefix}-destroyed.{living[root_key_id]}.{root_key_id}")
        try:
            self._ask(
                lambda: self._transit.update_key_configuration(name, deletion_allowed=True, mount_point=self._mount)
            )
            self._ask(lambda: self._transit.delete_key(name, mount_point=self._mount))
        except InvalidRequest:
            # Another process destroyed it at the same moment, or it could not be destroyed.
            if root_key_id in self._names()[0]:
                raise
        self._purposes.pop(root_key_id, None)

    def _list(self) -> list[RootKeyInfo]:
        return infos_of(*self._names())

    def _close(self) -> None:
        try:
            # Revokes the token that this process logged in for; a token from a file belongs to another program.
            if isinstance(self._login, AppRole) and self._token:
                self._client.auth.token.revoke_self()
        except (VaultError, requests.RequestException):
            pass
        finally:
            self._client.adapter.close()

    def _make(self, purpose: str, root_key_id: str) -> str:
        self._make_key(self._name(purpose, root_key_id))
        self._purposes[root_key_id] = purpose
        return root_key_id

    def _make_key(self, name: str) -> None:
        self._ask(
            lambda: self._transit.create_key(
                name, exportable=False, allow_plaintext_backup=False, key_type=_TYPE, mount_point=self._mount
            )
        )

    def _encrypt(self, root_key_id: str, purpose: str, plaintext: bytes) -> bytes:
        answer = self._ask(
            lambda: self._transit.encrypt_data(
                self._name(purpose, root_key_id),
                plaintext=_base64(plaintext),
                associated_data=_associated(root_key_id, purpose),
                mount_point=self._mount,
            )
        )
        return str(answer["data"]["ciphertext"]).encode("ascii")

    def _decrypt(self, root_key_id: str, purpose: str, ciphertext: str) -> bytes:
        answer = self._ask(
            lambda: self._transit.decrypt_data(
                self._name(purpose, root_key_id),
                ciphertext=ciphertext,
                associated_data=_associated(root_key_id, purpose),
                mount_point=self._mount,
            )
        )
        return base64.b64decode(answer["data"]["plaintext"], validate=True)

    def _name(self, purpose: str, root_key_id: str) -> str:
        return f"{self._prefix}.{purpose}.{root_key_id}"

    def _find(self, root_key_id: str, known: Mapping[str, str]) -> str:
        """Return a root key's purpose; the engine is asked if it is not cached."""
        purpose = known.get(root_key_id)
        if purpose is None:
            living, destroyed = self._names()
            purpose = living.get(root_key_id)
            if purpose is None:
                raise KeyDestroyed if root_key_id in destroyed else unknown_root_key()
        return purpose

    def _names(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the purpose of each living root key, and of each that was destroyed, by identifier."""
        try:
            names = self._ask(lambda: self._transit.list_keys(mount_point=self._mount))["data"]["keys"]
        except InvalidPath as error:
            if error.errors:  # there is no such engine; for one without keys there is no message
                raise
            names = []
        living, destroyed = dict[str, str](), dict[str, str]()
        for name in names:
            kind, _, rest = str(name).partition(".")
            purpose, _, root_key_id = rest.rpartition(".")
            found = {self._prefix: living, f"{self._prefix}-destroyed": destroyed}.get(kind)
            if found is not None and purpose and _is_id(root_key_id):
                found[root_key_id] = purpose
        self._purposes = dict(living)
        return living, destroyed

    def _ask(self, call: Callable[[], Any]) -> Any:
        """Ask the server; log in first if due, and once more if a token that worked is refused."""
        since = self._logged_in()
        try:
            return call()
        except Forbidden:
            if time.monotonic() - since < LOGIN_AGAIN_S and isinstance(self._login, AppRole):
                raise
            with self._login_lock:
                if self._token and self._token.since == since:
                    self._token = None
            self._logged_in()
            return call()

    def _logged_in(self) -> float:
        """Make sure that there is a token; return when it was obtained, in seconds of the monotonic clock."""
        with self._login_lock:
            now = time.monotonic()
            if self._token is None or now >= self._token.until:
                token, seconds = self._login(self._client)
                self._client.token = token
                self._token = _Token(now, now + seconds * LEASE_USED if seconds else float("inf"))
            return self._token.since


def open_vault(url: str) -> VaultRootKeys:
    """Open a transit engine.

    Args:
        url: ``vault://host:port/<mount>?token-file=<path>``, or, instead of the token, AppRole's
            ``role-id-file=<path>&secret-id-file=<path>`` and, if that is not mounted at ``approle``,
            ``&auth-mount=<mount>``. Also ``&ca-file=<path>`` for the server's CA, ``&namespace=<name>``, and
            ``&prefix=<name>`` (default ``zegel``). ``vault+http://`` is only for an agent on this machine.

    Raises:
        ValueError: The URL is malformed.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    credentials = options.keys() & {"token-file", "role-id-file", "secret-id-file"}
    known = {"ca-file", "namespace", "prefix", "auth-mount"} | credentials
    mount, prefix = parts.path.strip("/"), options.get("prefix", "zegel")
    files = [options[name] for name in ("token-file", "role-id-file", "secret-id-file", "ca-file") if name in options]
    if (
        parts.scheme not in {"vault", "vault+http"}
        or not parts.hostname
        or "@" in parts.netloc
        or options.keys() - known
        or credentials not in ({"token-file"}, {"role-id-file", "secret-id-file"})
        or not all(file.startswith("/") for file in files)
        or not _PATH.fullmatch(mount)
        or not _PATH.fullmatch(options.get("auth-mount", "approle"))
        or not _PREFIX.fullmatch(prefix)
    ):
        raise ValueError(
            "a key provider's Vault URL is vault://host:port/<mount>?token-file=<path> or ?role-id-file=<path>"
            "&secret-id-file=<path>, with ca-file, namespace, prefix and auth-mount if needed"
        )
    plain = parts.scheme == "vault+http"
    if plain and not _is_loopback(parts.hostname):
        raise ValueError("a key provider's Vault URL is vault+http: only for an agent on this machine; use vault:")
    # Nothing is taken from the environment: neither a proxy nor a token that was meant for another program.
    session = requests.Session()
    session.trust_env = False
    retry = Retry(
        RETRIES,
        backoff_factor=0.1,
        allowed_methods=None,
        status_forcelist=(429, 502, 504),
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    session.verify = options.get("ca-file", True)
    client = hvac.Client(
        url=f"{'http' if plain else 'https'}://{parts.netloc}",
        token="",
        verify=session.verify,
        timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
        # A redirect would carry the token to wherever it points.
        allow_redirects=False,
        session=session,
        namespace=options.get("namespace") or None,
        strict_http=True,
    )
    login: Login
    if "token-file" in options:
        login = TokenFile(Path(options["token-file"]))
    else:
        login = AppRole(
            Path(options["role-id-file"]), Path(options["secret-id-file"]), options.get("auth-mount", "approle")
        )
    return VaultRootKeys(client, mount, prefix, login)


def _is_id(text: str) -> bool:
    try:
        created_at(text)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _associated(root_key_id: str, purpose: str) -> str:
    return _base64(f"zegel/root-key/v1/{root_key_id}/{purpose}".encode())
