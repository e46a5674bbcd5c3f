"""The Go program that checks what we make with the Go project's own packages and C2SP's."""

import os
import subprocess
from pathlib import Path

from support import tools
from support.require import need

SOURCE = tools.ROOT / "tests/server/audit/go"


def build(folder: Path) -> Path:
    """Builds it, or skips the calling test. Go keeps what it compiled in its own cache, as for everything."""
    go = tools.tool("go")
    binary = folder / "zegelcheck"
    environment = os.environ | {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "build", "-o", binary, "."], cwd=SOURCE, env=environment, capture_output=True, text=True, check=False
    )
    offline = any(word in done.stderr for word in ("dial tcp", "no such host", "connection refused", "requires go >="))
    need(not offline, "Go 1.25 or later with golang.org/x/mod", "run `go mod download` in tests/server/audit/go")
    assert done.returncode == 0, done.stderr
    return binary
