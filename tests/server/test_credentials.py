"""What the server shows and seals with follows its files."""

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from zegel_server.credentials import RevocationLists


def revocation_list(number: int) -> x509.CertificateRevocationList:
    """A list of some authority's, told from others by its number."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")]))
        .last_update(now)
        .next_update(now + dt.timedelta(days=1))
        .add_extension(x509.CRLNumber(number), critical=False)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )


def put(path: Path, data: bytes) -> None:
    """Replaces a file, as whoever renews a list should."""
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


def test_a_renewed_list_is_embedded_without_a_restart(tmp_path: Path) -> None:
    path, other = tmp_path / "a.crl", tmp_path / "b.crl"
    first, second, third = (revocation_list(number).public_bytes(Encoding.DER) for number in range(3))
    put(path, first)
    put(other, second)
    lists = RevocationLists([path, other], [b"own"])
    assert lists.current() == (b"own", first, second)
    put(other, x509.load_der_x509_crl(third).public_bytes(Encoding.PEM))
    assert lists.current() == (b"own", first, third)


@pytest.mark.parametrize("broken", ["gone", "garbage", "half"])
def test_the_last_good_list_stays_while_the_file_is_none(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "a.crl"
    first, second = (revocation_list(number).public_bytes(Encoding.DER) for number in range(2))
    put(path, first)
    lists = RevocationLists([path])
    if broken == "gone":
        path.unlink()
    else:
        put(path, os.urandom(40) if broken == "garbage" else second[:-9])
    assert lists.current() == (first,)
    put(path, second)
    assert lists.current() == (second,)


def test_a_server_does_not_start_without_the_lists_it_was_told_of(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RevocationLists([tmp_path / "missing.crl"])
    put(tmp_path / "wrong.crl", b"no list")
    with pytest.raises(ValueError, match="parsing"):
        RevocationLists([tmp_path / "wrong.crl"])
