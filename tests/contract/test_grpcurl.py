"""The real grpcurl finds the services by reflection, describes them with their comments' place, and calls them."""

import json
import subprocess
from pathlib import Path

import pytest

from support.server import ServerProcess, sqlite_server
from support.tools import tool
from zegel_server.core import SERVICES


def grpcurl(server: ServerProcess, *arguments: str, authority: Path, data: str = "", token: str = "") -> str:
    command = [str(tool("grpcurl")), "-cacert", str(authority), "-max-time", "20"]
    command += ["-H", f"authorization: Bearer {token}"] if token else []
    command += ["-d", data] if data else []
    done = subprocess.run([*command, server.listen, *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"failed: {done.stderr}"


@pytest.fixture
def authority(on_sqlite: ServerProcess, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    path.write_bytes(on_sqlite.authority)
    return path


def test_it_lists_every_service(on_sqlite: ServerProcess, authority: Path) -> None:
    listed = grpcurl(on_sqlite, "list", authority=authority).splitlines()
    assert {service.full_name for service in SERVICES.values()} <= set(listed)
    assert "grpc.health.v1.Health" in listed


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_it_describes_every_method(on_sqlite: ServerProcess, authority: Path, service: object) -> None:
    name = service.full_name  # type: ignore[attr-defined]
    described = grpcurl(on_sqlite, "describe", name, authority=authority)
    for method in service.methods:  # type: ignore[attr-defined]
        assert f"rpc {method.name} (" in described


def test_it_calls_with_a_token(on_sqlite: ServerProcess, authority: Path) -> None:
    made = json.loads(
        grpcurl(
            on_sqlite,
            "zegel.identity.v1.IdentityService/CreateTenant",
            authority=authority,
            data='{"name": "Acme"}',
            token=on_sqlite.operator_token,
        )
    )
    assert made["tenant"]["name"] == "Acme"
    session = json.loads(
        grpcurl(
            on_sqlite,
            "zegel.identity.v1.IdentityService/GetCurrentSession",
            authority=authority,
            token=made["api_key_token"],
        )
    )
    assert session["session"]["tenant_id"] == made["tenant"]["tenant_id"]


def test_it_shows_why_it_is_refused(on_sqlite: ServerProcess, authority: Path) -> None:
    refused = grpcurl(on_sqlite, "zegel.identity.v1.IdentityService/GetTenant", authority=authority)
    assert "Code: Unauthenticated" in refused
    assert "SESSION_MISSING" in refused


def test_it_asks_for_health(on_sqlite: ServerProcess, authority: Path) -> None:
    answered = json.loads(grpcurl(on_sqlite, "grpc.health.v1.Health/Check", authority=authority))
    assert answered == {"status": "SERVING"}


def test_without_reflection_it_finds_nothing(tmp_path: Path) -> None:
    with sqlite_server(environment={"ZEGEL_REFLECTION": "false"}) as server:
        path = tmp_path / "authority.pem"
        path.write_bytes(server.authority)
        assert "does not support the reflection API" in grpcurl(server, "list", authority=path)
