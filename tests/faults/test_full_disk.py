"""A real server on a real disk that is full: what it said is stored is stored, and it goes on once there is room."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import zegel
from support.disks import MIB, Disk, small_disk
from support.flow import Office, big_pdf, open_office, refused, until
from support.sealed import make_pdf
from support.server import ServerProcess, rows

LARGE = big_pdf(9 * MIB)
SMALL = make_pdf("Small")
FULL = {("RESOURCE_EXHAUSTED", "STORAGE_FULL"), ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE")}

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture
def filling() -> Iterator[tuple[Office, Disk]]:
    """An office whose server keeps everything on a disk of its own."""
    with small_disk(96 * MIB) as disk, tempfile.TemporaryDirectory(prefix="zegel-test-") as folder:
        server = ServerProcess(Path(folder), shared=disk.root / "data")
        with server, open_office(server) as office:
            yield office, disk


@pytest.fixture
def filling_blobs() -> Iterator[tuple[Office, Disk]]:
    """An office whose server keeps its documents on a disk of their own."""
    with small_disk(48 * MIB) as disk, tempfile.TemporaryDirectory(prefix="zegel-test-") as folder:
        (Path(folder) / "data").mkdir(mode=0o700)
        (Path(folder) / "data/blobs").symlink_to(disk.root, target_is_directory=True)
        with ServerProcess(Path(folder)) as server, open_office(server) as office:
            yield office, disk


def whole(office: Office, document_id: str, data: bytes) -> None:
    got = office.sender.documents.download(document_id)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def check_uploads(office: Office, disk: Disk) -> list[tuple[str, int]]:
    """Each part that an open upload counts is there, whole.

    Returns:
        Identifier and counted parts of each.
    """
    found = rows(
        office.server.rows_url, "SELECT upload_id, persisted_parts, blob_prefix FROM uploads WHERE state = 'OPEN'"
    )
    for _, parts, prefix in found:
        for number in range(parts):
            assert (disk.root / prefix / f"{number:06d}").stat().st_size == 4 * MIB
    return [(upload_id, parts) for upload_id, parts, _ in found]


@pytest.mark.parametrize("client_encrypted", [False, True])
def test_no_room_for_a_document(filling_blobs: tuple[Office, Disk], client_encrypted: bool) -> None:
    office, disk = filling_blobs
    kept = office.sender.documents.upload(LARGE, title="Before")
    disk.fill(leave=6 * MIB)  # for one part of three
    with refused("RESOURCE_EXHAUSTED", "STORAGE_FULL"):
        office.sender.documents.upload(LARGE, title="Too large", client_encrypted=client_encrypted)
    ((upload_id, parts),) = check_uploads(office, disk)
    assert parts <= 1
    whole(office, kept.document_id, LARGE)
    small = office.sender.documents.upload(SMALL, title="Small enough", client_encrypted=client_encrypted)
    disk.fill()
    with refused("RESOURCE_EXHAUSTED", "STORAGE_FULL"):
        office.sender.documents.upload(SMALL, title="Nothing fits", client_encrypted=client_encrypted)
    office.sender.documents.get_document(document_id=small.document_id)
    disk.free()
    after = office.sender.documents.upload(LARGE, title="After", client_encrypted=client_encrypted)
    for document, data in ((kept, LARGE), (small, SMALL), (after, LARGE)):
        whole(office, document.document_id, data)
    # The one that broke off is still open where it said that it was, and can be given up.
    assert (upload_id, parts) in check_uploads(office, disk)
    office.sender.documents.cancel_upload(upload_id=upload_id)
    listed = office.sender.documents.list_documents()
    assert {each.document_id for each in listed} == {each.document_id for each in (kept, small, after)}
    assert office.server.defects() == []


def test_no_room_for_rows_nor_for_anything(filling: tuple[Office, Disk]) -> None:
    office, disk = filling
    upload = office.sender.documents.upload
    kept = upload(SMALL, title="Before")
    told: list[str] = []
    disk.fill()
    # The database has some room of its own left: it is used up.
    create = office.root.identity.create_tenant
    with pytest.raises(zegel.ZegelError) as caught:
        told.extend(create(name=f"{number:04d} {'x' * 190}").tenant.tenant_id for number in range(500))
    assert (caught.value.code.name, caught.value.reason) in FULL, caught.value
    with pytest.raises(zegel.ZegelError) as caught:
        upload(SMALL, title="Not now")
    assert (caught.value.code.name, caught.value.reason) in FULL, caught.value
    # What is read only goes on, and what was acknowledged is there.
    office.sender.documents.get_document(document_id=kept.document_id)
    assert set(told) <= {each for (each,) in rows(office.server.rows_url, "SELECT tenant_id FROM tenants")}
    disk.free()
    after = until(lambda: _uploaded(office), "recovery without a restart", 30)
    for document_id in (kept.document_id, after):
        whole(office, document_id, SMALL)
    process = office.server.process
    assert process is not None
    assert process.poll() is None
    # And all of it is there for the next process, with the log whole.
    office.server.stop()
    office.server.start()
    assert set(told) <= {each for (each,) in rows(office.server.rows_url, "SELECT tenant_id FROM tenants")}
    whole(office, after, SMALL)


def _uploaded(office: Office) -> str | None:
    with contextlib.suppress(zegel.ResourceExhausted, zegel.Unavailable):
        return office.sender.documents.upload(SMALL, title="After").document_id
    return None
