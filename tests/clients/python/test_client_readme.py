"""The SDK's README tells the truth: its program runs against the real server, and its commands are there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import zegel
from demo_contract import write_contract
from demo_server import DemoServer
from zegel.cli.commands import app

README = (Path(__file__).resolve().parents[3] / "clients/python/README.md").read_text(encoding="utf-8")


VERIFY = "zegel verify signed.pdf --log-key log.vkey --trust authority.pem"


@pytest.mark.slow
def test_the_first_program_runs(tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    write_contract(tmp_path / "contract.pdf")
    with DemoServer() as server:
        with zegel.Client(server.address, token=server.operator_token, root_certificates=server.authority) as operator:
            key = operator.identity.create_tenant(name="Acme").api_key_token
        given = {"ZEGEL_SERVER": server.address, "ZEGEL_TOKEN": key, "ZEGEL_CA": str(server.authority)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path,
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("aud_")
        (tmp_path / "authority.pem").write_bytes(server.authority.read_bytes())
        said = ""
        for command in ("zegel audit log-key > log.vkey", VERIFY):
            assert command in README
            told = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                env={**os.environ, **given, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert told.returncode == 0, told.stderr
            said += told.stdout
    assert "Proof beside it" in said


def test_its_commands_are_those_of_the_program() -> None:
    shown = {
        tuple(re.findall(r"^[a-z]+|(?<= )[a-z][a-z-]*(?= |$)", line)[:2])
        for line in re.findall(r"^    zegel ([a-z].*)", README, re.MULTILINE)
    }
    group = typer.main.get_group(app)
    there: set[tuple[str, ...]] = set()
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        there |= {(name, each) for each in inner} if inner else {(name,)}
    assert {each if each[0] in {"documents", "requests", "audit"} else each[:1] for each in shown} == there


def test_its_links_work_on_an_index_where_nothing_lies_beside_it() -> None:
    links = re.findall(r"\]\(([^)]*)\)|^\[[^]]+\]: (\S+)|(?:href|src)=\"([^\"]*)\"", README, re.MULTILINE)
    assert [link for link in map("".join, links) if not link.startswith(("https://", "mailto:", "#"))] == []
