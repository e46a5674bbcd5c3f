"""A witness cosigns what continues a log, and nothing that rewrites it: whoever asks, and whenever it is killed."""

import json
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.merkle_log import KEY, ORIGIN, MadeLog
from zegel.evidence.note_signing import SignerKey, sign_note
from zegel.evidence.transparency import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    ED25519,
    Checkpoint,
    InvalidKey,
    VerifierKey,
    open_checkpoint,
)
from zegel.evidence.witness import STATE_FILE, Answer, Memory, Witness, WitnessError, create_witness
from zegel.evidence.witness_messages import SIZE_TYPE, AddCheckpoint

BOTH = (COSIGNATURE_ED25519, COSIGNATURE_MLDSA44)
NOW = 1_700_000_000
LOGS = {ORIGIN: [KEY.verifier]}


class Asked:
    """A witness in a folder, and one who asks it."""

    def __init__(self, folder: Path, algorithms: tuple[int, ...] = BOTH) -> None:
        self.folder = folder
        self.told: list[str] = []
        self.keys: list[VerifierKey] = create_witness(folder, "w.example/1", algorithms)
        self.open()

    def open(self) -> None:
        self.memory = Memory(self.folder)
        self.witness = Witness(self.memory, LOGS, told=self.told.append, clock=lambda: NOW)

    def again(self) -> None:
        self.memory.close()
        self.open()

    def ask(self, log: MadeLog, old: int, size: int, **changes: object) -> Answer:
        proof = tuple(log.consistency(old, size)) if 0 < old < size else ()
        about = {"old": old, "proof": proof, "checkpoint": log.checkpoint(size), **changes}
        return self.witness.add_checkpoint(AddCheckpoint(**about).format())  # type: ignore[arg-type]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path / "witness")


def grown(*sizes: int, salt: bytes = b"") -> MadeLog:
    log = MadeLog()
    for size in sizes:
        log.add(*(salt + b"entry %d" % index for index in range(log.size, size)))
    return log


def test_it_cosigns_what_continues_the_log(asked: Asked) -> None:
    log = grown(1, 3, 300)
    for old, size in ((0, 1), (1, 3), (3, 3), (3, 300)):
        answer = asked.ask(log, old, size)
        assert answer.status == 200, answer
        cosigned = log.checkpoint(size) + answer.body
        assert open_checkpoint(cosigned, [KEY.verifier], asked.keys[:1], 1).size == size
        assert open_checkpoint(cosigned, [KEY.verifier], asked.keys[1:], 1).size == size
        asked.again()


def test_it_tells_which_size_it_knows(asked: Asked) -> None:
    log = grown(3, 5, 9)
    assert asked.ask(log, 3, 5) == Answer(409, b"0\n", SIZE_TYPE)
    assert asked.ask(log, 0, 5).status == 200
    assert asked.ask(log, 3, 9) == Answer(409, b"5\n", SIZE_TYPE)
    assert asked.ask(log, 0, 9) == Answer(409, b"5\n", SIZE_TYPE)
    assert asked.ask(log, 3, 3) == Answer(409, b"5\n", SIZE_TYPE)
    assert asked.ask(log, 5, 3, proof=()).status == 400


def test_it_refuses_what_does_not_continue_the_log(asked: Asked) -> None:
    log, fork = grown(5, 9), grown(5, 9, salt=b"other ")
    assert asked.ask(log, 0, 5).status == 200
    before = (asked.folder / STATE_FILE).read_bytes()
    for changes in (
        {"proof": ()},
        {"proof": tuple(log.consistency(5, 9))[:-1]},
        {"proof": (*log.consistency(5, 9), bytes(32))},
        {"checkpoint": fork.checkpoint(9)},
        {"checkpoint": fork.checkpoint(9), "proof": tuple(fork.consistency(5, 9))},
    ):
        assert asked.ask(log, 5, 9, **changes).status == 422
    assert asked.ask(log, 5, 5, proof=(bytes(32),)).status == 422
    assert (asked.folder / STATE_FILE).read_bytes() == before
    assert asked.ask(log, 5, 9).status == 200


def test_a_proof_from_nothing_is_empty(asked: Asked) -> None:
    assert asked.ask(grown(5), 0, 5, proof=(bytes(32),)).status == 422


def test_two_trees_of_one_size_are_told_and_kept(asked: Asked) -> None:
    log, fork = grown(5), grown(5, salt=b"other ")
    assert asked.ask(log, 0, 5).status == 200
    answer = asked.ask(fork, 5, 5)
    assert answer.status == 409
    assert answer.content_type != SIZE_TYPE  # the size is right; it is the tree that is not
    assert "two different trees of 5" in asked.told[0]
    [kept] = asked.folder.glob("fork-*")
    assert kept.read_bytes() == log.checkpoint() + b"\n" + fork.checkpoint()


def test_it_answers_for_its_logs_alone(asked: Asked) -> None:
    log = grown(5)
    other = SignerKey("other.example/log", ED25519, b"o" * 32)
    text = Checkpoint(other.name, 5, log.roots[5]).format()
    assert asked.ask(log, 0, 5, checkpoint=sign_note(text, other.sign(text))).status == 404
    forged = SignerKey(KEY.name, ED25519, b"f" * 32)
    assert asked.ask(log, 0, 5, checkpoint=log.checkpoint(key=forged)).status == 403
    text = Checkpoint(ORIGIN, 5, log.roots[5]).format()
    # The right key's line, over another text.
    assert asked.ask(log, 0, 5, checkpoint=sign_note(text, KEY.sign(b"other\n"))).status == 403
    assert asked.witness.add_checkpoint(b"garbage").status == 400
    assert json.loads((asked.folder / STATE_FILE).read_bytes())["logs"] == {}


def test_lines_of_strangers_are_not_remembered(asked: Asked) -> None:
    log = grown(5)
    stranger = SignerKey("stranger.example", COSIGNATURE_ED25519, b"s" * 32)
    note = log.checkpoint() + stranger.sign(Checkpoint(ORIGIN, 5, log.roots[5]).format(), NOW)
    assert asked.ask(log, 0, 5, checkpoint=note).status == 200
    assert asked.memory.known[ORIGIN] == log.checkpoint()


def test_extension_lines_are_cosigned_only_by_what_covers_them(asked: Asked, tmp_path: Path) -> None:
    log = grown(5)
    text = Checkpoint(ORIGIN, 5, log.roots[5], ("extension",)).format()
    note = sign_note(text, KEY.sign(text))
    answer = asked.ask(log, 0, 5, checkpoint=note)
    assert answer.status == 200
    assert answer.body.count(b"\n") == 1
    quantum = Asked(tmp_path / "other", (COSIGNATURE_MLDSA44,))
    assert quantum.ask(log, 0, 5, checkpoint=note).status == 400


def test_the_empty_tree_is_cosigned_as_any_other(asked: Asked) -> None:
    log = MadeLog()
    log.add()
    log.roots[0] = log.edge.root()
    assert asked.ask(log, 0, 0).status == 200
    log.add(b"a")
    assert asked.ask(log, 0, 1).status == 200
    assert asked.ask(log, 0, 0) == Answer(409, b"1\n", SIZE_TYPE)


def test_what_cannot_be_remembered_is_not_cosigned(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    log = grown(5, 9)
    assert asked.ask(log, 0, 5).status == 200

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        asked.ask(log, 5, 9)
    monkeypatch.undo()
    assert sorted(each.name for each in asked.folder.iterdir()) == ["lock", "state.json", "witness.key"]
    assert asked.ask(log, 5, 9).status == 200


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    asks=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0, 1, 4, 7, 8]), st.sampled_from([1, 4, 7, 8])), max_size=12
    ),
    restarts=st.sets(st.integers(0, 11)),
)
def test_in_any_order_it_cosigns_one_growing_log(
    tmp_path: Path, asks: list[tuple[int, int, int]], restarts: set[int]
) -> None:
    """Two logs of one key that part after three entries, asked for in any order, with restarts between."""
    shutil.rmtree(tmp_path / "any", ignore_errors=True)
    asked = Asked(tmp_path / "any", (COSIGNATURE_ED25519,))
    logs = [MadeLog(), MadeLog()]
    for number, log in enumerate(logs):
        for size in (1, 4, 7, 8):
            log.add(*(b"%d" % (index if index < 3 else index + 100 * number) for index in range(log.size, size)))
    cosigned: list[tuple[int, bytes]] = []
    for turn, (which, old, size) in enumerate(asks):
        if turn in restarts:
            asked.again()
        proof = tuple(logs[which].consistency(old, size)) if 0 < old < size else ()
        if asked.ask(logs[which], old, size, proof=proof).status == 200:
            cosigned.append((size, logs[which].roots[size]))
    asked.memory.close()
    assert cosigned == sorted(cosigned, key=lambda each: each[0])
    assert len({size for size, _ in cosigned}) == len(set(cosigned))
    beyond = {which for which in (0, 1) for size, root in cosigned if size > 3 and root == logs[which].roots[size]}
    assert len(beyond) <= 1


def test_of_many_that_ask_at_once_one_goes_first(asked: Asked) -> None:
    sizes = list(range(1, 40))
    log = grown(*sizes)
    answers: list[tuple[int, Answer]] = []
    gate = threading.Barrier(8)

    def work(number: int) -> None:
        gate.wait()
        for size in sizes[number::8]:
            answer = asked.ask(log, 0, size)
            while answer.status == 409 and int(answer.body) <= size:
                answer = asked.ask(log, int(answer.body), size)
            answers.append((size, answer))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(answers) == len(sizes)
    assert any(answer.status == 200 for _, answer in answers)
    assert asked.ask(log, 39, 39).status == 200


# ------------------------------------------------------------------------------------------------------------- folder


def test_a_folder_is_one_process_s(asked: Asked) -> None:
    with pytest.raises(WitnessError, match="another process"):
        Memory(asked.folder)
    asked.memory.close()
    Memory(asked.folder).close()


def test_a_witness_is_made_once(asked: Asked) -> None:
    before = (asked.folder / "witness.key").read_bytes()
    with pytest.raises(WitnessError, match="already"):
        create_witness(asked.folder, "w.example/1", BOTH)
    assert (asked.folder / "witness.key").read_bytes() == before
    assert stat.S_IMODE((asked.folder / "witness.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(asked.folder.stat().st_mode) == 0o700


def test_a_witness_that_lost_its_memory_does_not_start(asked: Asked) -> None:
    asked.memory.close()
    state = asked.folder / STATE_FILE
    whole = state.read_bytes()
    damaged = [
        b"",
        b"[]",
        b"{}",
        whole[:-9],
        whole.replace(b"state-v1", b"state-v2"),
        whole.replace(b"w.example", b"x.example"),
    ]
    for each in damaged:
        state.write_bytes(each)
        with pytest.raises(WitnessError):
            Memory(asked.folder)
    state.unlink()
    with pytest.raises(WitnessError, match="is missing"):
        Memory(asked.folder)
    state.write_bytes(whole)
    (asked.folder / "witness.key").chmod(0o644)
    with pytest.raises(WitnessError, match="read by others"):
        Memory(asked.folder)
    (asked.folder / "witness.key").unlink()
    with pytest.raises(WitnessError, match="--init"):
        Memory(asked.folder)


def test_a_memory_that_the_log_did_not_sign_is_refused(asked: Asked) -> None:
    assert asked.ask(grown(5), 0, 5).status == 200
    other = SignerKey(KEY.name, ED25519, b"o" * 32)
    with pytest.raises(WitnessError, match="no known key"):
        Witness(asked.memory, {ORIGIN: [other.verifier]})
    asked.memory.close()
    state = asked.folder / STATE_FILE
    state.write_bytes(state.read_bytes().replace(b"\\n5\\n", b"\\n4\\n"))
    with Memory(asked.folder) as memory, pytest.raises(WitnessError):
        Witness(memory, LOGS)


def test_a_key_is_a_log_s_or_a_witness_s(asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(InvalidKey):
        create_witness(tmp_path / "new", "w.example/1", (ED25519,))
    [first, _] = asked.memory.signers
    same = SignerKey("other.example/log", ED25519, first.seed)
    with pytest.raises(WitnessError, match="one kind of signature"):
        Witness(asked.memory, {same.name: [same.verifier]})
