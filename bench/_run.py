"""What the benchmarks share: servers in their own processes, a load generator, and the last line of output.

The load generator is ghz (Go), since one written in Python would be slower than the servers that it calls. If missing,
``scripts/install-go-tools`` builds it. All traffic stays on loopback.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PATH: Final = os.pathsep.join(str(ROOT / each) for each in (".", "server", "clients/python"))
"""``PYTHONPATH`` of the servers' processes: this tree's own code, whatever is installed."""
TOOLS: Final = ROOT / ".tools/bin"
START_S: Final = 60
STOP_S: Final = 30


def arguments(description: str) -> argparse.Namespace:
    """The command line of a benchmark.

    Args:
        description: What it measures.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=["small", "large"], default="small", help="small ends within 45 s")
    return parser.parse_args()


def finish(**figures: Any) -> None:
    """Prints the last line of output, one JSON object.

    Args:
        figures: The object's entries.
    """
    print(json.dumps(figures), flush=True)


def rounded(value: float, digits: int = 3) -> float:
    """Rounds a figure for the report.

    Args:
        value: The figure.
        digits: Digits after the decimal point.
    """
    return round(value, digits)


def ghz() -> Path:
    """Returns the load generator's path, after building it if it is missing.

    Raises:
        SystemExit: It is missing and there is no Go to build it.
    """
    path = f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}"
    if shutil.which("ghz", path=path) is None:
        print("Building the load generator (ghz)", file=sys.stderr)
        subprocess.run([ROOT / "scripts/install-go-tools", "ghz"], check=True, stdout=sys.stderr)
    found = shutil.which("ghz", path=path)
    if found is None:
        raise SystemExit("bench: the load generator ghz is missing, and Go to build it: install Go")
    return Path(found)


@dataclass(frozen=True)
class Served:
    """A server under measurement.

    Attributes:
        target: ``host:port``.
        authority: Certificate of its authority, PEM.
        operator_key: File with the operator's API key, if it is a Zegel server.
        pid: Its process id.
    """

    target: str
    authority: Path
    operator_key: Path | None
    pid: int

    def operator_token(self) -> str:
        """The operator's API key."""
        if self.operator_key is None:
            raise SystemExit("bench: this server has no operator")
        return self.operator_key.read_text(encoding="ascii").strip()


@contextmanager
def process(command: Sequence[str], **environment: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Runs a server's process: yields its first line of JSON and its process id, and terminates it by that id.

    Args:
        command: The command to run.
        environment: Additional environment variables.
    """
    with tempfile.TemporaryFile() as errors:
        running = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": PATH, **environment},
            cwd=ROOT,
        )
        try:
            line = running.stdout.readline() if running.stdout else ""
            if not line:
                errors.seek(0)
                raise SystemExit(f"bench: the server did not start: {errors.read().decode()[-2000:]}")
            yield json.loads(line), running.pid
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(STOP_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


@contextmanager
def zegel(folder: Path, database_url: str = "", **settings: str) -> Iterator[Served]:
    """A development server as a user starts it.

    Args:
        folder: Its data folder.
        database_url: Its database; by default, SQLite in the folder.
        settings: Additional settings, by name.
    """
    # A single client as fast as it can be, which rate limits exist to stop.
    environment = {"ZEGEL_LIMITS": "false"} | {f"ZEGEL_{name.upper()}": value for name, value in settings.items()}
    if database_url:
        environment["ZEGEL_DATABASE_URL"] = database_url
    command = [sys.executable, "-m", "zegel_server", "serve", "--development", "--listen", "127.0.0.1:0"]
    with process([*command, "--data-dir", str(folder)], **environment) as (ready, pid):
        yield Served(ready["address"], Path(ready["authority"]), Path(ready["operator_key"]), pid)


@contextmanager
def postgresql() -> Iterator[str | None]:
    """Starts a PostgreSQL server for this run, with durable commits.

    Yields the URL of an empty database, or ``None`` if PostgreSQL is not installed.
    """
    from support import postgres  # noqa: PLC0415 - the tests' support, found by bench/__init__

    if postgres.binaries() is None:
        print("PostgreSQL is not installed (make tools installs it): left out", flush=True)
        yield None
        return
    cluster = postgres.start(durable=True)
    try:
        yield cluster.url(cluster.create())
    finally:
        cluster.stop()


def on_each_database(stack: ExitStack, folder: Path) -> Iterator[tuple[str, Served]]:
    """Starts a development server on each database in turn.

    Args:
        stack: Ends them.
        folder: Where each has its data folder, named as the database.

    Yields:
        ``sqlite`` or ``postgresql``, and the server; only the first where PostgreSQL is not installed.
    """
    for name, url in (("sqlite", ""), ("postgresql", stack.enter_context(postgresql()))):
        if url is not None:
            yield name, stack.enter_context(zegel(folder / name, url))


@contextmanager
def echo(folder: Path, data_dir: Path, answer: bytes) -> Iterator[Served]:
    """A bare grpc.aio server that answers every call with the same bytes: a floor.

    Args:
        folder: Where its files are written.
        data_dir: Data folder of a development server, whose certificate it shows.
        answer: The bytes.
    """
    (folder / "answer").write_bytes(answer)
    pem = (data_dir / "authority/tls.pem").read_bytes()
    for file in ("tls.pem", "tls.key"):
        (folder / file).write_bytes(pem)
    (folder / "tls.key").chmod(0o600)
    with process([sys.executable, "-m", "bench._echo", str(folder)]) as (ready, pid):
        yield Served(ready["address"], data_dir / "authority/authority.pem", None, pid)


def descriptors(folder: Path, contract: str) -> Path:
    """Writes a contract in the format that the load generator reads; returns the file.

    Args:
        folder: Where to write it.
        contract: The contract's path below ``protos``.
    """
    from importlib.resources import files  # noqa: PLC0415 - once

    out = folder / "contract.protoset"
    packages = sysconfig.get_path("purelib")  # google.api's files lie beside its modules
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}"]
    command += [f"-I{files('grpc_tools') / '_proto'}", f"-I{packages}", "--include_imports"]
    subprocess.run([*command, f"--descriptor_set_out={out}", contract], check=True)
    return out


def median(values: Sequence[float]) -> float:
    """The median of the rounds.

    Args:
        values: One figure for each round.
    """
    return statistics.median(values)


def memory(pid: int, field: str) -> float:
    """Returns a line of a process's status in MiB (proc(5)): ``VmRSS`` is the current value, ``VmHWM`` the peak.

    Args:
        pid: The process id.
        field: Name of the line.
    """
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"bench: no {field} in the process's status")


def reset_peak(pid: int) -> None:
    """Resets the peak to the current value (proc(5), clear_refs).

    Args:
        pid: The process id.
    """
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
