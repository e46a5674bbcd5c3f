"""The log asks witnesses, carries what they sign, and is held up or misled by none of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from support.audit_world import AuditWorld
from support.stopwatch import Stopwatch
from support.witness_world import Asking, Handler, Served
from zegel.evidence.log_sources import FolderSource
from zegel.evidence.mirror import verify_log
from zegel.evidence.note_signing import SignerKey
from zegel.evidence.trail import check_trail
from zegel.evidence.transparency import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    LogProof,
    open_checkpoint,
    split_note,
)
from zegel.evidence.witness_messages import SIZE_TYPE, AddCheckpoint
from zegel_server.audit import store, witnesses
from zegel_server.audit import witness_feeder as feeding
from zegel_server.audit.cosignatures import KEPT, Cosignatures
from zegel_server.audit.witnesses import Outcome, Witness, parse_witnesses
from zegel_server.errors import DataLoss, Unavailable

REQUEST = ("req_1", "aud_1")


@pytest.fixture
async def served(world: AuditWorld, tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path / "witnesses", world.log.key.verifier)
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "PACE_S", 0.02)
    monkeypatch.setattr(feeding, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(feeding, "LONGEST_PAUSE_S", 0.2)


async def grow(world: AuditWorld, count: int = 1) -> int:
    await world.record(request=REQUEST, count=count)
    await world.sequencer.flush()
    return (await world.log.head()).size


def cosigners(checkpoint: bytes, *asked: Witness) -> set[str]:
    names = {name for name, _ in split_note(checkpoint)[1]}
    return names & {each.name for each in asked}


async def test_the_newest_checkpoint_carries_the_lines_of_each(world: AuditWorld, served: Served) -> None:
    one, two = (
        await served.add("w.example/1"),
        await served.add("w.example/2", COSIGNATURE_ED25519, COSIGNATURE_MLDSA44),
    )
    keys = [*one.keys, *two.keys]
    async with Asking(world, one, two, published=True) as asking:
        size = 0
        for count in (1, 300, 5):
            size = await grow(world, count)

            async def both(size: int = size) -> bool:
                head = await asking.trail.checkpoint()
                return head.size == size and cosigners(head.checkpoint, one, two) == {one.name, two.name}

            await asking.until(both)
            head = await asking.trail.checkpoint()
            for key in keys:
                assert open_checkpoint(head.checkpoint, [served.log_key], [key], 1).size == size
            assert len(split_note(head.checkpoint)[1]) == 4

        # The published file has them too, and is a whole log.
        async def published() -> bool:
            text = (world.files / "checkpoint").read_bytes()
            return text.split(b"\n")[1] == b"%d" % size and len(text) == len(head.checkpoint)

        await asking.until(published)
        assert verify_log(FolderSource(world.files), [served.log_key], witnesses=keys, quorum=2).size == size
        assert asking.count(one.name, "cosigned") >= 3
        assert asking.registry.get_sample_value("zegel_witness_size", {"witness": two.name}) == size


async def test_proofs_and_evidence_carry_them(world: AuditWorld, served: Served) -> None:
    one = await served.add("w.example/1")
    async with Asking(world, one) as asking:
        size = await grow(world, 3)
        await asking.until(lambda: _signed(asking, size))
        # Later events, which no witness has seen, take nothing from what was proved before.
        served.instead[one.name] = _status(500)
        await world.record()
        await world.sequencer.flush()
        evidence = await asking.trail.evidence(REQUEST[1])
    found = check_trail(evidence.audit_jsonl, evidence.proof, [served.log_key], witnesses=one.keys, quorum=1)
    assert found.ok, found.failures
    assert LogProof.parse(evidence.proof).index == size - 1


async def _signed(asking: Asking, size: int) -> bool:
    found = await asking.cosignatures.covering(size, await asking.world.log.head())
    return len(split_note(found.checkpoint)[1]) > 1


def _status(status: int) -> Handler:
    async def answer(_: bytes) -> web.Response:
        return web.Response(status=status)

    return answer


async def test_where_witnesses_are_demanded_nothing_leaves_without_them(world: AuditWorld, served: Served) -> None:
    one, two = await served.add("w.example/1"), await served.add("w.example/2")
    served.instead[two.name] = _status(503)
    async with Asking(world, one, two, needed=2, published=True) as asking:
        first = await grow(world, 2)
        await asking.until(lambda: asyncio.sleep(0, asking.count(one.name, "cosigned") > 0))
        for refused in (
            asking.trail.checkpoint(),
            asking.trail.evidence(REQUEST[1]),
        ):
            with pytest.raises(Unavailable) as told:
                await refused
            assert told.value.reason == "NOT_WITNESSED_YET"
        assert not (world.files / "checkpoint").exists()
        del served.instead[two.name]
        await asking.until(lambda: asyncio.sleep(0, (world.files / "checkpoint").exists()))
        assert (await asking.trail.checkpoint()).size == first
        assert verify_log(FolderSource(world.files), [served.log_key], witnesses=one.keys, quorum=1).size == first
        # What is newer waits; what was handed out stays.
        served.instead[two.name] = _status(503)
        [event] = await world.record()
        await world.sequencer.flush()
        assert (await asking.trail.checkpoint()).size == first
        assert (await asking.trail.consistency_proof(1, 0)).second_size == first
        with pytest.raises(Unavailable, match="Too few witnesses"):
            await asking.trail.inclusion_proof(world.caller(), event)
        await asking.trail.evidence(REQUEST[1])


LIES: dict[str, tuple[Handler, str]] = {}


def lie(outcome: str) -> Callable[[Handler], Handler]:
    def note(handler: Handler) -> Handler:
        LIES[handler.__name__] = (handler, outcome)
        return handler

    return note


STRANGER = SignerKey("w.example/1", COSIGNATURE_ED25519, b"s" * 32)


@lie("forged")
async def a_stranger_s_line(body: bytes) -> web.Response:
    text = split_note(AddCheckpoint.parse(body).checkpoint)[0]
    return web.Response(body=STRANGER.sign(text, int(time.time())))


@lie("forged")
async def garbage(_: bytes) -> web.Response:
    return web.Response(body=b"\xff\x00 not a line")


@lie("forged")
async def nothing(_: bytes) -> web.Response:
    return web.Response(body=b"")


@lie("refused")
async def without_end(_: bytes) -> web.Response:
    return web.Response(body=b"x" * 1_000_000)


@lie("forked")
async def an_unprocessable(_: bytes) -> web.Response:
    return web.Response(status=422)


@lie("refused")
async def somewhere_else(_: bytes) -> web.Response:
    return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})


@lie("forked")
async def a_larger_tree(_: bytes) -> web.Response:
    return web.Response(status=409, body=b"1000000\n", headers={"Content-Type": SIZE_TYPE})


@lie("forked")
async def another_tree(_: bytes) -> web.Response:
    return web.Response(status=409, body=b"no\n")


@lie("refused")
async def the_size_it_was_asked_with(body: bytes) -> web.Response:
    size = AddCheckpoint.parse(body).old
    return web.Response(status=409, body=b"%d\n" % size, headers={"Content-Type": SIZE_TYPE})


@pytest.mark.parametrize("name", LIES)
async def test_one_that_lies_is_told_and_misleads_nobody(world: AuditWorld, served: Served, name: str) -> None:
    liar, honest = await served.add("w.example/1"), await served.add("w.example/2")
    served.instead[liar.name], outcome = LIES[name]
    async with Asking(world, liar, honest) as asking:
        size = await grow(world, 2)
        await asking.until(lambda: asyncio.sleep(0, asking.count(liar.name, outcome) > 0))
        assert {each for each in Outcome if asking.count(liar.name, each)} == {outcome}
        await asking.until(lambda: _signed(asking, size))
        head = await asking.trail.checkpoint()
        assert cosigners(head.checkpoint, liar, honest) == {honest.name}
        # And it is asked again, once it thinks better of it.
        del served.instead[liar.name]
        await asking.until(lambda: asyncio.sleep(0, asking.count(liar.name, "cosigned") > 0))


async def test_one_that_is_away_or_slow_holds_nobody_up(
    world: AuditWorld, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "GRACE_S", 0.05)
    monkeypatch.setattr(witnesses, "ASK_S", 1.0)
    slow, honest = await served.add("w.example/1"), await served.add("w.example/2")
    away = Witness(
        "w.example/3", "http://127.0.0.1:1", (SignerKey("w.example/3", COSIGNATURE_ED25519, b"3" * 32).verifier,)
    )

    async def never(_: bytes) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    served.instead[slow.name] = never
    async with Asking(world, slow, away, honest) as asking:
        for _ in range(3):
            size = await grow(world)
            async with Stopwatch() as watch:
                await asking.until(lambda size=size: _signed(asking, size))  # type: ignore[misc]
                assert await watch.seconds() < 0.9
        await asking.until(lambda: asyncio.sleep(0, asking.count(away.name, "away") > 0))
        await asking.until(lambda: asyncio.sleep(0, asking.count(slow.name, "away") > 0))


async def test_one_that_knows_another_size_gets_the_proof_from_there(world: AuditWorld, served: Served) -> None:
    one = await served.add("w.example/1")
    async with Asking(world, one) as asking:
        await asking.until(lambda: _signed(asking, 0))
        size = await grow(world, 300)
        await asking.until(lambda: _signed(asking, size))
    # Another process knows nothing of what the witness knows.
    size = await grow(world, 30)
    before = len(served.asked)
    async with Asking(world, one) as another:
        await another.until(lambda: _signed(another, size))
    assert len(served.asked) == before + 2


async def test_two_processes_that_ask_do_no_harm(world: AuditWorld, served: Served) -> None:
    one = await served.add("w.example/1")
    other = await world.another()
    async with Asking(world, one) as here, Asking(other, one) as there:
        for _ in range(8):
            size = await grow(world, 3)
            await here.until(lambda size=size: _signed(here, size))  # type: ignore[misc]
            await there.until(lambda size=size: _signed(there, size))  # type: ignore[misc]
        assert here.count(one.name, "forked") == there.count(one.name, "forked") == 0
    await other.close()


async def test_few_lines_are_kept(world: AuditWorld, served: Served) -> None:
    one, two = await served.add("w.example/1"), await served.add("w.example/2")
    asking = Asking(world, one, two, needed=2)
    signers = {memory.signers[0].name: memory.signers[0] for memory in served.memories}

    async def cosign(*names: str) -> int:
        size = await grow(world)
        head = await world.log.head()
        text = split_note(head.checkpoint)[0]
        lines = {signers[name].verifier: signers[name].sign(text, 5) for name in names}
        await asking.cosignatures.keep(head, lines)
        return size

    good = await cosign(one.name, two.name)
    for _ in range(KEPT + 10):
        await cosign(one.name)
    rows = await world.database.fetch(store.COSIGNATURES)
    assert len({row.size for row in rows}) == KEPT + 1
    assert (await asking.trail.checkpoint()).size == good


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE audit_cosignatures SET line = checkpoint",
        "UPDATE audit_cosignatures SET size = size - 1",
        "UPDATE audit_cosignatures SET checkpoint = line",
    ],
)
async def test_a_line_that_was_altered_is_found(world: AuditWorld, served: Served, edit: str) -> None:
    one = await served.add("w.example/1")
    async with Asking(world, one) as asking:
        size = await grow(world, 2)
        await asking.until(lambda: _signed(asking, size))
    await world.tamper(edit)
    fresh = Asking(world, one)
    with pytest.raises(DataLoss):
        await fresh.trail.checkpoint()


async def test_a_log_that_was_set_back_is_told_by_its_witness(world: AuditWorld, served: Served) -> None:
    """The witness remembers what the database and the published files have forgotten."""
    one = await served.add("w.example/1")
    async with Asking(world, one) as asking:
        size = await grow(world, 5)
        await asking.until(lambda: _signed(asking, size))
    key = world.log.key
    memory = served.memories[0]
    # As after a restored backup: the log is smaller than what was cosigned.
    bigger = key.checkpoint(size + 10, b"r" * 32)
    memory.remember(key.origin, bigger)
    await grow(world)
    async with Asking(world, one) as again:
        await again.until(lambda: asyncio.sleep(0, again.count(one.name, "forked") > 0))


VKEY = str(SignerKey("w.example/1", COSIGNATURE_ED25519, b"1" * 32).verifier)


@pytest.mark.parametrize(
    "wrong",
    [
        ["no key"],
        [VKEY],
        [f"{VKEY} ftp://w.example"],
        [f"{VKEY} https://"],
        [f"{VKEY} https://w.example", f"{VKEY} https://w.example"],
        [f"{SignerKey('w.example/1', 1, b'1' * 32).verifier} https://w.example"],
    ],
)
def test_settings_that_name_no_witness_are_refused(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match=r"witnesses\["):
        parse_witnesses(wrong)


def test_a_witness_may_have_two_keys() -> None:
    second = SignerKey("w.example/1", COSIGNATURE_MLDSA44, b"1" * 32).verifier
    [one] = parse_witnesses([f"{VKEY} https://w.example/p/", f"{second} https://w.example/p"])
    assert (one.url, len(one.keys)) == ("https://w.example/p", 2)


async def test_more_witnesses_than_there_are_cannot_be_demanded(world: AuditWorld) -> None:
    with pytest.raises(ValueError, match="1 are needed, and 0 named"):
        Cosignatures(world.database, world.log, (), 1)
