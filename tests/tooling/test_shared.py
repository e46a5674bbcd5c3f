"""The shared folder, which a clone does not have: what needs it is left out by name, and its tests can be chosen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import require, shared

TESTS = Path(__file__).resolve().parents[1]

EXAMPLE = """
from support.shared import real_pdfs, shared, small_real_pdfs

def test_wants_files(): real_pdfs()

def test_wants_a_case(): shared("cases/uploads/one.pdf")

def test_takes_more_seeds_where_there_are_any(): assert small_real_pdfs(1_000) == []
"""

OTHER = """
def test_wants_nothing(): pass
"""


def test_what_a_clone_does_not_have_is_left_out_by_name(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(EXAMPLE, encoding="utf-8")
    (tmp_path / "test_other.py").write_text(OTHER, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(TESTS), shared.VARIABLE: str(tmp_path / "nothing"), require.REQUIRE_ALL: "0"}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-m", "shared", "."]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    lines = done.stdout.splitlines()
    heading = next(number for number, line in enumerate(lines) if " left out " in line)
    bring = f"put the shared folder beside the clone, or name it by {shared.VARIABLE}"
    assert lines[heading + 1 : heading + 3] == [
        f"1 test for want of shared/cases/uploads: {bring}",
        f"1 test for want of shared/pdfs: {bring}",
    ]
    assert "1 passed, 2 skipped, 1 deselected" in lines[-1]


def test_a_file_that_is_missing_from_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pdfs").mkdir()
    (tmp_path / "pdfs" / "one.pdf").write_bytes(b"%PDF-1.7")
    monkeypatch.setattr(shared, "_FOLDER", tmp_path)
    monkeypatch.delenv(require.REQUIRE_ALL, raising=False)
    assert shared.real_pdfs() == [tmp_path / "pdfs" / "one.pdf"]
    assert shared.small_real_pdfs(8) == []
    with pytest.raises(pytest.skip.Exception) as caught:
        shared.shared("pdfs/two.pdf")
    assert require.split(str(caught.value)) is not None
    assert "shared/pdfs/two.pdf" in str(caught.value)
