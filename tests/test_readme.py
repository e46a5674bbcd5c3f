"""What the README shows of teams, delegation and sessions runs as it stands, against a real server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo_contract import write_contract
from support.providers import real_provider
from support.server import sqlite_server

ROOT = Path(__file__).resolve().parents[1]
SECTION = "## Teams, delegation, sessions"


def programs() -> list[str]:
    """The section's Python, block by block."""
    whole = (ROOT / "README.md").read_text(encoding="utf-8")
    section = whole.partition(SECTION)[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def run(program: str, folder: Path, **names: str) -> str:
    given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import zegel\n{given}{program}\nowner.close()"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_teams_delegation_and_sessions(tmp_path: Path) -> None:
    first, second = programs()
    authority = tmp_path / "authority.pem"
    write_contract(tmp_path / "contract.pdf")
    with real_provider() as provider:
        settings = {"ZEGEL_IDENTITY_PROVIDER_ORIGINS": f'["{provider.issuer}"]'}
        with sqlite_server(environment=settings) as server, server.client(server.operator_token) as operator:
            authority.write_bytes(server.authority)
            there = {
                "localhost:8443": server.listen,
                ".zegel/authority/authority.pem": str(authority),
                "https://login.acme.example": provider.issuer,
            }
            for shown, real in there.items():
                assert shown in first + second
                first, second = first.replace(shown, real), second.replace(shown, real)
            key = operator.identity.create_tenant(name="Acme").api_key_token
            said = run(first, tmp_path, API_KEY=key)
            assert [line.partition("_")[0] for line in said.splitlines()] == ["mem", "tea"]
            begin = next(line for line in first.splitlines() if line.startswith("owner = "))
            who = "print(as_ann.identity.get_current_session().session.principal_id)"
            token = provider.id_token("account-1", "ann@acme.example")
            assert run(f"{begin}\n{second}\n{who}", tmp_path, API_KEY=key, id_token=token).startswith("mem_")
