"""Root keys in AWS KMS, or in a service with the same API.

A root key is a KMS key; KMS wraps and unwraps with it. It is named by aliases below ``alias/<namespace>/``::

    key/<root key id>                   the KMS key
    primary/<purpose>                   the newest key of a purpose
    destroyed/<purpose>/<root key id>   the marker key, as a record that the root key was destroyed
    marker                              the marker key, which is never used

Invariants:

* A root key's bytes never leave KMS.
* The encryption context holds the root key's identifier, so a blob that is moved to another root key does not open.
* Destroying takes effect at once, but KMS keeps a key for seven more days, in which its owner can cancel the deletion.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from zegel_server.crypto.blocking import BlockingRootKeys
from zegel_server.crypto.root_keys import (
    KeyDestroyed,
    NoRootKey,
    RootKeyInfo,
    WrappedKey,
    created_at,
    infos_of,
    new_root_key_id,
    unknown_root_key,
)
from zegel_server.errors import DataLoss

if TYPE_CHECKING:
    KmsClient = Any
    """For type checking: boto3 creates its clients at run time."""

__all__ = ["AwsKmsRootKeys", "open_aws_kms"]

PENDING_DAYS: Final = 7
"""Days that KMS keeps a destroyed key: the least it allows."""
CONNECT_TIMEOUT: Final = 3
"""Seconds to reach KMS."""
READ_TIMEOUT: Final = 5
"""Seconds for an answer: one usually takes a few milliseconds."""
ATTEMPTS: Final = 3
"""Attempts per request, including the first."""
CALL_TIMEOUT: Final = 30.0
"""Seconds after which a call is abandoned: some calls are several requests, each with its attempts."""
THREADS: Final = 4
"""Concurrent calls."""

_DAMAGED: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException", "ValidationException"})
_UNESCAPED: Final = {"__": "_", "_d": "."}


@dataclass(frozen=True, slots=True)
class _Key:
    kms_id: str
    purpose: str
    root_key_id: str


class AwsKmsRootKeys(BlockingRootKeys):
    """A `RootKeys` provider over AWS KMS.

    Args:
        client: A boto3 client for KMS.
        namespace: Distinguishes this installation's keys from others in the account: letters, digits, ``-``, ``_``.
    """

    def __init__(self, client: "KmsClient", namespace: str) -> None:
        super().__init__("aws-kms", (BotoCoreError, ClientError), threads=THREADS, call_timeout=CALL_TIMEOUT)
        self._client = client
        self._root = f"alias/{namespace}/"
        self._marker_lock = threading.Lock()

    def _create(self, purpose: str) -> str:
        before = self._described(self._primary_alias(purpose))
        key = self._generate(purpose, before)
        alias = self._primary_alias(purpose)
        if before or not self._name(alias, key.kms_id):
            self._client.update_alias(AliasName=alias, TargetKeyId=key.kms_id)
        return key.root_key_id

    def _ensure(self, purpose: str) -> str:
        found = self._described(self._primary_alias(purpose))
        if found:
            return found.root_key_id
        key = self._generate(purpose, None)
        # Of all that do this at once, KMS lets only one create the alias that names its key the primary.
        if self._name(self._primary_alias(purpose), key.kms_id):
            return key.root_key_id
        self._client.delete_alias(AliasName=self._key_alias(key.root_key_id))
        self._client.schedule_key_deletion(KeyId=key.kms_id, PendingWindowInDays=PENDING_DAYS)
        return self._primary(purpose)

    def _primary(self, purpose: str) -> str:
        return self._primary_key(purpose).root_key_id

    def _primary_key(self, purpose: str) -> _Key:
        found = self._described(self._primary_alias(purpose))
        if not found:
            raise NoRootKey
        return found

    def _wrap(self, key: bytes, purpose: str) -> WrappedKey:
        root_key = self._primary_key(purpose)
        return WrappedKey(root_key.root_key_id, self._encrypt(root_key, key))

    def _unwrap(self, wrapped: WrappedKey) -> bytes:
        damaged = DataLoss("A stored key cannot be unwrapped.")
        root_key = self._find(wrapped.root_key_id)
        if not wrapped.blob:
            raise damaged
        try:
            return self._decrypt(root_key, wrapped.blob)
        except ClientError as error:
            if _code(error) in _DAMAGED:
                raise damaged from None
            # KMS denies access if a damaged blob names a foreign key. If a fresh blob opens, the stored one is damaged.
            if _code(error) == "AccessDeniedException" and self._decrypt(root_key, self._encrypt(root_key, b"probe")):
                raise damaged from None
            # Disabled, or scheduled for deletion by its owner: not gone, because the owner can undo that.
            raise

    def _encrypt(self, root_key: _Key, plaintext: bytes) -> bytes:
        context = {"zegel": root_key.root_key_id}
        answer = self._client.encrypt(KeyId=root_key.kms_id, Plaintext=plaintext, EncryptionContext=context)
        return bytes(answer["CiphertextBlob"])

    def _decrypt(self, root_key: _Key, blob: bytes) -> bytes:
        context = {"zegel": root_key.root_key_id}
        answer = self._client.decrypt(KeyId=root_key.kms_id, CiphertextBlob=blob, EncryptionContext=context)
        return bytes(answer["Plaintext"])

    def _destroy(self, root_key_id: str) -> None:
        try:
            root_key = self._find(root_key_id)
        except KeyDestroyed:
            return
        # The record of destruction first, the key's own alias last: an interrupted call can be found and repeated.
        self._name(f"{self._root}destroyed/{_escape(root_key.purpose)}/{root_key_id}", self._marker())
        primary = self._primary_alias(root_key.purpose)
        now = self._described(primary)
        if now and now.root_key_id == root_key_id:
            others = [key for key in self._living() if key.purpose == root_key.purpose and key != now]
            if others:
                newest = max(others, key=lambda key: key.root_key_id)
                self._client.update_alias(AliasName=primary, TargetKeyId=newest.kms_id)
            else:
                self._client.delete_alias(AliasName=primary)
        try:
            self._client.schedule_key_deletion(KeyId=root_key.kms_id, PendingWindowInDays=PENDING_DAYS)
        except ClientError as error:
            if _code(error) != "KMSInvalidStateException":  # Its deletion is already scheduled.
                raise
        self._client.delete_alias(AliasName=self._key_alias(root_key_id))

    def _list(self) -> Sequence[RootKeyInfo]:
        destroyed: dict[str, str] = {}
        for name in self._aliases("destroyed/"):
            purpose, _, root_key_id = name.partition("/")
            destroyed[root_key_id] = _unescape(purpose)
        living = {key.root_key_id: key.purpose for key in self._living() if key.root_key_id not in destroyed}
        return infos_of(living, destroyed)

    def _close(self) -> None:
        self._client.close()

    def _generate(self, purpose: str, after: _Key | None) -> _Key:
        root_key_id = new_root_key_id([after.root_key_id] if after else [])
        made = self._client.create_key(Description=f"{purpose} {root_key_id}", KeySpec="SYMMETRIC_DEFAULT")
        key = _Key(made["KeyMetadata"]["KeyId"], purpose, root_key_id)
        self._name(self._key_alias(root_key_id), key.kms_id)
        return key

    def _find(self, root_key_id: str) -> _Key:
        _check_id(root_key_id)
        found = self._described(self._key_alias(root_key_id))
        if found:
            return found
        if any(name.endswith(f"/{root_key_id}") for name in self._aliases("destroyed/")):
            raise KeyDestroyed
        raise unknown_root_key()

    def _living(self) -> Iterator[_Key]:
        for name in self._aliases("key/"):
            found = self._described(self._key_alias(name))
            if found:
                yield found

    def _described(self, alias: str) -> _Key | None:
        """Return the key that an alias names, or None if there is no such alias."""
        try:
            metadata = self._client.describe_key(KeyId=alias)["KeyMetadata"]
        except ClientError as error:
            if _code(error) == "NotFoundException":
                return None
            raise
        purpose, _, root_key_id = metadata["Description"].partition(" ")
        return _Key(metadata["KeyId"], purpose, root_key_id)

    def _aliases(self, folder: str) -> Iterator[str]:
        prefix = self._root + folder
        for page in self._client.get_paginator("list_aliases").paginate():
            for alias in page["Aliases"]:
                if alias["AliasName"].startswith(prefix):
                    yield alias["AliasName"].removeprefix(prefix)

    def _name(self, alias: str, kms_id: str) -> bool:
        """Give a key a name; False if the name is taken."""
        try:
            self._client.create_alias(AliasName=alias, TargetKeyId=kms_id)
        except ClientError as error:
            if _code(error) == "AlreadyExistsException":
                return False
            raise
        return True

    def _marker(self) -> str:
        alias = self._root + "marker"
        with self._marker_lock:
            if not self._described(alias):
                made = self._client.create_key(Description="zegel: never used, names of destroyed keys point here")
                self._name(alias, made["KeyMetadata"]["KeyId"])
        return str(self._client.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"])

    def _key_alias(self, root_key_id: str) -> str:
        return f"{self._root}key/{root_key_id}"

    def _primary_alias(self, purpose: str) -> str:
        return f"{self._root}primary/{_escape(purpose)}"


def open_aws_kms(url: str, *, attempts: int = ATTEMPTS) -> AwsKmsRootKeys:
    """Open AWS KMS.

    Credentials come from where AWS's own tools take them: environment, web identity, instance metadata.

    Args:
        url: ``aws-kms:<namespace>?region=<name>``, and ``&endpoint=https://host`` for a service other than Amazon's.
        attempts: Attempts per request, including the first.

    Raises:
        ValueError: The URL is malformed.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    named = parts.path.replace("-", "").replace("_", "")
    if (
        parts.scheme != "aws-kms"
        or not (named.isascii() and named.isalnum())
        or options.keys() - {"region", "endpoint"}
    ):
        raise ValueError("a key provider's KMS URL is aws-kms:<namespace>?region=<name>&endpoint=https://host")
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"total_max_attempts": attempts, "mode": "standard"},
    )
    client = boto3.client("kms", region_name=options.get("region"), endpoint_url=options.get("endpoint"), config=config)
    return AwsKmsRootKeys(client, parts.path)


def _check_id(root_key_id: str) -> None:
    """Refuse a malformed identifier before it becomes part of an alias.

    Raises:
        DataLoss: It is malformed.
    """
    try:
        created_at(root_key_id)
    except ValueError:
        raise unknown_root_key() from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _escape(purpose: str) -> str:
    """Write a purpose in the characters that an alias may contain; a dot is not one."""
    return purpose.replace("_", "__").replace(".", "_d")


def _unescape(text: str) -> str:
    out, at = [], 0
    while at < len(text):
        pair = text[at : at + 2]
        out.append(_UNESCAPED.get(pair, text[at]))
        at += 2 if pair in _UNESCAPED else 1
    return "".join(out)
