"""A real S3 server for the tests: versitygw over a temporary folder, on a free port of the loopback interface."""

import secrets
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from support.require import need
from support.tools import find

START_SECONDS = 20.0
"""How long the server may take to answer."""


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        root: Its folder; a folder in it is a bucket.
        port: Its port on 127.0.0.1.
        environment: The credentials, as AWS's tools take them.
        process: The process, for tests that stop it.
    """

    root: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def bucket(self) -> str:
        """Make an empty bucket, and return its URL."""
        name = f"bucket-{secrets.token_hex(6)}"
        (self.root / name).mkdir()
        return f"s3://{name}/a/prefix?endpoint={quote(f'http://127.0.0.1:{self.port}')}"

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def start(root: Path, port: int | None = None, environment: dict[str, str] | None = None) -> S3Server:
    """Start a server, or skip the calling test.

    Args:
        root: Its folder.
        port: Its port; a free one where left out.
        environment: The credentials of an earlier server to take over; new ones where left out.
    """
    program = find("versitygw")
    need(program, "the program versitygw", "scripts/install-go-tools")
    port = port or _free_port()
    environment = environment or {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
    process = subprocess.Popen(
        [str(program), "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(root)],
        env={
            "ROOT_ACCESS_KEY": environment["AWS_ACCESS_KEY_ID"],
            "ROOT_SECRET_KEY": environment["AWS_SECRET_ACCESS_KEY"],
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    server = S3Server(root, port, environment, process)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return server
    server.stop()
    raise RuntimeError("versitygw does not answer")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
