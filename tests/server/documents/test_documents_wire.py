"""Chunks on the wire: the same bytes as protobuf's, and nothing read that protobuf reads otherwise."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from zegel.document.v1 import document_service_pb2 as pb
from zegel_server.documents import wire
from zegel_server.documents.model import Chunk, Finish, Received, UploadSpec

offsets = st.integers(0, 2**63 - 1) | st.sampled_from([0, 127, 128, 16_383, 16_384, 2**32])
sums = st.integers(0, 2**32 - 1)
payloads = st.binary(max_size=300) | st.sampled_from([b"x" * 16_383, b"x" * 16_384, b"\x1a" * 70_000])


@given(offset=offsets, data=payloads, crc32c=sums)
def test_a_chunk_down_is_written_as_protobuf_writes_it(offset: int, data: bytes, crc32c: int) -> None:
    message = pb.DownloadDocumentResponse(chunk=pb.Chunk(offset=offset, data=data, crc32c=crc32c))
    assert wire.download_bytes(Chunk(offset, data, crc32c)) == message.SerializeToString()


def test_other_messages_down_are_protobuf_s() -> None:
    message = pb.DownloadDocumentResponse(start=pb.DownloadStart(document_id="doc_1", length=5))
    assert wire.download_bytes(message) == message.SerializeToString()


@given(offset=offsets, data=payloads, crc32c=sums)
def test_a_chunk_up_is_read(offset: int, data: bytes, crc32c: int) -> None:
    message = pb.UploadDocumentRequest(chunk=pb.Chunk(offset=offset, data=data, crc32c=crc32c))
    assert wire.upload_message(message.SerializeToString()) == Received(chunk=Chunk(offset, data, crc32c))


def as_protobuf_reads(data: bytes) -> Received:
    message = pb.UploadDocumentRequest.FromString(data)
    target = message.WhichOneof("target")
    spec = message.spec
    return Received(
        message.upload_id if target == "upload_id" else None,
        UploadSpec(spec.title, spec.document_id, spec.size, spec.sha256, spec.media_type, spec.client_encrypted)
        if target == "spec"
        else None,
        Chunk(message.chunk.offset, message.chunk.data, message.chunk.crc32c) if message.HasField("chunk") else None,
        Finish(message.finish.size, message.finish.sha256) if message.HasField("finish") else None,
        message.wrapped_dek,
    )


def outcome_of(data: bytes, read: object) -> object:
    try:
        return read(data)  # type: ignore[operator]
    except DecodeError:
        return "no message"


CANONICAL = pb.UploadDocumentRequest(chunk=pb.Chunk(offset=300, data=b"\x12" * 40, crc32c=7)).SerializeToString()


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A chunk's bytes, changed, cut, repeated, or with others behind."""
    data = bytearray(CANONICAL)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["set", "cut", "insert", "append"])):
            case "set" if place < len(data):
                data[place] = draw(st.integers(0, 255))
            case "cut":
                del data[place : place + draw(st.integers(1, 8))]
            case "insert":
                data[place:place] = draw(st.binary(max_size=6))
            case _:
                data += draw(st.sampled_from([CANONICAL, b"\x0a\x01u", b"\x22\x02\x08\x05", b"\x1d\0\0\0\0"]))
    return bytes(data)


@given(mutations() | st.binary(max_size=64))
@example(b"")
@example(b"\x1a")
@example(b"\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")
@example(CANONICAL + CANONICAL)
@example(b"\x1a\x06\x12\x01a\x12\x01b")  # of a repeated field the last one counts
@example(b"\x1a\x0f\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x00\x1d\0")  # an offset below 0
def test_whatever_comes_is_read_as_protobuf_reads_it(data: bytes) -> None:
    assert outcome_of(data, wire.upload_message) == outcome_of(data, as_protobuf_reads)


@pytest.mark.parametrize(
    "message",
    [
        pb.UploadDocumentRequest(upload_id="upl_1"),
        pb.UploadDocumentRequest(upload_id="upl_1", chunk=pb.Chunk(data=b"a", crc32c=1)),
        pb.UploadDocumentRequest(spec=pb.UploadSpec(title="t", size=3, sha256=b"s")),
        pb.UploadDocumentRequest(finish=pb.FinishUpload(size=3, sha256=b"s")),
        pb.UploadDocumentRequest(chunk=pb.Chunk()),
        pb.UploadDocumentRequest(upload_id="upl_1", wrapped_dek=b"k" * 80),
        pb.UploadDocumentRequest(spec=pb.UploadSpec(title="t", client_encrypted=True)),
        pb.UploadDocumentRequest(),
    ],
)
def test_messages_with_more_than_a_chunk_are_read(message: pb.UploadDocumentRequest) -> None:
    data = message.SerializeToString()
    assert wire.upload_message(data) == as_protobuf_reads(data)
