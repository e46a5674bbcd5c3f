"""``zegel witness`` as a process: what it answers over HTTP, and what a killed one remembers.

``ZEGEL_KILL_TRIALS`` says how often it is killed; a few times by default.
"""

import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.merkle_log import KEY, ORIGIN, MadeLog
from support.witnesses import WitnessProcess, zegel
from zegel.evidence.note_signing import SignerKey
from zegel.evidence.transparency import COSIGNATURE_ED25519, ED25519, Checkpoint, open_checkpoint
from zegel.evidence.witness_messages import MAX_REQUEST_BYTES, SIZE_TYPE, AddCheckpoint, read_cosignatures

TRIALS = int(os.environ.get("ZEGEL_KILL_TRIALS", "4"))


def grown(count: int, salt: bytes = b"") -> MadeLog:
    log = MadeLog()
    for index in range(count):
        log.add(salt + b"entry %d" % index)
    return log


def request(log: MadeLog, old: int, size: int) -> bytes:
    proof = tuple(log.consistency(old, size)) if 0 < old < size else ()
    return AddCheckpoint(old, proof, log.checkpoint(size)).format()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WitnessProcess]:
    made = WitnessProcess(tmp_path / "witness", [str(KEY.verifier)])
    made.init("w.example/1")
    with made:
        yield made


def test_it_answers_over_http_as_the_standard_has_it(running: WitnessProcess) -> None:
    log = grown(9)
    status, body, _ = running.ask(request(log, 0, 5))
    assert status == 200
    now = int(time.time())
    text = Checkpoint(ORIGIN, 5, log.roots[5]).format()
    assert len(read_cosignatures(text, body, running.keys, earliest=now - 30, latest=now + 1)) == 2
    assert open_checkpoint(log.checkpoint(5) + body, [KEY.verifier], running.keys, 1).size == 5
    assert running.ask(request(log, 0, 9)) == (409, b"5\n", SIZE_TYPE)
    assert running.ask(request(grown(5, b"other "), 5, 5))[0] == 409
    assert running.ask(AddCheckpoint(5, (), log.checkpoint(9)).format())[0] == 422
    forged = SignerKey(KEY.name, ED25519, b"f" * 32)
    assert running.ask(AddCheckpoint(5, (), log.checkpoint(9, forged)).format())[0] == 403
    assert running.ask(b"old 5\n")[0] == 400
    assert running.ask(b"x" * (MAX_REQUEST_BYTES + 1))[0] == 413
    assert running.ask(request(log, 5, 9))[0] == 200


@pytest.mark.slow
def test_one_that_sends_nothing_holds_nobody_up(running: WitnessProcess) -> None:
    log = grown(5)
    with socket.create_connection(("127.0.0.1", running.port), 5) as slow:
        slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold")
        assert running.ask(request(log, 0, 5))[0] == 200
        slow.settimeout(20)
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_a_second_process_on_its_folder_does_not_start(running: WitnessProcess) -> None:
    done = subprocess.run(
        [zegel(), "witness", str(running.folder), "--log", str(KEY.verifier), "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "another process is the witness" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--log", str(KEY.verifier)], "holds no witness: make one with --init"),
        (["--init", "a name"], "bad name"),
        (["--init", "w.example/1", "--algorithm", "rsa"], "rsa is not a kind of cosignature"),
        (["--listen", "127.0.0.1:0"], "no log to watch"),
    ],
)
def test_it_says_what_is_wrong(tmp_path: Path, options: list[str], said: str) -> None:
    done = subprocess.run(
        [zegel(), "witness", str(tmp_path / "none"), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_it_has_the_kinds_of_keys_that_were_asked_for(tmp_path: Path) -> None:
    made = WitnessProcess(tmp_path / "witness", [])
    made.init("w.example/1", "ed25519")
    assert [key.algorithm for key in made.keys] == [COSIGNATURE_ED25519]


@dataclass
class _Pusher:
    """Asks for ever larger trees of a log, and notes what was cosigned in the order in which it was."""

    running: WitnessProcess
    log: MadeLog
    cosigned: list[tuple[int, bytes]]
    turn: threading.Lock
    known: int = 0

    def push(self, end: float) -> None:
        while time.monotonic() < end:
            try:
                self._once()
            except OSError:
                time.sleep(0.01)  # killed

    def _once(self) -> None:
        size = min(self.known + random.randint(1, 3), 400)  # noqa: S311 - any size
        with self.turn:
            status, body, kind = self.running.ask(request(self.log, self.known, size))
            if status == 200:
                self.cosigned.append((size, self.log.roots[size]))
        if status == 200:
            self.known = size
        elif status == 409 and kind == SIZE_TYPE:
            self.known = min(int(body), 400)
        else:
            time.sleep(0.005)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * TRIALS)
def test_killed_at_any_moment_it_never_goes_back_and_never_signs_two_trees(tmp_path: Path) -> None:
    """Two logs of one key that part after the first entries, each asked for all the time, while it is killed."""
    running = WitnessProcess(tmp_path / "witness", [str(KEY.verifier)])
    running.init("w.example/1", "ed25519")
    fork = MadeLog()
    for index in range(400):
        fork.add(b"entry %d" % index if index < 2 else b"fork %d" % index)
    cosigned: list[tuple[int, bytes]] = []
    turn = threading.Lock()
    pushers = [_Pusher(running, log, cosigned, turn) for log in (grown(400), fork)]
    for _ in range(TRIALS):
        running.start()
        end = time.monotonic() + 0.8
        threads = [threading.Thread(target=each.push, args=(end,)) for each in pushers]
        for thread in threads:
            thread.start()
        time.sleep(0.2 + random.random() * 0.5)  # noqa: S311 - any moment
        running.kill()
        for thread in threads:
            thread.join()
    assert len(cosigned) > TRIALS
    trees: dict[int, bytes] = {}
    for (before, _), (size, root) in zip([(0, b""), *cosigned], cosigned, strict=False):
        assert size >= before, "it went back"
        assert trees.setdefault(size, root) == root, f"two trees of {size}"
    # A killed one leaves at most the file that it was writing, and starts again.
    running.start()
    status, body, _ = running.ask(request(fork, 0, 400))
    assert (status, int(body) >= cosigned[-1][0]) == (409, True)
    running.kill()
