"""Blobs in an S3-compatible object store, through obstore.

An object is written with ``If-None-Match: *``, so the store itself refuses a name that is taken. This needs a
store with conditional writes, as Amazon S3 has them.

Each request is limited in time, and retried a few times when the connection breaks or the store answers with a server
error; after that the caller gets the error and may try again later. A store that kept several callers waiting in a row
is left alone for a while, and a tenant has a share of the concurrent requests (``zegel_server.neighbours``).
"""

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from zegel_server.errors import AlreadyExists, DataLoss, ResourceExhausted, Unavailable
from zegel_server.neighbours.calls import Breaker, Neighbour, NeighbourMetrics, Shares
from zegel_server.storage.base import BlobInfo, Buffer, check_key, check_prefix, check_range

if TYPE_CHECKING:
    # They exist for the type checker only.
    from obstore.store import ClientConfig, S3Config

__all__ = ["ObjectBlobStore", "open_s3"]

_T = TypeVar("_T")

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
MOST_CALLS: Final = 64
"""Concurrent requests to the store: as many parts of 4 MiB may be in memory on their way."""
SHARE: Final = 12
"""Concurrent requests of one tenant: fewer than make the server send parts more sparingly for everybody
(``documents.part_store.CROWDED``)."""
QUICK_S: Final = 5.0
"""A failure within so many seconds kept nobody waiting: a store that is restarted is used again at once."""
LONGEST_REST_S: Final = 10.0
"""The longest that the store is left alone: there is no other place for documents."""
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
        metrics: Where it is told how the store does.
        quick_s: A failure within so many seconds does not count towards leaving the store alone.
    """

    def __init__(
        self,
        store: S3Store,
        *,
        call_timeout: float = CALL_TIMEOUT,
        metrics: NeighbourMetrics | None = None,
        quick_s: float = QUICK_S,
    ) -> None:
        self._store = store
        self._neighbour = Neighbour(
            "blob_store",
            lambda _: _unavailable(),
            call_timeout,
            breaker=Breaker(longest_rest_s=LONGEST_REST_S),
            shares=Shares(MOST_CALLS, SHARE),
            metrics=metrics,
            quick_s=quick_s,
        )

    async def put(self, key: str, data: Buffer) -> None:
        """See `BlobStore.put`."""
        check_key(key)
        for _ in range(_CONFLICTS):
            try:
                # Not in parts: an abandoned multipart upload is stored, paid for, and not listed.
                await self._ask(
                    key,
                    lambda: obstore.put_async(self._store, key, data, mode="create", use_multipart=False),
                )
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
                return await self._ask(key, lambda: self._whole(key))
            except FileNotFoundError:
                raise _missing() from None
        if not length:
            # HTTP has no empty range, and an open one past the end is an error like any other.
            size = await self._size_or_loss(key, start)
            if length == 0 or size == start:
                return b""
            length = size - start
        try:
            data = bytes(
                await self._ask(key, lambda: obstore.get_range_async(self._store, key, start=start, length=length))
            )
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
            return (await self._ask(key, lambda: obstore.head_async(self._store, key)))["size"]
        except FileNotFoundError:
            return None

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        check_key(key)
        with contextlib.suppress(FileNotFoundError):
            await self._ask(key, lambda: obstore.delete_async(self._store, key))

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """See `BlobStore.list`."""
        pages = obstore.list(self._store, check_prefix(prefix) or None, chunk_size=_LIST_BATCH)
        while True:
            try:
                page = await self._ask(prefix, lambda: anext(pages, None))
            except FileNotFoundError:
                return
            if page is None:
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

    async def _whole(self, key: str) -> bytes:
        return bytes(await (await obstore.get_async(self._store, key)).bytes_async())

    async def _ask(self, key: str, work: Callable[[], Awaitable[_T]]) -> _T:
        """Does a request within its time; that a name is taken, or nothing there, is an answer of the store."""

        async def answer() -> _T | AlreadyExistsError | FileNotFoundError:
            try:
                with _translated():
                    return await work()
            except (AlreadyExistsError, FileNotFoundError) as error:
                return error

        found = await self._neighbour.call(answer, _tenant_of(key))
        if isinstance(found, AlreadyExistsError | FileNotFoundError):
            raise found
        return found


def _tenant_of(key: str) -> str:
    """The tenant that an object belongs to: keys are ``documents/<tenant>/...``; empty for others."""
    parts = key.split("/", 2)
    return parts[1] if len(parts) > 1 else ""


def open_s3(
    url: str,
    *,
    retries: int = RETRIES,
    call_timeout: float = CALL_TIMEOUT,
    metrics: NeighbourMetrics | None = None,
    quick_s: float = QUICK_S,
) -> ObjectBlobStore:
    """Open a bucket.

    Credentials come from where AWS's own tools take them: environment, web identity, instance metadata. They are not
    part of the URL, since URLs end up in logs.

    Args:
        url: ``s3://bucket[/prefix][?endpoint=https://host&region=name]``; the endpoint is for stores other than
            Amazon's.
        retries: Further tries after the first.
        call_timeout: Seconds after which a call is given up.
        metrics: Where it is told how the store does.
        quick_s: See `ObjectBlobStore`.

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
    return ObjectBlobStore(store, call_timeout=call_timeout, metrics=metrics, quick_s=quick_s)


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
