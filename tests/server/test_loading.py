"""What a command of zegel-server loads: what is slow to load is loaded where it is used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = ("grpc", "casbin", "aiohttp", "cryptography", "zegel_server.app", "zegel_server.core")
ROWS = ("sqlalchemy", "alembic", "asyncpg")
PDFS = ("pyhanko", "pikepdf", "pypdfium2", "reportlab", "PIL", "fontTools", "uharfbuzz")
PROVIDERS = ("boto3", "pkcs11", "requests")

AT_THE_END = """
import atexit, json, sys
sys.argv = ["zegel-server", *sys.argv[1:]]
atexit.register(lambda: print("\\n" + json.dumps(sorted(sys.modules))))
from zegel_server.cli import main
main()
"""


def loaded(program: str, *arguments: str) -> set[str]:
    """The modules that a program of its own loaded, which prints them last."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help"), ("jobs", "list", "--help")])
def test_help_loads_neither_server_nor_rows(arguments: tuple[str, ...]) -> None:
    modules = loaded(AT_THE_END, *arguments)
    assert "zegel_server.cli" in modules
    assert modules.isdisjoint({*SERVER, *ROWS, *PDFS, *PROVIDERS})


def test_migrate_loads_no_server(tmp_path: Path) -> None:
    modules = loaded(AT_THE_END, "migrate", "--development", "--data-dir", str(tmp_path))
    assert "alembic" in modules
    assert modules.isdisjoint({*SERVER, *PDFS, *PROVIDERS})


def test_the_server_loads_no_pdf_library_and_no_provider_that_no_url_names() -> None:
    modules = loaded("import json, sys, zegel_server.app; print(json.dumps(sorted(sys.modules)))")
    assert "zegel_server.pdf.sandbox.client" in modules
    assert modules.isdisjoint({*PDFS, *PROVIDERS})
