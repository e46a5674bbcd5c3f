"""Lets a script import ``zegel`` and ``zegel_server`` from its own tree, whichever tree is installed.

Import it before either of them. A second worktree's virtual environment may still have the first worktree's packages.
"""

import sys
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parents[1]

sys.path[:0] = [str(TREE / "clients/python"), str(TREE / "server")]
