"""What the server shows and seals with follows its files."""

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from support.certificates import revocation_list
from zegel_server import clock
from zegel_server.config import Settings
from zegel_server.credentials import issuing
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.loading import open_credentials
from zegel_server.credentials.ocsp import LocalOcspResponder, check_response
from zegel_server.credentials.revocation import OcspAnswers, RevocationLists
from zegel_server.errors import Unavailable


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
    lists = RevocationLists([path, other], lambda: (b"own",))
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


def failures(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("zegel_revocation_list_failures_total")


async def test_the_operator_is_told_of_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    path, registry = tmp_path / "a.crl", CollectorRegistry()
    first = revocation_list(0).public_bytes(Encoding.DER)
    put(path, first)
    lists = RevocationLists([path], registry=registry)
    with capture_logs() as told:
        await lists.keep_up()
        assert (failures(registry), told) == (0, [])
        path.unlink()
        for _ in range(3):
            await lists.keep_up()
        assert lists.current() == (first,)
        assert failures(registry) == 4
        assert [(each["event"], each["file"], each["error"]) for each in told] == [
            ("revocation list not read", str(path), "FileNotFoundError")
        ]
        put(path, first)
        await lists.keep_up()
    assert (failures(registry), len(told)) == (4, 2)


def test_nothing_is_sealed_with_a_list_past_its_next_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other, registry = tmp_path / "a.crl", tmp_path / "b.crl", CollectorRegistry()
    first, second = (revocation_list(number, 1 + number) for number in range(2))
    put(path, first.public_bytes(Encoding.DER))
    put(other, second.public_bytes(Encoding.PEM))
    lists = RevocationLists([path, other], registry=registry)
    next_update = registry.get_sample_value("zegel_revocation_list_next_update_seconds")
    assert first.next_update_utc is not None
    assert next_update == first.next_update_utc.timestamp()
    assert len(lists.current()) == 2

    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + clock.DAY)
    put(path, b"not yet whole")
    told: list[int] = []
    for _ in range(2):
        with capture_logs() as logged, pytest.raises(Unavailable) as refused:
            lists.current()
        told.append(len(logged))
        assert refused.value.reason == "REVOCATION_LIST_EXPIRED"
    assert told == [2, 0]  # once, and not at each try
    put(path, second.public_bytes(Encoding.DER))
    assert len(lists.current()) == 2


def test_a_server_does_not_start_without_the_lists_it_was_told_of(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RevocationLists([tmp_path / "missing.crl"])
    put(tmp_path / "wrong.crl", b"no list")
    with pytest.raises(ValueError, match="parsing"):
        RevocationLists([tmp_path / "wrong.crl"])


# -------------------------------------------------------------------------------------- the issuer's word, by OCSP


class Responder:
    """The development authority's responder, behind a double of the network; counts what it is asked."""

    def __init__(self, authority: DevelopmentAuthority) -> None:
        self.asked = 0
        self.away = False
        issued = [authority.seal.certificate]
        present = lambda: clock.to_datetime(clock.now())  # noqa: E731 - looked up anew, for a test moves the clock
        self.good = LocalOcspResponder(lambda: authority.responder, issued, present)
        self.unknown = LocalOcspResponder(lambda: authority.responder, (), present)
        self.answering = self.good

    async def respond(self, request_der: bytes) -> bytes:
        self.asked += 1
        if self.away:
            raise Unavailable("The OCSP responder does not answer.", reason="REVOCATION_LIST_EXPIRED")
        return self.answering.respond(request_der)


def answers_of(tmp_path: Path, registry: CollectorRegistry | None = None) -> tuple[OcspAnswers, Responder]:
    authority = DevelopmentAuthority.open(tmp_path / "authority")
    responder = Responder(authority)
    certificates = authority.seal.certificates
    return OcspAnswers(responder, certificates[0], certificates[1], registry), responder


def move(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    moment = clock.now() + int(hours * clock.HOUR)
    monkeypatch.setattr(clock, "now", lambda: moment)


async def test_an_answer_is_asked_for_again_once_half_its_life_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, responder = answers_of(tmp_path)
    with pytest.raises(Unavailable, match="not been asked yet"):
        answers.current()
    await answers.keep_up()
    first = answers.current()
    for hours, asked in ((0, 1), (11, 1), (1.5, 2), (11, 2)):
        move(monkeypatch, hours)
        await answers.keep_up()
        assert responder.asked == asked
    assert answers.current() != first


async def test_while_the_responder_is_away_the_last_answer_holds_until_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    answers, responder = answers_of(tmp_path, registry)
    await answers.keep_up()
    first, responder.away = answers.current(), True
    with capture_logs() as told:
        move(monkeypatch, 13)
        for _ in range(3):
            await answers.keep_up()
        assert answers.current() == first
        move(monkeypatch, 11)
        with pytest.raises(Unavailable, match="does not answer") as refused:
            answers.current()
        assert refused.value.reason == "REVOCATION_LIST_EXPIRED"
        responder.away = False
        await answers.keep_up()
    assert len(answers.current()) == 1
    assert [each["log_level"] for each in told] == ["warning", "info"]
    assert registry.get_sample_value("zegel_ocsp_failures_total") == 3


async def test_nothing_is_sealed_once_the_issuer_says_that_the_seal_is_not_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, responder = answers_of(tmp_path)
    await answers.keep_up()
    responder.answering = responder.unknown
    move(monkeypatch, 13)
    await answers.keep_up()
    with pytest.raises(Unavailable, match="unknown"):
        answers.current()


async def test_in_development_each_seal_gets_a_good_answer_and_lists_that_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = open_credentials(Settings(data_dir=tmp_path, development=True), CollectorRegistry())
    before, real = await credentials.sealing.current(), issuing.now
    seal, issuer = (x509.load_der_x509_certificate(each) for each in before.identity.chain[:2])
    (answer,) = before.ocsps
    check_response(answer, seal, issuer, clock.to_datetime(clock.now()))
    monkeypatch.setattr(issuing, "now", lambda: real() + 3 * issuing.DAY)
    move(monkeypatch, 72)
    after = await credentials.sealing.current()
    assert [one == other for one, other in zip(before.crls, after.crls, strict=True)] == [True, False, False]


@pytest.mark.parametrize("setting", ["named", "http://ocsp.example.org"])
async def test_an_installation_may_ask_the_responder_of_its_seal(tmp_path: Path, setting: str) -> None:
    settings = Settings(data_dir=tmp_path, development=True, seal_ocsp=setting)
    credentials = open_credentials(settings, CollectorRegistry())
    with pytest.raises(Unavailable, match="not been asked yet"):
        await credentials.sealing.current()


def installed(folder: Path, authority: DevelopmentAuthority) -> dict[str, Path]:
    """An authority's seal and what belongs to it, in the files that the settings name."""
    seal = authority.seal
    contents = {
        "seal_certificate": b"".join(each.public_bytes(Encoding.PEM) for each in seal.certificates[:2]),
        "seal_key": seal.key_pem,
        "trust": authority.timestamp.certificate_pem + authority.root_pem,
        **{f"crl{number}": each for number, each in enumerate(authority.crls)},
    }
    for name, data in contents.items():
        put(folder / name, data)
    return {name: folder / name for name in contents}


async def test_a_new_seal_and_its_chain_count_without_a_restart(tmp_path: Path) -> None:
    first, second = (DevelopmentAuthority.open(tmp_path / name) for name in ("first", "second"))
    files = installed(tmp_path, first)
    settings = Settings(
        data_dir=tmp_path / "data",
        development=True,
        seal_certificate=files["seal_certificate"],
        seal_key=files["seal_key"],
        seal_trust=[files["trust"]],
        seal_crls=[path for name, path in files.items() if name.startswith("crl")],
    )
    credentials = open_credentials(settings, CollectorRegistry())
    assert (await credentials.sealing.current()).identity.chain[0] == first.seal.chain[0]
    named = credentials.sealing.certificate_sha256

    with capture_logs() as told:
        put(files["seal_key"], second.seal.key_pem)
        assert (await credentials.sealing.current()).identity.chain[0] == first.seal.chain[0]  # half of it is new
        put(files["seal_certificate"], second.seal.certificate_pem[: len(second.seal.certificate_pem) // 3])
        assert credentials.sealing.certificate_sha256 == named
    assert [each["event"] for each in told] == ["seal not read"]
    installed(tmp_path, second)
    found = await credentials.sealing.current()
    assert found.identity.chain[0] == second.seal.chain[0]
    assert credentials.sealing.certificate_sha256 != named


async def test_a_chain_that_was_missing_is_mended_without_a_restart(tmp_path: Path) -> None:
    authority = DevelopmentAuthority.open(tmp_path / "authority")
    files = installed(tmp_path, authority)
    put(files["seal_certificate"], authority.seal.certificates[0].public_bytes(Encoding.PEM))
    settings = Settings(
        data_dir=tmp_path / "data",
        development=True,
        seal_certificate=files["seal_certificate"],
        seal_key=files["seal_key"],
        seal_trust=[files["trust"]],
        seal_crls=[files["crl0"], files["crl2"]],
    )
    credentials = open_credentials(settings, CollectorRegistry())
    with pytest.raises(Unavailable) as refused:
        await credentials.sealing.current()
    assert refused.value.reason == "SEAL_CHAIN_INCOMPLETE"
    installed(tmp_path, authority)
    with pytest.raises(Unavailable) as refused:
        await credentials.sealing.current()
    assert refused.value.reason == "REVOCATION_LIST_MISSING"
    put(files["crl2"], authority.crls[1])
    await credentials.sealing.current()


def test_a_server_does_not_start_with_a_responder_that_it_cannot_ask(tmp_path: Path) -> None:
    authority = DevelopmentAuthority.open(tmp_path / "other")
    for keyed, setting in ((authority.seal, "ldap://x"), (authority.timestamp, "named")):
        (tmp_path / "seal.pem").write_bytes(keyed.certificate_pem)
        (tmp_path / "key.pem").write_bytes(keyed.key_pem)
        settings = Settings(
            data_dir=tmp_path,
            development=True,
            seal_certificate=tmp_path / "seal.pem",
            seal_key=tmp_path / "key.pem",
            seal_ocsp=setting,
        )
        with pytest.raises(ValueError, match="OCSP"):
            open_credentials(settings, CollectorRegistry())
