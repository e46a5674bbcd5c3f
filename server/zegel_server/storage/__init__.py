"""Blobs: where the ciphertext of documents lies, on a disk or in an S3-compatible object store."""

from zegel_server.storage.base import BlobInfo, BlobStore
from zegel_server.storage.factory import open_blob_store

__all__ = ["BlobInfo", "BlobStore", "open_blob_store"]
