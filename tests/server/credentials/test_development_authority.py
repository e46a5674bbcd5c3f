import concurrent.futures
import datetime as dt
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from support.tools import tool
from zegel_server.credentials import issuing
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.keyed_certificate import KeyedCertificate

SECRET = {"root.pem", "ca.pem", "timestamp-ca.pem", "tls.pem", "seal.pem", "timestamp.pem", "ocsp.pem"}
LISTS = ["root.crl", "ca.crl", "timestamp-ca.crl"]
FILES = {*SECRET, *LISTS, "authority.pem", ".lock"}
CERTIFIED = ("issuer", "timestamp_issuer", "tls", "seal", "timestamp", "responder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "authority"


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    moment = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=days)
    monkeypatch.setattr(issuing, "now", lambda: moment)


def test_first_start_makes_everything_and_shows_it_to_nobody(folder: Path) -> None:
    old = os.umask(0)
    try:
        DevelopmentAuthority.open(folder)
    finally:
        os.umask(old)
    assert {path.name for path in folder.iterdir()} == FILES
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir() if stat.S_IMODE(path.stat().st_mode) == 0o600} == SECRET | {".lock"}


def test_second_start_finds_the_same(folder: Path) -> None:
    first, second = DevelopmentAuthority.open(folder), DevelopmentAuthority.open(folder)
    for name in ("root", *CERTIFIED):
        assert getattr(first, name).chain == getattr(second, name).chain
        assert getattr(first, name).key_pem == getattr(second, name).key_pem
    assert first.crls == second.crls
    assert (folder / "authority.pem").read_bytes() == first.root_pem


def test_the_certificates_say_what_they_are_for(folder: Path) -> None:
    authority = DevelopmentAuthority.open(folder, organisation="Example Ltd")
    seal = authority.seal.certificate
    usage = seal.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.content_commitment
    assert not usage.value.key_cert_sign
    assert "O=Example Ltd" in seal.subject.rfc4514_string()
    stamp = authority.timestamp.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert stamp.critical
    assert list(stamp.value) == [x509.oid.ExtendedKeyUsageOID.TIME_STAMPING]
    for keyed, length in ((authority.root, 1), (authority.issuer, 0), (authority.timestamp_issuer, 0)):
        constraints = keyed.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, length)
    responder = authority.responder.certificate.extensions
    assert list(responder.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING
    ]
    assert x509.OCSPNoCheck.oid in {each.oid for each in responder}


def test_the_root_certifies_authorities_alone_and_one_of_them_time_alone(folder: Path) -> None:
    authority = DevelopmentAuthority.open(folder)
    for name, issuer in {
        "issuer": authority.root,
        "timestamp_issuer": authority.root,
        "tls": authority.issuer,
        "seal": authority.issuer,
        "responder": authority.issuer,
        "timestamp": authority.timestamp_issuer,
    }.items():
        keyed = getattr(authority, name)
        keyed.certificate.verify_directly_issued_by(issuer.certificate)
        assert keyed.certificates[1:] == issuer.certificates, name
        assert keyed.certificate.not_valid_after_utc <= issuer.certificate.not_valid_after_utc, name


@pytest.mark.parametrize(("leaf", "purpose"), [("seal", "any"), ("timestamp", "timestampsign"), ("tls", "sslserver")])
def test_openssl_accepts_each_leaf_for_its_purpose(folder: Path, leaf: str, purpose: str) -> None:
    authority = DevelopmentAuthority.open(folder)
    (folder / "leaf.pem").write_bytes(getattr(authority, leaf).certificate_pem)
    (folder / "crl.pem").write_bytes(b"".join(map(pem_of_crl, authority.crls)))
    command: list[str | Path] = [tool("openssl"), "verify", "-x509_strict", "-crl_check_all", "-purpose", purpose]
    trust: list[str | Path] = ["-CAfile", folder / "authority.pem", "-CRLfile", folder / "crl.pem"]
    files: list[str | Path] = ["-untrusted", folder / "leaf.pem", folder / "leaf.pem"]
    done = subprocess.run([*command, *trust, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for part in trust[1], trust[3]:  # nor is it for want of looking: each of them is needed
        without = [each for each in (*command, *trust, *files) if each not in {part, "-CAfile", "-CRLfile"}]
        assert subprocess.run(without, capture_output=True, check=False).returncode != 0


def pem_of_crl(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "zegel.example.org"])
def test_a_tls_client_that_trusts_the_root_connects_under_each_name(folder: Path, host: str) -> None:
    authority = DevelopmentAuthority.open(folder, ["zegel.example.org"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.pem")
    client = ssl.create_default_context(cadata=authority.root_pem.decode())
    left, right = socket.socketpair()
    thread = threading.Thread(target=lambda: server.wrap_socket(left, server_side=True).close())
    thread.start()
    with client.wrap_socket(right, server_hostname=host) as connection:
        assert connection.version() == "TLSv1.3"
    thread.join()


def test_other_names_get_another_tls_certificate_and_nothing_else(folder: Path) -> None:
    first = DevelopmentAuthority.open(folder)
    second = DevelopmentAuthority.open(folder, ["zegel.example.org"])
    assert first.tls.chain != second.tls.chain
    assert first.root_pem == second.root_pem
    assert first.seal.chain == second.seal.chain


@pytest.mark.parametrize(
    ("days", "renewed"),
    [
        (0.5, set()),
        (1.5, {"ca.crl", "timestamp-ca.crl"}),
        (11, {"ca.crl", "timestamp-ca.crl", "responder"}),
        (61, {*LISTS, "responder"}),
        (300, {*LISTS, "responder", "tls"}),
        (400, {*LISTS, "responder", "tls", "timestamp"}),
        (1100, {*LISTS, "responder", "tls", "timestamp", "seal"}),
        (365 * 7 + 1, {*LISTS, *CERTIFIED}),
    ],
)
def test_what_is_near_its_end_is_renewed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, days: int, renewed: set[str]
) -> None:
    first = DevelopmentAuthority.open(folder)
    chains, crls = {name: getattr(first, name).chain for name in CERTIFIED}, first.crls
    later(monkeypatch, days)
    second = DevelopmentAuthority.open(folder)
    changed = {name for name in CERTIFIED if chains[name] != getattr(second, name).chain}
    lists = {name for name, one, other in zip(LISTS, crls, second.crls, strict=True) if one != other}
    assert changed | lists == renewed
    assert first.root_pem == second.root_pem


def test_a_server_that_runs_renews_what_lives_for_days(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, neighbour = DevelopmentAuthority.open(folder), DevelopmentAuthority.open(folder)
    crls, responder = running.crls, running.responder
    assert running.crls is crls  # nothing is read while nothing is due
    for days in range(1, 40):
        later(monkeypatch, days + 0.01)
        for data in running.crls:
            until = x509.load_der_x509_crl(data).next_update_utc
            assert until is not None
            assert until > issuing.now() + dt.timedelta(days=5)
        assert running.responder.certificate.not_valid_after_utc > issuing.now() + dt.timedelta(days=19)
        assert neighbour.crls == running.crls  # of two processes one renews, the other reads
        assert neighbour.responder.chain == running.responder.chain
    assert running.crls[1] != crls[1]
    assert running.responder.chain != responder.chain


def root_of_the_first_version() -> KeyedCertificate:
    """It certified leaves itself, and may certify nothing else."""
    key, now = ec.generate_private_key(ec.SECP384R1()), issuing.now()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Zegel Development Root")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + issuing.ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA384())
    )
    return KeyedCertificate(key, (certificate,))


def test_a_folder_of_the_first_version_gets_a_new_root_and_its_old_one_stays_trusted(folder: Path) -> None:
    old = root_of_the_first_version()
    folder.mkdir()
    (folder / "root.pem").write_bytes(old.key_pem + old.certificate_pem)
    (folder / "root.pem").chmod(0o600)
    seal = issuing.make_seal(old, "Example Ltd")
    (folder / "seal.pem").write_bytes(seal.key_pem + seal.certificate_pem)
    (folder / "root.crl").write_bytes(issuing.make_crl(old, 12 * issuing.YEAR))
    (folder / "authority.pem").write_bytes(old.certificate_pem)

    opened = DevelopmentAuthority.open(folder)
    trusted = x509.load_pem_x509_certificates((folder / "authority.pem").read_bytes())
    assert trusted == [opened.root.certificate, old.certificate]
    assert opened.seal.certificates[1:] == opened.issuer.certificates
    assert x509.load_der_x509_crl(opened.crls[0]).issuer == opened.root.certificate.subject
    kept = folder / "root-1.pem"
    assert kept.read_bytes() == old.key_pem + old.certificate_pem
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = DevelopmentAuthority.open(folder)
    assert (again.root_pem, again.seal.chain) == (opened.root_pem, opened.seal.chain)


@pytest.mark.parametrize("name", sorted(FILES - {"root.pem", ".lock"}))
@pytest.mark.parametrize("damage", [lambda _: b"", lambda data: data[: len(data) // 2], lambda _: b"\xff" * 100])
def test_a_damaged_leaf_is_made_anew(folder: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    first = DevelopmentAuthority.open(folder)
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    second = DevelopmentAuthority.open(folder)
    assert first.root_pem == second.root_pem == (folder / "authority.pem").read_bytes()
    second.tls.certificate.verify_directly_issued_by(second.issuer.certificate)
    second.issuer.certificate.verify_directly_issued_by(second.root.certificate)


def test_a_leaf_of_another_root_is_replaced(folder: Path, tmp_path: Path) -> None:
    authority = DevelopmentAuthority.open(folder)
    DevelopmentAuthority.open(tmp_path / "other")
    (folder / "seal.pem").write_bytes((tmp_path / "other" / "seal.pem").read_bytes())
    DevelopmentAuthority.open(folder).seal.certificate.verify_directly_issued_by(authority.issuer.certificate)


def test_a_damaged_root_stops_the_start_and_is_kept(folder: Path) -> None:
    DevelopmentAuthority.open(folder)
    (folder / "root.pem").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="PEM"):
        DevelopmentAuthority.open(folder)
    assert (folder / "root.pem").read_bytes() == b"damaged"


def test_two_processes_at_once_agree(folder: Path) -> None:
    command = [sys.executable, "-c", program(folder, "print(hash_of(a))")]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: subprocess.run(command, capture_output=True, check=True), range(4)))
    assert len({d.stdout for d in done}) == 1
    assert {path.name for path in folder.iterdir()} == FILES


def program(folder: Path, end: str) -> str:
    return (
        f"import sys, hashlib, pathlib; sys.path[:0] = {sys.path!r}\n"
        "from zegel_server.credentials.development_authority import DevelopmentAuthority\n"
        "hash_of = lambda a: hashlib.sha256(a.root_pem + a.tls_key_pem + a.seal.key_pem + a.crls[1]).hexdigest()\n"
        f"a = DevelopmentAuthority.open(pathlib.Path({str(folder)!r}))\n{end}\n"
    )


@pytest.mark.faults
@pytest.mark.parametrize("step", range(1, 57))
def test_killed_anywhere_it_starts_again(folder: Path, step: int) -> None:
    # Dies at the n-th call that touches the disk: opening, synchronising or renaming a file.
    trap = (
        "import os, signal, pathlib\n"
        "left = [" + str(step) + "]\n"
        "def trapped(call):\n"
        "    def wrapped(*a, **k):\n"
        "        left[0] -= 1\n"
        "        if not left[0]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return call(*a, **k)\n"
        "    return wrapped\n"
        "os.open, os.fsync = trapped(os.open), trapped(os.fsync)\n"
        "pathlib.Path.replace = trapped(pathlib.Path.replace)\n"
    )
    done = subprocess.run([sys.executable, "-c", trap + program(folder, "")], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = (folder / "root.pem").read_bytes() if (folder / "root.pem").exists() else None
    authority = DevelopmentAuthority.open(folder)
    assert {path.name for path in folder.iterdir()} == FILES
    assert kept in {None, (folder / "root.pem").read_bytes()}
    for leaf in (authority.tls, authority.seal, authority.responder):
        leaf.certificate.verify_directly_issued_by(authority.issuer.certificate)
    authority.timestamp.certificate.verify_directly_issued_by(authority.timestamp_issuer.certificate)


def test_no_key_is_shown(folder: Path) -> None:
    authority = DevelopmentAuthority.open(folder)
    assert "PRIVATE" not in repr(authority)
    assert "key=" not in repr(authority.seal)


def test_an_organisations_own_identity_is_read_from_files(folder: Path, tmp_path: Path) -> None:
    seal = DevelopmentAuthority.open(folder).seal
    (tmp_path / "chain.pem").write_bytes(seal.certificate_pem)
    (tmp_path / "key.pem").write_bytes(seal.key_pem)
    identity = KeyedCertificate.from_pem_files(tmp_path / "chain.pem", tmp_path / "key.pem")
    assert identity.chain == seal.chain
    assert identity.signature_algorithm == "sha256_ecdsa"
    key = identity.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(identity.sign(b"data"), b"data", ec.ECDSA(identity.hash_algorithm))


def test_a_key_that_belongs_to_another_certificate_is_refused(folder: Path) -> None:
    authority = DevelopmentAuthority.open(folder)
    with pytest.raises(ValueError, match="does not belong"):
        KeyedCertificate.from_pem(authority.seal.certificate_pem, authority.tls.key_pem)


def test_keys_that_validators_do_not_know_or_find_weak_are_refused(folder: Path) -> None:
    certificates = DevelopmentAuthority.open(folder).seal.certificates
    unknown = ed25519.Ed25519PrivateKey.generate()
    pem = unknown.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(TypeError, match="ECDSA and RSA"):
        KeyedCertificate.from_pem(b"", pem)
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - refusing it is the test
    builder = x509.CertificateBuilder(certificates[0].issuer, certificates[0].subject, weak.public_key(), 1)
    builder = builder.not_valid_before(dt.datetime(2026, 1, 1)).not_valid_after(dt.datetime(2027, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="2048"):
        KeyedCertificate(weak, (builder.sign(weak, hashes.SHA256()),))
    with pytest.raises(ValueError, match="certificate is needed"):
        KeyedCertificate(weak, ())


def test_an_encrypted_key_is_read_with_its_password(folder: Path) -> None:
    seal = DevelopmentAuthority.open(folder).seal
    pem = seal.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    assert KeyedCertificate.from_pem(seal.certificate_pem, pem, b"password").key_pem == seal.key_pem
    with pytest.raises(TypeError):
        KeyedCertificate.from_pem(seal.certificate_pem, pem)
