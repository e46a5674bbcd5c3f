"""The 205 real PDFs: each becomes a rendition, is completed and examined, or is refused with a reason.

``ZEGEL_CORPUS=small``, the default, takes every tenth; ``large`` takes all of them.
"""

import asyncio
import os
import subprocess
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from support.completing import EVIDENCE, TIME, with_audit
from support.pdfs import shown_text
from support.sealed import seal_spec
from support.shared import real_pdfs
from support.tools import tool
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.errors import FailedPrecondition
from zegel_server.pdf.model import AuditDocument, Box, CompletionJob, PageFacts, Stamp
from zegel_server.pdf.sandbox.client import Sandbox

REASONS = {"DOCUMENT_UNREADABLE", "DOCUMENT_ENCRYPTED", "DOCUMENT_TOO_COMPLEX"}
AUDIT_ID = "zgl_01JD8X4QK7M3N5P9R2S6T8V0WY"


def chosen() -> list[Path]:
    every = 10 if os.environ.get("ZEGEL_CORPUS", "small") == "small" else 1
    return real_pdfs()[::every]


def make_job(rendition: bytes, pages: tuple[PageFacts, ...]) -> CompletionJob:
    """A stamp on the first page and on the last, as large as the smaller one has room for."""
    audit = with_audit(
        audit_id=AUDIT_ID, documents=[AuditDocument("file.pdf", sha256(rendition).hexdigest(), len(pages))]
    )
    stamps = []
    for number in {1, len(pages)}:
        page = pages[number - 1]
        sides = page.width * 0.1, page.height * 0.1, min(120.0, page.width / 2), min(40.0, page.height / 2)
        stamps.append(Stamp(number, *sides, "signature", "Ana Müller", caption="Ana Müller"))
    return CompletionJob(rendition, stamps, audit, EVIDENCE, TIME)


def look_at_seal(path: Path, sealed: bytes) -> str:
    path.write_bytes(sealed)
    command = [str(tool("pdfsig")), "-nocert", str(path)]
    seen = subprocess.run(command, capture_output=True, check=False, text=True).stdout
    path.unlink()
    return seen


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


@pytest.mark.corpus
@pytest.mark.timeout(900)
async def test_each_real_file_is_sealed_or_refused_with_a_reason(tmp_path: Path) -> None:
    files = chosen()
    authority = DevelopmentAuthority.open(tmp_path / "authority")
    timestamps = LocalTimestampAuthority(authority.timestamp)
    spec = seal_spec(authority)
    outcomes: Counter[str] = Counter()

    async def sign(data: bytes) -> bytes:
        return authority.seal.sign(data)

    async def one(sandbox: Sandbox, name: str, original: bytes) -> None:
        try:
            made = await sandbox.render(original)
        except FailedPrecondition as refused:
            outcomes[f"{refused.reason} {refused.metadata['detail']}"] += 1
            return
        # Nothing that was accepted may be refused later: from here on every error fails the test.
        job = make_job(made.data, made.facts.pages)
        completed = await sandbox.complete(job, spec, sign, timestamps.timestamp)
        sealed = made.data + completed.appended
        boxes = [Box(stamp.page, stamp.x, stamp.y, stamp.width, stamp.height) for stamp in job.stamps]
        pages = await sandbox.examine(sealed, boxes, [*spec.chain, *spec.certificates])
        assert [(page.width, page.height) for page in pages[:-1]] == [
            pytest.approx((page.width, page.height), abs=1e-3) for page in made.facts.pages
        ]
        outcomes["sealed"] += 1
        assert AUDIT_ID in shown_text(sealed, len(pages) - 1)
        verified = await asyncio.to_thread(look_at_seal, tmp_path / name, sealed)
        # pdfsig checks the seal itself; a document timestamp it only lists.
        assert verified.count("Signature is Valid") == 1, (name, verified)
        assert verified.count("Total document signed") == 1, (name, verified)

    async with Sandbox() as sandbox:
        waiting = list(files)

        async def take() -> None:
            while waiting:
                path = waiting.pop()
                await one(sandbox, path.name, await asyncio.to_thread(path.read_bytes))

        await asyncio.gather(take(), take())
        assert sandbox._zygote is not None
        assert children(sandbox._zygote.process.pid) == ""
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:4} {outcome}")  # noqa: T201 - the figures that the issue asks for; seen with -s
    assert outcomes.total() == len(files)
    assert {outcome.split()[0] for outcome in outcomes} <= REASONS | {"sealed"}
    assert outcomes["sealed"] > 0.9 * len(files)
