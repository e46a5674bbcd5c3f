"""Blobs in an S3-compatible object store, through obstore.

An object is written with ``If-None-Match: *``, so the store itself refuses a name that is taken. This needs a
store with conditional writes, as Amazon S3 has them.

Each request is limited in time, and retried a few times when the connection breaks or the store answers with a server
error; after that the caller gets the error and may try again later.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from zegel_server.errors import AlreadyExists, DataLoss, ResourceExhausted, Unavailable
from zegel_server.storage.base import BlobInfo, Buffer, check_key, check_prefix, check_range

if TYPE_CHECKING:
    # They exist for the type checker only.
    from obstore.store import ClientConfig, S3Config

__all__ = ["ObjectBlobStore", "open_s3"]

CONNECT_TIMEOUT: Final = timedelta(seconds=3)
"""Time to connect to the store: a store that is up is near and answers quickly."""
REQUEST_TIMEOUT: Final = timedelta(seconds=15)
"""Time for one request of a few MiB: enough at 2 Mbit/s."""
RETRIES: Final = 3
"""Further tries after the first: enough for a store that restarts or sheds load."""
RETRY_TIMEOUT: Final = timedelta(seconds=30)
"""Time after which no further try begins; with a last request this keeps an answer under a minute."""
CALL_TIMEOUT: Final = 60.0
"""Seconds after which a call is given up whatever the client library is doing."""
_CONFLICTS: Final = 5
"""Attempts to write an object that S3 says exists but does not: it answers so while the object is being removed."""
_LIST_BATCH: Final = 500
"""Objects listed with one request."""

_FULL: Final = re.compile(r"status code: 507\b|<Code>\w*(?:InsufficientStorage|StorageFull|QuotaExceeded)\w*<")
"""How stores say that they are full; no code is common to all, and obstore gives it only in its message, among
addresses and milliseconds that may hold any number."""


class ObjectBlobStore:
    """A `BlobStore` over an object store.

    Args:
        store: The bucket and prefix, with its time limits and credentials.
        call_timeout: Seconds after which a call is given up.
    """

    def __init__(self, store: S3Store, *, call_timeout: float = CALL_TIMEOUT) -> None:
        self._store = store
        self._timeout = call_timeout

    async def put(self, key: str, data: Buffer) -> None:
        """See `BlobStore.put`."""
        check_key(key)
        for _ in range(_CONFLICTS):
            try:
                async with self._guard():
                    # Not in parts: an abandoned multipart upload is stored, paid for, and not listed.
                    await obstore.put_async(self._store, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                pass
            else:
                return
            # Perhaps by this very call: a request that succeeded is sent again when its answer is lost.
            if await self.size(key) is not None:
                if await self.get(key) != data:
                    raise AlreadyExists("Another object is stored under this key.", resource="blob")
                return
        raise _unavailable()

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """See `BlobStore.get`."""
        check_key(key)
        check_range(start, length)
        if not start and length is None:
            try:
                async with self._guard():
                    return bytes(await (await obstore.get_async(self._store, key)).bytes_async())
            except FileNotFoundError:
                raise _missing() from None
        if not length:
            # HTTP has no empty range, and an open one past the end is an error like any other.
            size = await self._size_or_loss(key, start)
            if length == 0 or size == start:
                return b""
            length = size - start
        try:
            async with self._guard():
                data = bytes(await obstore.get_range_async(self._store, key, start=start, length=length))
        except FileNotFoundError:
            raise _missing() from None
        except Unavailable:
            # Perhaps only because the range lies past the end.
            found = await self.size(key)
            if found is not None and found < start + length:
                raise _short() from None
            raise
        if len(data) != length:
            raise _short()
        return data

    async def size(self, key: str) -> int | None:
        """See `BlobStore.size`."""
        check_key(key)
        try:
            async with self._guard():
                return (await obstore.head_async(self._store, key))["size"]
        except FileNotFoundError:
            return None

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        check_key(key)
        with contextlib.suppress(FileNotFoundError):
            async with self._guard():
                await obstore.delete_async(self._store, key)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """See `BlobStore.list`."""
        pages = obstore.list(self._store, check_prefix(prefix) or None, chunk_size=_LIST_BATCH)
        while True:
            try:
                async with self._guard():
                    page = await anext(pages)
            except (StopAsyncIteration, FileNotFoundError):
                return
            for found in page:
                yield BlobInfo(found["path"], found["size"], found["last_modified"].astimezone(UTC))

    async def close(self) -> None:
        """See `BlobStore.close`."""
        # The library's connections end with its last object.

    async def _size_or_loss(self, key: str, at_least: int) -> int:
        size = await self.size(key)
        if size is None:
            raise _missing()
        if size < at_least:
            raise _short()
        return size

    @contextlib.asynccontextmanager
    async def _guard(self) -> AsyncIterator[None]:
        with _translated():
            async with asyncio.timeout(self._timeout):
                yield


def open_s3(url: str, *, retries: int = RETRIES, call_timeout: float = CALL_TIMEOUT) -> ObjectBlobStore:
    """Open a bucket.

    Credentials come from where AWS's own tools take them: environment, web identity, instance metadata. They are not
    part of the URL, since URLs end up in logs.

    Args:
        url: ``s3://bucket[/prefix][?endpoint=https://host&region=name]``; the endpoint is for stores other than
            Amazon's.
        retries: Further tries after the first.
        call_timeout: Seconds after which a call is given up.

    Raises:
        ValueError: The URL is malformed.
    """
    parts = urlsplit(url)
    prefix = unquote(parts.path).strip("/")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if (
        parts.scheme != "s3"
        or not parts.hostname
        or parts.netloc != parts.hostname
        or parts.fragment
        or options.keys() - {"endpoint", "region"}
    ):
        raise ValueError("an object store is named as s3://bucket/prefix?endpoint=https://host&region=name")
    config: S3Config = {"bucket": parts.hostname}
    client: ClientConfig = {"connect_timeout": CONNECT_TIMEOUT, "timeout": REQUEST_TIMEOUT}
    if region := options.get("region"):
        config["region"] = region
    if endpoint := options.get("endpoint"):
        if urlsplit(endpoint).scheme not in {"http", "https"}:
            raise ValueError("an object store's endpoint begins with https:// or http://")
        config["endpoint"] = endpoint
        # Documents are ciphertext and requests signed; a store on the same machine or mesh needs no TLS of its own.
        client["allow_http"] = endpoint.startswith("http://")
    store = S3Store(
        prefix=check_prefix(prefix) or None,
        config=config,
        client_options=client,
        retry_config={"max_retries": retries, "retry_timeout": RETRY_TIMEOUT},
    )
    return ObjectBlobStore(store, call_timeout=call_timeout)


def _unavailable() -> Unavailable:
    return Unavailable("The storage for documents does not work now.", dependency="storage")


def _missing() -> DataLoss:
    return DataLoss("A stored object is missing.")


def _short() -> DataLoss:
    return DataLoss("A stored object is shorter than it was written.")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn the library's errors into typed ones, without the addresses they name."""
    try:
        yield
    except AlreadyExistsError:
        raise
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise _unavailable() from error
        raise
    except (BaseError, TimeoutError, OSError) as error:
        if _FULL.search(str(error)):
            raise ResourceExhausted("The storage for documents is full.", reason="STORAGE_FULL") from error
        raise _unavailable() from error
