"""When to resume an interrupted transfer, and when to give up."""

from random import SystemRandom
from typing import Final

import grpc

from zegel.errors import Aborted, Internal, ResourceExhausted, Unavailable, ZegelError

MAX_TRIES: Final = 8
"""Consecutive attempts without progress before giving up: with the pauses below, some 10 seconds."""

FIRST_PAUSE_S: Final = 0.1
"""Pause before the second consecutive attempt."""

LONGEST_PAUSE_S: Final = 5.0
"""Pauses double up to this length."""

_RANDOM: Final = SystemRandom()


def cut_off(error: ZegelError) -> bool:
    """Whether an error means that a stream was interrupted, rather than refused.

    Args:
        error: How the stream ended.
    """
    if isinstance(error, ResourceExhausted) and error.retry_after is not None:
        return True  # no refusal for good: a budget is used up
    if isinstance(error, Unavailable | Aborted):  # Aborted also while the previous stream still holds the upload
        return True
    # A proxy that resets a stream reports INTERNAL or UNKNOWN; a Zegel server does so only with a reason.
    return not error.reason and (isinstance(error, Internal) or error.code is grpc.StatusCode.UNKNOWN)


class Patience:
    """Counts the attempts that made no progress.

    Args:
        most: How many of them in succession are too many.
    """

    def __init__(self, most: int = MAX_TRIES) -> None:
        self._most = most
        self._tries = 0
        self._position = -1

    def pause(self, position: int, cause: ZegelError) -> float | None:
        """How long to wait before the next attempt.

        Args:
            position: How far it has come, in bytes or events.
            cause: Why the last attempt ended. The pause is no shorter than its ``retry_after``.

        Returns:
            Seconds, randomised so that clients interrupted together do not all return together; ``None`` to give up.
        """
        if position > self._position:
            self._tries, self._position = 0, position
        self._tries += 1
        if self._tries >= self._most:
            return None
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._tries - 1))
        return (cause.retry_after or 0.0) + _RANDOM.uniform(longest / 2, longest)
