"""Client encryption through the SDK: what ends TLS sees no byte of a document, and bad lines change nothing."""

import asyncio
import io
import secrets
from pathlib import Path
from typing import Any

import pikepdf
import pytest

import zegel
import zegel.aio
from support.flow import Office
from support.relay import relaying
from support.sealed import make_pdf
from support.tapping import Tap, tapping

WINDOW = 16
"""Bytes in a row that no capture may share with a document."""
MIB = 1 << 20


def filled_pdf(size: int) -> bytes:
    """A PDF with so many random bytes in it."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(make_pdf("Lease"))) as pdf:
        pdf.Root.Filling = pikepdf.Stream(pdf, secrets.token_bytes(size))
        pdf.save(out)
    return out.getvalue()


def shared(capture: bytes, document: bytes) -> int:
    """How many windows of a document a capture has."""
    windows = {document[at : at + WINDOW] for at in range(len(document) - WINDOW + 1)}
    return len(windows & {capture[at : at + WINDOW] for at in range(len(capture) - WINDOW + 1)})


class Person:
    """Either client, through a tap."""

    def __init__(self, office: Office, target: str, kind: str) -> None:
        self._kind = kind
        token = office.sender.documents._port.call.token
        self._how: dict[str, Any] = {"token": token, "root_certificates": office.server.authority}
        self._target = target

    def do(self, name: str, *arguments: Any, **more: Any) -> Any:
        if self._kind == "sync":
            with zegel.Client(self._target, **self._how) as client:
                return getattr(client.documents, name)(*arguments, **more)

        async def run() -> Any:
            async with zegel.aio.Client(self._target, **self._how) as client:
                return await getattr(client.documents, name)(*arguments, **more)

        return asyncio.run(run())


def tap_of(office: Office) -> Any:
    return tapping(office.server.listen, office.server.authority, office.server.data / "authority/tls.pem")


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
def test_whatever_ends_tls_sees_no_byte_of_the_document(office: Office, kind: str, tmp_path: Path) -> None:
    data = filled_pdf(200_000)
    with tap_of(office) as tap:
        person = Person(office, tap.target, kind)
        document: zegel.Document = person.do("upload", data, title="Lease", client_encrypted=True)
        assert person.do("download", document.document_id, client_encrypted=True) == data
        version = person.do("download", document.document_id, to=tmp_path / "lease.pdf", client_encrypted=True)
        assert (
            person.do("download", document.document_id, offset=1000, length=100_000, client_encrypted=True)
            == (data[1000:101_000])
        )
    assert (version.size, (tmp_path / "lease.pdf").read_bytes()) == (len(data), data)
    assert len(tap.captured) > 3 * 200_000
    assert shared(tap.captured, data) == 0


def test_the_tap_would_see_it(office: Office) -> None:
    data = filled_pdf(50_000)
    for way in ("up", "down"):
        with tap_of(office) as tap:
            tapped, direct = Person(office, tap.target, "sync"), Person(office, office.server.listen, "sync")
            document = (tapped if way == "up" else direct).do(
                "upload", data, title="Lease", client_encrypted=way == "down"
            )
            assert (tapped if way == "down" else direct).do("download", document.document_id) == data
        assert shared(tap.captured, data) > 40_000


def test_client_encrypted_and_not_are_the_same_documents(office: Office) -> None:
    first, second = filled_pdf(3 * MIB), filled_pdf(10)
    documents = office.sender.documents
    document = documents.upload(first, title="Lease", client_encrypted=True)
    documents.upload(io.BytesIO(second), document_id=document.document_id)
    document = documents.upload(first, document_id=document.document_id, client_encrypted=True)
    sizes = [len(first), len(second), len(first)]
    assert [each.size for each in document.versions] == sizes
    assert all(len(each.pages) == 1 for each in document.versions)
    for number, data in enumerate([first, second, first], 1):
        for client_encrypted in (False, True):
            assert documents.download(document.document_id, version=number, client_encrypted=client_encrypted) == data


class Pipe(io.RawIOBase):
    """Bytes that come once."""

    def __init__(self, data: bytes) -> None:
        self._left = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._left.read(min(size, 300_000))


@pytest.mark.parametrize("size", [1, 2 * MIB - 56 - 600, 5 * MIB])
def test_a_pipe_is_client_encrypted_too(sqlite_office: Office, size: int) -> None:
    data = filled_pdf(size)
    document = sqlite_office.sender.documents.upload(Pipe(data), title="Piped", client_encrypted=True)  # type: ignore[arg-type]
    assert sqlite_office.sender.documents.download(document.document_id, client_encrypted=True) == data


def test_a_bad_line_changes_nothing(office: Office) -> None:
    data = b"%PDF-1.7\n" + secrets.token_bytes(101 * MIB)  # more than is looked into
    told: list[tuple[int, int | None]] = []
    with relaying(office.server.listen, up=[6 * MIB, 40 * MIB, 20 * MIB], down=[10 * MIB]) as relay:
        person = Person(office, relay.target, "sync")
        document = person.do(
            "upload", data, title="Long", client_encrypted=True, progress=lambda *each: told.append(each)
        )
        assert relay.cuts == 3
    assert told[-1] == (len(data), len(data))
    with relaying(office.server.listen, down=[6 * MIB, 40 * MIB, 20 * MIB]) as relay:
        person = Person(office, relay.target, "sync")
        assert person.do("download", document.document_id, client_encrypted=True, offset=MIB + 5) == data[MIB + 5 :]
        assert relay.cuts == 3


def test_a_file_that_changes_on_the_way_is_not_sent_under_the_same_nonces(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "lease.pdf"
    path.write_bytes(b"%PDF-1.7\n" + bytes(8 * MIB))

    def change(done: int, _all: int | None) -> None:
        if done > 6 * MIB:
            with path.open("r+b") as file:
                file.seek(5 * MIB)  # in a part that is not stored yet
                file.write(b"changed")

    with relaying(office.server.listen, up=[7 * MIB]) as relay:
        person = Person(office, relay.target, "sync")
        with pytest.raises(OSError, match="changed"):
            person.do("upload", path, client_encrypted=True, progress=change)


def test_an_upload_tells_what_to_seal_it_with(office: Office) -> None:
    started = office.sender.documents.start_upload(spec=zegel.UploadSpec(title="x", client_encrypted=True)).upload
    assert (len(started.client_encryption.public_key), started.client_encryption.tenant_id) == (32, office.tenant_id)
    again = office.sender.documents.get_upload(upload_id=started.upload_id).upload
    assert again.client_encryption == started.client_encryption
    other = office.sender.documents.start_upload(spec=zegel.UploadSpec(title="x", client_encrypted=True)).upload
    assert other.client_encryption.public_key != started.client_encryption.public_key


def test_a_capture_is_of_every_direction(office: Office) -> None:
    with tap_of(office) as tap:
        tap_before: Tap = tap
        Person(office, tap.target, "sync").do("get_document", document_id=office.upload().document_id)
    # Two of each connection; a busy machine may make one again.
    pairs = list(zip(tap_before.streams[::2], tap_before.streams[1::2], strict=True))
    assert pairs
    assert all(pairs[-1])
