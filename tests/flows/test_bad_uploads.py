"""Bad documents and bad streams, over a real channel: the catalogue's own word for each, and nothing left of it."""

import hashlib
import io
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import pikepdf
import pytest

import zegel
from support.flow import Office, Uploading, big_pdf, chunk, chunks, end_of, refused, until
from support.pdfs import bomb, raw_pdf
from support.relay import relaying
from support.sealed import make_pdf
from support.server import rows

GOOD = make_pdf("A good one")


def encrypted_pdf(user: str) -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(GOOD)) as opened:
        opened.save(out, encryption=pikepdf.Encryption(owner="owner", user=user, R=6))
    return out.getvalue()


def exploding() -> bytes:
    """Some hundred KB that expand to more than any document may."""
    return bomb(300 * 1024 * 1024)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "a text": (lambda: b"Dear Sir or Madam, this is no PDF at all.\n" * 50, "DOCUMENT_UNREADABLE"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(500), "DOCUMENT_UNREADABLE"),
    "a head alone": (lambda: b"%PDF-1.7\n", "DOCUMENT_UNREADABLE"),
    "damaged": (lambda: GOOD[:300] + bytes(800), "DOCUMENT_UNREADABLE"),
    "no page": (
        lambda: raw_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"]),
        "DOCUMENT_UNREADABLE",
    ),
    "encrypted": (lambda: encrypted_pdf("secret"), "DOCUMENT_ENCRYPTED"),
    "a bomb": (exploding, "DOCUMENT_TOO_COMPLEX"),
    "a bomb in a bomb": (lambda: bomb(300 * 1024 * 1024, 3), "DOCUMENT_TOO_COMPLEX"),
}


@dataclass
class Nothing:
    """What a tenant has by way of documents."""

    office: Office

    @property
    def rows(self) -> dict[str, int]:
        count = {}
        for table in ("documents", "document_versions", "signature_requests", "signatures"):
            query = f"SELECT count(*) FROM {table} WHERE tenant_id = '{self.office.tenant_id}'"  # noqa: S608 - our own
            count[table] = rows(self.office.server.rows_url, query)[0][0]
        return count

    @property
    def blobs(self) -> set[str]:
        return {each for each in self.office.server.blobs() if self.office.tenant_id in each}

    @property
    def open_uploads(self) -> int:
        query = f"SELECT count(*) FROM uploads WHERE tenant_id = '{self.office.tenant_id}' AND state = 'OPEN'"  # noqa: S608
        count: int = rows(self.office.server.rows_url, query)[0][0]
        return count

    def left(self) -> None:
        """Nothing is left: no row of a document, no upload that goes on, and in a moment no blob."""
        assert not any(self.rows.values()), self.rows
        assert list(self.office.owner.documents.list_documents(show_deleted=True)) == []
        until(lambda: True if not self.blobs else None, "the end of the blobs", 15)


def test_each_bad_document_is_refused_with_its_reason_and_nothing_is_left(office: Office) -> None:
    nothing = Nothing(office)
    for kind, (make, reason) in BAD.items():
        with refused("FAILED_PRECONDITION", reason):
            office.sender.documents.upload(make(), title=kind)
        assert not any(nothing.rows.values()), kind
        assert nothing.open_uploads == 0, kind
    nothing.left()
    assert office.upload(GOOD).document_id, "the worker is gone"


def test_a_pdf_that_opens_without_a_password_may_be_encrypted(sqlite_office: Office) -> None:
    document = sqlite_office.upload(encrypted_pdf(""))
    assert len(document.versions[0].pages) == 1


def test_an_empty_document_is_refused(office: Office) -> None:
    with refused("FAILED_PRECONDITION", "DOCUMENT_UNREADABLE"):
        office.sender.documents.upload(b"", title="Empty")
    Nothing(office).left()


def first(data: bytes = b"", **more: object) -> zegel.UploadDocumentRequest:
    return zegel.UploadDocumentRequest(spec=zegel.UploadSpec(title="By hand", size=len(data)), **more)  # type: ignore[arg-type]


HALF = len(GOOD) // 2
OTHER = hashlib.sha256(b"other bytes").digest()
STREAMS = {
    "a wrong crc32c": (
        [first(chunk=chunk(GOOD, crc32c=0xDEADBEEF)), zegel.UploadDocumentRequest(finish=end_of(GOOD))],
        ("INVALID_ARGUMENT", "CHECKSUM_MISMATCH", {"field": "chunk.crc32c"}),
    ),
    "no crc32c": (
        [first(chunk=chunk(GOOD, crc32c=0)), zegel.UploadDocumentRequest(finish=end_of(GOOD))],
        ("INVALID_ARGUMENT", "CHECKSUM_MISMATCH", {"field": "chunk.crc32c"}),
    ),
    "chunks out of order": (
        [first(chunk=chunk(GOOD[HALF:], HALF)), zegel.UploadDocumentRequest(chunk=chunk(GOOD[:HALF]))],
        ("ABORTED", "OFFSET_MISMATCH", {"expected_offset": "0"}),
    ),
    "a chunk missing": (
        [first(chunk=chunk(GOOD[:100])), zegel.UploadDocumentRequest(chunk=chunk(GOOD[HALF:], HALF))],
        ("ABORTED", "OFFSET_MISMATCH", {"expected_offset": "100"}),
    ),
    "the last chunk missing": (
        [first(chunk=chunk(GOOD[:HALF])), zegel.UploadDocumentRequest(finish=end_of(GOOD))],
        ("INVALID_ARGUMENT", "SIZE_MISMATCH", {"field": "finish.size"}),
    ),
    "a negative offset": (
        [first(chunk=chunk(GOOD, -1))],
        ("ABORTED", "OFFSET_MISMATCH", {"expected_offset": "0"}),
    ),
    "a chunk twice": (
        [first(chunk=chunk(GOOD[:100])), zegel.UploadDocumentRequest(chunk=chunk(GOOD[:100]))],
        ("ABORTED", "OFFSET_MISMATCH", {"expected_offset": "100"}),
    ),
    "an empty chunk": ([first(chunk=chunk(b""))], ("INVALID_ARGUMENT", "CHUNK_SIZE", {"field": "chunk.data"})),
    "too large a chunk": (
        [first(chunk=chunk(bytes(1024 * 1024 + 1)))],
        ("INVALID_ARGUMENT", "CHUNK_SIZE", {"field": "chunk.data"}),
    ),
    "a wrong SHA-256": (
        [first(chunk=chunk(GOOD)), zegel.UploadDocumentRequest(finish=end_of(GOOD, sha256=OTHER))],
        ("INVALID_ARGUMENT", "CHECKSUM_MISMATCH", {"field": "finish.sha256"}),
    ),
    "no SHA-256": (
        [first(chunk=chunk(GOOD)), zegel.UploadDocumentRequest(finish=end_of(GOOD, sha256=b""))],
        ("INVALID_ARGUMENT", "MISSING_FIELD", {"field": "finish.sha256"}),
    ),
    "a wrong size": (
        [first(chunk=chunk(GOOD)), zegel.UploadDocumentRequest(finish=end_of(GOOD, size=len(GOOD) - 1))],
        ("INVALID_ARGUMENT", "SIZE_MISMATCH", {"field": "finish.size"}),
    ),
    "more than was announced": (
        [first(GOOD[:10], chunk=chunk(GOOD))],
        ("INVALID_ARGUMENT", "SIZE_MISMATCH", {"field": "chunk.data"}),
    ),
    "no message at all": ([], ("INVALID_ARGUMENT", "STREAM_ORDER", {"field": "upload_id"})),
    "a chunk before the spec": (
        [zegel.UploadDocumentRequest(chunk=chunk(GOOD))],
        ("INVALID_ARGUMENT", "STREAM_ORDER", {"field": "upload_id"}),
    ),
    "the spec twice": (
        [first(chunk=chunk(GOOD)), first()],
        ("INVALID_ARGUMENT", "STREAM_ORDER", {"field": "spec"}),
    ),
    "a message after the end": (
        [first(chunk=chunk(GOOD)), *[zegel.UploadDocumentRequest(finish=end_of(GOOD))] * 2],
        ("INVALID_ARGUMENT", "STREAM_ORDER", {"field": "finish"}),
    ),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_bad_stream_is_refused_with_its_reason_and_nothing_is_left(sqlite_office: Office, kind: str) -> None:
    messages, (code, reason, metadata) = STREAMS[kind]
    with refused(code, reason, **metadata):
        Uploading(sqlite_office)(*messages)
    Nothing(sqlite_office).left()


def test_a_stream_without_its_end_is_an_upload_to_be_continued_and_no_document(office: Office) -> None:
    upload = Uploading(office)
    answer = upload(first(chunk=chunk(GOOD[:HALF])))
    assert not answer.HasField("document")
    nothing = Nothing(office)
    assert nothing.open_uploads == 1
    assert not any(nothing.rows.values())
    stands = office.sender.documents.get_upload(upload_id=answer.upload.upload_id).upload.persisted_size
    rest = [zegel.UploadDocumentRequest(upload_id=answer.upload.upload_id), *chunks(GOOD, stands)]
    done = upload(*rest, zegel.UploadDocumentRequest(finish=end_of(GOOD)))
    assert office.sender.documents.download(done.document.document_id) == GOOD


def test_an_upload_cut_off_halfway_goes_on_from_where_it_stands(office: Office) -> None:
    data, upload = big_pdf(13 * 1024 * 1024), Uploading(office)
    opened = office.sender.documents.start_upload(spec=zegel.UploadSpec(title="Cut", size=len(data))).upload

    def stands() -> int:
        return office.sender.documents.get_upload(upload_id=opened.upload_id).upload.persisted_size

    half = [zegel.UploadDocumentRequest(upload_id=opened.upload_id), *chunks(data[: 6 * 1024 * 1024])]
    upload.cut(half, lambda: until(lambda: stands() or None, "a part on the disk", 20))
    assert not any(Nothing(office).rows.values())
    before = stands()
    assert 0 < before <= 6 * 1024 * 1024
    # What was sent before may be sent again, but must be the same.
    forged = zegel.UploadDocumentRequest(chunk=chunk(bytes(4096), before - 4096))
    with refused("INVALID_ARGUMENT", "RESENT_BYTES_DIFFER", field="chunk.data"):
        upload(zegel.UploadDocumentRequest(upload_id=opened.upload_id), forged)
    assert stands() == before
    rest = [zegel.UploadDocumentRequest(upload_id=opened.upload_id), *chunks(data, before - 4096)]
    done = upload(*rest, zegel.UploadDocumentRequest(finish=end_of(data))).document
    assert office.sender.documents.download(done.document_id) == data
    # Whoever did not hear the answer may finish again, and hears of the same document.
    again = upload(
        zegel.UploadDocumentRequest(upload_id=opened.upload_id), zegel.UploadDocumentRequest(finish=end_of(data))
    )
    assert again.document.document_id == done.document_id
    assert Nothing(office).rows["documents"] == 1


def test_the_sdk_rides_out_connections_that_break_both_ways(sqlite_office: Office) -> None:
    office, data = sqlite_office, big_pdf(11 * 1024 * 1024)
    # Together less than the document, so that each cut comes whatever was persisted before it.
    cuts = [5_000_000, 5_000_000, 200_000]
    with relaying(office.server.listen, up=cuts) as relay, office.by_way_of(relay.target) as client:
        document = client.documents.upload(data, title="Over a bad line")
        assert relay.cuts == len(cuts)
    cuts = [2_000_000, 3_000_000, 200_000]
    with relaying(office.server.listen, down=cuts) as relay, office.by_way_of(relay.target) as client:
        assert client.documents.download(document.document_id) == data
        assert relay.cuts == len(cuts)
    assert Nothing(office).rows["documents"] == 1


def test_a_canceled_upload_leaves_nothing_and_stays_closed(office: Office) -> None:
    data, upload = big_pdf(5 * 1024 * 1024), Uploading(office)
    opened = office.sender.documents.start_upload(spec=zegel.UploadSpec(title="Given up")).upload
    upload(zegel.UploadDocumentRequest(upload_id=opened.upload_id), *chunks(data))
    assert Nothing(office).blobs
    office.sender.documents.cancel_upload(upload_id=opened.upload_id)
    office.sender.documents.cancel_upload(upload_id=opened.upload_id)
    with refused("FAILED_PRECONDITION", "UPLOAD_CLOSED"):
        upload(zegel.UploadDocumentRequest(upload_id=opened.upload_id), *chunks(data))
    Nothing(office).left()


def test_an_upload_is_its_owners_alone(office: Office, other_office: Office) -> None:
    opened = office.sender.documents.start_upload(spec=zegel.UploadSpec(title="Mine")).upload
    for identifier in (opened.upload_id, "upl_" + "0" * 26):
        message = zegel.UploadDocumentRequest(upload_id=identifier)
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="upload"):
            Uploading(other_office)(message, zegel.UploadDocumentRequest(chunk=chunk(GOOD)))
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="upload"):
            other_office.owner.documents.get_upload(upload_id=identifier)
        with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="upload"):
            other_office.owner.documents.cancel_upload(upload_id=identifier)


def test_the_same_bytes_may_be_two_documents(sqlite_office: Office) -> None:
    title = secrets.token_hex(4)
    first_one, second_one = (sqlite_office.upload(GOOD, title) for _ in range(2))
    assert first_one.document_id != second_one.document_id
