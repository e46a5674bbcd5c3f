"""Sealing in a worker that has neither key nor network: it asks, and the asking is bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from support.pdfs import one_page
from support.sealed import seal_spec
from zegel_server.errors import FailedPrecondition, Unavailable
from zegel_server.pdf.authority import DevelopmentAuthority
from zegel_server.pdf.limits import WorkerLimits
from zegel_server.pdf.model import Attachment, PrepareJob, Stamp
from zegel_server.pdf.timestamping import LocalTimestampAuthority
from zegel_server.pdf.workshop import Workshop

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOB = PrepareJob(
    [one_page(b"0 0 9 9 re f")],
    [Stamp(0, 1, 10, 10, 100, 30, "signature", "Ana")],
    None,
    [Attachment("audit.jsonl", "application/json", b"{}\n")],
    time=datetime(2026, 11, 24, tzinfo=UTC),
)

Callback = Callable[[bytes], Awaitable[bytes]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentAuthority:
    return DevelopmentAuthority.open(tmp_path_factory.mktemp("authority"))


class Parent:
    """What the server lends a worker, and how often it was asked."""

    def __init__(self, authority: DevelopmentAuthority) -> None:
        self._authority = authority
        self._timestamps = LocalTimestampAuthority(authority.timestamp)
        self.asked: list[str] = []

    async def sign(self, data: bytes) -> bytes:
        self.asked.append("sign")
        return self._authority.seal.sign(data)

    async def timestamp(self, request: bytes) -> bytes:
        self.asked.append("timestamp")
        return await self._timestamps.timestamp(request)


async def test_prepared_then_sealed_is_what_completed_is(workshop: Workshop, authority: DevelopmentAuthority) -> None:
    parent, spec = Parent(authority), seal_spec(authority)
    prepared = await workshop.prepare(JOB)
    sealed = await workshop.seal(prepared, spec, parent.sign, parent.timestamp)
    assert sealed.startswith(prepared)
    assert parent.asked.count("sign") == 1
    completed = await workshop.complete(JOB, spec, parent.sign, parent.timestamp)
    assert completed.startswith(prepared)
    for pdf in (sealed, completed):
        reader = PdfFileReader(BytesIO(pdf), strict=True)
        assert len(reader.embedded_signatures) == 2
        assert "/AF" in reader.root


class TsaDownError(Exception):
    """Somebody else's exception, which must come through as it is."""


@pytest.mark.parametrize("broken", ["sign", "timestamp"])
async def test_what_a_callback_raises_comes_through(
    workshop: Workshop, authority: DevelopmentAuthority, broken: str
) -> None:
    parent = Parent(authority)

    async def fail(_data: bytes) -> bytes:
        raise TsaDownError

    sign: Callback = fail if broken == "sign" else parent.sign
    timestamp: Callback = fail if broken == "timestamp" else parent.timestamp
    with pytest.raises(TsaDownError):
        await workshop.complete(JOB, seal_spec(authority), sign, timestamp)
    assert (await workshop.inspect(JOB.originals[0])).pages


async def test_a_callbacks_timeout_is_not_the_documents(workshop: Workshop, authority: DevelopmentAuthority) -> None:
    async def late(_data: bytes) -> bytes:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await workshop.complete(JOB, seal_spec(authority), Parent(authority).sign, late)


async def test_time_spent_in_callbacks_is_not_the_workers(authority: DevelopmentAuthority) -> None:
    parent = Parent(authority)

    async def slow(data: bytes) -> bytes:
        await asyncio.sleep(1.2)
        return await parent.sign(data)

    async with Workshop(WorkerLimits(wall_seconds=1.0)) as workshop:
        await workshop.prepare(JOB)  # warm
        prepared = await workshop.prepare(JOB)
        assert await workshop.seal(prepared, seal_spec(authority), slow, parent.timestamp)


async def test_a_seal_that_cannot_be_made_waits(workshop: Workshop, authority: DevelopmentAuthority) -> None:
    parent = Parent(authority)
    spec = replace(seal_spec(authority), crls=[])
    prepared = await workshop.prepare(JOB)
    with pytest.raises(Unavailable):
        await workshop.seal(prepared, spec, parent.sign, parent.timestamp)
    with pytest.raises(Unavailable):
        await workshop.complete(JOB, spec, parent.sign, parent.timestamp)
    with pytest.raises(FailedPrecondition):
        await workshop.complete(replace(JOB, originals=[b"no"]), seal_spec(authority), parent.sign, parent.timestamp)


async def test_a_worker_gets_no_second_signature(
    workshop: Workshop, authority: DevelopmentAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = Parent(authority)
    monkeypatch.setattr("zegel_server.pdf.workshop._CALL_LIMITS", {"sign": 0, "timestamp": 9})
    prepared = await workshop.prepare(JOB)
    with pytest.raises(Unavailable):
        await workshop.seal(prepared, seal_spec(authority), parent.sign, parent.timestamp)
    assert "sign" not in parent.asked
