"""What opens a trail's commitments: one form of the file, and every lie about what was signed found and named."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.merkle_log import make_fields
from zegel.evidence.canonical import dumps, loads
from zegel.evidence.commitments import (
    ORIGINAL,
    RENDITION,
    SEALED,
    Box,
    DocumentHash,
    SealedOpening,
    commit_boxes,
    commit_document,
)
from zegel.evidence.leaves import BARE_HASHES
from zegel.evidence.openings import (
    MAX_OPENINGS_BYTES,
    InvalidOpenings,
    OpenedDocument,
    OpenedTrail,
    Openings,
    check_openings,
)
from zegel.evidence.trail import SEALED_EVENT_TYPE, Check, DocumentCommitment, LeafFields

CERTIFICATE = hashlib.sha256(b"the certificate that seals").hexdigest()
ANOTHER = hashlib.sha256(b"another certificate").hexdigest()


def salt(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def document(name: str, content: str = ORIGINAL) -> OpenedDocument:
    told = DocumentHash(name, 1, hashlib.sha256(name.encode()).hexdigest(), 1_000, content)
    return OpenedDocument(told, salt(name + content))


BOX = Box(page=1, x=10_000, y=20_500, width=200_000, height=60_000, signature="sig_1", type="SIGNATURE")
OPENINGS = Openings(
    documents=(document("doc_1"), document("doc_2"), document("doc_3", RENDITION)),
    boxes=(BOX, replace(BOX, page=2, signature="sig_2", type="DATE_SIGNED")),
    boxes_salt=salt("boxes"),
    sealed=SealedOpening("doc_9", 1, salt("sealed")),
)


def committed(openings: Openings) -> tuple[DocumentCommitment, ...]:
    return tuple(
        DocumentCommitment(
            each.document.document,
            each.document.version,
            commit_document(each.salt, each.document),
            each.document.content,
        )
        for each in openings.documents
    )


@dataclass
class Made:
    """A trail of a request, and what opens it."""

    openings: Openings = OPENINGS
    leaves: list[LeafFields] = field(default_factory=list)

    def __post_init__(self) -> None:
        named = committed(self.openings)
        self.add(
            "SIGNATURE_REQUEST_SENT",
            documents=named,
            extra={
                "boxes": commit_boxes(self.openings.boxes_salt, self.openings.boxes),
                "signers": [{"order": 0, "signature": "sig_1"}, {"order": 0, "signature": "sig_2"}],
            },
        )
        self.add("SIGNATURE_REQUEST_VIEWED", documents=())
        self.add("DOCUMENT_DOWNLOADED", documents=named[-1:])
        self.add("SIGNATURE_REQUEST_SIGNED", documents=named, resource="sig_1")
        self.add("SIGNATURE_REQUEST_SIGNED", documents=named, resource="sig_2")
        self.add("SIGNATURE_REQUEST_ALL_SIGNED", documents=named, extra={"seal_certificate": CERTIFICATE})

    def add(self, kind: str, **facts: Any) -> None:
        seq = len(self.leaves) + 1
        made = make_fields(seq, None if seq == 1 else "0" * 64, kind=kind)
        self.leaves.append(replace(made, **facts))

    def find(self, kind: str) -> int:
        return [leaf.type for leaf in self.leaves].index(kind)

    def change(self, kind: str, **facts: Any) -> None:
        at = self.find(kind)
        self.leaves[at] = replace(self.leaves[at], **facts)

    def check(self, **more: Any) -> OpenedTrail:
        report = check_openings(self.leaves, self.openings.format(), **more)
        assert report.ok == (not report.failures)
        assert report.ok or report == OpenedTrail(report.failures)
        return report

    def failed(self, **more: Any) -> set[Check]:
        return {failure.check for failure in self.check(**more).failures}


# ------------------------------------------------------------------------------------------------------------- the file

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
counts = st.integers(1, 2**53 - 1)
salts = st.binary(min_size=32, max_size=32)
places = st.integers(0, 2**53 - 1)
openings = st.builds(
    Openings,
    st.lists(
        st.builds(
            OpenedDocument,
            st.builds(
                DocumentHash, names, counts, salts.map(bytes.hex), counts, st.sampled_from([ORIGINAL, RENDITION])
            ),
            salts,
        ),
        max_size=3,
    ).map(tuple),
    st.lists(
        st.builds(
            Box,
            counts,
            places,
            places,
            counts,
            counts,
            names,
            st.from_regex("[A-Z][A-Z0-9_]{0,20}", fullmatch=True),
            st.sampled_from(["", "UTC", "Etc/GMT+3", "America/Port-au-Prince"]),
        ),
        max_size=3,
    ).map(tuple),
    salts,
    st.none() | st.builds(SealedOpening, names, counts, salts),
)


@given(openings)
def test_what_is_written_is_read_and_written_again(made: Openings) -> None:
    data = made.format()
    assert Openings.parse(data) == made
    assert Openings.parse(data).format() == data
    assert dumps(loads(data)) == data


def test_the_file_as_it_stands_in_the_evidence() -> None:
    one = Openings((document("d"),), (BOX,), salt("b"), SealedOpening("s", 1, salt("s")))
    digest = hashlib.sha256(b"d").hexdigest()
    assert one.format().decode() == (
        '{"boxes":[{"height":60000,"page":1,"signature":"sig_1","type":"SIGNATURE","width":200000,"x":10000,"y":20500}],'
        f'"boxes_salt":"{salt("b").hex()}","documents":[{{"content":"original","document":"d",'
        f'"salt":"{salt("doriginal").hex()}","sha256":"{digest}","size":1000,"version":1}}],'
        f'"sealed":{{"document":"s","salt":"{salt("s").hex()}","version":1}},"v":1}}'
    )


CHANGES: list[Callable[[Any], object]] = [
    lambda value: value.pop("boxes"),
    lambda value: value.pop("boxes_salt"),
    lambda value: value.pop("documents"),
    lambda value: value.pop("sealed"),
    lambda value: value.pop("v"),
    lambda value: value.update(v=2),
    lambda value: value.update(v=True),
    lambda value: value.update(v="1"),
    lambda value: value.update(more=1),
    lambda value: value.update(boxes={}),
    lambda value: value.update(boxes_salt="00"),
    lambda value: value.update(boxes_salt="A" * 64),
    lambda value: value.update(sealed=[]),
    lambda value: value.update(sealed={}),
    lambda value: value["sealed"].update(version=0),
    lambda value: value["sealed"].update(salt=None),
    lambda value: value["sealed"].update(more=1),
    lambda value: value["boxes"].append(None),
    lambda value: value["boxes"][0].pop("x"),
    lambda value: value["boxes"][0].update(x=-1),
    lambda value: value["boxes"][0].update(width=0),
    lambda value: value["boxes"][0].update(height=True),
    lambda value: value["boxes"][0].update(page=0),
    lambda value: value["boxes"][0].update(type="signature"),
    lambda value: value["boxes"][0].update(type="A" * 201),
    lambda value: value["boxes"][0].update(signature=""),
    lambda value: value["boxes"][0].update(signature="s" * 201),
    lambda value: value["boxes"][0].update(more=1),
    lambda value: value["documents"].append([]),
    lambda value: value["documents"][0].update(content="sealed"),
    lambda value: value["documents"][0].update(content=[]),
    lambda value: value["documents"][0].update(sha256="0" * 63),
    lambda value: value["documents"][0].update(size=0),
    lambda value: value["documents"][0].update(version="1"),
    lambda value: value["documents"][0].update(document=1),
    lambda value: value["documents"][0].update(more=1),
    lambda value: value["boxes"][0].update(time_zone=""),
    lambda value: value["boxes"][0].update(time_zone=1),
    lambda value: value["boxes"][0].update(time_zone="Pacific/Auckland "),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_file_has_one_form(change: Callable[[Any], object]) -> None:
    value: Any = loads(OPENINGS.format())
    change(value)
    with pytest.raises(InvalidOpenings):
        Openings.parse(dumps(value))


def test_a_file_too_long_is_refused_unread() -> None:
    with pytest.raises(InvalidOpenings, match="too long"):
        Openings.parse(b" " * (MAX_OPENINGS_BYTES + 1))
    with pytest.raises(InvalidOpenings):
        Openings((), (BOX,) * 20_000, bytes(32)).format()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"5", b"[" * 100_000, OPENINGS.format() + b"\n"])
def test_what_is_no_openings_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidOpenings):
        Openings.parse(data)


def test_what_would_not_be_read_is_not_written() -> None:
    for bad in (
        replace(OPENINGS, boxes_salt=b"short"),
        replace(OPENINGS, boxes=(replace(BOX, width=0),)),
        replace(OPENINGS, boxes=(replace(BOX, signature="\ud800"),)),
        replace(OPENINGS, documents=(document("d", SEALED),)),
    ):
        with pytest.raises(InvalidOpenings):
            bad.format()


@given(st.binary(max_size=200))
def test_no_input_makes_the_check_raise(data: bytes) -> None:
    assert not check_openings(Made().leaves, data).ok


# ------------------------------------------------------------------------------------------------------------ the check


def test_a_trail_says_what_everybody_signed() -> None:
    report = Made().check()
    assert report.ok
    assert report.rendition == document("doc_3", RENDITION).document
    assert [each.document for each in report.originals] == ["doc_1", "doc_2"]
    assert report.documents == (*report.originals, report.rendition)
    assert report.boxes == OPENINGS.boxes
    assert report.seal_certificate == CERTIFICATE
    assert report.sealed == OPENINGS.sealed


def opened_otherwise(**changes: Any) -> Openings:
    first, *rest = OPENINGS.documents
    return replace(OPENINGS, documents=(replace(first, **changes), *rest))


FIRST = OPENINGS.documents[0].document


@pytest.mark.parametrize(
    "other",
    [
        opened_otherwise(salt=bytes(32)),
        opened_otherwise(document=replace(FIRST, sha256="0" * 64)),
        opened_otherwise(document=replace(FIRST, size=999)),
        opened_otherwise(document=replace(FIRST, version=2)),
        opened_otherwise(document=replace(FIRST, document="doc_0")),
        opened_otherwise(document=replace(FIRST, content=RENDITION)),
        replace(OPENINGS, documents=OPENINGS.documents[:-1]),
        replace(OPENINGS, documents=OPENINGS.documents[::-1]),
        replace(OPENINGS, documents=(*OPENINGS.documents, document("doc_4"))),
        replace(OPENINGS, documents=()),
    ],
)
def test_openings_of_other_documents_are_found(other: Openings) -> None:
    made = Made()
    made.openings = other
    assert made.failed() == {Check.OPENINGS}


@pytest.mark.parametrize(
    "documents",
    [
        OPENINGS.documents[:2],
        OPENINGS.documents[2:],
        (*OPENINGS.documents, document("doc_4", RENDITION)),
    ],
)
def test_a_request_is_of_originals_and_one_rendition(documents: tuple[OpenedDocument, ...]) -> None:
    assert Made(replace(OPENINGS, documents=documents)).failed() == {Check.OPENINGS}


@pytest.mark.parametrize(
    "other",
    [
        replace(OPENINGS, boxes=OPENINGS.boxes[:1]),
        replace(OPENINGS, boxes=OPENINGS.boxes[::-1]),
        replace(OPENINGS, boxes=(replace(BOX, width=BOX.width + 1), *OPENINGS.boxes[1:])),
        replace(OPENINGS, boxes_salt=bytes(32)),
    ],
)
def test_other_boxes_are_found(other: Openings) -> None:
    made = Made()
    made.openings = other
    assert made.failed() == {Check.BOXES}


def test_a_day_in_another_time_zone_is_found() -> None:
    made = Made()
    first, *others = made.openings.boxes
    made.openings = replace(made.openings, boxes=(replace(first, time_zone="Pacific/Auckland"), *others))
    assert made.failed() == {Check.BOXES}


def test_a_box_of_nobody_is_found() -> None:
    assert Made(replace(OPENINGS, boxes=(replace(BOX, signature="sig_3"),))).failed() == {Check.BOXES}


@pytest.mark.parametrize("kind", ["SIGNATURE_REQUEST_SIGNED", "SIGNATURE_REQUEST_ALL_SIGNED"])
def test_who_signed_something_else_is_found(kind: str) -> None:
    named = committed(OPENINGS)
    other = replace(named[0], commitment="0" * 64)
    for documents in ((), named[:-1], named[1:], (other, *named[1:]), (*named, other), named[::-1]):
        made = Made()
        made.change(kind, documents=documents)
        assert made.failed() == {Check.SAME_DOCUMENTS}
        assert made.failed(complete=False) == {Check.SAME_DOCUMENTS}
        assert [each.line for each in made.check().failures] == [made.find(kind) + 1]


def test_a_signature_before_the_sending_is_found() -> None:
    made = Made()
    made.leaves.insert(0, made.leaves.pop(made.find("SIGNATURE_REQUEST_SIGNED")))
    assert made.failed() == {Check.SAME_DOCUMENTS}


def test_a_signer_who_is_missing_is_found() -> None:
    made = Made()
    del made.leaves[made.find("SIGNATURE_REQUEST_SIGNED")]
    assert made.failed() == {Check.SAME_DOCUMENTS}
    assert made.failed(complete=False) == set()


def test_a_signature_of_somebody_else_or_a_second_one_is_found() -> None:
    made = Made()
    made.change("SIGNATURE_REQUEST_SIGNED", resource="sig_3")
    assert made.failed() == {Check.SAME_DOCUMENTS}
    made = Made()
    made.leaves.insert(made.find("SIGNATURE_REQUEST_SIGNED"), made.leaves[made.find("SIGNATURE_REQUEST_SIGNED")])
    assert made.failed() == {Check.SAME_DOCUMENTS}


def test_a_trail_is_complete_only_once_everybody_has_signed() -> None:
    made = Made()
    del made.leaves[made.find("SIGNATURE_REQUEST_ALL_SIGNED")]
    assert made.failed() == {Check.SAME_DOCUMENTS, Check.SEAL_CERTIFICATE}
    report = made.check(complete=False)
    assert report.ok
    assert report.seal_certificate == ""
    made = Made()
    made.leaves.insert(made.find("SIGNATURE_REQUEST_SIGNED"), made.leaves.pop())
    assert made.failed() == {Check.SAME_DOCUMENTS}


def test_the_seal_s_certificate_is_the_one_named_last() -> None:
    made = Made()
    made.add("SEAL_CERTIFICATE_CHANGED", documents=(), extra={"seal_certificate": ANOTHER})
    assert made.check().seal_certificate == ANOTHER


@pytest.mark.parametrize("kind", ["FIELDS_FILLED", "SIGNATURE_REQUEST_DECLINED"])
def test_no_other_event_names_the_seal_s_certificate(kind: str) -> None:
    made = Made()
    made.add(kind, documents=(), extra={"seal_certificate": ANOTHER})
    assert made.check().seal_certificate == CERTIFICATE


@pytest.mark.parametrize("told", ["", "0" * 63, "A" * 64, None, 5, []])
def test_a_malformed_name_of_the_certificate_is_found(told: object) -> None:
    made = Made()
    made.change("SIGNATURE_REQUEST_ALL_SIGNED", extra={"seal_certificate": told})
    assert made.failed() == {Check.SEAL_CERTIFICATE}


def test_openings_without_the_sealed_document_are_not_those_of_a_sealed_file() -> None:
    made = Made(replace(OPENINGS, sealed=None))
    assert made.failed() == {Check.OPENINGS}
    assert made.check(complete=False).sealed is None


@pytest.mark.parametrize(
    ("named", "failures"),
    [
        (DocumentCommitment("doc_9", 1, "0" * 64, SEALED), set()),
        (DocumentCommitment("doc_8", 1, "0" * 64, SEALED), {Check.SEALED_FILE}),
        (DocumentCommitment("doc_9", 2, "0" * 64, SEALED), {Check.SEALED_FILE}),
        (DocumentCommitment("doc_9", 1, "0" * 64, ORIGINAL), {Check.SEALED_FILE}),
    ],
)
def test_a_trail_as_far_as_the_sealing_is_of_the_sealed_document(
    named: DocumentCommitment, failures: set[Check]
) -> None:
    made = Made()
    made.add(SEALED_EVENT_TYPE, documents=(named,))
    assert made.failed() == failures


def test_a_trail_with_no_or_two_sendings_opens_nothing() -> None:
    made = Made()
    sent = made.leaves[0]
    made.leaves = made.leaves[1:]
    assert made.failed() == {Check.OPENINGS}
    made.leaves = [sent, sent, *made.leaves]
    assert made.failed() == {Check.OPENINGS}


def test_bare_hashes_open_nothing() -> None:
    made = Made()
    bare = tuple(DocumentCommitment(each.document, each.version, each.commitment) for each in committed(OPENINGS))
    made.change("SIGNATURE_REQUEST_SENT", documents=bare, version=BARE_HASHES)
    assert made.failed() == {Check.OPENINGS}


@pytest.mark.parametrize("signers", [None, 5, {}, [], [5], [{"order": 1}], [{"signature": ["sig_1"]}]])
def test_signers_told_in_another_form_are_nobody(signers: object) -> None:
    made = Made()
    made.change("SIGNATURE_REQUEST_SENT", extra={**made.leaves[0].extra, "signers": signers})
    assert made.failed() == {Check.BOXES, Check.SAME_DOCUMENTS}
