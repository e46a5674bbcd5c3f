"""The server's side of the PDF work: passes jobs to sandboxed workers and validates everything they return.

Example::

    async with Sandbox() as sandbox:
        rendition = await sandbox.render(pdf)

Invariants:

* No PDF is parsed in this process or written to disk.
* A job ends in its result or in a typed error; a worker that dies, loops or fills its memory affects only that job.
* A worker does not wait: no slot is occupied while a signature or a timestamp is awaited.
* At most ``concurrency`` jobs run, and a small one of a tenant that has none running; the others wait, and tenants take
  turns. Of one tenant at most ``MOST_WAITING`` wait; what a caller asks for beyond them is refused. A cancelled job's
  worker is killed.
* When the zygote dies, its jobs fail as retryable, and the next job starts another one.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog

from zegel.evidence.sealed_file.syntax import FormError
from zegel.evidence.verification.der import DerError
from zegel_server.caller import current_tenant
from zegel_server.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable, ZegelError
from zegel_server.pdf.completion import assembling
from zegel_server.pdf.completion.assembling import Gap, Prepared, Sealed, SealSpec, SecondVisit, TimestampError
from zegel_server.pdf.limits import (
    MAX_AUDIT_ROWS,
    MAX_PDF_BYTES,
    MAX_RENDITION_BYTES,
    MAX_RESULT_BYTES,
    MAX_STAMP_LENGTH,
    MAX_STAMPS,
    MEBIBYTE,
    WorkerLimits,
)
from zegel_server.pdf.model import Box, CompletionJob, PageFacts, Rendition, Stamp, Trial
from zegel_server.pdf.pictures import picture_length
from zegel_server.pdf.refusal import REASONS, Refusal
from zegel_server.pdf.sandbox.metrics import SandboxMetrics
from zegel_server.pdf.sandbox.process import Child, ZygoteGoneError, ZygoteProcess
from zegel_server.pdf.sandbox.wire import PREFIX, WireError, header_length, load, pack, parse_header
from zegel_server.pdf.sandbox.zygote import CANNOT_CONFINE, CANNOT_FORK, OUT_OF_MEMORY
from zegel_server.places import Places

Callback = Callable[[bytes], Awaitable[bytes]]
"""Makes what sealing needs between two workers: a signature, or a timestamp."""

_log = structlog.get_logger(__name__)

_MAX_REPORT_BYTES = 1024 * 1024
"""Maximum size in bytes of the header of a worker's frame: facts of 2,000 pages have some 100 KB."""
_TRACE_FRAME = re.compile(r"[A-Za-z0-9_<>.:-]{1,120}")
_CPU_SIGNALS = {-signal.SIGXCPU}
_GONE = "The PDF worker stopped; the same call may succeed later."

MOST_WAITING = 256
"""Jobs of one tenant that may wait for a slot, each with its PDF in memory; a caller's further ones are refused."""
BUSY_S = 5.0
"""After how many seconds to try again then: some have ended by then."""
SMALL_BYTES = MEBIBYTE
"""Bytes of a job that counts as small: a contract of some pages, which takes a fraction of a second."""
_SEALING = {"prepare", "finish", "examine"}
"""Kinds of jobs that are never refused, since what everybody has signed is to be sealed."""

_T = TypeVar("_T")


class Sandbox:
    """Runs PDF jobs in sandboxed workers.

    Args:
        limits: What a job may use, and how many run at a time.
        fonts: A folder of fonts for scripts that no package has fonts for.
        metrics: The metrics to set.
    """

    def __init__(
        self, limits: WorkerLimits | None = None, fonts: Path | None = None, metrics: SandboxMetrics | None = None
    ) -> None:
        self._limits = limits or WorkerLimits()
        self._fonts = fonts
        self._slots = Places(self._limits.concurrency or len(os.sched_getaffinity(0)))
        self._metrics = metrics or SandboxMetrics()
        self._starting = asyncio.Lock()
        self._zygote: ZygoteProcess | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the zygote, so that the first job need not wait for it.

        Raises:
            Unavailable: It does not start.
        """
        await self._running()

    async def close(self) -> None:
        """Kill running jobs, which fail as retryable, and end the zygote."""
        self._closed = True
        async with self._starting:
            zygote, self._zygote = self._zygote, None
            if zygote is not None:
                await zygote.stop()

    async def render(self, pdf: bytes) -> Rendition:
        """Make the rendition of an untrusted PDF: what signers are shown and what the sealed file begins with.

        Args:
            pdf: The file; it may be anything.

        Raises:
            FailedPrecondition: ``DOCUMENT_UNREADABLE``, ``DOCUMENT_ENCRYPTED`` or ``DOCUMENT_TOO_COMPLEX``.
            Unavailable: The worker stopped; trying again may help.
            ZegelError: ``INTERNAL``: a bug in the server, which is in the log.
        """
        _check_size(len(pdf))
        return await self._run("render", {"pdf": pdf}, Rendition)

    async def merge(self, renditions: list[bytes]) -> bytes:
        """Make one rendition of several.

        Args:
            renditions: Two or more, in order, as :meth:`render` made them.

        Raises:
            FailedPrecondition: ``DOCUMENT_TOO_COMPLEX``: together they exceed the limits of one file.
            Unavailable: The worker stopped; trying again may help.
        """
        return await self._run("merge", {"renditions": renditions}, bytes)

    async def rehearse(self, job: CompletionJob) -> None:
        """Try out what :meth:`complete` will do, without signing.

        Args:
            job: The rendition, and what would be added to it.

        Raises:
            FailedPrecondition: ``DOCUMENT_TOO_COMPLEX``: it exceeds the limits of completing.
            InvalidArgument: A stamp is on a page that does not exist.
            Unavailable: The worker stopped; trying again may help.
        """
        _check_job(job)
        await self._run("rehearse", {"job": job}, type(None))

    async def try_stamps(self, stamps: list[Stamp]) -> list[Trial]:
        """Draw stamps to try them out, and check that they are visible.

        Args:
            stamps: The stamps.

        Returns:
            The result of each, in order.

        Raises:
            InvalidArgument: They are more, or have more text, than a request may have.
            Unavailable: The worker stopped; trying again may help.
        """
        _check_stamps(stamps)
        return await self._run("stamps", {"stamps": stamps}, list[Trial])

    async def complete(self, job: CompletionJob, spec: SealSpec, sign: Callback, timestamp: Callback) -> Sealed:
        """Complete a rendition and seal it in two short jobs; keys and network stay in this process, between the two.

        Args:
            job: The rendition, and what is added to it.
            spec: Certificates, revocation data and texts.
            sign: Signs bytes with the sealing key; called once.
            timestamp: Answers an RFC 3161 request.

        Returns:
            What is to be appended to the rendition.

        Raises:
            FailedPrecondition: ``DOCUMENT_TOO_COMPLEX``: it exceeds the limits of a job.
            InvalidArgument: A stamp is on a page that does not exist, or its picture is not a PNG within the limits.
            Unavailable: The worker stopped, or it cannot be sealed now.
            Exception: Whatever ``sign`` or ``timestamp`` raises.
        """
        _check_job(job)

        async def prepare(job: CompletionJob, spec: SealSpec) -> Prepared:
            return await self._run("prepare", {"job": job, "spec": spec}, Prepared)

        async def finish(visit: SecondVisit) -> Gap:
            return await self._run("finish", visit, Gap)

        try:
            return await assembling.seal(job, spec, sign, timestamp, prepare=prepare, finish=finish)
        except (FormError, DerError, TimestampError) as error:
            _log.warning("seal_not_assembled", error=type(error).__name__)
            raise _error("complete", Refusal.SEAL) from error

    async def examine(self, sealed: bytes, boxes: list[Box], certificates: list[bytes]) -> list[PageFacts]:
        """Check a sealed file before it is trusted: its form, and what its pages show.

        Args:
            sealed: The file.
            boxes: Where it may differ from its rendition.
            certificates: Certificates, DER, of which the self-issued ones are the roots that it must lead to.

        Returns:
            Its pages.

        Raises:
            Unavailable: It fails the check, or the worker stopped.
        """
        body = {"sealed": sealed, "boxes": boxes, "certificates": certificates}
        return await self._run("examine", body, list[PageFacts])

    async def confinement(self) -> frozenset[str]:
        """Return the confinements that a worker has on this machine.

        Returns:
            ``limits``, and those of ``namespaces``, ``capabilities``, ``landlock``, ``seccomp`` that the kernel allows.
        """
        return frozenset(await self._run("confinement", None, list[str]))

    async def _running(self) -> ZygoteProcess:
        async with self._starting:
            if self._closed:
                raise Unavailable(_GONE)
            if self._zygote is not None and not self._zygote.alive:
                _log.warning("pdf_zygote_restarted")
                await self._zygote.stop()
                self._zygote = None
            if self._zygote is None:
                self._zygote = await ZygoteProcess.start(self._limits, self._fonts)
            return self._zygote

    async def _run(self, kind: str, body: object, result: type[_T]) -> _T:
        frame = pack(kind, body)
        async with self._slot(kind, sum(len(part) for part in frame)):
            zygote = await self._running()
            job = _Job(zygote, self._limits)
            try:
                kind_of_answer, answer, blobs = await job.run(frame)
            except ZygoteGoneError:
                raise Unavailable(_GONE) from None
        if kind_of_answer == "refused":
            raise _error(kind, _refusal(answer))
        try:
            return load(result, answer, blobs)
        except WireError:
            raise _error(kind, Refusal.CRASHED) from None

    @contextlib.asynccontextmanager
    async def _slot(self, kind: str, size: int) -> AsyncIterator[None]:
        """Waits for a slot, and has it until the end of the block."""
        tenant_id = current_tenant()
        if kind not in _SEALING and tenant_id and self._slots.waiting(tenant_id) >= MOST_WAITING:
            self._metrics.refused.labels(kind).inc()
            raise ResourceExhausted(
                "Too many of the tenant's PDFs are waiting; try again later.", retry_after_s=BUSY_S, limit="pdf_jobs"
            )
        async with contextlib.AsyncExitStack() as stack:
            with self._metrics.waiting.labels(kind).track_inprogress():
                await stack.enter_async_context(self._slots.place(tenant_id, small=size <= SMALL_BYTES))
            yield


class _Job:
    """One job's conversation with its worker."""

    def __init__(self, zygote: ZygoteProcess, limits: WorkerLimits) -> None:
        self._zygote = zygote
        self._limits = limits
        self._connection, self._theirs = socket.socketpair()
        self._connection.setblocking(False)

    async def run(self, frame: Sequence[bytes | memoryview]) -> tuple[str, object, list[bytes]]:
        """Send the job's frame and return its answer; its process is gone afterwards."""
        with self._theirs:
            child = self._zygote.begin(self._theirs)
        timer = asyncio.timeout(self._limits.wall_seconds)
        try:
            async with timer:
                for part in frame:
                    await asyncio.get_running_loop().sock_sendall(self._connection, part)
                answer = await self._receive()
        except (WireError, OSError):  # a TimeoutError is an OSError
            self._zygote.kill(child)
            refusal = Refusal.TIME if timer.expired() else _post_mortem(await asyncio.shield(child.ended))
            return "refused", {"refusal": refusal.value, "trace": []}, []
        else:
            return answer
        finally:
            self._connection.close()
            await self._bury(child)

    async def _bury(self, child: Child) -> None:
        self._zygote.kill(child)
        with contextlib.suppress(ZygoteGoneError):
            await asyncio.shield(child.ended)

    async def _receive(self) -> tuple[str, object, list[bytes]]:
        length = header_length(await self._exactly(PREFIX.size))
        if length > _MAX_REPORT_BYTES:
            raise WireError("header too long")
        kind, body, lengths = parse_header(await self._exactly(length), MAX_RESULT_BYTES)
        if kind not in {"result", "refused"}:
            raise WireError("unknown frame")
        return kind, body, [await self._exactly(length) for length in lengths]

    async def _exactly(self, length: int) -> bytes:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            got = await asyncio.get_running_loop().sock_recv_into(self._connection, view)
            if not got:
                raise WireError("the worker is gone")
            view = view[got:]
        return bytes(data)


def _post_mortem(status: int) -> Refusal:
    if status in {CANNOT_FORK, CANNOT_CONFINE}:
        _log.error("pdf_worker_cannot_start", status=status)
        raise Unavailable(_GONE)
    _log.warning("pdf_worker_died", status=status)
    if status in _CPU_SIGNALS:
        return Refusal.TIME
    return Refusal.MEMORY if status in {-signal.SIGKILL, OUT_OF_MEMORY} else Refusal.CRASHED


def _refusal(answer: object) -> Refusal:
    """Read a worker's refusal; only its name and lines of our own code are trusted."""
    if not isinstance(answer, dict) or not isinstance(answer.get("trace"), list):
        return Refusal.CRASHED
    try:
        refusal = Refusal(str(answer.get("refusal")))
    except ValueError:
        return Refusal.CRASHED
    trace = [frame for frame in answer["trace"][:10] if isinstance(frame, str) and _TRACE_FRAME.fullmatch(frame)]
    if refusal is Refusal.DEFECT:
        _log.error("pdf_defect", trace=trace)
    else:
        _log.info("pdf_refused", refusal=refusal.value, trace=trace)
    return refusal


def _error(kind: str, refusal: Refusal) -> ZegelError:
    if refusal is Refusal.DEFECT:
        return ZegelError("The server failed at this PDF, which is a bug in the server; its operator can see more.")
    if refusal is Refusal.STAMP_PLACE:
        return InvalidArgument("stamps", "a stamp's page does not exist, or its box has no size")
    if refusal is Refusal.IMAGE:
        return InvalidArgument("stamps", "a drawn signature is a PNG of at most 2 MiB and 4,000,000 pixels")
    if refusal is Refusal.SEAL or kind == "examine":
        return Unavailable("The document cannot be sealed at the moment.")
    reason, message = REASONS[refusal]
    return FailedPrecondition(message, reason=reason, detail=refusal.value)


def _check_size(size: int) -> None:
    if size == 0:
        raise _error("render", Refusal.EMPTY)
    if size > MAX_PDF_BYTES:
        raise _error("render", Refusal.TOO_LARGE)


def _check_job(job: CompletionJob) -> None:
    if not 0 < len(job.rendition) <= MAX_RENDITION_BYTES:
        raise _error("complete", Refusal.TOO_LARGE)
    _check_stamps(job.stamps)
    if job.audit.row_count > MAX_AUDIT_ROWS:
        raise InvalidArgument("audit", f"at most {MAX_AUDIT_ROWS} rows")


def _check_stamps(stamps: list[Stamp]) -> None:
    if len(stamps) > MAX_STAMPS:
        raise InvalidArgument("stamps", f"at most {MAX_STAMPS}")
    if sum(len(stamp.text) + len(stamp.caption) + picture_length(stamp.image) for stamp in stamps) > MAX_STAMP_LENGTH:
        raise InvalidArgument("stamps", f"at most {MAX_STAMP_LENGTH} characters, marks counted by their pixels")
