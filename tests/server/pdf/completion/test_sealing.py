"""The seal and its timestamps: made once, of every kind of key, and what other people's validators say of them."""

import asyncio
import datetime as dt
import io
import subprocess
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from asn1crypto import cms, core, tsp, x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import CertificateBuilder
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation import async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore

from support.completing import make_job, rendition_of
from support.require import need
from support.sealed import STAMP, make_pdf, seal_spec
from support.sealing_in_process import seal_rendition
from support.tools import find, tool
from zegel.evidence.sealed_file.reading import read_sealed_file
from zegel.evidence.sealed_file.syntax import BoundError, FormError
from zegel.evidence.verification.der import CONTEXT_0, CONTEXT_1, INTEGER, SEQUENCE, SET, encode, read_only_element
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.credentials.timestamping import LocalTimestampAuthority, Response
from zegel_server.pdf.completion.assembling import ROOM_TO_SPARE, SealSpec, TimestampError
from zegel_server.pdf.completion.examining import examine
from zegel_server.pdf.model import Box, CompletionJob

Callback = Callable[[bytes], bytes]

REQUEST = tsp.TimeStampReq(
    {"version": "v1", "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}}
).dump()


@pytest.fixture(scope="module")
def job() -> CompletionJob:
    return make_job(make_pdf(), STAMP)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentAuthority:
    return DevelopmentAuthority.open(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def respond(authority: DevelopmentAuthority) -> Callback:
    return LocalTimestampAuthority(authority.timestamp).respond


@pytest.fixture(scope="module")
def sealed(job: CompletionJob, authority: DevelopmentAuthority, respond: Callback) -> bytes:
    return job.rendition + seal_rendition(job, seal_spec(authority), authority.seal.sign, respond).appended


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


def test_the_seal_is_a_certification_that_permits_nothing(sealed: bytes, authority: DevelopmentAuthority) -> None:
    reader = PdfFileReader(io.BytesIO(sealed))
    seal, stamp = reader.embedded_signatures
    assert seal.docmdp_level == MDPPerm.NO_CHANGES
    assert reader.root["/Perms"]["/DocMDP"] == seal.sig_object
    assert seal.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    assert stamp.sig_object["/SubFilter"] == "/ETSI.RFC3161"
    assert [seal.field_name, stamp.field_name] == ["ZegelSeal", "ZegelTimestamp"]
    assert seal.sig_object["/Reason"] == "Completed"
    assert seal.signer_cert.dump() == authority.seal.chain[0]
    assert "/DSS" in reader.root
    assert seal.sig_field["/Rect"] == [0, 0, 0, 0]


def test_it_is_in_the_one_form_and_the_document_timestamp_covers_all_of_it(sealed: bytes, job: CompletionJob) -> None:
    file = read_sealed_file(sealed)
    assert bytes(file.rendition) == job.rendition
    assert len(file.ends) == 3
    stamp = PdfFileReader(io.BytesIO(sealed)).embedded_signatures[-1]
    first, start, second, rest = stamp.sig_object["/ByteRange"]
    assert (first, sealed[start], second + rest) == (0, ord("<"), len(sealed))


def test_it_claims_the_time_it_was_given(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback
) -> None:
    spec = seal_spec(authority, signing_time="2026-11-24T08:09:10+02:00")
    pdf = job.rendition + seal_rendition(job, spec, authority.seal.sign, respond).appended
    (seal,) = PdfFileReader(io.BytesIO(pdf)).embedded_regular_signatures
    assert seal.self_reported_timestamp == dt.datetime(2026, 11, 24, 6, 9, 10, tzinfo=dt.UTC)


def test_the_key_signs_once_and_what_it_signs_are_the_signed_attributes(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback
) -> None:
    asked: list[bytes] = []

    def sign(data: bytes) -> bytes:
        asked.append(data)
        return authority.seal.sign(data)

    pdf = job.rendition + seal_rendition(job, seal_spec(authority), sign, respond).appended
    (data,) = asked
    assert len(data) < 1_000
    (seal,) = PdfFileReader(io.BytesIO(pdf)).embedded_regular_signatures
    assert data == seal.signer_info["signed_attrs"].untag().dump()
    digest = {a["type"].native: a["values"][0].native for a in cms.CMSAttributes.load(data)}["message_digest"]
    assert digest == seal.compute_digest()


ECDSA = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
RSA = {"RSA 2048": 2_048, "RSA 4096": 4_096}
ALGORITHMS = {"P-256": "sha256_ecdsa", "P-384": "sha384_ecdsa", "P-521": "sha512_ecdsa"} | dict.fromkeys(
    RSA, "sha256_rsa"
)


@pytest.mark.parametrize("name", ALGORITHMS)
async def test_every_kind_of_key_seals_so_that_pyhanko_agrees(
    job: CompletionJob, authority: DevelopmentAuthority, name: str
) -> None:
    key = ec.generate_private_key(ECDSA[name]) if name in ECDSA else rsa.generate_private_key(65_537, RSA[name])
    identity = with_key(authority, key)
    assert identity.signature_algorithm == ALGORITHMS[name]
    spec = seal_spec(authority, chain=identity.chain, signature_algorithm=ALGORITHMS[name], ocsps=[])
    stamp = LocalTimestampAuthority(authority.timestamp).respond
    made = await asyncio.to_thread(seal_rendition, job, spec, identity.sign, stamp)  # it has its own loop
    reader = PdfFileReader(io.BytesIO(job.rendition + made.appended))
    root = x509.Certificate.load(authority.root.chain[0])
    settings = {"trust_roots": [root], "allow_fetching": False, "revocation_mode": "require"}
    context = DocumentSecurityStore.read_dss(reader).as_validation_context(settings)  # nothing but what the file holds
    seal, timestamp = reader.embedded_signatures
    status = await async_validate_pdf_signature(seal, context)
    assert status.bottom_line, status.pretty_print_details()
    assert status.timestamp_validity is not None
    assert status.timestamp_validity.trusted
    assert seal.md_algorithm == ALGORITHMS[name].partition("_")[0]
    stamped = await async_validate_pdf_timestamp(timestamp, context)
    assert (stamped.valid, stamped.intact, stamped.trusted) == (True, True, True)


def test_pdfsig_finds_the_seal_valid(sealed: bytes, tmp_path: Path) -> None:
    (tmp_path / "sealed.pdf").write_bytes(sealed)
    done = subprocess.run([tool("pdfsig"), tmp_path / "sealed.pdf"], capture_output=True, text=True, check=True)
    seal, stamp = done.stdout.split("Signature #")[1:]
    assert "Signature is Valid." in seal
    assert "ETSI.CAdES.detached" in seal
    assert "Total document signed" in stamp


def test_nss_trusts_the_seal_under_the_root(sealed: bytes, authority: DevelopmentAuthority, tmp_path: Path) -> None:
    # Its own program is asked: pdfsig (22.12) takes an error left over from a lookup for NSS's answer.
    need(find("certutil") and find("vfychain"), "certutil and vfychain", "apt-get install libnss3-tools")
    seal = PdfFileReader(io.BytesIO(sealed)).embedded_signatures[0]
    certificates = [seal.signer_cert, *(each for each in seal.other_embedded_certs if not each.self_issued)]
    chain = [tmp_path / f"{each.serial_number}.der" for each in certificates]
    for path, certificate in zip(chain, certificates, strict=True):
        path.write_bytes(certificate.dump())
    (tmp_path / "root.pem").write_bytes(authority.root_pem)
    subprocess.run([tool("certutil"), "-d", (store := f"sql:{tmp_path}"), "-N", "--empty-password"], check=True)
    # -pp: by RFC 5280's path validation; usage 4: whoever signs mail, NSS's nearest to documents.
    asked: list[str | Path] = [tool("vfychain"), "-d", store, "-pp", "-u", "4", *chain]
    assert b"Chain is bad!" in subprocess.run(asked, capture_output=True, check=False).stderr
    subprocess.run([tool("certutil"), "-d", store, "-A", "-nroot", "-t,C,", "-i", tmp_path / "root.pem"], check=True)
    assert b"Chain is good!" in subprocess.run(asked, capture_output=True, check=True).stderr


def test_qpdf_finds_nothing_wrong(sealed: bytes, tmp_path: Path) -> None:
    (tmp_path / "sealed.pdf").write_bytes(sealed)
    command: list[str | Path] = [tool("qpdf"), "--check", tmp_path / "sealed.pdf"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_openssl_verifies_the_seal(sealed: bytes, authority: DevelopmentAuthority, tmp_path: Path) -> None:
    seal = PdfFileReader(io.BytesIO(sealed)).embedded_signatures[0]
    first, start, second, rest = seal.sig_object["/ByteRange"]
    (tmp_path / "content").write_bytes(sealed[first:start] + sealed[second : second + rest])
    (tmp_path / "seal").write_bytes(cms.ContentInfo.load(seal.pkcs7_content).dump())
    (tmp_path / "root.pem").write_bytes(authority.root_pem)
    command = [
        str(tool("openssl")),
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-in",
        "seal",
        "-content",
        "content",
    ]
    trust = ["-CAfile", "root.pem", "-purpose", "any", "-cades", "-out", "out"]
    done = subprocess.run([*command, *trust], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "content").write_bytes(sealed[first:start] + sealed[second : second + rest - 1] + b" ")
    changed = subprocess.run([*command, *trust], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert changed.returncode != 0


def test_openssl_verifies_both_timestamps(sealed: bytes, authority: DevelopmentAuthority, tmp_path: Path) -> None:
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
        command = [tool("openssl"), "ts", "-verify", "-digest", digest.hex(), "-token_in", "-in", "token"]
        trust = ["-CAfile", "root.pem", "-untrusted", "issuer.pem"]
        done = subprocess.run([*command, *trust], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class RefusedError(Exception):
    pass


def refuse(_: bytes) -> bytes:
    raise RefusedError


def test_without_a_signature_there_is_no_file(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback
) -> None:
    with pytest.raises(RefusedError):
        seal_rendition(job, seal_spec(authority), refuse, respond)


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_without_every_timestamp_there_is_no_file(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback, answered: int
) -> None:
    left = [answered]

    def timestamp(request: bytes) -> bytes:
        left[0] -= 1
        return respond(request) if left[0] >= 0 else refuse(request)

    with pytest.raises(RefusedError):
        seal_rendition(job, seal_spec(authority), authority.seal.sign, timestamp)


def counted(respond: Callback) -> tuple[Callback, list[bytes]]:
    asked: list[bytes] = []

    def timestamp(request: bytes) -> bytes:
        asked.append(request)
        return respond(request)

    return timestamp, asked


def test_a_tokens_size_is_measured_once(job: CompletionJob, authority: DevelopmentAuthority, respond: Callback) -> None:
    timestamp, asked = counted(respond)
    first = seal_rendition(job, seal_spec(authority), authority.seal.sign, timestamp)
    assert len(asked) == 3
    again = seal_rendition(job, seal_spec(authority, token_size=first.token_size), authority.seal.sign, timestamp)
    assert len(asked) == 5
    assert abs(again.token_size - first.token_size) < ROOM_TO_SPARE
    assert len(read_sealed_file(job.rendition + again.appended).timestamps) == 1


@pytest.mark.parametrize("more", [ROOM_TO_SPARE // 2, ROOM_TO_SPARE * 2])
def test_a_token_that_grew_is_placed_where_there_is_room_and_refused_where_not(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback, more: int
) -> None:
    size = seal_rendition(job, seal_spec(authority), authority.seal.sign, respond).token_size
    spec = seal_spec(authority, token_size=size - more)
    if more < ROOM_TO_SPARE:
        assert seal_rendition(job, spec, authority.seal.sign, respond).token_size >= size - 16
        return
    with pytest.raises(FormError):
        seal_rendition(job, spec, authority.seal.sign, respond)


def test_more_room_than_the_form_has_is_refused(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback
) -> None:
    with pytest.raises(BoundError):
        seal_rendition(job, seal_spec(authority, token_size=2**20), authority.seal.sign, respond)


@pytest.mark.parametrize("status", ["rejection", "waiting"])
def test_a_timestamp_that_is_not_granted_is_none(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback, status: str
) -> None:
    def timestamp(request: bytes) -> bytes:
        response = Response.load(respond(request))
        response["status"]["status"] = status
        return bytes(response.dump(force=True))

    with pytest.raises(TimestampError):
        seal_rendition(job, seal_spec(authority), authority.seal.sign, timestamp)


def with_extras(response: bytes, authority: DevelopmentAuthority) -> bytes:
    """A granted response whose token has a revocation list and an attribute that nobody signed."""
    status = encode(SEQUENCE, encode(INTEGER, b"\1"))  # granted with modifications
    token = read_only_element(response, SEQUENCE).elements()[1]
    content_type, wrapped = token.elements()
    *before, signers = read_only_element(wrapped.content, SEQUENCE).elements()
    attribute = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.Integer(1)]}).dump()
    signer = read_only_element(signers.content, SEQUENCE).content + encode(CONTEXT_1, attribute)
    parts = b"".join(each.encoding for each in before) + encode(CONTEXT_1, authority.crls[0])
    signed_data = encode(SEQUENCE, parts + encode(SET, encode(SEQUENCE, signer)))
    return encode(SEQUENCE, status + encode(SEQUENCE, content_type.encoding + encode(CONTEXT_0, signed_data)))


def test_what_a_timestamp_authority_does_not_sign_is_left_out(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback
) -> None:
    def timestamp(request: bytes) -> bytes:
        return with_extras(respond(request), authority)

    token = tsp.TimeStampResp.load(with_extras(respond(REQUEST), authority))["time_stamp_token"]["content"]
    assert token["crls"].native is not None
    assert token["signer_infos"][0]["unsigned_attrs"].native is not None
    spec = seal_spec(authority)
    pdf = job.rendition + seal_rendition(job, spec, authority.seal.sign, timestamp).appended
    seal, stamp = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    (attribute,) = seal.signer_info["unsigned_attrs"]
    for signed in (stamp.signed_data, attribute["values"][0]["content"]):
        assert signed["crls"].native is None
        assert signed["signer_infos"][0]["unsigned_attrs"].native is None
    examine(pdf, [Box(STAMP.page, STAMP.x, STAMP.y, STAMP.width, STAMP.height)], [*spec.chain, *spec.certificates])


def test_what_is_embedded_is_what_seal_and_timestamps_lead_to_and_each_once(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback, tmp_path: Path
) -> None:
    strangers = DevelopmentAuthority.open(tmp_path)
    spec = seal_spec(authority)
    more: SealSpec = seal_spec(
        authority,
        certificates=[*spec.certificates * 2, *strangers.seal.chain, *strangers.timestamp.chain],
        crls=[*spec.crls * 2, *strangers.crls],
        ocsps=spec.ocsps * 2,
    )
    file = read_sealed_file(job.rendition + seal_rendition(job, more, authority.seal.sign, respond).appended)
    added = file.timestamps[0].added
    assert set(added.certificates) == {*authority.seal.chain, *authority.timestamp.chain}
    assert set(added.crls) == set(spec.crls)
    assert added.ocsps == tuple(spec.ocsps)


@pytest.mark.parametrize("what", ["sealed already", "an original", "cut off"])
def test_only_a_rendition_is_sealed(
    what: str, sealed: bytes, job: CompletionJob, authority: DevelopmentAuthority, respond: Callback
) -> None:
    other = {"sealed already": sealed, "an original": make_pdf(), "cut off": job.rendition[:-1]}[what]
    with pytest.raises(FormError):
        seal_rendition(replace(job, rendition=other), seal_spec(authority), refuse, respond)


def test_a_long_document_is_sealed_and_nothing_of_it_is_written_again(
    authority: DevelopmentAuthority, respond: Callback
) -> None:
    job = make_job(make_pdf(pages=40), STAMP)
    short = make_job(make_pdf(), STAMP)
    long_one, short_one = (
        len(seal_rendition(each, seal_spec(authority), authority.seal.sign, respond).appended) for each in (job, short)
    )
    assert long_one - short_one < 1_000
    assert len(rendition_of(make_pdf(pages=40))) > 5_000


def test_the_request_asks_for_the_hash_the_seal_is_made_with(
    job: CompletionJob, authority: DevelopmentAuthority, respond: Callback
) -> None:
    timestamp, asked = counted(respond)
    identity = with_key(authority, ec.generate_private_key(ec.SECP384R1()))
    spec = seal_spec(authority, chain=identity.chain, signature_algorithm="sha384_ecdsa")
    seal_rendition(job, spec, identity.sign, timestamp)
    requests = [tsp.TimeStampReq.load(each) for each in asked]
    assert {each["message_imprint"]["hash_algorithm"]["algorithm"].native for each in requests} == {"sha384"}
    assert all(each["cert_req"].native for each in requests)
    assert len({each["nonce"].native for each in requests}) == len(requests)
