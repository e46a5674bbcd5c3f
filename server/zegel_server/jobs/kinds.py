"""The kinds of job that there are, by name.

Invariants:

* A job is enqueued only of a kind that its domain has registered: one of any other would wait for ever.
* A server runs every registered kind, or does not start.
"""

from collections.abc import Iterable
from typing import Final

from zegel_server.jobs.model import JobKind

_registered: Final[set[str]] = set()


class UnknownKind(LookupError):  # noqa: N818 - it says what it is
    """Nobody has registered a kind of job by this name."""


class KindsNotRun(Exception):  # noqa: N818 - the same
    """Kinds of job are registered that no worker runs."""


def register(name: str) -> str:
    """Registers a kind of job. A domain does so where it names the kind: whoever can name it finds it registered.

    Args:
        name: The kind's name.

    Returns:
        The same name.

    Raises:
        ValueError: Another kind has that name.
    """
    if name in _registered:
        raise ValueError(f"two kinds of job are registered as {name!r}")
    _registered.add(name)
    return name


def demand_registered(name: str) -> None:
    """Makes sure that a kind is registered.

    Args:
        name: The kind's name.

    Raises:
        UnknownKind: Nobody has registered it.
    """
    if name not in _registered:
        raise UnknownKind(f"no kind of job is registered as {name!r}")


def demand_all_run(kinds: Iterable[JobKind]) -> None:
    """Makes sure that every registered kind is run.

    Args:
        kinds: Those that a worker runs.

    Raises:
        KindsNotRun: Some are not; the message names them.
    """
    if left := sorted(_registered - {kind.name for kind in kinds}):
        raise KindsNotRun(f"no worker runs the jobs of {', '.join(left)}: give it a JobKind for each")
