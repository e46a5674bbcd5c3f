"""The server's handle of the zygote process: it starts it, and asks it to fork and kill jobs.

Invariants:

* Started by fork and exec (``posix_spawn``-like, no code of this process runs in between), never by a bare fork.
* It inherits one socket from this process and nothing else: other descriptors are closed, and its environment has four
  variables.
"""

import asyncio
import dataclasses
import json
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import zegel_server
from zegel_server.errors import Unavailable
from zegel_server.pdf.limits import WorkerLimits
from zegel_server.pdf.sandbox.zygote import MAX_MESSAGE

_END_SECONDS = 10.0
"""How long the zygote may take to end when asked to, in seconds; it has nothing else to do then."""


class ZygoteGoneError(Exception):
    """The zygote died while a job was running."""


@dataclasses.dataclass(frozen=True, slots=True)
class Child:
    """A job's process.

    Args:
        number: The job's number.
        ended: Its exit status, or minus the signal that ended it, once it has ended; fails if the zygote has died.
    """

    number: int
    ended: "asyncio.Future[int]"


class ZygoteProcess:
    """The running zygote and what it reports about jobs.

    Args:
        process: The process.
        control: This end of the control socket, not blocking.
    """

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self.process = process
        self._control = control
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._next = 0
        self.alive = True
        asyncio.get_running_loop().add_reader(control, self._read)

    @classmethod
    async def start(cls, limits: WorkerLimits, fonts: Path | None) -> Self:
        """Start a zygote and wait until it accepts jobs.

        Args:
            limits: What a job may use.
            fonts: A folder of fonts for scripts that no package has fonts for.

        Raises:
            Unavailable: It does not start in time.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-sB",
                "-m",
                "zegel_server.pdf.sandbox.zygote",
                str(theirs.fileno()),
                json.dumps(dataclasses.asdict(limits)),
                *([str(fonts)] if fonts else []),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,  # a library's warning may quote the document
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={
                    "PYTHONPATH": str(Path(zegel_server.__file__).parents[1]),
                    "PYTHONHASHSEED": "0",  # the same job makes the same bytes, in every process
                    "LANG": "C.UTF-8",
                },
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        zygote = cls(process, ours)
        try:
            async with asyncio.timeout(limits.start_seconds):
                await zygote._ready
        except (TimeoutError, ZygoteGoneError):
            await zygote.stop()
            raise Unavailable("The PDF worker does not start.") from None
        except BaseException:
            await zygote.stop()
            raise
        return zygote

    def begin(self, connection: socket.socket) -> Child:
        """Have a child forked for a job.

        Args:
            connection: The job's socket; the zygote gets a copy of it.

        Returns:
            The job's process.
        """
        self._next += 1
        job = self._next
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        end.add_done_callback(lambda _end: self._ends.pop(job, None))
        self._ends[job] = end
        self._send({"start": job}, connection)
        return Child(job, end)

    def kill(self, child: Child) -> None:
        """Have a job's process killed; does nothing if it has already ended."""
        if self.alive:
            self._send({"kill": child.number})

    def _send(self, message: Mapping[str, int], connection: socket.socket | None = None) -> None:
        try:
            descriptors = [connection.fileno()] if connection else []
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
        except OSError:
            self._lost()

    def _read(self) -> None:
        try:
            raw = self._control.recv(MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            raw = b""
        if not raw:
            self._lost()
            return
        message = json.loads(raw)
        if "ready" in message:
            if not self._ready.done():
                self._ready.set_result(None)
            return
        waiting = self._ends.get(message["ended"])
        if waiting is not None and not waiting.done():
            waiting.set_result(message["status"])

    def _lost(self) -> None:
        if not self.alive:
            return
        self.alive = False
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        waiting: list[asyncio.Future[None] | asyncio.Future[int]] = [self._ready, *self._ends.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(ZygoteGoneError())
                future.exception()  # retrieved: nobody may be waiting

    async def stop(self) -> None:
        """End the zygote and its jobs, and wait until it has ended."""
        self._lost()  # the closed control socket tells the zygote to kill its children and end
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
