"""The cost of work relative to this machine's speed, so that a limit is valid on both fast and slow machines."""

import time
from types import TracebackType
from typing import Final, Self

_ROUNDS: Final = 700_000
"""Rounds of the reference work: a twentieth of a second on the machine where the tests' limits were set."""

_YARDSTICK_S: Final = 0.05


def _yardstick() -> float:
    """Returns the processor seconds that a fixed piece of work takes now."""
    began, found = time.process_time(), 0
    for number in range(_ROUNDS):
        if number * 7 & 15 == 3:
            found += 1
    assert found == _ROUNDS // 16
    return time.process_time() - began


class Effort:
    """Measures the processor time of a block, scaled to the machine where the tests' limits were set.

    The reference work is measured right before and right after. Time during which this process waits does not count.

    Attributes:
        seconds: The block's cost, set at its end.
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
