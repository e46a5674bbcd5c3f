"""Witnesses in their own processes, on free loopback ports: Zegel's, and C2SP's litewitness."""

import base64
import http.client
import queue
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from support.tools import tool
from zegel.evidence.transparency import EMPTY_ROOT, VerifierKey

START_SECONDS = 30.0
"""The machine's cores are shared."""


@dataclass
class WitnessProcess:
    """``zegel witness``, whose folder outlives it.

    Attributes:
        folder: Its keys and its memory.
        keys: Its verifier keys.
        port: Its port on 127.0.0.1, kept over a restart.
    """

    folder: Path
    log_keys: list[str]
    keys: list[VerifierKey] = field(default_factory=list)
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def init(self, name: str, *algorithms: str) -> None:
        """Makes its keys."""
        options = [word for each in algorithms for word in ("--algorithm", each)]
        done = subprocess.run(
            [zegel(), "witness", str(self.folder), "--init", name, *options],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.keys = [VerifierKey.parse(line) for line in done.stdout.splitlines()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(signal.SIGTERM)

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        command = [zegel(), "witness", str(self.folder), "--listen", f"127.0.0.1:{self.port}"]
        for key in self.log_keys:
            command += ["--log", key]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_pump, args=(self.process, lines), daemon=True).start()
        line = lines.get(timeout=START_SECONDS)
        assert "listens on http://127.0.0.1:" in line, line
        self.port = int(line.rsplit(":", 1)[1])

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Ends it."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(how)
            process.wait(20)
            assert process.stderr is not None
            process.stderr.close()

    def ask(self, body: bytes) -> tuple[int, bytes, str]:
        """Sends a request; returns status, body and type. Raises ``OSError`` if there is no complete response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", "/add-checkpoint", body)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Content-Type", "")
        except http.client.HTTPException as error:
            raise OSError("no whole answer") from error
        finally:
            connection.close()


def zegel() -> str:
    """The command, as it was installed."""
    return str(Path(sys.executable).parent / "zegel")


def _pump(process: subprocess.Popen[str], lines: "queue.SimpleQueue[str]") -> None:
    assert process.stderr is not None
    try:
        for line in process.stderr:
            lines.put(line)
    except ValueError:
        pass  # closed at the end
    lines.put("")


@contextmanager
def litewitness(folder: Path, origin: str, log_key: str) -> Iterator[tuple[str, VerifierKey]]:
    """C2SP's own witness, whose key an SSH agent holds; yields its URL and its verifier key.

    Args:
        folder: An empty folder; its path is short, since a socket stands in it.
        origin: The log that it watches.
        log_key: The log's verifier key.
    """
    programs = {name: str(tool(name)) for name in ("litewitness", "ssh-agent", "ssh-add", "ssh-keygen")}
    key, agent_socket, database = folder / "key", folder / "agent", str(folder / "lite.db")
    _run(programs["ssh-keygen"], "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    fingerprint = _run(programs["ssh-keygen"], "-l", "-f", str(key)).split()[1]
    _add_log(database, origin, log_key)
    agent = subprocess.Popen([programs["ssh-agent"], "-D", "-a", str(agent_socket)], stdout=subprocess.DEVNULL)
    said = folder / "litewitness.log"
    running: subprocess.Popen[bytes] | None = None
    try:
        _until(agent_socket.exists)
        _run(programs["ssh-add"], "-q", str(key), environment={"SSH_AUTH_SOCK": str(agent_socket)})
        port = _free_port()
        options = ["-name", "lite.example/w", "-db", database, "-ssh-agent", str(agent_socket)]
        options += ["-key", fingerprint, "-listen", f"127.0.0.1:{port}"]
        with said.open("wb") as log:
            running = subprocess.Popen(
                [programs["litewitness"], *options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        _until(lambda: _listens(port))
        vkey = next(word[5:].strip('"') for word in said.read_text().split() if word.startswith("vkey="))
        yield f"http://127.0.0.1:{port}", VerifierKey.parse(vkey)
    finally:
        for each in (running, agent):
            if each is not None:
                each.terminate()
                each.wait(20)


def _add_log(database: str, origin: str, log_key: str) -> None:
    """What ``witnessctl add-log`` and ``add-key`` do; that program itself cannot be built from the module proxy."""
    empty = base64.b64encode(EMPTY_ROOT).decode()
    connection = sqlite3.connect(database)
    connection.executescript(
        "CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);"
        "CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));"
    )
    connection.execute("INSERT INTO log VALUES (?, 0, ?)", (origin, empty))
    connection.execute("INSERT INTO key VALUES (?, ?)", (origin, log_key))
    connection.commit()
    connection.close()


def _run(*command: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _until(true: object) -> None:
    assert callable(true)
    deadline = time.monotonic() + START_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it does not start"
        time.sleep(0.02)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
