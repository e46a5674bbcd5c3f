"""What a worker that a hostile file has taken over could still do: each attempt in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, json, os, resource, signal, socket, sys, tempfile
from zegel_server.pdf.sandbox.confinement import confine
from zegel_server.pdf.limits import WorkerLimits

def attempt(act):
    try:
        return repr(act())
    except BaseException as error:
        return type(error).__name__

secret, server = sys.argv[1], int(sys.argv[2])
granted = confine(WorkerLimits(), os.getppid())
libc = ctypes.CDLL(None, use_errno=True)
report = {
    "granted": sorted(granted),
    "read": attempt(lambda: open(secret).read()),
    "write": attempt(lambda: open(secret, "w").write("x")),
    "delete": attempt(lambda: os.unlink(secret)),
    "list": attempt(lambda: os.listdir(os.path.dirname(secret))),
    "memory": attempt(lambda: open(f"/proc/{server}/mem", "rb").read(1)),
    "environment": attempt(lambda: open(f"/proc/{server}/environ", "rb").read(1)),
    "kill": attempt(lambda: os.kill(server, 0)),
    "tgkill": libc.tgkill(server, server, 0),
    "ptrace": libc.ptrace(16, server, 0, 0),
    "fork": attempt(os.fork),
    "exec": attempt(lambda: os.execv("/bin/true", ["true"])),
    "unix": attempt(lambda: socket.socket(socket.AF_UNIX)),
    "internet": attempt(lambda: socket.create_connection(("127.0.0.1", 9), 1)),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "code": attempt(lambda: len(open(os.__file__).read()) > 0),
    "allocate": attempt(lambda: len(bytearray(2 * 1024**3))),
}
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    secret = tmp_path_factory.mktemp("home") / "root.key"
    secret.write_text("secret")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, str(secret), str(os.getpid())]
    done = subprocess.run(command, capture_output=True, env=environment, check=True, timeout=60)
    assert secret.read_text() == "secret"
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def granted(report: dict[str, object], what: str) -> None:
    names = report["granted"]
    assert isinstance(names, list)
    if what not in names:
        pytest.skip(f"this kernel or container does not grant {what}")


def test_it_has_limits_everywhere(report: dict[str, object]) -> None:
    assert "limits" in report["granted"]  # type: ignore[operator]
    assert report["allocate"] == "MemoryError"
    assert report["core"] == [0, 0]


@pytest.mark.parametrize("act", ["read", "write", "delete", "list", "memory", "environment"])
def test_it_reaches_no_file(report: dict[str, object], act: str) -> None:
    granted(report, "landlock")
    assert report[act] == "PermissionError"


def test_it_still_finds_its_own_code(report: dict[str, object]) -> None:
    assert report["code"] == "True"


@pytest.mark.parametrize("act", ["kill", "fork", "exec", "unix", "internet"])
def test_it_reaches_no_process_and_no_socket(report: dict[str, object], act: str) -> None:
    granted(report, "seccomp")
    assert report[act] == "PermissionError"


@pytest.mark.parametrize("act", ["tgkill", "ptrace"])
def test_it_reaches_no_process_by_other_calls(report: dict[str, object], act: str) -> None:
    granted(report, "seccomp")
    assert report[act] == -1
