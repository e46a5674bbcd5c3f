"""Runs the SDK's tests with the oldest or the newest versions that its dependency ranges allow.

    .venv/bin/python scripts/ranges.py lowest
    .venv/bin/python scripts/ranges.py newest tests/clients/python/test_client_calls.py

A fresh virtual environment gets the SDK with its command, and each of its direct dependencies in the version that was
asked for, from the registry. The tests' tools and the server come from the environment that runs this, whose packages
are found after those. It needs the network and minutes, so neither lint nor CI runs it: run it when a range changes or
generated code is made anew, and write the result into CONTRIBUTING.md (*Change a dependency's range*).
"""

import argparse
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).resolve().parents[1]
SDK: Final = ROOT / "clients/python"

TESTS: Final = ("tests/clients",)
"""What is run by default."""

MARKS: Final = "not slow and not postgresql"
"""Which of them: slow ones run the server too, whose own ranges are others."""


def requirements() -> list[Requirement]:
    """The direct dependencies of the SDK and of its command."""
    project = tomllib.loads((SDK / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["cli"])]


def lowest(requirement: Requirement) -> str:
    """A constraint to the oldest version that a requirement allows.

    Args:
        requirement: It has exactly one lower bound, ``>=``.

    Raises:
        ValueError: It has none, or another.
    """
    floors = [each.version for each in requirement.specifier if each.operator == ">="]
    if len(floors) != 1:
        raise ValueError(f"{requirement} has to have one lower bound")
    return f"{requirement.name}=={floors[0]}"


def install(folder: Path, end: str) -> Path:
    """Makes the environment.

    Args:
        folder: Where.
        end: ``lowest`` or ``newest``.

    Returns:
        Its interpreter.

    Raises:
        CalledProcessError: No set of versions satisfies the ranges together, or the registry does not answer.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    constraints = folder / "constraints.txt"
    pins = [lowest(each) for each in requirements()] if end == "lowest" else []
    constraints.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wanted = ["--upgrade", "--constraint", str(constraints), "--editable", f"{SDK}[cli]"]
    subprocess.run([*pip, "install", *wanted], check=True)
    subprocess.run([*pip, "check"], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    after = f"{ROOT / 'server'}\n{sysconfig.get_path('purelib')}\n"
    (site / "zz-tools.pth").write_text(after, encoding="utf-8")
    return python


def main() -> int:
    """Runs the program.

    Returns:
        The exit code of the tests.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("end", choices=["lowest", "newest"])
    parser.add_argument("tests", nargs="*", default=TESTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zegel-ranges-") as folder:
        python = str(install(Path(folder), asked.end))
        show = "from importlib.metadata import version; import sys; print(*(f'{n} {version(n)}' for n in sys.argv[1:]))"
        subprocess.run([python, "-c", show, *(each.name for each in requirements())], check=True)
        tests = [python, "-m", "pytest", "-n", "2", "-q", "-p", "no:cacheprovider", "-m", MARKS, *asked.tests]
        return subprocess.run(tests, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
