"""Counts lines of code by folder, and lists the longest files.

Blank lines, generated code, lock files and documentation are not counted. The last line is JSON, for programs.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from tree import files, is_code, read

LONGEST = 3
"""Number of longest files to list."""

DEPTH = {"server": 3, "clients": 3, "tests": 2}
"""Number of folder levels to count separately under each folder; one for any other."""


def folder(path: Path) -> str:
    """Returns the folder that a file is counted under."""
    depth = DEPTH.get(path.parts[0], 1)
    return "/".join(path.parts[:-1][:depth]) or "."


def main() -> int:
    """Runs the program.

    Returns:
        The exit code.
    """
    by_folder: Counter[str] = Counter()
    by_file: Counter[str] = Counter()
    for path in files():
        text = read(path)
        if text is not None and is_code(path, text):
            lines = sum(1 for line in text.splitlines() if line.strip())
            by_folder[folder(path)] += lines
            by_file[str(path)] = text.count("\n")
    for name, lines in sorted(by_folder.items()):
        print(f"{lines:7,}  {name}")
    print(f"{by_folder.total():7,}  in {len(by_file)} files\n\nThe longest files, with their blank lines:")
    longest = by_file.most_common(LONGEST)
    for name, lines in longest:
        print(f"{lines:7,}  {name}")
    print(
        json.dumps({"total": by_folder.total(), "folders": dict(sorted(by_folder.items())), "longest": dict(longest)})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
