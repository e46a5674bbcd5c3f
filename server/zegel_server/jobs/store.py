"""Queries of the jobs' table."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    update,
)

from zegel_server.db import Statement, bind, insert_into
from zegel_server.db.schema import jobs
from zegel_server.jobs.model import BLOCKED, JobState

_j, _other = jobs.c, jobs.alias("other")


def _is(state: JobState, column: ColumnElement[str] = _j.state) -> ColumnElement[bool]:
    return column == literal(state.value)


INSERT: Final = insert_into(
    jobs, "kind", "tenant_id", "resource_id", "payload", "order_key", "state", "scheduled_time", "due_time"
)
_active_of_key: Final = select(_j.job_id).where(
    _j.kind == bind("kind"),
    _j.order_key == bind("order_key"),
    or_(_is(JobState.WAITING), _is(JobState.RUNNING)),
)
# The row is locked until the caller's transaction ends, so that the transaction which ends the job sees what waits
# behind it.
ACTIVE_OF_KEY: Final = Statement(_active_of_key.limit(1).with_for_update(read=True, key_share=True))
ALL_ACTIVE_OF_KEY: Final = Statement(_active_of_key.order_by(_j.job_id).with_for_update(read=True, key_share=True))


def _other_of_key(state: JobState, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether another job with the same ordering key is in a state: a single index look-up."""
    return exists(
        select(literal(1)).where(
            _other.c.kind == _j.kind, _other.c.order_key == _j.order_key, _is(state, _other.c.state), *conditions
        )
    )


# Several jobs of one key can be waiting if they were enqueued while the previous one ended, or retried; the first one
# runs. The unique index on held_key keeps two workers from claiming one each.
# Each look-up compares the job's own number, for without that PostgreSQL would read every running job, for a hash.
_earlier: Final = _other.c.job_id < _j.job_id
_stands_behind: Final = or_(
    _other_of_key(JobState.RUNNING, _other.c.job_id != _j.job_id),
    _other_of_key(JobState.WAITING, _earlier),
    _other_of_key(JobState.QUEUED, _earlier),
)
DUE: Final = Statement(
    select(jobs)
    .where(
        _j.kind == bind("kind"),
        _is(JobState.WAITING),
        _j.due_time <= bind("now"),
        or_(_j.order_key.is_(None), ~_stands_behind),
    )
    .order_by(_j.due_time, _j.job_id)
    .limit(bind("limit"))
    .with_for_update(skip_locked=True, of=jobs)
)
DUE_OF_TENANT: Final = Statement(
    select(jobs)
    .where(
        _j.kind == bind("kind"),
        _is(JobState.WAITING),
        _j.tenant_id == bind("tenant_id"),
        _j.due_time <= bind("now"),
        or_(_j.order_key.is_(None), ~_stands_behind),
    )
    .order_by(_j.due_time, _j.job_id)
    .limit(bind("limit"))
    .with_for_update(skip_locked=True, of=jobs)
)


def _tenant_after(kind: str, after: ColumnElement[str]) -> ColumnElement[str]:
    """The next tenant with a waiting job, by its identifier: a single index look-up."""
    return (
        select(func.min(_other.c.tenant_id))
        .where(_other.c.kind == bind(kind), _is(JobState.WAITING, _other.c.state), _other.c.tenant_id > after)
        .scalar_subquery()
    )


_walk: Final = select(
    _tenant_after("kind", bindparam("after", type_=Text)).label("tenant_id"), literal(1).label("step")
).cte("walk", recursive=True)
_tenants: Final = _walk.union_all(
    select(_tenant_after("kind", _walk.c.tenant_id), _walk.c.step + literal(1)).where(
        _walk.c.tenant_id.is_not(None), _walk.c.step < bindparam("window", type_=Integer)
    )
)
_first_due: Final = (
    select(_j.due_time)
    .where(_j.kind == bind("kind"), _is(JobState.WAITING), _j.tenant_id == _tenants.c.tenant_id)
    .order_by(_j.due_time)
    .limit(literal(1))
    .scalar_subquery()
)
_has_due: Final = _first_due <= bind("now")
# Walks from tenant to tenant in the order of their identifiers, for ``window`` steps at most, and gives those that have
# a job due; also the last one of a walk that was cut short, whether or not it has.
TENANTS: Final = Statement(
    select(_tenants.c.tenant_id, _tenants.c.step, case((_has_due, literal(1)), else_=literal(0)).label("is_due"))
    .where(_tenants.c.tenant_id.is_not(None), or_(_tenants.c.step == bindparam("window", type_=Integer), _has_due))
    .limit(bind("limit"))
)
WAITING_OF_TENANT: Final = Statement(
    select(func.count().label("jobs")).select_from(
        select(_j.job_id)
        .where(
            _j.kind == bind("kind"),
            _is(JobState.WAITING),
            _j.tenant_id == bind("tenant_id"),
            _j.due_time <= bind("now"),
        )
        .order_by(_j.due_time)
        .limit(bind("most"))
        .subquery()
    )
)
LEFT_BEHIND: Final = Statement(
    select(jobs)
    .where(_j.kind == bind("kind"), _is(JobState.RUNNING), _j.due_time <= bind("now"))
    .order_by(_j.due_time, _j.job_id)
    .limit(bind("limit"))
    .with_for_update(skip_locked=True, of=jobs)
)
CLAIM: Final = Statement(
    update(jobs)
    .where(_j.job_id == bind("id"))
    .values(
        state=literal(JobState.RUNNING.value),
        fence=bind("new_fence"),
        due_time=bind("until"),
        held_key=_j.order_key,
        attempts=_j.attempts + 1,
    )
)


def earliest(kinds: Sequence[str]) -> Statement:
    """The earliest due time of each kind: columns ``waiting_0``, ``running_0``, ``waiting_1`` and so on.

    Args:
        kinds: The kinds.
    """

    def of(kind: str, state: JobState) -> Any:
        return select(func.min(_j.due_time)).where(_j.kind == literal(kind), _is(state)).scalar_subquery()

    return Statement(
        select(
            *(
                of(kind, state).label(f"{state.value.lower()}_{number}")
                for number, kind in enumerate(kinds)
                for state in (JobState.WAITING, JobState.RUNNING)
            )
        )
    )


# ------------------------------------------------------------------------------------------------ written by a job's
# holder

_held: Final = and_(_j.job_id == bind("id"), _j.fence == bind("held_fence"))
_let_go: Final = {"state": literal(JobState.WAITING.value), "fence": null(), "held_key": null()}

EXTEND: Final = Statement(update(jobs).where(_held).values(due_time=bind("until")))
FINISH: Final = Statement(delete(jobs).where(_held))
PUT_OFF: Final = Statement(
    update(jobs).where(_held).values(**_let_go, due_time=bind("until"), last_reason=bind("reason"), blocked=0)
)
BLOCK: Final = Statement(
    update(jobs).where(_held).values(**_let_go, due_time=bind("until"), last_reason=bind("reason"), blocked=1)
)
BLOCK_FIRST: Final = Statement(
    update(jobs)
    .where(_held)
    .values(**_let_go, due_time=bind("until"), last_reason=bind("reason"), blocked=1, blocked_time=bind("now"))
)
GIVE_BACK: Final = Statement(
    update(jobs).where(_held).values(**_let_go, due_time=bind("now"), attempts=_j.attempts - 1)
)
# Before a job is given up: waits for anybody who is enqueueing behind it at this moment.
LOCK: Final = Statement(select(_j.job_id).where(_held).with_for_update())
GIVE_UP: Final = Statement(
    update(jobs)
    .where(_held)
    .values(**{**_let_go, "state": literal(JobState.DEAD.value)}, last_reason=bind("reason"), blocked=0)
)
# The next of an ordering key, unless an earlier one is active.
ADVANCE: Final = Statement(
    update(jobs)
    .where(
        _j.job_id
        == select(func.min(_other.c.job_id))
        .where(
            _other.c.kind == bind("kind"),
            _other.c.order_key == bind("which_key"),
            _is(JobState.QUEUED, _other.c.state),
        )
        .scalar_subquery(),
        ~_other_of_key(JobState.WAITING, _earlier),
        ~_other_of_key(JobState.RUNNING, _earlier),
    )
    .values(state=literal(JobState.WAITING.value))
)
_due_of_tenant: Final = (
    select(_other.c.job_id)
    .where(
        _other.c.kind == bind("which_kind"),
        _is(JobState.WAITING, _other.c.state),
        _other.c.tenant_id == bind("whose"),
        _other.c.due_time <= bind("now"),
    )
    .limit(bind("limit"))
    .with_for_update(skip_locked=True)
)
PUT_OFF_TENANT: Final = Statement(
    update(jobs)
    .where(_j.job_id.in_(_due_of_tenant))
    .values(due_time=bind("until"), last_reason=bind("reason"), blocked=0)
)

# ------------------------------------------------------------------------------------------------ for operators


_which: Final = bindparam("which_id", type_=BigInteger)
_asked: Final = (
    or_(_which == literal(0), _j.job_id == _which),
    or_(bind("which_kind") == literal(""), _j.kind == bind("which_kind")),
    or_(bind("whose") == literal(""), _j.tenant_id == bind("whose")),
    or_(bind("which_resource") == literal(""), _j.resource_id == bind("which_resource")),
    or_(
        bind("which_state") == literal(""),
        _j.state == bind("which_state"),
        and_(bind("which_state") == literal(BLOCKED), _j.blocked == literal(1)),
    ),
)
LIST: Final = Statement(
    select(jobs)
    .where(*_asked)
    .order_by(case((_is(JobState.DEAD), literal(0)), else_=literal(1)), _j.blocked.desc(), _j.due_time, _j.job_id)
    .limit(bind("limit"))
)
COUNT: Final = Statement(select(func.count().label("jobs")).select_from(jobs).where(*_asked))
# A dead letter with an ordering key stands behind the earlier ones first; see ADVANCE.
RETRY: Final = Statement(
    update(jobs)
    .where(*_asked, or_(_is(JobState.DEAD), _is(JobState.WAITING)))
    .values(
        state=case(
            (and_(_is(JobState.DEAD), _j.order_key.is_not(None)), literal(JobState.QUEUED.value)),
            else_=literal(JobState.WAITING.value),
        ),
        due_time=bind("now"),
        attempts=case((_is(JobState.DEAD), literal(0)), else_=_j.attempts),
    )
    .returning(_j.kind, _j.order_key)
)
MOST_COUNTED: Final = 10_000
"""Up to how many jobs metrics count, of a kind and state: more are too many as well, and counting takes its time."""


def _next_kind(after: ColumnElement[str]) -> ColumnElement[str]:
    return select(func.min(_other.c.kind)).where(_other.c.kind > after).scalar_subquery()


_some_kinds: Final = select(_next_kind(literal("", Text)).label("kind")).cte("kinds", recursive=True)
_kinds: Final = _some_kinds.union_all(select(_next_kind(_some_kinds.c.kind)).where(_some_kinds.c.kind.is_not(None)))


def _figures(state: JobState, blocked: int) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """How many of a kind are in a state, blocked or not, and when the first of them was first due."""
    of = (
        select(_j.scheduled_time)
        .where(_j.kind == _kinds.c.kind, _is(state), _j.blocked == literal(blocked))
        .order_by(_j.scheduled_time)
    )
    some = of.limit(literal(MOST_COUNTED)).correlate(_kinds).subquery()
    name = f"{state.value.lower()}_{blocked}"
    return (
        select(func.count()).select_from(some).scalar_subquery().label(f"{name}_jobs"),
        of.limit(literal(1)).correlate(_kinds).scalar_subquery().label(f"{name}_oldest"),
    )


FIGURES: Final = Statement(
    select(
        _kinds.c.kind, *(each for state in JobState for blocked in (0, 1) for each in _figures(state, blocked))
    ).where(_kinds.c.kind.is_not(None))
)
"""A row for each kind: columns such as ``waiting_0_jobs`` and ``waiting_1_oldest``, by state and whether blocked."""
