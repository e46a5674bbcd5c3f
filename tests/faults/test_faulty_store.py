"""A real server behind which a real S3 server answers wrongly, too late, or breaks off: through the whole server.

A store that takes connections and never answers: see also ``test_storage_faults``, and ``test_object_store``.

It says so with one error, counts nothing that is not stored, and goes on without a restart once the store does.
"""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from support import versitygw
from support.faulty_store import FaultyStore
from support.flow import Office, Uploading, big_pdf, chunks, end_of, open_office, refused
from support.server import rows, sqlite_server
from zegel._internal.contract import rpc_of
from zegel.document.v1.document_service_pb2 import DownloadDocumentRequest, UploadDocumentRequest, UploadSpec
from zegel.errors import from_call

MIB = 1 << 20
LARGE = big_pdf(9 * MIB)
LONG = big_pdf(20 * MIB)
REFUSING = ["500", "503", "403", "garbage", "cut", "lost"]

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@dataclass(frozen=True)
class Setting:
    """An office, and the way from its server to the store."""

    office: Office
    way: FaultyStore
    objects: Path

    def whole(self, document_id: str, data: bytes) -> None:
        got = self.office.sender.documents.download(document_id)
        assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()

    def documents(self) -> set[str]:
        return {each.document_id for each in self.office.sender.documents.list_documents()}

    def check_counted(self) -> None:
        """Each part that an upload counts is stored."""
        query = "SELECT persisted_parts, blob_prefix FROM uploads WHERE state = 'OPEN'"
        for parts, prefix in rows(self.office.server.rows_url, query):
            for number in range(parts):
                assert (self.objects / prefix / f"{number:06d}").stat().st_size == 4 * MIB

    def send(self, upload_id: str, start: int = 0) -> None:
        """Streams the rest of `LARGE` in, in one try."""
        first = UploadDocumentRequest(upload_id=upload_id)
        Uploading(self.office)(first, *chunks(LARGE, start, MIB), UploadDocumentRequest(finish=end_of(LARGE)))

    def fetch(self, document_id: str) -> None:
        """Downloads, in one try."""
        port: Any = self.office.sender.documents._port
        request = DownloadDocumentRequest(document_id=document_id)
        try:
            for _ in port.link.method(rpc_of(request))(request, **port.call.arguments(stream=True)):
                pass
        except grpc.RpcError as error:
            raise from_call(error) from error

    @contextlib.contextmanager
    def fault(self, name: str) -> Iterator[None]:
        before = self.way.struck
        self.way.fault = name
        try:
            yield
        finally:
            self.way.fault = "none"
        assert self.way.struck > before, "the fault met no request"


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    root = tmp_path_factory.mktemp("s3")
    store = versitygw.start(root)
    way = FaultyStore(store.port)
    url = store.bucket()
    objects = root / url.removeprefix("s3://").partition("?")[0]
    url = url.replace(quote(f"127.0.0.1:{store.port}"), quote(f"127.0.0.1:{way.port}"))
    try:
        settings = {"ZEGEL_BLOBS_URL": url, **store.environment}
        with sqlite_server(environment=settings) as server, open_office(server) as office:
            yield Setting(office, way, objects)
            assert server.defects() == []
    finally:
        way.close()
        store.stop()


@pytest.mark.parametrize("fault", REFUSING)
def test_a_store_that_fails_is_told_and_outlived(setting: Setting, fault: str) -> None:
    documents = setting.office.sender.documents
    kept = documents.upload(LARGE, title="Before")
    started = documents.start_upload(spec=UploadSpec(title="Goes on later", size=len(LARGE))).upload
    before = setting.documents()
    with setting.fault(fault):
        with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", dependency="storage"):
            setting.send(started.upload_id)
        with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", dependency="storage"):
            setting.fetch(kept.document_id)
        documents.get_document(document_id=kept.document_id)  # what needs no blob goes on
    setting.check_counted()
    assert setting.documents() == before
    stands = documents.get_upload(upload_id=started.upload_id).upload.persisted_size
    setting.send(started.upload_id, stands)
    for document_id in (kept.document_id, started.document_id):
        setting.whole(document_id, LARGE)


def test_a_store_that_is_full_is_told_apart(setting: Setting) -> None:
    before = setting.documents()
    with setting.fault("507"), refused("RESOURCE_EXHAUSTED", "STORAGE_FULL"):
        setting.office.sender.documents.upload(LARGE, title="Not now", client_encrypted=True)
    setting.check_counted()
    assert setting.documents() == before


@pytest.mark.parametrize("fault", [*REFUSING, "silent"])
def test_an_upload_outlives_a_store_that_fails_for_a_while(setting: Setting, fault: str) -> None:
    """In the midst of a stream: what the store was asked for when it failed is asked again."""
    way, told = setting.way, []

    def mend() -> None:
        way.fault = "none"

    def progress(done: int, _all: int | None) -> None:
        told.append(done)
        if len(told) == 6:
            way.fault = fault
            threading.Timer(1.5, mend).start()

    struck = way.struck
    document = setting.office.sender.documents.upload(
        LONG, title="Long", progress=progress, client_encrypted=fault in {"cut", "lost"}
    )
    assert way.fault == "none"
    assert way.struck > struck
    setting.check_counted()
    setting.whole(document.document_id, LONG)


def test_a_store_that_is_slow_costs_time_alone(setting: Setting) -> None:
    with setting.fault("slow"):
        document = setting.office.sender.documents.upload(LARGE, title="Slow")
        setting.whole(document.document_id, LARGE)
