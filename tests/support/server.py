"""A real server in its own process, and the programs of partners and signers that call it through the SDK.

Invariants:

* It listens on the loopback interface, keeps its port over a restart, and stores everything in one folder.
* It has the embedded defaults and the test's settings, even if the shell has settings for another server.
* It is terminated by its own process id; it has its own session, so that processes it leaves behind can be found.
"""

import asyncio
import contextlib
import json
import os
import queue
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import asyncpg
import pytest

import zegel
from support import postgres
from zegel_server.db.factory import sqlite_path

START_SECONDS = 60.0
"""The first start makes keys, certificates and tables, and the machine's cores are shared."""

STOP_SECONDS = 60.0
"""A graceful stop lets running calls end."""


class ServerEndedError(Exception):
    """The server ended by itself; the message has the end of its log."""


@dataclass
class ServerProcess:
    """A development server.

    Attributes:
        folder: Holds all that is its own.
        database_url: Where its rows are; empty for SQLite in its folder.
        environment: Further settings, ``ZEGEL_...``.
        listen: Where to listen; the port that it got once it was started.
        shared: The data folder, where it is not its own.
    """

    folder: Path
    database_url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    listen: str = "127.0.0.1:0"
    shared: Path | None = None
    process: subprocess.Popen[str] | None = None
    authority: bytes = b""
    operator_token: str = field(default="", repr=False)

    @property
    def data(self) -> Path:
        return self.shared or self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def rows_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data.resolve() / 'zegel.db'}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it, and waits until it is ready.

        Raises:
            ServerEndedError: It ended instead.
        """
        lines = self.spawn()
        try:
            self.until_ready(lines)
        except BaseException:
            self.kill()
            raise

    def spawn(self) -> "queue.SimpleQueue[str]":
        """Starts it without waiting.

        Returns:
            What it says, line by line, for `until_ready`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [*_with_us(), str(Path(sys.executable).parent / "zegel-server"), "serve", "--development"]
        command += ["--data-dir", str(self.data), "--listen", self.listen]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ZEGEL_")}
        environment |= {"ZEGEL_DATABASE_URL": self.database_url} if self.database_url else {}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment | dict(self.environment),
                start_new_session=True,
            )
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        # Reads for as long as the server runs: a full pipe would block it.
        threading.Thread(target=_pump, args=(self.process, lines), daemon=True).start()
        return lines

    def until_ready(self, lines: "queue.SimpleQueue[str]") -> None:
        """Waits until it is ready.

        Args:
            lines: What `spawn` returned.

        Raises:
            ServerEndedError: It ended instead.
        """
        assert self.process is not None
        ready = self._ready(self.process, lines)
        self.listen = ready["address"]
        self.authority = Path(ready["authority"]).read_bytes()
        self.operator_token = Path(ready["operator_key"]).read_text(encoding="ascii").strip()

    def _ready(self, process: subprocess.Popen[str], lines: "queue.SimpleQueue[str]") -> dict[str, str]:
        deadline = time.monotonic() + START_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = lines.get(timeout=left)
                if not line:
                    raise ServerEndedError(f"exit status {process.wait()}:\n{self.tail()}")
                if line.startswith("{") and (said := json.loads(line)).get("event") == "ready":
                    return dict(said)
        raise ServerEndedError(f"not ready within {START_SECONDS:.0f} s:\n{self.tail()}")

    def stop(self) -> int | None:
        """Ends it gracefully; may be called again.

        Returns:
            Its exit status; nothing where it did not run.
        """
        process, self.process = self.process, None
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill(self) -> int:
        """Kills the server process at once, whatever it is doing; its children must notice by themselves.

        Returns:
            The process id, which is its session's as well.
        """
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        return process.pid

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def log_lines(self) -> list[dict[str, Any]]:
        """Its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def defects(self) -> list[dict[str, Any]]:
        """The log's messages that an operator has to act on."""
        return [line for line in self.log_lines() if line.get("level") in {"error", "critical"}]

    def client(self, token: str | None = None, **more: Any) -> zegel.Client:
        """A client with a connection of its own; close it."""
        return zegel.Client(self.listen, token=token, root_certificates=self.authority, **more)

    def blobs(self) -> set[str]:
        """The files in its blob store, relative to it."""
        root = self.data / "blobs"
        # os.walk skips a folder that the server removes in the meantime.
        found = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
        return {str(path.relative_to(root)) for path in found}


def _with_us() -> list[str]:
    """A command's prefix that makes it end with the thread that runs it, so that killed tests leave no server behind.

    A thread other than the main one may end before its server should.
    """
    program = shutil.which("setpriv")
    if program is None or threading.current_thread() is not threading.main_thread():
        return []
    return [program, "--pdeathsig", "KILL", "--"]


def _pump(process: subprocess.Popen[str], lines: "queue.SimpleQueue[str]") -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.put(line)
    lines.put("")


def members_of_session(session: int) -> list[int]:
    """The processes that belong to a session, as the kernel tells it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # After the program's name, which may hold anything: state, parent, group, session.
            if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def sqlite_server(**more: Any) -> Iterator[ServerProcess]:
    """A server with the embedded defaults, in a folder that is removed with it."""
    with tempfile.TemporaryDirectory(prefix="zegel-test-") as folder, ServerProcess(Path(folder), **more) as server:
        yield server


@contextlib.contextmanager
def postgresql_server(cluster: postgres.Cluster, **more: Any) -> Iterator[ServerProcess]:
    """A server with its rows in an empty database of a cluster; the folder and the database are removed with it."""
    name = cluster.create()
    try:
        with sqlite_server(database_url=cluster.url(name), **more) as server:
            yield server
    finally:
        cluster.drop(name)


@contextlib.contextmanager
def server_on(request: pytest.FixtureRequest, **more: Any) -> Iterator[ServerProcess]:
    """A server on the database that a fixture's parameter names, ``sqlite`` or ``postgresql``.

    Args:
        request: The fixture's request.
        more: What else the server takes.
    """
    if request.param == "sqlite":
        with sqlite_server(**more) as server:
            yield server
        return
    with postgresql_server(request.getfixturevalue("postgres_cluster"), **more) as server:
        yield server


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Queries a running server's database directly.

    Args:
        url: The database.
        query: SQL that both databases understand.
    """
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(f"file:{sqlite_path(url)}?mode=ro", uri=True)) as opened:
            return opened.execute(query).fetchall()

    async def ask() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(ask())
