"""Checks that must hold for as long as a stream runs, repeated periodically.

Invariants:

* Whatever a check raises ends the stream: an unexpected exception denies as well.
* Each check runs on its own: one that hangs, such as on a key provider, does not keep another from ending the stream.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from zegel_server.caller import Check, set_watch

RECHECK_S: Final = 0.5
"""How often each check is repeated, in seconds: a revocation ends a running stream within a second."""


class Watch:
    """Checks repeatedly, while it is open, whether a stream may go on.

    Args:
        stop: Ends the stream with an error.
        check: What always has to hold: the session and its access.
    """

    def __init__(self, stop: Callable[[BaseException], None], check: Check) -> None:
        self._stop = stop
        self._check = check
        self._watchers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        self._begin(self._check)
        set_watch(self._begin)

    def _begin(self, check: Check) -> None:
        self._watchers.append(asyncio.create_task(self._again(check)))

    async def _again(self, check: Check) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                await check()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) and task.cancelling():
                    raise  # the stream has ended
                self._stop(error)
                return

    async def __aexit__(self, *_: object) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
