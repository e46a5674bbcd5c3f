"""moto, an emulator of AWS, for the tests of KMS: there is no real KMS to install."""

import importlib.util
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from support.require import need

START_SECONDS = 30.0
"""How long the emulator may take to answer."""

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests"}
"""Credentials, as AWS's tools take them; the emulator takes any."""


def url(port: int) -> str:
    """The URL of a new, empty namespace."""
    return f"aws-kms:tests-{secrets.token_hex(6)}?region=eu-west-1&endpoint={quote(f'http://127.0.0.1:{port}')}"


@contextmanager
def server() -> Iterator[int]:
    """Start the emulator on a free port of the loopback interface, or skip the calling test."""
    missing = [name for name in ("boto3", "moto", "flask", "flask_cors") if importlib.util.find_spec(name) is None]
    need(not missing, "the Python package moto", "pip install boto3 'moto[kms]' flask flask-cors")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()
