"""What a test needs from the machine, and what happens to the test if it is missing.

A test that cannot run is never silently passed over: it is skipped with its reason and with the command that brings
what it needs, and the run ends by listing both. With ``ZEGEL_REQUIRE_ALL=1``, as in CI, it fails instead.
"""

import os
from typing import NoReturn

import pytest

REQUIRE_ALL = "ZEGEL_REQUIRE_ALL"
"""Environment variable; ``1`` makes a missing need a failure."""

MARK = "left out: "
"""Prefix of the reason of a skip from this module; the run's summary looks for it."""

ARROW = " -> "
"""Separates what is missing from how to get it."""


def need(condition: object, what: str, how: str = "make tools") -> None:
    """Goes on only where a need is met.

    Args:
        condition: Anything true when the need is met.
        what: What is missing otherwise, such as ``pdfsig``.
        how: The command that brings it.

    Raises:
        pytest.skip.Exception: The need is not met.
        pytest.fail.Exception: The need is not met, and ``ZEGEL_REQUIRE_ALL`` is ``1``.
    """
    if not condition:
        _leave_out(what, how)


def _leave_out(what: str, how: str) -> NoReturn:
    reason = f"{MARK}{what}{ARROW}{how}"
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def split(reason: str) -> tuple[str, str] | None:
    """Reads a skip's reason back.

    Args:
        reason: The reason of a skipped test.

    Returns:
        What was missing and how to get it; nothing for a skip that has another cause.
    """
    start = reason.find(MARK)
    if start < 0:
        return None
    what, _, how = reason[start + len(MARK) :].partition(ARROW)
    return what, how
