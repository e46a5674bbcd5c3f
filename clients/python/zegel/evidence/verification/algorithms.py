"""The encodings that an algorithm identifier may have where no signature covers it (RFC 5754, RFC 4055, RFC 8410).

An ``AlgorithmIdentifier`` can hold parameters that libraries ignore, where anybody who has the file timestamped again
could hide data. So only the encodings in the standards are accepted.
"""

from typing import Final

from zegel.evidence.verification.der import INTEGER, OID, SEQUENCE, DerError, read_only_element

_NULL: Final = b"\x05\x00"
DIGESTS: Final = {
    bytes.fromhex("0609608648016503040201"): "sha256",
    bytes.fromhex("0609608648016503040202"): "sha384",
    bytes.fromhex("0609608648016503040203"): "sha512",
}
"""The accepted hashes, by their object identifiers in DER."""

_RSA: Final = frozenset(bytes.fromhex("06092a864886f70d0101" + last) for last in ("01", "0b", "0c", "0d"))
"""``rsaEncryption``, and RSA with each of the hashes: parameters are ``NULL``, and some implementations omit them."""
_BARE: Final = frozenset(
    bytes.fromhex(identifier)
    for identifier in (
        "06082a8648ce3d040302",
        "06082a8648ce3d040303",
        "06082a8648ce3d040304",
        "06032b6570",
        "06032b6571",
    )
)
"""ECDSA with each of the hashes, Ed25519 and Ed448: no parameters."""
_PSS: Final = bytes.fromhex("06092a864886f70d01010a")
_MASK: Final = bytes.fromhex("06092a864886f70d010108")
_MAX_SALT: Final = 64
"""Maximum size in bytes of an RSASSA-PSS salt: the length of the longest hash."""


def digest_of(identifier: bytes) -> str | None:
    """Which hash an identifier names.

    Args:
        identifier: An ``AlgorithmIdentifier``, DER.

    Returns:
        ``sha256`` and the like; ``None`` for another hash or another encoding.

    Raises:
        DerError: It is not DER.
    """
    content = read_only_element(identifier, SEQUENCE).content
    for spelled, name in DIGESTS.items():
        if content in {spelled, spelled + _NULL}:
            return name
    return None


def is_plain(identifier: bytes) -> bool:
    """Whether the identifier of a signature algorithm has one of the encodings in the standards.

    Args:
        identifier: An ``AlgorithmIdentifier``, DER.

    Raises:
        DerError: It is not DER.
    """
    content = read_only_element(identifier, SEQUENCE).content
    if content in _BARE or content.removesuffix(_NULL) in _RSA:
        return True
    return content.startswith(_PSS) and _is_pss(content[len(_PSS) :])


def _is_pss(parameters: bytes) -> bool:
    """Whether RSASSA-PSS parameters are a hash, the same hash for the mask, and the salt's length (RFC 4055, 3.1)."""
    try:
        fields = read_only_element(parameters, SEQUENCE).elements()
        (hashed,), (mask,), (salt,) = (field.elements() for field in fields)
        kind, mask_hash = mask.children(OID, SEQUENCE)
    except (DerError, ValueError):
        return False
    lengths = {bytes([INTEGER, 1, length]) for length in range(1, _MAX_SALT + 1)}
    return (
        [field.tag for field in fields] == [0xA0, 0xA1, 0xA2]
        and digest_of(hashed.encoding) is not None
        and digest_of(hashed.encoding) == digest_of(mask_hash.encoding)
        and kind.encoding == _MASK
        and mask.tag == SEQUENCE
        and salt.encoding in lengths
    )
