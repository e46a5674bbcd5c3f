import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from support.sealed import Sealed, log_key, make_sealed
from zegel.cli.verify_report import print_report, verify_command
from zegel.evidence.verification import Report, verify_pdf
from zegel_server.credentials.development_authority import DevelopmentAuthority


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return make_sealed(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def files(sealed: Sealed, tmp_path: Path) -> Path:
    (tmp_path / "signed.pdf").write_bytes(sealed.pdf)
    (tmp_path / "signed.tlog-proof").write_bytes(sealed.detached)
    (tmp_path / "log.vkey").write_text(sealed.vkey + "\n")
    (tmp_path / "authority.pem").write_bytes(sealed.root_pem)
    return tmp_path


def run(files: Path, **options: object) -> int:
    return verify_command(files / "signed.pdf", [files / "log.vkey"], [files / "authority.pem"], **options)  # type: ignore[arg-type]


def text_of(report: Report, width: int = 100) -> str:
    output = io.StringIO()
    print_report(report, "signed.pdf", Console(file=output, width=width, highlight=False))
    return output.getvalue()


def test_a_valid_file_is_told_in_full(files: Path, sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files) == 0
    said = capsys.readouterr().out
    assert said.startswith("VALID  signed.pdf")
    for part in (
        "trail-0001",
        "log.example.org/zegel",
        "Zegel Development seal",
        "signature request sent",
        "Proof beside it",
    ):
        assert part in said
    assert "FAILED" not in said


def test_a_file_that_is_not_valid_proves_nothing(
    files: Path, sealed: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "signed.pdf").write_bytes(sealed.pdf + b"\n")
    assert run(files) == 1
    said = capsys.readouterr().out
    assert said.startswith("NOT VALID  signed.pdf")
    assert "FAILED" in said
    assert "Do not rely on this file" in said
    assert "trail-0001" not in said


def test_programs_get_one_json_object(files: Path, sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["valid"] is True
    assert told["file"].endswith("signed.pdf")
    assert told["audit_id"] == "trail-0001"
    assert [c["name"] for c in told["checks"]][-1] == "detached_proof"
    assert told["sealed_at"].endswith("Z")
    assert [e["sequence"] for e in told["events"]] == [1, 2, 3]
    assert len(told["documents"][0]["sha256"]) == 64


def test_the_proof_beside_the_file_is_used_unless_told_otherwise(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "signed.tlog-proof").write_bytes(b"damaged")
    assert run(files) == 1
    assert "Proof beside it" in capsys.readouterr().out
    assert run(files, use_proof=False) == 0
    assert "Proof beside it" not in capsys.readouterr().out


def test_another_proof_can_be_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "signed.tlog-proof").rename(files / "elsewhere")
    assert run(files, proof=files / "elsewhere", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["checks"][-1]["name"] == "detached_proof"


@pytest.mark.parametrize("name", ["signed.pdf", "log.vkey", "authority.pem"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_that_is_missing_is_named(
    files: Path, name: str, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / name).unlink()
    assert run(files, as_json=as_json) == 1
    said = capsys.readouterr()
    if as_json:
        told = json.loads(said.out)
        assert told["valid"] is False
        assert name in told["error"]
    else:
        assert name in said.err
        assert said.out == ""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.vkey", b"junk\n", "log key cannot be used"),
        ("log.vkey", b"", "no log key"),
        ("log.vkey", b"\xff\xfe", "log key cannot be used"),
        ("authority.pem", b"junk", "trusted root"),
        ("authority.pem", b"", "trusted root"),
        ("signed.pdf", b"", None),
        ("signed.pdf", b"junk", None),
    ],
)
def test_unusable_content_is_refused(
    files: Path, name: str, content: bytes, said: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / name).write_bytes(content)
    assert run(files, use_proof=False) == 1
    captured = capsys.readouterr()
    assert (said in captured.err) if said else captured.out.startswith("NOT VALID")


def test_a_folder_is_not_a_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_command(files, [files / "log.vkey"], [files / "authority.pem"]) == 1
    assert "directory" in capsys.readouterr().err


def test_several_keys_in_one_file(files: Path, sealed: Sealed) -> None:
    (files / "log.vkey").write_text(f"{log_key('other.example.org', 9).verifier}\n\n{sealed.vkey}\n")
    assert run(files) == 0


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_report_fits_its_width_and_holds_no_escapes(sealed: Sealed, width: int) -> None:
    said = text_of(verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], sealed.detached), width)
    assert max(map(len, said.splitlines())) <= width
    assert "\x1b" not in said


def test_names_in_the_file_are_not_read_as_markup(sealed: Sealed) -> None:
    report = verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem])
    output = io.StringIO()
    print_report(report, "[red]signed[/red].pdf", Console(file=output, width=100))
    assert "[red]signed[/red].pdf" in output.getvalue()


# --------------------------------------------------------------------------------------------- whom to trust for what


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def failed(answer: dict[str, Any]) -> set[str]:
    return {each["name"] for each in answer["checks"] if not each["ok"]}


def test_roots_are_trusted_for_seals_and_for_time_apart(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "other.pem").write_bytes(DevelopmentAuthority.open(tmp_path / "other").root_pem)
    assert run(files, timestamp_trust=[files / "authority.pem"], as_json=True) == 0
    capsys.readouterr()
    assert run(files, timestamp_trust=[files / "other.pem"], as_json=True) == 1
    assert failed(told(capsys)) & {"document_timestamp", "seal"}
    clocks = [files / "authority.pem"]
    seal = [files / "other.pem"]
    assert verify_command(files / "signed.pdf", [files / "log.vkey"], seal, timestamp_trust=clocks, as_json=True) == 1
    assert "seal" in failed(told(capsys))


def test_where_no_root_is_named_for_time_the_report_says_whose_holds(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(files, as_json=True)
    same = told(capsys)["warnings"]
    run(files, timestamp_trust=[files / "authority.pem"], as_json=True)
    (said,) = set(same) - set(told(capsys)["warnings"])
    assert "timestamps" in said


def test_a_seal_is_pinned_by_its_fingerprint_in_any_spelling(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(files, as_json=True)
    pin = told(capsys)["seal_certificate"]
    colons = ":".join(pin[i : i + 2] for i in range(0, 64, 2)).upper()
    for pins in ([pin], [colons], ["0" * 64, pin]):
        assert run(files, seal_pins=pins) == 0
    capsys.readouterr()
    assert run(files, seal_pins=["0" * 64], as_json=True) == 1
    assert "seal" in failed(told(capsys))


@pytest.mark.parametrize("pin", ["", "0" * 63, "0" * 65, "g" * 64, "sha256"])
def test_a_pin_that_is_none_is_refused(files: Path, pin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, seal_pins=[pin]) == 1
    assert "64 hexadecimal digits" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["signed.pdf", "log.vkey", "authority.pem", "clocks.pem", "signed.tlog-proof"])
@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_only_files_of_their_kinds_size_are_read(
    files: Path, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "clocks.pem").write_bytes((files / "authority.pem").read_bytes())
    path = files / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate((256 << 20) + 1)  # a hole: it takes no room
    assert run(files, timestamp_trust=[files / "clocks.pem"]) == 1
    said = capsys.readouterr().err
    assert str(path) in said
    assert ("larger than" if kind == "large" else f"a {kind}, and no file") in said
