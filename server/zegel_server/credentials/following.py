"""Settings' files that are read again when they change, so that renewing one needs no restart.

Invariants:

* What was read last, and was right, stays in use until something else is: a file that is being written does no harm.
* A file that cannot be read is logged once, with its name, and counted each time.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from prometheus_client import CollectorRegistry, Counter

T = TypeVar("T")

_UNREADABLE: Final = (OSError, ValueError, TypeError, UnsupportedAlgorithm)
"""What a file raises that is away, half written, or holds something else."""

_log = structlog.get_logger("zegel.credentials")


class Followed(Generic[T]):
    """What some files hold together.

    Args:
        name: What that is, for log lines, such as ``revocation list``.
        paths: The files.
        parse: Makes it of their contents, in that order.
        failures: Name and help text of a counter of failed attempts to read them again.
        registry: The metrics registry; ``None`` for no metrics.

    Raises:
        OSError: A file cannot be read.
        TypeError: A file holds a kind of key that cannot be used.
        ValueError: A file does not hold what it should.
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        parse: Callable[[Sequence[bytes]], T],
        failures: tuple[str, str],
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._name = name
        self._paths = tuple(paths)
        self._parse = parse
        self._failures = Counter(*failures, registry=registry)
        self._failing = False
        self._at = Path()  # the file being read, to name it in the log if it fails
        self._marks = self._look()
        self._held = self._read()

    def current(self) -> T:
        """What the files hold now, or held last while one cannot be read."""
        try:
            marks = self._look()
            if marks != self._marks:
                self._held = self._read()
                self._marks = marks
        except _UNREADABLE as error:
            self._failures.inc()
            if not self._failing:
                _log.warning(f"{self._name} not read", file=str(self._at), error=type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                _log.info(f"{self._name} read again")
            self._failing = False
        return self._held

    def _look(self) -> list[tuple[int, int, int]]:
        found = [path.stat() for path in self._each()]
        return [(each.st_mtime_ns, each.st_size, each.st_ino) for each in found]

    def _read(self) -> T:
        return self._parse([path.read_bytes() for path in self._each()])

    def _each(self) -> Iterator[Path]:
        for path in self._paths:
            self._at = path
            yield path
