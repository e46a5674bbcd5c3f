"""What a job is, what a kind of job is, and when a failed one is tried again."""

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from zegel_server.errors import DataLoss, FailedPrecondition, InvalidArgument, ZegelError

MOST_ATTEMPTS: Final = 20
"""Attempts after which a job is given up, where its kind says nothing else: about an hour and a half."""
INTERNAL: Final = "INTERNAL"
"""The reason of a failure that is a defect of ours."""
WORKER_LOST: Final = "WORKER_LOST"
"""The reason of a job that is given up because the process that ran it ended with it each time."""


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "WAITING"
    """It runs once it is due."""
    RUNNING = "RUNNING"
    """A worker holds it until its lease ends."""
    QUEUED = "QUEUED"
    """It stands behind another of its ordering key."""
    DEAD = "DEAD"
    """It was given up, and stays until an operator sends it again: a dead letter."""


class LeaseLost(Exception):  # noqa: N818 - it says what happened
    """Another worker holds the job by now, after a long stall of this one; what this one did does not count."""


@dataclass(slots=True)
class Job:
    """A job that a worker holds. Times are microseconds since the epoch.

    Attributes:
        job_id: Its number; never given to another job.
        kind: What is to be done.
        tenant_id: For whom.
        resource_id: What with.
        payload_text: Further facts, as JSON.
        order_key: Jobs of one kind and key run one at a time, in order; ``None`` for any time.
        attempts: How often it was begun, this time included.
        last_reason: Why the last attempt failed; empty where none has.
        blocked: Whether that does not pass by waiting.
        blocked_time: When it was first so; ``None`` for never.
        fence: The lease's own number: what is written under another changes nothing.
        is_taken_over: Whether the worker before ended without saying how it went.
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
        """Further facts. They are read here and not where jobs are taken: a damaged row holds up no other job.

        Raises:
            DataLoss: They are not what was stored.
        """
        try:
            payload = json.loads(self.payload_text)
        except (ValueError, RecursionError):
            payload = None
        if not isinstance(payload, dict):
            raise DataLoss("The payload of a job is damaged.")
        return payload


def never_by_waiting(error: ZegelError | None) -> bool:
    """Whether a failure is of a kind that comes again however long one waits.

    Args:
        error: Why it failed; ``None`` for a defect.
    """
    return isinstance(error, FailedPrecondition | InvalidArgument | DataLoss)


def lasting_after(most_attempts: int) -> Callable[[int, ZegelError | None], bool]:
    """The usual rule for which failures last: those that never pass by waiting, and any that came so often.

    Args:
        most_attempts: Attempts that fail until a failure counts as lasting.
    """
    return lambda attempts, error: attempts >= most_attempts or never_by_waiting(error)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed job is tried again, and when no more.

    Attributes:
        first_s: Seconds that the first failure is waited out, before jitter; twice as long after each further one.
        longest_s: The longest that a failure is waited out.
        is_lasting: Whether a failure does not pass by waiting, by the attempts so far and its error (``None`` for a
            defect).
        gives_up: Whether a job whose failure lasts becomes a dead letter. Where not, it is *blocked*: it says so, and
            is tried again after the longest wait.
    """

    first_s: float = 0.5
    longest_s: float = 300.0
    is_lasting: Callable[[int, ZegelError | None], bool] = field(default=lasting_after(MOST_ATTEMPTS))
    gives_up: bool = True

    def wait_s(self, attempts: int, error: ZegelError | None) -> float:
        """How long to wait after a failed attempt, in seconds, less by up to half at random.

        Args:
            attempts: How often it was tried.
            error: Why it failed; ``None`` for a defect.
        """
        if self.is_lasting(attempts, error):
            return jittered(self.longest_s)
        return jittered(min(self.longest_s, self.first_s * 2.0 ** min(attempts - 1, 32)))


def jittered(seconds: float) -> float:
    """Less by up to half at random, so that not all come back at once.

    Args:
        seconds: The whole.
    """
    return seconds * (0.5 + secrets.randbelow(1_000) / 2_000)


def _is_never(_error: ZegelError) -> bool:
    return False


Written = Callable[[Any], Awaitable[None]]
"""Writes something in the transaction that it is given."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job, as its domain registers it.

    Attributes:
        name: What ``queue.enqueue`` names it by.
        work: Does one job. It is idempotent: after a crash it runs again.
        concurrency: How many of the kind run at a time in a process.
        retry: When a failed one is tried again.
        is_tenant_wide: Whether a failure would meet every job of the tenant, such as a key provider that is away; all
            that are due are put off together then, and other tenants' jobs take their places.
        on_stuck: Called with the job and the reason before it is given up, or blocked for the first time; gives what
            is written in the same transaction, such as an event.
    """

    name: str
    work: Callable[[Job], Awaitable[None]]
    concurrency: int = 4
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    is_tenant_wide: Callable[[ZegelError], bool] = _is_never
    on_stuck: Callable[[Job, str], Awaitable[Written]] | None = None
