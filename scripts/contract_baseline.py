"""Compares the contracts under ``protos/`` with their baseline, which is what clients rely on.

The baseline is an image of the contracts as written by ``buf build``, without comments. Invariants:

* A change that would break a client built against the baseline is reported, however many commits ago it was made.
* The baseline moves only by ``--move REASON``, which writes the reason into the change log with the baseline's digest.
  A baseline whose digest is not in the change log is an error.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from buf import run_buf

ROOT = Path(__file__).resolve().parents[1]
BASELINE = Path("protos/baseline.binpb")
CHANGELOG = Path("CHANGELOG.md")
UNRELEASED = "## [Unreleased]\n"
HEADING = "### Contracts\n"
DIGITS = 12
"""Number of digits of the baseline's SHA-256 that the change log states."""


class BaselineError(Exception):
    """The baseline could not be moved."""


def digest(root: Path) -> str:
    """Returns the first digits of the baseline's SHA-256.

    Args:
        root: Folder of the project.
    """
    return hashlib.sha256((root / BASELINE).read_bytes()).hexdigest()[:DIGITS]


def problems(root: Path) -> list[str]:
    """Compares the contracts with the baseline, and the baseline with the change log.

    Args:
        root: Folder of the project.

    Returns:
        One sentence for each problem.
    """
    if not (root / BASELINE).is_file():
        return [f"{BASELINE} is missing"]
    compared = run_buf(root, "breaking", ("--against", str(BASELINE)))
    found = (compared.stdout + compared.stderr).splitlines()
    if compared.returncode and not found:
        found = [f"buf breaking ended with {compared.returncode}"]
    if digest(root) not in (root / CHANGELOG).read_text(encoding="utf-8"):
        found.append(f"{BASELINE} was moved without a reason in {CHANGELOG}; use scripts/contract_baseline.py --move")
    return found


def move(root: Path, reason: str) -> None:
    """Makes the current contracts the baseline, and records the reason in the change log.

    Args:
        root: Folder of the project.
        reason: What breaks and why, as a sentence for users of Zegel.

    Raises:
        BaselineError: There is no reason, the contracts do not compile, nothing has changed, or the change log has no
            unreleased part.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise BaselineError("say what breaks and why")
    changes = (root / CHANGELOG).read_text(encoding="utf-8")
    if UNRELEASED not in changes:
        raise BaselineError(f"{CHANGELOG} has no {UNRELEASED.strip()!r}")
    before = (root / BASELINE).read_bytes() if (root / BASELINE).is_file() else None
    built = run_buf(root, "build", ("--exclude-source-info", "-o", str(BASELINE)))
    if built.returncode:
        raise BaselineError(built.stderr.strip() or "the contracts do not compile")
    if (root / BASELINE).read_bytes() == before:
        raise BaselineError("the contracts are those of the baseline")
    line = f"- Baseline `{digest(root)}`: {reason}\n"
    before_it, _, after_it = changes.partition(UNRELEASED)
    unreleased, version, older = after_it.partition("\n## ")
    if HEADING not in unreleased:
        unreleased = f"\n{HEADING}\n{unreleased}"
    unreleased = unreleased.replace(HEADING + "\n", HEADING + "\n" + line, 1)
    (root / CHANGELOG).write_text(before_it + UNRELEASED + unreleased + version + older, encoding="utf-8")


def main() -> int:
    """Runs the program.

    Returns:
        The exit code: 1 when there is a problem.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--move", metavar="REASON", help="make the contracts of now the baseline, for this reason")
    arguments = parser.parse_args()
    if arguments.move is None:
        found = problems(ROOT)
    else:
        try:
            move(ROOT, arguments.move)
            found = []
        except BaselineError as error:
            found = [str(error)]
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
