"""A real server with a neighbour of each kind that drips a byte a second, or takes connections and says nothing.

Whatever needs the neighbour ends with its reason; meanwhile other tenants call, upload and download.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import zegel
from support import openbao, postgres, versitygw
from support.dripping import dripping
from support.flow import Office, open_office, sign, until
from support.played_server import in_thread
from support.providers import CLIENT_ID, ForgingProvider, new_key
from support.server import ServerProcess, sqlite_server
from zegel.document.v1.document_service_pb2 import DownloadDocumentRequest, ListDocumentsRequest
from zegel.document.v1.document_service_pb2_grpc import DocumentServiceStub
from zegel.errors import from_call
from zegel.evidence.transparency import COSIGNATURE_ED25519, VerifierKey
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

pytestmark = [pytest.mark.faults, pytest.mark.slow]

MODES = ["dripping", "silent"]
ROUNDS = 5


def goes_on(office: Office) -> None:
    """Another tenant calls, uploads and downloads."""
    for _ in range(ROUNDS):
        document = office.upload()
        assert office.sender.documents.get_document(document_id=document.document_id).document == document
        assert office.sender.documents.download(document.document_id)


@contextlib.contextmanager
def offices(server: ServerProcess, told: str = "") -> Iterator[tuple[Office, Office]]:
    """The tenant that needs the neighbour, and another one.

    Args:
        server: The server.
        told: What alone the operator may be told of; empty for nothing.
    """
    with open_office(server, "Affected") as one, open_office(server, "Other") as other:
        yield one, other
        assert {str(each.get("why")) for each in server.defects()} <= ({told} if told else set())


def failure(server: ServerProcess, call: Callable[[grpc.Channel], Any]) -> zegel.ZegelError:
    """How a call fails, without the SDK's patience."""
    credentials = grpc.ssl_channel_credentials(server.authority)
    with grpc.secure_channel(server.listen, credentials) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            call(channel)
        return from_call(caught.value)


def witness_key() -> VerifierKey:
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return VerifierKey("slow.example/w", COSIGNATURE_ED25519, public)


def reason_of(office: Office, request: zegel.SignatureRequest) -> str:
    return office.get(request).sealing.last_reason


def _reason(office: Office, request: zegel.SignatureRequest) -> str | None:
    return reason_of(office, request) or None


@pytest.mark.parametrize("mode", MODES)
def test_timestamp_authority(mode: str) -> None:
    with dripping(mode=mode) as authority:
        settings = {"ZEGEL_TIMESTAMP_URL": f"http://{authority.address}/"}
        with sqlite_server(environment=settings) as server, offices(server) as (one, other):
            requests = [one.send() for _ in range(4)]  # more than are sealed at a time
            for request in requests:
                for index in range(2):
                    sign(one.signer(request, index), index)
            assert [reason_of(one, each) for each in requests] == [""] * 4
            goes_on(other)
            reasons = [until(partial(_reason, one, each), "its reason") for each in requests]
            assert set(reasons) == {"TIMESTAMP_UNAVAILABLE"}
            assert not any(one.get(each).sealing.blocked for each in requests)
            goes_on(other)


@pytest.mark.parametrize("mode", MODES)
def test_identity_provider(mode: str) -> None:
    with dripping(mode=mode) as provider:
        issuer = f"http://{provider.address}"
        settings = {"ZEGEL_IDENTITY_PROVIDER_ORIGINS": json.dumps([issuer])}
        with sqlite_server(environment=settings) as server, offices(server) as (one, other):
            told = zegel.IdentityProvider(issuer=issuer, audiences=[CLIENT_ID])
            one.owner.identity.set_identity_provider(identity_provider=told)
            forging = ForgingProvider(issuer, [new_key("k")])

            def exchange(channel: grpc.Channel) -> object:
                return IdentityServiceStub(channel).ExchangeToken(
                    identity.ExchangeTokenRequest(tenant_id=one.tenant_id),
                    metadata=(("authorization", f"Bearer {forging.token()}"),),
                    timeout=60,
                )

            waiting = [in_thread(lambda: failure(server, exchange)) for _ in range(8)]
            until(lambda: provider.asked or None, "a call to the provider")
            goes_on(other)
            failures = [each.result(60) for each in waiting]
            assert {(each.code.name, each.metadata["dependency"]) for each in failures} == {
                ("UNAVAILABLE", "identity_provider")
            }


@pytest.mark.parametrize("mode", MODES)
def test_witness(mode: str) -> None:
    with dripping(mode=mode) as witness:
        settings = {
            "ZEGEL_WITNESSES": json.dumps([f"{witness_key()} http://{witness.address}"]),
            "ZEGEL_WITNESSES_NEEDED": "1",
            "ZEGEL_WITNESS_WAIT": "1",
        }
        with sqlite_server(environment=settings) as server, offices(server) as (one, other):
            request = one.send()
            for index in range(2):
                sign(one.signer(request, index), index)
            until(lambda: witness.asked or None, "a call to the witness")
            goes_on(other)
            assert until(lambda: reason_of(one, request) or None, "its reason") == "NOT_WITNESSED_YET"
            goes_on(other)


@pytest.mark.parametrize("mode", MODES)
def test_key_provider(mode: str, tmp_path: Path) -> None:
    (tmp_path / "bao").mkdir()
    with openbao.server(tmp_path / "bao") as bao:
        url = bao.url()
        with dripping(urlsplit(url).netloc.rpartition("@")[2]) as way:
            own = url.replace(urlsplit(url).netloc.rpartition("@")[2], way.address)
            settings = {"ZEGEL_KEY_PROVIDERS": json.dumps({"own": own}), "ZEGEL_KEY_MAX_AGE_S": "0"}
            with sqlite_server(environment=settings) as server, offices(server) as (one, other):
                document = one.upload()
                program = [str(Path(sys.executable).parent / "zegel-server"), "tenants", "own-key"]
                subprocess.run(
                    [*program, one.tenant_id, "own", "--development", "--data-dir", str(server.data)],
                    check=True,
                    capture_output=True,
                    env={name: value for name, value in os.environ.items() if not name.startswith("ZEGEL_")} | settings,
                )
                assert one.sender.documents.download(document.document_id)
                way.mode = mode

                def download(channel: grpc.Channel) -> object:
                    request = DownloadDocumentRequest(document_id=document.document_id)
                    token = one.sender._call.token
                    return list(
                        DocumentServiceStub(channel).DownloadDocument(
                            request, metadata=(("authorization", f"Bearer {token}"),), timeout=60
                        )
                    )

                waiting = [in_thread(lambda: failure(server, download)) for _ in range(8)]
                goes_on(other)
                failures = [each.result(60) for each in waiting]
                assert {(each.code.name, each.metadata["dependency"]) for each in failures} == {
                    ("UNAVAILABLE", "key_provider")
                }
                way.mode = "well"
                assert one.sender.with_timeout(90).documents.download(document.document_id)


@pytest.mark.parametrize("mode", MODES)
def test_blob_store(mode: str, tmp_path: Path) -> None:
    """All tenants' documents are in it: what needs none goes on."""
    store = versitygw.start(tmp_path)
    try:
        with dripping(f"127.0.0.1:{store.port}") as way:
            bucket = store.bucket().partition("?")[0]
            settings = {
                **store.environment,
                "ZEGEL_BLOBS_URL": f"{bucket}?endpoint={quote(f'http://{way.address}')}",
            }
            with sqlite_server(environment=settings) as server, offices(server) as (one, other):
                document = one.upload()
                other.upload()
                way.mode = mode
                waiting = in_thread(lambda: _downloads(server, one, document))
                for _ in range(10 * ROUNDS):
                    assert list(other.sender.documents.list_documents())  # one that it uploaded
                assert not waiting.done()
                error = waiting.result(90)
                assert (error.code.name, error.metadata["dependency"]) == ("UNAVAILABLE", "storage")
                way.mode = "well"
                goes_on(other)
                assert one.sender.documents.download(document.document_id)
    finally:
        store.stop()


def _downloads(server: ServerProcess, office: Office, document: zegel.Document) -> zegel.ZegelError:
    token = office.sender._call.token
    request = DownloadDocumentRequest(document_id=document.document_id)
    return failure(
        server,
        lambda channel: list(
            DocumentServiceStub(channel).DownloadDocument(
                request, metadata=(("authorization", f"Bearer {token}"),), timeout=90
            )
        ),
    )


@pytest.mark.postgresql
@pytest.mark.parametrize("mode", MODES)
def test_database(mode: str, postgres_cluster: postgres.Cluster) -> None:
    """Everybody's rows are in it: every call says so, and works again afterwards without a restart."""
    name = postgres_cluster.create()
    try:
        url = postgres_cluster.url(name)
        real = urlsplit(url).netloc.rpartition("@")[2]
        with (
            dripping(real) as way,
            sqlite_server(database_url=url.replace(real, way.address)) as server,
            offices(server, "The database does not answer now.") as (one, other),
        ):
            document = one.upload()
            way.mode = mode
            waiting = [in_thread(partial(_lists, server, each)) for each in [one, other] * 10]
            for error in [each.result(60) for each in waiting]:
                assert (error.code.name, error.metadata.get("dependency")) == ("UNAVAILABLE", "database")
            way.mode = "well"
            until(lambda: _works(other), "that it is used again")
            goes_on(other)
            assert one.sender.documents.download(document.document_id)
    finally:
        postgres_cluster.drop(name)


def _lists(server: ServerProcess, office: Office) -> zegel.ZegelError:
    token = office.sender._call.token
    return failure(
        server,
        lambda channel: DocumentServiceStub(channel).ListDocuments(
            ListDocumentsRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=60
        ),
    )


def _works(office: Office) -> bool | None:
    try:
        office.sender.with_timeout(5).identity.get_tenant()
    except zegel.ZegelError:
        return None
    return True
