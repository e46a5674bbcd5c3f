"""Which kinds of job there are, and that a server runs each."""

from collections.abc import Iterator

import pytest

from zegel_server.jobs import kinds
from zegel_server.jobs.model import Job, JobKind


@pytest.fixture(autouse=True)
def none_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(kinds, "_registered", set())
        yield


async def nothing(_job: Job) -> None:
    pass


def test_a_registered_kind_that_nothing_runs_is_named() -> None:
    run = [JobKind(kinds.register(name), nothing) for name in ("mail", "hook", "letter")]
    kinds.demand_all_run(run)
    with pytest.raises(kinds.KindsNotRun, match="the jobs of hook:"):
        kinds.demand_all_run([kind for kind in run if kind.name != "hook"])


def test_two_kinds_have_two_names() -> None:
    assert kinds.register("mail") == "mail"
    with pytest.raises(ValueError, match="'mail'"):
        kinds.register("mail")
