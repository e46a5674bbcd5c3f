"""How a run of the tests ends: with what was left out, the command that brings it, and pytest's closing line last."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import require

TESTS = Path(__file__).resolve().parents[1]

EXAMPLE = """
import pytest
from support.require import need

@pytest.mark.parametrize("_", range(2))
def test_wants_a_tool(_): need(False, "the program nosuch", "make nosuch")

def test_other(): pytest.skip("another reason")

def test_runs(): pass
"""


def run(folder: Path, *, require_all: bool, workers: int) -> list[str]:
    """Runs the example as a project of its own with this project's conftest, and returns what it printed."""
    (folder / "test_example.py").write_text(EXAMPLE, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(TESTS), require.REQUIRE_ALL: "1" if require_all else "0"}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-n", str(workers), "."]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == (1 if require_all else 0), done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("workers", [0, 1])
def test_what_was_left_out_is_listed_with_its_command(tmp_path: Path, workers: int) -> None:
    lines = run(tmp_path, require_all=False, workers=workers)
    heading = next(number for number, line in enumerate(lines) if " left out " in line)
    assert lines[heading + 1] == "2 tests for want of the program nosuch: make nosuch"
    assert "1 passed, 3 skipped" in lines[-1]


def test_where_all_is_required_nothing_is_left_out(tmp_path: Path) -> None:
    lines = run(tmp_path, require_all=True, workers=0)
    assert not any(" left out " in line for line in lines)
    assert "2 failed, 1 passed, 1 skipped" in lines[-1]
