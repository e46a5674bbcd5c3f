"""``DocumentService``: only converts between messages and the model."""

from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any, Final

from zegel.document.v1 import document_service_pb2 as pb
from zegel.document.v1.document_service_pb2_grpc import DocumentServiceServicer
from zegel_server.caller import current_caller, keep_checking
from zegel_server.clock import to_timestamp
from zegel_server.documents import model, wire
from zegel_server.documents.downloads import Downloads
from zegel_server.documents.findings import findings_from_text
from zegel_server.documents.service import Documents
from zegel_server.documents.uploads import Uploads
from zegel_server.documents.wire import spec_of
from zegel_server.edge import paging, validation
from zegel_server.edge.endpoints import Codec
from zegel_server.edge.idempotency import Answers
from zegel_server.errors import InvalidArgument

Context = Any
"""gRPC's generated classes have one; nothing is handed in."""

CODECS: Final = {
    "UploadDocument": Codec(parse=wire.upload_message),
    "DownloadDocument": Codec(serialise=wire.download_bytes),
}
"""The methods that carry chunks are parsed and serialised by ``wire``."""

DOCUMENT_FIELDS: Final = frozenset(pb.Document.DESCRIPTOR.fields_by_name)
"""Every field of a document."""
DOCUMENT_SUMMARY: Final = DOCUMENT_FIELDS - {"versions"}
"""Those that a list shows by default."""

_STATES: Final = {state.value: pb.DocumentState.Value(f"DOCUMENT_STATE_{state.value}") for state in model.DocumentState}
_CONTENTS: Final = {pb.DocumentContent.Value(f"DOCUMENT_CONTENT_{each}"): each for each in model.Content}
_KINDS: Final[dict[str, pb.FoundSignatureKind.ValueType]] = {
    "approval": pb.FOUND_SIGNATURE_KIND_APPROVAL,
    "certification": pb.FOUND_SIGNATURE_KIND_CERTIFICATION,
    "timestamp": pb.FOUND_SIGNATURE_KIND_TIMESTAMP,
}
_CACHED_PAGES: Final = 512
"""Page lists cached as messages: building one of 2,000 pages takes longer than the rest of an answer."""


class DocumentServicer(DocumentServiceServicer):
    """Serves documents.

    Args:
        answers: Earlier answers.
        documents: What is known of documents.
        uploads: Uploads.
        downloads: Downloads.
    """

    def __init__(self, answers: Answers, documents: Documents, uploads: Uploads, downloads: Downloads) -> None:
        self._answers = answers
        self._documents = documents
        self._uploads = uploads
        self._downloads = downloads

    async def StartUpload(self, request: pb.StartUploadRequest, context: Context) -> pb.StartUploadResponse:
        """See the contract."""
        caller = current_caller()
        return await self._answers.once(
            caller,
            request,
            pb.StartUploadResponse,
            lambda keep: self._uploads.start(caller, spec_of(request.spec), keep),
            lambda upload: pb.StartUploadResponse(upload=upload_message(upload)),
        )

    async def GetUpload(self, request: pb.GetUploadRequest, context: Context) -> pb.GetUploadResponse:
        """See the contract."""
        upload = await self._uploads.get(current_caller(), request.upload_id)
        return pb.GetUploadResponse(upload=upload_message(upload))

    async def CancelUpload(self, request: pb.CancelUploadRequest, context: Context) -> pb.CancelUploadResponse:
        """See the contract."""
        await self._uploads.cancel(current_caller(), request.upload_id)
        return pb.CancelUploadResponse()

    async def UploadDocument(  # type: ignore[override]  # see ``CODECS``
        self, request_iterator: AsyncIterator[model.Received], context: Context
    ) -> pb.UploadDocumentResponse:
        """See the contract."""
        caller = current_caller()
        outcome = await self._uploads.receive(caller, request_iterator)
        if isinstance(outcome, model.Upload):
            return pb.UploadDocumentResponse(upload=upload_message(outcome))
        document = await self._documents.changed(caller.tenant_id, outcome)
        return pb.UploadDocumentResponse(document=document_message(document))

    async def DownloadDocument(  # type: ignore[override]  # see ``CODECS``
        self, request: pb.DownloadDocumentRequest, context: Context
    ) -> AsyncIterator[pb.DownloadDocumentResponse | model.Chunk]:
        """See the contract."""
        download = await self._downloads.open(
            current_caller(),
            request.document_id,
            request.version,
            request.read_offset,
            request.read_limit,
            client_public_key=request.client_public_key,
            content=_content_of(request.content),
        )
        try:
            keep_checking(download.check)
            yield pb.DownloadDocumentResponse(
                start=pb.DownloadStart(
                    document_id=download.document_id,
                    version=_version_message(download.version),
                    offset=download.wanted.start,
                    length=len(download.wanted),
                    client_encrypted_stream=download.client_encrypted_stream
                    and pb.ClientEncryptedStream(**download.client_encrypted_stream._asdict()),
                    content=pb.DocumentContent.Value(f"DOCUMENT_CONTENT_{download.content}"),
                    size=download.size,
                    sha256=download.sha256,
                )
            )
            async for chunk in download.chunks:
                yield chunk
        finally:
            await download.close()

    async def GetDocument(self, request: pb.GetDocumentRequest, context: Context) -> pb.GetDocumentResponse:
        """See the contract."""
        document = await self._documents.get(current_caller(), request.document_id)
        return pb.GetDocumentResponse(document=document_message(document))

    async def ListDocuments(self, request: pb.ListDocumentsRequest, context: Context) -> pb.ListDocumentsResponse:
        """See the contract."""
        asked = paging.page_request(request)
        shown = validation.read_mask(request.read_mask, DOCUMENT_FIELDS, DOCUMENT_SUMMARY)
        page = await self._documents.list(
            current_caller(), asked, show_deleted=request.show_deleted, versions="versions" in shown
        )
        return pb.ListDocumentsResponse(
            documents=[document_message(each, shown) for each in page.items],
            next_page_token=paging.next_token(request, page),
        )

    async def UpdateDocument(self, request: pb.UpdateDocumentRequest, context: Context) -> pb.UpdateDocumentResponse:
        """See the contract."""
        validation.mask(request.update_mask, request.document, ("title",))
        sent = request.document
        document = await self._documents.rename(current_caller(), sent.document_id, sent.title, sent.etag)
        return pb.UpdateDocumentResponse(document=document_message(document))

    async def MoveDocument(self, request: pb.MoveDocumentRequest, context: Context) -> pb.MoveDocumentResponse:
        """See the contract."""
        document = await self._documents.move(current_caller(), request.document_id, request.owner_id, request.etag)
        return pb.MoveDocumentResponse(document=document_message(document))

    async def DeleteDocument(self, request: pb.DeleteDocumentRequest, context: Context) -> pb.DeleteDocumentResponse:
        """See the contract."""
        document = await self._documents.delete(current_caller(), request.document_id, request.etag)
        return pb.DeleteDocumentResponse(document=document_message(document))

    async def UndeleteDocument(
        self, request: pb.UndeleteDocumentRequest, context: Context
    ) -> pb.UndeleteDocumentResponse:
        """See the contract."""
        document = await self._documents.undelete(current_caller(), request.document_id, request.etag)
        return pb.UndeleteDocumentResponse(document=document_message(document))

    async def PurgeDocument(self, request: pb.PurgeDocumentRequest, context: Context) -> pb.PurgeDocumentResponse:
        """See the contract."""
        document = await self._documents.purge(current_caller(), request.document_id, request.etag)
        return pb.PurgeDocumentResponse(document=document_message(document))


def upload_message(upload: model.Upload) -> pb.Upload:
    """An upload as a message.

    Args:
        upload: The upload.
    """
    return pb.Upload(
        upload_id=upload.upload_id,
        document_id=upload.document_id,
        version=upload.version,
        persisted_size=upload.persisted_size,
        expire_time=to_timestamp(upload.expire_time),
        client_encryption=upload.client_encryption and pb.ClientEncryption(**upload.client_encryption._asdict()),
        end_time=to_timestamp(upload.end_time),
    )


def document_message(document: model.Document, shown: frozenset[str] = DOCUMENT_FIELDS) -> pb.Document:
    """A document as a message.

    Args:
        document: The document.
        shown: The fields to fill in.
    """
    message = pb.Document(
        document_id=document.document_id,
        title=document.title,
        state=_STATES[document.state],
        owner_id=document.owner_id,
        versions=map(_version_message, document.versions),
        create_time=to_timestamp(document.create_time),
        update_time=to_timestamp(document.update_time),
        delete_time=to_timestamp(document.delete_time),
        etag=document.etag,
        end_time=to_timestamp(document.end_time),
    )
    for name in DOCUMENT_FIELDS - shown:
        message.ClearField(name)  # type: ignore[arg-type] # each of them is one of its fields
    return message


def _content_of(content: pb.DocumentContent.ValueType) -> model.Content | None:
    """The content asked for; ``None`` if unspecified."""
    if content == pb.DOCUMENT_CONTENT_UNSPECIFIED:
        return None
    if content not in _CONTENTS:
        raise InvalidArgument("content", "must be one of the contents")
    return _CONTENTS[content]


@lru_cache(maxsize=_CACHED_PAGES)
def _version_message(version: model.Version) -> pb.DocumentVersion:
    """Depends only on the row's text, so that a cached result can never be stale."""
    return pb.DocumentVersion(
        version=version.number,
        size=version.size,
        sha256=version.sha256,
        media_type=version.media_type,
        pages=_page_messages(version.pages_text),
        create_time=to_timestamp(version.create_time),
        rendition=None
        if version.rendition_size is None
        else pb.DocumentRendition(size=version.rendition_size, sha256=version.rendition_sha256 or b""),
        findings=None if version.findings_text is None else _findings_message(version.findings_text),
    )


def _findings_message(text: str) -> pb.DocumentFindings:
    found = findings_from_text(text)
    return pb.DocumentFindings(
        pdf_version=found.pdf_version,
        was_encrypted=found.was_encrypted,
        has_form=found.has_form,
        has_scripts=found.has_scripts,
        has_hidden_content=found.has_hidden_content,
        attachment_count=found.attachment_count,
        signatures=[
            pb.FoundSignature(kind=_KINDS[each.kind], intact=each.intact, covers_whole_file=each.covers_whole_file)
            for each in found.signatures
        ],
        fonts_substituted=found.fonts_substituted,
        fonts_missing=found.fonts_missing,
        is_tagged=found.is_tagged,
        has_outline=found.has_outline,
        link_count=found.link_count,
        has_page_labels=found.has_page_labels,
        language=found.language,
        differences=[pb.PageDifference(page=each.page, share=each.share) for each in found.differences],
    )


@lru_cache(maxsize=_CACHED_PAGES)
def _page_messages(text: str) -> tuple[pb.Page, ...]:
    return tuple(pb.Page(width=page.width, height=page.height) for page in model.pages_from_text(text))
