"""What a certificate must be for, and how strong; and whether OpenSSL tells the same of the same certificates."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.path_world import (
    CA,
    CA_LIST,
    FILE,
    ROOT,
    ROOT_LIST,
    SEAL,
    SEALED,
    TIME_CA,
    TIME_ROOT,
    TIME_ROOT_LIST,
    TIMES,
    TSA,
    File,
)
from support.pki import ANSWERS, CERTIFYING, SEALING, TIME, Party, day, make_list, make_party
from support.tools import tool
from zegel.evidence.verification.path_rules import PathError

WEB, CODE, MAIL, DOCUMENTS = (
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.CODE_SIGNING,
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"used": SEALING}, None),
        ({"used": ["content_commitment"]}, None),
        ({"used": SEALING, "purposes": [MAIL, DOCUMENTS]}, None),
        ({"used": ["digital_signature"]}, "commitments"),
        ({"used": ()}, "commitments"),
        ({"used": SEALING, "purposes": [TIME]}, "another purpose"),
        ({"used": SEALING, "purposes": [MAIL, WEB]}, "another purpose"),
        ({"used": SEALING, "purposes": [CODE]}, "another purpose"),
        ({"used": SEALING, "purposes": [ANSWERS]}, "another purpose"),
        ({"used": [*SEALING, *CERTIFYING]}, "certification authority's"),
        ({"used": SEALING, "ca": True}, "certification authority's"),
        ({"used": SEALING, "key": ec.generate_private_key(ec.SECP224R1())}, "too weak"),
    ],
)
def test_a_seal_is_for_sealing(options: dict[str, Any], message: str | None) -> None:
    party = make_party("Seal", CA, **options)
    if message is None:
        FILE.check(party)
    else:
        FILE.refuses(message, party)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"purposes": [TIME]}, None),
        ({"purposes": [TIME], "used": ()}, None),
        ({"purposes": [TIME], "critical_purposes": False}, "only purpose"),
        ({"purposes": [TIME, WEB]}, "only purpose"),
        ({"purposes": [TIME, TIME]}, "only purpose"),
        ({"purposes": [MAIL]}, "only purpose"),
        ({}, "only purpose"),
        ({"purposes": [TIME], "used": ["key_encipherment"]}, "not for signing"),
        ({"purposes": [TIME], "ca": True}, "certification authority's"),
        ({"purposes": [TIME], "key": rsa.generate_private_key(65537, 1024)}, "too weak"),  # noqa: S505
    ],
)
def test_a_clock_is_for_time_and_nothing_else(options: dict[str, Any], message: str | None) -> None:
    party = make_party("Clock", TIME_CA, **options)
    if message is None:
        TIMES.check(party, usage="timestamp")
    else:
        TIMES.refuses(message, party, usage="timestamp")


def test_neither_is_taken_for_the_other() -> None:
    FILE.refuses("not one for timestamps", SEAL, usage="timestamp")
    TIMES.refuses("not one for seals", TSA)


def test_an_authority_that_certifies_time_certifies_no_seals_nor_the_other_way_round() -> None:
    seal = make_party("Seal", TIME_CA, used=SEALING)
    TIMES.refuses("Time CA may not certify seals", seal)
    mail = make_party("Mail CA", TIME_ROOT, ca=True, purposes=[MAIL])
    tsa = make_party("Clock", mail, purposes=[TIME])
    lists = (TIME_ROOT_LIST, make_list(mail, SEALED - 1, SEALED + 6))
    replace(TIMES, others=(mail,), crls=lists).refuses("Mail CA may not certify timestamps", tsa, usage="timestamp")
    seal = make_party("Seal", mail, used=SEALING)
    replace(TIMES, others=(mail,), crls=lists).check(seal)


def test_a_root_that_is_trusted_for_time_is_not_trusted_for_seals() -> None:
    FILE.refuses("Clock does not lead to a root that is trusted for timestamps", TSA, usage="timestamp")
    TIMES.refuses("Seal does not lead to a root that is trusted for seals")


def test_weak_signatures_between_are_refused() -> None:
    weak = make_party("CA", ROOT, ca=True, key=CA.key, algorithm=hashes.SHA224())
    replace(FILE, others=(weak,)).refuses("does not lead")
    small = make_party("Root", ca=True, key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - refusing it is the test
    issuer = make_party("CA", small, ca=True)
    seal = make_party("Seal", issuer, used=SEALING)
    lists = (make_list(small, SEALED - 1, SEALED + 6), make_list(issuer, SEALED - 1, SEALED + 6))
    File((small,), (issuer,), lists).refuses("does not lead", seal)


def test_a_name_in_a_message_is_short_and_printable() -> None:
    party = make_party("\x1b[2J" + "x" * 60, CA)
    with pytest.raises(PathError) as refused:
        FILE.check(party)
    assert "\x1b" not in str(refused.value)


# ------------------------------------------------------------------------------------------------ another's opinion


MOMENTS = [-0.1, 0.1, 49.9, 50.1, 99.4, 99.6, 100, 106.4, 106.6, 229, 231, 1094, 1096]
"""Days around each bound that a certificate or list of the test's has."""

CASES: dict[str, tuple[Party, tuple[bytes, ...]]] = {
    "good": (SEAL, (ROOT_LIST, CA_LIST)),
    "no list": (SEAL, (ROOT_LIST,)),
    "revoked": (SEAL, (ROOT_LIST, make_list(CA, 99.5, 106.5, {SEAL: 90}))),
    "authority revoked": (SEAL, (make_list(ROOT, 50, 230, {CA: 90}), CA_LIST)),
    "long list": (SEAL, (make_list(ROOT, 0, 9999), make_list(CA, 0, 9999))),
}


@pytest.mark.parametrize("case", CASES)
def test_openssl_agrees_at_every_moment(case: str, tmp_path: Path) -> None:
    party, lists = CASES[case]
    for name, each in {"root": ROOT, "issuer": CA, "leaf": party}.items():
        (tmp_path / f"{name}.pem").write_bytes(each.certificate.public_bytes(Encoding.PEM))
    pem = b"".join(x509.load_der_x509_crl(each).public_bytes(Encoding.PEM) for each in lists)
    (tmp_path / "lists.pem").write_bytes(pem)
    ours, theirs = [], []
    for moment in MOMENTS:
        try:
            replace(FILE, crls=lists).check(party, moment)
            ours.append(moment)
        except PathError:
            pass
        command: list[str | Path] = [
            tool("openssl"),
            "verify",
            "-attime",
            str(int(day(moment).timestamp())),
            "-crl_check_all",
        ]
        files = ["-CAfile", "root.pem", "-CRLfile", "lists.pem", "-untrusted", "issuer.pem", "leaf.pem"]
        done = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, check=False)
        if done.returncode == 0:
            theirs.append(moment)
    assert ours == theirs
    assert bool(ours) == (case in {"good", "long list"})


def test_a_list_in_the_roots_name_that_another_key_signed_proves_nothing() -> None:
    """Also where the root is among the certificates of the file, as it is in every sealed file."""
    impostor = make_party("Root", ca=True)
    file = replace(FILE, others=(*FILE.others, ROOT))
    file.check()
    for forged in (
        make_list(impostor, SEALED - 1, SEALED + 6),
        make_list(impostor, SEALED - 1, SEALED + 6, named=ROOT),
        make_list(CA, SEALED - 1, SEALED + 6, named=ROOT),
    ):
        replace(file, crls=(forged, CA_LIST)).refuses("cannot be told")
