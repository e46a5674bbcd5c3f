"""Document uploads and downloads through the SDK, against the same SDK with a bare grpc.aio server that counts bytes.

Both servers run in their own processes, with TLS; rounds are interleaved, and a ratio is the median of the rounds'
ratios. Zegel checks, hashes, encrypts and durably stores each byte, or reads, authenticates and decrypts it; the floor
discards it, or sends a prepared one. The client is the same for both: it hashes and checks too.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import zegel
from bench import _run
from bench._content import MIB, Content, Discard, Reader
from bench._rewrap import rewrap
from bench._slow import slow_readers
from bench.rpc import cpu_seconds
from zegel.document.v1.document_service_pb2 import DownloadDocumentRequest, DownloadDocumentResponse

DOCUMENT: Final = {"small": 192 * MIB, "large": 1024 * MIB}
LARGEST: Final = {"small": 512 * MIB, "large": 4096 * MIB}
ROUNDS: Final = {"small": 4, "large": 7}
RANGES: Final = {"small": 40, "large": 200}
RANGE_BYTES: Final = 64 * 1024
DEKS: Final = {"small": 5_000, "large": 100_000}
READERS: Final = {"small": 0, "large": 200}
WARM: Final = 104 * MIB
"""Larger than what the PDF workers process, like the other sizes: only streams are measured here."""


class Subject:
    """A server that documents are uploaded to and downloaded from.

    Args:
        name: Its name.
        client: A client of the server.
        pid: Its process id.
    """

    def __init__(self, name: str, client: zegel.Client, pid: int) -> None:
        self.name = name
        self.client = client
        self.pid = pid
        self.seconds: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def upload(self, content: Content, size: int) -> str:
        """Uploads a document."""
        return self.client.documents.upload(Reader(content, size), title="bench").document_id  # type: ignore[arg-type]

    def download(self, document_id: str, size: int, **more: Any) -> None:
        """Downloads a document."""
        sink = Discard()
        self.client.documents.download(document_id, to=sink, **more)  # type: ignore[call-overload]
        if sink.size != size:
            raise SystemExit(f"bench: {self.name} sent {sink.size} bytes of {size}")

    def timed(self, what: str, size: int, call: Callable[[], Any]) -> Any:
        """Measures one transfer: its duration, and the server's processor time."""
        cpu, began = cpu_seconds(self.pid), time.perf_counter()
        answer = call()
        seconds = time.perf_counter() - began
        self.seconds.setdefault(what, []).append(seconds)
        self.cpu.setdefault(what, []).append((cpu_seconds(self.pid) - cpu) / size * (1 << 30))
        print(f"{self.name:<6} {what:<16} {size / MIB / seconds:7,.0f} MiB/s", flush=True)
        return answer

    def forget(self) -> None:
        """Discards the warm-up's measurements."""
        self.seconds.clear()
        self.cpu.clear()


def ratio(own: Subject, what: str, floor: Subject, of: str) -> float:
    """Returns the speed relative to the floor: the median over the rounds."""
    return _run.median([slow / fast for fast, slow in zip(own.seconds[what], floor.seconds[of], strict=True)])


def transfers(own: Subject, floor: Subject, content: Content, size: str) -> dict[str, Any]:
    """Measures transfers of whole documents, in rounds."""
    count = DOCUMENT[size]
    for turn in range(ROUNDS[size] + 1):
        length = WARM if not turn else count
        for subject in (floor, own):
            kept = subject.timed("upload", length, lambda: subject.upload(content, length))  # noqa: B023 - called here
            subject.timed("download", length, lambda: subject.download(kept, length))  # noqa: B023 - the same
            if subject is own:
                fetch = partial(own.download, kept, length, client_encrypted=True)
                subject.timed("client_encrypted_download", length, fetch)
                own.client.documents.delete_document(document_id=kept)
                own.client.documents.purge_document(document_id=kept)
            if not turn:
                subject.forget()
    return {
        "upload_ratio": _run.rounded(ratio(own, "upload", floor, "upload")),
        "download_ratio": _run.rounded(ratio(own, "download", floor, "download")),
        # Keeps its original name, so that figures can be compared with older ones.
        "sealed_download_ratio": _run.rounded(ratio(own, "client_encrypted_download", floor, "download")),
        "document_mib": count // MIB,
        "mib_per_s": {
            f"{subject.name} {what}": round(count / MIB / _run.median(seconds))
            for subject in (floor, own)
            for what, seconds in subject.seconds.items()
        },
        "server_cpu_s_per_gib": {
            f"{subject.name} {what}": _run.rounded(_run.median(spent), 2)
            for subject in (floor, own)
            for what, spent in subject.cpu.items()
        },
    }


def largest(own: Subject, content: Content, size: int) -> tuple[str, dict[str, Any]]:
    """Measures the server's memory while one very large document is uploaded and downloaded."""
    idle = _run.memory(own.pid, "VmRSS")
    _run.reset_peak(own.pid)
    document_id = own.upload(content, size)
    up = _run.memory(own.pid, "VmHWM") - idle
    _run.reset_peak(own.pid)
    own.download(document_id, size)
    down = _run.memory(own.pid, "VmHWM") - idle
    return document_id, {
        "peak_rss_over_idle_mib": _run.rounded(max(up, down), 1),
        "peak_rss_up_down_mib": [_run.rounded(up, 1), _run.rounded(down, 1)],
        "idle_rss_mib": _run.rounded(idle, 1),
        "largest_mib": size // MIB,
    }


def first_byte(client: zegel.Client, document_id: str, offset: int) -> float:
    """Returns the seconds until the first chunk of a range arrives."""
    port: Any = client.documents._port  # noqa: SLF001 - the SDK gives whole ranges only
    request = DownloadDocumentRequest(document_id=document_id, read_offset=offset, read_limit=RANGE_BYTES)
    from zegel._internal.contract import rpc_of  # noqa: PLC0415 - the same

    began = time.perf_counter()
    stream = port.link.method(rpc_of(request))(request, **port.call.arguments(stream=True))
    for message in stream:
        answer: DownloadDocumentResponse = message
        if answer.HasField("chunk"):
            seconds = time.perf_counter() - began
            for _ in stream:
                pass
            return seconds
    raise SystemExit("bench: a range without a chunk")


def small_pdf() -> bytes:
    """A PDF of 1 MiB."""
    import pikepdf  # noqa: PLC0415 - once

    with tempfile.TemporaryFile() as file, pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(595, 842))
        pdf.Root.Filling = pikepdf.Stream(pdf, random.Random(4).randbytes(MIB - 4096))  # noqa: S311 - no secret
        pdf.save(file)
        file.seek(0)
        return file.read()


def ranges(own: Subject, document_id: str, size: int, count: int) -> dict[str, Any]:
    """Compares ranges from the middle of the very large document with those of a document of 1 MiB."""
    small_id = own.client.documents.upload(small_pdf(), title="small").document_id
    far: list[float] = []
    near: list[float] = []
    for _ in range(count):
        near.append(first_byte(own.client, small_id, MIB // 2))
        far.append(first_byte(own.client, document_id, size // 2))
    return {
        "range_first_byte_ratio": _run.rounded(statistics.median(far) / statistics.median(near)),
        "range_first_byte_ms": [_run.rounded(statistics.median(each) * 1000, 2) for each in (far, near)],
    }


def main() -> None:
    """Measures and prints."""
    size = _run.arguments(__doc__ or "").size
    content = Content()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zegel-bench-")))
        served = stack.enter_context(_run.zegel(folder / "zegel"))
        pem = (folder / "zegel/authority/tls.pem").read_bytes()
        for file in ("tls.pem", "tls.key"):
            (folder / file).write_bytes(pem)
        (folder / "tls.key").chmod(0o600)
        ready, pid = stack.enter_context(_run.process([sys.executable, "-m", "bench._bytes", str(folder)]))
        authority = served.authority.read_bytes()
        root = stack.enter_context(
            zegel.Client(served.target, token=served.operator_token(), root_certificates=authority)
        )
        token = root.identity.create_tenant(name="Bench").api_key_token
        owner = root.with_token(token)
        floor = Subject(
            "floor",
            stack.enter_context(zegel.Client(ready["address"], root_certificates=authority)),
            pid,
        )
        own = Subject("zegel", owner, served.pid)
        figures = transfers(own, floor, content, size)
        document_id, peak = largest(own, content, LARGEST[size])
        figures |= peak
        figures |= ranges(own, document_id, LARGEST[size], RANGES[size])
        if READERS[size]:
            figures |= slow_readers(own.client, served, token, document_id, READERS[size])
    figures |= rewrap(DEKS[size])
    _run.finish(**figures)


if __name__ == "__main__":
    main()
