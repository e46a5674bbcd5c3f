"""What a timestamp authority is asked (RFC 3161, section 2.4.1)."""

import secrets

from asn1crypto import tsp


def timestamp_request(algorithm: str, digest: bytes) -> bytes:
    """A request for a timestamp of a digest, with the authority's certificate and a nonce of its own.

    Args:
        algorithm: Name of the digest's algorithm, such as ``sha256``.
        digest: The digest.

    Returns:
        A DER ``TimeStampReq``.
    """
    request = tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {"hash_algorithm": {"algorithm": algorithm}, "hashed_message": digest},
            "nonce": secrets.randbits(64),
            "cert_req": True,
        }
    )
    return bytes(request.dump())
