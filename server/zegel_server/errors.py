"""The errors that domains raise, each with its own status.

Tree::

    ZegelError
    +-- InvalidArgument        a field of the request is wrong; names the field
    |   +-- OutOfRange         a position is past the end of what is there
    +-- Unauthenticated        no session, or one that is not valid at this moment
    +-- PermissionDenied       the session is valid, but may not do this
    +-- NotFound               missing, or not visible to the caller: the two look the same
    +-- AlreadyExists          the name is taken
    +-- FailedPrecondition     the resource's state does not allow this
    +-- Aborted                somebody else changed it in between; read again and retry
    +-- ResourceExhausted      a limit was reached
    +-- DataLoss               what is stored is not what was written
    +-- Unavailable a dependency does not answer now; retry

Invariants:

* An error carries a reason of ``zegel.error.v1.ErrorReason`` (without its prefix), so a client can branch on it.
* Its message and metadata are public: they contain no secret, personal data or text of another exception.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import ClassVar


class StatusCode(IntEnum):
    """The outcome of a call, with the numbers of ``google.rpc.Code``; every transport has its own way to express it."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ZegelError(Exception):
    """An error that is reported to the caller.

    Args:
        message: One English sentence for the developer who reads it.
        reason: Name of an ``ErrorReason`` value without the ``ERROR_REASON_`` prefix; the class's own by default.
        metadata: Further facts for programs; keys in lowerCamelCase or snake_case, as ``ErrorInfo.metadata`` requires.
    """

    status: ClassVar[StatusCode] = StatusCode.INTERNAL
    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, reason: str | None = None, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata = metadata


class InvalidArgument(ZegelError):
    """A field of the request is wrong.

    Args:
        field: Path of the field in the request, such as ``signers[1].email``.
        message: What is wrong with it, and what would be correct.
        reason: A more specific reason than ``INVALID_FIELD``.
    """

    status = StatusCode.INVALID_ARGUMENT
    default_reason = "INVALID_FIELD"

    def __init__(self, field: str, message: str, *, reason: str | None = None, **metadata: str) -> None:
        super().__init__(f"{field}: {message}" if field else message, reason=reason, field=field, **metadata)
        self.violations: tuple[tuple[str, str], ...] = ((field, message),)
        """Path and what is wrong, for each field that was found wrong; the first is that of the error itself."""


class OutOfRange(InvalidArgument):
    """A position is past the end of what is there; ``OUT_OF_RANGE``, as AIP-193 prescribes for reads."""

    status = StatusCode.OUT_OF_RANGE
    default_reason = "OUT_OF_RANGE"


class Violations:
    """Gathers what is wrong with a request, so that its sender is told all of it at once."""

    MOST: ClassVar[int] = 50
    """The most that are told."""

    def __init__(self) -> None:
        self._found: list[InvalidArgument] = []
        self._absent: NotFound | None = None

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Keeps the refusal that its block ends with, if it does, and goes on after the block."""
        try:
            yield
        except InvalidArgument as error:
            self.add(error)
        except NotFound as error:
            self._absent = self._absent or error

    def add(self, error: InvalidArgument) -> None:
        """Keeps a refusal.

        Args:
            error: The refusal.
        """
        self._found.append(error)

    def end(self) -> None:
        """Refuses the request if anything was found.

        Raises:
            InvalidArgument: The first that was found, with those after it; also where something was absent.
            NotFound: Nothing is wrong, but something is absent.
        """
        if self._found:
            first = self._found[0]
            first.violations = tuple(each for error in self._found for each in error.violations)[: self.MOST]
            raise first
        if self._absent is not None:
            raise self._absent


class Unauthenticated(ZegelError):
    """No session, or one that is not valid at this moment."""

    status = StatusCode.UNAUTHENTICATED
    default_reason = "SESSION_MISSING"


class PermissionDenied(ZegelError):
    """The session is valid, but may not do this."""

    status = StatusCode.PERMISSION_DENIED
    default_reason = "PERMISSION_DENIED"


class NotFound(ZegelError):
    """Missing, or not visible to the caller: the two look the same from outside.

    Args:
        kind: The kind of resource, such as ``document``; the identifier itself is not repeated.
    """

    status = StatusCode.NOT_FOUND
    default_reason = "RESOURCE_NOT_FOUND"

    def __init__(self, kind: str) -> None:
        super().__init__(f"No such {kind.replace('_', ' ')}, or it is not yours to see.", resource=kind)


class AlreadyExists(ZegelError):
    """The name is taken, or the request was made before with other arguments."""

    status = StatusCode.ALREADY_EXISTS
    default_reason = "ALREADY_EXISTS"


class FailedPrecondition(ZegelError):
    """The resource's state does not allow this."""

    status = StatusCode.FAILED_PRECONDITION
    default_reason = "FAILED_PRECONDITION"


class Aborted(ZegelError):
    """Somebody else changed the resource in between: read it again and retry."""

    status = StatusCode.ABORTED
    default_reason = "ETAG_MISMATCH"


class ResourceExhausted(ZegelError):
    """A limit was reached.

    Args:
        message: One English sentence for the developer who reads it.
        reason: A more specific reason than ``LIMIT_REACHED``.
        retry_after_s: After how many seconds the same call may succeed; ``None`` if waiting does not help.
        metadata: Further facts; ``limit`` says which limit.
    """

    status = StatusCode.RESOURCE_EXHAUSTED
    default_reason = "LIMIT_REACHED"

    def __init__(
        self, message: str, *, reason: str | None = None, retry_after_s: float | None = None, **metadata: str
    ) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.retry_after_s = retry_after_s


class DataLoss(ZegelError):
    """What is stored is not what was written; nothing of it is returned."""

    status = StatusCode.DATA_LOSS
    default_reason = "STORED_DATA_DAMAGED"


class Unavailable(ZegelError):
    """A dependency does not answer now; the same call may succeed later."""

    status = StatusCode.UNAVAILABLE
    default_reason = "DEPENDENCY_UNAVAILABLE"
