"""The log as the Go project's own packages see it: all that we make is accepted, and nothing that was altered."""

import base64
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz import accept_transparency
from support import tools
from support import zegelcheck as zegelcheck_program
from support.merkle_log import KEY, MadeLog, make_trail
from zegel.evidence.note_signing import SignerKey
from zegel.evidence.transparency import COSIGNATURE_ED25519, COSIGNATURE_MLDSA44, ED25519, Checkpoint, split_note
from zegel.evidence.witness import Memory, Witness, create_witness
from zegel.evidence.witness_messages import AddCheckpoint

SIZES = (1, 2, 255, 256, 257, 511, 600)
SIZE = SIZES[-1]


@pytest.fixture(scope="module")
def zegelcheck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built once."""
    return zegelcheck_program.build(tmp_path_factory.mktemp("go"))


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


@pytest.fixture
def cosigned(log: MadeLog, tmp_path: Path) -> Path:
    """What our own witness made of the log: a checkpoint, and proofs under it."""
    folder = tmp_path / "cosigned"
    keys = create_witness(tmp_path / "witness", "witness.example/w", (COSIGNATURE_ED25519, COSIGNATURE_MLDSA44))
    with Memory(tmp_path / "witness") as memory:
        answer = Witness(memory, {KEY.name: [KEY.verifier]}).add_checkpoint(
            AddCheckpoint(0, (), log.checkpoint()).format()
        )
    assert answer.status == 200
    files = {
        "vkey": str(KEY.verifier).encode(),
        "witnesses": "\n".join(map(str, keys)).encode(),
        "checkpoint": log.checkpoint() + answer.body,
    }
    for index in (0, 256, 599):
        proof = replace(log.proof(index, extra=True), checkpoint=files["checkpoint"])
        files[f"proofs/{index}.tlog-proof"] = proof.format()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def check_cosigned(binary: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary, "cosigned", folder], capture_output=True, text=True, check=False)


def test_go_accepts_what_our_witness_signed(zegelcheck: Path, cosigned: Path) -> None:
    done = check_cosigned(zegelcheck, cosigned)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["size"], found["cosignatures"], found["inclusion"]) == (SIZE, 2, 3)


def other_time(note: bytes, line: int) -> bytes:
    """The note with another time in one of its cosignatures."""
    text, signatures = split_note(note)
    name, signature = signatures[line]
    signatures[line] = (name, signature[:11] + bytes([signature[11] ^ 1]) + signature[12:])
    return text + b"\n" + "".join(f"— {name} {encode(each)}\n" for name, each in signatures).encode()


@pytest.mark.parametrize("line", [1, 2])
@pytest.mark.parametrize("name", ["checkpoint", "proofs/256.tlog-proof"])
def test_go_refuses_a_cosignature_of_another_time(zegelcheck: Path, cosigned: Path, name: str, line: int) -> None:
    path = cosigned / name
    head, blank, note = path.read_bytes().partition(b"\n\n") if "proof" in name else (b"", b"", path.read_bytes())
    path.write_bytes(head + blank + other_time(note, line))
    assert check_cosigned(zegelcheck, cosigned).returncode == 1


@pytest.mark.parametrize("name", ["checkpoint", "proofs/256.tlog-proof"])
@pytest.mark.parametrize("removed", [1, 2])
def test_go_misses_a_witness_s_line(zegelcheck: Path, cosigned: Path, name: str, removed: int) -> None:
    path = cosigned / name
    body, _, lines = path.read_bytes().rpartition(b"\n\n")
    kept = [line for number, line in enumerate(lines.splitlines(keepends=True)) if number != removed]
    path.write_bytes(body + b"\n\n" + b"".join(kept))
    done = check_cosigned(zegelcheck, cosigned)
    assert (done.returncode, done.stderr[:8]) == (1, "refused:")


def test_go_refuses_the_cosignature_of_another_tree(zegelcheck: Path, cosigned: Path, log: MadeLog) -> None:
    path = cosigned / "checkpoint"
    lines = path.read_bytes().rpartition(b"\n\n")[2].splitlines(keepends=True)
    text = Checkpoint(KEY.name, SIZE - 89, log.roots[SIZE - 89]).format()
    path.write_bytes(text + b"\n" + KEY.sign(text) + b"".join(lines[1:]))
    assert check_cosigned(zegelcheck, cosigned).returncode == 1


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
