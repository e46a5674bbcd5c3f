"""The zygote: a small process that forks one sandboxed child for each PDF job.

``python -m zegel_server.pdf.sandbox.zygote CONTROL LIMITS [FONTS]`` is started by
:mod:`zegel_server.pdf.sandbox.client` by fork and exec, which is safe beside gRPC; a bare fork of a process with gRPC's
threads is not. It loads the PDF libraries once; a job's child is then a copy-on-write fork of it, which takes
milliseconds instead of a second.

The control socket is a ``SOCK_SEQPACKET`` pair; a message is a JSON object:

* to the zygote: ``{"start": id}`` with the job's socket as its descriptor, and ``{"kill": id}``;
* from it: ``{"ready": true}`` once, and ``{"ended": id, "status": exit code, or minus the signal}`` for each job.

Invariants:

* One thread, no gRPC, no secret in its environment, no descriptor but the control socket and the null device.
* Only the zygote reaps its children, so a process id it kills cannot have been given to another process.
* When the control socket closes, all children are killed and it ends.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
from typing import NoReturn

from zegel_server.pdf.limits import WorkerLimits
from zegel_server.pdf.sandbox.confinement import confine

MAX_MESSAGE = 256
"""Maximum size in bytes of a message on the control socket; the longest has some 40."""

CANNOT_FORK, CANNOT_CONFINE = 75, 70
"""Exit statuses (from sysexits: try again, internal error) for failures that are not the document's fault."""

OUT_OF_MEMORY = 71
"""Exit status of a job that did not even have memory left to report that."""


def main(arguments: list[str]) -> int:
    """Serve jobs until the control socket closes.

    Args:
        arguments: Descriptor of the control socket, the limits as a JSON object, and perhaps a folder of fonts.
    """
    gc.disable()  # everything loaded here stays, so collecting would only add a fifteenth to the time
    from zegel_server.pdf.sandbox import child  # noqa: PLC0415 - loads the PDF libraries, which only this process should do

    control = socket.socket(fileno=int(arguments[0]))
    limits = WorkerLimits(**json.loads(arguments[1]))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal's Ctrl-C goes to the whole process group; the server decides when to end
    child.preload(arguments[2] if len(arguments) > 2 else "")  # noqa: PLR2004 - the third
    gc.collect()
    gc.freeze()  # the collector would touch, and thereby copy, every memory page shared with the children
    gc.enable()
    _Zygote(control, limits).run()
    return 0


class _Zygote:
    def __init__(self, control: socket.socket, limits: WorkerLimits) -> None:
        self._control = control
        self._limits = limits
        self._pids: dict[int, int] = {}

    def run(self) -> None:
        waker, sleeper = socket.socketpair()
        waker.setblocking(False)
        sleeper.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(sleeper, selectors.EVENT_READ)
        self._send({"ready": True})
        try:
            while True:
                for key, _events in selector.select():
                    if key.fileobj is sleeper:
                        with contextlib.suppress(BlockingIOError):
                            sleeper.recv(4096)
                        self._reap()
                    elif not self._receive():
                        return
        finally:
            for pid in self._pids.values():
                os.kill(pid, signal.SIGKILL)
            for pid in self._pids.values():
                os.waitpid(pid, 0)

    def _send(self, message: dict[str, int | bool]) -> None:
        # If the server has ended, the control socket reports its end.
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(message).encode())

    def _receive(self) -> bool:
        raw, descriptors, _flags, _address = socket.recv_fds(self._control, MAX_MESSAGE, 1)
        if not raw:
            return False
        message = json.loads(raw)
        if "start" in message:
            self._start(message["start"], descriptors[0])
        elif message["kill"] in self._pids:
            os.kill(self._pids[message["kill"]], signal.SIGKILL)
        return True

    def _start(self, job: int, descriptor: int) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # out of processes or memory, for now
            os.close(descriptor)
            self._send({"ended": job, "status": CANNOT_FORK})
            return
        if pid == 0:
            _become_job(descriptor, self._limits, parent)
        os.close(descriptor)
        self._pids[job] = pid

    def _reap(self) -> None:
        for job, pid in list(self._pids.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._pids[job]
                self._send({"ended": job, "status": os.waitstatus_to_exitcode(status)})


def _become_job(descriptor: int, limits: WorkerLimits, parent: int) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a job that nobody waits for ends when it next writes
        os.dup2(descriptor, 3)
        os.closerange(4, max(256, descriptor + 1))
        from zegel_server.pdf.sandbox import child  # noqa: PLC0415 - loaded long ago

        status = CANNOT_CONFINE
        granted = confine(limits, parent)
        status = 1
        child.serve(socket.socket(fileno=3), granted)
        status = 0
    except MemoryError:
        status = OUT_OF_MEMORY
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
