"""The measure of what work costs: twice the work is about twice as much, and waiting is nothing."""

import time

from support.effort import Effort


def work(rounds: int) -> None:
    for number in range(rounds):
        hash(number)


def test_more_work_is_more_effort() -> None:
    with Effort() as little:
        work(100_000)
    with Effort() as much:
        work(2_000_000)
    assert 5 * little.seconds < much.seconds


def test_waiting_is_no_effort() -> None:
    with Effort() as effort:
        time.sleep(0.3)
    assert effort.seconds < 0.1
