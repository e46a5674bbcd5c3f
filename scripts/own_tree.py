"""Lets a script import ``zegel`` and ``zegel_server`` of the tree it belongs to, whichever tree is installed.

Import it before either of them. In a second worktree, the virtual environment still has the first one's packages.
"""

import sys
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parents[1]

sys.path[:0] = [str(TREE / "clients/python"), str(TREE / "server")]
