"""A private key and its certificates: what the server identifies itself with or signs with.

Invariants:

* Signing goes through ``sign``, so a provider whose key never leaves its device fits the same protocol.
* A key's signature algorithm follows from the key; so the two cannot mismatch.
* No private key is part of a ``repr``.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

MIN_RSA_BITS = 2048
"""Smaller keys are neither certified nor accepted by validators (ETSI TS 119 312)."""


class SealIdentity(Protocol):
    """The organisation's seal: certificates that may be shown to anybody, and a way to sign bytes.

    A PKCS#11 token or a cloud KMS would implement this, as :class:`KeyedCertificate` does.
    """

    @property
    def chain(self) -> list[bytes]:
        """Certificates in DER, the seal's own first, each followed by its issuer."""
        ...

    @property
    def signature_algorithm(self) -> str:
        """``sha256_ecdsa``, ``sha384_ecdsa``, ``sha512_ecdsa`` or ``sha256_rsa``: hash and mechanism in one name."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign ``data`` (not its hash) and return the raw signature, as CMS wants it (DER for ECDSA)."""
        ...


def fingerprint(identity: SealIdentity) -> str:
    """Identifies the sealing certificate in a trail: SHA-256 of its DER, in lower-case hex.

    Args:
        identity: The seal.
    """
    return hashlib.sha256(identity.chain[0]).hexdigest()


@dataclass(frozen=True)
class KeyedCertificate:
    """A certificate with its issuers and its private key in memory.

    Args:
        key: The private key.
        certificates: The certificate that belongs to the key, then each certificate's issuer; the root may be left out.

    Raises:
        ValueError: The key does not belong to the first certificate, or is of a kind that no validator accepts.
    """

    key: PrivateKey = field(repr=False)
    certificates: tuple[x509.Certificate, ...]

    def __post_init__(self) -> None:
        if not self.certificates:
            raise ValueError("a certificate is needed in addition to the key")
        if self.key.public_key() != self.certificate.public_key():
            raise ValueError("the private key does not belong to the first certificate")
        if isinstance(self.key, rsa.RSAPrivateKey) and self.key.key_size < MIN_RSA_BITS:
            raise ValueError(f"an RSA key needs at least {MIN_RSA_BITS} bits")

    @classmethod
    def from_pem(cls, chain: bytes, key: bytes, password: bytes | None = None) -> Self:
        """Read certificates and key from PEM text.

        Args:
            chain: One or more certificates, the key's own first.
            key: The private key, PKCS#8 or an older format.
            password: The key's password, if it is encrypted.

        Raises:
            ValueError: Not PEM, or key and certificate do not belong together.
        """
        loaded = serialization.load_pem_private_key(key, password)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise TypeError("only ECDSA and RSA keys can seal: other kinds are not read by common PDF validators")
        return cls(loaded, tuple(x509.load_pem_x509_certificates(chain)))

    @classmethod
    def from_pem_files(cls, chain: Path, key: Path, password: bytes | None = None) -> Self:
        """Read certificates and key from two PEM files (the same file twice works); see :meth:`from_pem`."""
        return cls.from_pem(chain.read_bytes(), key.read_bytes(), password)

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that belongs to the key."""
        return self.certificates[0]

    @property
    def chain(self) -> list[bytes]:
        """The certificates in DER, the key's own first."""
        return [c.public_bytes(serialization.Encoding.DER) for c in self.certificates]

    @property
    def hash_algorithm(self) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
        """The hash that matches the key's strength: a longer one adds bytes, a shorter one weakens the signature."""
        if isinstance(self.key, rsa.RSAPrivateKey) or self.key.curve.key_size <= ec.SECP256R1.key_size:
            return hashes.SHA256()
        return hashes.SHA384() if self.key.curve.key_size <= ec.SECP384R1.key_size else hashes.SHA512()

    @property
    def signature_algorithm(self) -> str:
        """Hash and mechanism in one name, such as ``sha256_ecdsa``."""
        mechanism = "rsa" if isinstance(self.key, rsa.RSAPrivateKey) else "ecdsa"
        return f"{self.hash_algorithm.name}_{mechanism}"

    def sign(self, data: bytes) -> bytes:
        """Sign ``data`` and return the raw signature: DER for ECDSA, PKCS #1 v1.5 for RSA."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), self.hash_algorithm)
        return self.key.sign(data, ec.ECDSA(self.hash_algorithm))

    @property
    def certificate_pem(self) -> bytes:
        """The whole chain as PEM, for a TLS server."""
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in self.certificates)

    @property
    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS#8 PEM; for a TLS server's own memory or a 0600 file, nothing else."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
