"""The worker processes: what they may do, how they die, and that nothing is left of them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from support.pdfs import one_page, slow_pdf
from zegel_server.errors import FailedPrecondition, InvalidArgument, Unavailable
from zegel_server.pdf import rendition
from zegel_server.pdf.child import serve
from zegel_server.pdf.limits import MAX_PDF_BYTES, MEBIBYTE, WorkerLimits
from zegel_server.pdf.model import Rendition, Stamp
from zegel_server.pdf.refusal import Refusal
from zegel_server.pdf.wire import PREFIX, pack, parse_header
from zegel_server.pdf.workshop import Workshop, _error, _refusal

pytestmark = pytest.mark.faults

GOOD = one_page(b"0 0 100 100 re f")
SLOW = slow_pdf()


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def descriptors(pid: int) -> set[str]:
    return {path.readlink().as_posix().split(":")[0] for path in Path(f"/proc/{pid}/fd").iterdir()}


def zygote_of(workshop: Workshop) -> int:
    assert workshop._zygote is not None
    return workshop._zygote.process.pid


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


async def worker_of(workshop: Workshop) -> int:
    for _try in range(500):
        found = children(zygote_of(workshop))
        if found:
            return found[0]
        await asyncio.sleep(0.01)
    pytest.fail("no worker began")


async def until_gone(pid: int) -> None:
    for _try in range(500):
        if not exists(pid):
            return
        await asyncio.sleep(0.01)
    pytest.fail("a process is left")


async def test_a_job_leaves_no_process_behind() -> None:
    async with Workshop() as workshop:
        made = await workshop.render(GOOD)
        assert len(made.facts.pages) == 1
        assert children(zygote_of(workshop)) == []
        pid = zygote_of(workshop)
    assert not exists(pid)


async def test_the_zygote_has_no_grpc_no_secret_and_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEGEL_SECRET", "hunter2")
    readable, writable = os.pipe()
    os.set_inheritable(readable, True)
    try:
        async with Workshop() as workshop:
            pid = zygote_of(workshop)
            libraries = read(pid, "maps")
            assert "qpdf" in libraries
            assert "cygrpc" not in libraries
            names = {entry.split("=")[0] for entry in read(pid, "environ").split("\0") if entry}
            assert names == {"PYTHONPATH", "PYTHONHASHSEED", "LANG"}
            assert "pipe" not in descriptors(pid)
    finally:
        os.close(readable)
        os.close(writable)


@pytest.mark.parametrize(
    ("number", "detail"),
    [(signal.SIGKILL, "memory"), (signal.SIGSEGV, "crashed"), (signal.SIGABRT, "crashed"), (signal.SIGXCPU, "time")],
)
async def test_a_worker_that_dies_costs_its_job_only(number: signal.Signals, detail: str) -> None:
    async with Workshop(WorkerLimits(concurrency=2)) as workshop:
        doomed = asyncio.create_task(workshop.render(SLOW))
        os.kill(await worker_of(workshop), number)
        with pytest.raises(FailedPrecondition) as caught:
            await doomed
        assert caught.value.reason == "DOCUMENT_TOO_COMPLEX"
        assert caught.value.metadata == {"detail": detail}
        assert (await workshop.render(GOOD)).data
        assert children(zygote_of(workshop)) == []


async def test_a_zygote_that_dies_fails_its_jobs_as_retryable_and_is_started_again() -> None:
    async with Workshop(WorkerLimits(concurrency=2)) as workshop:
        first = zygote_of(workshop)
        doomed = asyncio.create_task(workshop.render(SLOW))
        worker = await worker_of(workshop)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await doomed
        await until_gone(worker)
        assert (await workshop.render(GOOD)).data
        assert zygote_of(workshop) != first


async def test_a_job_has_its_time() -> None:
    async with Workshop(WorkerLimits(wall_seconds=0.5, concurrency=1)) as workshop:
        began = time.monotonic()
        with pytest.raises(FailedPrecondition) as caught:
            await workshop.render(SLOW)
        assert caught.value.metadata == {"detail": "time"}
        assert time.monotonic() - began < 5
        assert children(zygote_of(workshop)) == []


async def test_a_job_has_its_processor_time() -> None:
    async with Workshop(WorkerLimits(cpu_seconds=1, concurrency=1)) as workshop:
        with pytest.raises(FailedPrecondition) as caught:
            await workshop.render(slow_pdf(60))
        assert caught.value.metadata == {"detail": "time"}


async def test_a_job_has_its_memory() -> None:
    async with Workshop(WorkerLimits(memory_bytes=280 * MEBIBYTE)) as workshop:
        assert (await workshop.render(GOOD)).data
        with pytest.raises(FailedPrecondition) as caught:
            await workshop.render(GOOD + bytes(99 * MEBIBYTE))
        assert caught.value.metadata == {"detail": "memory"}
        assert (await workshop.render(GOOD)).data


async def test_a_cancelled_job_is_killed() -> None:
    async with Workshop(WorkerLimits(concurrency=1)) as workshop:
        task = asyncio.create_task(workshop.render(SLOW))
        worker = await worker_of(workshop)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not exists(worker)
        assert (await workshop.render(GOOD)).data


async def test_jobs_wait_in_the_order_they_came() -> None:
    done: list[int] = []
    async with Workshop(WorkerLimits(concurrency=1)) as workshop:

        async def job(number: int) -> None:
            await workshop.render(GOOD)
            done.append(number)

        await asyncio.gather(*(job(number) for number in range(6)))
    assert done == list(range(6))


async def test_no_more_run_than_allowed() -> None:
    async with Workshop(WorkerLimits(concurrency=2)) as workshop:
        tasks = [asyncio.create_task(workshop.render(GOOD)) for _number in range(12)]
        most = 0
        while not all(task.done() for task in tasks):
            most = max(most, len(children(zygote_of(workshop))))
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)
    assert 1 <= most <= 2


async def test_closing_kills_what_runs() -> None:
    workshop = Workshop(WorkerLimits(concurrency=1))
    await workshop.start()
    task = asyncio.create_task(workshop.render(SLOW))
    worker = await worker_of(workshop)
    await workshop.close()
    with pytest.raises(Unavailable):
        await task
    await until_gone(worker)
    with pytest.raises(Unavailable):
        await workshop.render(GOOD)


async def test_the_server_dying_takes_the_workers_with_it(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(
        "import asyncio, sys\n"
        "from zegel_server.pdf.workshop import Workshop\n"
        "async def main():\n"
        "    workshop = Workshop()\n"
        "    await workshop.start()\n"
        "    print(workshop._zygote.process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    server = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env=environment)  # noqa: ASYNC220
    try:
        assert server.stdout is not None
        zygote = int(await asyncio.to_thread(server.stdout.readline))
        assert exists(zygote)
    finally:
        server.kill()
        server.communicate()
    await until_gone(zygote)


async def test_sizes_are_checked_before_a_worker_is_asked() -> None:
    workshop = Workshop()  # not started: nothing here reaches a worker
    with pytest.raises(FailedPrecondition) as caught:
        await workshop.render(b"")
    assert caught.value.reason == "DOCUMENT_UNREADABLE"
    with pytest.raises(FailedPrecondition) as caught:
        await workshop.render(bytes(MAX_PDF_BYTES + 1))
    assert caught.value.reason == "DOCUMENT_TOO_COMPLEX"
    with pytest.raises(InvalidArgument):
        await workshop.draw_stamps([Stamp(1, 0, 0, 1, 1, "text")] * 20_001)
    assert workshop._zygote is None


def test_an_exception_that_was_not_foreseen_is_a_defect_of_ours_and_not_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(data: bytes) -> Rendition:
        raise ValueError(data)

    monkeypatch.setattr(rendition, "render", fail)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"".join(pack("render", {"pdf": b"ZEGELSECRET"})))
        serve(theirs, frozenset())
        theirs.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: ours.recv(65536), b""))
    _kind, told, _lengths = parse_header(answer[PREFIX.size :], 0)
    assert b"ZEGELSECRET" not in answer
    with capture_logs() as logs:
        refusal = _refusal(told)
    assert refusal is Refusal.DEFECT
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [("error", "pdf_defect")]
    assert "ValueError" in logs[0]["trace"]
    error = _error("render", refusal)
    assert (error.status, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
