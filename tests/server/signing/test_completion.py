from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.signing_world import draft_of, make_field
from zegel.evidence.disclosures import DISCLOSURES
from zegel.evidence.sealed_file.completion import FILES
from zegel_server import clock
from zegel_server.audit import leaf
from zegel_server.audit.answers import Evidence
from zegel_server.audit.leaf import LeafFields
from zegel_server.caller import Origin
from zegel_server.ids import new_id
from zegel_server.pdf.limits import MAX_AUDIT_ROWS
from zegel_server.pdf.model import AuditOrigin
from zegel_server.signing import completion, new_request
from zegel_server.signing.completion import ERASED, MAX_HISTORY, Completed, job_of
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.fields import Field
from zegel_server.signing.model import Progress
from zegel_server.signing.openings import boxes_of
from zegel_server.signing.request import Person, PinnedDocument, PinnedRendition, SignatureRequest
from zegel_server.signing.values import Value

ACTS = ("SIGNATURE_REQUEST_VIEWED", "DISCLOSURE_ACCEPTED", "SIGNATURE_REQUEST_SIGNED")
SIGNED = 1_795_504_089_000_000
ONE, TWO = "sig_" + "1" * 26, "sig_" + "2" * 26


def request(*fields: Field, orders: tuple[int, int] = (0, 1)) -> SignatureRequest:
    progress = Progress.sent([(ONE, orders[0]), (TWO, orders[1])], None)
    for key in sorted((ONE, TWO), key=lambda key: progress.signature(key).order):
        progress = progress.accepted(key, 1, 2).signed(key, SIGNED)
    return SignatureRequest(
        signature_request_id=new_id("req"),
        tenant_id=new_id("ten"),
        tenant_name="Lettings & Co",
        owner_id="mem_1",
        audit_id="aud_1",
        title="Lease",
        message="",
        create_time=1,
        documents=(PinnedDocument(new_id("doc"), 1, "Flat 4", b"\1" * 32, 3, 1_000),),
        fields=fields,
        people={ONE: Person("sub_1", "Ann", "ann@example.com"), TWO: Person("sub_2")},
        progress=progress,
    )


def event(kind: str, actor: str | None, second: int = 0, resource: str | None = None) -> LeafFields:
    return LeafFields(
        event_id=new_id("evt"),
        tenant="t",
        trail="aud_1",
        seq=1,
        prev=None,
        type=kind,
        time=datetime(2026, 11, 24, 7, 8, 9, tzinfo=UTC) + timedelta(seconds=second),
        actor=actor,
        actor_kind="system" if actor is None else "signer" if actor.startswith("sig") else "api_key",
        resource=resource,
    )


def completed(
    made: SignatureRequest,
    *events: LeafFields,
    values: dict[str, dict[str, Value]] | None = None,
    origins: dict[str, Origin] | None = None,
) -> Completed:
    lines = b"".join(leaf.compose(each) + b"\n" for each in events)
    whole: dict[str, dict[str, Value]] = {ONE: {}, TWO: {}} | (values or {})
    return Completed(
        request=made,
        values=whole,
        rendition=b"%PDF",
        evidence=Evidence(lines, b"proof"),
        openings=b'{"v":1}',
        origin="log.example.org",
        origins=origins or {},
    )


def test_each_value_is_stamped_in_its_place_and_nothing_where_none_is() -> None:
    T = FieldType  # noqa: N806 - a short name for a table
    made = request(
        make_field("s", T.SIGNATURE, x=1.0, y=2.0, width=3.0, height=4.0, page=2),
        make_field("i", T.INITIALS),
        make_field("d", T.DATE_SIGNED),
        make_field("t", T.TEXT),
        make_field("c", T.CHECKBOX),
        make_field("u", T.CHECKBOX),
        make_field("empty", T.TEXT),
        make_field("absent", T.TEXT),
        make_field("other", T.SIGNATURE, signer_index=1),
    )
    values = {
        ONE: {
            "s": Value("typed", "Ann N."),
            "i": Value("drawn", b"png"),
            "d": Value("text", "2026-11-24"),
            "t": Value("text", "hello"),
            "c": Value("checked", content=True),
            "u": Value("checked", content=False),
            "empty": Value("text", ""),
        },
        TWO: {"other": Value("typed", "?")},
    }
    stamps = job_of(completed(made, values=values)).stamps
    assert [(each.kind, each.text, each.image) for each in stamps] == [
        ("signature", "Ann N.", None),
        ("initials", "", b"png"),
        ("date", "2026-11-24", None),
        ("text", "hello", None),
        ("checkbox", "x", None),
        ("checkbox", "", None),
        ("signature", "?", None),
    ]
    first = stamps[0]
    assert (first.page, first.x, first.y, first.width, first.height) == (2, 1.0, 2.0, 3.0, 4.0)
    assert first.caption == f"Ann\n2026-11-24 07:08:09 UTC\n{ONE}"
    assert stamps[-1].caption.startswith(f"{ERASED}\n")
    assert all(not each.caption for each in stamps[1:-1])


def test_stamps_lie_in_the_boxes_that_the_trail_commits_to_page_by_page_of_all_documents() -> None:
    documents = tuple(
        PinnedDocument(new_id("doc"), 1, title, b"\1" * 32, pages, 1_000)
        for title, pages in (("One", 3), ("Two", 1), ("Three", 2))
    )
    fields = [
        make_field("a", FieldType.TEXT, page=3, x=1.00049, y=0.0, width=0.0001, height=7.9996),
        make_field("b", FieldType.TEXT, document_index=1, page=1),
        make_field("c", FieldType.TEXT, document_index=2, page=2),
    ]
    made = replace(request(*fields), documents=documents)
    stamps = job_of(completed(made, values={ONE: {key: Value("text", key) for key in "abc"}})).stamps
    assert [(stamp.page, stamp.text) for stamp in stamps] == [(3, "a"), (4, "b"), (6, "c")]
    first = stamps[0]
    assert (first.x, first.y, first.width, first.height) == (1.0, 0.0, 0.001, 8.0)
    assert [(box.page, box.x, box.width) for box in boxes_of(made)] == [
        (stamp.page, round(stamp.x * 1000), round(stamp.width * 1000)) for stamp in stamps
    ]


def test_the_audit_page_names_what_every_signer_was_shown() -> None:
    shown = PinnedRendition(new_id("doc"), 1, b"\2" * 32, 123_456, 6)
    told = job_of(completed(replace(request(), rendition=shown))).audit.documents
    assert [(each.title, each.sha256, each.pages) for each in told] == [
        ("Flat 4", "01" * 32, 3),
        ("As given to every signer: the first 123,456 bytes of this file", "02" * 32, 6),
    ]


def test_the_audit_page_tells_documents_parties_and_history() -> None:
    made = request(orders=(1, 0))
    page = job_of(
        completed(
            made,
            event("SIGNATURE_REQUEST_SENT", "key_1"),
            event("SIGNER_SESSION_CREATED", "key_1", 1, resource=ONE),
            event("SIGNATURE_REQUEST_VIEWED", ONE, 2, resource=ONE),
            event("FIELDS_FILLED", ONE, 3, resource=ONE),
            event("FIELDS_FILLED", ONE, 4, resource=ONE),
            event("FIELDS_FILLED", TWO, 5, resource=TWO),
            event("SOMETHING_NEW", TWO, 6),
            event("SIGNATURE_REQUEST_ALL_SIGNED", None, 7),
        )
    ).audit
    assert page is not None
    assert (page.audit_id, page.title, page.tenant_name) == ("aud_1", "Lease", "Lettings & Co")
    assert page.completed_time == "2026-11-24 07:08:09 UTC"
    assert [(each.title, each.sha256, each.pages) for each in page.documents] == [("Flat 4", "01" * 32, 3)]
    assert [(each.name, each.status, each.email) for each in page.parties] == [
        (ERASED, "Signed", ERASED),
        ("Ann", "Signed", "ann@example.com"),
    ]
    assert "handed over by Lettings & Co" in page.parties[1].detail
    assert "handed over" not in page.parties[0].detail
    assert [(each.time[-2:], each.text, each.who) for each in page.events] == [
        ("09", "Sent for signature", "Lettings & Co (api key)"),
        ("10", "Opened a signing session for Ann", "Lettings & Co (api key)"),
        ("11", "Opened and viewed", "Ann"),
        ("12", "Filled in fields (2 times)", "Ann"),
        ("14", "Filled in fields", ERASED),
        ("15", "Something new", ERASED),
        ("16", "Everybody has signed", "Zegel"),
    ]


def test_the_audit_page_tells_the_day_as_it_is_drawn_and_nothing_where_none_is() -> None:
    made = request(make_field("d", FieldType.DATE_SIGNED), make_field("note", FieldType.TEXT, signer_index=1))
    values = {ONE: {"d": Value("text", "2026-11-25 Pacific/Auckland")}, TWO: {"note": Value("text", "2026-11-24")}}
    job = job_of(completed(made, values=values))
    assert job.stamps[0].text == "2026-11-25 Pacific/Auckland"
    assert [each.day for each in job.audit.parties] == ["2026-11-25 Pacific/Auckland", ""]


def test_the_audit_page_tells_from_where_signers_acted_who_were_told_that_it_would() -> None:
    older, newest = DISCLOSURES[0], DISCLOSURES[-1]
    acts = [event(kind, actor, n, actor) for n, (kind, actor) in enumerate(product(ACTS, (ONE, TWO)))]
    acts = [
        replace(each, extra={"disclosure": (newest if each.actor == ONE else older).sha256})
        if each.type == "DISCLOSURE_ACCEPTED"
        else each
        for each in acts
    ]
    phone = Origin("198.51.100.9", "partner/2.0", "203.0.113.7", "phone", "Pacific/Auckland")
    desk = Origin("198.51.100.9", "partner/2.0")
    origins = {each.event_id: desk if each.type == "DISCLOSURE_ACCEPTED" else phone for each in acts}
    page = job_of(completed(request(), *acts, event("FIELDS_FILLED", ONE, 9), origins=origins)).audit
    assert page.origins == (
        AuditOrigin("Ann", "Opened\nSigned", "198.51.100.9\npartner/2.0", "203.0.113.7\nPacific/Auckland\nphone"),
        AuditOrigin("Ann", "Accepted the disclosure", "198.51.100.9\npartner/2.0", ""),
    )
    assert [each.text for each in page.events if each.text.startswith("Accepted")] == [
        f"Accepted the electronic record and signature disclosure, version {text.version}" for text in (newest, older)
    ]


@pytest.mark.parametrize("rows", [MAX_HISTORY, MAX_HISTORY + 1, 3 * MAX_HISTORY])
def test_a_history_too_long_to_read_says_how_much_it_leaves_out(rows: int) -> None:
    events = [event("FIELDS_FILLED", (ONE, TWO)[number % 2], number) for number in range(rows)]
    page = job_of(completed(request(), *events)).audit
    assert page is not None
    most = new_request.MAX_DOCUMENTS + new_request.MAX_SIGNERS + len(page.events)
    assert most <= MAX_AUDIT_ROWS
    if rows <= MAX_HISTORY:
        assert len(page.events) == rows
        return
    assert len(page.events) == MAX_HISTORY + 1
    assert page.events[MAX_HISTORY // 2].text.startswith(f"{rows - MAX_HISTORY:,} more events")
    assert page.events[-1].time == f"{events[-1].time:%Y-%m-%d %H:%M:%S}"


@given(st.lists(st.tuples(st.sampled_from(["FIELDS_FILLED", "DISCLOSURE_ACCEPTED"]), st.sampled_from([ONE, TWO]))))
def test_no_event_is_lost_in_the_history(acts: list[tuple[str, str]]) -> None:
    made = request()
    page = job_of(completed(made, *(event(kind, actor) for kind, actor in acts))).audit
    assert page is not None
    told = 0
    for row in page.events:
        count = row.text.rpartition("(")[2].removesuffix(" times)") if row.text.endswith("times)") else "1"
        told += int(count)
    assert told == len(acts)


def test_the_evidence_is_attached_as_it_is_and_the_job_is_always_the_same() -> None:
    whole = completed(request(), event("SIGNATURE_REQUEST_ALL_SIGNED", None))
    job = job_of(whole)
    assert job.files == {
        "audit.jsonl": whole.evidence.audit_jsonl,
        "completed.tlog-proof": b"proof",
        "openings.json": b'{"v":1}',
    }
    assert list(job.files) == [file.name for file in FILES]
    assert (job.rendition, job.time) == (b"%PDF", clock.to_datetime(SIGNED))
    assert job == job_of(replace(whole))
    assert completion.TRAIL_NAME == "audit.jsonl"
    assert draft_of([new_id("doc")]).fields
