"""A running server whose tenants bring key providers of their own, moved there by the operator's command."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

import zegel
from support import openbao, softhsm
from support.flow import big_pdf, until, usual_fields, usual_signers
from support.pdfs import one_page
from support.server import ServerProcess, rows, sqlite_server
from zegel.document.v1 import document_service_pb2_grpc
from zegel.errors import from_call

PROGRAM = str(Path(sys.executable).parent / "zegel-server")
MAX_AGE_S = 0.5
TAKEN = (
    "SESSION_REVOKED",
    "API_KEY_REVOKED",
    "SIGNER_LINK_REVOKED",
    "TEAM_MEMBER_REMOVED",
    "ROLE_TAKEN",
    "MEMBER_DELETED",
)
KILLS = int(os.environ.get("ZEGEL_KILL_CYCLES", "6"))

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(max(600, 60 * KILLS))]


class Partner:
    """A tenant with a document, and its client."""

    def __init__(self, server: ServerProcess, name: str) -> None:
        with server.client(server.operator_token) as operator:
            made = operator.identity.create_tenant(name=name)
        self.tenant_id, self.token = made.tenant.tenant_id, made.api_key_token
        self.data = one_page(b"")
        self.reads, self.failures = 0, list[BaseException]()
        with server.client(self.token) as client:
            self.document_id = client.documents.upload(self.data, title="Lease").document_id

    def read(self, client: zegel.Client) -> None:
        assert client.documents.download(self.document_id) == self.data
        self.reads += 1

    def refused(self, server: ServerProcess) -> zegel.errors.ZegelError:
        """How a download is refused, without the SDK's patience."""
        credentials = grpc.ssl_channel_credentials(server.authority)
        with grpc.secure_channel(server.listen, credentials) as channel:
            stub = document_service_pb2_grpc.DocumentServiceStub(channel)
            request = zegel.DownloadDocumentRequest(document_id=self.document_id)
            with pytest.raises(grpc.RpcError) as caught:
                list(stub.DownloadDocument(request, metadata=(("authorization", f"Bearer {self.token}"),), timeout=30))
        return from_call(caught.value)

    def provider(self, client: zegel.Client) -> str:
        return str(client.identity.get_tenant().tenant.key_provider)


def command(server: ServerProcess, *arguments: str, **more: Any) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEGEL_")}
    return subprocess.Popen(
        [PROGRAM, *arguments, "--development", "--data-dir", str(server.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean | dict(server.environment) | more,
    )


def said(server: ServerProcess, *arguments: str, status: int = 0, **more: Any) -> tuple[list[dict[str, Any]], str]:
    with command(server, *arguments, **more) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == status, (out, err)
    return [json.loads(line) for line in out.splitlines()], err


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openbao.Bao]:
    with openbao.server(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture(scope="module")
def urls(bao: openbao.Bao, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with softhsm.token(tmp_path_factory.mktemp("softhsm")) as soft:
        yield {"acme": bao.url(), "lumen": soft.url}


def let_keys_age() -> None:
    """Lets the age pass after which an open key is asked for again: what is promised holds from then on."""
    time.sleep(MAX_AGE_S)


def settings(urls: Mapping[str, str]) -> dict[str, str]:
    return {"ZEGEL_KEY_PROVIDERS": json.dumps(dict(urls)), "ZEGEL_KEY_MAX_AGE_S": str(MAX_AGE_S)}


@pytest.fixture
def server(urls: dict[str, str]) -> Iterator[ServerProcess]:
    with sqlite_server(environment=settings(urls)) as server:
        yield server


def test_two_tenants_own_their_keys_and_take_them_away(
    server: ServerProcess, bao: openbao.Bao, urls: dict[str, str]
) -> None:
    acme, lumen, plain = (Partner(server, name) for name in ("Acme", "Lumen", "Plain"))
    with server.client(acme.token) as a, server.client(lumen.token) as b, server.client(plain.token) as c:
        assert [acme.provider(a), lumen.provider(b), plain.provider(c)] == ["", "", ""]
        for partner, name in ((acme, "acme"), (lumen, "lumen")):
            [done] = said(server, "tenants", "own-key", partner.tenant_id, name)[0]
            assert (done["key_provider"], done["tenant_keys"], done["destroyed"]) == (name, 1, 0)
        assert [acme.provider(a), lumen.provider(b), plain.provider(c)] == ["acme", "lumen", ""]
        let_keys_age()
        for partner, client in ((acme, a), (lumen, b), (plain, c)):
            partner.read(client)
        listed = {each["tenant_id"]: each["key_provider"] for each in said(server, "tenants", "list")[0]}
        assert (listed[acme.tenant_id], listed[plain.tenant_id]) == ("acme", "installation")
        assert {each["root_key_id"].rpartition(":")[0] for each in said(server, "keys", "list")[0]} == {
            "",
            "acme",
            "lumen",
        }
        # A session of the tenant sees the provider and cannot set it.
        tenant = a.identity.get_tenant().tenant
        tenant.key_provider = "lumen"
        assert a.identity.update_tenant(tenant=tenant).tenant.key_provider == "acme"

        mount = urls["acme"].partition("?")[0].rpartition("/")[2]
        bao.call("POST", f"sys/policies/acl/{mount}", policy='path "nothing" { capabilities = ["read"] }')
        let_keys_age()
        refused = acme.refused(server)
        assert isinstance(refused, zegel.errors.Unavailable)
        assert refused.metadata == {"dependency": "key_provider"}
        # Who is let in is known without keys: the tenant still sees itself, and the others do not notice.
        assert acme.provider(a) == "acme"
        lumen.read(b)
        plain.read(c)
        bao.call("POST", f"sys/policies/acl/{mount}", policy=openbao.POLICY.format(mount=mount))
        acme.read(a)
    assert server.defects() == []


def test_a_move_that_is_killed_anywhere_leaves_the_tenant_whole(server: ServerProcess) -> None:
    """The command is killed at random moments while the tenant's documents are read all the time."""
    partner = Partner(server, "Acme")
    over = threading.Event()

    def read_on() -> None:
        with server.client(partner.token) as client:
            while not over.is_set():
                try:
                    partner.read(client)
                except (zegel.errors.ZegelError, AssertionError) as error:
                    partner.failures.append(error)

    reader = threading.Thread(target=read_on)
    reader.start()
    dice, killed = random.Random(7), 0  # noqa: S311 - no secret
    try:
        began = time.monotonic()
        said(server, "tenants", "own-key", partner.tenant_id, "acme")
        takes = time.monotonic() - began
        for number in range(KILLS):
            to = ("lumen", "installation", "acme")[number % 3]
            with command(server, "tenants", "own-key", partner.tenant_id, to) as process:
                time.sleep(takes * dice.uniform(0.5, 1.0))
                if process.poll() is None:
                    process.kill()
                    killed += 1
                process.communicate()
        [done] = said(server, "tenants", "own-key", partner.tenant_id, "lumen")[0]
        assert done["key_provider"] == "lumen"
        let_keys_age()
        seen = partner.reads
        until(lambda: partner.failures or partner.reads > seen + 1 or None, "reads with the key as it is now")
    finally:
        over.set()
        reader.join()
    assert partner.failures == []
    assert partner.reads > 5
    assert killed > 0
    assigned = rows(server.rows_url, "SELECT key_provider FROM own_key_providers")
    kept = rows(server.rows_url, f"SELECT root_key_id FROM tenant_keys WHERE tenant_id = '{partner.tenant_id}'")  # noqa: S608
    assert [row[0] for row in assigned] == ["lumen"]
    assert all(row[0].startswith("lumen:") for row in kept)
    assert server.defects() == []


def test_access_can_be_taken_away_while_the_tenants_key_is_away(
    server: ServerProcess, bao: openbao.Bao, urls: dict[str, str]
) -> None:
    acme = Partner(server, "Acme")
    said(server, "tenants", "own-key", acme.tenant_id, "acme")
    mount = urls["acme"].partition("?")[0].rpartition("/")[2]
    with server.client(acme.token) as client:
        identity, permissions, signing = client.identity, client.permissions, client.signing
        people = [
            identity.create_member(name=name, email=f"{name}@example.com", roles=["manager"]).member.member_id
            for name in ("ann", "ben")
        ]
        ann, ben = [identity.create_session(member_id=each) for each in people]
        key = identity.create_api_key(name="program", roles=["developer"])
        team = permissions.create_team(name="Lettings").team.team_id
        permissions.add_team_member(team_id=team, principal_id=people[1])
        request = signing.create_signature_request(
            title="Lease",
            documents=[zegel.RequestedDocument(document_id=acme.document_id)],
            signers=usual_signers(),
            fields=usual_fields(),
        ).signature_request
        link = signing.create_signer_link(
            signature_request_id=request.signature_request_id, signature_id=request.signatures[0].signature_id
        )

        bao.call("POST", f"sys/policies/acl/{mount}", policy='path "nothing" { capabilities = ["read"] }')
        let_keys_age()
        assert isinstance(acme.refused(server), zegel.errors.Unavailable)
        identity.revoke_session(session_id=ann.session.session_id)
        assert identity.revoke_api_key(api_key_id=key.api_key.api_key_id).api_key.HasField("revoke_time")
        signing.revoke_signer_link(
            signature_request_id=request.signature_request_id, signer_link_id=link.signer_link_id
        )
        permissions.remove_team_member(team_id=team, principal_id=people[1])
        permissions.take_role(principal_id=people[0], role="manager")
        identity.delete_member(member_id=people[1])
        for token, error in (
            (ann.token, zegel.errors.Unauthenticated),
            (ben.token, zegel.errors.Unauthenticated),
            (key.token, zegel.errors.Unauthenticated),
        ):
            with server.client(token) as gone, pytest.raises(error):
                gone.identity.get_current_session()
        bao.call("POST", f"sys/policies/acl/{mount}", policy=openbao.POLICY.format(mount=mount))

        def all_told() -> dict[str, Any] | None:
            found = {zegel.EventType(each.type).name: each for each in client.audit.list_events()}
            return found if found.keys() >= set(TAKEN) else None

        told = until(all_told, "the events")
        taken = [told[name] for name in TAKEN]
        assert [each.personal.address for each in taken] == [""] * len(TAKEN)
        for each in taken:
            leaf = json.loads(each.leaf)
            assert (leaf["personal"], leaf["personal_missing"]) == (None, "key_away")
            assert leaf["actor"] == each.principal_id != ""
        assert told["API_KEY_CREATED"].personal.address
        assert "personal_missing" not in json.loads(told["API_KEY_CREATED"].leaf)
        acme.read(client)
    [checked], _ = said(server, "audit", "check")
    assert (checked["ok"], checked["unread"]) == (True, 0)
    assert server.defects() == []


FIXED_WINDOW = [("grpc.http2.bdp_probe", 0)]
"""Channel arguments: a message or two are under way. gRPC would widen the window of a connection that answers late, as
on a machine under load, until a slow reader has all of a document before the server looks at the key again."""


def ending_of(stream: Iterable[Any]) -> zegel.errors.ZegelError:
    """How a stream ends badly for a slow reader, who holds the server back: of 32 MiB, for half a minute."""
    try:
        for _ in stream:
            time.sleep(1)
    except grpc.RpcError as error:
        return from_call(error)
    raise AssertionError("it ended well")


def test_a_download_that_runs_ends_when_the_key_is_taken_away(
    server: ServerProcess, bao: openbao.Bao, urls: dict[str, str]
) -> None:
    acme = Partner(server, "Acme")
    said(server, "tenants", "own-key", acme.tenant_id, "acme")
    mount = urls["acme"].partition("?")[0].rpartition("/")[2]
    with server.client(acme.token) as client:
        document = client.documents.upload(big_pdf(32 << 20), title="Survey")
    credentials = grpc.ssl_channel_credentials(server.authority)
    with grpc.secure_channel(server.listen, credentials, FIXED_WINDOW) as channel:
        stub = document_service_pb2_grpc.DocumentServiceStub(channel)
        request = zegel.DownloadDocumentRequest(document_id=document.document_id)
        stream: Any = stub.DownloadDocument(request, metadata=(("authorization", f"Bearer {acme.token}"),))
        next(stream)
        bao.call("POST", f"sys/policies/acl/{mount}", policy='path "nothing" { capabilities = ["read"] }')
        try:
            ended = ending_of(stream)
        finally:
            bao.call("POST", f"sys/policies/acl/{mount}", policy=openbao.POLICY.format(mount=mount))
    assert isinstance(ended, zegel.errors.Unavailable)
    assert ended.metadata == {"dependency": "key_provider"}
    assert server.defects() == []


def test_a_server_without_a_tenants_provider_starts_and_fails_that_tenant_alone(
    server: ServerProcess, urls: dict[str, str]
) -> None:
    partner, plain = Partner(server, "Acme"), Partner(server, "Plain")
    said(server, "tenants", "own-key", partner.tenant_id, "acme")
    server.stop()
    server.environment = settings({"lumen": urls["lumen"]})
    server.start()
    with server.client(partner.token) as a, server.client(plain.token) as b:
        refused = partner.refused(server)
        assert isinstance(refused, zegel.errors.Unavailable)
        assert refused.metadata == {"dependency": "key_provider"}
        assert "not set up" in str(refused)
        plain.read(b)
    # The operator's commands do what they can for all others, and say what they could not.
    told, err = said(server, "keys", "rotate", "all", "--root", status=1)
    assert plain.tenant_id in {each["tenant_id"] for each in told}
    assert partner.tenant_id not in {each["tenant_id"] for each in told}
    assert err == f"zegel-server: {partner.tenant_id}: The tenant's key provider is not set up on this server.\n"
    told, _ = said(server, "blobs", "scrub", status=1)
    assert [each.get("resource") for each in told] == [partner.document_id, None]
    assert (told[-1]["checked"], told[-1]["damaged"]) == (2, 1)
    [checked], _ = said(server, "audit", "check")
    assert checked["ok"]
    assert checked["unread"] > 0
    _, err = said(server, "tenants", "own-key", plain.tenant_id, "acme", status=1)
    assert err == "zegel-server: no key provider 'acme': there are installation, lumen\n"
    server.stop()
    server.environment = settings(urls)
    server.start()
    with server.client(partner.token) as a:
        partner.read(a)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("not json", "key_providers"),
        ('{"Acme": "local:/x"}', "a key provider's name"),
        ('{"installation": "local:/x"}', "a key provider's name"),
        ('{"acme": "vault://host/transit?token=s3cret"}', "key_providers.acme: a key provider's Vault URL"),
    ],
)
def test_settings_that_are_wrong_are_told_without_what_they_hold(tmp_path: Path, value: str, words: str) -> None:
    server = ServerProcess(tmp_path, environment={"ZEGEL_KEY_PROVIDERS": value})
    with command(server, "tenants", "list") as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode in {1, 2}
    assert words in err
    assert "s3cret" not in err
    assert "Traceback" not in err
