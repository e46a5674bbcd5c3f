"""The validation data in a sealed file, which anybody may make anew: what it may hold, and what it may not."""

import pytest

from support.forging import der, edited, part, with_children
from support.path_world import (
    CA,
    CA_LIST,
    RESPONDER,
    ROOT,
    ROOT_LIST,
    SEAL,
    TIME_CA,
    TIME_CA_LIST,
    TIME_ROOT,
    TIME_ROOT_LIST,
    TSA,
)
from support.pki import ANSWERS, Party, make_answer, make_list, make_party
from zegel.evidence.sealed_file.timestamps import Validation
from zegel.evidence.verification.algorithms import digest_of, is_plain
from zegel.evidence.verification.der import read_element
from zegel.evidence.verification.store import StoreError, check_store

USED = (ROOT, CA, SEAL, TIME_ROOT, TIME_CA, TSA)
HONEST = Validation(
    tuple(each.der for each in USED),
    (ROOT_LIST, CA_LIST, TIME_ROOT_LIST, TIME_CA_LIST),
    (make_answer(CA, SEAL, 100, 107), make_answer(CA, SEAL, 100, 107, by=RESPONDER)),
)
PSS = "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
MESSAGE = der(0x04, b"a letter that nobody sealed")


def check(*added: Validation, used: tuple[Party, ...] = USED) -> None:
    check_store([HONEST, *added], [each.asn1 for each in used])


def refuses(added: Validation, match: str) -> None:
    with pytest.raises(StoreError, match=match) as refused:
        check(added)
    assert str(refused.value).endswith(".")


def test_what_an_honest_file_holds_is_accepted() -> None:
    check()
    days = range(60)
    check(*(Validation((), (make_list(CA, day, day + 7),), (make_answer(CA, SEAL, day, day + 7),)) for day in days))


def test_a_root_above_the_trusted_one_is_accepted_where_it_issued_it() -> None:
    check_store([Validation((ROOT.der,))], [CA.asn1, SEAL.asn1])
    with pytest.raises(StoreError, match="belongs to none"):
        check_store([Validation((make_party("Root", ca=True).der,))], [CA.asn1, SEAL.asn1])


def test_a_trusted_root_is_accepted_whether_it_was_used_or_not() -> None:
    other = make_party("Another root", ca=True)
    added = Validation((other.der,), (make_list(other, 100, 107),))
    check_store([HONEST, added], [each.asn1 for each in USED], [other.asn1])
    refuses(added, "belongs to none")


def test_a_responders_certificate_is_accepted() -> None:
    check(Validation((RESPONDER.der,)))
    stranger = make_party("Responder", make_party("CA", ca=True), purposes=[ANSWERS])
    refuses(Validation((stranger.der,)), "belongs to none")


def test_a_certificate_that_leads_to_none_of_the_signatures_is_refused() -> None:
    forged = make_party("CA", make_party("Mine", ca=True), ca=True, key=CA.key)
    for party in (make_party("Stranger"), make_party("Seal", CA), forged):
        refuses(Validation((party.der,)), "belongs to none")


@pytest.mark.parametrize(
    "data", [b"", b"letter", MESSAGE, der(0x30), der(0x30, MESSAGE), SEAL.der + b"\0", SEAL.der[:-1]]
)
def test_what_is_no_der_of_its_kind_is_refused(data: bytes) -> None:
    for added in (Validation((data,)), Validation((), (data,)), Validation((), (), (data,))):
        with pytest.raises(StoreError):
            check(added)


def test_nothing_is_kept_where_no_signature_covers_it() -> None:
    def hidden(data: bytes) -> bytes:
        return edited(data, (1,), with_children(MESSAGE))

    refuses(Validation((hidden(CA.der),)), "something could be hidden")
    refuses(Validation((), (hidden(CA_LIST),)), "something could be hidden")
    answer = HONEST.ocsps[1]
    inner = (1, 0, 1)

    def within(change: object, path: tuple[int, ...]) -> bytes:
        octets = read_element(part(answer, inner)).content
        return edited(answer, inner, lambda _: der(0x04, edited(octets, path, change)))  # type: ignore[arg-type]

    refuses(Validation((), (), (within(with_children(MESSAGE), (1,)),)), "something could be hidden")
    refuses(Validation((), (), (within(with_children(MESSAGE), (3, 0)),)), "something that is not a certificate")
    refuses(Validation((), (), (within(with_children(make_party("Stranger").der), (3, 0)),)), "without a use")
    refuses(Validation((), (), (within(with_children(MESSAGE), ()),)), "something could be hidden")
    refuses(Validation((), (), (within(lambda data: data[:-1] + b"\0", (2,)),)), "by nobody")


def test_a_list_or_an_answer_of_somebody_elses_is_refused() -> None:
    same_name = make_party("CA", ca=True)
    refuses(Validation((), (make_list(same_name, 100, 107),)), "by no authority")
    refuses(Validation((), (make_list(SEAL, 100, 107),)), "by no authority")
    refuses(Validation((), (), (make_answer(same_name, SEAL, 100, 107),)), "by nobody")


def test_a_changed_byte_in_each_is_refused() -> None:
    for index, honest in enumerate((CA.der, CA_LIST, HONEST.ocsps[0], HONEST.ocsps[1])):
        for position in range(0, len(honest), 5):
            data = honest[:position] + bytes([honest[position] ^ 4]) + honest[position + 1 :]
            kinds: list[tuple[bytes, ...]] = [(), (), ()]
            kinds[min(index, 2)] = (data,)
            with pytest.raises(StoreError):
                check(Validation(*kinds))


@pytest.mark.parametrize(
    ("identifier", "plain"),
    [
        ("300a06082a8648ce3d040302", True),
        ("300c06082a8648ce3d0403020500", False),
        ("300d06092a864886f70d01010b0500", True),
        ("300b06092a864886f70d01010b", True),
        ("300f06092a864886f70d01010b05000500", False),
        ("300506032b6570", True),
        ("300706032b65700500", False),
        ("300b06092a864886f70d01010a", False),
        (
            PSS + "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120",
            True,
        ),
        (
            PSS + "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020120",
            False,
        ),
        ("300d06092a864886f70d0101050500", False),
    ],
)
def test_identifiers_of_algorithms_leave_no_room(identifier: str, plain: bool) -> None:
    assert is_plain(bytes.fromhex(identifier)) == plain


def test_hashes_are_sha_2_in_two_spellings() -> None:
    assert digest_of(bytes.fromhex("300b0609608648016503040201")) == "sha256"
    assert digest_of(bytes.fromhex("300d06096086480165030402030500")) == "sha512"
    assert digest_of(bytes.fromhex("300e0609608648016503040201040100")) is None
    assert digest_of(bytes.fromhex("300706052b0e03021a")) is None
