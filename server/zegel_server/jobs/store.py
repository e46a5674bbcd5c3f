"""Queries of the jobs' table."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
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
# The row is locked until the caller's transaction ends, so that the transaction which ends the job sees what waits
# behind it.
ACTIVE_OF_KEY: Final = Statement(
    select(_j.job_id)
    .where(
        _j.kind == bind("kind"),
        _j.order_key == bind("order_key"),
        or_(_is(JobState.WAITING), _is(JobState.RUNNING)),
    )
    .limit(1)
    .with_for_update(read=True, key_share=True)
)


def _other_of_key(state: JobState, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether another job with the same ordering key is in a state: a single index look-up."""
    return exists(
        select(literal(1)).where(
            _other.c.kind == _j.kind, _other.c.order_key == _j.order_key, _is(state, _other.c.state), *conditions
        )
    )


# Several jobs of one key can be waiting if they were enqueued while the previous one ended, or retried; the first one
# runs. The unique index on held_key keeps two workers from claiming one each.
_earlier: Final = _other.c.job_id < _j.job_id
_stands_behind: Final = or_(
    _other_of_key(JobState.RUNNING),
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
PUT_OFF_TENANT: Final = Statement(
    update(jobs)
    .where(
        _j.kind == bind("which_kind"),
        _j.tenant_id == bind("whose"),
        _is(JobState.WAITING),
        _j.due_time <= bind("now"),
    )
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
RETRY: Final = Statement(
    update(jobs)
    .where(*_asked, or_(_is(JobState.DEAD), _is(JobState.WAITING)))
    .values(
        state=literal(JobState.WAITING.value),
        due_time=bind("now"),
        attempts=case((_is(JobState.DEAD), literal(0)), else_=_j.attempts),
    )
)
FIGURES: Final = Statement(
    select(
        _j.kind,
        func.sum(case((_is(JobState.DEAD), literal(0)), else_=literal(1))).label("waiting"),
        func.sum(case((_is(JobState.DEAD), literal(1)), else_=literal(0))).label("dead"),
        func.sum(_j.blocked).label("blocked"),
        func.min(case((_is(JobState.DEAD), null()), else_=_j.scheduled_time)).label("oldest"),
    ).group_by(_j.kind)
)
