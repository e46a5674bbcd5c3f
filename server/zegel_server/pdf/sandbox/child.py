"""A job's child process: it reads one job from its socket, sends one answer, and ends.

Invariants:

* Nothing of the job is read before :mod:`zegel_server.pdf.sandbox.confinement` has confined the process.
* Answers with the result, or with the name of a :class:`~zegel_server.pdf.refusal.Refusal`; an unexpected exception is
  reported as a ``defect`` with the code lines it passed through, but never with its text.
* Only the server uses keys and the network: no job waits for them.
"""

import importlib
import socket
import traceback
from dataclasses import dataclass
from pathlib import Path

from zegel_server.pdf.completion import completing, examining, sealing, trying_stamps
from zegel_server.pdf.completion.assembling import SealSpec, SecondVisit
from zegel_server.pdf.fonts import embedding, registry
from zegel_server.pdf.fonts import typesetting as fonts
from zegel_server.pdf.model import Box, CompletionJob, Stamp
from zegel_server.pdf.pages import merging, rendition, source
from zegel_server.pdf.refusal import Refusal, RefusedError
from zegel_server.pdf.sandbox.wire import PREFIX, WireError, header_length, load, pack, parse_header

_LOADED_LATE = ("encodings.utf_16_le",)
"""Modules that libraries would otherwise load in each job."""

_MAX_JOB_BYTES = 2**31
"""Upper bound on what the server sends: its own limits are lower; this only guards the arithmetic."""


@dataclass(frozen=True, slots=True)
class RenderJob:
    """Make the rendition of an upload.

    Args:
        pdf: The file.
    """

    pdf: bytes


@dataclass(frozen=True, slots=True)
class MergeJob:
    """Make one rendition of several.

    Args:
        renditions: The renditions, in order.
    """

    renditions: list[bytes]


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """Complete a rendition, with room for its seal.

    Args:
        job: The rendition, and what is added to it.
        spec: Certificates and texts.
    """

    job: CompletionJob
    spec: SealSpec


@dataclass(frozen=True, slots=True)
class ExamineJob:
    """Check a sealed file before it is trusted.

    Args:
        sealed: The file.
        boxes: Where it may differ from its rendition.
        certificates: Certificates, DER, including the roots that it must lead to.
    """

    sealed: bytes
    boxes: list[Box]
    certificates: list[bytes]


@dataclass(frozen=True, slots=True)
class RehearseJob:
    """Try out what completing will do.

    Args:
        job: The rendition, and what would be added to it.
    """

    job: CompletionJob


@dataclass(frozen=True, slots=True)
class StampsJob:
    """Draw stamps to try them out.

    Args:
        stamps: The stamps.
    """

    stamps: list[Stamp]


class _Channel:
    """The blocking end of the job protocol."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, kind: str, body: object = None) -> None:
        for part in pack(kind, body):
            self._connection.sendall(part)

    def receive(self, max_bytes: int) -> tuple[str, object, list[bytes]]:
        raw = self._exactly(header_length(self._exactly(PREFIX.size)))
        kind, body, lengths = parse_header(raw, max_bytes)
        return kind, body, [self._exactly(length) for length in lengths]

    def _exactly(self, length: int) -> bytes:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            got = self._connection.recv_into(view)
            if not got:
                raise WireError("the server is gone")
            view = view[got:]
        return bytes(data)


def preload(fonts_folder: str = "") -> None:
    """Load everything that jobs share, before any fork.

    Args:
        fonts_folder: Folder of further fonts; empty for none.
    """
    source.set_library_limits()
    for name in _LOADED_LATE:
        importlib.import_module(name)
    registry.use_folder(Path(fonts_folder) if fonts_folder else None)
    fonts.preload()
    embedding.preload()
    completing.preload()
    examining.preload()


def serve(connection: socket.socket, granted: frozenset[str]) -> None:
    """Do the one job that arrives over a socket.

    Args:
        connection: The job's socket.
        granted: The confinements in force.
    """
    channel = _Channel(connection)
    kind, body, blobs = channel.receive(_MAX_JOB_BYTES)
    try:
        result = _do(kind, body, blobs, granted)
    except RefusedError as refused:
        trace = _trace(refused.__cause__) if refused.__cause__ else []
        channel.send("refused", {"refusal": refused.refusal.value, "trace": trace})
    except MemoryError:
        channel.send("refused", {"refusal": Refusal.MEMORY.value, "trace": []})
    except RecursionError:
        channel.send("refused", {"refusal": Refusal.NESTED.value, "trace": []})
    except Exception as error:  # noqa: BLE001 - libraries raise anything at a damaged file
        sealing = any("sealing:" in frame for frame in _trace(error))
        refusal = Refusal.SEAL if sealing else Refusal.DEFECT
        channel.send("refused", {"refusal": refusal.value, "trace": _trace(error)})
    else:
        channel.send("result", result)


def _do(kind: str, body: object, blobs: list[bytes], granted: frozenset[str]) -> object:  # noqa: PLR0911 - each its own
    if kind == "render":
        return rendition.render(load(RenderJob, body, blobs).pdf)
    if kind == "merge":
        return merging.merge(load(MergeJob, body, blobs).renditions)
    if kind == "prepare":
        prepare = load(PrepareJob, body, blobs)
        return sealing.prepare(prepare.job, prepare.spec)
    if kind == "finish":
        return sealing.finish(load(SecondVisit, body, blobs))
    if kind == "examine":
        examine = load(ExamineJob, body, blobs)
        return examining.examine(examine.sealed, examine.boxes, examine.certificates)
    if kind == "rehearse":
        examining.rehearse(load(RehearseJob, body, blobs).job)
        return None
    if kind == "stamps":
        return [trying_stamps.try_stamp(stamp) for stamp in load(StampsJob, body, blobs).stamps]
    if kind == "confinement":
        return sorted(granted)
    raise WireError("unknown job")


def _trace(error: BaseException) -> list[str]:
    """Where an exception came from: code lines of ours and of libraries, and the exception's class, not its text."""
    frames = traceback.extract_tb(error.__traceback__)
    return [
        *(f"{Path(frame.filename).stem}:{frame.lineno}:{frame.name}" for frame in frames[:4] + frames[4:][-4:]),
        type(error).__name__,
    ]
