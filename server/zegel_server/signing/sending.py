"""A new request as it will be: where its fields may lie, and its rows. No I/O."""

from collections.abc import Sequence
from typing import Any

from zegel_server import clock
from zegel_server.caller import Caller
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys, Subject
from zegel_server.signing.drafts import NewRequest
from zegel_server.signing.fields import PageSize, check_place
from zegel_server.signing.model import Progress
from zegel_server.signing.ports import DescribedVersion
from zegel_server.signing.reading import profile_place
from zegel_server.signing.snapshot import Person, PinnedDocument, Snapshot


def check_places(new: NewRequest, described: Sequence[DescribedVersion]) -> None:
    """Checks the fields' places on the renditions' pages.

    Args:
        new: The request as it is asked for.
        described: Its documents, in order.

    Raises:
        InvalidArgument: A field lies on no page, or not within it.
    """
    pages = [[PageSize(page.width, page.height) for page in document.pages] for document in described]
    for index, field in enumerate(new.fields):
        check_place(field, f"fields[{index}]", pages[field.document_index])


def compose(
    caller: Caller,
    new: NewRequest,
    *,
    described: Sequence[DescribedVersion],
    subjects: Sequence[Subject],
    tenant_name: str,
) -> Snapshot:
    """The request to be.

    Args:
        caller: Who sends it.
        new: What is asked for.
        described: Its documents, in order.
        subjects: Its signers as subjects, in order.
        tenant_name: The tenant's name.
    """
    identifiers = [new_id("sig") for _ in new.signers]
    signers = zip(identifiers, new.signers, subjects, strict=True)
    return Snapshot(
        signature_request_id=new_id("req"),
        tenant_id=caller.tenant_id,
        tenant_name=tenant_name,
        owner_id=new.team_id or caller.principal_id,
        audit_id=new_id("aud"),
        title=new.title,
        message=new.message,
        create_time=clock.now(),
        documents=tuple(
            PinnedDocument(each.document_id, each.version, each.title, each.sha256, len(each.pages), each.size)
            for each in described
        ),
        fields=new.fields,
        people={key: Person(subject.subject_id, signer.name, signer.email) for key, signer, subject in signers},
        progress=Progress.sent(
            [(key, signer.order) for key, signer in zip(identifiers, new.signers, strict=True)], new.expire_time
        ),
    )


def request_row(sent: Snapshot, fields: str) -> dict[str, Any]:
    """The request's row.

    Args:
        sent: The request to be.
        fields: Its fields as they are stored.
    """
    return {
        "signature_request_id": sent.signature_request_id,
        "tenant_id": sent.tenant_id,
        "owner_id": sent.owner_id,
        "audit_id": sent.audit_id,
        "title": sent.title,
        "message": sent.message,
        "state": str(sent.progress.state),
        "fields": fields,
        "expire_time": sent.progress.expire_time,
        "create_time": sent.create_time,
        "all_signed_time": None,
        "seal_time": None,
        "sealed_document_id": "",
        "revision": sent.revision,
        "rendition_document_id": sent.rendition.document_id if sent.rendition else "",
        "rendition_version": sent.rendition.version if sent.rendition else 0,
        "rendition_sha256": sent.rendition.sha256 if sent.rendition else None,
        "rendition_size": sent.rendition.size if sent.rendition else 0,
        "rendition_pages": sent.rendition.page_count if sent.rendition else 0,
    }


def document_rows(sent: Snapshot) -> list[dict[str, Any]]:
    """The rows of its documents.

    Args:
        sent: The request to be.
    """
    return [
        {
            "signature_request_id": sent.signature_request_id,
            "position": position,
            "document_id": each.document_id,
            "version": each.version,
            "title": each.title,
            "sha256": each.sha256,
            "page_count": each.page_count,
            "size": each.size,
        }
        for position, each in enumerate(sent.documents)
    ]


def signature_rows(keys: Keys, sent: Snapshot, new: NewRequest, subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """The rows of its signatures, with names and addresses encrypted.

    Args:
        keys: Encrypts.
        sent: The request to be.
        new: What was asked for.
        subjects: Its signers as subjects, in order.
    """
    return [
        {
            "signature_id": signature.signature_id,
            "signature_request_id": sent.signature_request_id,
            "tenant_id": sent.tenant_id,
            "position": position,
            "signing_order": signature.order,
            "subject_id": subject.subject_id,
            "profile": keys.encrypt_personal(
                subject.key, {"name": signer.name, "email": signer.email}, profile_place(signature.signature_id)
            ),
            "field_values": None,
            "text_length": 0,
            "status": str(signature.status),
            "view_time": None,
            "disclosure_time": None,
            "sign_time": None,
            "decline_time": None,
        }
        for position, (signature, signer, subject) in enumerate(
            zip(sent.progress.signatures, new.signers, subjects, strict=True)
        )
    ]
