import asyncio
import dataclasses
import datetime as dt
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from asn1crypto import cms, core, crl, tsp, x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import CertificateBuilder
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.general import SigningError
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko.sign.validation import async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore

from support.require import need
from support.sealed import make_pdf, seal_spec
from support.tools import find, tool
from zegel_server.pdf.authority import DevelopmentAuthority
from zegel_server.pdf.identity import KeyedCertificate
from zegel_server.pdf.sealing import SealSpec, seal_pdf
from zegel_server.pdf.timestamping import LocalTimestampAuthority, Response

PDF = make_pdf()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentAuthority:
    return DevelopmentAuthority.open(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def respond(authority: DevelopmentAuthority) -> Callable[[bytes], bytes]:
    return LocalTimestampAuthority(authority.timestamp).respond


@pytest.fixture(scope="module")
def sealed(authority: DevelopmentAuthority, respond: Callable[[bytes], bytes]) -> bytes:
    return seal_pdf(
        PDF, seal_spec(authority, location="Here", contact="help@example.org"), authority.seal.sign, respond
    )


def with_key(authority: DevelopmentAuthority, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> KeyedCertificate:
    """The seal's certificate over another key, as another provider would issue it."""
    old = authority.seal.certificate
    builder = CertificateBuilder(
        old.issuer,
        old.subject,
        key.public_key(),
        old.serial_number + 1,
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    certificate = builder.sign(authority.issuer.key, authority.issuer.hash_algorithm)
    return KeyedCertificate(key, (certificate, *authority.issuer.certificates))


def test_the_document_itself_is_not_touched(sealed: bytes) -> None:
    assert sealed.startswith(PDF)


def test_the_seal_is_a_certification_that_permits_nothing(sealed: bytes, authority: DevelopmentAuthority) -> None:
    reader = PdfFileReader(io.BytesIO(sealed))
    seal, stamp = reader.embedded_signatures
    assert seal.docmdp_level == MDPPerm.NO_CHANGES
    assert reader.root["/Perms"]["/DocMDP"] == seal.sig_object
    assert seal.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    assert stamp.sig_object["/SubFilter"] == "/ETSI.RFC3161"
    assert [seal.field_name, stamp.field_name] == ["ZegelSeal", "ZegelTimestamp"]
    assert seal.sig_object["/Reason"] == "Completed"
    assert seal.sig_object["/Location"] == "Here"
    assert seal.sig_object["/ContactInfo"] == "help@example.org"
    assert seal.signer_cert.dump() == authority.seal.chain[0]
    assert "/DSS" in reader.root
    assert seal.sig_field["/Rect"] == [0, 0, 0, 0]


def test_it_claims_the_time_it_was_given(authority: DevelopmentAuthority, respond: Callable[[bytes], bytes]) -> None:
    spec = seal_spec(authority, signing_time="2026-11-24T08:09:10+02:00")
    pdf = seal_pdf(PDF, spec, authority.seal.sign, respond)
    (seal,) = PdfFileReader(io.BytesIO(pdf)).embedded_regular_signatures
    assert seal.self_reported_timestamp == dt.datetime(2026, 11, 24, 6, 9, 10, tzinfo=dt.UTC)


def test_the_key_signs_once_and_what_it_signs_are_the_signed_attributes(
    authority: DevelopmentAuthority, respond: Callable[[bytes], bytes]
) -> None:
    asked: list[bytes] = []

    def sign(data: bytes) -> bytes:
        asked.append(data)
        return authority.seal.sign(data)

    pdf = seal_pdf(PDF, seal_spec(authority), sign, respond)
    (data,) = asked
    (seal,) = PdfFileReader(io.BytesIO(pdf)).embedded_regular_signatures
    assert data == seal.signer_info["signed_attrs"].untag().dump()
    digest = {a["type"].native: a["values"][0].native for a in cms.CMSAttributes.load(data)}["message_digest"]
    assert digest == seal.compute_digest()


def test_the_specification_survives_json_with_its_bytes_beside_it(authority: DevelopmentAuthority) -> None:
    spec = seal_spec(authority)
    blobs: list[bytes] = []

    def split(value: object) -> object:
        if isinstance(value, list):
            blobs.extend(value)
            return len(value)
        return value

    text = json.dumps({name: split(value) for name, value in dataclasses.asdict(spec).items()})
    rest = iter(blobs)
    loaded: dict[str, Any] = {
        n: [next(rest) for _ in range(v)] if isinstance(v, int) else v for n, v in json.loads(text).items()
    }
    assert SealSpec(**loaded) == spec


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "sha256_ecdsa"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "sha384_ecdsa"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "sha512_ecdsa"),
        (lambda: rsa.generate_private_key(65537, 2048), "sha256_rsa"),
    ],
)
async def test_every_kind_of_key_seals_so_that_pyhanko_agrees(
    authority: DevelopmentAuthority,
    make: Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey],
    algorithm: str,
) -> None:
    identity = with_key(authority, make())
    assert identity.signature_algorithm == algorithm
    spec = seal_spec(authority, chain=identity.chain, signature_algorithm=algorithm)
    stamp = LocalTimestampAuthority(authority.timestamp).respond
    pdf = await asyncio.to_thread(seal_pdf, PDF, spec, identity.sign, stamp)  # it has its own loop, as in the worker
    reader = PdfFileReader(io.BytesIO(pdf))
    root = x509.Certificate.load(authority.root.chain[0])
    settings = {"trust_roots": [root], "allow_fetching": False, "revocation_mode": "require"}
    context = DocumentSecurityStore.read_dss(reader).as_validation_context(settings)  # nothing but what the file holds
    status = await async_validate_pdf_signature(reader.embedded_signatures[0], context)
    assert status.bottom_line, status.pretty_print_details()
    stamped = await async_validate_pdf_timestamp(reader.embedded_signatures[1], context)
    assert stamped.valid
    assert stamped.intact
    assert stamped.trusted


def test_pdfsig_finds_the_seal_valid(sealed: bytes, authority: DevelopmentAuthority, tmp_path: Path) -> None:
    (tmp_path / "sealed.pdf").write_bytes(sealed)
    done = subprocess.run([tool("pdfsig"), tmp_path / "sealed.pdf"], capture_output=True, text=True, check=True)
    seal, stamp = done.stdout.split("Signature #")[1:]
    assert "Signature is Valid." in seal
    assert "ETSI.CAdES.detached" in seal
    assert "Total document signed" in stamp


def test_pdfsig_trusts_the_seal_under_the_root(sealed: bytes, authority: DevelopmentAuthority, tmp_path: Path) -> None:
    pdfsig = tool("pdfsig")
    need(find("certutil"), "the program certutil", "apt-get install libnss3-tools")
    (tmp_path / "sealed.pdf").write_bytes(sealed)
    (tmp_path / "root.pem").write_bytes(authority.root_pem)
    store = tmp_path / "store"
    store.mkdir()
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-n", "root", "-t", "CT,C,C", "-i", str(tmp_path / "root.pem")],
    ):
        subprocess.run([tool("certutil"), "-d", f"sql:{store}", *arguments], check=True, capture_output=True)
    command: list[str | Path] = [pdfsig, "-nssdir", f"sql:{store}", tmp_path / "sealed.pdf"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Certificate is Trusted." in done.stdout


def test_qpdf_finds_nothing_wrong(sealed: bytes, tmp_path: Path) -> None:
    (tmp_path / "sealed.pdf").write_bytes(sealed)
    done = subprocess.run(
        [tool("qpdf"), "--check", tmp_path / "sealed.pdf"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_openssl_verifies_both_timestamps(sealed: bytes, authority: DevelopmentAuthority, tmp_path: Path) -> None:
    openssl = tool("openssl")
    (tmp_path / "root.pem").write_bytes(authority.root_pem)
    (tmp_path / "issuer.pem").write_bytes(authority.timestamp_issuer.certificate_pem)
    seal, stamp = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    on_seal = next(a for a in seal.signer_info["unsigned_attrs"] if a["type"].native == "signature_time_stamp_token")
    tokens = [
        (cms.ContentInfo.load(stamp.pkcs7_content).dump(), stamp.compute_digest()),
        (on_seal["values"][0].dump(), sha256(seal.signer_info["signature"].native).digest()),
    ]
    for token, digest in tokens:
        (tmp_path / "token").write_bytes(token)
        command: list[str | Path] = [
            openssl,
            "ts",
            "-verify",
            "-digest",
            digest.hex(),
            "-token_in",
            "-in",
            "token",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "issuer.pem",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class RefusedError(Exception):
    pass


def refuse(_: bytes) -> bytes:
    raise RefusedError


def test_without_a_signature_there_is_no_file(
    authority: DevelopmentAuthority, respond: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(RefusedError):
        seal_pdf(PDF, seal_spec(authority), refuse, respond)


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_without_every_timestamp_there_is_no_file(
    authority: DevelopmentAuthority, respond: Callable[[bytes], bytes], answered: int
) -> None:
    left = [answered]

    def timestamp(request: bytes) -> bytes:
        left[0] -= 1
        return respond(request) if left[0] >= 0 else refuse(request)

    with pytest.raises(RefusedError):
        seal_pdf(PDF, seal_spec(authority), authority.seal.sign, timestamp)


def test_a_timestamp_of_another_request_is_refused(
    authority: DevelopmentAuthority, respond: Callable[[bytes], bytes]
) -> None:
    def timestamp(request: bytes) -> bytes:
        changed = tsp.TimeStampReq.load(request)
        changed["nonce"] = 5
        return respond(changed.dump(force=True))

    with pytest.raises((TimestampRequestError, AttributeError)):
        seal_pdf(PDF, seal_spec(authority), authority.seal.sign, timestamp)


def test_what_a_timestamp_authority_does_not_sign_is_left_out(
    authority: DevelopmentAuthority, respond: Callable[[bytes], bytes]
) -> None:
    def timestamp(request: bytes) -> bytes:
        response = Response.load(respond(request))
        signed = response["time_stamp_token"]["content"]
        signed["crls"] = [cms.RevocationInfoChoice("crl", crl.CertificateList.load(authority.crls[0]))]
        extra = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.Integer(1)]})
        signed["signer_infos"][0]["unsigned_attrs"] = [extra]
        response["status"]["status"] = "granted_with_mods"
        return bytes(response.dump(force=True))

    pdf = seal_pdf(PDF, seal_spec(authority), authority.seal.sign, timestamp)
    signed = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[-1].signed_data
    assert signed["crls"].native is None
    assert signed["signer_infos"][0]["unsigned_attrs"].native is None


@pytest.mark.parametrize("missing", ["certificates", "crls"])
def test_a_seal_that_nobody_could_validate_is_not_made(
    authority: DevelopmentAuthority, respond: Callable[[bytes], bytes], missing: str
) -> None:
    changes: dict[str, object] = {missing: []}
    if missing == "certificates":
        changes["chain"] = authority.seal.chain[:1]
    with pytest.raises(SigningError):
        seal_pdf(PDF, seal_spec(authority, **changes), authority.seal.sign, respond)


def test_a_sealed_file_is_not_sealed_again(
    sealed: bytes, authority: DevelopmentAuthority, respond: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(SigningError):
        seal_pdf(sealed, seal_spec(authority), authority.seal.sign, respond)


def test_documents_with_forms_objects_streams_and_many_pages_are_sealed(
    authority: DevelopmentAuthority, respond: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    document = pikepdf.open(io.BytesIO(make_pdf(pages=40)))
    buffer = io.BytesIO()
    document.save(buffer, object_stream_mode=pikepdf.ObjectStreamMode.generate, linearize=True)
    pdf = seal_pdf(buffer.getvalue(), seal_spec(authority), authority.seal.sign, respond)
    (tmp_path / "sealed.pdf").write_bytes(pdf)
    assert PdfFileReader(io.BytesIO(pdf)).embedded_regular_signatures[0].docmdp_level == MDPPerm.NO_CHANGES
    if shutil.which("qpdf"):
        subprocess.run(["qpdf", "--check", tmp_path / "sealed.pdf"], check=True, capture_output=True)
