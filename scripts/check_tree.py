"""Checks what no linter does: that no file depends on one machine, and that none is long without a reason.

* No package registry's address: the tree must also build where a team has its own mirror.
* No absolute path of the machine it was written on.
* No private key.
* No code file over ``LIMIT`` lines, unless ``[tool.zegel.long-files]`` in ``pyproject.toml`` says why.
"""

import re
import sys
import tomllib
from collections.abc import Iterator

from tree import ROOT, files, is_code, read

LIMIT = 400
"""Maximum lines of a file: what a reader can keep in mind at once, with room for docstrings."""

FORBIDDEN = {
    "a package registry's address": re.compile(
        r"\b(?:pypi|pythonhosted|crates|rubygems|npmjs|debian|ubuntu|maven)\.(?:org|io|com|net)\b"
        r"|\b(?:proxy|sum)\.golang\.org\b|\brepo1?\.maven\b",
    ),
    "a path of one machine": re.compile(r"(?<![\w.~}$>*-])/(?:work|root|home|Users|tmp)/\w"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*\n?[A-Za-z0-9+/=]{16}"),
}


def long_files() -> dict[str, str]:
    """Reads the reasons for long files.

    Returns:
        The reasons, by path.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    reasons: dict[str, str] = project.get("tool", {}).get("zegel", {}).get("long-files", {})
    return reasons


def problems() -> Iterator[str]:
    """Checks every file of the tree.

    Yields:
        One sentence for each problem.
    """
    reasons, long = long_files(), set()
    for path in files():
        text = read(path)
        if text is None:
            continue
        for what, pattern in FORBIDDEN.items():
            for match in pattern.finditer(text):
                yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0].splitlines()[0]}"
        lines = text.count("\n")
        if is_code(path, text) and lines > LIMIT:
            long.add(str(path))
            if str(path) not in reasons:
                yield f"{path}: {lines} lines, over {LIMIT}; split it, or give a reason in [tool.zegel.long-files]"
    yield from (f"{name}: has a reason to be long, but is not" for name in sorted(set(reasons) - long))


def main() -> int:
    """Runs the program.

    Returns:
        The exit code: 1 when there is a problem.
    """
    found = list(problems())
    for problem in found:
        print(f"tree: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
