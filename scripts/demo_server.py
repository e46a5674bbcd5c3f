"""A temporary development server: runs in its own process, and is always stopped at the end."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

START_S: Final = 60.0
"""Seconds that a start may take: the first one creates keys, certificates and tables."""

STOP_S: Final = 20.0
"""Seconds that a graceful stop may take: it waits for running calls."""

TAIL_LINES: Final = 20
"""Lines of the log to show after a failure."""


class ServerError(Exception):
    """The server did not start, or ended by itself."""


class DemoServer:
    """A server with the embedded defaults, in a folder that is removed with it.

    Attributes:
        address: Where it listens, as ``host:port``.
        authority: File with the certificate of its development authority, PEM.
        operator_token: The operator's API key.
    """

    address: str
    authority: Path
    operator_token: str

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="zegel-demo-")
        self._data: Final = Path(self._folder.name) / "data"
        self._log: Final = Path(self._folder.name) / "server.log"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self.stop()
        self._folder.cleanup()

    def _start(self) -> None:
        command = [str(Path(sys.executable).parent / "zegel-server"), "serve", "--development"]
        command += ["--data-dir", str(self._data), "--listen", "127.0.0.1:0"]
        # The embedded defaults, even if the shell has settings for another server.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ZEGEL_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops the server
            )
        ready = self._wait_until_ready(self._process)
        self.address = ready["address"]
        self.authority = Path(ready["authority"])
        self.operator_token = Path(ready["operator_key"]).read_text(encoding="utf-8").strip()

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> dict[str, str]:
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        # A thread reads for as long as the server runs: a full pipe would block it.
        threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
        deadline = time.monotonic() + START_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = lines.get(timeout=left)
            except queue.Empty:
                break
            if not line:
                status = process.wait()
                raise ServerError(f"the server ended with exit status {status} before it was ready:\n{self.tail()}")
            if line.startswith("{") and (said := json.loads(line)).get("event") == "ready":
                return dict(said)
        raise ServerError(f"the server was not ready within {START_S:.0f} s:\n{self.tail()}")

    def stop(self) -> None:
        """Stops the server and waits until it is gone; may be called again."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too: they are in its process group
            process.wait()

    def tail(self) -> str:
        """The last lines of the server's log."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-TAIL_LINES:])


def _pump(process: subprocess.Popen[str], lines: "queue.SimpleQueue[str]") -> None:
    with process.stdout or open(os.devnull, encoding="utf-8") as output:  # noqa: PTH123 - PIPE was asked for
        for line in output:
            lines.put(line)
    lines.put("")
