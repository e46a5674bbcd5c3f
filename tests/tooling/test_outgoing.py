"""Nothing calls another machine over HTTP but through the one module that bounds it."""

import ast
from pathlib import Path
from typing import Final

SERVER: Final = Path(__file__).parents[2] / "server" / "zegel_server"
CLIENTS: Final = frozenset(
    {"aiohttp", "ftplib", "http.client", "httpx", "requests", "smtplib", "urllib.request", "urllib3", "hvac", "boto3"}
)
"""Libraries that open connections by themselves."""
BOUNDED: Final = {
    "neighbours/http.py": {"aiohttp"},
    "identity/discovery.py": {"aiohttp"},  # its resolver alone: see below
    # Libraries of their own, which BlockingRootKeys gives a deadline and KeyProviders a breaker and shares.
    "crypto/aws_kms.py": {"boto3"},
    "crypto/vault_transit.py": {"hvac", "requests", "urllib3"},
    "crypto/vault_login.py": {"hvac", "requests"},
}


def imported(path: Path) -> set[str]:
    """The modules that a file imports, dotted."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return found


def clients(path: Path) -> set[str]:
    if not any(each.rpartition(".")[2] in path.read_text() for each in CLIENTS):
        return set()  # most files, and parsing them takes its time
    return {each for each in CLIENTS for name in imported(path) if f"{name}.".startswith(f"{each}.")}


def test_no_client_is_made_elsewhere() -> None:
    for path in SERVER.rglob("*.py"):
        name = str(path.relative_to(SERVER))
        assert clients(path) <= BOUNDED.get(name, set()), name
    resolver = SERVER / "identity" / "discovery.py"
    assert {each for each in imported(resolver) if each.startswith("aiohttp")} <= {
        "aiohttp.abc",
        "aiohttp.abc.AbstractResolver",
        "aiohttp.abc.ResolveResult",
    }


def test_the_search_finds_one(tmp_path: Path) -> None:
    for text in ("import urllib.request", "from urllib import request", "import aiohttp", "from requests import get"):
        (tmp_path / "x.py").write_text(text)
        assert clients(tmp_path / "x.py"), text
