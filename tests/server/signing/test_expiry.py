"""Expired requests are ended whatever stands in the way of others."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.away import KeysAway
from support.signing_world import World, make_world
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Scope
from zegel_server.crypto import open_root_keys
from zegel_server.errors import DataLoss
from zegel_server.signing import expiry
from zegel_server.signing.expiry import Expiry
from zegel_server.signing.model import RequestState
from zegel_server.signing.request import SignatureRequest


@pytest.fixture
async def other(url: str, world: World, tmp_path: Path) -> AsyncIterator[World]:
    """Another tenant of the same installation."""
    assert world.tenant_id  # there first
    made = await make_world(url, tmp_path)
    yield made
    await made.close()


async def sent(world: World, count: int) -> list[SignatureRequest]:
    sender = world.member()
    return [
        await world.send(sender, await world.draft(sender, expire_time=clock.now() + clock.HOUR)) for _ in range(count)
    ]


async def states(world: World, requests: list[SignatureRequest]) -> set[RequestState]:
    reader = world.member(Scope.ANY)
    return {(await world.signing.get(reader, each.signature_request_id)).progress.state for each in requests}


async def test_a_tenant_whose_key_is_away_has_its_requests_ended_and_holds_up_no_other(
    world: World, other: World, later: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 3)
    first, second = await sent(world, 4), await sent(other, 1)
    keys = KeysAway(world.database, open_root_keys(f"local:{tmp_path / 'keyring.json'}"))
    keys.away = {world.tenant_id}
    sweeps = Expiry(world.database, keys, Recorder(keys))
    later(2 * clock.HOUR)
    assert [await sweeps.sweep_expired() for _ in range(3)] == [3, 2, 0]
    assert await states(world, first) == await states(other, second) == {RequestState.EXPIRED}
    assert [(await world.events(each))[-1] for each in first] == ["EXPIRED"] * 4


async def test_what_cannot_be_ended_is_gone_past_and_tried_again(
    world: World, other: World, later: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 2)
    broken, sound = await sent(world, 5), await sent(other, 3)
    later(2 * clock.HOUR)
    draft_own = world.recorder.draft_own

    async def fails(tenant_id: str, *arguments: object, **more: object) -> object:
        if tenant_id == world.tenant_id:
            raise DataLoss("A tenant's row is missing.")
        return await draft_own(tenant_id, *arguments, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(world.recorder, "draft_own", fails)
        # A round is as many batches as there is to look at, and one: no row is looked at twice in it.
        assert sum([await world.expiry.sweep_expired() for _ in range(5)]) == 3
    assert await states(other, sound) == {RequestState.EXPIRED}
    assert await states(world, broken) == {RequestState.AWAITING_SIGNATURES}
    assert sum([await world.expiry.sweep_expired() for _ in range(4)]) == 5
