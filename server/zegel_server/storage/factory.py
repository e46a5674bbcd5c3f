"""Opens the blob store that a URL names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from zegel_server.neighbours.calls import NeighbourMetrics
from zegel_server.storage.base import BlobStore
from zegel_server.storage.local import LocalBlobStore
from zegel_server.storage.object_store import open_s3

__all__ = ["open_blob_store"]


def open_blob_store(url: str, metrics: NeighbourMetrics | None = None) -> BlobStore:
    """Open a blob store.

    Args:
        url: ``file:///folder`` for a local disk, ``s3://bucket/prefix?endpoint=https://host&region=name`` for an
            S3-compatible object store.
        metrics: Where it is told how an object store does.

    Raises:
        ValueError: The URL is of another kind, or malformed.
        Unavailable: The local folder cannot be used.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "file":
            named = parts.path.startswith("/") and parts.path.strip("/")
            if parts.netloc not in {"", "localhost"} or not named or parts.query or parts.fragment:
                raise ValueError("a local blob store is named as file:///folder")
            return LocalBlobStore(Path(unquote(parts.path)))
        case "s3":
            return open_s3(url, metrics=metrics)
        case _:
            raise ValueError("a blob store's URL begins with file:/// or s3://")
