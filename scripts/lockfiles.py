"""Writes the lock files, or checks without the network that they still satisfy the projects' requirements.

``locks/runtime.txt`` lists what is needed to run Zegel (the server, the SDK with its command, the build backend);
``locks/dev.txt`` lists that and what the tests need. Invariants:

* Every line is a name, a version and hashes, without a registry's address or a path.
* ``dev.txt`` agrees with ``runtime.txt``: installing both, in either order, has the same result.
* The two distributions of this tree are never requested from a registry: the owner of the name there could run code
  here.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
OWN = frozenset({"zegel", "zegel-server"})
PROJECTS = (ROOT / "pyproject.toml", ROOT / "clients/python/pyproject.toml")
RUNTIME = ROOT / "locks/runtime.txt"
DEV = ROOT / "locks/dev.txt"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
HEADER = "# Made by `make locks` from the two pyproject.toml files. Names, versions and hashes; do not edit.\n"


def _own_extras(requirements: list[Requirement]) -> set[str]:
    """Extras of the tree's own distributions that these requirements include."""
    return {extra for requirement in requirements if requirement.name in OWN for extra in requirement.extras}


def wanted(*groups: str) -> list[Requirement]:
    """Lists the requirements of the two projects.

    Args:
        groups: Dependency groups of the root project to add.

    Returns:
        The requirements, without those that the tree itself satisfies.
    """
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in PROJECTS]
    found = [Requirement(line) for table in tables for line in table["project"]["dependencies"]]
    for extra in sorted(_own_extras(found)):
        for table in tables:
            found += [Requirement(line) for line in table["project"].get("optional-dependencies", {}).get(extra, [])]
    found += [Requirement(line) for group in groups for line in tables[0]["dependency-groups"][group]]
    return [requirement for requirement in found if requirement.name not in OWN]


def pins(path: Path) -> dict[str, str]:
    """Reads a lock file.

    Args:
        path: The lock file.

    Returns:
        The versions, by canonical name.
    """
    matches = (PIN.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {canonicalize_name(match["name"]): match["version"] for match in matches if match}


def compile_lock(requirements: list[Requirement], output: Path, *, constraint: Path | None = None) -> None:
    """Resolves requirements and writes them with the hashes of every file of each release.

    Args:
        requirements: The requirements to resolve.
        output: The lock file; its existing pins are kept where they still satisfy the requirements.
        constraint: Another lock file, whose versions must be used.
    """
    command = [sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes", "--allow-unsafe"]
    command += ["--strip-extras", "--no-header", "--no-emit-index-url", "--no-emit-trusted-host"]
    command += ["--no-emit-find-links", "--no-emit-options", "--resolver=backtracking"]
    if constraint:
        command += ["--constraint", str(constraint.relative_to(ROOT))]
    command += ["--output-file", str(output.relative_to(ROOT)), "-"]
    lines = "\n".join(str(requirement) for requirement in requirements)
    subprocess.run(command, input=lines, text=True, cwd=ROOT, check=True)
    text = output.read_text(encoding="utf-8").replace("-r -", "pyproject.toml")
    output.write_text(HEADER + re.sub(r"-c \S+", f"-c {RUNTIME.name}", text), encoding="utf-8")


def problems() -> list[str]:
    """Finds where the lock files no longer satisfy the projects' requirements.

    Returns:
        One sentence for each problem; empty when there is none.
    """
    found = []
    for path, groups in ((RUNTIME, ("build",)), (DEV, ("build", "dev"))):
        locked = pins(path)
        for requirement in wanted(*groups):
            version = locked.get(canonicalize_name(requirement.name))
            if version is None:
                found.append(f"{path.name}: {requirement.name} is missing")
            elif not requirement.specifier.contains(version, prereleases=True):
                found.append(f"{path.name}: {requirement.name}=={version} does not fit {requirement.specifier}")
    runtime, dev = pins(RUNTIME), pins(DEV)
    found += [
        f"{name}: {version} in {RUNTIME.name}, {dev.get(name)} in {DEV.name}"
        for name, version in runtime.items()
        if dev.get(name) != version
    ]
    return found


def main() -> int:
    """Runs the program.

    Returns:
        The exit code: 1 when a check found a problem.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the projects, write nothing")
    if not parser.parse_args().check:
        compile_lock(wanted("build"), RUNTIME)
        compile_lock(wanted("build", "dev"), DEV, constraint=RUNTIME)
    found = problems()
    for problem in found:
        print(f"locks: {problem}; run `make locks`", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
