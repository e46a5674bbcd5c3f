"""Work in threads, with less overhead than an executor's futures: a stream has some hundred pieces of work a second.

Invariants:

* A thread keeps no reference to a piece of work that it has done.
* Work that has begun is finished, even if nobody waits for it any more.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Final, TypeVar

T = TypeVar("T")

Work = Callable[[], object]
"""A piece of work; its result is ignored."""


class Crew:
    """Threads that do work in the order in which it was given.

    Args:
        size: Maximum number of threads; each is started when there is work for it.
        name: Prefix of their names.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size: Final = size
        self._name: Final = name
        self._work: Final[SimpleQueue[Work | None]] = SimpleQueue()
        self._threads: Final[list[Thread]] = []

    @property
    def waited_for(self) -> bool:
        """Whether work is waiting for a thread."""
        return not self._work.empty()

    def start(self, work: Work) -> None:
        """Has work done.

        Args:
            work: The work; it must not raise.
        """
        self._work.put(work)
        if len(self._threads) < self._size:
            thread = Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    async def run(self, call: Callable[[], T]) -> T:
        """Gives work to the threads, and waits until it is done.

        Args:
            call: The work.

        Returns:
            Its result.

        Raises:
            Exception: What it raises.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
                _tell(loop, _fail, done, error)
            else:
                _tell(loop, _succeed, done, result)

        self.start(work)
        return await done

    async def close(self) -> None:
        """Ends the threads once they have done what they were given."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work


class Line:
    """Work that a crew does one piece after the other, while the giver goes on.

    Once a piece raises, the later ones are not done.

    Args:
        crew: The threads that do it.

    Attributes:
        given: How many pieces were given.
        done: How many of them have ended.
    """

    __slots__ = ("_crew", "_error", "_lock", "_loop", "_running", "_waiting", "_work", "done", "given")

    def __init__(self, crew: Crew) -> None:
        self.given: int = 0
        self.done: int = 0
        self._crew: Final = crew
        self._loop: Final = asyncio.get_running_loop()
        self._lock: Final = Lock()
        self._work: Final[deque[Work]] = deque()
        self._running: bool = False
        self._error: BaseException | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def put(self, work: Work) -> None:
        """Adds a piece of work.

        Args:
            work: The work.
        """
        self.given += 1
        with self._lock:
            self._work.append(work)
            if self._running:
                return
            self._running = True
        self._crew.start(self._run)

    async def reach(self, count: int) -> None:
        """Waits until a number of pieces have ended.

        Args:
            count: How many, counted from the first; at most ``given``.

        Raises:
            Exception: What a piece raised.
        """
        if self.done < count:
            done: asyncio.Future[None] | None = None
            with self._lock:
                if self.done < count:
                    done = self._loop.create_future()
                    self._waiting.append((count, done))
            if done is not None:
                await done
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        more = True
        while more:
            work = self._work.popleft()
            if self._error is None:
                try:
                    work()
                except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
                    self._error = error
            del work
            with self._lock:
                self.done += 1
                told = [done for count, done in self._waiting if count <= self.done]
                if told:
                    self._waiting = [(count, done) for count, done in self._waiting if count > self.done]
                more = self._running = bool(self._work)
            if told:
                _tell(self._loop, _release, told)
            if more and self._crew.waited_for:
                # If other work waits for a thread, a line that is never empty must not keep the thread for itself.
                self._crew.start(self._run)
                return


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> None:
    with suppress(RuntimeError):  # the loop is closed, so nobody waits any more
        loop.call_soon_threadsafe(call, *args)


def _succeed(done: "asyncio.Future[T]", result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: "asyncio.Future[T]", error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


def _release(waiting: "list[asyncio.Future[None]]") -> None:
    for done in waiting:
        _succeed(done, None)
