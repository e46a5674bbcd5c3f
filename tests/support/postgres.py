"""A real PostgreSQL server for the tests, made for one run and thrown away after it.

Invariants:

* It listens on a free port of the loopback interface, with a password made for this run.
* It runs as an ordinary user: PostgreSQL refuses root, so under root it is started as ``postgres`` or ``nobody``.
* It is stopped by its own process id and its folder removed, whatever the tests did.
* It is not durable (``fsync`` is off), since it is removed after the run; tests of durability turn ``fsync`` on
  themselves.
"""

import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support.require import need

START_SECONDS = 60.0
"""How long the server may take to answer; a loaded machine with two cores takes up to ten."""

STOP_SECONDS = 20.0
"""How long an immediate shutdown may take before the process is killed."""

USERS = ("postgres", "nobody")
"""Whom to run as under root, the first that exists."""

SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "autovacuum": "off",
    "log_min_messages": "fatal",
    "unix_socket_directories": "",
}

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "256MB"}
"""What a benchmark changes of these."""


def binaries() -> Path | None:
    """Finds the folder with ``initdb`` and ``postgres``, the newest where a system has several.

    Returns:
        The folder, or nothing.
    """
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    candidates.sort(key=lambda folder: [int(digits) for digits in re.findall(r"\d+", str(folder))], reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    return next((folder for folder in candidates if (folder / "postgres").exists()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Cluster:
    """A running server.

    Attributes:
        folder: Holds its data; removed at the end.
        programs: Where ``psql`` and its siblings are.
        port: Where it listens on 127.0.0.1.
        password: Of the user ``zegel``, who owns everything.
        process: The server itself.
        templates: Databases that were prepared once, to be copied.
    """

    folder: Path
    programs: Path
    port: int
    password: str = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)
    templates: set[str] = field(default_factory=set)

    def url(self, database: str = "postgres") -> str:
        """Names a database of this server.

        Args:
            database: Its name.

        Returns:
            ``postgresql://user:password@host:port/database``.
        """
        return f"postgresql://zegel:{self.password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Runs one statement as the owner of the cluster.

        Args:
            statement: SQL that may not run in a transaction, such as ``CREATE DATABASE``.

        Raises:
            subprocess.CalledProcessError: The server refused it.
        """
        command = [str(self.programs / "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]
        command += ["--command", statement, f"postgresql://zegel@127.0.0.1:{self.port}/postgres"]
        environment = {"PGPASSWORD": self.password, "PATH": os.environ.get("PATH", os.defpath)}
        subprocess.run(command, check=True, capture_output=True, env=environment)

    def create(self, template: str = "template1") -> str:
        """Makes a database of its own for one test.

        Args:
            template: What to copy, such as one made by ``template``.

        Returns:
            Its name, to be handed to ``url`` and ``drop``.
        """
        name = f"test_{secrets.token_hex(8)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, name: str) -> None:
        """Removes a database, and closes the connections to it.

        Args:
            name: The database.
        """
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def template(self, name: str, prepare: Callable[[str], None]) -> str:
        """Makes a database to copy, once a cluster: copying one is ten times as fast as migrating one.

        Args:
            name: The template's name.
            prepare: Gets the database's URL, and leaves no connection open.

        Returns:
            The name.
        """
        if name not in self.templates:
            self.execute(f'CREATE DATABASE "{name}"')
            prepare(self.url(name))
            self.templates.add(name)
        return name

    def stop(self) -> None:
        """Stops the server and removes its folder."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _owner() -> pwd.struct_passwd | None:
    """Returns the user to run as; the current one if the tests do not run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in USERS if name in known)


def start(*, durable: bool = False) -> Cluster:
    """Makes a cluster and starts its server, or skips the calling test if PostgreSQL is not installed.

    Args:
        durable: Whether a commit is on the disk before it is answered, as users run it; benchmarks want that.

    Returns:
        The server, answering.

    Raises:
        RuntimeError: It did not start.
    """
    programs = binaries()
    need(programs, "a PostgreSQL server (initdb and postgres)")
    assert programs
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="zegel-postgres-"))
    password, port = secrets.token_hex(16), _free_port()
    user, group = (owner.pw_uid, owner.pw_gid) if owner else (None, None)
    groups: list[int] | None = [] if owner else None  # none of root's own
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    password_file = folder / "password"
    password_file.write_text(password, encoding="ascii")
    if owner:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        os.chown(password_file, owner.pw_uid, owner.pw_gid)
    data = folder / "data"
    initdb = [str(programs / "initdb"), "--pgdata", str(data), "--username", "zegel", "--no-sync"]
    initdb += ["--auth", "scram-sha-256", "--pwfile", str(password_file), "--encoding", "UTF8", "--locale", "C.UTF-8"]
    subprocess.run(
        initdb,
        check=True,
        capture_output=True,
        cwd=folder,
        env=environment,
        user=user,
        group=group,
        extra_groups=groups,
    )
    password_file.unlink()
    command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port)]
    for name, value in (SETTINGS | (DURABLE if durable else {})).items():
        command += ["-c", f"{name}={value}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            user=user,
            group=group,
            extra_groups=groups,
        )
    cluster = Cluster(folder, programs, port, password, process)
    _wait(cluster)
    return cluster


def _wait(cluster: Cluster) -> None:
    """Waits until the server says in its data folder that it is ready."""
    status = cluster.folder / "data/postmaster.pid"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and cluster.process.poll() is None:
        # The eighth line is the server's status.
        if status.exists() and "ready" in "".join(status.read_text(encoding="utf-8").splitlines()[7:8]):
            return
        time.sleep(0.05)
    words = (cluster.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
    cluster.stop()
    raise RuntimeError(f"PostgreSQL did not start:\n{words}")
