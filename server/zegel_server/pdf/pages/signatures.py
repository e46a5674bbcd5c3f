"""Signatures that an upload already has: their purpose, and whether what they sign is unchanged.

Whether a signature is trusted is not checked: this only tells a sender which signatures freezing the file will end.

Invariants:

* Bytes are taken from the file itself, by the signature's own range, and the signature from the gap in it.
* Whatever a signature contains, at worst it is reported as not intact.
"""

import hashlib

import pikepdf
from asn1crypto import cms
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation, validate_sig_integrity

from zegel_server.pdf.geometry import number, parts_of
from zegel_server.pdf.limits import MAX_FOUND_SIGNATURE_BYTES, MAX_FOUND_SIGNATURES
from zegel_server.pdf.model import FoundSignature, FoundSignatureKind

_DIGESTS = {"sha1", "sha224", "sha256", "sha384", "sha512"}
_MAX_KEY_BITS = 16_384
"""Maximum size in bits of a key: checking with a longer one takes needlessly long."""
_SPACE = b"\x00\t\n\x0c\r "


def signatures_of(pdf: pikepdf.Pdf, data: bytes) -> tuple[FoundSignature, ...]:
    """Find and check the signatures of a PDF.

    Args:
        pdf: The PDF.
        data: The file that it was opened from.
    """
    permissions = pdf.Root.get("/Perms")
    certified = permissions.get("/DocMDP") if isinstance(permissions, pikepdf.Dictionary) else None
    found: dict[object, FoundSignature] = {}
    for item in pdf.objects:
        value = item.get("/V") if isinstance(item, pikepdf.Dictionary) else None
        if isinstance(value, pikepdf.Dictionary) and "/Contents" in value and len(found) < MAX_FOUND_SIGNATURES:
            key = value.objgen if value.is_indirect else item.objgen
            certifies = isinstance(certified, pikepdf.Dictionary) and certified.objgen == value.objgen
            if key not in found and ("/ByteRange" in value or value.get("/Type") == pikepdf.Name.Sig):
                found[key] = _signature(value, data, certifies=certifies and value.is_indirect)
    return tuple(found.values())


def _signature(value: pikepdf.Object, data: bytes, *, certifies: bool) -> FoundSignature:
    kind: FoundSignatureKind = "approval"
    if value.get("/SubFilter") == pikepdf.Name("/ETSI.RFC3161"):
        kind = "timestamp"
    elif certifies or _has_transform(value):
        kind = "certification"
    parts = value.get("/ByteRange")
    numbers = parts_of(parts)
    whole = [int(found) for part in numbers if (found := number(part)) is not None and found >= 0]
    if len(numbers) != 4 or len(whole) != 4:  # noqa: PLR2004 - two ranges
        return FoundSignature(kind, intact=False, covers_whole_file=False)
    begin, first, second, rest = whole
    end = second + rest
    if begin != 0 or not first < second <= end <= len(data) or second - first > 2 * MAX_FOUND_SIGNATURE_BYTES:
        return FoundSignature(kind, intact=False, covers_whole_file=False)
    intact = _is_intact(data[first:second], (data[:first], data[second:end]), timestamp=kind == "timestamp")
    return FoundSignature(kind, intact, covers_whole_file=not data[end:].strip(_SPACE))


def _has_transform(value: pikepdf.Object) -> bool:
    references = value.get("/Reference")
    items = parts_of(references)
    return any(
        isinstance(item, pikepdf.Dictionary) and item.get("/TransformMethod") == pikepdf.Name.DocMDP for item in items
    )


def _is_intact(gap: bytes, signed: tuple[bytes, bytes], *, timestamp: bool) -> bool:
    """Whether a CMS signature and the digest of what it signs are right."""
    try:
        told = bytes.fromhex(gap.strip(_SPACE).removeprefix(b"<").removesuffix(b">").decode("ascii"))
        content = cms.ContentInfo.load(told)["content"]
        signer, certificate = extract_signer_info(content), extract_certs_for_validation(content).signer_cert
        if certificate.public_key.bit_size > _MAX_KEY_BITS:
            return False
        algorithm = signer["digest_algorithm"]["algorithm"].native
        if timestamp:
            token = content["encap_content_info"]["content"]
            imprint = token.parsed["message_imprint"]
            if imprint["hashed_message"].native != _digest(imprint["hash_algorithm"]["algorithm"].native, signed):
                return False
            return all(validate_sig_integrity(signer, certificate, "tst_info", _digest(algorithm, (bytes(token),))))
        embedded = content["encap_content_info"]["content"].native
        if embedded is None:
            return all(validate_sig_integrity(signer, certificate, "data", _digest(algorithm, signed)))
        # adbe.pkcs7.sha1: what is signed is the digest of the file (ISO 32000-1, 12.8.3.3.1)
        right = embedded == _digest("sha1", signed)
        return right and all(validate_sig_integrity(signer, certificate, "data", _digest(algorithm, (embedded,))))
    except Exception:  # noqa: BLE001 - libraries raise anything at damaged signatures, and none of it is intact
        return False


def _digest(algorithm: str, parts: tuple[bytes, ...]) -> bytes:
    if algorithm not in _DIGESTS:
        raise ValueError("no digest that signatures use")
    digest = hashlib.new(algorithm)
    for part in parts:
        digest.update(part)
    return digest.digest()
