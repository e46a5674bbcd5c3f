"""Zegel: send a document for signature, sign it, fetch the sealed file, and verify it without asking anybody.

* :class:`zegel.Client` and :class:`zegel.aio.Client`: the client, synchronous and for asyncio.
* :mod:`zegel.errors`: what a call raises; the classes are here as well, as ``zegel.NotFound``.
* ``zegel.<package>.v1``: messages, enums and stubs, generated from the contracts.
* :mod:`zegel.evidence.verification`: checks a sealed file, offline (``pip install "zegel[cli]"``).

Nothing is loaded before it is used (PEP 562), so a program that wants only the generated messages pays for no more.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zegel import aio as aio
    from zegel import errors as errors
    from zegel.client import Client as Client
    from zegel.errors import Aborted as Aborted
    from zegel.errors import AlreadyExists as AlreadyExists
    from zegel.errors import Cancelled as Cancelled
    from zegel.errors import ChecksumMismatch as ChecksumMismatch
    from zegel.errors import DataLoss as DataLoss
    from zegel.errors import DeadlineExceeded as DeadlineExceeded
    from zegel.errors import DisclosureNotAccepted as DisclosureNotAccepted
    from zegel.errors import DocumentEncrypted as DocumentEncrypted
    from zegel.errors import DocumentTooComplex as DocumentTooComplex
    from zegel.errors import DocumentUnreadable as DocumentUnreadable
    from zegel.errors import EtagMismatch as EtagMismatch
    from zegel.errors import FailedPrecondition as FailedPrecondition
    from zegel.errors import Internal as Internal
    from zegel.errors import InvalidArgument as InvalidArgument
    from zegel.errors import NotDownloadableYet as NotDownloadableYet
    from zegel.errors import NotFound as NotFound
    from zegel.errors import NotIntegratedYet as NotIntegratedYet
    from zegel.errors import NotWitnessedYet as NotWitnessedYet
    from zegel.errors import OffsetMismatch as OffsetMismatch
    from zegel.errors import OutOfRange as OutOfRange
    from zegel.errors import PermissionDenied as PermissionDenied
    from zegel.errors import RecipientAlreadySigned as RecipientAlreadySigned
    from zegel.errors import RecipientHasUnsignedFields as RecipientHasUnsignedFields
    from zegel.errors import RecipientOutOfTurn as RecipientOutOfTurn
    from zegel.errors import RequestIdReused as RequestIdReused
    from zegel.errors import ResourceExhausted as ResourceExhausted
    from zegel.errors import SessionExpired as SessionExpired
    from zegel.errors import SessionRevoked as SessionRevoked
    from zegel.errors import SignatureRequestClosed as SignatureRequestClosed
    from zegel.errors import Unauthenticated as Unauthenticated
    from zegel.errors import Unavailable as Unavailable
    from zegel.errors import Unimplemented as Unimplemented
    from zegel.errors import ZegelError as ZegelError

_MODULES = frozenset({"aio", "errors"})
_ERRORS = frozenset(
    {
        "Aborted",
        "AlreadyExists",
        "Cancelled",
        "ChecksumMismatch",
        "DataLoss",
        "DeadlineExceeded",
        "DisclosureNotAccepted",
        "DocumentEncrypted",
        "DocumentTooComplex",
        "DocumentUnreadable",
        "EtagMismatch",
        "FailedPrecondition",
        "Internal",
        "InvalidArgument",
        "NotDownloadableYet",
        "NotFound",
        "NotIntegratedYet",
        "NotWitnessedYet",
        "OffsetMismatch",
        "OutOfRange",
        "PermissionDenied",
        "RecipientAlreadySigned",
        "RecipientHasUnsignedFields",
        "RecipientOutOfTurn",
        "RequestIdReused",
        "ResourceExhausted",
        "SessionExpired",
        "SessionRevoked",
        "SignatureRequestClosed",
        "Unauthenticated",
        "Unavailable",
        "Unimplemented",
        "ZegelError",
    }
)

__all__ = ["Client", *sorted(_MODULES), *sorted(_ERRORS)]  # noqa: PLE0604 - names, all of them


def __getattr__(name: str) -> Any:
    if name == "Client":
        return import_module("zegel.client").Client
    if name in _MODULES:
        return import_module(f"zegel.{name}")
    if name in _ERRORS:
        return getattr(import_module("zegel.errors"), name)
    raise AttributeError(f"module 'zegel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
