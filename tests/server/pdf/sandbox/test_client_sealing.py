"""Completing in a worker that has neither key nor network: it asks, and the asking is bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from support.completing import make_job
from support.pdfs import one_page, png
from support.sealed import AUDIT, make_rendition, seal_spec
from support.sealing_in_process import seal_rendition
from zegel.evidence.sealed_file.reading import read_sealed_file
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.errors import InvalidArgument, Unavailable, ZegelError
from zegel_server.pdf.limits import (
    MAX_AUDIT_ROWS,
    MAX_IMAGE_PIXELS,
    MAX_STAMP_LENGTH,
    MAX_STAMP_TEXT,
    MAX_STAMPS,
    PIXELS_PER_CHARACTER,
    WorkerLimits,
)
from zegel_server.pdf.model import AuditEvent, Box, Stamp
from zegel_server.pdf.pages.merging import merge
from zegel_server.pdf.sandbox.client import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")

STAMP = Stamp(1, 10, 10, 100, 30, "signature", "Ana")
BOX = Box(1, 10, 10, 100, 30)
JOB = make_job(one_page(b"0 0 9 9 re f"), STAMP)

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


async def test_what_is_completed_is_examined_in_another_worker(
    sandbox: Sandbox, authority: DevelopmentAuthority
) -> None:
    parent, spec = Parent(authority), seal_spec(authority)
    made = await sandbox.complete(JOB, spec, parent.sign, parent.timestamp)
    assert parent.asked == ["timestamp", "sign", "timestamp", "timestamp"]
    sealed = JOB.rendition + made.appended
    assert dict(read_sealed_file(sealed).completion.files) == JOB.files
    certificates = [*spec.chain, *spec.certificates]
    pages = await sandbox.examine(sealed, [BOX], certificates)
    assert [(page.width, page.height) for page in pages] == [(595, 842), (595.276, 841.89)]
    for changed, boxes in (
        (sealed, []),
        (sealed, [replace(BOX, x=11)]),
        (sealed[:-1], [BOX]),
        (JOB.rendition, [BOX]),
        (b"", [BOX]),
    ):
        with pytest.raises(Unavailable):
            await sandbox.examine(changed, boxes, certificates)


async def test_fonts_of_any_script_are_in_the_form_of_a_sealed_file(
    sandbox: Sandbox, authority: DevelopmentAuthority
) -> None:
    parent, spec = Parent(authority), seal_spec(authority)
    names = ("தமிழ்ச்செல்வன்", "רחוב הרצל 12 (ב)", "ជ័យវរ្ម័ន", "王小明 \U0001f600")
    stamps = [replace(STAMP, text=name, caption=name, y=10 + 40 * row) for row, name in enumerate(names)]
    job = make_job(one_page(b"0 0 9 9 re f"), *stamps, audit=replace(AUDIT, title=" ".join(names)))
    made = await sandbox.complete(job, spec, parent.sign, parent.timestamp)
    boxes = [replace(BOX, y=stamp.y) for stamp in stamps]
    sealed = job.rendition + made.appended
    assert len(await sandbox.examine(sealed, boxes, [*spec.chain, *spec.certificates])) == 2
    assert len(made.appended) < 200_000


async def test_a_worker_adds_what_this_process_would(sandbox: Sandbox, authority: DevelopmentAuthority) -> None:
    parent, spec = Parent(authority), seal_spec(authority)
    there = await sandbox.complete(JOB, spec, parent.sign, parent.timestamp)
    respond = LocalTimestampAuthority(authority.timestamp).respond
    here = await asyncio.to_thread(seal_rendition, JOB, spec, authority.seal.sign, respond)
    one, other = (read_sealed_file(JOB.rendition + each.appended).completion for each in (there, here))
    assert (one.numbers, one.texts, one.boxes) == (other.numbers, other.texts, other.boxes)
    place = one.gap[0] - len(JOB.rendition) - 200
    assert there.appended[:place] == here.appended[:place]


async def test_a_second_sealing_need_not_measure_a_token(sandbox: Sandbox, authority: DevelopmentAuthority) -> None:
    parent = Parent(authority)
    first = await sandbox.complete(JOB, seal_spec(authority), parent.sign, parent.timestamp)
    parent.asked.clear()
    await sandbox.complete(JOB, seal_spec(authority, token_size=first.token_size), parent.sign, parent.timestamp)
    assert parent.asked == ["sign", "timestamp", "timestamp"]


class TsaDownError(Exception):
    """Somebody else's exception, which must come through as it is."""


@pytest.mark.parametrize("broken", ["sign", "timestamp"])
async def test_what_a_callback_raises_comes_through(
    sandbox: Sandbox, authority: DevelopmentAuthority, broken: str
) -> None:
    parent = Parent(authority)

    async def fail(_data: bytes) -> bytes:
        raise TsaDownError

    sign: Callback = fail if broken == "sign" else parent.sign
    timestamp: Callback = fail if broken == "timestamp" else parent.timestamp
    with pytest.raises(TsaDownError):
        await sandbox.complete(JOB, seal_spec(authority), sign, timestamp)
    await sandbox.rehearse(JOB)


async def test_a_callbacks_timeout_is_not_the_documents(sandbox: Sandbox, authority: DevelopmentAuthority) -> None:
    async def late(_data: bytes) -> bytes:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await sandbox.complete(JOB, seal_spec(authority), Parent(authority).sign, late)


@pytest.mark.parametrize("nonsense", [b"", b"\x30\x00", b"no response", bytes(100_000)])
@pytest.mark.parametrize("broken", ["sign", "timestamp"])
async def test_an_answer_that_is_nonsense_makes_no_seal_that_is_believed(
    sandbox: Sandbox, authority: DevelopmentAuthority, broken: str, nonsense: bytes
) -> None:
    parent, spec = Parent(authority), seal_spec(authority)

    async def odd(_data: bytes) -> bytes:
        return nonsense

    sign: Callback = odd if broken == "sign" else parent.sign
    timestamp: Callback = odd if broken == "timestamp" else parent.timestamp

    async def whole() -> None:
        made = await sandbox.complete(JOB, spec, sign, timestamp)
        await sandbox.examine(JOB.rendition + made.appended, [BOX], [*spec.chain, *spec.certificates])

    with pytest.raises(Unavailable):
        await whole()


@pytest.mark.parametrize("waits", ["sign", "timestamp"])
async def test_whoever_signs_or_stamps_slowly_holds_no_slot(authority: DevelopmentAuthority, waits: str) -> None:
    parent, asked, go_on = Parent(authority), asyncio.Event(), asyncio.Event()

    async def slow(data: bytes) -> bytes:
        asked.set()
        await go_on.wait()
        return await (parent.sign if waits == "sign" else parent.timestamp)(data)

    callbacks: dict[str, Callback] = {"sign": parent.sign, "timestamp": parent.timestamp, waits: slow}
    async with Sandbox(WorkerLimits(concurrency=1)) as sandbox:
        sealing = asyncio.create_task(sandbox.complete(JOB, seal_spec(authority), **callbacks))
        await asked.wait()
        async with asyncio.timeout(60):  # it would wait forever
            await sandbox.render(one_page(b"0 0 9 9 re f"))
        assert not sealing.done()
        go_on.set()
        assert len((await sealing).appended) > 10_000


async def test_a_seal_that_nobody_could_validate_is_not_believed(
    sandbox: Sandbox, authority: DevelopmentAuthority
) -> None:
    parent, whole = Parent(authority), seal_spec(authority)
    cases: list[dict[str, object]] = [{"crls": [], "ocsps": []}, {"chain": whole.chain[:1], "certificates": []}]
    for changes in cases:
        made = await sandbox.complete(JOB, seal_spec(authority, **changes), parent.sign, parent.timestamp)
        with pytest.raises(Unavailable):
            await sandbox.examine(JOB.rendition + made.appended, [BOX], [*whole.chain, *whole.certificates])


async def test_what_is_no_rendition_is_our_defect_and_not_the_senders(
    sandbox: Sandbox, authority: DevelopmentAuthority
) -> None:
    parent = Parent(authority)
    for data in (b"no", JOB.rendition[:-1], one_page(b"")):
        with pytest.raises(ZegelError) as caught:
            await sandbox.complete(replace(JOB, rendition=data), seal_spec(authority), parent.sign, parent.timestamp)
        assert not isinstance(caught.value, InvalidArgument)
        with pytest.raises(ZegelError):
            await sandbox.merge([JOB.rendition, data])
    assert "sign" not in parent.asked


WORDY = Stamp(1, 0, 0, 10, 10, "text", "x " * (MAX_STAMP_TEXT // 2))
MOST = MAX_STAMP_LENGTH // MAX_STAMP_TEXT
LARGEST = Stamp(1, 0, 0, 100, 40, "signature", image=png(2_000, 2_000))
MOST_LARGEST = MAX_STAMP_LENGTH * PIXELS_PER_CHARACTER // MAX_IMAGE_PIXELS

IMPOSSIBLE = [
    Stamp(2, 0, 0, 10, 10, "text", "x"),
    Stamp(1, 0, 0, 0, 10, "text", "x"),
    Stamp(1, 0, 0, 10, 10, "text", "x" * (MAX_STAMP_TEXT + 1)),
    Stamp(1, 0, 0, 10, 10, "signature", image=b"GIF89a"),
    Stamp(1, 0, 0, 10, 10, "signature", image=png(8000, 8000)),
]


@pytest.mark.parametrize("stamp", IMPOSSIBLE)
async def test_an_impossible_stamp_is_the_callers_fault(
    sandbox: Sandbox, authority: DevelopmentAuthority, stamp: Stamp
) -> None:
    parent, job = Parent(authority), replace(JOB, stamps=[STAMP, stamp])
    with pytest.raises(InvalidArgument):
        await sandbox.complete(job, seal_spec(authority), parent.sign, parent.timestamp)
    with pytest.raises(InvalidArgument):
        await sandbox.rehearse(job)
    if stamp.page == 1:
        [trial] = await sandbox.try_stamps([stamp])
        assert trial.refusal
    assert "sign" not in parent.asked


async def test_more_than_can_be_drawn_in_time_is_refused_before_a_worker_is_asked(
    authority: DevelopmentAuthority,
) -> None:
    parent, asleep = Parent(authority), Sandbox()  # not started: nothing here reaches a worker
    events = [AuditEvent("2026-11-24", "x")] * MAX_AUDIT_ROWS
    for job in (
        replace(JOB, stamps=[WORDY] * (MOST + 1)),
        replace(JOB, stamps=[STAMP] * (MAX_STAMPS + 1)),
        replace(JOB, stamps=[LARGEST] * (MOST_LARGEST + 1)),
        replace(JOB, audit=replace(AUDIT, events=events)),
    ):
        with pytest.raises(InvalidArgument):
            await asleep.complete(job, seal_spec(authority), parent.sign, parent.timestamp)
        with pytest.raises(InvalidArgument):
            await asleep.rehearse(job)
    assert asleep._zygote is None


@pytest.mark.slow
async def test_the_most_that_may_be_drawn_is_drawn_in_time(sandbox: Sandbox) -> None:
    await sandbox.try_stamps([WORDY] * MOST)
    marks = [replace(LARGEST, image=png(2_000, 2_000, (number, 0, 0, 255))) for number in range(MOST_LARGEST)]
    await sandbox.rehearse(replace(JOB, stamps=marks))


async def test_merged_in_a_worker_is_what_is_merged_here(sandbox: Sandbox) -> None:
    parts = [JOB.rendition, make_rendition(one_page(b"9 9 9 9 re f"))]
    assert await sandbox.merge(parts) == merge(parts)
