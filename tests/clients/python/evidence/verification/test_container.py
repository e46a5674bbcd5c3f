"""The bytes that no signature covers: those of the newest timestamp, and what is not signed in the seal's."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.asymmetric import rsa

from support.forging import (
    CERTIFICATES,
    DIGEST,
    DIGESTS,
    MECHANISM,
    ON_SEAL,
    SIGNATURE,
    SIGNER,
    SIGNERS,
    UNSIGNED,
    Forger,
    World,
    der,
    edited,
    make_world,
    part,
    with_children,
    with_seal,
    with_second,
)
from support.sealed import Sealed, make_sealed
from zegel.evidence.sealed_file.reading import read_sealed_file
from zegel.evidence.verification import Report, verify_pdf
from zegel.evidence.verification.container import ContainerError, Covered, check_token, read_padded
from zegel.evidence.verification.der import read_element
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.credentials.timestamping import LocalTimestampAuthority

Changing = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def container(world: World) -> tuple[bytes, Covered]:
    return world.container()


def check(sealed: Sealed, pdf: bytes | None = None) -> Report:
    return verify_pdf(sealed.pdf if pdf is None else pdf, [sealed.vkey], [sealed.root_pem])


def failed(report: Report) -> set[str]:
    assert not report.ok
    return {failure.name for failure in report.failures}


def accepts(contents: bytes, covered: Covered) -> bool:
    try:
        check_token(read_padded(contents), covered)
    except ContainerError:
        return False
    return True


def test_the_container_is_accepted_as_it_is(container: tuple[bytes, Covered]) -> None:
    assert accepts(*container)


@pytest.mark.slow
def test_every_bit_of_the_token_counts(container: tuple[bytes, Covered]) -> None:
    token, covered = container
    survivors = [
        (position, bit)
        for position in range(len(token))
        for bit in range(8)
        if accepts(token[:position] + bytes([token[position] ^ 1 << bit]) + token[position + 1 :], covered)
    ]
    assert survivors == []


def test_every_byte_of_the_padding_counts(container: tuple[bytes, Covered]) -> None:
    token, covered = container
    padding = bytearray(600)
    assert accepts(token + padding, covered)
    for position in range(len(padding)):
        padding[position] = 1
        assert not accepts(token + padding, covered)
        padding[position] = 0


def test_every_digit_of_the_place_counts(world: World) -> None:
    """The spelling: digits in upper case and nothing else, wherever in the token and the padding after it."""
    pdf = world.sealed.pdf
    start, end = world.file.timestamps[-1].gap
    for position in {start, start + 1, end - 2, end - 1, *range(start, end, 97)}:
        old = pdf[position]
        for new in {0x20, 0x00, 0x0A, 0x3C, 0x3E, 0x2F, old ^ 0x20} - {old}:
            assert failed(check(world.sealed, pdf[:position] + bytes([new]) + pdf[position + 1 :])) == {"structure"}


@pytest.mark.parametrize("contents", [b"", b"\0", b"\x30", b"\x30\x80\0\0", b"\x30\x81\x01\0", b"\0" * 100])
def test_what_is_no_container_is_refused(container: tuple[bytes, Covered], contents: bytes) -> None:
    assert not accepts(contents, container[1])


# ------------------------------------------------------------------------------------------------- something is added


MESSAGE = der(0x04, b"something that nobody signed")
SHA384, SHA512 = (der(0x30, bytes.fromhex("060960864801650304020" + last)) for last in "23")


def unsigned_attribute(token: bytes) -> bytes:
    attribute = der(0x30, bytes.fromhex("06032a0304"), der(0x31, bytes.fromhex("020101")))
    signer = len(read_element(part(token, SIGNER)).elements())
    if signer > UNSIGNED[-1]:
        return edited(token, UNSIGNED, with_children(attribute))
    return edited(token, SIGNER, with_children(der(0xA1, attribute)))


def digest_twice(token: bytes) -> bytes:
    return edited(token, DIGESTS, with_children(SHA512))


def other_digest(token: bytes) -> bytes:
    return edited(token, DIGESTS, lambda _: der(0x31, SHA384))


def other_certificate(other: bytes, token: bytes) -> bytes:
    return edited(token, CERTIFICATES, with_children(other))


def certificate_twice(token: bytes) -> bytes:
    return edited(token, CERTIFICATES, with_children(part(token, (*CERTIFICATES, 0))))


def no_certificate(token: bytes) -> bytes:
    return edited(token, CERTIFICATES, lambda _: der(0xA0))


def signer_twice(token: bytes) -> bytes:
    return edited(token, SIGNERS, with_children(part(token, SIGNER)))


def revocation_list(token: bytes) -> bytes:
    return edited(token, CERTIFICATES, lambda data: data + der(0xA1, MESSAGE))


def data_as_a_parameter(token: bytes) -> bytes:
    name = part(token, (*DIGEST, 0))
    hidden = der(0x30, name, MESSAGE)
    return edited(edited(token, DIGEST, lambda _: hidden), DIGESTS, lambda _: der(0x31, hidden))


def data_as_the_signatures_parameter(token: bytes) -> bytes:
    return edited(token, MECHANISM, lambda data: der(0x30, read_element(data).elements()[0].encoding, MESSAGE))


ADDED = [
    unsigned_attribute,
    digest_twice,
    certificate_twice,
    no_certificate,
    signer_twice,
    other_digest,
    revocation_list,
    data_as_a_parameter,
    data_as_the_signatures_parameter,
]


@pytest.mark.parametrize("change", ADDED)
def test_a_token_with_something_added_is_refused(container: tuple[bytes, Covered], change: Changing) -> None:
    token, covered = container
    with pytest.raises(ContainerError):
        check_token(change(token), covered)


def test_a_token_may_carry_certificates_of_the_file_and_no_others(
    container: tuple[bytes, Covered], world: World
) -> None:
    token, covered = container
    root, unrelated = world.authority.root.chain[0], world.authority.tls.chain[0]
    check_token(other_certificate(root, token), covered)
    with pytest.raises(ContainerError, match="certificate"):
        check_token(other_certificate(unrelated, token), covered)


def test_a_nonce_is_no_place_for_a_message(world: World, container: tuple[bytes, Covered]) -> None:
    covered = container[1]
    for size, good in ((8, True), (32, True), (33, False), (2000, False)):
        token = world.forger.token(covered.digest("sha256"), int.from_bytes(b"\x01" * size, "big"))
        assert accepts(token, covered) == good, size


@pytest.mark.parametrize("change", [each for each in ADDED if each is not no_certificate])
def test_a_seal_with_something_added_and_stamped_anew_is_refused(world: World, change: Changing) -> None:
    forged = with_seal(world.sealed.pdf, world.forger, change)
    assert failed(check(world.sealed, forged)) >= {"document_timestamp", "seal"}


@pytest.mark.parametrize("change", ADDED)
def test_a_timestamp_on_the_seal_with_something_added_is_refused(world: World, change: Changing) -> None:
    forged = with_seal(world.sealed.pdf, world.forger, lambda seal: edited(seal, ON_SEAL, change))
    assert failed(check(world.sealed, forged)) >= {"document_timestamp", "seal"}


def test_a_hidden_message_in_the_seals_padding_is_refused(world: World) -> None:
    # Whoever hides it rewrites bytes that only timestamps cover, and has them stamped anew.
    _, end = world.file.completion.gap
    pdf = world.sealed.pdf
    hidden = pdf[: end - 9] + b"C0FFEE00" + pdf[end - 1 :]
    assert failed(check(world.sealed, hidden)) == {"structure"}
    stamped = with_second(pdf, world.forger, hidden[: world.file.ends[1]])
    assert "seal" in failed(check(world.sealed, stamped))


def test_later_timestamps_in_place_of_the_first_are_what_anybody_can_have(world: World) -> None:
    """What the report's time between trail and seal is for; nothing else in the file can differ."""

    def later(seal: bytes) -> bytes:
        signature = read_element(part(seal, SIGNATURE)).content
        return edited(seal, ON_SEAL, lambda _: world.forger.token(hashlib.sha256(signature).digest()))

    report = check(world.sealed, with_seal(world.sealed.pdf, world.forger, later))
    assert report.ok, report.failures


# ----------------------------------------------------------------------------------------------------------------- RSA


@pytest.mark.parametrize("size", [2048, 3072])
def test_an_rsa_authoritys_second_name_for_its_algorithm_is_refused(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # rsaEncryption and sha256WithRSAEncryption differ in one byte and verify the same
    authority = DevelopmentAuthority.open(tmp_path)
    identity = rsa_timestamps(authority, size)
    rsa_authority = replace(authority, timestamp=identity)
    monkeypatch.setattr(DevelopmentAuthority, "open", lambda _: rsa_authority)
    sealed = make_sealed(tmp_path)
    assert check(sealed).ok, check(sealed).failures
    start, end = read_sealed_file(sealed.pdf).timestamps[-1].gap
    one, other = bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06092a864886f70d010101")
    gap = bytes.fromhex(sealed.pdf[start + 1 : end - 1].decode())
    position = gap.rindex(one)
    changed = gap[:position] + other + gap[position + len(one) :]
    forged = sealed.pdf[: start + 1] + changed.hex().upper().encode() + sealed.pdf[end - 1 :]
    assert sum(a != b for a, b in zip(forged, sealed.pdf, strict=True)) == 1
    assert failed(check(sealed, forged)) == {"document_timestamp", "seal", "seal_certificate"}
    assert check(sealed, Forger(LocalTimestampAuthority(identity).respond).renewed(sealed.pdf)).ok


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
