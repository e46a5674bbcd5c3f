"""The README is short, and what the pages show of teams, delegation and signing in runs against a real server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import zegel
from demo_contract import write_contract
from support.providers import real_provider
from support.server import sqlite_server

ROOT = Path(__file__).resolve().parents[1]
TASKS = ROOT / "docs/tasks"
MOST_WORDS = 900


def programs() -> list[str]:
    """Teams and delegation, and then signing in from a provider of the tenant's own."""
    shown = (("teams-and-delegations", "python"), ("roles-and-sessions", "python sign-in"))
    found = []
    for page, fence in shown:
        text = (TASKS / f"{page}.md").read_text(encoding="utf-8")
        [program] = re.findall(rf"```{fence}\n(.*?)```", text, re.DOTALL)
        found.append(program.replace("owner.close()\n", ""))
    return found


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) < MOST_WORDS


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
def test_the_first_program_runs(tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    authority = tmp_path / "authority.pem"
    write_contract(tmp_path / "contract.pdf")
    with sqlite_server() as server, server.client(server.operator_token) as operator:
        authority.write_bytes(server.authority)
        for shown, real in (("localhost:8443", server.listen), (".zegel/authority/authority.pem", str(authority))):
            assert shown in program
            program = program.replace(shown, real)
        key = operator.identity.create_tenant(name="Acme").api_key_token
        begin = "owner = zegel.Client('localhost:1', insecure=True)\n"  # what every program here closes in the end
        run(begin + program, tmp_path, API_KEY=key)
        with server.client(key) as partner:
            [request] = partner.signing.list_signature_requests(read_mask=["signatures"])
            assert request.signatures[0].status == zegel.SignatureStatus.SIGNED
    assert (tmp_path / "to-sign.pdf").read_bytes().startswith(b"%PDF")


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
