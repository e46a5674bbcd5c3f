"""The PAdES seal, written inside the sandboxed worker: it has no key, no network and no clock that anybody relies on.

What a sealed file is (ETSI EN 319 142-1, level B-LTA), revision by revision:

1. the prepared document, and in the same breath the *seal*: a certification signature (``ETSI.CAdES.detached``,
   DocMDP ``P=1``, no changes) with a timestamp on the signature itself;
2. the document security store with certificates and revocation data, and a document timestamp over all of it.

Invariants:

* Signatures and timestamps come through callbacks; whatever they raise passes through, and no file is made.
* The document timestamp is the last thing in the file and covers the entire file.
* A timestamp's unsigned extras (revocation lists, unsigned attributes) are dropped, for nothing would protect them
  in the document timestamp: see ``zegel.verification.container`` for the other half of that promise.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from asn1crypto import algos, cms, keys, tsp, x509
from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, Signer
from pyhanko.sign.signers.pdf_signer import (
    DSSContentSettings,
    PdfSigningSession,
    SigDSSPlacementPreference,
    TimestampDSSContentSettings,
)
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

FIELD_NAME = "ZegelSeal"
TIMESTAMP_FIELD_NAME = "ZegelTimestamp"

# pyHanko warns at each seal that fetching is off. It is meant to be: a sandbox has no network.
logging.getLogger("pyhanko.sign.signers.pdf_signer").setLevel(logging.ERROR)


@dataclass(frozen=True)
class SealSpec:
    """Everything the seal needs beside the document and the two callbacks.

    Args:
        chain: The seal's certificates, DER: its own, then each one's issuer.
        certificates: Further certificates, DER: the timestamp authority's chain and the roots. Self-issued ones are
            what the seal is checked against before it is made.
        crls: Certificate revocation lists, DER, to embed.
        ocsps: OCSP responses, DER, to embed.
        signature_algorithm: ``sha256_ecdsa`` and the like, as ``SealIdentity`` has it.
        signing_time: ISO 8601 with a time zone: what the seal itself claims. Proof is the timestamp.
        reason: Why it is sealed, for a viewer's signature panel.
        location: Where, likewise; may be empty.
        contact: Whom to ask, likewise; may be empty.
        field_name: Name of the invisible signature field.
    """

    chain: list[bytes]
    certificates: list[bytes]
    crls: list[bytes]
    signature_algorithm: str
    signing_time: str
    ocsps: list[bytes] = field(default_factory=list)
    reason: str = ""
    location: str = ""
    contact: str = ""
    field_name: str = FIELD_NAME


def seal_pdf(pdf: bytes, spec: SealSpec, sign: Callable[[bytes], bytes], timestamp: Callable[[bytes], bytes]) -> bytes:
    """Seal a prepared PDF.

    Args:
        pdf: A whole PDF without signatures, stamped, with its evidence attached. Its bytes stay as they are; the seal
            is appended.
        spec: Certificates, revocation data and texts.
        sign: Called once with the bytes to be signed (DER signed attributes, some 200 bytes, not their hash); returns
            the raw signature.
        timestamp: Called three times with a DER ``TimeStampReq`` (the first measures the size); returns a DER
            ``TimeStampResp``.

    Returns:
        The sealed PDF.

    Raises:
        pyhanko.pdf_utils.misc.PdfError: The PDF cannot be read or already is certified.
        pyhanko.sign.general.SigningError: The seal's own certificate cannot be validated with what ``spec`` holds.
        pyhanko.sign.timestamps.common_utils.TimestampRequestError: The timestamp was not granted.
    """
    return asyncio.run(_seal(pdf, spec, sign, timestamp))


async def _seal(
    pdf: bytes, spec: SealSpec, sign: Callable[[bytes], bytes], timestamp: Callable[[bytes], bytes]
) -> bytes:
    chain = [x509.Certificate.load(der) for der in spec.chain]
    others = [x509.Certificate.load(der) for der in spec.certificates]
    context = ValidationContext(
        trust_roots=[c for c in (*chain, *others) if c.self_issued],
        other_certs=[*chain[1:], *others],
        crls=[asn1_crl.CertificateList.load(der) for der in spec.crls],
        ocsps=[asn1_ocsp.OCSPResponse.load(der) for der in spec.ocsps],
        allow_fetching=False,
        revocation_mode="require",
    )
    signer = _CallbackSigner(chain, spec, sign)
    metadata = PdfSignatureMetadata(
        field_name=spec.field_name,
        md_algorithm=spec.signature_algorithm.partition("_")[0],
        reason=spec.reason or None,
        location=spec.location or None,
        contact_info=spec.contact or None,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        subfilter=SigSeedSubFilter.PADES,
        embed_validation_info=True,
        use_pades_lta=True,
        timestamp_field_name=TIMESTAMP_FIELD_NAME,
        validation_context=context,
        # VRI entries name the timestamp's own hash, so they could only be written after it and outside its cover.
        dss_settings=DSSContentSettings(
            include_vri=False,
            placement=SigDSSPlacementPreference.TOGETHER_WITH_NEXT_TS,
            next_ts_settings=TimestampDSSContentSettings(include_vri=False, update_before_ts=True),
        ),
    )
    pdf_signer = _TimedSigner(
        dt.datetime.fromisoformat(spec.signing_time),
        metadata,
        signer,
        timestamper=_CallbackTimeStamper(timestamp),
        new_field_spec=SigFieldSpec(sig_field_name=spec.field_name),
    )
    output = BytesIO()
    await pdf_signer.async_sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), output=output)
    return output.getvalue()


class _TimedSigner(PdfSigner):
    """Claims the signing time it is given, so that the sandbox's own clock does not matter."""

    def __init__(self, signing_time: dt.datetime, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._signing_time = signing_time

    def init_signing_session(self, *args: Any, **options: Any) -> PdfSigningSession:
        session = super().init_signing_session(*args, **options)
        session.system_time = self._signing_time
        return session


class _CallbackSigner(Signer):
    """Has the parent process sign: the key never enters the process that parses PDFs."""

    def __init__(self, chain: list[x509.Certificate], spec: SealSpec, sign: Callable[[bytes], bytes]) -> None:
        registry = SimpleCertificateStore()
        registry.register_multiple(chain[1:])
        super().__init__(
            signing_cert=chain[0],
            cert_registry=registry,
            signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": spec.signature_algorithm}),
            embed_roots=True,
        )
        self._sign = sign
        self._size = _signature_size(chain[0].public_key)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:  # noqa: ARG002
        return bytes(self._size) if dry_run else self._sign(data)


class _CallbackTimeStamper(TimeStamper):
    """Has the parent process ask the timestamp authority."""

    def __init__(self, timestamp: Callable[[bytes], bytes]) -> None:
        super().__init__(include_nonce=True)  # type: ignore[no-untyped-call]
        self._timestamp = timestamp

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        response = tsp.TimeStampResp.load(self._timestamp(req.dump()), strict=True)
        if response["status"]["status"].native == "granted_with_mods":
            response["status"]["status"] = "granted"  # RFC 3161 counts both as success; pyHanko only the one
        if response["status"]["status"].native == "granted":
            _drop_unsigned(response["time_stamp_token"])
        return response


def _drop_unsigned(token: cms.ContentInfo) -> None:
    """Take out of a timestamp token what no signature covers and no verifier could miss."""
    signed_data = token["content"]
    signed_data["crls"] = None
    for signer in signed_data["signer_infos"]:
        signer["unsigned_attrs"] = None


def _signature_size(key: keys.PublicKeyInfo) -> int:
    """The longest raw signature of a key, in bytes: what is to be reserved in the file."""
    if key.algorithm == "ec":
        scalar = (int(key.bit_size) + 7) // 8
        return 2 * (scalar + 3) + 4  # SEQUENCE of two INTEGERs, each with its tag, length and perhaps a leading zero
    return (int(key.bit_size) + 7) // 8
