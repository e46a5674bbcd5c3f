"""A whole log is believed from its files alone; one altered or rewritten is not, and the difference is told."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from support.merkle_log import KEY, MadeLog, make_fields, make_trail
from zegel.cli import audit as audit_cli
from zegel.evidence.log_sources import FolderSource, WebSource, source_of
from zegel.evidence.mirror import Follower, InvalidTrail, LogRewritten, MissingFile, verify_log
from zegel.evidence.note_signing import SignerKey
from zegel.evidence.transparency import ED25519, InvalidTile, TransparencyError, UnsignedNote
from zegel_server.audit.leaf import compose

KEYS = [KEY.verifier]


class DictSource:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def get(self, path: str) -> bytes | None:
        return self.files.get(path)


def entries_of(count: int, start: int = 0) -> list[bytes]:
    """Events of accounts, and a trail among them."""
    trail = make_trail(20)
    accounts = [
        compose(make_fields(1, None)).replace(b'"seq":1', b'"seq":null').replace(b'"trail":"aud_1"', b'"trail":null')
    ]
    return [
        trail[index // 7]
        if index % 7 == 0 and index // 7 < 20
        else accounts[0].replace(b"evt_aud_1_1", b"evt_%d" % index)
        for index in range(start, start + count)
    ]


def made(count: int) -> MadeLog:
    log = MadeLog()
    log.add(*entries_of(count))
    return log


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700, 65_536 + 256 + 3])
def test_a_whole_log_is_believed(size: int) -> None:
    log = made(size)
    seen: list[int] = []
    head = verify_log(DictSource(log.files()), KEYS, progress=seen.append)
    assert (head.size, head.root) == (size, log.roots[size])
    assert seen[-1] == size


def test_every_altered_or_missing_file_is_refused() -> None:
    log = made(700)
    files = log.files()
    for name, data in files.items():
        for altered in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"\0", b""):
            with pytest.raises(TransparencyError):
                verify_log(DictSource({**files, name: altered}), KEYS)
        with pytest.raises(MissingFile):
            verify_log(DictSource({key: value for key, value in files.items() if key != name}), KEYS)


@given(st.data())
def test_no_altered_byte_is_believed(data: st.DataObject) -> None:
    files = _files_of_300()
    name = data.draw(st.sampled_from(sorted(files)))
    place = data.draw(st.integers(0, len(files[name]) - 1))
    altered = bytearray(files[name])
    altered[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TransparencyError):
        verify_log(DictSource({**files, name: bytes(altered)}), KEYS)


@functools.cache
def _files_of_300() -> dict[str, bytes]:
    return made(300).files()


def test_a_log_of_another_key_is_refused() -> None:
    other = SignerKey(KEY.name, ED25519, bytes(32))
    with pytest.raises(UnsignedNote):
        verify_log(DictSource(made(3).files()), [other.verifier])


def test_a_trail_with_a_gap_is_found() -> None:
    first, second, third, *_ = make_trail(4)
    for entries in ([first, third], [second], [first, second, second], [first, b"{}"], [first, b"no JSON"]):
        log = MadeLog()
        log.add(*entries)
        with pytest.raises(InvalidTrail):
            verify_log(DictSource(log.files()), KEYS)
        verify_log(DictSource(log.files()), KEYS, trails=False)


def test_a_full_tile_stands_for_the_partial_one_that_it_replaced() -> None:
    """A checkpoint may be older than the folder: the partial tiles that it names may be gone by then."""
    early, late = made(300), made(700)
    above = {name: data for name, data in early.files().items() if name.startswith("tile/1/")}
    files = {**late.files(), **above, "checkpoint": early.checkpoint()}
    assert verify_log(DictSource(files), KEYS).size == 300


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_following_by_steps_comes_to_the_same(steps: list[int]) -> None:
    log, follower = MadeLog(), Follower(KEYS)
    for step in steps:
        log.add(*entries_of(step, log.size))
        follower = Follower.load(follower.save(), KEYS) if follower.checkpoint else follower
        head = follower.follow(DictSource(log.files()))
        assert (head.size, head.root, follower.root()) == (log.size, log.roots[log.size], log.roots[log.size])
        follower.follow(DictSource(log.files()))


def followed(size: int) -> Follower:
    follower = Follower(KEYS)
    follower.follow(DictSource(made(size).files()))
    return follower


def forked(size: int, at: int) -> MadeLog:
    """Another log of the same key, which is the same up to an entry."""
    log = MadeLog()
    entries = entries_of(size)
    entries[at] = compose(make_fields(1, None, trail="aud_other"))
    log.add(*entries)
    return log


@pytest.mark.parametrize(("known", "shown", "at"), [(300, 300, 7), (300, 300, 299), (300, 900, 5), (300, 301, 299)])
def test_a_fork_is_told_with_its_proof(known: int, shown: int, at: int) -> None:
    follower, fork = followed(known), forked(shown, at)
    with pytest.raises(LogRewritten) as told:
        follower.follow(DictSource(fork.files()))
    assert told.value.known == made(known).checkpoint()
    assert told.value.shown == fork.checkpoint()


def test_a_log_that_became_shorter_is_told() -> None:
    with pytest.raises(LogRewritten, match="300 entries and now shows a signed checkpoint of 299"):
        followed(300).follow(DictSource(made(299).files()))


def test_a_damaged_file_is_not_called_a_rewrite() -> None:
    files = made(900).files()
    files["tile/entries/001"] = files["tile/entries/000"]
    with pytest.raises(InvalidTile):
        followed(300).follow(DictSource(files))


def test_a_damaged_state_is_refused() -> None:
    saved = followed(300).save()
    state = json.loads(saved)
    changes: list[dict[str, object]] = [
        {"rows": []},
        {"rows": ["AAAA"]},
        {"rows": [state["rows"][1], state["rows"][0]]},
        {"checkpoint": made(299).checkpoint().decode()},
        {"format": "another"},
    ]
    for change in changes:
        with pytest.raises(TransparencyError):
            Follower.load(json.dumps({**state, **change}).encode(), KEYS)
    for damaged in (b"", b"[]", saved[:-3], b"{}"):
        with pytest.raises(TransparencyError):
            Follower.load(damaged, KEYS)


# ------------------------------------------------------------------------------------------------------------ command


def write(folder: Path, log: MadeLog) -> None:
    for name, data in log.files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A folder behind any web server: here Python's own."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_log_is_verified_and_followed_over_http(served: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = served
    write(folder, made(300))
    run = functools.partial(CliRunner().invoke, audit_app())
    key, state = ("--log-key", str(KEY.verifier)), ("--state", str(tmp_path / "state"))
    done = run(["verify", url, *key])
    assert done.exit_code == 0, done.output
    assert "300 events" in done.output
    assert json.loads(run(["verify", url, *key, "--json"]).stdout)["size"] == 300
    assert "300 of them new" in run(["monitor", url, *key, *state]).output
    write(folder, made(700))
    assert "400 of them new" in run(["monitor", url, *key, *state]).output
    remembered = (tmp_path / "state").read_bytes()
    write(folder, forked(900, 3))
    done = run(["monitor", url, *key, *state])
    assert done.exit_code == audit_cli.REWRITTEN
    assert (tmp_path / "state").read_bytes() == remembered
    assert (tmp_path / "state.evidence").read_bytes() == made(700).checkpoint() + b"\n" + forked(900, 3).checkpoint()


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    run = functools.partial(CliRunner().invoke, audit_app())
    write(tmp_path, made(300))
    (tmp_path / "vkey").write_text(f"{KEY.verifier}\n")
    assert run(["verify", str(tmp_path), "--log-key", str(tmp_path / "vkey")]).exit_code == 0
    (tmp_path / "tile/0/000").unlink()
    done = run(["verify", str(tmp_path), "--log-key", str(tmp_path / "vkey")])
    assert (done.exit_code, "tile/0/000 is missing" in done.output) == (audit_cli.FAILED, True)
    assert run(["verify", str(tmp_path), "--log-key", "no key"]).exit_code == audit_cli.FAILED
    assert run(["monitor", str(tmp_path / "none"), "--log-key", str(KEY.verifier), "--state", "x"]).exit_code == 1


def audit_app() -> typer.Typer:
    app = typer.Typer()
    audit_cli.register(app)
    return app


def test_a_source_is_told_by_its_form(tmp_path: Path) -> None:
    assert isinstance(source_of("https://log.example.com/"), WebSource)
    assert isinstance(source_of(str(tmp_path)), FolderSource)
    with pytest.raises(ValueError, match="http"):
        WebSource("file:///etc")
