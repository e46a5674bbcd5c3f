"""Sealing with every part of it real, but where a test takes one away."""

import asyncio
import hashlib
import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import Image

from support.dying import Death, Killed, Mortal
from support.sealing_world import (
    SealingWorld,
    assert_complete,
    assert_completed_once,
    opening_of,
    sealed_file,
    worker_of,
)
from support.signing_world import SQLITE_ONLY
from support.work import working
from zegel.evidence.trail import parse_leaf
from zegel.evidence.verification import verify_pdf
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.errors import DataLoss, FailedPrecondition, Unavailable
from zegel_server.pdf.completion.assembling import Sealed
from zegel_server.pdf.model import CompletionJob
from zegel_server.signing import sealing
from zegel_server.signing.model import RequestState

pytestmark = pytest.mark.asyncio(loop_scope="session")


def drawn_signature() -> bytes:
    picture = Image.new("RGBA", (120, 40), (0, 0, 0, 0))
    picture.paste((0, 0, 120, 255), (10, 10, 110, 30))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


async def test_everybody_has_signed_and_the_sealed_file_proves_it(sealing_world: SealingWorld) -> None:
    made = sealing_world
    request = await made.signed(pages=2, picture=drawn_signature())
    assert request.progress.state is RequestState.ALL_SIGNED
    assert request.sealing is not None
    async with working(worker_of(made)):
        await made.until(request, "DOWNLOADABLE")
    data = await assert_complete(made, request)

    shown = pypdfium2.PdfDocument(data)
    texts = [page.get_textpage().get_text_bounded() for page in shown]
    assert len(texts) >= 3
    first, audit = texts[0], "\n".join(texts[2:])
    signatures = request.progress.signatures
    for told in ("Ann 0", signatures[0].signature_id, "Ann", "Keys: three", signatures[1].signature_id):
        assert told in first
    for told in (request.audit_id, "ann0@example.com", "ann1@example.com", "log.example.org/zegel", "zegel verify"):
        assert told in audit
    for told in ("Sent for signature", "Accepted the electronic record", "Everybody has signed", "Lettings & Co"):
        assert told in audit
    with pikepdf.open(io.BytesIO(data)) as pdf:
        assert set(pdf.attachments) == {"audit.jsonl", "completed.tlog-proof", "openings.json"}
        lines = pdf.attachments["audit.jsonl"].get_file().read_bytes().splitlines()
    rows = [row for row in await made.world.event_rows() if row.trail == request.audit_id]
    assert lines == [bytes(row.leaf) for row in rows[:-1]]
    assert all(b"example.com" not in line and b"Ann" not in line for line in lines)
    facts = await made.signing_documents.describe(made.sender, (await made.get(request)).sealed_document_id)
    assert (facts.sha256, len(facts.pages), facts.title) == (hashlib.sha256(data).digest(), len(texts), request.title)


@SQLITE_ONLY
async def test_a_sandbox_that_leaves_something_out_is_not_believed(sealing_world: SealingWorld) -> None:
    """The audit page, the evidence and the seal are looked for in what comes back, whatever went wrong in there."""
    made = sealing_world
    request = await made.signed()

    class Forgetful:
        def __init__(self, change: Callable[[CompletionJob, Sealed], bytes]) -> None:
            self.change = change
            self.examine = made.sandbox.examine

        async def complete(self, job: CompletionJob, spec: Any, sign: Any, timestamp: Any) -> Sealed:
            whole = await made.sandbox.complete(job, spec, sign, timestamp)
            return replace(whole, appended=self.change(job, whole))

    async def made_from(job: CompletionJob, spec: Any, sign: Any, timestamp: Any) -> Sealed:
        moved = [replace(stamp, y=stamp.y + 20) for stamp in job.stamps]
        return await made.sandbox.complete(replace(job, stamps=moved), spec, sign, timestamp)

    moving = Forgetful(lambda _job, whole: whole.appended)
    moving.complete = made_from  # type: ignore[method-assign]
    for sandbox in (
        Forgetful(lambda _job, _whole: b""),  # nothing at all
        Forgetful(lambda _job, whole: whole.appended[: whole.appended.index(b"%%EOF") + 6]),  # no timestamp over it
        Forgetful(lambda _job, whole: whole.appended + b"\n"),
        moving,  # stamps where the request names no box
    ):
        with pytest.raises(Unavailable):
            await made.sealer_with(sandbox=sandbox).seal(await made.job(request))
        assert (await made.get(request)).progress.state is RequestState.ALL_SIGNED
    assert len(await made.world.jobs()) == 1


@SQLITE_ONLY
async def test_without_its_events_in_the_log_nothing_is_sealed(
    sealing_world: SealingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "EVIDENCE_WAIT_S", 0.2)
    made = sealing_world
    request = await made.signed()
    await made.sequencer.flush()
    await made.world.ceremony.open(made.world.signer(request))

    class Lagging:
        origin = made.trail.origin
        calls = 0

        async def evidence(self, trail: str) -> Any:
            self.calls += 1
            raise Unavailable("Not yet.", reason="NOT_INTEGRATED_YET")

    lagging = Lagging()
    with pytest.raises(Unavailable) as caught:
        await made.sealer_with(trails=lagging).seal(await made.job(request))
    assert caught.value.reason == "NOT_INTEGRATED_YET"
    assert lagging.calls > 1

    class Older:
        origin = made.trail.origin

        async def evidence(self, trail: str) -> Any:
            whole = await made.trail.evidence(trail)
            return replace(whole, audit_jsonl=whole.audit_jsonl.splitlines(keepends=True)[0])

    with pytest.raises(Unavailable):
        await made.sealer_with(trails=Older()).seal(await made.job(request))


@SQLITE_ONLY
async def test_sealing_waits_for_the_witnesses_that_are_demanded(sealing_world: SealingWorld) -> None:
    made = sealing_world
    request = await made.signed()
    await made.sequencer.flush()

    class Witnessed:
        origin = made.trail.origin

        def __init__(self, after: int) -> None:
            self.left = after

        async def evidence(self, trail: str) -> Any:
            self.left -= 1
            if self.left >= 0:
                raise Unavailable("Too few.", reason="NOT_WITNESSED_YET")
            return await made.trail.evidence(trail)

    job = await made.job(request)
    with pytest.raises(Unavailable) as caught:
        await made.sealer_with(trails=Witnessed(10_000), evidence_wait_s=0.2).seal(job)
    assert caught.value.reason == "NOT_WITNESSED_YET"
    assert (await made.get(request)).progress.state is RequestState.ALL_SIGNED
    await made.sealer_with(trails=Witnessed(3), evidence_wait_s=10.0).seal(job)
    assert (await made.get(request)).progress.state is RequestState.DOWNLOADABLE


async def test_two_that_seal_the_same_make_one_document(sealing_world: SealingWorld) -> None:
    made = sealing_world
    request = await made.signed()
    job = await made.job(request)
    await asyncio.gather(*(made.sealer.seal(job) for _ in range(2)))
    await assert_complete(made, request)
    await made.sealer.seal(await made.job(request))
    await assert_complete(made, request)


@SQLITE_ONLY
@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(900)  # one sealing a step, and another after it
async def test_killed_at_any_step_it_goes_on_and_completes_once(sealing_world: SealingWorld) -> None:
    """Dies at the first step, then at the second, and so on until a try survives; each time somebody else goes on."""
    made = sealing_world
    for at in itertools.count(1):
        request = await made.signed(orders=(0,))
        death = Death(at)
        dying = made.sealer_with(
            database=Mortal(made.world.database, death),
            documents=Mortal(made.signing_documents, death),
            sandbox=Mortal(made.sandbox, death),
        )
        try:
            await dying.seal(await made.job(request))
        except Killed:
            state = (await made.get(request)).progress.state
            assert state in {RequestState.ALL_SIGNED, RequestState.DOWNLOADABLE}
            assert len(await made.world.jobs()) == (state is RequestState.ALL_SIGNED)
            await made.sealer.seal(await made.job(request))
            await assert_completed_once(made, request)
        else:
            assert at > 15
            await assert_complete(made, request)
            return


@SQLITE_ONLY
async def test_a_signer_forgotten_too_early_leaves_the_request_unsealed(sealing_world: SealingWorld) -> None:
    made = sealing_world
    request = await made.signed()
    async with made.world.database.transaction() as transaction:
        await made.world.keys.destroy_subject(transaction, made.world.signer(request).subject_id)
    with pytest.raises(FailedPrecondition):
        await made.sealer.seal(await made.job(request))
    assert (await made.get(request)).progress.state is RequestState.ALL_SIGNED


@SQLITE_ONLY
async def test_a_document_other_than_the_one_signed_is_not_sealed(sealing_world: SealingWorld) -> None:
    made = sealing_world
    request = await made.signed()

    class Swapped:
        store_sealed = made.signing_documents.store_sealed

        async def read_rendition(self, *content_id: Any) -> bytes:
            return await made.signing_documents.read_rendition(*content_id) + b"\n"

    with pytest.raises(DataLoss):
        await made.sealer_with(documents=Swapped()).seal(await made.job(request))


@SQLITE_ONLY
async def test_the_event_that_completes_names_the_file_and_the_server_as_its_actor(sealing_world: SealingWorld) -> None:
    made = sealing_world
    request = await made.signed(orders=(0,))
    await made.sealer.seal(await made.job(request))
    await made.sequencer.flush()
    found = await made.get(request)
    leaf = parse_leaf(bytes((await made.world.event_rows())[-1].leaf))
    assert leaf.type == "SIGNATURE_REQUEST_DOWNLOADABLE"
    assert (leaf.actor, leaf.actor_kind) == (None, "system")
    data = await sealed_file(made, found)
    committed = (await opening_of(made, found)).commit(hashlib.sha256(data).digest(), len(data))
    assert [(each.content, each.document, each.version, each.commitment) for each in leaf.documents] == [
        ("sealed", found.sealed_document_id, 1, committed)
    ]


@SQLITE_ONLY
async def test_a_seal_that_was_replaced_meanwhile_is_named_in_the_trail_before_it_seals(
    sealing_world: SealingWorld, tmp_path: Path
) -> None:
    made = sealing_world
    request = await made.signed(orders=(0,))
    other = DevelopmentAuthority.open(tmp_path / "other")
    materials = replace(
        made.materials(),
        identity=other.seal,
        certificates=(*other.timestamp.chain, *made.authority.timestamp.chain),
        crls=(*other.crls, *made.authority.crls),
        ocsps=(),
    )
    await made.sealer_with(credentials=made.credentials(lambda: materials)).seal(await made.job(request))
    names = await made.world.events(request)
    assert names[names.index("ALL_SIGNED") :] == ["ALL_SIGNED", "SEAL_CERTIFICATE_CHANGED", "DOWNLOADABLE"]
    data = await sealed_file(made, await made.get(request))
    roots = [other.root_pem]
    report = verify_pdf(data, [made.trail.verifier_key], roots, timestamp_roots=[made.authority.root_pem])
    assert report.ok, report.failures
