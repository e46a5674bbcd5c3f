"""The contracts' baseline: what would break a client is found, and the baseline moves with a reason only."""

import shutil
from pathlib import Path

import pytest

import contract_baseline
from contract_baseline import BASELINE, CHANGELOG, BaselineError, digest, move, problems

DOCUMENTS = Path("protos/zegel/document/v1/document_service.proto")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The contracts, with what they are compared with, to be changed."""
    shutil.copytree(contract_baseline.ROOT / "protos", tmp_path / "protos")
    for name in ("buf.yaml", str(CHANGELOG)):
        shutil.copy(contract_baseline.ROOT / name, tmp_path / name)
    return tmp_path


def change(root: Path, old: str, new: str) -> None:
    """Changes the contract of documents."""
    text = (root / DOCUMENTS).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (root / DOCUMENTS).write_text(text.replace(old, new), encoding="utf-8")


def test_the_contracts_keep_what_their_baseline_promises() -> None:
    assert problems(contract_baseline.ROOT) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  int64 persisted_size = 4;", "  int64 stored_size = 4;", 'Field "4"'),
        ("  int64 persisted_size = 4;", "  int64 persisted_size = 14;", 'field "4"'),
        ("  int64 persisted_size = 4;", "  string persisted_size = 4;", "changed type"),
        ("  rpc CancelUpload(", "  rpc AbortUpload(", '"CancelUpload"'),
    ],
)
def test_a_change_that_breaks_clients_is_found(copy: Path, old: str, new: str, said: str) -> None:
    change(copy, old, new)
    assert any(said in each for each in problems(copy))


def test_an_addition_breaks_nobody(copy: Path) -> None:
    change(copy, "message CancelUploadResponse {}", "message CancelUploadResponse {\n  // Why.\n  string why = 1;\n}")
    assert problems(copy) == []


def test_the_baseline_moves_with_a_reason_in_the_change_log(copy: Path) -> None:
    before = digest(copy)
    change(copy, "  int64 persisted_size = 4;", "  int64 stored_size = 4;")
    move(copy, "`Upload.persisted_size` is\n`stored_size`.")
    assert problems(copy) == []
    assert digest(copy) != before
    changes = (copy / CHANGELOG).read_text(encoding="utf-8")
    unreleased, _, _ = changes.partition("\n## [0")
    assert f"- Baseline `{digest(copy)}`: `Upload.persisted_size` is `stored_size`.\n" in unreleased
    assert f"`{before}`" in changes  # what was noted stays


@pytest.mark.parametrize("reason", ["", " \n"])
def test_no_reason_moves_nothing(copy: Path, reason: str) -> None:
    change(copy, "  int64 persisted_size = 4;", "  int64 stored_size = 4;")
    before = digest(copy)
    with pytest.raises(BaselineError):
        move(copy, reason)
    assert digest(copy) == before
    assert problems(copy)


def test_a_baseline_that_is_only_overwritten_is_refused(copy: Path) -> None:
    change(copy, "  int64 persisted_size = 4;", "  int64 stored_size = 4;")
    log = (copy / CHANGELOG).read_bytes()
    move(copy, "Left out of the change log below.")
    (copy / CHANGELOG).write_bytes(log)
    assert any("without a reason" in each for each in problems(copy))


def test_contracts_that_do_not_compile_do_not_become_the_baseline(copy: Path) -> None:
    before = digest(copy)
    change(copy, "  int64 persisted_size = 4;", "  int64 persisted_size = ;")
    assert problems(copy)
    with pytest.raises(BaselineError):
        move(copy, "Nonsense.")
    assert digest(copy) == before


def test_a_baseline_that_is_missing_is_a_problem(copy: Path) -> None:
    (copy / BASELINE).unlink()
    assert problems(copy) == [f"{BASELINE} is missing"]
