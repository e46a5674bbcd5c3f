"""PDFs with random damage: refused with a reason, or with a rendition that can be completed, and rendered again."""

import asyncio
import os
import random

import pytest

from support.completing import EVIDENCE, TIME
from support.pdfs import one_page, raw_pdf, stream
from support.sealed import AUDIT
from support.shared import small_real_pdfs
from zegel_server.errors import FailedPrecondition
from zegel_server.pdf.model import CompletionJob, Stamp
from zegel_server.pdf.sandbox.client import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")

LARGEST_SEED = 40_000
FILES = small_real_pdfs(LARGEST_SEED)
HANDMADE = [
    one_page(b"q 1 0 0 1 5 5 cm BT /F 9 Tf (x) Tj ET Q"),
    raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [5 0 R] /NeedAppearances true >> >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 99 99] /Annots [5 0 R] >>",
            stream(b"0 0 9 9 re f"),
            b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (b) /DA (/F 9 Tf) /Rect [0 0 50 20]  >>",
        ]
    ),
]
WORDS = [
    b"/Type",
    b"/Kids",
    b"/Parent",
    b"[",
    b"]",
    b"<<",
    b">>",
    b"null",
    b"-1",
    b"1e9",
    b"99999999999",
    b"0 R",
    b"3 0 R",
    b"obj",
]


def damaged(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _change in range(chance.randint(1, 12)):
        place = chance.randrange(len(out) + 1)
        match chance.randrange(5):
            case 0:
                out[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                out[place:place] = chance.choice(WORDS)
            case 2:
                del out[place : place + chance.randint(1, 40)]
            case 3:
                source = chance.randrange(len(out) + 1)
                out[place:place] = out[source : source + chance.randint(1, 80)]
            case _:
                digits = [index for index in range(place, min(place + 200, len(out))) if 48 <= out[index] <= 57]
                if digits:
                    out[chance.choice(digits)] = chance.randrange(48, 58)
    return bytes(out)


@pytest.mark.parametrize("shard", range(4))
async def test_damage_is_refused_or_survived(sandbox: Sandbox, shard: int) -> None:
    seeds = HANDMADE + [path.read_bytes() for path in FILES]
    rounds = int(os.environ.get("ZEGEL_MUTATIONS", "60"))
    chance = random.Random(shard)  # noqa: S311 - the same damage in every run
    refused = 0

    async def one(data: bytes) -> int:
        try:
            made = await sandbox.render(data)
        except FailedPrecondition as error:
            assert error.reason in {"DOCUMENT_UNREADABLE", "DOCUMENT_ENCRYPTED", "DOCUMENT_TOO_COMPLEX"}  # noqa: PT017
            return 1
        page = made.facts.pages[-1]
        box = (page.width / 9, page.height / 9, page.width / 3, page.height / 9)
        stamp = Stamp(len(made.facts.pages), *box, "initials", "Ana")
        await sandbox.rehearse(CompletionJob(made.data, [stamp], AUDIT, EVIDENCE, TIME))
        again = await sandbox.render(made.data)
        assert [page.width for page in again.facts.pages] == pytest.approx(
            [page.width for page in made.facts.pages], rel=1e-4
        )
        return 0

    for _batch in range(rounds // 10):
        batch = [damaged(chance.choice(seeds), chance) for _number in range(10)]
        refused += sum(await asyncio.gather(*(one(data) for data in batch)))
    assert 0 < refused < rounds
