"""The registered kinds of job, by name.

Invariants:

* Only jobs of a registered kind can be enqueued: any other would wait for ever.
* A server that does not run every registered kind does not start.
"""

from collections.abc import Iterable
from typing import Final

from zegel_server.jobs.model import JobKind

_registered: Final[set[str]] = set()


class UnknownKind(LookupError):  # noqa: N818 - it says what it is
    """No kind of job is registered under this name."""


class KindsNotRun(Exception):  # noqa: N818 - the same
    """There are registered kinds of job that no worker runs."""


def register(name: str) -> str:
    """Registers a kind of job.

    A domain calls it where it defines the kind's name, so whoever imports the name finds it registered.

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
        UnknownKind: It is not registered.
    """
    if name not in _registered:
        raise UnknownKind(f"no kind of job is registered as {name!r}")


def demand_all_run(kinds: Iterable[JobKind]) -> None:
    """Makes sure that every registered kind is run.

    Args:
        kinds: The kinds that a worker runs.

    Raises:
        KindsNotRun: Some are not; the message names them.
    """
    if left := sorted(_registered - {kind.name for kind in kinds}):
        raise KindsNotRun(f"no worker runs the jobs of {', '.join(left)}: give it a JobKind for each")
