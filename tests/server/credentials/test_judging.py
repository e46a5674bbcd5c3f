"""Why nothing is sealed: one judgement, told to the operator, with a reason that a waiting request shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest
from asn1crypto import tsp
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from support import pki
from support.pki import Party, day, make_answer, make_list, make_party
from zegel_server import clock
from zegel_server.credentials.judging import SealMaterials, StampedBy, judge
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.credentials.sealing import SealingCredentials
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.errors import Unavailable

NOW = 100.0
"""The present, in days from the start."""


def keyed(*parties: Party) -> KeyedCertificate:
    return KeyedCertificate(parties[0].key, tuple(each.certificate for each in parties))


def stamp_request() -> bytes:
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}
    return bytes(tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "nonce": 7, "cert_req": True}).dump())


@dataclass
class Installation:
    """An authority with a seal and timestamps under it, in order on day 100; a test takes something away."""

    root: Party = field(default_factory=lambda: make_party("Root", ca=True))
    issuer: Party = field(init=False)
    seal: Party = field(init=False)
    stamp: Party = field(init=False)

    def __post_init__(self) -> None:
        self.issuer = make_party("Issuer", self.root, ca=True)
        self.seal = self.new_seal((0, 1000))
        self.stamp = self.new_stamp((0, 1000))

    def new_seal(self, life: tuple[float, float], used: Sequence[str] = pki.SEALING) -> Party:
        return make_party("Seal", self.issuer, life=life, used=used)

    def new_stamp(self, life: tuple[float, float]) -> Party:
        return make_party("Clock", self.issuer, life=life, purposes=[pki.TIME])

    def lists(self, *, revoked: dict[Party, float] | None = None, until: float = 200) -> tuple[bytes, ...]:
        return make_list(self.root, 90, 1000, revoked), make_list(self.issuer, 90, until, revoked)

    def materials(self, **changes: object) -> SealMaterials:
        made = SealMaterials(keyed(self.seal, self.issuer), (self.root.der,), self.lists())
        return replace(made, **changes)  # type: ignore[arg-type]

    @property
    def stamped_by(self) -> StampedBy:
        return StampedBy(self.stamp.der)


@pytest.fixture
def home() -> Installation:
    return Installation()


def found(materials: SealMaterials, stamped_by: StampedBy | None, at: float = NOW) -> tuple[str, str] | None:
    problem = judge(materials, stamped_by, day(at))
    return None if problem is None else (problem.item, problem.reason)


def test_nothing_is_wrong_with_what_is_in_order(home: Installation) -> None:
    assert found(home.materials(), None) is None
    assert found(home.materials(), home.stamped_by) is None


def test_a_seal_is_judged_by_the_present(home: Installation) -> None:
    seal = home.new_seal((50, 150))
    materials = home.materials(identity=keyed(seal, home.issuer))
    assert found(materials, home.stamped_by, 49) is not None
    assert found(materials, home.stamped_by, 151) == ("seal", "SEAL_CERTIFICATE_EXPIRED")
    assert found(home.materials(identity=keyed(home.new_seal((101, 200)), home.issuer)), None) == (
        "seal",
        "SEAL_CERTIFICATE_NOT_YET_VALID",
    )


def test_each_flaw_of_the_seal_has_its_reason(home: Installation) -> None:
    revoked = home.materials(crls=home.lists(revoked={home.seal: 99}))
    assert found(revoked, home.stamped_by) == ("seal", "SEAL_CERTIFICATE_REVOKED")
    above = home.materials(crls=(make_list(home.root, 90, 1000, {home.issuer: 99}), home.lists()[1]))
    assert found(above, home.stamped_by) == ("seal", "SEAL_CERTIFICATE_REVOKED")
    alone = home.materials(identity=keyed(home.seal))
    assert found(alone, home.stamped_by) == ("seal", "SEAL_CHAIN_INCOMPLETE")
    assert found(home.materials(certificates=()), home.stamped_by) == ("seal", "SEAL_CHAIN_INCOMPLETE")
    tls = home.materials(identity=keyed(home.new_seal((0, 1000), pki.SIGNING), home.issuer))
    assert found(tls, home.stamped_by) == ("seal", "SEAL_CERTIFICATE_UNSUITABLE")


def test_a_list_that_is_missing_is_told_from_one_that_is_old(home: Installation) -> None:
    roots, issuers = home.lists()
    problem = judge(home.materials(crls=(roots,)), home.stamped_by, day(NOW))
    assert problem is not None
    assert (problem.item, problem.reason) == ("seal", "REVOCATION_LIST_MISSING")
    assert "Issuer" in problem.why
    assert "ZEGEL_SEAL_CRLS" in problem.mend
    assert found(home.materials(crls=(issuers,)), home.stamped_by) == ("seal", "REVOCATION_LIST_MISSING")
    old = home.materials(crls=home.lists(until=99))
    assert found(old, home.stamped_by) == ("seal", "REVOCATION_LIST_EXPIRED")
    of_another = make_list(make_party("Other", ca=True), 90, 200, named=home.issuer)
    assert found(home.materials(crls=(roots, of_another)), None) == ("seal", "REVOCATION_LIST_MISSING")


def test_an_answer_of_the_issuer_stands_in_for_a_list(home: Installation) -> None:
    answer = make_answer(home.issuer, home.seal, 99, 101)
    assert found(home.materials(crls=home.lists()[:1], ocsps=(answer,)), None) is None


def test_each_flaw_of_the_timestamps_has_its_reason(home: Installation) -> None:
    good = home.materials()
    assert found(good, StampedBy(home.new_stamp((0, 99)).der)) == ("timestamp", "TIMESTAMP_CERTIFICATE_EXPIRED")
    assert found(good, StampedBy(home.new_stamp((101, 200)).der)) == ("timestamp", "TIMESTAMP_CERTIFICATE_UNSUITABLE")
    assert found(good, StampedBy(home.seal.der)) == ("timestamp", "TIMESTAMP_CERTIFICATE_UNSUITABLE")
    revoked = home.materials(crls=home.lists(revoked={home.stamp: 99}))
    assert found(revoked, home.stamped_by) == ("timestamp", "TIMESTAMP_CERTIFICATE_REVOKED")
    other = Installation()
    assert found(good, other.stamped_by) == ("timestamp", "TIMESTAMP_CHAIN_INCOMPLETE")
    # What comes with a timestamp may lead to a root, but never is one.
    assert found(good, StampedBy(other.stamp.der, (other.issuer.der, other.root.der))) == (
        "timestamp",
        "TIMESTAMP_CHAIN_INCOMPLETE",
    )
    unlisted = home.materials(certificates=(home.root.der, other.root.der, other.issuer.der))
    assert found(unlisted, other.stamped_by) == ("timestamp", "REVOCATION_LIST_MISSING")


# ------------------------------------------------------------------------------------------------- told to the operator


class Running:
    """Credentials in use: what they are read from, who stamps, and what is logged."""

    def __init__(self, home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.materials = home.materials()
        self.stamps = home.stamp
        self.asked = 0
        self.away = False
        self.registry = CollectorRegistry()
        self._patch = monkeypatch
        self.at(NOW)
        self.credentials = SealingCredentials(
            lambda: self.materials.identity, lambda: self.materials, self, registry=self.registry
        )

    def at(self, days: float) -> None:
        moment = int(day(days).timestamp() * clock.SECOND)
        self._patch.setattr(clock, "now", lambda: moment)

    async def timestamp(self, request_der: bytes) -> bytes:
        self.asked += 1
        if self.away:
            raise Unavailable("The timestamp authority does not answer.", reason="TIMESTAMP_UNAVAILABLE")
        now: datetime = clock.to_datetime(clock.now())
        return await LocalTimestampAuthority(keyed(self.stamps), lambda: now).timestamp(request_der)

    async def told(self) -> list[tuple[str, str]]:
        with capture_logs() as logged:
            await self.credentials.keep_up()
        return [(each["log_level"], str(each.get("reason") or each["event"])) for each in logged]

    async def refused(self) -> str:
        try:
            await self.credentials.current()
        except Unavailable as error:
            return error.reason
        return ""

    def metric(self, name: str, credential: str = "") -> float | None:
        labels = {"credential": credential} if credential else {}
        return self.registry.get_sample_value(f"zegel_sealing_credential_{name}", labels)


@pytest.fixture
def running(home: Installation, monkeypatch: pytest.MonkeyPatch) -> Running:
    return Running(home, monkeypatch)


async def test_the_operator_is_told_at_once_of_what_keeps_everything_from_being_sealed(running: Running) -> None:
    running.materials = running.home.materials(crls=running.home.lists()[:1])
    with capture_logs() as logged:
        await running.credentials.keep_up()
    (line,) = logged
    assert (line["log_level"], line["event"]) == ("error", "nothing is sealed")
    assert line["reason"] == "REVOCATION_LIST_MISSING"
    assert "Issuer" in line["why"]
    assert "ZEGEL_SEAL_CRLS" in line["mend"]
    assert running.metric("problem") == 1
    assert await running.told() == []  # not again a minute later
    running.at(NOW + 1)
    assert await running.told() == [("error", "REVOCATION_LIST_MISSING")]

    running.materials = running.home.materials()
    assert await running.told() == [("info", "what the organisation seals with is in order again")]
    assert running.metric("problem") == 0
    assert await running.refused() == ""


async def test_what_ends_is_told_thirty_days_ahead_once_a_day(running: Running) -> None:
    home = running.home
    running.materials = home.materials(identity=keyed(home.new_seal((0, 140)), home.issuer), crls=home.lists(until=400))
    running.at(109)
    assert await running.told() == []
    assert running.metric("days_left", "seal") == 31
    assert running.metric("days_left", "timestamp") == 891
    assert running.metric("days_left", "revocation_list") == 291
    running.at(110.5)
    with capture_logs() as logged:
        for _ in range(3):
            await running.credentials.keep_up()
    assert [(each["log_level"], each["whose"], each["days_left"]) for each in logged] == [("warning", "Seal", 29)]
    assert "ZEGEL_SEAL_CERTIFICATE" in logged[0]["mend"]
    running.at(111.5)
    assert len(await running.told()) == 1
    running.at(140.5)
    assert await running.told() == [("error", "SEAL_CERTIFICATE_EXPIRED")]


async def test_a_list_that_lives_for_days_is_not_warned_of_all_its_life(running: Running) -> None:
    home = running.home
    running.materials = home.materials(crls=(make_list(home.root, 90, 1000), make_list(home.issuer, 99, 106)))
    assert await running.told() == []
    running.at(104)
    assert [level for level, _ in await running.told()] == ["warning"]


async def test_the_timestamps_are_judged_before_anybody_signs(running: Running) -> None:
    running.stamps = running.home.new_stamp((0, 99))
    assert await running.told() == [("error", "TIMESTAMP_CERTIFICATE_EXPIRED")]
    assert await running.refused() == "TIMESTAMP_CERTIFICATE_EXPIRED"
    running.stamps = running.home.stamp
    assert await running.refused() == ""  # asked again, and it signs with a new one


async def test_an_authority_that_changes_for_the_worse_is_noticed_at_its_next_timestamp(running: Running) -> None:
    assert await running.told() == []
    running.stamps = Installation().stamp
    assert await running.refused() == ""
    with pytest.raises(Unavailable) as refused:
        await running.credentials.timestamp(stamp_request())
    assert refused.value.reason == "TIMESTAMP_CHAIN_INCOMPLETE"


async def test_an_authority_is_asked_for_nothing_once_a_day_at_most(running: Running) -> None:
    for at, asked in ((NOW, 1), (NOW + 0.9, 1), (NOW + 1, 2)):
        running.at(at)
        await running.told()
        assert running.asked == asked


async def test_an_authority_that_is_away_keeps_nobody_from_being_told_of_the_seal(running: Running) -> None:
    running.away = True
    running.materials = running.home.materials(certificates=())
    assert await running.told() == [
        ("info", "no timestamp to judge"),
        ("error", "SEAL_CHAIN_INCOMPLETE"),
    ]
