"""Encodes and decodes chunks on the wire, without most of the copies that protobuf makes.

Invariants:

* The encoded bytes are exactly those that protobuf writes.
* Only messages in exactly that form are decoded here; protobuf decodes all others.
"""

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import Message

from zegel.document.v1 import document_service_pb2 as pb
from zegel_server.documents.model import Chunk, Finish, Received, UploadSpec

_VARINT: Final = 0
_FIXED32: Final = 5
_LENGTH: Final = 2


def _tag(message: type[Message], field: str, kind: int) -> int:
    """A field's first byte on the wire; all of these have numbers below 16."""
    return message.DESCRIPTOR.fields_by_name[field].number << 3 | kind


_OFFSET: Final = _tag(pb.Chunk, "offset", _VARINT)
_DATA: Final = _tag(pb.Chunk, "data", _LENGTH)
_CRC32C: Final = _tag(pb.Chunk, "crc32c", _FIXED32)
_SENT: Final = _tag(pb.DownloadDocumentResponse, "chunk", _LENGTH)
_TAKEN: Final = _tag(pb.UploadDocumentRequest, "chunk", _LENGTH)

_CRC_SIZE: Final = 5
"""Bytes of the checksum's field, including its tag."""
_MORE: Final = 0x80
"""Bit in a varint's byte that says that another byte follows."""
_MOST_VARINT: Final = 9
"""Bytes of a varint below 2**63: a longer one is negative or not canonical."""


def download_bytes(answer: pb.DownloadDocumentResponse | Chunk) -> bytes:
    """Serialises a message of a download.

    Args:
        answer: The message; a chunk stands for the message that contains it.
    """
    if not isinstance(answer, Chunk):
        return answer.SerializeToString()
    head = bytearray()
    if answer.offset:
        head.append(_OFFSET)
        head += _varint(answer.offset)
    size = len(answer.data)
    if size:
        head.append(_DATA)
        head += _varint(size)
    tail = bytes([_CRC32C]) + answer.crc32c.to_bytes(4, "little") if answer.crc32c else b""
    return b"".join([bytes([_SENT]) + _varint(len(head) + size + len(tail)), head, answer.data, tail])


def upload_message(data: bytes) -> Received:
    """Parses a message of an upload.

    Args:
        data: Its bytes.

    Raises:
        DecodeError: They are not a message.
    """
    chunk = _canonical_chunk(data)
    if chunk is not None:
        return Received(chunk=chunk)
    message = pb.UploadDocumentRequest.FromString(data)
    target = message.WhichOneof("target")
    found = message.chunk if message.HasField("chunk") else None
    return Received(
        upload_id=message.upload_id if target == "upload_id" else None,
        spec=spec_of(message.spec) if target == "spec" else None,
        chunk=None if found is None else Chunk(found.offset, found.data, found.crc32c),
        finish=Finish(message.finish.size, message.finish.sha256) if message.HasField("finish") else None,
        wrapped_dek=message.wrapped_dek,
    )


def spec_of(message: pb.UploadSpec) -> UploadSpec:
    """What an upload is to become.

    Args:
        message: The caller's message.
    """
    return UploadSpec(
        message.title,
        message.document_id,
        message.size,
        message.sha256,
        message.media_type,
        message.client_encrypted,
        message.team_id,
    )


def _canonical_chunk(data: bytes) -> Chunk | None:
    """The chunk of a message that has only a chunk, encoded as protobuf does; otherwise ``None``."""
    if len(data) < _CRC_SIZE or data[0] != _TAKEN:
        return None
    size, at = _read_varint(data, 1)
    if size != len(data) - at:
        return None
    offset = 0
    if data[at : at + 1] == bytes([_OFFSET]):
        offset, at = _read_varint(data, at + 1)
    if data[at : at + 1] != bytes([_DATA]):
        return None
    size, at = _read_varint(data, at + 1)
    end = at + size
    if size < 1 or end != len(data) - _CRC_SIZE or data[end] != _CRC32C or offset < 0:
        return None
    return Chunk(offset, data[at:end], int.from_bytes(data[end + 1 :], "little"))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= _MORE:
        out.append(value % _MORE | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: Sequence[int], at: int) -> tuple[int, int]:
    """A varint and where it ends; -1 if there is none below 2**63."""
    value = 0
    for index, byte in enumerate(data[at : at + _MOST_VARINT]):
        value |= byte % _MORE << 7 * index
        if byte < _MORE:
            return value, at + index + 1
    return -1, at
