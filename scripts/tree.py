"""The files of this project, by kind: those that git tracks, and new ones that it does not ignore."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
"""Endings of the names of the files that ``scripts/generate_protos.py`` writes."""

GENERATED_FILES = frozenset(
    Path("clients/python/zegel") / name
    for name in ("_names.py", "_services.py", "_internal/methods.py", "_internal/aio_methods.py", "enums.py")
)
"""The other files that it writes."""

CODE = frozenset({".py", ".proto", ".sh", ".go", ".ts", ".java", ".sql"})
"""File extensions that count as code, besides programs whose first line names an interpreter."""


def files() -> Iterator[Path]:
    """Lists every file that git tracks, and new ones that it does not ignore.

    Yields:
        Paths relative to the root, sorted.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    yield from sorted(path for path in map(Path, filter(None, names)) if (ROOT / path).is_file())


def is_generated(path: Path) -> bool:
    """Returns whether a generator wrote the file."""
    if path in GENERATED_FILES:
        return True
    return path.name.endswith(GENERATED) or (path.name == "__init__.py" and path.parent.name == "v1")


def read(path: Path) -> str | None:
    """Reads a text file.

    Args:
        path: Relative to the root.

    Returns:
        Its text, or ``None`` for a binary file.
    """
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def is_code(path: Path, text: str) -> bool:
    """Returns whether the file is code written by a person.

    Args:
        path: Relative to the root.
        text: The file's content.
    """
    return (path.suffix in CODE or (not path.suffix and text.startswith("#!"))) and not is_generated(path)
