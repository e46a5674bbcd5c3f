"""The pages for partners tell the truth: what they show runs as it stands, against a real server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo_contract import write_contract
from support.providers import free_port
from support.server import ServerProcess, sqlite_server
from support.tools import ROOT

PAGES = sorted((ROOT / "docs/tasks").glob("*.md"))
MOST_LINES = 80

RUNS_ELSEWHERE = {"teams-and-delegations"}
"""``tests/test_readme.py`` runs them, with the names that they show."""

TASKS = {
    "client-encrypted-uploads",
    "delete",
    "download-and-verify",
    "handle-errors",
    "invite-by-link",
    "keep-evidence",
    "list-and-cancel",
    "own-key-provider",
    "publish-the-log",
    "roles-and-sessions",
    "rotate-keys",
    "run-in-production",
    "send-a-document",
    "several-documents",
    "sign-embedded",
    "signers-in-order",
    "teams-and-delegations",
    "watch-events",
}


@dataclass(frozen=True)
class Place:
    """A server, and a tenant's folder beside it."""

    server: ServerProcess
    environment: Mapping[str, str]


def blocks(page: Path, kind: str) -> list[str]:
    """The programs of a page: those whose fence names the kind and nothing else."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    keys = tmp_path_factory.mktemp("acme") / "keys.json"
    with sqlite_server(environment={"ZEGEL_KEY_PROVIDERS": f'{{"acme": "local:{keys}"}}'}) as started:
        yield started


@pytest.fixture
def place(server: ServerProcess, tmp_path: Path) -> Place:
    with server.client(server.operator_token) as operator:
        made = operator.identity.create_tenant(name="Acme")
    for name in ("contract.pdf", "annex.pdf"):
        write_contract(tmp_path / name)
    (tmp_path / "authority.pem").write_bytes(server.authority)
    (tmp_path / ".zegel").symlink_to(server.data)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZEGEL_")} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TENANT": made.tenant.tenant_id,
        "ZEGEL_SERVER": server.listen,
        "ZEGEL_TOKEN": made.api_key_token,
        "ZEGEL_CA": str(tmp_path / "authority.pem"),
        "ZEGEL_DATA_DIR": str(server.data),
        "ZEGEL_DEVELOPMENT": "true",
        **server.environment,
    }
    return Place(server, environment)


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SAID = {
    "delete": "PURGED",
    "download-and-verify": "VALID",
    "handle-errors": "signers[0].email: must be a mail address",
    "invite-by-link": "REDEEMED",
    "keep-evidence": "SIGNATURE_REQUEST_DOWNLOADABLE",
    "list-and-cancel": "Too dear The rent is too high",
    "own-key-provider": "2 moves of the keys",
    "client-encrypted-uploads": "True",
    "roles-and-sessions": "refused from the next call on",
    "rotate-keys": "over: SESSION_REVOKED",
    "send-a-document": "AWAITING_SIGNATURES",
    "several-documents": "annex begins on page 3 of 4",
    "sign-embedded": "SIGNED",
    "signers-in-order": "not yet: RECIPIENT_OUT_OF_TURN",
    "watch-events": "SIGNATURE_REQUEST_VIEWED",
}
"""What the programs of a page print, among the rest."""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_runs(page: Path, place: Place, tmp_path: Path) -> None:
    programs, commands = blocks(page, "python"), blocks(page, "sh")
    assert programs, "a page without a program"
    if page.stem in RUNS_ELSEWHERE:
        return
    port = str(free_port())
    script = "\n".join(commands).replace("8000", port)
    steps = {
        "python": [sys.executable, "-W", "error", "-c", "\n".join(programs)],
        "sh": ["bash", "-euo", "pipefail", "-c", script],
    }
    text = page.read_text(encoding="utf-8")
    order = sorted((kind for kind in steps if blocks(page, kind)), key=lambda kind: text.index(f"```{kind}\n"))
    said = "".join(run(steps[kind], tmp_path, place.environment) for kind in order)
    assert SAID.get(page.stem, "") in said


def test_every_task_has_its_page_and_every_page_is_short() -> None:
    assert {page.stem for page in PAGES} - {"README"} == TASKS
    assert {page.stem: len(page.read_text(encoding="utf-8").splitlines()) for page in PAGES if _long(page)} == {}


def _long(page: Path) -> bool:
    return len(page.read_text(encoding="utf-8").splitlines()) > MOST_LINES


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "clients/python/README.md"):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
