"""What others say of a sealed file with what it holds and its root: pyHanko, OpenSSL, and the European Commission's."""

import datetime as dt
import io
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from asn1crypto import cms
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.policy_decl import PdfSignatureValidationSpec, SignatureValidationSpec
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from support.require import need
from support.sealed import Sealed, make_sealed
from support.tools import find, tool
from zegel.evidence.verification import load_certificates, verify_pdf
from zegel_server.credentials.development_authority import DevelopmentAuthority


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def sealed(folder: Path) -> Sealed:
    return make_sealed(folder)


async def test_pyhanko_believes_seal_and_timestamps_with_nothing_but_what_the_file_holds(sealed: Sealed) -> None:
    reader = PdfFileReader(io.BytesIO(sealed.pdf))
    settings = {
        "trust_roots": load_certificates(sealed.root_pem),
        "allow_fetching": False,
        "revocation_mode": "require",
    }
    context = DocumentSecurityStore.read_dss(reader).as_validation_context(settings)
    seal, stamp = reader.embedded_signatures
    status = await async_validate_pdf_signature(seal, context)
    assert status.bottom_line, status.pretty_print_details()
    assert status.timestamp_validity is not None
    assert status.timestamp_validity.trusted
    stamped = await async_validate_pdf_timestamp(stamp, context)
    assert (stamped.valid, stamped.intact, stamped.trusted) == (True, True, True)


async def test_pyhanko_believes_it_by_the_rules_for_archived_signatures(sealed: Sealed) -> None:
    """EN 319 102-1, 5.6.3. Once the lists have ended, pyHanko asks for fresh ones about the last timestamp."""
    policy = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust_roots=load_certificates(sealed.root_pem)),
        revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO),
    )
    spec = PdfSignatureValidationSpec(SignatureValidationSpec(cert_validation_policy=policy))
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(days=5)
    timing = ValidationTimingInfo(moment, moment, point_in_time_validation=True)
    seal = PdfFileReader(io.BytesIO(sealed.pdf)).embedded_signatures[0]
    result = await ades_lta_validation(seal, spec, timing_info=timing)
    assert result.ades_subindic is AdESPassed.OK, result.failure_msg


def test_openssl_believes_the_timestamps(sealed: Sealed, folder: Path, tmp_path: Path) -> None:
    issuer = DevelopmentAuthority.open(folder).timestamp_issuer
    (tmp_path / "root.pem").write_bytes(sealed.root_pem)
    (tmp_path / "issuer.pem").write_bytes(issuer.certificate_pem)
    seal, stamp = PdfFileReader(io.BytesIO(sealed.pdf)).embedded_signatures
    on_seal = next(a for a in seal.signer_info["unsigned_attrs"] if a["type"].native == "signature_time_stamp_token")
    for token, digest in (
        (cms.ContentInfo.load(stamp.pkcs7_content).dump(), stamp.compute_digest()),
        (on_seal["values"][0].dump(), sha256(seal.signer_info["signature"].native).digest()),
    ):
        (tmp_path / "token").write_bytes(token)
        command = [tool("openssl"), "ts", "-verify", "-digest", digest.hex(), "-token_in", "-in", "token"]
        trust = ["-CAfile", "root.pem", "-untrusted", "issuer.pem"]
        done = subprocess.run([*command, *trust], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_eu_dss_agrees_today_after_the_lists_have_ended_and_until_the_last_timestamp_does(
    sealed: Sealed, folder: Path, tmp_path: Path
) -> None:
    found = find("eu-dss")
    need(found, "the program eu-dss", "scripts/install-eu-dss")
    authority = DevelopmentAuthority.open(folder)
    (tmp_path / "sealed.pdf").write_bytes(sealed.pdf)
    (tmp_path / "root.pem").write_bytes(sealed.root_pem)
    now, end = dt.datetime.now(dt.UTC).replace(microsecond=0), authority.timestamp.certificate.not_valid_after_utc
    day = dt.timedelta(days=1)
    moments = [now + dt.timedelta(minutes=1), now + 8 * day, now + 365 * day, now + 4 * 365 * day, end - day, end + day]
    times = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments]
    command: list[str | Path] = [str(found), tmp_path / "sealed.pdf", tmp_path / "root.pem", *times]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    good = "TOTAL_PASSED null PAdES-BASELINE-LTA"
    lines = done.stdout.splitlines()
    assert lines[:-1] == [good] * (len(moments) - 1)
    assert lines[-1].startswith("INDETERMINATE OUT_OF_BOUNDS_NO_POE")
    ours = [verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], now=moment).ok for moment in moments]
    assert ours == [line == good for line in lines]
