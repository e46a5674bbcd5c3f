"""When a cut-off transfer is taken up again, and when it is given up."""

from random import SystemRandom
from typing import Final

import grpc

from zegel.errors import Aborted, Internal, Unavailable, ZegelError

MAX_TRIES: Final = 8
"""Tries in a row that move no byte, before the transfer is given up: with the pauses below, some 10 seconds."""

FIRST_PAUSE_S: Final = 0.1
"""Before the second try in a row."""

LONGEST_PAUSE_S: Final = 5.0
"""Pauses double until this."""

_RANDOM: Final = SystemRandom()


def cut_off(error: ZegelError) -> bool:
    """Whether an error tells of a stream that was cut off, rather than refused.

    Args:
        error: How the stream ended.
    """
    if isinstance(error, Unavailable | Aborted):  # the latter where the stream before still holds the upload, too
        return True
    # A proxy that resets a stream says INTERNAL or UNKNOWN; a server of ours never does so without a reason.
    return not error.reason and (isinstance(error, Internal) or error.code is grpc.StatusCode.UNKNOWN)


class Patience:
    """Counts the tries that moved nothing."""

    def __init__(self) -> None:
        self._tries = 0
        self._position = -1

    def pause(self, position: int) -> float | None:
        """How long to wait before the next try.

        Args:
            position: How far the transfer has come, in bytes.

        Returns:
            Seconds, drawn so that clients which were cut off together do not come back together; ``None`` to give up.
        """
        if position > self._position:
            self._tries, self._position = 0, position
        self._tries += 1
        if self._tries >= MAX_TRIES:
            return None
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._tries - 1))
        return _RANDOM.uniform(longest / 2, longest)
