"""Examining: what is not in the form, shows something else, or could not be verified, is not believed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.completing import EVIDENCE, make_job, rendition_of
from support.pdfs import one_page, png
from support.sealed import AUDIT, STAMP, make_pdf, seal_spec
from support.sealing_in_process import seal_rendition
from zegel.evidence.sealed_file.reading import read_sealed_file
from zegel.evidence.sealed_file.rendition import page_tree, write_rendition
from zegel.evidence.sealed_file.syntax import FormError, Name, Ref, Stream, Value
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.pdf.completion.examining import examine, rehearse
from zegel_server.pdf.model import Box, CompletionJob, Stamp
from zegel_server.pdf.refusal import Refusal, RefusedError

TURNED = one_page(b"0 0 90 90 re f", b"/MediaBox [20 10 220 310] /Rotate 90 /UserUnit 1.5")


def box_of(stamp: Stamp) -> Box:
    return Box(stamp.page, stamp.x, stamp.y, stamp.width, stamp.height)


BOX = box_of(STAMP)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentAuthority:
    return DevelopmentAuthority.open(tmp_path_factory.mktemp("authority"))


Seal = Callable[[CompletionJob], bytes]


@pytest.fixture(scope="module")
def seal(authority: DevelopmentAuthority) -> Seal:
    respond = LocalTimestampAuthority(authority.timestamp).respond

    def made(job: CompletionJob) -> bytes:
        return job.rendition + seal_rendition(job, seal_spec(authority), authority.seal.sign, respond).appended

    return made


@pytest.fixture(scope="module")
def certificates(authority: DevelopmentAuthority) -> list[bytes]:
    return [*authority.seal.chain, *authority.timestamp.chain]


@pytest.fixture(scope="module")
def sealed(seal: Seal) -> bytes:
    return seal(make_job(make_pdf(pages=2), STAMP))


def demand_refused(pdf: bytes, boxes: list[Box], certificates: list[bytes]) -> None:
    with pytest.raises(RefusedError) as caught:
        examine(pdf, boxes, certificates)
    assert caught.value.refusal is Refusal.SEAL


def test_a_sealed_file_is_believed_and_its_pages_are_told(sealed: bytes, certificates: list[bytes]) -> None:
    pages = examine(sealed, [BOX], certificates)
    assert [(page.width, page.height) for page in pages[:2]] == [pytest.approx((595.2756, 841.8898), abs=1e-3)] * 2
    assert len(pages) == 3
    assert examine(sealed, [BOX, replace(BOX, page=2), Box(1, 0, 0, 5, 5)], certificates) == pages


def test_pages_are_told_as_they_are_shown(seal: Seal, certificates: list[bytes]) -> None:
    stamp = Stamp(1, 10, 20, 100, 40, "signature", "Ana")
    pages = examine(seal(make_job(TURNED, stamp)), [box_of(stamp)], certificates)
    assert (pages[0].width, pages[0].height) == (450, 300)


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [replace(BOX, page=2)],
        [replace(BOX, x=BOX.x + 1)],
        [replace(BOX, y=BOX.y + 0.001)],
        [replace(BOX, width=BOX.width - 1)],
        [replace(BOX, height=BOX.height * 2)],
        [Box(1, 0, 0, 595, 842)],
    ],
)
def test_a_stamp_in_another_box_than_the_request_named_is_found(
    sealed: bytes, boxes: list[Box], certificates: list[bytes]
) -> None:
    demand_refused(sealed, boxes, certificates)


def test_a_stamp_too_many_and_on_a_page_without_a_box_is_found(seal: Seal, certificates: list[bytes]) -> None:
    more = seal(make_job(make_pdf(pages=2), STAMP, replace(STAMP, page=2), replace(STAMP, y=500.0)))
    demand_refused(more, [BOX, replace(BOX, page=2)], certificates)
    demand_refused(more, [BOX, replace(BOX, y=500.0)], certificates)
    assert examine(more, [BOX, replace(BOX, page=2), replace(BOX, y=500.0)], certificates)


def unbalanced(content: bytes) -> bytes:
    """A rendition whose page leaves something open, as none is that we make: its form says nothing of that."""
    page: dict[str, Value] = {
        "Type": Name("Page"),
        "Parent": Ref(2),
        "MediaBox": [0, 0, 595, 842],
        "Contents": Ref(4),
        "Resources": {},
    }
    catalogue: dict[str, Value] = {"Type": Name("Catalog"), "Pages": Ref(2)}
    return write_rendition([catalogue, page_tree(1), page, Stream({}, content)]).data


OPEN = {
    "smaller": b"q 0.5 0 0 0.5 0 0 cm",
    "elsewhere": b"1 0 0 1 30 0 cm",
}


@pytest.mark.parametrize("name", OPEN)
def test_what_is_in_the_form_and_is_drawn_outside_of_the_boxes_all_the_same_is_found(
    seal: Seal, name: str, certificates: list[bytes]
) -> None:
    job = CompletionJob(unbalanced(OPEN[name]), [STAMP], AUDIT, EVIDENCE, datetime(2026, 11, 24, tzinfo=UTC))
    pdf = seal(job)
    assert read_sealed_file(pdf).completion.boxes
    demand_refused(pdf, [BOX], certificates)
    with pytest.raises(RefusedError) as caught:
        rehearse(job)
    assert caught.value.refusal is Refusal.SEAL


def test_a_changed_page_is_found(sealed: bytes, certificates: list[bytes]) -> None:
    place = sealed.index(b"/MediaBox")
    for changed in (
        sealed[:place] + sealed[place:].replace(b"595", b"594", 1),
        sealed.replace(b"/ZegelStamps Do", b"/ZegelStamp  Do", 1),
        sealed.replace(b"q 1 0 0 1 0 0 cm", b"q 1 0 0 1 0 9 cm", 1),
        sealed + b"\n",
        sealed[:-1],
    ):
        assert changed != sealed
        demand_refused(changed, [BOX], certificates)


def test_a_missing_or_additional_revision_is_found(sealed: bytes, certificates: list[bytes]) -> None:
    file = read_sealed_file(sealed)
    for end in (file.ends[0], file.ends[1], file.completion.gap[0]):
        demand_refused(sealed[:end], [BOX], certificates)
    third = sealed[file.ends[1] :]
    demand_refused(sealed + third, [BOX], certificates)
    demand_refused(sealed[: file.ends[0]] + third, [BOX], certificates)
    demand_refused(b"", [BOX], certificates)


def test_another_files_revisions_do_not_fit(seal: Seal, certificates: list[bytes]) -> None:
    one, other = (seal(make_job(make_pdf(text), STAMP)) for text in ("One agreement", "Two agreement"))
    first, second = read_sealed_file(one).ends, read_sealed_file(other).ends
    demand_refused(one[: first[0]] + other[second[0] :], [BOX], certificates)
    demand_refused(one[: first[1]] + other[second[1] :], [BOX], certificates)


def test_a_seal_by_somebody_else_or_with_changed_bytes_is_found(
    sealed: bytes, certificates: list[bytes], tmp_path: Path
) -> None:
    stranger = DevelopmentAuthority.open(tmp_path)
    demand_refused(sealed, [BOX], [*stranger.seal.chain, *stranger.timestamp.chain])
    demand_refused(sealed, [BOX], [])
    gap, _ = read_sealed_file(sealed).completion.gap
    for place in (gap + 2_000, sealed.index(b"this is audit.jsonl")):
        changed = bytearray(sealed)
        changed[place] = ord("1") if changed[place] != ord("1") else ord("2")
        demand_refused(bytes(changed), [BOX], certificates)


def test_rehearsing_does_what_completing_will_do() -> None:
    rehearse(make_job(make_pdf(pages=3), STAMP, replace(STAMP, page=3, image=png(30, 20))))
    rehearse(make_job(TURNED, Stamp(1, 10, 20, 100, 40, "signature", "Ana")))
    for stamp, refusal in (
        (replace(STAMP, page=4), Refusal.STAMP_PLACE),
        (replace(STAMP, width=0.0), Refusal.STAMP_PLACE),
        (replace(STAMP, image=b"x"), Refusal.IMAGE),
    ):
        with pytest.raises(RefusedError) as caught:
            rehearse(make_job(make_pdf(pages=3), stamp))
        assert caught.value.refusal is refusal
    for data in (make_pdf(), rendition_of(make_pdf())[:-1]):
        with pytest.raises(FormError):
            rehearse(replace(make_job(make_pdf()), rendition=data))
