"""The readable audit pages: all that they are told, over as many pages as it takes."""

from hashlib import sha256

from support.completing import completed, make_job, opened, pdfium, with_audit
from support.pdfs import ink, one_page, shown_text
from zegel_server.pdf.model import AuditDocument, AuditEvent, AuditOrigin, AuditParty

BLANK = one_page(b"")
AUDIT = with_audit(
    audit_id="zgl_01JD8X4QK7M3N5P9R2S6T8V0WY",
    title="Employment agreement",
    tenant_name="Example Ltd",
    documents=[
        AuditDocument("Agreement.pdf", sha256(b"x").hexdigest(), 1),
        AuditDocument("As given to every signer: the first 123,456 bytes of this file", sha256(b"y").hexdigest(), 1),
    ],
    parties=[AuditParty("Ana Müller", "ana@example.com", "Signer", "Signed", "2026-11-24 07:08:59 UTC", "E-mail link")],
    events=[AuditEvent("2026-11-24 07:08:59.123", "Document signed", "Ana Müller")],
    origin="log.example.com/zegel",
    verify_hint="zegel verify signed.pdf",
)


def test_it_says_what_it_is_told() -> None:
    text = shown_text(completed(make_job(BLANK, audit=AUDIT)), 1)
    for word in (AUDIT.audit_id, AUDIT.title, AUDIT.tenant_name, AUDIT.origin, AUDIT.verify_hint, "Audit page 1 of 1"):
        assert word in text
    for document in AUDIT.documents:
        assert document.title in text
        assert document.sha256 in text
    for word in ("Ana Müller", "ana@example.com", "Document signed", "2026-11-24 07:08:59.123"):
        assert word in text


def test_a_long_history_runs_over_pages_and_is_whole() -> None:
    events = [AuditEvent(f"2026-11-24 07:08:{number:02}", f"Event number {number:04}", "x") for number in range(300)]
    out = completed(make_job(BLANK, audit=with_audit(events=events)))
    with opened(out) as pdf:
        count = len(pdf.pages)
    text = "".join(shown_text(out, page) for page in range(1, count))
    assert all(f"Event number {number:04}" in text for number in range(300))
    assert all(f"Audit page {number} of {count - 1}" in text for number in range(1, count))
    assert text.count("WHAT HAPPENED") >= count - 2


def test_nothing_lies_over_its_margins_or_over_something_else() -> None:
    wide = "W" * 300
    party = AuditParty(wide, wide + "@example.com", wide, wide, wide, wide)
    audit = with_audit(
        title=wide,
        tenant_name=wide,
        verify_hint=wide,
        documents=[AuditDocument(wide, "0" * 64, 1_000_000)],
        parties=[party] * 8,
        events=[AuditEvent(wide, wide, wide)] * 9,
    )
    out = completed(make_job(BLANK, audit=audit))
    with opened(out) as pdf:
        count = len(pdf.pages)
    for page in range(1, count):
        found = ink(out, page, dark=250)
        assert found is not None
        assert 52 <= found[0] < found[2] <= 543
        assert 40 <= found[1] < found[3] <= 812


def test_a_history_of_right_to_left_and_far_eastern_names_is_drawn() -> None:
    names = ["محمد العربي", "דוד כהן", "王小明", "김철수"]
    events = [AuditEvent("2026-11-24 07:08:59", f"Signed by {name}", name) for name in names]
    out = completed(make_job(BLANK, audit=with_audit(events=events)))
    assert pdfium(out, 1, 595, 842).getbbox() is not None
    assert all(name in shown_text(out, 1) for name in names[2:])


def test_where_signers_acted_is_told_apart_by_who_says_so() -> None:
    origins = (
        AuditOrigin("Ana Müller", "Opened\nSigned", "198.51.100.9\npartner/2.0", "203.0.113.7\nphone\nEurope/Zagreb"),
        AuditOrigin("Ben", "Opened", "192.0.2.4\nphone", ""),
    )
    out = completed(make_job(BLANK, audit=with_audit(origins=origins)))
    text = " ".join(shown_text(out, 1).split())
    assert "SEEN BY ZEGEL" in text
    assert "ASSERTED BY THE CALLER, NOT SEEN BY ZEGEL" in text
    for word in ("198.51.100.9", "partner/2.0", "203.0.113.7", "Europe/Zagreb", "192.0.2.4", "Nothing"):
        assert word in text
    assert "Where signers acted" not in shown_text(completed(make_job(BLANK, audit=with_audit())), 1)


def test_the_longest_program_stays_in_its_column_and_ends_in_an_ellipsis() -> None:
    origin = AuditOrigin("W" * 200, "Signed", "x" * 256, "W" * 512 + "\nEurope/Zagreb")
    out = completed(make_job(BLANK, audit=with_audit(origins=(origin,) * 40)))
    with opened(out) as pdf:
        pages = len(pdf.pages)
    for page in range(1, pages):
        found = ink(out, page)
        assert found is not None
        assert found[0] >= 53
        assert found[2] <= 595.276 - 53


def test_an_identifier_is_not_broken() -> None:
    identifier = "sig_01JD8X4QK7M3N5P9R2S6T8V0WY"
    detail = f"Signing session handed over by Example Ltd\n{identifier}"
    party = AuditParty("Ann", "ann@example.com", "Signer", "Signed", "2026-11-24 07:08:59 UTC", detail)
    out = completed(make_job(BLANK, audit=with_audit(parties=[party])))
    assert "2026-11-24 07:08:59 UTC" in shown_text(out, 1)
    assert identifier in shown_text(out, 1)


def test_the_longest_address_is_not_broken() -> None:
    address = "2001:db8d:88d8:d888:8888:dddd:d8d8:8d8d"
    origin = AuditOrigin("Ana Müller", "Opened\nAccepted the disclosure\nSigned", address, address)
    text = shown_text(completed(make_job(BLANK, audit=with_audit(origins=[origin]))), 1)
    assert text.count(address) == 2
