"""Uploads and downloads as ciphertext: what may go wrong with them, and what the server keeps of them."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from support.documents_world import (
    MIB,
    SPEC,
    World,
    chunk,
    finish_of,
    make_world,
    pdf_of,
    reopen,
    said,
    stream_of,
)
from zegel.client_encryption import ReceiverKey, client_encryption_info, wrap_dek
from zegel.segments import (
    FIRST_SEGMENT_PLAINTEXT_SIZE,
    SEGMENT_SIZE,
    SegmentCipher,
    StreamDecryptor,
    StreamEncryptor,
    document_aad,
    plaintext_range,
)
from zegel_server.caller import Caller
from zegel_server.documents.model import Finish, Received, Upload
from zegel_server.documents.parts import PART_SIZE
from zegel_server.errors import ZegelError
from zegel_server.keys.rotation import Rotation

CLIENT_ENCRYPTED = replace(SPEC, client_encrypted=True)
SIZES = [9, FIRST_SEGMENT_PLAINTEXT_SIZE, FIRST_SEGMENT_PLAINTEXT_SIZE + 1, 4 * MIB - 104, 4 * MIB - 103, 9 * MIB]


@dataclass
class Sender:
    """What a client does: makes a key, encrypts, wraps the key."""

    upload: Upload
    data: bytes
    dek: bytes = field(default_factory=lambda: os.urandom(32))

    def __post_init__(self) -> None:
        assert self.upload.client_encryption is not None
        self.content_id = (self.upload.client_encryption.tenant_id, self.upload.document_id, self.upload.version)
        cipher = SegmentCipher.create(self.dek, document_aad(*self.content_id))
        encryptor = StreamEncryptor(cipher)
        self.stream = b"".join([cipher.header, *encryptor.update(self.data), encryptor.finish()])

    @property
    def wrapped(self) -> bytes:
        assert self.upload.client_encryption is not None
        return wrap_dek(self.upload.client_encryption.public_key, self.dek, client_encryption_info(*self.content_id))

    def messages(self, start: int = 0, stop: int | None = None, **changes: Any) -> AsyncIterator[Received]:
        """The messages of a stream; ``finish`` with its last byte."""
        first = Received(**{"upload_id": self.upload.upload_id, "wrapped_dek": self.wrapped, **changes})
        stop = len(self.stream) if stop is None else stop
        chunks = [Received(chunk=chunk(at, self.stream[at : min(at + MIB, stop)])) for at in range(start, stop, MIB)]
        end = [Received(finish=finish_of(self.data))] if stop == len(self.stream) else []
        return said(first, *chunks, *end)


async def started(world: World, caller: Caller, data: bytes, **changes: Any) -> Sender:
    return Sender(await world.uploads.start(caller, replace(CLIENT_ENCRYPTED, **changes)), data)


async def sent(world: World, caller: Caller, data: bytes) -> str:
    sender = await started(world, caller, data)
    outcome = await world.uploads.receive(caller, sender.messages())
    assert isinstance(outcome, str)
    return outcome


@pytest.mark.parametrize("size", SIZES)
async def test_a_document_comes_out_as_it_was_encrypted(world: World, size: int) -> None:
    data, caller = pdf_of(size), world.member()
    sender = await started(world, caller, data, size=size, sha256=hashlib.sha256(data).digest())
    assert await world.uploads.receive(caller, sender.messages()) == sender.upload.document_id
    assert await world.download(caller, sender.upload.document_id) == data
    # Stored is exactly what was sent, under a key that the row wraps.
    assert b"".join([await world.blobs.get(key) for key in await world.originals()]) == sender.stream
    assert world.sandbox.seen == [data]
    assert (await world.events())[:2] == ["UPLOAD_STARTED", "DOCUMENT_UPLOADED"]
    assert [each.problem async for each in world.scrub.scrub()] == [""]


async def test_it_goes_on_where_it_broke_off(url: str, tmp_path: Path) -> None:
    world = await make_world(url, tmp_path)
    data, caller = pdf_of(10 * MIB), world.member()
    sender = await started(world, caller, data)
    outcome = await world.uploads.receive(caller, sender.messages(stop=6 * MIB + 5))
    assert isinstance(outcome, Upload)
    assert outcome.persisted_size == PART_SIZE
    assert outcome.client_encryption == sender.upload.client_encryption
    assert [each.problem async for each in world.scrub.scrub()] == [""]
    again = await reopen(world, url, tmp_path)
    found = await again.uploads.get(caller, sender.upload.upload_id)
    assert (found.persisted_size, found.client_encryption) == (PART_SIZE, sender.upload.client_encryption)
    # Bytes from before may be sent again, and are compared.
    await again.uploads.receive(caller, sender.messages(start=PART_SIZE - 2 * MIB))
    assert await again.download(caller, sender.upload.document_id) == data
    # So may all of it, by a client that did not hear the answer.
    assert (await again.uploads.get(caller, sender.upload.upload_id)).persisted_size == len(sender.stream)
    assert await again.uploads.receive(caller, sender.messages()) == sender.upload.document_id
    await world.close()
    await again.close()


Spoil = Callable[[Sender], AsyncIterator[Received]]


def with_stream(change: Callable[[bytes], bytes]) -> Spoil:
    def spoiled(sender: Sender) -> AsyncIterator[Received]:
        sender.stream = change(sender.stream)
        return sender.messages()

    return spoiled


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def other_key(sender: Sender) -> bytes:
    return wrap_dek(ReceiverKey.generate().public_bytes, sender.dek, client_encryption_info(*sender.content_id))


def other_place(sender: Sender) -> bytes:
    assert sender.upload.client_encryption is not None
    return wrap_dek(
        sender.upload.client_encryption.public_key, sender.dek, client_encryption_info("ten_x", *sender.content_id[1:])
    )


def other_dek(sender: Sender) -> bytes:
    sender.dek = os.urandom(32)
    return sender.wrapped


WRONG: dict[str, tuple[Spoil, str, str]] = {
    "no key": (lambda sender: sender.messages(wrapped_dek=b""), "MISSING_FIELD", "wrapped_dek"),
    "a short key": (lambda sender: sender.messages(wrapped_dek=b"k" * 79), "INVALID_FIELD", "wrapped_dek"),
    "a random key": (lambda sender: sender.messages(wrapped_dek=os.urandom(80)), "INVALID_FIELD", "wrapped_dek"),
    "to another": (lambda sender: sender.messages(wrapped_dek=other_key(sender)), "INVALID_FIELD", "wrapped_dek"),
    "for another": (lambda sender: sender.messages(wrapped_dek=other_place(sender)), "INVALID_FIELD", "wrapped_dek"),
    "not the key": (lambda sender: sender.messages(wrapped_dek=other_dek(sender)), "CHECKSUM_MISMATCH", "chunk.data"),
    "a flipped header": (with_stream(flipped(5)), "CHECKSUM_MISMATCH", "chunk.data"),
    "no header": (with_stream(flipped(0)), "CHECKSUM_MISMATCH", "chunk.data"),
    "a flipped segment": (with_stream(flipped(2 * MIB)), "CHECKSUM_MISMATCH", "chunk.data"),
    "a flipped end": (with_stream(lambda data: data[:-1] + bytes([data[-1] ^ 1])), "CHECKSUM_MISMATCH", "chunk.data"),
    "swapped segments": (
        with_stream(lambda data: data[:MIB] + data[2 * MIB : 3 * MIB] + data[MIB : 2 * MIB] + data[3 * MIB :]),
        "CHECKSUM_MISMATCH",
        "chunk.data",
    ),
    "a shorter stream": (with_stream(lambda data: data[: 5 * MIB]), "SIZE_MISMATCH", "finish.size"),
    "one byte less": (with_stream(lambda data: data[:-1]), "SIZE_MISMATCH", "finish.size"),
    "no stream's size": (with_stream(lambda data: data[: 2 * MIB + 3]), "SIZE_MISMATCH", "finish.size"),
    "nothing": (with_stream(lambda _data: b""), "SIZE_MISMATCH", "finish.size"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_is_refused_and_leaves_no_document(sqlite_world: World, what: str) -> None:
    world, caller = sqlite_world, sqlite_world.member()
    spoil, reason, where = WRONG[what]
    sender = await started(world, caller, pdf_of(6 * MIB))
    with pytest.raises(ZegelError) as caught:
        await world.uploads.receive(caller, spoil(sender))
    assert (caught.value.reason, caught.value.metadata.get("field")) == (reason, where)
    assert await world.version_rows() == []


async def test_another_sha256_is_refused(sqlite_world: World) -> None:
    world, caller = sqlite_world, sqlite_world.member()
    sender = await started(world, caller, pdf_of(1000))
    sender.data, data = pdf_of(1000), sender.data
    with pytest.raises(ZegelError) as caught:
        await world.uploads.receive(caller, sender.messages())
    assert (caught.value.reason, caught.value.metadata["field"]) == ("CHECKSUM_MISMATCH", "finish.sha256")
    sender.data = data
    assert await world.uploads.receive(caller, sender.messages()) == sender.upload.document_id


async def test_other_bytes_for_what_is_stored_are_refused(sqlite_world: World) -> None:
    world, caller = sqlite_world, sqlite_world.member()
    sender = await started(world, caller, pdf_of(10 * MIB))
    await world.uploads.receive(caller, sender.messages(stop=9 * MIB))
    sender.stream = flipped(5 * MIB)(sender.stream)
    with pytest.raises(ZegelError) as caught:
        await world.uploads.receive(caller, sender.messages())
    assert caught.value.reason == "RESENT_BYTES_DIFFER"


async def test_no_pdf_is_refused_for_good(sqlite_world: World) -> None:
    world, caller = sqlite_world, sqlite_world.member()
    sender = await started(world, caller, b"no PDF")
    with pytest.raises(ZegelError) as caught:
        await world.uploads.receive(caller, sender.messages())
    assert caught.value.reason == "DOCUMENT_UNREADABLE"
    await world.remover.drain()
    assert await world.stored() == []
    with pytest.raises(ZegelError) as caught:
        await world.uploads.receive(caller, sender.messages())
    assert caught.value.reason == "UPLOAD_CLOSED"


async def test_it_is_begun_by_start_upload(sqlite_world: World) -> None:
    with pytest.raises(ZegelError) as caught:
        await sqlite_world.uploads.receive(sqlite_world.member(), stream_of(b"x", spec=CLIENT_ENCRYPTED))
    assert (caught.value.reason, caught.value.metadata["field"]) == ("STREAM_ORDER", "spec.client_encrypted")


async def test_a_key_for_chunks_in_the_clear_is_refused(sqlite_world: World) -> None:
    caller = sqlite_world.member()
    upload = await sqlite_world.uploads.start(caller, SPEC)
    assert upload.client_encryption is None
    with pytest.raises(ZegelError) as caught:
        await sqlite_world.uploads.receive(
            caller, said(Received(upload_id=upload.upload_id, wrapped_dek=b"k" * 80), Received(finish=Finish(0, b"")))
        )
    assert caught.value.metadata["field"] == "wrapped_dek"


async def test_rotation_in_between_changes_nothing(url: str, tmp_path: Path) -> None:
    world = await make_world(url, tmp_path)
    data, caller = pdf_of(10 * MIB), world.member()
    sender = await started(world, caller, data)
    await world.uploads.receive(caller, sender.messages(stop=6 * MIB))
    rotation = Rotation(world.database, world.keys._root_keys, readers_s=0)
    await rotation.rotate(world.tenant_id, erase=True)
    assert (
        await world.uploads.get(caller, sender.upload.upload_id)
    ).client_encryption == sender.upload.client_encryption
    await world.uploads.receive(caller, sender.messages(start=PART_SIZE))
    assert await world.download(caller, sender.upload.document_id) == data
    await world.close()


# -------------------------------------------------------------------------------------------------------------- down


async def fetched(world: World, caller: Caller, document_id: str, offset: int = 0, limit: int = 0) -> tuple[Any, bytes]:
    """A client-encrypted download, its chunks one after the other, and its key opened by a reader."""
    reader = ReceiverKey.generate()
    download = await world.downloads.open(caller, document_id, 0, offset, limit, client_public_key=reader.public_bytes)
    assert download.client_encrypted_stream is not None
    dek = reader.unwrap(
        download.client_encrypted_stream.wrapped_dek,
        client_encryption_info(download.client_encrypted_stream.tenant_id, document_id, 1),
    )
    stream = bytearray()
    begin = download.client_encrypted_stream.first_segment * SEGMENT_SIZE
    count = 0
    try:
        async for each in download.chunks:
            assert each.offset == begin + len(stream)
            assert google_crc32c.value(each.data) == each.crc32c
            assert 1 <= len(each.data) <= SEGMENT_SIZE
            stream += each.data
            count += 1
    finally:
        await download.close()
    assert count == download.client_encrypted_stream.segment_count
    aad = document_aad(world.tenant_id, document_id, 1)
    return (download, dek, aad), bytes(stream)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encrypted_up", [True, False])
async def test_the_chunks_of_a_whole_document_are_its_stream(
    sqlite_world: World, size: int, encrypted_up: bool
) -> None:
    world, data = sqlite_world, pdf_of(size)
    caller = world.member()
    document_id = await (sent(world, caller, data) if encrypted_up else world.upload(caller, data))
    (download, dek, aad), stream = await fetched(world, caller, document_id)
    assert stream == b"".join([await world.blobs.get(key) for key in await world.originals()])
    assert stream.startswith(download.client_encrypted_stream.header)
    decryptor = StreamDecryptor(dek, aad)
    assert b"".join([*decryptor.update(stream), decryptor.finish()]) == data


@pytest.mark.parametrize(("offset", "limit"), [(0, 1), (5, 2 * MIB), (MIB, 1), (3 * MIB, 0), (-1, 0), (6 * MIB, 0)])
async def test_a_range_is_whole_segments(sqlite_world: World, offset: int, limit: int) -> None:
    world, data = sqlite_world, pdf_of(6 * MIB)
    caller = world.member()
    document_id = await world.upload(caller, data)
    (download, dek, aad), stream = await fetched(world, caller, document_id, offset, limit)
    wanted, encrypted = download.wanted, download.client_encrypted_stream
    if not wanted:
        assert (stream, encrypted.segment_count) == (b"", 0)
        return
    whole = encrypted.first_segment + encrypted.segment_count == 7
    start = {"header": encrypted.header, "next_index": encrypted.first_segment} if encrypted.first_segment else {}
    decryptor = StreamDecryptor(dek, aad, **start)
    plain = b"".join([*decryptor.update(stream), decryptor.finish(end_of_stream=whole)])
    begin = plaintext_range(encrypted.first_segment, len(data)).start
    assert plain[wanted.start - begin : wanted.stop - begin] == data[wanted.start : wanted.stop]


@pytest.mark.parametrize("key", [b"k", b"k" * 31, b"k" * 33, bytes(32)])
async def test_a_key_that_is_none_is_refused(sqlite_world: World, key: bytes) -> None:
    world, caller = sqlite_world, sqlite_world.member()
    document_id = await world.upload(caller, pdf_of(1000))
    with pytest.raises(ZegelError) as caught:
        await world.downloads.open(caller, document_id, 0, 0, 0, client_public_key=key)
    assert (caught.value.reason, caught.value.metadata["field"]) == ("INVALID_FIELD", "client_public_key")


async def test_nothing_is_decrypted_to_serve_it(sqlite_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world, caller, data = sqlite_world, sqlite_world.member(), pdf_of(3 * MIB)
    document_id = await world.upload(caller, data)

    def decrypt(*_: Any) -> bytes:
        raise AssertionError("a segment was decrypted")

    with monkeypatch.context() as patch:
        patch.setattr(SegmentCipher, "decrypt", decrypt)
        _, stream = await fetched(world, caller, document_id)
    assert len(stream) > len(data)
