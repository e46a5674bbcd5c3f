"""A real server whose disk is full, whose blob store is slow or gone, whose key token is gone.

It says so, acknowledges nothing that is not stored, and goes on without a restart once what it needs is back.
"""

import contextlib
import hashlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import zegel
from support import softhsm, versitygw
from support.flow import Office, big_pdf, open_office, refused, until
from support.relay import Relay
from support.sealed import make_pdf
from support.server import ServerProcess, rows, sqlite_server

MIB = 1 << 20
LARGE = big_pdf(9 * MIB)
SMALL = make_pdf("Small")

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@contextlib.contextmanager
def largest_file(server: ServerProcess, size: int) -> Iterator[None]:
    """Lets the server's disk take no file above a size: to the server, a full disk (``EFBIG`` is one of its errors)."""
    assert server.process is not None
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def whole(office: Office, document_id: str, data: bytes) -> None:
    got = office.sender.documents.download(document_id)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def documents(office: Office) -> int:
    query = f"SELECT count(*) FROM documents WHERE tenant_id = '{office.tenant_id}'"  # noqa: S608 - our own
    count: int = rows(office.server.rows_url, query)[0][0]
    return count


# --------------------------------------------------------------------------------------------------------- a full disk


@pytest.mark.parametrize("client_encrypted", [False, True])
def test_a_disk_that_is_full_for_documents(client_encrypted: bool) -> None:
    with sqlite_server() as server, open_office(server) as office:
        upload = office.sender.documents.upload
        kept = upload(SMALL, title="Before")
        with largest_file(server, 3 * MIB):
            with refused("RESOURCE_EXHAUSTED", "STORAGE_FULL"):
                upload(LARGE, title="Too large for it", client_encrypted=client_encrypted)
            whole(office, kept.document_id, SMALL)
            small = upload(SMALL, title="Small enough", client_encrypted=client_encrypted)
        assert documents(office) == 2
        after = upload(LARGE, title="After", client_encrypted=client_encrypted)
        for document, data in ((kept, SMALL), (small, SMALL), (after, LARGE)):
            whole(office, document.document_id, data)
        assert server.defects() == []


def test_a_disk_that_is_full_for_everything() -> None:
    """Then rows cannot be written either: the log of SQLite is a file like another."""
    with sqlite_server() as server, open_office(server) as office:
        kept = office.sender.documents.upload(SMALL, title="Before")
        with largest_file(server, 1), pytest.raises(zegel.ZegelError) as caught:
            office.sender.with_timeout(20.0).documents.upload(SMALL, title="Not now")
        assert caught.value.code.name in {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}, caught.value
        assert caught.value.reason in {"STORAGE_FULL", "DEPENDENCY_UNAVAILABLE"}, caught.value
        until(lambda: _uploads(office), "recovery without a restart", 30)
        whole(office, kept.document_id, SMALL)
        assert server.process is not None
        assert server.process.poll() is None


def _uploads(office: Office) -> bool | None:
    with contextlib.suppress(zegel.ResourceExhausted, zegel.Unavailable):
        whole(office, office.sender.documents.upload(SMALL, title="After").document_id, SMALL)
        return True
    return None


# ------------------------------------------------------------------------------------------------------- a blob store


@pytest.fixture
def on_s3(tmp_path: Path) -> Iterator[tuple[Office, versitygw.S3Server]]:
    """An office whose server stores in a real S3 server that a test may stop."""
    (tmp_path / "s3").mkdir()
    store = versitygw.start(tmp_path / "s3")
    settings = {"ZEGEL_BLOBS_URL": store.bucket(), **store.environment}
    with sqlite_server(environment=settings) as server, open_office(server) as office:
        yield office, store
        assert server.defects() == []
    store.stop()


def test_a_blob_store_that_is_gone(on_s3: tuple[Office, versitygw.S3Server]) -> None:
    office, store = on_s3
    kept = office.sender.documents.upload(LARGE, title="Before")
    store.stop()
    with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", dependency="storage"):
        office.sender.documents.download(kept.document_id)
    with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", dependency="storage"):
        office.sender.documents.upload(SMALL, title="Not now")
    assert documents(office) == 1
    office.sender.documents.get_document(document_id=kept.document_id)  # what needs no blob goes on
    again = versitygw.start(store.root, store.port, store.environment)
    try:
        whole(office, kept.document_id, LARGE)
        whole(office, office.sender.documents.upload(LARGE, title="After", client_encrypted=True).document_id, LARGE)
    finally:
        again.stop()


def test_an_upload_outlives_a_blob_store_that_is_gone_for_a_while(on_s3: tuple[Office, versitygw.S3Server]) -> None:
    """It goes away while messages are under way, and is back only after the upload itself had to begin anew."""
    office, store = on_s3
    kept = office.sender.documents.upload(SMALL, title="Before")
    told: list[int] = []
    again: list[versitygw.S3Server] = []

    def progress(done: int, _all: int | None) -> None:
        told.append(done)
        if store.process.poll() is None and done >= 6 * MIB:
            store.stop()
            with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", dependency="storage"):
                office.sender.documents.download(kept.document_id)
        elif not again and len(told) > 1 and done <= told[-2]:
            again.append(versitygw.start(store.root, store.port, store.environment))

    try:
        document = office.sender.documents.upload(LARGE, title="Long", progress=progress)
        assert again, "the upload never noticed that the store was away"
        whole(office, document.document_id, LARGE)
        whole(office, kept.document_id, SMALL)
    finally:
        for each in again:
            each.stop()


def test_a_blob_store_that_is_slow_costs_time_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    store = versitygw.start(tmp_path / "s3")
    relay = Relay(f"127.0.0.1:{store.port}")
    url = store.bucket().replace(quote(f"127.0.0.1:{store.port}"), quote(relay.target))
    settings = {"ZEGEL_BLOBS_URL": url, **store.environment}
    with sqlite_server(environment=settings) as server, open_office(server) as office:
        store.process.send_signal(signal.SIGSTOP)  # it takes connections, and answers nothing
        stopped = True
        try:
            with pytest.raises(zegel.ZegelError) as caught:
                office.sender.with_timeout(3.0).documents.upload(SMALL, title="Not now")
            assert caught.value.code.name == "DEADLINE_EXCEEDED"
            office.sender.identity.get_current_session()  # nobody else waits for what is still stopped
            assert documents(office) == 0
            store.process.send_signal(signal.SIGCONT)
            stopped = False
            whole(office, office.sender.documents.upload(LARGE, title="After").document_id, LARGE)
        finally:
            if stopped:
                store.process.send_signal(signal.SIGCONT)
    relay.close()
    store.stop()


# ------------------------------------------------------------------------------------------------------------ an HSM


def test_a_key_token_that_goes_away(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with softhsm.token(tmp_path / "token") as token:
        settings = {"ZEGEL_ROOT_KEYS_URL": token.url}
        with sqlite_server(environment=settings) as server, open_office(server) as office:
            document = office.sender.documents.upload(SMALL, title="Before")
            away = tmp_path / "away"
            token.tokens.rename(away)
            try:
                with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", dependency="key_provider"):
                    office.root.with_timeout(20.0).identity.create_tenant(name="Needs a root key")
                # Keys that are open stay so: documents are read and written.
                whole(office, document.document_id, SMALL)
                office.sender.documents.upload(SMALL, title="Meanwhile")
                # Started anew without its token, a server opens no document, and says why.
                server.stop()
                server.start()
                with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", dependency="key_provider"):
                    office.sender.documents.download(document.document_id)
            finally:
                away.rename(token.tokens)
            whole(office, document.document_id, SMALL)
            with open_office(server, "Another Ltd") as other:
                whole(other, other.sender.documents.upload(SMALL, title="After").document_id, SMALL)
            assert server.defects() == []
