"""The signatures of a sealed PDF, by pyHanko, and what pyHanko leaves open.

pyHanko calls a file valid though bytes follow its end, validates what it can where a timestamp is missing, and only
warns of a document timestamp that fails. Here each of these is a failure.

Everything is offline: certificates and revocation data come from the file, trust from the caller's roots.
"""

import asyncio
import datetime as dt
import io
import logging
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from asn1crypto import cms, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature, read_certification_data
from pyhanko.sign.validation.policy_decl import (
    CertificateFetchingRule,
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy, FreshnessReqType
from pyhanko_certvalidator.registry import SimpleTrustManager

from zegel.verification.container import (
    ContainerError,
    Covered,
    algorithms_of,
    certificates_of,
    check_token,
    covered_digest,
    read_gap,
)

TIMESTAMP_REVOCATION_AGE = dt.timedelta(days=365 * 50)
"""How old the revocation data of a timestamp authority may be: as old as the file.

Fresher data cannot be in the file, and a verifier without a network has no other. Whoever stole an authority's key
could backdate a token anyway. The seal's own certificate gets no such leave: its data
must have been fresh when it sealed."""

_T = TypeVar("_T")

# What pyHanko warns of is said in the report; without this, Python would print it on stderr as well.
for _name in ("pyhanko", "pyhanko_certvalidator"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


class SignatureError(ValueError):
    """A signature, or its place in the file, is not as it must be; the message says how, to a person."""


@dataclass(frozen=True)
class SignedFile:
    """A sealed PDF whose signatures stand where they must.

    Args:
        pdf: The file.
        reader: pyHanko's reader over it.
        seal: The one certification signature.
        timestamps: The document timestamps, at least one, the last of which covers the entire file.
        gap: Where the file's bytes lie that the last timestamp does not cover: start and end.
    """

    pdf: bytes
    reader: PdfFileReader
    seal: EmbeddedPdfSignature
    timestamps: tuple[EmbeddedPdfSignature, ...]
    gap: tuple[int, int]


@dataclass(frozen=True)
class SealFacts:
    """What the seal says once it is validated: by whom and when, by whose clock."""

    sealed_by: str
    sealed_at: dt.datetime


@dataclass(frozen=True)
class TimestampFacts:
    """What the last document timestamp says: who gave the time, and which."""

    timestamped_by: str
    timestamped_at: dt.datetime


def open_signed(pdf: bytes) -> SignedFile:
    """Find the seal and the timestamps, and demand that the last one covers the entire file.

    Raises:
        SignatureError: The signatures are others, or elsewhere.
        Exception: pyHanko cannot read the file; it raises many kinds.
    """
    reader = PdfFileReader(io.BytesIO(pdf), strict=True)
    signatures = list(reader.embedded_signatures)
    kinds = [str(signature.sig_object_type) for signature in signatures]
    if not kinds:
        raise SignatureError("The file is not signed at all.")
    if kinds[0] != "/Sig" or kinds.count("/Sig") != 1:
        raise SignatureError("The file has other signatures than one seal, or they do not begin with it.")
    if len(kinds) < 2 or set(kinds[1:]) != {"/DocTimeStamp"}:  # noqa: PLR2004 - a seal and a timestamp
        raise SignatureError("The file does not end with a document timestamp.")
    revisions = [signature.signed_revision for signature in signatures]
    if revisions != sorted(set(revisions)):
        raise SignatureError("Two signatures share a revision of the file.")
    last = signatures[-1]
    byte_range = [int(number) for number in last.byte_range]
    if len(byte_range) != 4 or byte_range[0] != 0:  # noqa: PLR2004 - two ranges of start and length
        raise SignatureError("The last timestamp does not say that it covers the entire file.")
    _, start, end, length = byte_range
    if not 0 < start < end or length < 0 or end + length != len(pdf):
        raise SignatureError(
            f"The file has {len(pdf)} bytes, but its last timestamp covers it up to byte {end + length}: "
            "something was added after its end, or cut off."
        )
    if (
        last.sig_object.get("/SubFilter") != "/ETSI.RFC3161"
        or last.evaluate_signature_coverage() < SignatureCoverageLevel.ENTIRE_FILE
    ):
        raise SignatureError("The last timestamp does not cover the entire file.")
    return SignedFile(pdf, reader, signatures[0], tuple(signatures[1:]), (start, end))


def check_last_timestamp(file: SignedFile, roots: Sequence[x509.Certificate]) -> TimestampFacts:
    """Account for every byte that the last timestamp does not cover; see :mod:`zegel.verification.container`.

    Raises:
        ContainerError: One of them is not what it has to be.
    """
    start, end = file.gap
    token = read_gap(file.pdf[start:end])
    last = file.timestamps[-1]
    if last.pkcs7_content[: len(token)] != token:
        raise ContainerError("the timestamp is read from elsewhere than between its covered ranges")
    certificate = check_token(token, covered_by(file, roots))
    info = last.signed_data["encap_content_info"]["content"].parsed
    return TimestampFacts(_subject(certificate), info["gen_time"].native)


def covered_by(file: SignedFile, roots: Sequence[x509.Certificate]) -> Covered:
    """What the covered part of the file holds that its last timestamp's container can be held against."""
    certificates = {root.dump() for root in roots}
    certificates |= {certificate.dump() for certificate in DocumentSecurityStore.read_dss(file.reader).load_certs()}
    algorithms: set[tuple[bytes, bytes]] = set()
    earlier: list[cms.SignedData] = [t.signed_data for t in file.timestamps[:-1]]
    earlier += extract_tst_data_iter(file.seal.signer_info, signed=False)
    for token in earlier:
        certificates |= certificates_of(token)
        algorithms |= algorithms_of(token)
    return Covered(covered_digest(file.pdf, *file.gap), frozenset(certificates), frozenset(algorithms))


def check_seal(file: SignedFile, roots: Sequence[x509.Certificate], now: dt.datetime) -> SealFacts:
    """Validate the seal as PAdES B-LTA (ETSI EN 319 102-1, 5.6.3), offline.

    Raises:
        SignatureError: It is not valid, or not what a seal must be.
    """
    seal = file.seal
    certification = read_certification_data(file.reader)
    if certification is None or certification.author_sig != seal.sig_object:
        raise SignatureError("The seal is not the certification of the document.")
    if certification.permission != MDPPerm.NO_CHANGES or seal.docmdp_level != MDPPerm.NO_CHANGES:
        raise SignatureError("The seal permits changes.")
    if seal.sig_object.get("/SubFilter") != "/ETSI.CAdES.detached":
        raise SignatureError("The seal is not a PAdES signature.")
    seal.compute_integrity_info(skip_diff=True)
    for signature in (seal, *file.timestamps):
        _check_spelling(file.pdf, signature)
        if signature.evaluate_signature_coverage() < SignatureCoverageLevel.ENTIRE_REVISION:
            raise SignatureError("A signature does not cover the whole of its revision of the file.")
    result = _run(ades_lta_validation(seal, _specification(roots), ValidationTimingInfo(now, now, False)))
    status = result.api_status
    if status is None or not status.intact or not status.valid:
        raise SignatureError("The seal's signature does not match the document.")
    if result.oldest_evidence_record_timestamp is None:
        raise SignatureError("The document timestamp does not lead to a trusted root, or is no longer valid.")
    if result.signature_timestamp_status is None or result.signature_timestamp_status.ades_subindic != AdESPassed.OK:
        raise SignatureError("The timestamp on the seal does not lead to a trusted root, or is no longer valid.")
    if result.ades_subindic != AdESPassed.OK or not status.trusted:
        raise SignatureError("The seal's certificate does not lead to a trusted root, or was not valid when it sealed.")
    stamp = next(iter(extract_tst_data_iter(seal.signer_info, signed=False)))
    sealed_at = stamp["encap_content_info"]["content"].parsed["gen_time"].native
    return SealFacts(_subject(seal.signer_cert), sealed_at)


def _check_spelling(pdf: bytes, signature: EmbeddedPdfSignature) -> None:
    """Demand that a signature's container holds its token and padding, so that nothing can be hidden in there.

    A later timestamp covers an earlier container, but would as well cover one that was changed before.
    """
    if len(signature.byte_range) != 4 or signature.byte_range[0] != 0:  # noqa: PLR2004 - two ranges of start and length
        raise SignatureError("A signature covers other ranges of the file than all around itself.")
    start, end = int(signature.byte_range[1]), int(signature.byte_range[2])
    if signature.pkcs7_content.rstrip(b"\0") != read_gap(pdf[start:end]).rstrip(b"\0"):
        raise SignatureError("A signature is read from elsewhere than between its covered ranges.")
    allowed = ["signature_time_stamp_token"] if signature.sig_object_type == "/Sig" else []
    unsigned = [attribute["type"].native for attribute in signature.signer_info["unsigned_attrs"]]
    if unsigned != allowed or signature.signed_data["crls"].native is not None:
        raise SignatureError("A signature carries other data that nothing protects than one timestamp on the seal.")


def check_changes(file: SignedFile) -> None:
    """Demand that after the seal only validation data and timestamps were added.

    Raises:
        SignatureError: Something else was.
    """
    file.seal.compute_integrity_info()
    result: Any = file.seal.diff_result  # pyHanko declares it as None
    if not isinstance(result, DiffResult) or result.modification_level > ModificationLevel.LTA_UPDATES:
        raise SignatureError("The document was changed after it was sealed.")


def _subject(certificate: x509.Certificate) -> str:
    """Whose certificate it is, in words: the common name, and the organisation where that does not say it already."""
    names = certificate.subject.native
    common_name, organisation = (str(names.get(key, "")) for key in ("common_name", "organization_name"))
    if organisation and organisation not in common_name:
        return f"{common_name} ({organisation})" if common_name else organisation
    return common_name or str(certificate.subject.human_friendly)


def _specification(roots: Sequence[x509.Certificate]) -> PdfSignatureValidationSpec:
    trust = SimpleTrustManager.build(roots)
    return PdfSignatureValidationSpec(
        SignatureValidationSpec(
            cert_validation_policy=CertValidationPolicySpec(trust, CertRevTrustPolicy(REQUIRE_REVINFO)),
            ts_cert_validation_policy=CertValidationPolicySpec(
                trust,
                CertRevTrustPolicy(
                    REQUIRE_REVINFO,
                    freshness=TIMESTAMP_REVOCATION_AGE,
                    freshness_req_type=FreshnessReqType.MAX_DIFF_REVOCATION_VALIDATION,
                ),
            ),
            revinfo_gathering_policy=RevocationInfoGatheringSpec(
                online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY,
                certificate_fetching_rule=CertificateFetchingRule.NEVER_FETCH,
            ),
            # a root issues the CRL for its leaves, and a file need not hold it
            local_knowledge=LocalKnowledge(known_certs=list(roots)),
            key_usage_settings=KeyUsageConstraints(key_usage={"non_repudiation"}),
        ),
        diff_policy=None,  # the differences are looked at once, by check_changes
    )


def _run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run pyHanko's coroutine, which waits for nothing, wherever the caller is: also inside an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
