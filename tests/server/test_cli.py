"""The command zegel-server: what it prints, what it refuses, how it ends.

Commands run in this process, which has loaded what they need; a server that is to be served runs in one of its own.
"""

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

import zegel
from support.server import ServerProcess, sqlite_server
from zegel_server import cli, clock, logs
from zegel_server.ids import new_id

PROGRAM = str(Path(sys.executable).parent / "zegel-server")


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEGEL_")}
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False, env=clean, timeout=60)


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keeps from this process what a command sets up for its own: logging to its standard error, a bound of memory."""
    before = structlog.get_config()
    quiet = partial(structlog.configure, [], logger_factory=structlog.ReturnLoggerFactory())
    monkeypatch.setattr(logs, "configure", lambda *_: quiet())
    monkeypatch.setattr(cli, "bound_memory", lambda: None)
    for name in os.environ:
        if name.startswith("ZEGEL_"):
            monkeypatch.delenv(name)
    yield
    structlog.configure(**before)


def run(*arguments: str, **environment: str) -> Result:
    done = CliRunner().invoke(cli.app, arguments, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def said(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def in_folder(folder: Path) -> tuple[str, ...]:
    return ("--development", "--data-dir", str(folder))


def test_it_migrates_and_says_to_what(tmp_path: Path) -> None:
    for _ in range(2):
        [line] = said(run("migrate", *in_folder(tmp_path)))
        assert line["event"] == "migrated"
        assert line["schema"]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server whose folder the commands work on meanwhile."""
    with sqlite_server() as server:
        yield server


def test_it_makes_and_lists_tenants_whose_keys_work(server: ServerProcess) -> None:
    folder = in_folder(server.data)
    [made] = said(run("tenants", "create", "Acme ☃", *folder))
    listed = said(run("tenants", "list", *folder))
    assert {"tenant_id": made["tenant_id"], "name": "Acme ☃"}.items() <= listed[-1].items()
    assert made["api_key"] not in str(listed)
    with server.client(made["api_key"]) as client:
        assert client.identity.get_tenant().tenant.name == "Acme ☃"


def test_a_new_operator_s_key_takes_the_place_of_the_one_before(server: ServerProcess) -> None:
    [made] = said(run("tenants", "operator", *in_folder(server.data)))
    with server.client(made["api_key"]) as client:
        client.identity.create_tenant(name="Acme")
    with server.client(server.operator_token) as old, pytest.raises(zegel.errors.Unauthenticated):
        old.identity.create_tenant(name="Acme")


def test_it_lists_root_keys_and_shows_none(server: ServerProcess) -> None:
    keys = said(run("keys", "list", *in_folder(server.data)))
    assert keys
    assert all(set(key) == {"root_key_id", "purpose", "created", "primary", "destroyed"} for key in keys)


def test_it_lists_what_cannot_be_sealed_and_has_it_tried_again(tmp_path: Path) -> None:
    folder = in_folder(tmp_path)
    said(run("migrate", *folder))
    assert said(run("sealing", "list", *folder)) == []
    stuck, waiting = new_id("req"), new_id("req")
    later = clock.now() + clock.HOUR
    with closing(sqlite3.connect(tmp_path / "zegel.db")) as rows:
        rows.executemany(
            "INSERT INTO jobs (kind, tenant_id, resource_id, payload, state, scheduled_time, due_time, attempts,"
            " last_reason, blocked, blocked_time) VALUES ('seal', 'ten_1', ?, '{}', 'WAITING', 0, ?, 3, ?, ?, ?)",
            [(waiting, later, "", 0, None), (stuck, later, "DOCUMENT_TOO_COMPLEX", 1, 0)],
        )
        rows.commit()
        first, second = said(run("sealing", "list", *folder))
        assert (first["signature_request_id"], second["signature_request_id"]) == (stuck, waiting)
        assert (first["blocked"], first["last_reason"], first["attempts"]) == (True, "DOCUMENT_TOO_COMPLEX", 3)
        assert first["blocked_time"] == "1970-01-01T00:00:00.000000Z"
        assert said(run("sealing", "retry", stuck, *folder)) == [{"signature_request_id": stuck, "retried": True}]
        due = dict(rows.execute("SELECT resource_id, due_time FROM jobs"))
    assert due[stuck] <= clock.now() < due[waiting]
    absent = run("sealing", "retry", new_id("req"), *folder)
    assert (absent.exit_code, absent.stdout) == (1, "")


def test_it_lists_dead_letters_and_sends_them_again(tmp_path: Path) -> None:
    folder = in_folder(tmp_path)
    said(run("migrate", *folder))
    with closing(sqlite3.connect(tmp_path / "zegel.db")) as rows:
        rows.executemany(
            "INSERT INTO jobs (kind, tenant_id, resource_id, payload, state, scheduled_time, due_time, attempts,"
            " last_reason) VALUES (?, ?, ?, '{}', ?, 0, 0, 9, 'GONE')",
            [("mail", "ten_1", "m1", "DEAD"), ("mail", "ten_2", "m2", "DEAD"), ("hook", "ten_1", "h1", "WAITING")],
        )
        rows.commit()
        listed = said(run("jobs", "list", "--state", "dead", *folder))
        assert [(each["kind"], each["resource_id"], each["attempts"]) for each in listed] == [
            ("mail", "m1", 9),
            ("mail", "m2", 9),
        ]
        assert len(said(run("jobs", "list", "--tenant", "ten_1", *folder))) == 2
        numbers = [str(each["job_id"]) for each in listed]
        some_absent = run("jobs", "retry", numbers[0], "99", numbers[1], *folder)
        assert (some_absent.exit_code, len(said(run("jobs", "list", "--state", "dead", *folder)))) == (1, 2)
        assert run("jobs", "retry", str(2**63), *folder).exit_code == 2
        assert said(run("jobs", "retry", numbers[0], *folder)) == [{"retried": 1}]
        states = "SELECT resource_id, state, attempts FROM jobs ORDER BY job_id"
        assert rows.execute(states).fetchall() == [("m1", "WAITING", 0), ("m2", "DEAD", 9), ("h1", "WAITING", 9)]
        assert said(run("jobs", "retry", "--kind", "mail", "--state", "dead", *folder)) == [{"retried": 1}]
        assert rows.execute(states).fetchall()[1] == ("m2", "WAITING", 0)
    nothing, absent, wrong = (
        run("jobs", "retry", *arguments, *folder) for arguments in ((), ("99",), ("--state", "gone"))
    )
    assert (nothing.exit_code, absent.exit_code, wrong.exit_code) == (2, 1, 1)
    assert "state" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("serve", "--production"), {}, "zegel-server: ZEGEL_TLS_CERTIFICATE is needed, or --development: "),
        (("serve", "--development"), {"ZEGEL_DATABASE_URL": "mysql://x:hidden@y/z"}, "sqlite:///"),
        (("serve", "--development"), {"ZEGEL_DATABASE_POOL": "none"}, "database_pool"),
        (("serve", "--development", "--log-format", "xml"), {}, "log_format"),
        (("serve", "--development"), {"ZEGEL_DATABASE_URL": "postgresql://zegel:hidden@127.0.0.1:1/x"}, "database"),
        (("tenants", "list", "--production"), {}, "zegel-server: ZEGEL_TLS_CERTIFICATE is needed, or --development: "),
    ],
)
def test_it_says_in_a_line_what_is_wrong(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    done = run(*arguments, "--data-dir", str(tmp_path), **environment)
    assert done.exit_code in {1, 2}
    assert words in done.stderr
    assert done.stderr.startswith("zegel-server: ")
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr + done.stdout


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = process("serve", *in_folder(tmp_path), "--listen", listen)
    assert done.returncode == 1
    assert f"cannot listen on {listen}" in done.stderr


def test_a_schema_that_is_old_is_not_served(tmp_path: Path) -> None:
    production = {
        "ZEGEL_TLS_CERTIFICATE": "x",
        "ZEGEL_TLS_KEY": "x",
        "ZEGEL_SEAL_CERTIFICATE": "x",
        "ZEGEL_SEAL_KEY": "x",
        "ZEGEL_TIMESTAMP_URL": "https://tsa.example.com",
    }
    done = run("tenants", "list", "--production", "--data-dir", str(tmp_path), **production)
    assert done.exit_code == 1
    assert "run zegel-server migrate" in done.stderr


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        assert server.stop() == 0
    assert '"event": "stopped"' not in server.log.read_text(encoding="utf-8")  # answers go to standard output


def test_without_a_command_it_says_what_there_is() -> None:
    done = process()
    for command in ("serve", "migrate", "tenants", "keys"):
        assert command in done.stdout + done.stderr
