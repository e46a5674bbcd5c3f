"""What a partner and its signers do in a whole flow, through the SDK alone."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

import google_crc32c
import grpc
import pytest

import zegel
from support.pdfs import raw_pdf, stream
from support.sealed import make_pdf
from support.server import ServerProcess
from zegel._internal.contract import rpc_of
from zegel.audit.v1.audit_service_pb2 import GetTransactionResponse
from zegel.document.v1.document_service_pb2 import (
    Chunk,
    Document,
    FinishUpload,
    UploadDocumentRequest,
    UploadDocumentResponse,
)
from zegel.errors import from_call
from zegel.evidence.verification import Report, verify_pdf
from zegel.signing.v1.ceremony_service_pb2 import Ceremony
from zegel.signing.v1.signature_request_pb2 import (
    Field,
    FieldType,
    FieldValue,
    Mark,
    RequestedDocument,
    SignatureRequest,
    SignatureRequestState,
    Signer,
)

DOWNLOADABLE = SignatureRequestState.SIGNATURE_REQUEST_STATE_DOWNLOADABLE
ALL_SIGNED = SignatureRequestState.SIGNATURE_REQUEST_STATE_ALL_SIGNED
AWAITING = SignatureRequestState.SIGNATURE_REQUEST_STATE_AWAITING_SIGNATURES

SEAL_SECONDS = 60.0
"""Maximum seconds for sealing, including the lease of a killed worker."""

PEOPLE = (("Sanne de Vries", "sanne@example.com"), ("Robin Jansen", "robin@example.com"))

_T = TypeVar("_T")


def until(ask: Callable[[], _T | None], what: str, seconds: float = SEAL_SECONDS) -> _T:
    """Polls until there is a result."""
    deadline = time.monotonic() + seconds
    while (found := ask()) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.05)
    return found


def place(own_name: str, kind: str = "SIGNATURE", **changes: Any) -> Field:
    """A field; ``kind`` as the contract's enum has it, without the prefix."""
    whole: dict[str, Any] = {"page": 1, "x": 40.0, "y": 40.0, "width": 160.0, "height": 40.0, **changes}
    return Field(api_id=own_name, type=FieldType.Value(f"FIELD_TYPE_{kind}"), **whole)


def usual_fields(signers: int = 2, **changes: Any) -> list[Field]:
    """A signature and a date for each signer."""
    fields = []
    for index in range(signers):
        x = 40.0 + 220.0 * (index % 2)
        y = 120.0 + 90.0 * (index // 2)
        fields.append(place(f"signature-{index}", x=x, y=y, signer_index=index, **changes))
        fields.append(place(f"date-{index}", "DATE_SIGNED", x=x, y=y + 50, height=18.0, signer_index=index, **changes))
    return fields


def usual_signers(count: int = 2, *, in_order: bool = True) -> list[Signer]:
    people = [
        PEOPLE[index] if index < len(PEOPLE) else (f"P {index}", f"p{index}@example.com") for index in range(count)
    ]
    return [
        Signer(name=name, email=email, order=index if in_order else 0) for index, (name, email) in enumerate(people)
    ]


def typed(own_name: str, name: str) -> FieldValue:
    return FieldValue(api_id=own_name, mark=Mark(typed=name))


@dataclass(frozen=True)
class Finished:
    """The results of a flow."""

    request: SignatureRequest
    sealed: bytes
    transaction: GetTransactionResponse
    log_key: str
    report: Report


@dataclass(frozen=True)
class Office:
    """A tenant of a server, with its owner and a member who sends."""

    server: ServerProcess
    root: zegel.Client
    tenant_id: str
    owner: zegel.Client
    sender: zegel.Client
    sender_id: str
    team_id: str = ""

    def upload(self, data: bytes | None = None, title: str = "Lease") -> Document:
        data = data or make_pdf(f"{title} {secrets.token_hex(4)}")
        return self.sender.documents.upload(data, title=title, team_id=self.team_id)

    def send(self, *documents: Document, **changes: Any) -> SignatureRequest:
        """A request for two signers in order, over documents of which the first one has the fields."""
        asked: dict[str, Any] = {
            "title": "Lease of flat 4",
            "documents": [RequestedDocument(document_id=each.document_id) for each in documents or (self.upload(),)],
            "signers": usual_signers(),
            "team_id": self.team_id,
            **changes,
        }
        asked.setdefault("fields", usual_fields(len(asked["signers"])))
        return self.sender.signing.create_signature_request(**asked).signature_request

    def signer(self, request: SignatureRequest, index: int, **more: Any) -> zegel.Client:
        """A client in the session of one of a request's signers."""
        opened = self.sender.signing.create_signer_session(
            signature_request_id=request.signature_request_id,
            signature_id=request.signatures[index].signature_id,
            **more,
        )
        return self.root.with_token(opened.token)

    def by_way_of(self, target: str) -> zegel.Client:
        """The sender, by another address of the server; close it."""
        token = self.sender._call.token
        return zegel.Client(target, token=token, root_certificates=self.server.authority)

    def get(self, request: SignatureRequest) -> SignatureRequest:
        asked = self.sender.signing.get_signature_request(signature_request_id=request.signature_request_id)
        return asked.signature_request

    def events(self, request: SignatureRequest) -> list[str]:
        """The trail's events that are in the log so far."""
        return event_names(self.owner.audit.get_transaction(audit_id=request.audit_id))

    def sealed(self, request: SignatureRequest) -> SignatureRequest:
        """The request, once its sealed document exists."""

        def ask() -> SignatureRequest | None:
            now = self.get(request)
            assert now.state in {ALL_SIGNED, DOWNLOADABLE}, now.state
            return now if now.state == DOWNLOADABLE else None

        return until(ask, "the sealed document")

    def finish(self, request: SignatureRequest) -> Finished:
        """Waits for the sealed document and its proof, downloads both, and verifies them as anyone can."""
        request = self.sealed(request)

        def ask() -> GetTransactionResponse | None:
            found = self.owner.audit.get_transaction(audit_id=request.audit_id)
            return found if found.sealed_proof else None

        transaction = until(ask, "the proof of the sealed file")
        sealed = self.sender.documents.download(request.sealed_document_id)
        log_key = self.owner.audit.get_checkpoint().verifier_key
        report = verify_pdf(sealed, [log_key], [self.server.authority], transaction.sealed_proof)
        return Finished(request, sealed, transaction, log_key, report)


def event_names(transaction: GetTransactionResponse) -> list[str]:
    from zegel.event.v1.event_type_pb2 import EventType  # noqa: PLC0415 - the name is used as a type elsewhere

    names = [EventType.Name(each.type) for each in transaction.events]
    return [name.removeprefix("EVENT_TYPE_").removeprefix("SIGNATURE_REQUEST_") for name in names]


def ready(signer: zegel.Client, values: Sequence[FieldValue]) -> Ceremony:
    """Opens, reads what is to be signed, consents and fills in."""
    ceremony = signer.ceremony.open_ceremony().ceremony
    shown = ceremony.rendition
    data = signer.documents.download(shown.document_id, version=shown.version)
    assert hashlib.sha256(data).digest() == shown.sha256
    signer.ceremony.accept_disclosure()
    return signer.ceremony.fill_fields(values=values).ceremony


def sign(signer: zegel.Client, index: int, *more: FieldValue) -> Ceremony:
    """What a signer does from opening to signing."""
    ready(signer, [typed(f"signature-{index}", PEOPLE[index % len(PEOPLE)][0]), *more])
    return signer.ceremony.sign_documents().ceremony


@contextmanager
def open_office(server: ServerProcess, name: str = "Lettings & Co") -> Iterator[Office]:
    """A new tenant on a server."""
    with server.client(server.operator_token) as root:
        created = root.identity.create_tenant(name=name)
        owner = root.with_token(created.api_key_token)
        member = owner.identity.create_member(name="Noor Bakker", email="noor@example.com", roles=["member"]).member
        sender = root.with_token(owner.identity.create_session(member_id=member.member_id).token)
        yield Office(server, root, created.tenant.tenant_id, owner, sender, member.member_id)


@contextmanager
def refused(code: str, reason: str, **metadata: str) -> Iterator[None]:
    """The calls within are refused with exactly this status, reason and these facts."""
    with pytest.raises(zegel.ZegelError) as caught:
        yield
    error = caught.value
    told = (error.code.name, error.reason, {name: error.metadata.get(name) for name in metadata})
    assert told == (code, reason, metadata), error.message


class Uploading:
    """`UploadDocument` message by message, to send what other clients might and the SDK never does.

    Args:
        office: Whose sender it is.
    """

    def __init__(self, office: Office) -> None:
        port: Any = office.sender.documents._port  # the same connection, under the same token
        self._method = port.link.method(rpc_of(UploadDocumentRequest))
        self._arguments = port.call.arguments(stream=True)

    def __call__(self, *messages: UploadDocumentRequest) -> UploadDocumentResponse:
        """Sends messages and ends the stream.

        Raises:
            zegel.ZegelError: The server refused it.
        """
        try:
            answer: UploadDocumentResponse = self._method(iter(messages), **self._arguments)
        except grpc.RpcError as error:
            raise from_call(error) from error
        return answer

    def cut(self, messages: Iterable[UploadDocumentRequest], moment: Callable[[], object]) -> None:
        """Sends messages, waits for a moment, and cancels the stream without its end."""

        def following() -> Iterator[UploadDocumentRequest]:
            yield from messages
            held.wait()

        held = threading.Event()
        pending = self._method.future(following(), **self._arguments)
        try:
            moment()
        finally:
            pending.cancel()
            held.set()


def chunk(data: bytes, offset: int = 0, crc32c: int | None = None) -> Chunk:
    return Chunk(offset=offset, data=data, crc32c=google_crc32c.value(data) if crc32c is None else crc32c)


def end_of(data: bytes, **changes: Any) -> FinishUpload:
    return FinishUpload(**{"size": len(data), "sha256": hashlib.sha256(data).digest(), **changes})


def chunks(data: bytes, start: int = 0, size: int = 256 * 1024) -> Iterator[UploadDocumentRequest]:
    """Messages with the bytes from an offset on."""
    for offset in range(start, len(data), size):
        yield UploadDocumentRequest(chunk=chunk(data[offset : offset + size], offset))


def big_pdf(size: int) -> bytes:
    """Returns a PDF of at least that many bytes, which do not compress."""
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
            stream(Random(7).randbytes(size)),  # noqa: S311 - repeatable, not secret
        ]
    )
