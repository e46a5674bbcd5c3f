"""The worker processes: what they may do, how they die, and that nothing is left of them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from support.pdfs import one_page, slow_pdf
from zegel_server.errors import FailedPrecondition, InvalidArgument, StatusCode, Unavailable
from zegel_server.pdf.limits import MAX_PDF_BYTES, MEBIBYTE, WorkerLimits
from zegel_server.pdf.model import Rendition, Stamp
from zegel_server.pdf.pages import rendition
from zegel_server.pdf.refusal import Refusal
from zegel_server.pdf.sandbox.child import serve
from zegel_server.pdf.sandbox.client import Sandbox, _error, _refusal
from zegel_server.pdf.sandbox.wire import PREFIX, pack, parse_header

pytestmark = pytest.mark.faults

GOOD = one_page(b"0 0 100 100 re f")


@pytest.fixture(scope="module")
def slow() -> bytes:
    """A document that takes a worker more time than the tests' limits, and less than a worker usually has."""
    return slow_pdf(2)


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def descriptors(pid: int) -> set[str]:
    return {path.readlink().as_posix().split(":")[0] for path in Path(f"/proc/{pid}/fd").iterdir()}


def zygote_of(sandbox: Sandbox) -> int:
    assert sandbox._zygote is not None
    return sandbox._zygote.process.pid


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


async def worker_of(sandbox: Sandbox) -> int:
    for _try in range(500):
        found = children(zygote_of(sandbox))
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
    async with Sandbox() as sandbox:
        made = await sandbox.render(GOOD)
        assert len(made.facts.pages) == 1
        assert children(zygote_of(sandbox)) == []
        pid = zygote_of(sandbox)
    assert not exists(pid)


async def test_the_zygote_has_no_grpc_no_secret_and_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEGEL_SECRET", "hunter2")
    readable, writable = os.pipe()
    os.set_inheritable(readable, True)
    try:
        async with Sandbox() as sandbox:
            pid = zygote_of(sandbox)
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
async def test_a_worker_that_dies_costs_its_job_only(number: signal.Signals, detail: str, slow: bytes) -> None:
    async with Sandbox(WorkerLimits(concurrency=2)) as sandbox:
        doomed = asyncio.create_task(sandbox.render(slow))
        os.kill(await worker_of(sandbox), number)
        with pytest.raises(FailedPrecondition) as caught:
            await doomed
        assert caught.value.reason == "DOCUMENT_TOO_COMPLEX"
        assert caught.value.metadata == {"detail": detail}
        assert (await sandbox.render(GOOD)).data
        assert children(zygote_of(sandbox)) == []


async def test_a_zygote_that_dies_fails_its_jobs_as_retryable_and_is_started_again(slow: bytes) -> None:
    async with Sandbox(WorkerLimits(concurrency=2)) as sandbox:
        first = zygote_of(sandbox)
        doomed = asyncio.create_task(sandbox.render(slow))
        worker = await worker_of(sandbox)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await doomed
        await until_gone(worker)
        assert (await sandbox.render(GOOD)).data
        assert zygote_of(sandbox) != first


async def test_a_job_has_its_time(slow: bytes) -> None:
    async with Sandbox(WorkerLimits(wall_seconds=0.5, concurrency=1)) as sandbox:
        with pytest.raises(FailedPrecondition) as caught:
            await sandbox.render(slow)
        assert caught.value.metadata == {"detail": "time"}
        assert children(zygote_of(sandbox)) == []


async def test_a_job_has_its_processor_time(slow: bytes) -> None:
    async with Sandbox(WorkerLimits(cpu_seconds=1, concurrency=1)) as sandbox:
        with pytest.raises(FailedPrecondition) as caught:
            await sandbox.render(slow)
        assert caught.value.metadata == {"detail": "time"}


async def test_a_job_has_its_memory() -> None:
    async with Sandbox(WorkerLimits(memory_bytes=280 * MEBIBYTE)) as sandbox:
        assert (await sandbox.render(GOOD)).data
        with pytest.raises(FailedPrecondition) as caught:
            await sandbox.render(GOOD + bytes(99 * MEBIBYTE))
        assert caught.value.metadata == {"detail": "memory"}
        assert (await sandbox.render(GOOD)).data


async def test_a_cancelled_job_is_killed(slow: bytes) -> None:
    async with Sandbox(WorkerLimits(concurrency=1)) as sandbox:
        task = asyncio.create_task(sandbox.render(slow))
        worker = await worker_of(sandbox)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not exists(worker)
        assert (await sandbox.render(GOOD)).data


async def test_jobs_wait_in_the_order_they_came() -> None:
    done: list[int] = []
    async with Sandbox(WorkerLimits(concurrency=1)) as sandbox:

        async def job(number: int) -> None:
            await sandbox.render(GOOD)
            done.append(number)

        await asyncio.gather(*(job(number) for number in range(6)))
    assert done == list(range(6))


async def test_no_more_run_than_allowed() -> None:
    async with Sandbox(WorkerLimits(concurrency=2)) as sandbox:
        tasks = [asyncio.create_task(sandbox.render(GOOD)) for _number in range(12)]
        most = 0
        while not all(task.done() for task in tasks):
            most = max(most, len(children(zygote_of(sandbox))))
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)
    assert 1 <= most <= 2


async def test_closing_kills_what_runs(slow: bytes) -> None:
    sandbox = Sandbox(WorkerLimits(concurrency=1))
    await sandbox.start()
    task = asyncio.create_task(sandbox.render(slow))
    worker = await worker_of(sandbox)
    await sandbox.close()
    with pytest.raises(Unavailable):
        await task
    await until_gone(worker)
    with pytest.raises(Unavailable):
        await sandbox.render(GOOD)


async def test_the_server_dying_takes_the_workers_with_it(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(
        "import asyncio, sys\n"
        "from zegel_server.pdf.sandbox.client import Sandbox\n"
        "async def main():\n"
        "    sandbox = Sandbox()\n"
        "    await sandbox.start()\n"
        "    print(sandbox._zygote.process.pid, flush=True)\n"
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
    sandbox = Sandbox()  # not started: nothing here reaches a worker
    with pytest.raises(FailedPrecondition) as caught:
        await sandbox.render(b"")
    assert caught.value.reason == "DOCUMENT_UNREADABLE"
    with pytest.raises(FailedPrecondition) as caught:
        await sandbox.render(bytes(MAX_PDF_BYTES + 1))
    assert caught.value.reason == "DOCUMENT_TOO_COMPLEX"
    with pytest.raises(InvalidArgument):
        await sandbox.try_stamps([Stamp(1, 0, 0, 1, 1, "text")] * 20_001)
    assert sandbox._zygote is None


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
    assert (error.status, error.reason) == (StatusCode.INTERNAL, "INTERNAL")
