"""The files of this project: what git tracks and what it would, by kind."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
"""How the name of a file ends that ``scripts/generate_protos.py`` wrote."""

GENERATED_FILES = frozenset(
    Path("clients/python/zegel") / name for name in ("_names.py", "_services.py", "_internal/methods.py", "enums.py")
)
"""What else it wrote."""

CODE = frozenset({".py", ".proto", ".sh", ".go", ".ts", ".java", ".sql"})
"""What counts as code, beside programs whose first line names an interpreter."""


def files() -> Iterator[Path]:
    """Lists every file that is tracked, or would be.

    Yields:
        Paths relative to the root, sorted.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    yield from sorted(path for path in map(Path, filter(None, names)) if (ROOT / path).is_file())


def is_generated(path: Path) -> bool:
    """Tells whether a generator wrote the file."""
    if path in GENERATED_FILES:
        return True
    return path.name.endswith(GENERATED) or (path.name == "__init__.py" and path.parent.name == "v1")


def read(path: Path) -> str | None:
    """Reads a text file.

    Args:
        path: Relative to the root.

    Returns:
        Its text, or nothing for a binary file.
    """
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def is_code(path: Path, text: str) -> bool:
    """Tells whether a person wrote the file as code.

    Args:
        path: Relative to the root.
        text: What the file holds.
    """
    return (path.suffix in CODE or (not path.suffix and text.startswith("#!"))) and not is_generated(path)
