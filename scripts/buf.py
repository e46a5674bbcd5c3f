"""Runs buf over the contracts as protoc has compiled them, so that it needs neither its registry nor a copy of imports.

The contracts import ``google/api/field_behavior.proto``. buf would look for it in its registry; protoc finds it in the
Python package ``googleapis-common-protos``, which the SDK depends on anyway.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from contracts import ROOT, contract_paths, include_arguments

BUF: Final = Path(sys.executable).parent / "buf"


def run_buf(root: Path, command: str, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Runs a command of buf whose input is the contracts.

    Args:
        root: Folder of the project: has ``buf.yaml`` and ``protos/``.
        command: ``lint``, ``breaking`` or ``build``.
        arguments: Further arguments.

    Returns:
        How it ended; how protoc did if that refused the contracts.
    """
    protos = root / "protos"
    with tempfile.TemporaryDirectory(prefix="zegel-buf-") as folder:
        image = str(Path(folder) / "contracts.binpb")
        compiler = [sys.executable, "-m", "grpc_tools.protoc", *include_arguments(protos), "--include_imports"]
        compiler += ["--include_source_info", f"--descriptor_set_out={image}", *contract_paths(protos)]
        compiled = subprocess.run(compiler, cwd=root, check=False, capture_output=True, text=True)
        if compiled.returncode:
            return compiled
        own = [str(BUF), command, image, "--path", "zegel", *arguments]  # the imports are not ours to judge
        return subprocess.run(own, cwd=root, check=False, capture_output=True, text=True)


def main() -> int:
    """Runs the program.

    Returns:
        The exit code of buf or protoc.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["lint", "breaking", "build"])
    command, further = parser.parse_known_args()
    done = run_buf(ROOT, command.command, further)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
