"""Third-party data: real PDFs, test vectors and cases, kept beside the project and never copied into it.

A clone does not have them. Tests that need them are skipped by name (:mod:`support.require`), and every test of a
module that uses this one has the mark ``shared``: ``make stranger`` runs those as someone with only a clone would.
"""

import os
from pathlib import Path
from typing import Final

from support.require import need

VARIABLE: Final = "ZEGEL_SHARED"
"""Environment variable that names another folder than ``shared`` beside the project."""

_FOLDER: Final = Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[3] / "shared")


def shared(path: str) -> Path:
    """A file or a folder of what others made; the test is skipped if it does not exist.

    Args:
        path: Where it is in the shared folder, such as ``vectors/merkle``.
    """
    found = _FOLDER / path
    # One line of the run's summary for all files of a folder that is missing.
    missing = Path(path).parent if found.suffix and not found.parent.is_dir() else path
    need(found.exists(), f"shared/{missing}", f"put the shared folder beside the clone, or name it by {VARIABLE}")
    return found


def real_pdfs() -> list[Path]:
    """The real PDFs by name; the test is skipped if there are none."""
    return sorted(shared("pdfs").glob("*.pdf"))


def small_real_pdfs(size: int) -> list[Path]:
    """Real PDFs as additional seeds for a test that has its own; empty if there are none.

    Args:
        size: Each is smaller than this number of bytes.
    """
    return [path for path in sorted((_FOLDER / "pdfs").glob("*.pdf")) if path.stat().st_size < size]
