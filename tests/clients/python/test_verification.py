import asyncio
import datetime as dt
import functools
import hashlib
import io
import itertools
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import cms, core, x509
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils import embed, generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfTimeStamper
from pyhanko.sign.validation import validate_pdf_timestamp
from pyhanko_certvalidator import ValidationContext

from support.sealed import (
    Sealed,
    attach,
    log_key,
    make_evidence,
    make_leaf,
    make_pdf,
    make_sealed,
    prove,
    seal_spec,
)
from zegel.transparency import InvalidKey
from zegel.verification import Report, load_certificates, verify_pdf
from zegel.verification.container import ContainerError, Covered, check_token, read_gap
from zegel.verification.der import DerError, read_element, read_only_element
from zegel.verification.signatures import covered_by, open_signed
from zegel_server.pdf import sealing
from zegel_server.pdf.authority import DevelopmentAuthority
from zegel_server.pdf.identity import KeyedCertificate
from zegel_server.pdf.sealing import _CallbackTimeStamper, seal_pdf
from zegel_server.pdf.timestamping import LocalTimestampAuthority

CHECKS = ["structure", "document_timestamp", "seal", "changes", "evidence", "audit_trail", "detached_proof"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def authority(folder: Path) -> DevelopmentAuthority:
    return DevelopmentAuthority.open(folder)


@pytest.fixture(scope="module")
def sealed(folder: Path) -> Sealed:
    return make_sealed(folder)


@pytest.fixture
def stamper(authority: DevelopmentAuthority) -> _CallbackTimeStamper:
    return _CallbackTimeStamper(LocalTimestampAuthority(authority.timestamp).respond)


def check(sealed: Sealed, pdf: bytes | None = None) -> Report:
    """Without the detached proof, which would refuse every change by itself."""
    return verify_pdf(sealed.pdf if pdf is None else pdf, [sealed.vkey], [sealed.root_pem])


def failed(report: Report) -> set[str]:
    assert not report.ok
    return {failure.name for failure in report.failures}


def context(authority: DevelopmentAuthority) -> ValidationContext:
    return ValidationContext(
        trust_roots=[x509.Certificate.load(authority.root.chain[0])],
        crls=list(authority.crls),
        allow_fetching=False,
        revocation_mode="require",
    )


def retimestamped(
    pdf: bytes, stamper: _CallbackTimeStamper, change: Callable[[IncrementalPdfFileWriter], None]
) -> bytes:
    """The file with a change appended and a new timestamp over all of it, as a forger can have it made."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    output = io.BytesIO()
    asyncio.run(PdfTimeStamper(stamper).async_timestamp_pdf(writer, "sha256", output=output))
    return output.getvalue()


# ------------------------------------------------------------------------------------------------------ a file as it is


def test_a_sealed_file_is_valid_and_says_what_it_proves(sealed: Sealed) -> None:
    report = verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], sealed.detached)
    assert report.ok, report.failures
    assert [c.name for c in report.checks] == CHECKS
    assert all(c.detail.endswith(".") for c in report.checks)
    facts = report.facts
    assert facts.audit_id == "trail-0001"
    assert facts.log == "log.example.org/zegel"
    assert facts.sealed_by == "Zegel Development seal"
    assert facts.timestamped_by == "Zegel Development Timestamps"
    assert facts.sealed_at is not None
    assert abs(facts.sealed_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
    assert [event.type.rpartition("_")[2] for event in facts.events] == ["SENT", "SIGNED", "SIGNED"]
    assert facts.documents[0].sha256 == hashlib.sha256(make_pdf()).hexdigest()


def test_without_the_detached_proof_it_is_valid_too(sealed: Sealed) -> None:
    report = check(sealed)
    assert report.ok
    assert [c.name for c in report.checks] == CHECKS[:-1]


async def test_it_verifies_inside_an_event_loop(sealed: Sealed) -> None:
    assert check(sealed).ok


def test_more_trusted_keys_and_roots_do_no_harm(sealed: Sealed, tmp_path: Path) -> None:
    other = DevelopmentAuthority.open(tmp_path)
    keys = [str(log_key("other.example.org", 9).verifier), sealed.vkey]
    assert verify_pdf(sealed.pdf, keys, [other.root_pem + sealed.root_pem]).ok
    assert verify_pdf(sealed.pdf, keys, [load_certificates(sealed.root_pem)[0].dump()]).ok


# ---------------------------------------------------------------------------- the bytes that no signature covers: all


@pytest.fixture(scope="module")
def container(sealed: Sealed) -> tuple[bytes, Covered]:
    file = open_signed(sealed.pdf)
    return sealed.pdf[slice(*file.gap)], covered_by(file, load_certificates(sealed.root_pem))


def accepts(gap: bytes, covered: Covered) -> bool:
    try:
        check_token(read_gap(gap), covered)
    except ContainerError:
        return False
    return True


def test_the_container_is_accepted_as_it_is(container: tuple[bytes, Covered]) -> None:
    assert accepts(*container)


def test_every_byte_of_the_container_counts(container: tuple[bytes, Covered]) -> None:
    gap, covered = container
    hexadecimal, survivors = b"0123456789ABCDEF", []
    for position, old in enumerate(gap):
        # each single bit of the nibble, so that the token changes and the spelling does not; and other spellings
        others = [hexadecimal[hexadecimal.index(old) ^ bit] for bit in (1, 2, 4, 8)] if old in hexadecimal else [0x30]
        for new in (*others, old ^ 0x20, 0x20, 0x00, 0x0A, 0x3C, 0x3E):
            changed = gap[:position] + bytes([new]) + gap[position + 1 :]
            if new != old and accepts(changed, covered):
                survivors.append((position, new))
    assert survivors == []


def test_the_containers_other_spellings_are_refused(container: tuple[bytes, Covered]) -> None:
    gap, covered = container
    token = read_gap(gap)
    size = len(gap) - 2
    for spelling in (
        gap.lower(),
        b"<" + token.hex().upper().encode().ljust(size, b" ") + b">",
        b"<" + token.hex().upper().encode() + b">" + b" " * (size - 2 * len(token)),
        b"<" + (token + b"\0\1").hex().upper().encode().ljust(size, b"0") + b">",
        gap[:-1],
        gap + b"0",
        b"",
        b"<>",
        b"<0>",
        b"<30>",
    ):
        assert not accepts(spelling, covered), spelling[:20]


def rebuilt(token: bytes, change: Callable[[cms.SignedData], None]) -> bytes:
    loaded = cms.ContentInfo.load(token)
    change(loaded["content"])
    return bytes(loaded.dump(force=True))


def unsigned_attribute(signed: cms.SignedData) -> None:
    signed["signer_infos"][0]["unsigned_attrs"] = [cms.CMSAttribute({"type": "1.2.3.4", "values": [core.Integer(1)]})]


def digest_twice(signed: cms.SignedData) -> None:
    signed["digest_algorithms"] = [signed["digest_algorithms"][0], {"algorithm": "sha512"}]


def other_certificate(other: bytes, signed: cms.SignedData) -> None:
    signed["certificates"] = [signed["certificates"][0], x509.Certificate.load(other)]


def certificate_twice(signed: cms.SignedData) -> None:
    signed["certificates"] = [signed["certificates"][0], signed["certificates"][0]]


def no_certificate(signed: cms.SignedData) -> None:
    signed["certificates"] = []


def signer_twice(signed: cms.SignedData) -> None:
    signed["signer_infos"] = [signed["signer_infos"][0], signed["signer_infos"][0]]


def other_digest(signed: cms.SignedData) -> None:
    signed["digest_algorithms"] = [{"algorithm": "sha384"}]


@pytest.mark.parametrize(
    "change",
    [
        unsigned_attribute,
        digest_twice,
        certificate_twice,
        no_certificate,
        signer_twice,
        other_digest,
    ],
)
def test_a_token_with_something_added_is_refused(
    container: tuple[bytes, Covered], change: Callable[[cms.SignedData], None]
) -> None:
    gap, covered = container
    token = read_gap(gap)
    with pytest.raises(ContainerError):
        check_token(rebuilt(token, change), covered)


def test_a_token_may_carry_certificates_of_the_file_and_no_others(
    container: tuple[bytes, Covered], authority: DevelopmentAuthority
) -> None:
    token, covered = read_gap(container[0]), container[1]
    root, unrelated = authority.root.chain[0], authority.tls.chain[0]
    check_token(rebuilt(token, functools.partial(other_certificate, root)), covered)
    with pytest.raises(ContainerError, match="certificate"):
        check_token(rebuilt(token, functools.partial(other_certificate, unrelated)), covered)


def test_pyhanko_alone_would_accept_an_added_attribute(sealed: Sealed, authority: DevelopmentAuthority) -> None:
    start, end = open_signed(sealed.pdf).gap
    changed = rebuilt(read_gap(sealed.pdf[start:end]), unsigned_attribute).hex().upper().encode()
    pdf = sealed.pdf[:start] + b"<" + changed.ljust(end - start - 2, b"0") + b">" + sealed.pdf[end:]
    stamp = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[-1]
    status = validate_pdf_timestamp(stamp, context(authority))
    assert status.valid
    assert status.trusted
    assert "document_timestamp" in failed(check(sealed, pdf))


def test_pyhanko_alone_would_accept_changed_padding(sealed: Sealed, authority: DevelopmentAuthority) -> None:
    _, end = open_signed(sealed.pdf).gap
    pdf = sealed.pdf[: end - 2] + b"1" + sealed.pdf[end - 1 :]
    status = validate_pdf_timestamp(PdfFileReader(io.BytesIO(pdf)).embedded_signatures[-1], context(authority))
    assert status.valid
    assert failed(check(sealed, pdf)) == {"document_timestamp", "seal"}


@pytest.mark.parametrize("size", [2048, 3072])
def test_an_rsa_authoritys_second_name_for_its_algorithm_is_refused(folder: Path, size: int) -> None:
    # rsaEncryption and sha256WithRSAEncryption differ in one byte and verify the same
    authority = DevelopmentAuthority.open(folder)
    timestamps = LocalTimestampAuthority(rsa_timestamps(authority, size))
    last, files = make_evidence(log_key(), make_pdf())
    assert last
    spec = seal_spec(authority, certificates=[*timestamps._identity.chain])
    pdf = seal_pdf(attach(make_pdf(), files), spec, authority.seal.sign, timestamps.respond)
    sealed = Sealed(pdf, str(log_key().verifier), authority.root_pem, b"")
    assert check(sealed).ok, check(sealed).failures
    start, end = open_signed(pdf).gap
    one, other = bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06092a864886f70d010101")
    gap = bytes.fromhex(pdf[start + 1 : end - 1].decode())
    position = gap.rindex(one)
    changed = gap[:position] + other + gap[position + len(one) :]
    forged = pdf[: start + 1] + changed.hex().upper().encode() + pdf[end - 1 :]
    assert sum(a != b for a, b in zip(forged, pdf, strict=True)) == 1
    assert failed(check(sealed, forged)) == {"document_timestamp"}


def rsa_timestamps(authority: DevelopmentAuthority, size: int) -> KeyedCertificate:
    key, old = rsa.generate_private_key(65537, size), authority.timestamp.certificate
    builder = pyca_x509.CertificateBuilder(
        old.issuer,
        old.subject,
        key.public_key(),
        pyca_x509.random_serial_number(),
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    issuer = authority.timestamp_issuer
    certificate = builder.sign(issuer.key, issuer.hash_algorithm)
    return KeyedCertificate(key, (certificate, *issuer.certificates))


# --------------------------------------------------------------------------------------------------- one changed byte


def test_one_changed_byte_anywhere_is_refused(sealed: Sealed) -> None:
    choose = random.Random(20261124)  # noqa: S311 - which bytes, not a secret
    start, end = open_signed(sealed.pdf).gap
    positions = [
        *choose.sample(range(start), 60),
        *choose.sample(range(start, end), 30),
        *choose.sample(range(end, len(sealed.pdf)), 30),
        0,
        start - 1,
        start,
        end - 1,
        end,
        len(sealed.pdf) - 1,
    ]
    for position in positions:
        pdf = bytearray(sealed.pdf)
        pdf[position] ^= 1 << choose.randrange(8)
        assert not check(sealed, bytes(pdf)).ok, position


@pytest.mark.parametrize("added", [b"\n", b" ", b"\0", b"%", b"%%EOF\n", b"x" * 1000])
def test_nothing_may_follow(sealed: Sealed, added: bytes) -> None:
    assert failed(check(sealed, sealed.pdf + added)) == {"structure"}


@pytest.mark.parametrize("removed", [1, 2, 5, 100, 3000, 10_000])
def test_nothing_may_be_cut_off(sealed: Sealed, removed: int) -> None:
    assert failed(check(sealed, sealed.pdf[:-removed])) == {"structure"}


def test_every_earlier_revision_alone_is_refused(sealed: Sealed) -> None:
    ends = [i + 6 for i in range(len(sealed.pdf)) if sealed.pdf.startswith(b"%%EOF\n", i)]
    assert len(ends) >= 2
    for end in ends[:-1]:
        assert failed(check(sealed, sealed.pdf[:end])) == {"structure"}


def test_nothing_may_precede(sealed: Sealed) -> None:
    assert not check(sealed, b"\n" + sealed.pdf).ok


# ---------------------------------------------------------------------------------------- trust in others, or none


def test_another_logs_key_is_refused(sealed: Sealed) -> None:
    for key in (log_key(seed=8), log_key("other.example.org", 7)):
        report = verify_pdf(sealed.pdf, [str(key.verifier)], [sealed.root_pem], sealed.detached)
        assert failed(report) == {"audit_trail", "detached_proof"}
        assert report.facts.events == ()


def test_another_root_is_refused(sealed: Sealed, tmp_path: Path) -> None:
    root = DevelopmentAuthority.open(tmp_path).root_pem
    assert "seal" in failed(verify_pdf(sealed.pdf, [sealed.vkey], [root], sealed.detached))


def test_no_roots_and_no_keys_trust_nobody(sealed: Sealed) -> None:
    assert {"seal", "audit_trail"} <= failed(verify_pdf(sealed.pdf, [], []))


def test_another_files_proof_is_refused(sealed: Sealed, folder: Path) -> None:
    other = make_sealed(folder, make_pdf("Another agreement"))
    for proof in (other.detached, b"", b"c2sp.org/tlog-proof@v1\n", sealed.detached[:-1], sealed.detached + b"\n"):
        report = verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], proof)
        assert failed(report) == {"detached_proof"}


def test_a_seal_whose_certificate_is_no_seal_is_refused(authority: DevelopmentAuthority) -> None:
    pdf = attach(make_pdf(), make_evidence(log_key(), make_pdf())[1])
    respond = LocalTimestampAuthority(authority.timestamp).respond
    sealed_pdf = forge_with(authority.tls, pdf, authority, respond)
    sealed = Sealed(sealed_pdf, str(log_key().verifier), authority.root_pem, b"")
    assert failed(check(sealed)) == {"seal"}


def forge_with(
    identity: KeyedCertificate, pdf: bytes, authority: DevelopmentAuthority, respond: Callable[[bytes], bytes]
) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sealing,
            "PdfSignatureMetadata",
            functools.partial(PdfSignatureMetadata, signer_key_usage={"digital_signature"}),
        )
        return seal_pdf(pdf, seal_spec(authority, chain=identity.chain), identity.sign, respond)


# ----------------------------------------------------------------------------------------------------------- the clock


@pytest.mark.parametrize("years", [0, 1, 4, 10])
def test_it_stays_valid_when_the_seals_certificate_has_expired(sealed: Sealed, years: int) -> None:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * years)
    report = verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], now=now)
    assert report.ok, report.failures


def test_it_is_no_longer_valid_when_the_timestamps_certificate_has_expired(sealed: Sealed) -> None:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * 13)
    assert failed(verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], now=now)) == {"seal"}


def test_it_is_not_valid_before_it_was_sealed(sealed: Sealed) -> None:
    now = dt.datetime.now(dt.UTC) - dt.timedelta(days=365)
    assert failed(verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], now=now)) == {"seal"}


def test_revocation_lists_of_a_week_do_not_end_its_validity(authority: DevelopmentAuthority) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    crl = (
        pyca_x509.CertificateRevocationListBuilder()
        .issuer_name(authority.root.certificate.subject)
        .last_update(now - dt.timedelta(minutes=1))
        .next_update(now + dt.timedelta(days=7))
        .add_extension(pyca_x509.CRLNumber(1), critical=False)
        .sign(authority.root.key, authority.root.hash_algorithm)
    )
    files = make_evidence(log_key(), make_pdf())[1]
    spec = seal_spec(authority, crls=[crl.public_bytes(Encoding.DER)])
    respond = LocalTimestampAuthority(authority.timestamp).respond
    pdf = seal_pdf(attach(make_pdf(), files), spec, authority.seal.sign, respond)
    report = verify_pdf(
        pdf, [str(log_key().verifier)], [authority.root_pem], now=dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    )
    assert report.ok, report.failures


# --------------------------------------------------------------------------------------------- changes after the seal


def test_a_further_archive_timestamp_is_welcome(sealed: Sealed, stamper: _CallbackTimeStamper) -> None:
    pdf = retimestamped(sealed.pdf, stamper, lambda _: None)
    report = check(sealed, pdf)
    assert report.ok, report.failures
    assert "2 document timestamps" in report.checks[0].detail


def test_evidence_added_after_the_seal_is_refused(
    authority: DevelopmentAuthority, stamper: _CallbackTimeStamper
) -> None:
    bare = seal_pdf(
        make_pdf(), seal_spec(authority), authority.seal.sign, LocalTimestampAuthority(authority.timestamp).respond
    )
    sealed = Sealed(bare, str(log_key().verifier), authority.root_pem, b"")
    assert failed(check(sealed)) == {"evidence"}
    files = make_evidence(log_key(), make_pdf())[1]

    def add(writer: IncrementalPdfFileWriter) -> None:
        for name, data in files.items():
            stream = embed.EmbeddedFileObject.from_file_data(writer, data)
            embed.embed_file(writer, embed.FileSpec(file_spec_string=name, file_name=name, embedded_data=stream))

    assert {"changes", "evidence"} <= failed(check(sealed, retimestamped(bare, stamper, add)))


def test_evidence_replaced_after_the_seal_is_refused(sealed: Sealed, stamper: _CallbackTimeStamper) -> None:
    def replace(writer: IncrementalPdfFileWriter) -> None:
        names = writer.root["/Names"]["/EmbeddedFiles"]["/Names"]
        stream = names[1].get_object()["/EF"]["/F"]
        stream._data = b"{}\n"
        stream._encoded_data = None
        writer.mark_update(names[1].get_object()["/EF"].raw_get("/F"))

    assert {"changes", "evidence"} <= failed(check(sealed, retimestamped(sealed.pdf, stamper, replace)))


def test_a_page_changed_after_the_seal_is_refused(sealed: Sealed, stamper: _CallbackTimeStamper) -> None:
    def change(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0].get_object()
        page["/MediaBox"] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 10, 10)))
        writer.update_container(page)

    assert failed(check(sealed, retimestamped(sealed.pdf, stamper, change))) == {"changes"}


def test_a_hidden_message_in_the_seals_padding_is_refused(sealed: Sealed, stamper: _CallbackTimeStamper) -> None:
    # The forger rewrites bytes that only the last timestamp covers, and has the rest timestamped anew.
    seal = PdfFileReader(io.BytesIO(sealed.pdf)).embedded_signatures[0]
    end = int(seal.byte_range[2])
    pdf = bytearray(sealed.pdf)
    pdf[end - 9 : end - 1] = b"C0FFEE00"
    assert failed(check(sealed, bytes(pdf))) == {"document_timestamp", "seal"}
    again = retimestamped(bytes(pdf), stamper, lambda _: None)
    assert "seal" in failed(check(sealed, again))


# ------------------------------------------------------------------------------------------- evidence that is not right


def with_files(authority: DevelopmentAuthority, files: dict[str, bytes]) -> Sealed:
    respond = LocalTimestampAuthority(authority.timestamp).respond
    pdf = seal_pdf(attach(make_pdf(), files), seal_spec(authority), authority.seal.sign, respond)
    return Sealed(pdf, str(log_key().verifier), authority.root_pem, b"")


def test_a_trail_that_was_edited_before_sealing_is_refused(authority: DevelopmentAuthority) -> None:
    files = make_evidence(log_key(), make_pdf())[1]
    edited = {**files, "audit.jsonl": files["audit.jsonl"].replace(b"07:00:02", b"06:00:02")}
    report = check(with_files(authority, edited))
    assert failed(report) == {"audit_trail"}
    assert report.facts.events == ()


@pytest.mark.parametrize("name", ["audit.jsonl", "completed.tlog-proof"])
def test_missing_evidence_is_named(authority: DevelopmentAuthority, name: str) -> None:
    files = make_evidence(log_key(), make_pdf())[1]
    del files[name]
    report = check(with_files(authority, files))
    assert failed(report) == {"evidence"}
    assert name in report.failures[0].detail


def test_a_proof_of_an_earlier_event_is_refused(authority: DevelopmentAuthority) -> None:
    files = make_evidence(log_key(), make_pdf())[1]
    first = files["audit.jsonl"].split(b"\n")[0]
    assert failed(check(with_files(authority, {**files, "completed.tlog-proof": prove(first, log_key())}))) == {
        "audit_trail"
    }


def test_a_trail_without_a_request_is_refused(authority: DevelopmentAuthority) -> None:
    leaf = make_leaf(1, None, "SIGNATURE_REQUEST_SENT").replace(b'"trail":"trail-0001"', b'"trail":null')
    leaf = leaf.replace(b'"seq":1', b'"seq":null')
    files = {"audit.jsonl": leaf + b"\n", "completed.tlog-proof": prove(leaf, log_key())}
    assert failed(check(with_files(authority, files))) == {"audit_trail"}


# -------------------------------------------------------------------------------------------------------- other files


@pytest.mark.parametrize(
    "pdf",
    [b"", b"%PDF-1.7\n", b"%PDF-1.7\n%%EOF\n", b"\0" * 1000, b"not a PDF at all", make_pdf(), make_pdf()[:500]],
    ids=["empty", "header", "no objects", "zeros", "text", "unsigned", "cut"],
)
def test_what_is_no_sealed_file_gets_a_report(sealed: Sealed, pdf: bytes) -> None:
    assert failed(check(sealed, pdf)) == {"structure"}
    report = verify_pdf(pdf, [sealed.vkey], [sealed.root_pem], sealed.detached)
    assert failed(report) == {"structure", "detached_proof"}


@settings(max_examples=60)
@given(data=st.data())
def test_no_damage_makes_it_raise(sealed: Sealed, data: st.DataObject) -> None:
    pdf = bytearray(sealed.pdf)
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(pdf)))
        end = data.draw(st.integers(start, min(len(pdf), start + 200)))
        pdf[start:end] = data.draw(st.binary(max_size=200))
    assert check(sealed, bytes(pdf)).ok == (bytes(pdf) == sealed.pdf)


def test_unusable_trust_is_the_callers_error(sealed: Sealed) -> None:
    for root in (b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ValueError, match=r".*"):
            verify_pdf(sealed.pdf, [sealed.vkey], [root])
    with pytest.raises(InvalidKey):
        verify_pdf(sealed.pdf, ["junk"], [sealed.root_pem])


# ----------------------------------------------------------------------------------------------------------------- DER


@given(st.integers(0, 0x1E), st.binary(max_size=70_000))
def test_der_has_one_length(tag: int, content: bytes) -> None:
    encoded = core.OctetString(content).dump()
    element = read_only_element(bytes([tag]) + encoded[1:], tag)
    assert element.content == content


@pytest.mark.parametrize(
    "bad",
    ["", "30", "3001", "3080", "308100", "30817f", "30820001", "3084ffffffff", "30850000000000", "1f0100", "ff8101"],
)
def test_der_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(DerError):
        read_element(bytes.fromhex(bad))


@given(st.binary(max_size=30))
def test_what_is_read_is_what_stood_there(data: bytes) -> None:
    try:
        element = read_element(data)
        children = element.elements()
    except DerError:
        return
    assert data.startswith(element.encoding)
    assert b"".join(itertools.chain(c.encoding for c in children)) == element.content


def test_the_rest_of_the_sdk_does_not_load_it() -> None:
    code = "import sys, zegel.evidence; print([m for m in sys.modules if m.startswith(('pyhanko', 'rich', 'typer'))])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"], capture_output=True, check=True
    )
    assert done.stdout.strip() == b"[]"
