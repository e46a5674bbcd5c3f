"""Why a request waits to be sealed: the reason that it shows, and that it is sealed once that is mended."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from support.certificates import revocation_list
from support.sealing_world import SealingWorld, assert_complete, worker_of
from support.signing_world import SQLITE_ONLY
from support.work import working
from zegel_server.credentials import issuing
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.credentials.revocation import RevocationLists
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.signing import sealing_job
from zegel_server.signing.model import RequestState

pytestmark = pytest.mark.asyncio(loop_scope="session")


@SQLITE_ONLY
async def test_without_a_timestamp_the_request_waits_and_says_why(
    sealing_world: SealingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing_job, "FIRST_RETRY_S", 0.05)
    made = sealing_world
    request = await made.signed()
    made.timestamps.down = True
    async with working(worker_of(made)):
        waiting = await made.sealing_of(request, attempts=3)
        assert waiting.last_reason == "TIMESTAMP_UNAVAILABLE"
        assert (await made.get(request)).progress.state is RequestState.ALL_SIGNED
        assert "DOWNLOADABLE" not in await made.world.events(request)
        made.timestamps.down = False
        await made.until(request, "DOWNLOADABLE")
    await assert_complete(made, request)


@SQLITE_ONLY
async def test_with_a_revocation_list_past_its_next_update_the_request_waits_and_says_why(
    sealing_world: SealingWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sealing_job, "FIRST_RETRY_S", 0.05)
    made = sealing_world
    path = tmp_path / "seal.crl"
    path.write_bytes(revocation_list(1, days=-1).public_bytes(Encoding.DER))
    lists = RevocationLists([path], lambda: made.authority.crls)
    made.sealer = made.sealer_with(
        credentials=made.credentials(lambda: replace(made.materials(), crls=lists.current()))
    )
    request = await made.signed()
    async with working(worker_of(made)):
        assert (await made.sealing_of(request, attempts=3)).last_reason == "REVOCATION_LIST_EXPIRED"
        assert (await made.get(request)).progress.state is RequestState.ALL_SIGNED
        path.write_bytes(made.authority.crls[0])
        await made.until(request, "DOWNLOADABLE")
    await assert_complete(made, request)


def seal_that_lived(made: SealingWorld, monkeypatch: pytest.MonkeyPatch, years: int) -> KeyedCertificate:
    """A seal by the world's authority, made so many years ago."""
    with monkeypatch.context() as patch:
        real = issuing.now
        patch.setattr(issuing, "now", lambda: real() - years * issuing.YEAR)
        return issuing.make_seal(made.authority.issuer, "Lettings & Co")


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("years", "change", "reason"),
    [
        (4, {}, "SEAL_CERTIFICATE_EXPIRED"),
        (-1, {}, "SEAL_CERTIFICATE_NOT_YET_VALID"),
        (0, {"certificates": ()}, "SEAL_CHAIN_INCOMPLETE"),
        (0, {"crls": ()}, "REVOCATION_LIST_MISSING"),
    ],
)
async def test_what_is_wrong_with_the_seal_is_the_reason_that_the_request_shows_while_it_waits(
    sealing_world: SealingWorld, monkeypatch: pytest.MonkeyPatch, years: int, change: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr(sealing_job, "FIRST_RETRY_S", 0.05)
    made = sealing_world
    seal = seal_that_lived(made, monkeypatch, years)
    if reason == "SEAL_CHAIN_INCOMPLETE":
        seal = KeyedCertificate(seal.key, seal.certificates[:1])
    now = replace(made.materials(), identity=seal, ocsps=(), **change)
    made.sealer = made.sealer_with(credentials=made.credentials(lambda: now))
    request = await made.signed(orders=(0,))
    async with working(worker_of(made)):
        waiting = await made.sealing_of(request, attempts=3)
        assert (waiting.last_reason, waiting.blocked) == (reason, False)
        assert made.timestamps.asked == 0
        now = made.materials()
        await made.until(request, "DOWNLOADABLE")
    await assert_complete(made, request)


@SQLITE_ONLY
async def test_timestamps_that_nobody_could_verify_are_the_reason_that_the_request_shows(
    sealing_world: SealingWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sealing_job, "FIRST_RETRY_S", 0.05)
    made = sealing_world
    good = made.timestamps.inner
    made.timestamps.inner = LocalTimestampAuthority(DevelopmentAuthority.open(tmp_path / "other").timestamp)
    request = await made.signed(orders=(0,))
    async with working(worker_of(made)):
        waiting = await made.sealing_of(request, attempts=2)
        assert (waiting.last_reason, waiting.blocked) == ("TIMESTAMP_CHAIN_INCOMPLETE", False)
        made.timestamps.inner = good
        await made.until(request, "DOWNLOADABLE")
    await assert_complete(made, request)
