"""What work costs, measured by this machine's own speed: a limit on it holds on a fast machine and on a slow one."""

import time
from types import TracebackType
from typing import Final, Self

_ROUNDS: Final = 700_000
"""Rounds of the yardstick: a twentieth of a second where the limits of the tests were set."""

_YARDSTICK_S: Final = 0.05


def _yardstick() -> float:
    """Processor seconds that a fixed piece of work takes now."""
    began, found = time.process_time(), 0
    for number in range(_ROUNDS):
        if number * 7 & 15 == 3:
            found += 1
    assert found == _ROUNDS // 16
    return time.process_time() - began


class Effort:
    """The processor time of a block, as it would be on the machine where the tests' limits were set.

    The same piece of work is measured right before and right after; what this process waits, or is kept waiting, does
    not count.

    Attributes:
        seconds: The block's cost, once it is left.
    """

    def __init__(self) -> None:
        self.seconds = float("inf")
        self._before = self._began = 0.0

    def __enter__(self) -> Self:
        self._before = _yardstick()
        self._began = time.process_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        spent = time.process_time() - self._began
        self.seconds = spent * _YARDSTICK_S / max(self._before, _yardstick())
