"""Paths of certificates at a moment in the past: whose they are, what they are for, and what was revoked when."""

import contextlib
import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from support.effort import Effort
from support.path_world import (
    CA,
    CA_LIST,
    FILE,
    RESPONDER,
    ROOT,
    ROOT_LIST,
    SEAL,
    SEALED,
    TIME_CA,
    TIME_CA_LIST,
    TIME_ROOT,
    TIME_ROOT_LIST,
    TIMES,
    TSA,
    YEAR,
    File,
    names,
)
from support.pki import ANSWERS, SEALING, TIME, Party, day, make_answer, make_list, make_party
from zegel.evidence.verification.path_rules import MAX_SIGNATURES, PathError
from zegel.evidence.verification.paths import CLOCK_SKEW, check_path, end_of, still_alive

SECOND = dt.timedelta(seconds=1)


# ------------------------------------------------------------------------------------------------------- as it must be


def test_a_seal_leads_to_its_root_and_a_timestamp_to_its_own() -> None:
    assert names(FILE.check()) == ["Root", "CA", "Seal"]
    assert names(TIMES.check(TSA, usage="timestamp")) == ["Time Root", "Time CA", "Clock"]


async def test_inside_an_event_loop_as_well() -> None:
    FILE.check()


def test_an_answer_does_in_place_of_a_list_also_for_a_certificate_that_names_no_responder() -> None:
    answer = make_answer(CA, SEAL, SEALED, SEALED + 1, by=RESPONDER)
    replace(FILE, crls=(ROOT_LIST,), ocsps=(answer,)).check()
    bare = make_party("Seal", CA, used=SEALING)
    replace(FILE, crls=(ROOT_LIST,), ocsps=(make_answer(CA, bare, SEALED, SEALED + 1),)).check(bare)


def test_a_responder_whose_status_can_be_asked_is_asked_about() -> None:
    plain = make_party("Responder", CA, purposes=[ANSWERS])
    file = replace(FILE, ocsps=(make_answer(CA, SEAL, SEALED, SEALED + 1, by=plain),))
    file.check()
    replace(file, crls=(ROOT_LIST,)).refuses("cannot be told")


def test_a_certificate_that_is_trusted_itself_needs_no_path() -> None:
    alone = make_party("Alone", life=(0, 1000), used=SEALING)
    file = File(roots=(alone,), others=(), crls=())
    assert names(file.check(alone)) == ["Alone"]
    assert end_of(file.check(alone)) == day(1000)
    file.refuses("had expired", alone, 1001)


# ------------------------------------------------------------------------------------------------------- travel in time


@pytest.mark.parametrize("days", [0, 8, YEAR, 3 * YEAR + 1, 12 * YEAR - 1])
def test_what_was_good_when_it_was_timestamped_stays_so(days: float) -> None:
    """Eight days later the list is past its next update, after three years the seal has expired: neither matters."""
    FILE.check(known_at=day(SEALED) + SECOND)
    still_alive(TIMES.check(TSA, usage="timestamp"), day(days))


def test_it_holds_to_the_second_until_the_last_timestamps_certificate_ends() -> None:
    path = TIMES.check(TSA, usage="timestamp")
    end = day(12 * YEAR)
    assert end_of(path) == end
    still_alive(path, end - SECOND)
    still_alive(path, end)
    with pytest.raises(PathError, match="Clock, which the newest timestamp rests on, ended on 2041-12-29 12:00:00 UTC"):
        still_alive(path, end + SECOND)
    with pytest.raises(PathError, match="not valid yet"):
        still_alive(path, day(0) - SECOND)


def test_it_ends_with_the_authority_where_that_ends_first_but_not_with_the_root() -> None:
    short = make_party("Time CA", TIME_ROOT, life=(0, 2 * YEAR), ca=True)
    tsa = make_party("Clock", short, life=(0, 12 * YEAR), purposes=[TIME])
    lists = (TIME_ROOT_LIST, make_list(short, SEALED - 1, SEALED + 6))
    assert end_of(replace(TIMES, others=(short,), crls=lists).check(tsa, usage="timestamp")) == day(2 * YEAR)
    root = make_party("Old Root", life=(0, SEALED - 1), ca=True)
    issuer = make_party("Time CA", root, life=(0, 9 * YEAR), ca=True)
    tsa = make_party("Clock", issuer, life=(0, 12 * YEAR), purposes=[TIME])
    lists = (make_list(root, SEALED - 1, SEALED + 6), make_list(issuer, SEALED - 1, SEALED + 6))
    assert end_of(File((root,), (issuer,), lists).check(tsa, usage="timestamp")) == day(9 * YEAR)


def test_before_its_first_moment_a_certificate_is_none() -> None:
    born = make_party("Born", CA, life=(SEALED, 1000), used=SEALING)
    FILE.check(born)
    FILE.refuses("The certificate of Born was not valid yet on 2030-04-11 11:59:59 UTC", born, day(SEALED) - SECOND)


@pytest.mark.parametrize("expired", ["seal", "issuer"])
def test_what_had_expired_at_that_moment_does_not_count(expired: str) -> None:
    end = SEALED - 1 / 86_400
    issuer = make_party("CA", ROOT, life=(0, end if expired == "issuer" else 1000), ca=True)
    seal = make_party("Seal", issuer, life=(0, end if expired == "seal" else 1000), used=SEALING)
    file = replace(FILE, others=(issuer,), crls=(ROOT_LIST, make_list(issuer, SEALED - 2, SEALED + 5)))
    name = "CA" if expired == "issuer" else "Seal"
    file.refuses(f"The certificate of {name} had expired on 2030-04-11 12:00:00 UTC", seal)
    file.check(seal, SEALED - 1)


# ---------------------------------------------------------------------------------------------------------- revocation


@pytest.mark.parametrize("days", [SEALED - 50, SEALED - 0.6, SEALED])
def test_a_seal_that_was_revoked_when_it_sealed_is_none(days: float) -> None:
    revoked = make_list(CA, SEALED, SEALED + 7, {SEAL: days})
    replace(FILE, crls=(ROOT_LIST, revoked)).refuses("Seal was revoked on 2030-0[24]", known_at=day(SEALED) + SECOND)
    answer = make_answer(CA, SEAL, SEALED, SEALED + 1, by=RESPONDER, revoked=days)
    replace(FILE, crls=(ROOT_LIST,), ocsps=(answer,)).refuses("Seal was revoked on", known_at=day(SEALED) + SECOND)


def test_one_word_of_a_revocation_is_enough() -> None:
    good, bad = make_answer(CA, SEAL, SEALED, SEALED + 1), make_answer(CA, SEAL, SEALED - 0.1, SEALED + 1, revoked=5)
    revoked = make_list(CA, SEALED - 0.4, SEALED + 7, {SEAL: 5})
    for file in (
        replace(FILE, ocsps=(good,), crls=(ROOT_LIST, revoked)),
        replace(FILE, ocsps=(bad,)),
        replace(FILE, crls=(ROOT_LIST, CA_LIST, revoked)),
        replace(FILE, crls=(ROOT_LIST, revoked, CA_LIST)),
    ):
        file.refuses("was revoked on 2030-01-06")


def test_a_seal_that_was_revoked_after_its_timestamp_stays_one() -> None:
    """The list is fetched after the signature's timestamp and before the document's, and is the first to know."""
    later = day(SEALED + 0.2)
    revoked = make_list(CA, SEALED + 0.15, SEALED + 7, {SEAL: SEALED + 0.1})
    replace(FILE, crls=(ROOT_LIST, revoked)).check(known_at=later)
    answer = make_answer(CA, SEAL, SEALED + 0.15, SEALED + 1, by=RESPONDER, revoked=SEALED + 0.1)
    replace(FILE, crls=(ROOT_LIST,), ocsps=(answer,)).check(known_at=later)
    replace(FILE, crls=(ROOT_LIST, revoked)).refuses("revoked on", at=SEALED + 0.11, known_at=later)


def test_a_revoked_clock_is_none_and_one_revoked_later_was_one() -> None:
    lists = (TIME_ROOT_LIST, make_list(TIME_CA, SEALED, SEALED + 7, {TSA: SEALED - 1}))
    replace(TIMES, crls=lists).refuses("Clock was revoked", TSA, usage="timestamp")
    TIMES.check(TSA, SEALED - 0.1, usage="timestamp")


def test_a_revoked_authority_takes_all_with_it() -> None:
    lists = (make_list(ROOT, 50, 230, {CA: 60}), CA_LIST)
    replace(FILE, crls=lists).refuses("The certificate of CA was revoked")
    answer = make_answer(CA, SEAL, SEALED, SEALED + 1, by=RESPONDER)
    replace(FILE, crls=lists, ocsps=(answer,)).refuses("The certificate of CA was revoked")


@pytest.mark.parametrize(
    ("crls", "whose"),
    [
        ((), "CA"),
        ((CA_LIST,), "CA"),
        ((ROOT_LIST,), "Seal"),
        ((ROOT_LIST, TIME_CA_LIST), "Seal"),
        ((ROOT_LIST, make_list(TIME_CA, SEALED - 1, SEALED + 6, named=CA)), "Seal"),
        ((ROOT_LIST, make_list(SEAL, SEALED - 1, SEALED + 6, named=CA)), "Seal"),
        ((ROOT_LIST, make_list(CA, SEALED - 1, SEALED + 6, algorithm=hashes.SHA224())), "Seal"),
        ((ROOT_LIST, CA_LIST[:-1]), "Seal"),
        ((ROOT_LIST, CA_LIST[:-1] + bytes([CA_LIST[-1] ^ 1])), "Seal"),
        ((ROOT_LIST, b"", b"junk", b"0\x80", CA_LIST + b"\0"), "Seal"),
    ],
)
def test_without_a_list_of_the_issuer_nobody_knows(crls: tuple[bytes, ...], whose: str) -> None:
    replace(FILE, crls=crls).refuses(f"Whether the certificate of {whose} was revoked cannot be told")


def test_a_stale_list_proves_nothing_and_a_list_of_tomorrow_neither() -> None:
    """It was fresh at the seal; when the document's timestamp was made, it was not."""
    FILE.check(known_at=day(SEALED + 6.5) + CLOCK_SKEW)
    FILE.refuses("in force on 2030-04-18 00:01:01 UTC", known_at=day(SEALED + 6.5) + CLOCK_SKEW + SECOND)
    late = replace(FILE, crls=(ROOT_LIST, make_list(CA, SEALED + 1, SEALED + 8)))
    late.refuses("Seal was revoked cannot be told", known_at=day(SEALED + 1) - CLOCK_SKEW - SECOND)
    late.check(known_at=day(SEALED + 1) - CLOCK_SKEW)


def test_a_list_older_than_the_seal_does_while_it_is_in_force() -> None:
    FILE.check(at=SEALED + 6, known_at=day(SEALED + 6))


def test_the_moment_of_knowing_is_never_before_the_signature() -> None:
    FILE.refuses("in force on 2030-04-21", at=SEALED + 10, known_at=day(SEALED))


def test_an_answer_that_does_not_say_until_when_holds_for_half_an_hour() -> None:
    file = replace(FILE, crls=(ROOT_LIST,), ocsps=(make_answer(CA, SEAL, SEALED, None, by=RESPONDER),))
    file.check(known_at=day(SEALED) + dt.timedelta(minutes=31))
    file.refuses("cannot be told", known_at=day(SEALED) + dt.timedelta(minutes=32))


def test_what_is_said_after_the_end_of_a_certificate_does_not_count() -> None:
    """An issuer may forget a revoked certificate once it has expired."""
    seal = make_party("Seal", CA, life=(0, SEALED + 0.01), used=SEALING)
    for since, good in ((SEALED, True), (SEALED + 0.02, False)):
        told = make_list(CA, since, SEALED + 7), make_answer(CA, seal, since, SEALED + 7, by=RESPONDER)
        for file in (replace(FILE, crls=(ROOT_LIST, told[0])), replace(FILE, crls=(ROOT_LIST,), ocsps=told[1:])):
            if good:
                file.check(seal, known_at=day(SEALED + 1))
            else:
                file.refuses("cannot be told", seal, known_at=day(SEALED + 1))


ANSWERED_BY: dict[str, Callable[[], bytes]] = {
    "the seal itself": lambda: make_answer(CA, SEAL, SEALED, SEALED + 1, by=SEAL),
    "another issuer": lambda: make_answer(CA, SEAL, SEALED, SEALED + 1, by=TIME_CA),
    "another issuer's responder": lambda: make_answer(
        CA, SEAL, SEALED, SEALED + 1, by=make_party("R", TIME_CA, purposes=[ANSWERS], nocheck=True)
    ),
    "who was certified for the web": lambda: make_answer(
        CA, SEAL, SEALED, SEALED + 1, by=make_party("R", CA, purposes=[ExtendedKeyUsageOID.SERVER_AUTH], nocheck=True)
    ),
    "a responder that had expired": lambda: make_answer(
        CA, SEAL, SEALED, SEALED + 1, by=make_party("R", CA, life=(0, 90), purposes=[ANSWERS], nocheck=True)
    ),
    "the right one, about another": lambda: make_answer(CA, RESPONDER, SEALED, SEALED + 1, by=RESPONDER),
    "the right one, of yesterday": lambda: make_answer(CA, SEAL, SEALED - 2, SEALED - 1, by=RESPONDER),
    "nobody": lambda: b"junk",
}


@pytest.mark.parametrize("who", ANSWERED_BY)
def test_an_answer_of_anybody_else_proves_nothing(who: str) -> None:
    replace(FILE, crls=(ROOT_LIST,), ocsps=(ANSWERED_BY[who](),)).refuses("Seal was revoked cannot be told")


def test_who_is_certified_by_the_issuer_makes_no_lists_in_its_name() -> None:
    """A good leaf without key usage, smuggled in with an answer: pyhanko-certvalidator lets it sign lists."""
    leaf = make_party("Leaf", CA, used=(), responder=True)
    smuggled = make_answer(CA, leaf, SEALED, SEALED + 1, by=RESPONDER, carrying=[leaf])
    for named in (leaf, CA):
        lists = (ROOT_LIST, make_list(leaf, SEALED - 1, SEALED + 6, named=named))
        replace(FILE, crls=lists, ocsps=(smuggled,), others=(CA, leaf)).refuses("Seal was revoked cannot be told")


# ----------------------------------------------------------------------------------------------------------- the paths


def test_a_path_leads_to_a_root_or_nowhere() -> None:
    replace(FILE, roots=()).refuses("does not lead to a root")
    replace(FILE, others=()).refuses("does not lead to a root")
    namesake = make_party("Root", ca=True)
    replace(FILE, roots=(namesake,)).refuses("does not lead to a root")
    replace(FILE, roots=(namesake, ROOT)).check()
    forged = make_party("CA", namesake, ca=True, key=CA.key)
    replace(FILE, others=(forged, CA)).check()
    replace(FILE, others=(forged, namesake)).refuses("does not lead to a root")


def test_a_signature_that_does_not_match_leads_nowhere() -> None:
    broken = bytearray(SEAL.der)
    broken[-1] ^= 1
    with pytest.raises(PathError, match="does not lead"):
        check_path(
            asn1_x509.Certificate.load(bytes(broken)),
            day(SEALED),
            roots=[ROOT.asn1],
            others=[CA.asn1],
            crls=FILE.crls,
            ocsps=(),
            usage="seal",
        )


def test_who_may_not_certify_certifies_nothing() -> None:
    """Certified for a seal, somebody certifies another: the oldest mistake of validators (no CA flag, path length)."""
    below = make_party("Below", SEAL, used=SEALING)
    replace(FILE, others=(CA, SEAL)).refuses("does not lead", below)
    sub = make_party("Sub", CA, ca=True)
    below = make_party("Below", sub, used=SEALING)
    lists = (*FILE.crls, make_list(sub, SEALED - 1, SEALED + 6))
    replace(FILE, others=(CA, sub), crls=lists).refuses("break the rules", below)  # CA's path length is 0
    unable = make_party("CA", ROOT, ca=True, used=["digital_signature"])
    seal = make_party("Seal", unable, used=SEALING)
    lists = (ROOT_LIST, make_list(unable, SEALED - 1, SEALED + 6))
    replace(FILE, others=(unable,), crls=lists).refuses("break the rules", seal)


def test_a_roots_path_length_counts() -> None:
    root = make_party("Root 1", ca=True, path_length=0)
    issuer = make_party("CA", root, ca=True)
    seal = make_party("Seal", issuer, used=SEALING)
    lists = (make_list(root, SEALED - 1, SEALED + 6), make_list(issuer, SEALED - 1, SEALED + 6))
    File((root,), (issuer,), lists).refuses("break the rules", seal)
    direct = make_party("Seal", root, used=SEALING)
    File((root,), (issuer,), lists).check(direct)


def test_cross_certified_authorities_are_tried_until_one_path_is_good() -> None:
    """An old root has cross-certified the new one, and that certificate has expired; the new root itself is trusted."""
    old = make_party("Old Root", ca=True)
    cross = make_party("Root", old, life=(0, SEALED - 1), ca=True, key=ROOT.key)
    lists = (*FILE.crls, make_list(old, SEALED - 1, SEALED + 6))
    assert names(File((old, ROOT), (cross, CA), lists).check()) == ["Root", "CA", "Seal"]
    File((old,), (cross, CA), lists).refuses("The certificate of Root had expired")
    fresh = make_party("Root", old, life=(0, 1000), ca=True, key=ROOT.key)
    assert names(File((old,), (cross, fresh, CA), lists).check()) == ["Old Root", "Root", "CA", "Seal"]


def looping() -> tuple[Party, File]:
    """Two authorities that certified one another, with no root above."""
    one = make_party("One", ca=True)
    two = make_party("Two", one, ca=True)
    again = make_party("One", two, ca=True, key=one.key)
    back = make_party("Two", again, ca=True, key=two.key)
    return make_party("Seal", two, used=SEALING), File(others=(one, two, again, back))


def test_loops_end() -> None:
    seal, file = looping()
    file.refuses("does not lead", seal)


def tangled(count: int) -> tuple[Party, File]:
    """Authorities of one name and one key, each certified by all: every order of them is a path that leads nowhere."""
    key = ec.generate_private_key(ec.SECP256R1())
    first = make_party("Tangle", ca=True, key=key)
    others = tuple(make_party("Tangle", first, ca=True, key=key) for _ in range(count))
    return make_party("Seal", first, used=SEALING), File(others=others)


@pytest.mark.parametrize("count", [10, 60, 65, 400])
def test_a_tangle_of_certificates_is_given_up_soon(count: int) -> None:
    seal, file = tangled(count)
    others = [each.asn1 for each in file.others]
    with Effort() as effort, pytest.raises(PathError, match="more certificates"):
        check_path(seal.asn1, day(SEALED), roots=[ROOT.asn1], others=others, crls=file.crls, ocsps=(), usage="seal")
    assert effort.seconds < 2
    assert MAX_SIGNATURES < 1000


def test_too_much_revocation_data_is_refused_unread() -> None:
    several = tuple(make_list(CA, SEALED - 1, SEALED + 6) for _ in range(65))
    replace(FILE, crls=several).refuses("more revocation data")
    replace(FILE, crls=(CA_LIST,) * 65 + (ROOT_LIST,)).check()  # the same again is one
    replace(FILE, ocsps=(bytes(9 << 20),)).refuses("more revocation data")


def test_a_long_list_takes_its_time_and_no_more() -> None:
    """Some 20,000 entries: a large public authority's. The bound on bytes keeps it to ten times as many."""
    entries = 20_000
    revoked = [x509.RevokedCertificateBuilder(1 << 120 | n, day(5)).build() for n in range(entries)]
    builder = x509.CertificateRevocationListBuilder(
        CA.certificate.subject, day(SEALED - 1), day(SEALED + 6), revoked_certificates=revoked
    )
    assert builder._revoked_certificates is not x509.CertificateRevocationListBuilder()._revoked_certificates, "shared"
    long = builder.sign(CA.key, hashes.SHA256()).public_bytes(Encoding.DER)
    with Effort() as effort:
        replace(FILE, crls=(ROOT_LIST, long)).check()
    assert effort.seconds < 5


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damage_raises_nothing_but_its_own_error(data: st.DataObject) -> None:
    """One byte anywhere in any certificate, list or answer: refused, or the same path as before."""
    parts = [SEAL.der, CA.der, ROOT_LIST, CA_LIST, make_answer(CA, SEAL, SEALED, SEALED + 1, by=RESPONDER)]
    which, where = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 9_999))
    damaged = bytearray(parts[which])
    damaged[where * len(damaged) // 10_000] ^= data.draw(st.integers(1, 255))
    parts[which] = bytes(damaged)
    try:
        seal, issuer = (asn1_x509.Certificate.load(each) for each in parts[:2])
    except ValueError:
        return
    path = None
    with contextlib.suppress(PathError):
        path = check_path(
            seal, day(SEALED), roots=[ROOT.asn1], others=[issuer], crls=parts[2:4], ocsps=parts[4:], usage="seal"
        )
    if path is not None:
        assert which > 1
        assert names(path) == ["Root", "CA", "Seal"]
