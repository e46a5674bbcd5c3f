"""The real grpcurl finds the services by reflection, describes them with their comments' place, and calls them."""

import json
import subprocess
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc_reflection.v1alpha import reflection_pb2

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


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_it_describes_a_method_by_its_own_name(
    on_sqlite: ServerProcess, authority: Path, service: ServiceDescriptor
) -> None:
    method = service.methods[0]
    described = grpcurl(on_sqlite, "describe", method.full_name, authority=authority)
    assert f"{method.full_name} is a method:" in described
    assert f"rpc {method.name} ( .{method.input_type.full_name} )" in described


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("zegel.error.v1.ErrorReason", "ERROR_REASON_REQUEST_ID_REUSED = 5;"),
        ("zegel.error.v1.ERROR_REASON_REQUEST_ID_REUSED", "ERROR_REASON_REQUEST_ID_REUSED = 5;"),
        ("zegel.document.v1.DOCUMENT_STATE_ACTIVE", "DOCUMENT_STATE_ACTIVE = "),
        ("zegel.signing.v1.SignatureRequest", "message SignatureRequest {"),
        ("zegel.signing.v1.SignatureRequest.state", "is a field:"),
        ("google.rpc.ErrorInfo", "message ErrorInfo {"),
        ("google.rpc.BadRequest.FieldViolation", "message FieldViolation {"),
        ("google.rpc.RetryInfo", "message RetryInfo {"),
        ("google.rpc.Status", "message Status {"),
        ("grpc.reflection.v1.ServerReflection", "service ServerReflection {"),
        ("grpc.reflection.v1alpha.ServerReflection", "service ServerReflection {"),
    ],
)
def test_it_describes_whatever_a_client_meets(on_sqlite: ServerProcess, authority: Path, name: str, told: str) -> None:
    assert told in grpcurl(on_sqlite, "describe", name, authority=authority)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_both_versions_of_reflection_answer_for_every_name(on_sqlite: ServerProcess, version: str) -> None:
    credentials = grpc.ssl_channel_credentials(on_sqlite.authority)
    names = [method.full_name for service in SERVICES.values() for method in service.methods]
    names += ["zegel.error.v1.ERROR_REASON_INTERNAL", "zegel.error.v1.ErrorReason", "zegel.nothing.v1.Nothing"]
    async with grpc.aio.secure_channel(on_sqlite.listen, credentials) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        asked = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names]
        answers = [answer async for answer in ask(iter(asked), timeout=30)]
    unknown = [each.original_request.file_containing_symbol for each in answers if each.HasField("error_response")]
    assert (len(answers), unknown) == (len(names), ["zegel.nothing.v1.Nothing"])


def test_ghz_calls_what_it_finds(on_sqlite: ServerProcess, authority: Path) -> None:
    ghz = [str(tool("ghz")), "--cacert", str(authority), "--call", "grpc.health.v1.Health.Check", "-n", "3", "-c", "1"]
    done = subprocess.run([*ghz, "-O", "json", on_sqlite.listen], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["statusCodeDistribution"] == {"OK": 3}


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
