"""One request's evidence, taken from a sealed file or from the log's own files, holds by itself in a folder."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from support.merkle_log import KEY, MadeLog, make_fields, make_trail, naive_inclusion
from support.sealed import Sealed, log_key, make_sealed
from zegel.cli.commands import app
from zegel.evidence.exporting import NoSuchTrail, check_export, export_from_log, inclusion_proof
from zegel.evidence.log_sources import FolderSource
from zegel.evidence.openings import Openings
from zegel.evidence.trail import SEALED_EVENT_TYPE
from zegel.evidence.transparency import TransparencyError, leaf_hash
from zegel_server.audit.leaf import compose

KEYS = [KEY.verifier]


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(each) for each in arguments], env={"ZEGEL_SERVER": "", "ZEGEL_TOKEN": ""})
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two requests whose events alternate; the first was sealed."""
    mine, other = make_trail(150), make_trail(200, trail="aud_other")
    mine.append(compose(make_fields(151, leaf_hash(mine[-1]).hex(), kind=SEALED_EVENT_TYPE)))
    log = MadeLog()
    log.add(*(each for pair in zip(mine, other, strict=False) for each in pair), *other[151:])
    folder = tmp_path_factory.mktemp("log")
    for name, data in log.files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@given(st.integers(1, 70), st.data())
def test_a_proof_is_the_standard_s(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = [leaf_hash(b"%d" % number) for number in range(size)]
    assert list(inclusion_proof(index, hashes)) == naive_inclusion(index, hashes)


def test_a_request_is_found_in_the_log_s_files(served: Path, tmp_path: Path) -> None:
    export_from_log(FolderSource(served), KEYS, "aud_1").write(tmp_path)
    report = check_export(tmp_path, KEYS).trail
    assert (report.trail, len(report.leaves), report.index) == ("aud_1", 151, 300)
    assert (tmp_path / "checkpoint").read_bytes() == (served / "checkpoint").read_bytes()
    with pytest.raises(NoSuchTrail):
        export_from_log(FolderSource(served), KEYS, "aud_none")


def test_the_command_takes_it_from_the_log(served: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said = run("audit", "export", "aud_other", "--log", served, "--log-key", KEY.verifier, "--out", out)
    assert status == 0, said
    assert sorted(each.name for each in out.iterdir()) == ["audit.jsonl", "checkpoint", "completed.tlog-proof"]
    status, said = run("audit", "verify", out, "--log-key", KEY.verifier)
    assert (status, "200 events" in said) == (0, True), said
    assert run("audit", "verify", out, "--log-key", log_key().verifier)[0] == 1


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sealed, Path]:
    folder = tmp_path_factory.mktemp("sealed")
    made = make_sealed(folder)
    (folder / "signed.pdf").write_bytes(made.pdf)
    (folder / "signed.tlog-proof").write_bytes(made.detached)
    return made, folder / "signed.pdf"


def test_the_command_takes_it_from_a_sealed_file(sealed: tuple[Sealed, Path], tmp_path: Path) -> None:
    made, file = sealed
    status, said = run("audit", "export", file, "--out", tmp_path / "out")
    assert status == 0, said
    names = ["audit.jsonl", "checkpoint", "completed.tlog-proof", "openings.json", "signed.tlog-proof"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == names
    assert (tmp_path / "out/signed.tlog-proof").read_bytes() == made.detached
    status, said = run("audit", "verify", tmp_path / "out", "--log-key", made.vkey, "--json")
    assert (status, '"trail": "trail-0001"' in said) == (0, True), said


@pytest.mark.parametrize(
    "name", ["audit.jsonl", "checkpoint", "completed.tlog-proof", "openings.json", "signed.tlog-proof"]
)
def test_an_altered_export_is_refused(sealed: tuple[Sealed, Path], tmp_path: Path, name: str) -> None:
    made, file = sealed
    out = tmp_path / "out"
    assert run("audit", "export", file, "--out", out)[0] == 0
    whole = (out / name).read_bytes()
    for altered in (whole[:-1], whole[:50] + bytes([whole[50] ^ 1]) + whole[51:], b""):
        (out / name).write_bytes(altered)
        assert run("audit", "verify", out, "--log-key", made.vkey)[0] == 1
    (out / name).write_bytes(whole)
    assert run("audit", "verify", out, "--log-key", made.vkey)[0] == 0


def test_openings_of_something_else_are_refused(sealed: tuple[Sealed, Path], tmp_path: Path) -> None:
    made, file = sealed
    out = tmp_path / "out"
    assert run("audit", "export", file, "--out", out)[0] == 0
    whole = Openings.parse((out / "openings.json").read_bytes())
    assert whole.sealed is not None
    first, *rest = whole.documents
    other = replace(first, document=replace(first.document, size=first.document.size + 1))
    for altered in (
        replace(whole, documents=(other, *rest)),
        replace(whole, boxes=whole.boxes[1:]),
        replace(whole, sealed=replace(whole.sealed, document="document-9")),
        replace(whole, sealed=None),
    ):
        (out / "openings.json").write_bytes(altered.format())
        assert run("audit", "verify", out, "--log-key", made.vkey)[0] == 1
    (out / "openings.json").unlink()
    status, said = run("audit", "verify", out, "--log-key", made.vkey)
    assert (status, "openings.json is not there" in said) == (0, True), said


def test_another_request_s_proof_of_sealing_is_refused(
    served: Path, sealed: tuple[Sealed, Path], tmp_path: Path
) -> None:
    export_from_log(FolderSource(served), KEYS, "aud_1").write(tmp_path)
    (tmp_path / "signed.tlog-proof").write_bytes(sealed[0].detached)
    with pytest.raises(TransparencyError):
        check_export(tmp_path, [*KEYS, log_key().verifier])


def test_the_command_says_what_it_needs(served: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert run("audit", "export", "aud_1", *out)[0] == 2
    assert run("audit", "export", "aud_1", "--log", served, *out)[0] == 2
    status, said = run("audit", "export", "aud_none", "--log", served, "--log-key", KEY.verifier, *out)
    assert (status, "no event with this audit ID" in said) == (1, True)
    (tmp_path / "no.pdf").write_bytes(b"no PDF")
    status, said = run("audit", "export", tmp_path / "no.pdf", *out)
    assert (status, "is not a sealed file" in said) == (1, True)
    assert not (tmp_path / "out").exists()
