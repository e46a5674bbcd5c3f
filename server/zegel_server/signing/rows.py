"""A signature request as the rows of its tables, and rows as a signature request.

Invariants:

* Names and mail addresses leave this module encrypted under each signer's own key, bound to their signature, and what
  else the sender typed under the tenant's key, bound to the request.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zegel_server.crypto import TextKey
from zegel_server.db import Row
from zegel_server.keys.service import Keys, Subject
from zegel_server.keys.texts import TextKeys, encrypt_texts
from zegel_server.signing.fields import Field
from zegel_server.signing.model import Progress, RequestState, Signature, SignatureStatus
from zegel_server.signing.request import Person, PinnedDocument, PinnedRendition, Sealing, SignatureRequest
from zegel_server.signing.values import Value, Values


def profile_context(signature_id: str) -> str:
    """What a signer's encrypted profile is bound to.

    Args:
        signature_id: The signer's signature.
    """
    return f"signature/{signature_id}/profile"


def values_context(signature_id: str) -> str:
    """What a signer's encrypted values are bound to.

    Args:
        signature_id: The signer's signature.
    """
    return f"signature/{signature_id}/values"


# ----------------------------------------------------------------------------------------------------------- from rows


def request_from_rows(
    row: Row,
    signatures: Sequence[Row],
    documents: Sequence[Row],
    people: Mapping[str, Person],
    sealing: Row | None,
    *,
    keys: TextKeys | None,
) -> SignatureRequest:
    """A request from its rows.

    Args:
        row: Its own, with the tenant's name.
        signatures: Those of its signatures, in order.
        documents: Those of its documents, in order.
        people: Its signers, by signature; empty where they were not decrypted.
        sealing: The job to seal it, if there is one.
        keys: Open its title, message, fields and its documents' titles; all of them are empty if left out.

    Raises:
        DataLoss: What is stored is damaged.
    """
    request_id = row.signature_request_id
    texts: dict[str, str] = {}
    fields: tuple[Field, ...] = ()
    if keys is not None:
        texts = keys.read(row, "signature_request", request_id)
        fields = tuple(map(Field.from_json, keys.read(row, "signature_request", request_id, column="fields")))
    return SignatureRequest(
        signature_request_id=row.signature_request_id,
        tenant_id=row.tenant_id,
        tenant_name=getattr(row, "tenant_name", ""),  # a list reads none
        owner_id=row.owner_id,
        audit_id=row.audit_id,
        title=texts.get("title", ""),
        message=texts.get("message", ""),
        create_time=row.create_time,
        documents=tuple(
            PinnedDocument(
                each.document_id,
                each.version,
                "" if keys is None else keys.title(each, "requested_document", request_id, each.position),
                each.sha256,
                each.page_count,
                each.size,
            )
            for each in documents
        ),
        fields=fields,
        people=people,
        progress=progress_from_rows(row, signatures),
        sealed_document_id=row.sealed_document_id,
        revision=row.revision,
        sealing=None
        if sealing is None
        else Sealing(sealing.attempts, sealing.last_reason, sealing.due_time, bool(sealing.blocked)),
        rendition=_rendition(row),
        time_zone=row.time_zone,
        time_zones={each.signature_id: each.time_zone for each in signatures},
    )


def progress_from_rows(row: Row, signatures: Iterable[Row]) -> Progress:
    """How far a request has come, from its rows.

    Args:
        row: The request's.
        signatures: Those of its signatures, in order.
    """
    return Progress(
        signatures=tuple(
            Signature(
                signature_id=each.signature_id,
                order=each.signing_order,
                status=SignatureStatus(each.status),
                view_time=each.view_time,
                disclosure_time=each.disclosure_time,
                sign_time=each.sign_time,
                decline_time=each.decline_time,
                disclosure_version=each.disclosure_version,
            )
            for each in signatures
        ),
        state=RequestState(row.state),
        expire_time=row.expire_time,
        all_signed_time=row.all_signed_time,
        seal_time=row.seal_time,
        signers_keep_access=bool(row.signers_keep_access),
        end_time=row.end_time,
    )


def decrypt_person(keys: Keys, subject_key: bytes | None, row: Row) -> Person:
    """The signer of a signature as a person; all empty where the person is forgotten.

    Args:
        keys: Decrypts.
        subject_key: The signer's key; ``None`` once it is destroyed.
        row: The signature's row.

    Raises:
        DataLoss: What is stored is damaged.
    """
    profile = keys.decrypt_personal(subject_key, row.profile, profile_context(row.signature_id))
    return Person(row.subject_id, **profile)


def decrypt_values(keys: Keys, subject_key: bytes, signature_id: str, stored: bytes | None) -> dict[str, Value]:
    """What a signer has filled in.

    Args:
        keys: Decrypts.
        subject_key: The signer's key.
        signature_id: The signer's signature.
        stored: The values as stored; ``None`` where nothing is filled in yet.

    Raises:
        DataLoss: What is stored is damaged.
    """
    if stored is None:
        return {}
    data = keys.decrypt_personal(subject_key, stored, values_context(signature_id))
    return {api_id: Value.from_json(value) for api_id, value in data.items()}


def _rendition(row: Row) -> PinnedRendition | None:
    if not row.rendition_document_id:
        return None
    return PinnedRendition(
        row.rendition_document_id,
        row.rendition_version,
        row.rendition_sha256,
        row.rendition_size,
        row.rendition_pages,
    )


# ------------------------------------------------------------------------------------------------------------- to rows


def request_row(request: SignatureRequest, key: TextKey) -> dict[str, Any]:
    """The row of a new request.

    Args:
        request: The request.
        key: Encrypts what the sender typed.
    """
    rendition, request_id = request.rendition, request.signature_request_id
    texts = {"title": request.title, "message": request.message}
    fields = [each.to_json() for each in request.fields]
    return {
        "signature_request_id": request.signature_request_id,
        "tenant_id": request.tenant_id,
        "owner_id": request.owner_id,
        "audit_id": request.audit_id,
        "texts": encrypt_texts(key, texts, "signature_request", request_id),
        "texts_key_version": key.key_version,
        "state": str(request.progress.state),
        "fields": encrypt_texts(key, fields, "signature_request", request_id, column="fields"),
        "expire_time": request.progress.expire_time,
        "create_time": request.create_time,
        "all_signed_time": None,
        "seal_time": None,
        "sealed_document_id": "",
        "revision": request.revision,
        "rendition_document_id": rendition.document_id if rendition else "",
        "rendition_version": rendition.version if rendition else 0,
        "rendition_sha256": rendition.sha256 if rendition else None,
        "rendition_size": rendition.size if rendition else 0,
        "rendition_pages": rendition.page_count if rendition else 0,
        "signers_keep_access": 0,
        "end_time": None,
        "time_zone": request.time_zone,
    }


def document_rows(request: SignatureRequest, key: TextKey) -> list[dict[str, Any]]:
    """The rows of a new request's documents.

    Args:
        request: The request.
        key: Encrypts their titles.
    """
    request_id = request.signature_request_id
    return [
        {
            "signature_request_id": request_id,
            "position": position,
            "tenant_id": request.tenant_id,
            "document_id": each.document_id,
            "version": each.version,
            "texts": encrypt_texts(key, {"title": each.title}, "requested_document", request_id, position),
            "texts_key_version": key.key_version,
            "sha256": each.sha256,
            "page_count": each.page_count,
            "size": each.size,
        }
        for position, each in enumerate(request.documents)
    ]


def signature_rows(keys: Keys, request: SignatureRequest, subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """The rows of a new request's signatures, with names and addresses encrypted.

    Args:
        keys: Encrypts.
        request: The request.
        subjects: Its signers as subjects, in order.
    """
    return [
        {
            "signature_id": signature.signature_id,
            "signature_request_id": request.signature_request_id,
            "tenant_id": request.tenant_id,
            "position": position,
            "signing_order": signature.order,
            "subject_id": subject.subject_id,
            "profile": encrypt_person(
                keys, subject.key, signature.signature_id, request.people[signature.signature_id]
            ),
            "field_values": None,
            "text_length": 0,
            "status": str(signature.status),
            "view_time": None,
            "disclosure_time": None,
            "sign_time": None,
            "decline_time": None,
            "disclosure_version": 0,
            "time_zone": request.time_zones[signature.signature_id],
        }
        for position, (signature, subject) in enumerate(zip(request.progress.signatures, subjects, strict=True))
    ]


def encrypt_person(keys: Keys, subject_key: bytes, signature_id: str, person: Person) -> bytes:
    """A signer's profile as it is stored.

    Args:
        keys: Encrypts.
        subject_key: The signer's key.
        signature_id: The signer's signature.
        person: The signer.
    """
    profile = {"name": person.name, "email": person.email}
    if person.decline_reason:
        profile["decline_reason"] = person.decline_reason
    return keys.encrypt_personal(subject_key, profile, profile_context(signature_id))


def encrypt_values(keys: Keys, subject_key: bytes, signature_id: str, values: Values) -> bytes:
    """What a signer has filled in, as it is stored.

    Args:
        keys: Encrypts.
        subject_key: The signer's key.
        signature_id: The signer's signature.
        values: The values.
    """
    data = {api_id: value.to_json() for api_id, value in values.items()}
    return keys.encrypt_personal(subject_key, data, values_context(signature_id))
