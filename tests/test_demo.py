"""``make demo``, as a process: the whole way of a document against the real server, and what is left where it fails."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pikepdf
import pytest

import demo_server
from demo_contract import write_contract
from demo_partner import boxes
from zegel.document.v1.document_service_pb2 import Page

ROOT = Path(__file__).resolve().parents[1]
ZEGEL = Path(sys.executable).parent / "zegel"
Done = tuple[Path, Path, "subprocess.CompletedProcess[str]"]


def environment(scratch: Path) -> dict[str, str]:
    """Makes every process of a demo, and every file it forgets, recognisable by its folder."""
    scratch.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(scratch), "ZEGEL_LISTEN": "203.0.113.1:1"}  # which is not for the demo's server


def start(scratch: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/demo.py"), *arguments],
        env=environment(scratch),
        cwd=scratch,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(scratch: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    with start(scratch, *arguments) as process:
        try:
            out, err = process.communicate(timeout=150)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def running(scratch: Path) -> list[str]:
    """Command lines of the processes that work in a folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(scratch) in line:
            found.append(line)
    return found


def left_over(scratch: Path) -> list[str]:
    return [each.name for each in scratch.iterdir() if each.name.startswith("zegel-demo-")]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """One run with a contract of its own: the folders of what it writes and of its scratch, and how it ended."""
    folder = tmp_path_factory.mktemp("demo")
    out, scratch = folder / "out", folder / "scratch"
    return out, scratch, run(scratch, "--pdf", "", "--out", str(out))


def test_the_last_line_tells_what_came_of_it(
    done: Done,
) -> None:
    out, _, process = done
    assert process.returncode == 0, process.stdout + process.stderr
    lines = process.stdout.splitlines()
    told = json.loads(lines[-1])
    assert sorted(told) == ["audit_id", "seconds", "signed_pdf", "verified"]
    assert told["audit_id"].startswith("aud_")
    assert told["verified"] is True
    assert told["signed_pdf"] == str(out / "signed.pdf")
    assert 0 < told["seconds"] < 150
    assert any("RECIPIENT_OUT_OF_TURN" in line for line in lines)
    assert lines.index(next(line for line in lines if "The server is stopped" in line)) < lines.index(
        "VALID  signed.pdf"
    )


def test_it_leaves_its_four_files_and_nothing_else(
    done: Done,
) -> None:
    out, scratch, _ = done
    assert sorted(each.name for each in out.iterdir()) == [
        "authority.pem",
        "log.vkey",
        "signed.pdf",
        "signed.tlog-proof",
    ]
    assert left_over(scratch) == []
    assert running(scratch) == []


def verify(folder: Path, name: str = "signed.pdf") -> int:
    command = [str(ZEGEL), "verify", name, "--log-key", "log.vkey", "--trust", "authority.pem", "--json"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def test_what_came_out_is_valid_and_what_is_altered_is_not(done: Done, tmp_path: Path) -> None:
    out, _, _ = done
    for name in ("signed.pdf", "log.vkey", "authority.pem", "signed.tlog-proof"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    assert verify(tmp_path) == 0
    whole = (tmp_path / "signed.pdf").read_bytes()
    for at in (20, len(whole) // 2, len(whole) - 10):
        (tmp_path / "signed.pdf").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert verify(tmp_path) == 1
    (tmp_path / "signed.pdf").write_bytes(whole + b"\n")
    assert verify(tmp_path) == 1


def turned(path: Path) -> Path:
    """A contract whose last page is landscape, turned and cropped."""
    write_contract(path)
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        page = pdf.pages[-1]
        page.obj.Rotate = 270
        page.obj.CropBox = pikepdf.Array([100, 50, 500, 800])
        pdf.save(path)
    return path


@pytest.mark.slow
def test_a_page_of_another_shape_is_signed(tmp_path: Path) -> None:
    pdf = turned(tmp_path / "turned.pdf")
    process = run(tmp_path / "scratch", "--pdf", str(pdf), "--out", str(tmp_path / "out"))
    assert process.returncode == 0, process.stdout + process.stderr
    assert json.loads(process.stdout.splitlines()[-1])["verified"] is True


def test_a_file_that_is_no_pdf_is_refused_with_its_reason(tmp_path: Path) -> None:
    pdf, out, scratch = tmp_path / "no.pdf", tmp_path / "out", tmp_path / "scratch"
    pdf.write_bytes(b"I am no PDF. " * 1_000)
    out.mkdir()
    (out / "signed.pdf").write_bytes(b"of another run")
    process = run(scratch, "--pdf", str(pdf), "--out", str(out))
    assert process.returncode == 1
    assert "DOCUMENT_UNREADABLE" in process.stderr.splitlines()[-1]
    assert list(out.iterdir()) == []
    assert left_over(scratch) == []
    assert running(scratch) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted_and_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    with start(scratch, "--out", str(tmp_path / "out")) as process:
        assert process.stdout
        assert "The server is ready" in process.stdout.readline()
        assert running(scratch)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert running(scratch) == []
    assert left_over(scratch) == []


def test_a_server_that_does_not_start_is_told_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "zegel-server"
    program.write_text("#!/bin/sh\necho 'the port is taken' >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(demo_server, "START_S", 3600.0)  # it does not wait for a server that has ended
    with (
        pytest.raises(demo_server.ServerError, match=r"exit status 3[\s\S]*the port is taken"),
        demo_server.DemoServer(),
    ):
        pass


def test_a_server_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "zegel-server"
    program.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 600 & wait; sleep 600 # {tmp_path}\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(demo_server, "START_S", 0.5)
    monkeypatch.setattr(demo_server, "STOP_S", 0.5)
    with pytest.raises(demo_server.ServerError, match="not ready"), demo_server.DemoServer():
        pass
    assert running(tmp_path) == []


@pytest.mark.parametrize(("width", "height"), [(595, 842), (842, 595), (10, 14_400), (3, 3)])
def test_the_fields_are_on_the_page_and_apart(width: float, height: float) -> None:
    fields = [field for signer in range(2) for field in boxes(Page(width=width, height=height), signer)]
    for field in fields:
        assert field.x >= 0
        assert field.y >= height / 2
        assert field.x + field.width <= width
        assert field.y + field.height <= height
    for number, one in enumerate(fields):
        for other in fields[number + 1 :]:
            apart = one.x + one.width <= other.x or one.y + one.height <= other.y
            assert apart or other.x + other.width <= one.x or other.y + other.height <= one.y
