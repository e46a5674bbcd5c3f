"""The log as the Go project's own packages see it: all that we make is accepted, and nothing that was altered."""

import base64
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz import accept_transparency
from support import tools
from support.merkle_log import KEY, MadeLog, make_trail
from support.require import need
from zegel.note_signing import SignerKey
from zegel.transparency import COSIGNATURE_ED25519, ED25519

SOURCE = Path(__file__).parent / "go"
SIZES = (1, 2, 255, 256, 257, 511, 600)
SIZE = SIZES[-1]


@pytest.fixture(scope="module")
def zegelcheck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built once. Go keeps what it compiled in its own cache, as it does for everything."""
    go = tools.tool("go")
    binary = tmp_path_factory.mktemp("go") / "zegelcheck"
    environment = os.environ | {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "build", "-o", binary, "."], cwd=SOURCE, env=environment, capture_output=True, text=True, check=False
    )
    offline = any(word in done.stderr for word in ("dial tcp", "no such host", "connection refused", "requires go >="))
    need(not offline, "Go 1.24 or later with golang.org/x/mod", "run `go mod download` in tests/server/audit/go")
    assert done.returncode == 0, done.stderr
    return binary


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def log() -> MadeLog:
    made = MadeLog()
    entries = make_trail(SIZE)
    for before, after in zip((0, *SIZES), SIZES, strict=False):
        made.add(*entries[before:after])
    return made


@pytest.fixture
def served(log: MadeLog, tmp_path: Path) -> Path:
    files = log.files()
    files["vkey"] = str(KEY.verifier).encode()
    for index in (0, 1, 254, 255, 256, 511, 598, 599):
        files[f"proofs/{index}.tlog-proof"] = log.proof(index, extra=True).format()
    for old in SIZES:
        hashes = [log.roots[old], *log.consistency(old, SIZE)]
        files[f"consistency/{old}"] = "\n".join([str(old), *map(encode, hashes)]).encode()
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def check(binary: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary, "log", folder], capture_output=True, text=True, check=False)


def test_go_accepts_what_we_made(zegelcheck: Path, served: Path) -> None:
    done = check(zegelcheck, served)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "size": SIZE,
        "tiles": 4,  # two full ones and one partial at level 0, one at level 1
        "entries": SIZE,
        "inclusion": 8,
        "consistency": len(SIZES),
    }


def test_go_accepts_a_cosigned_checkpoint(zegelcheck: Path, served: Path) -> None:
    witness = SignerKey("witness.example/w", COSIGNATURE_ED25519, b"w" * 32)
    path = served / "checkpoint"
    note = path.read_bytes()
    path.write_bytes(note + witness.sign(note.partition(b"\n\n")[0] + b"\n", 1_700_000_000))
    assert check(zegelcheck, served).returncode == 0


def flip(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


ALTERED = [
    "checkpoint",
    "vkey",
    "tile/0/000",
    "tile/0/001",
    "tile/0/002.p/88",
    "tile/1/000.p/2",
    "tile/entries/000",
    "tile/entries/002.p/88",
    "proofs/0.tlog-proof",
    "proofs/599.tlog-proof",
    "consistency/255",
]


@pytest.mark.parametrize("name", ALTERED)
@pytest.mark.parametrize("change", [flip, lambda data: data[:-2], lambda data: data[2:]], ids=["flip", "end", "start"])
def test_go_refuses_what_was_altered(
    zegelcheck: Path, served: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    path = served / name
    path.write_bytes(change(path.read_bytes()))
    done = check(zegelcheck, served)
    assert done.returncode == 1
    assert done.stderr.startswith("refused:")


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "tile/1/000.p/2", "tile/entries/001"])
def test_go_misses_what_was_removed(zegelcheck: Path, served: Path, name: str) -> None:
    (served / name).unlink()
    assert check(zegelcheck, served).returncode == 1


def test_go_refuses_another_key_s_checkpoint(zegelcheck: Path, served: Path, log: MadeLog) -> None:
    (served / "checkpoint").write_bytes(log.checkpoint(key=SignerKey(KEY.name, ED25519, b"o" * 32)))
    assert check(zegelcheck, served).returncode == 1


def test_go_refuses_a_fork(zegelcheck: Path, served: Path, log: MadeLog) -> None:
    fork = MadeLog()
    fork.add(*log.entries[:100], b"another", *log.entries[101:])
    for name, data in fork.files().items():
        (served / name).write_bytes(data)
    shutil.rmtree(served / "proofs")
    done = check(zegelcheck, served)
    # A log on its own is in order; only who remembers an earlier size finds the fork.
    assert done.returncode == 1
    assert "consistency" in done.stderr


def stream(binary: Path, lines: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary, "stream"], input="\n".join(lines), capture_output=True, text=True, check=False)


def test_go_accepts_many_proofs_and_refuses_each_altered_one(zegelcheck: Path, log: MadeLog) -> None:
    seed = 20310102
    choose = random.Random(seed)  # noqa: S311 - to be repeatable
    lines = []
    for _ in range(500):
        size = choose.choice(SIZES)
        index = choose.randrange(size)
        leaf = log.get_tile(0, index // 256, index % 256 + 1)[-32:]
        hashes = [log.roots[size], leaf, *log.inclusion(index, size)]
        lines.append(" ".join([str(index), str(size), *map(encode, hashes)]))
        old = choose.choice([each for each in SIZES if each <= size])
        roots = [log.roots[old], log.roots[size]]
        proof = log.consistency(old, size)
        lines.append(" ".join([str(old), str(size), *map(encode, roots), ":", *map(encode, proof)]))
    done = stream(zegelcheck, lines)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"size": 0, "tiles": 0, "entries": 0, "inclusion": 500, "consistency": 500}
    for line in choose.sample(lines, 20):
        words = line.split()
        spot = choose.choice([i for i, word in enumerate(words) if i > 1 and word != ":"])
        words[spot] = encode(flip(base64.b64decode(words[spot])))
        assert stream(zegelcheck, [" ".join(words)]).returncode == 1


def test_each_of_two_thousand_proofs_is_accepted_by_both(
    zegelcheck: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{tools.tool('go').parent}{os.pathsep}{os.environ['PATH']}")
    assert accept_transparency.main(["--count", "2000", "--leaves", "3000", "--seed", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted_by_go"] == 2000
