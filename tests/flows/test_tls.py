"""TLS of a real server: its versions, a renewed certificate, and mutual TLS with sessions bound to certificates."""

import hashlib
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import zegel
from support.certificates import Authority
from support.flow import refused, usual_fields, usual_signers
from support.sealed import make_pdf
from support.server import ServerProcess
from support.tools import tool


def write(folder: Path, name: str, pair: tuple[bytes, bytes]) -> tuple[Path, Path]:
    """Writes certificate and key as an operator's tool does: each file is there whole."""
    paths = (folder / f"{name}.pem", folder / f"{name}.key")
    for path, data in zip(paths, pair, strict=True):
        new = path.with_suffix(path.suffix + ".new")
        new.write_bytes(data)
        new.replace(path)
    return paths


@dataclass(frozen=True)
class Secure:
    """A server with a certificate of the test's authority.

    Attributes:
        authority: Who vouches for it.
        process: The server.
        folder: Where its certificate is.
    """

    authority: Authority
    process: ServerProcess
    folder: Path

    def client(self, token: str, pair: tuple[bytes, bytes] | None = None) -> zegel.Client:
        certificates, key = pair or (None, None)
        return zegel.Client(
            self.process.listen,
            token=token,
            root_certificates=self.authority.pem,
            client_certificates=certificates,
            client_key=key,
        )

    def shown(self) -> str:
        """SHA-256 of the certificate that a new connection is shown."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        context.set_alpn_protocols(["h2"])
        host, _, port = self.process.listen.rpartition(":")
        with (
            socket.create_connection((host, int(port))) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            return hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()


def fingerprint(pem: bytes) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()


def serving(mutual: Authority | None) -> Iterator[Secure]:
    authority = Authority()
    with tempfile.TemporaryDirectory(prefix="zegel-test-") as name:
        folder = Path(name)
        certificate, key = write(folder, "tls", authority.issue())
        settings = {"ZEGEL_TLS_CERTIFICATE": str(certificate), "ZEGEL_TLS_KEY": str(key)}
        if mutual is not None:
            (folder / "clients.pem").write_bytes(mutual.pem)
            settings["ZEGEL_TLS_CLIENT_AUTHORITY"] = str(folder / "clients.pem")
        with ServerProcess(folder, environment=settings) as process:
            yield Secure(authority, process, folder)


@pytest.fixture(scope="module")
def secure() -> Iterator[Secure]:
    yield from serving(None)


CLIENTS = Authority("Partners' authority")


@pytest.fixture(scope="module")
def mutual() -> Iterator[Secure]:
    yield from serving(CLIENTS)


# ----------------------------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("version", "taken"), [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]
)
def test_old_versions_are_refused(secure: Secure, version: str, taken: bool) -> None:
    (secure.folder / "authority.pem").write_bytes(secure.authority.pem)
    command = [str(tool("openssl")), "s_client", "-connect", secure.process.listen, version, "-alpn", "h2"]
    # The lowest security level, or this openssl itself would not offer the old ones.
    command += ["-cipher", "DEFAULT@SECLEVEL=0", "-CAfile", str(secure.folder / "authority.pem")]
    ran = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
    output = ran.stdout + ran.stderr
    assert (ran.returncode == 0) is taken, output.decode(errors="replace")
    assert (b"Verify return code: 0 (ok)" in output and b"ALPN protocol: h2" in output) is taken
    if not taken:
        assert b"no peer certificate available" in output
        assert b"no protocols available" not in output, "this openssl does not offer it at all"


# ------------------------------------------------------------------------------------------------------------ renewal


def test_a_renewed_certificate_is_shown_without_a_restart(secure: Secure) -> None:
    with secure.client(secure.process.operator_token) as old:
        old.identity.get_current_session()
        for _ in range(2):
            pair = secure.authority.issue()
            write(secure.folder, "tls", pair)
            assert secure.shown() == fingerprint(pair[0])
            old.identity.get_current_session()  # connections that stand go on
            with secure.client(secure.process.operator_token) as new:
                new.identity.get_current_session()


@pytest.mark.parametrize("broken", [b"", b"no certificate", None])
def test_a_broken_renewal_leaves_the_last_good_one(secure: Secure, broken: bytes | None) -> None:
    good = secure.authority.issue()
    write(secure.folder, "tls", good)
    assert secure.shown() == fingerprint(good[0])
    if broken is None:
        (secure.folder / "tls.pem").unlink()
    else:
        write(secure.folder, "tls", (broken, good[1]))
    assert secure.shown() == fingerprint(good[0])
    # Half of a renewal: the certificate is there, and not yet its key.
    pair = secure.authority.issue()
    write(secure.folder, "tls", (pair[0], good[1]))
    assert secure.shown() == fingerprint(good[0])
    write(secure.folder, "tls", pair)
    assert secure.shown() == fingerprint(pair[0])


# --------------------------------------------------------------------------------------------------------- mutual TLS


def test_who_shows_no_certificate_is_not_let_in(mutual: Secure) -> None:
    others = (None, mutual.authority.issue("server's own authority"), Authority("Anybody").issue("anybody"))
    for pair in others:
        with mutual.client(mutual.process.operator_token, pair) as client, pytest.raises(zegel.ZegelError) as caught:
            client.with_timeout(3.0).identity.get_current_session()
        assert caught.value.code.name in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    with mutual.client(mutual.process.operator_token, CLIENTS.issue("partner")) as client:
        client.identity.get_current_session()


def test_sessions_are_bound_to_the_certificate_of_who_opened_them(mutual: Secure) -> None:
    ours, theirs = CLIENTS.issue("partner"), CLIENTS.issue("another partner")
    with mutual.client(mutual.process.operator_token, ours) as root, mutual.client("", theirs) as elsewhere:
        # An API key is bound to nothing: it is what a certificate is put beside.
        owner = root.with_token(root.identity.create_tenant(name="Bound").api_key_token)
        member = owner.identity.create_member(name="Noor", email="noor@example.com", roles=["admin"]).member
        token = owner.identity.create_session(member_id=member.member_id).token
        sender = root.with_token(token)
        document = sender.documents.upload(make_pdf("Lease"), title="Lease")
        with refused("UNAUTHENTICATED", "SESSION_BOUND_ELSEWHERE"):
            elsewhere.with_token(token).documents.get_document(document_id=document.document_id)

        # What such a session opens is bound as well.
        own = sender.identity.create_session(member_id=member.member_id).token
        root.with_token(own).identity.get_current_session()
        with refused("UNAUTHENTICATED", "SESSION_BOUND_ELSEWHERE"):
            elsewhere.with_token(own).identity.get_current_session()

        request = sender.signing.create_signature_request(
            title="Lease",
            documents=[zegel.RequestedDocument(document_id=document.document_id)],
            signers=usual_signers(1),
            fields=usual_fields(1),
        ).signature_request
        signer = sender.signing.create_signer_session(
            signature_request_id=request.signature_request_id, signature_id=request.signatures[0].signature_id
        ).token
        root.with_token(signer).ceremony.open_ceremony()
        with refused("UNAUTHENTICATED", "SESSION_BOUND_ELSEWHERE"):
            elsewhere.with_token(signer).ceremony.open_ceremony()

        # A link is for handing over: the session is bound to whoever redeems it.
        link = sender.signing.create_signer_link(
            signature_request_id=request.signature_request_id, signature_id=request.signatures[0].signature_id
        ).token
        handed = elsewhere.exchange(link)
        handed.ceremony.open_ceremony()
        with refused("UNAUTHENTICATED", "SESSION_BOUND_ELSEWHERE"):
            root.with_token(handed._call.token).ceremony.open_ceremony()


def test_a_renewed_certificate_of_a_client_takes_a_new_session(mutual: Secure) -> None:
    before, after = CLIENTS.issue("partner"), CLIENTS.issue("partner")
    with mutual.client(mutual.process.operator_token, before) as root:
        key = root.identity.create_tenant(name="Renewed").api_key_token
        owner = root.with_token(key)
        member = owner.identity.create_member(name="Noor", email="noor@example.com", roles=["member"]).member
        token = owner.identity.create_session(member_id=member.member_id).token
    with mutual.client(key, after) as owner:
        with refused("UNAUTHENTICATED", "SESSION_BOUND_ELSEWHERE"):
            owner.with_token(token).identity.get_current_session()
        token = owner.identity.create_session(member_id=member.member_id).token
        owner.with_token(token).identity.get_current_session()
