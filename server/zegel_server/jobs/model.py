"""Jobs, kinds of job, and when a failed job is retried."""

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from zegel_server.errors import DataLoss, FailedPrecondition, InvalidArgument, ZegelError

MOST_ATTEMPTS: Final = 20
"""Attempts after which a job is given up unless its kind says otherwise: about an hour and a half."""
INTERNAL: Final = "INTERNAL"
"""The reason recorded for a failure that is a bug in the server."""
WORKER_LOST: Final = "WORKER_LOST"
"""The reason recorded for a job that is given up because each process that ran it died while running it."""


class JobState(StrEnum):
    """The state of a job."""

    WAITING = "WAITING"
    """It will run when it is due."""
    RUNNING = "RUNNING"
    """A worker holds it until its lease ends."""
    QUEUED = "QUEUED"
    """It waits behind another job of its ordering key."""
    DEAD = "DEAD"
    """It was given up, and stays until an operator retries it: a dead letter."""


BLOCKED: Final = "BLOCKED"
"""Selects jobs whose last failure will not go away by waiting."""
STATES: Final = (*(state.value for state in JobState), BLOCKED)
"""What can be given in place of a job's state."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects jobs; a job must match all of it.

    Attributes:
        job_id: The job with this number; 0 for any.
        kind: Of this kind; empty for any.
        tenant_id: Of this tenant; empty for any.
        resource_id: About this resource; empty for any.
        state: In this state, one of ``STATES``; empty for any.
    """

    job_id: int = 0
    kind: str = ""
    tenant_id: str = ""
    resource_id: str = ""
    state: str = ""

    def values(self) -> dict[str, str | int]:
        """The same, as parameters of the statements.

        Raises:
            InvalidArgument: There is no such state.
        """
        if self.state and self.state not in STATES:
            raise InvalidArgument("state", f"is one of {', '.join(STATES)}")
        return {
            "which_id": self.job_id,
            "which_kind": self.kind,
            "whose": self.tenant_id,
            "which_resource": self.resource_id,
            "which_state": self.state,
        }


class LeaseLost(Exception):  # noqa: N818 - it says what happened
    """Another worker holds the job, since this one stalled for too long; what this one does has no effect."""


@dataclass(slots=True)
class Job:
    """A job that a worker holds. Times are microseconds since the epoch.

    Attributes:
        job_id: Its number; never given to another job.
        kind: The kind of job.
        tenant_id: The tenant it is for.
        resource_id: The resource it is about.
        payload_text: Further data, as JSON.
        order_key: Jobs with the same kind and key run one at a time, in order; ``None`` for no order.
        attempts: How often it was started, including this time.
        last_reason: Why the last attempt failed; empty if none has.
        blocked: Whether that failure will not go away by waiting.
        blocked_time: When it was first blocked; ``None`` for never.
        fence: The fencing token of the lease: a write with an outdated one changes nothing.
        is_taken_over: Whether the previous worker disappeared without reporting a result.
        is_finished: Whether it was finished in a transaction that has committed.
    """

    job_id: int
    kind: str
    tenant_id: str
    resource_id: str
    payload_text: str
    order_key: str | None
    attempts: int
    last_reason: str
    blocked: bool
    blocked_time: int | None
    fence: int
    is_taken_over: bool = False
    is_finished: bool = False

    @property
    def payload(self) -> Mapping[str, Any]:
        """Further data.

        It is parsed here and not when jobs are claimed, so that a damaged row does not hold up other jobs.

        Raises:
            DataLoss: It is not what was stored.
        """
        try:
            payload = json.loads(self.payload_text)
        except (ValueError, RecursionError):
            payload = None
        if not isinstance(payload, dict):
            raise DataLoss("The payload of a job is damaged.")
        return payload


def never_by_waiting(error: ZegelError | None) -> bool:
    """Whether a failure will recur however long one waits.

    Args:
        error: Why it failed; ``None`` for a bug in the server.
    """
    return isinstance(error, FailedPrecondition | InvalidArgument | DataLoss)


def lasting_after(most_attempts: int) -> Callable[[int, ZegelError | None], bool]:
    """The usual rule for lasting failures: those that never go away by waiting, and any that occurred often enough.

    Args:
        most_attempts: After how many failed attempts any failure counts as lasting.
    """
    return lambda attempts, error: attempts >= most_attempts or never_by_waiting(error)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed job is retried, and when it is no longer retried.

    Attributes:
        first_s: Seconds to wait after the first failure, before jitter; twice as long after each further one.
        longest_s: The longest wait after a failure, in seconds.
        is_lasting: Whether a failure will not go away by waiting, given the attempts so far and its error (``None`` for
            a bug in the server).
        gives_up: Whether a job whose failure is lasting becomes a dead letter. Otherwise it is marked *blocked*, and
            retried after the longest wait.
    """

    first_s: float = 0.5
    longest_s: float = 300.0
    is_lasting: Callable[[int, ZegelError | None], bool] = field(default=lasting_after(MOST_ATTEMPTS))
    gives_up: bool = True

    def wait_s(self, attempts: int, error: ZegelError | None) -> float:
        """How long to wait after a failed attempt, in seconds, reduced at random by up to half.

        Args:
            attempts: How often it was tried.
            error: Why it failed; ``None`` for a bug in the server.
        """
        if self.is_lasting(attempts, error):
            return jittered(self.longest_s)
        return jittered(min(self.longest_s, self.first_s * 2.0 ** min(attempts - 1, 32)))


def jittered(seconds: float) -> float:
    """A time reduced at random by up to half, so that not all come back at once.

    Args:
        seconds: The full time.
    """
    return seconds * (0.5 + secrets.randbelow(1_000) / 2_000)


def _is_never(_error: ZegelError) -> bool:
    return False


Written = Callable[[Any], Awaitable[None]]
"""Writes something in the given transaction."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job, as its domain registers it.

    Attributes:
        name: Its name in ``queue.enqueue``.
        work: Does one job. It must be idempotent, since it runs again after a crash.
        concurrency: How many jobs of the kind may run at a time in a process.
        tenant_concurrency: How many of one tenant; 0 for all but one, so that one is left for another tenant.
        retry: When a failed job is retried.
        is_tenant_wide: Whether a failure affects every job of the tenant, such as an unavailable key provider. Then all
            of the tenant's due jobs are postponed together, and other tenants' jobs can run.
        on_stuck: Called with the job and the reason before it is given up, or blocked for the first time; returns what
            to write in the same transaction, such as an event.
    """

    name: str
    work: Callable[[Job], Awaitable[None]]
    concurrency: int = 4
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    is_tenant_wide: Callable[[ZegelError], bool] = _is_never
    on_stuck: Callable[[Job, str], Awaitable[Written]] | None = None
    tenant_concurrency: int = 0

    @property
    def share(self) -> int:
        """How many jobs of one tenant may run at a time in a process."""
        return self.tenant_concurrency or max(1, self.concurrency - 1)
