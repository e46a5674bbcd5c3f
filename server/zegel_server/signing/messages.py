"""Converts signing's messages to the model and back.

Invariants:

* An answer remembered for retries holds no personal data (``bare``): names, addresses and values stay in
  their encrypted columns, and are restored from there (``restore``).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import accumulate
from typing import Any, Final

from zegel.signing.v1 import ceremony_service_pb2 as ceremony_pb
from zegel.signing.v1 import signature_request_pb2 as pb
from zegel.signing.v1 import signing_service_pb2 as signing_pb
from zegel_server import zones
from zegel_server.caller import Origin
from zegel_server.clock import to_timestamp
from zegel_server.edge import etags, validation
from zegel_server.errors import InvalidArgument
from zegel_server.identity.model import LinkState, ListedLink
from zegel_server.signing import disclosure
from zegel_server.signing.field_types import type_named
from zegel_server.signing.fields import Field
from zegel_server.signing.model import RequestState, Signature
from zegel_server.signing.new_request import DocumentChoice, NewRequest, Signer
from zegel_server.signing.request import CeremonyView, Person, PinnedDocument, Sealing, SignatureRequest
from zegel_server.signing.values import Value, Values

MAX_USER_AGENT: Final = 512
"""Characters of a signer's program, as the contract says: browsers say some 120, apps around them twice that."""

FromSigner = (
    ceremony_pb.OpenCeremonyRequest
    | ceremony_pb.AcceptDisclosureRequest
    | ceremony_pb.FillFieldsRequest
    | ceremony_pb.SignDocumentsRequest
    | ceremony_pb.DeclineSignatureRequest
)
"""What is sent for a signer, and may say where the signer is."""

_NOBODY: Final = Person("")


# ------------------------------------------------------------------------------------------------ from the contract


def new_request(request: signing_pb.CreateSignatureRequestRequest) -> NewRequest:
    """What a sender asks for.

    Args:
        request: The message.

    Raises:
        InvalidArgument: A field's type is not in the contract, or the expiry is not in the future.
    """
    return NewRequest(
        title=request.title,
        message=request.message,
        documents=tuple(DocumentChoice(each.document_id, each.version) for each in request.documents),
        signers=tuple(Signer(each.name, each.email, each.order, each.time_zone) for each in request.signers),
        fields=tuple(_field(each, f"fields[{index}]") for index, each in enumerate(request.fields)),
        expire_time=validation.expiry_if_any(request),
        team_id=request.team_id,
        time_zone=request.time_zone,
    )


def _field(message: pb.Field, path: str) -> Field:
    if message.type not in pb.FieldType.values() or message.type == pb.FIELD_TYPE_UNSPECIFIED:
        raise InvalidArgument(f"{path}.type", "must be one of the field types", reason="MISSING_FIELD")
    field_type = type_named(pb.FieldType.Name(message.type).removeprefix("FIELD_TYPE_"))
    if field_type is None:
        raise InvalidArgument(f"{path}.type", "is not a type of field that can be sent")
    return Field(
        api_id=message.api_id,
        type=field_type,
        document_index=message.document_index,
        page=message.page,
        x=message.x,
        y=message.y,
        width=message.width,
        height=message.height,
        required=message.required,
        signer_index=message.signer_index,
        name=message.name,
    )


def new_values(messages: Iterable[pb.FieldValue]) -> list[tuple[str, Value]]:
    """What a signer fills in.

    Args:
        messages: The values.

    Raises:
        InvalidArgument: One has no value.
    """
    return [(each.api_id, _value(each, f"values[{index}]")) for index, each in enumerate(messages)]


def _value(message: pb.FieldValue, path: str) -> Value:
    kind = message.WhichOneof("value")
    if kind == "text":
        return Value("text", message.text)
    if kind == "checked":
        return Value("checked", message.checked)
    form = message.mark.WhichOneof("form") if kind == "mark" else None
    if form == "typed":
        return Value("typed", message.mark.typed)
    if form == "drawn_png":
        return Value("drawn", message.mark.drawn_png)
    raise InvalidArgument(path, "must have a value", reason="MISSING_FIELD")


def origin(seen: Origin, request: FromSigner) -> Origin:
    """Where a call came from, with what the caller asserts of where the signer is.

    Args:
        seen: What the server saw.
        request: The message.

    Raises:
        InvalidArgument: The address, the program or the time zone is none, or is too long.
    """
    said, path = request.asserted_origin, "asserted_origin"
    return seen._replace(
        asserted_address=validation.address(said.address, f"{path}.address"),
        asserted_user_agent=validation.text(
            said.user_agent, f"{path}.user_agent", least=0, most=MAX_USER_AGENT
        ).strip(),
        asserted_time_zone=validation.time_zone(said.time_zone, f"{path}.time_zone", default=""),
    )


def state_name(state: pb.SignatureRequestState.ValueType) -> str:
    """The state that a list is filtered by; empty for all.

    Args:
        state: As the message has it.

    Raises:
        InvalidArgument: It is not in the contract.
    """
    if state == pb.SIGNATURE_REQUEST_STATE_UNSPECIFIED:
        return ""
    if state not in pb.SignatureRequestState.values():
        raise InvalidArgument("state", "must be one of the states")
    return pb.SignatureRequestState.Name(state).removeprefix("SIGNATURE_REQUEST_STATE_")


# -------------------------------------------------------------------------------------------------- to the contract


REQUEST_FIELDS: Final = frozenset(pb.SignatureRequest.DESCRIPTOR.fields_by_name)
"""Every field of a request."""
REQUEST_SUMMARY: Final = REQUEST_FIELDS - {"message", "documents", "signatures", "fields", "sealing", "rendition"}
"""Those that a list shows by default."""


def request_message(
    request: SignatureRequest, shown: Collection[str] = REQUEST_FIELDS, *, bare: bool = False
) -> pb.SignatureRequest:
    """A request as its sender sees it.

    Args:
        request: The request.
        shown: The fields to fill in.
        bare: Whether to leave out personal data.
    """
    values = {name: _FIELDS[name](request) for name in shown if name != "signatures"}
    if "signatures" in shown:
        values["signatures"] = _signatures(request, bare=bare)
    return pb.SignatureRequest(**values)


def ceremony_message(view: CeremonyView, *, bare: bool = False) -> ceremony_pb.Ceremony:
    """A request as one signer sees it.

    Args:
        view: The request and the signer's own part of it.
        bare: Whether to leave out personal data.
    """
    request = view.request
    shown = disclosure.shown_to(view.signature.disclosure_version)
    return ceremony_pb.Ceremony(
        signature_request_id=request.signature_request_id,
        title=request.title,
        message=request.message,
        tenant_name=request.tenant_name,
        state=_state(request.progress.state),
        documents=map(_document, request.documents),
        signature=_signature(request, view.signature, _NOBODY if bare else view.person),
        fields=map(_field_message, view.fields),
        values=() if bare else value_messages(view.values),
        disclosure=shown.text,
        disclosure_version=shown.version,
        sealed_document_id=request.sealed_document_id,
        rendition=_rendition(request),
        blocked=request.sealing is not None and request.sealing.blocked,
        end_time=to_timestamp(request.progress.end_time),
    )


def restore_request(message: pb.SignatureRequest, request: SignatureRequest) -> None:
    """Puts the personal data back into a remembered message.

    Args:
        message: The message, bare.
        request: The request as it is now.
    """
    for signature in message.signatures:
        person = request.people[signature.signature_id]
        signature.name, signature.email = person.name, person.email


def restore_ceremony(message: ceremony_pb.Ceremony, view: CeremonyView) -> None:
    """Puts the personal data back into a remembered message: once signed, a signer's values stay as they are.

    Args:
        message: The message, bare.
        view: The request as the signer sees it now.
    """
    message.signature.name, message.signature.email = view.person.name, view.person.email
    message.values.extend(value_messages(view.values))


def value_messages(values: Values) -> list[pb.FieldValue]:
    """A signer's values.

    Args:
        values: By their field's ``api_id``.
    """
    return [_value_message(api_id, value) for api_id, value in values.items()]


def _value_message(api_id: str, value: Value) -> pb.FieldValue:
    if isinstance(value.content, bool):
        return pb.FieldValue(api_id=api_id, checked=value.content)
    if isinstance(value.content, bytes):
        return pb.FieldValue(api_id=api_id, mark=pb.Mark(drawn_png=value.content))
    if value.kind == "typed":
        return pb.FieldValue(api_id=api_id, mark=pb.Mark(typed=value.content))
    return pb.FieldValue(api_id=api_id, text=value.content)


def link_message(link: ListedLink, state: LinkState) -> signing_pb.SignerLink:
    """A link that was made for a signer.

    Args:
        link: The link.
        state: Its state.
    """
    return signing_pb.SignerLink(
        signer_link_id=link.signer_link_id,
        signature_id=link.signature_id,
        state=signing_pb.SignerLinkState.Value(f"SIGNER_LINK_STATE_{state}"),
        creator_id=link.creator_id,
        create_time=to_timestamp(link.create_time),
        expire_time=to_timestamp(link.expire_time),
        redeem_time=to_timestamp(link.spend_time),
        revoke_time=to_timestamp(link.revoke_time),
    )


def _state(state: RequestState) -> pb.SignatureRequestState.ValueType:
    return pb.SignatureRequestState.Value(f"SIGNATURE_REQUEST_STATE_{state}")


def _document(document: PinnedDocument) -> pb.RequestedDocument:
    return pb.RequestedDocument(
        document_id=document.document_id,
        version=document.version,
        title=document.title,
        sha256=document.sha256,
        page_count=document.page_count,
    )


def _rendition(request: SignatureRequest) -> pb.RequestRendition | None:
    shown = request.rendition
    if shown is None:
        return None
    pages = [document.page_count for document in request.documents]
    return pb.RequestRendition(
        document_id=shown.document_id,
        version=shown.version,
        sha256=shown.sha256,
        size=shown.size,
        page_count=shown.page_count,
        first_pages=list(accumulate(pages[:-1], initial=1)),
    )


def _signatures(request: SignatureRequest, *, bare: bool) -> list[pb.Signature]:
    return [
        _signature(request, each, _NOBODY if bare else request.people[each.signature_id])
        for each in sorted(request.progress.signatures, key=lambda each: each.order)
    ]


def _sealing(sealing: Sealing | None) -> pb.Sealing | None:
    if sealing is None:
        return None
    return pb.Sealing(
        attempts=sealing.attempts,
        last_reason=sealing.last_reason,
        next_attempt_time=to_timestamp(sealing.next_attempt_time),
        blocked=sealing.blocked,
    )


def _signature(request: SignatureRequest, signature: Signature, person: Person) -> pb.Signature:
    return pb.Signature(
        signature_id=signature.signature_id,
        name=person.name,
        email=person.email,
        order=signature.order,
        status=pb.SignatureStatus.Value(f"SIGNATURE_STATUS_{signature.status}"),
        view_time=to_timestamp(signature.view_time),
        disclosure_time=to_timestamp(signature.disclosure_time),
        sign_time=to_timestamp(signature.sign_time),
        decline_time=to_timestamp(signature.decline_time),
        decline_reason=person.decline_reason,
        time_zone=request.time_zones.get(signature.signature_id) or zones.UTC,
    )


def _field_message(field: Field) -> pb.Field:
    return pb.Field(
        api_id=field.api_id,
        type=pb.FieldType.Value(f"FIELD_TYPE_{field.type}"),
        document_index=field.document_index,
        page=field.page,
        x=field.x,
        y=field.y,
        width=field.width,
        height=field.height,
        required=field.required,
        signer_index=field.signer_index,
        name=field.name,
    )


_FIELDS: Final[Mapping[str, Callable[[SignatureRequest], Any]]] = {
    "signature_request_id": lambda request: request.signature_request_id,
    "title": lambda request: request.title,
    "message": lambda request: request.message,
    "state": lambda request: _state(request.progress.state),
    "documents": lambda request: map(_document, request.documents),
    "fields": lambda request: map(_field_message, request.fields),
    "owner_id": lambda request: request.owner_id,
    "audit_id": lambda request: request.audit_id,
    "sealed_document_id": lambda request: request.sealed_document_id,
    "expire_time": lambda request: to_timestamp(request.progress.expire_time),
    "create_time": lambda request: to_timestamp(request.create_time),
    "all_signed_time": lambda request: to_timestamp(request.progress.all_signed_time),
    "seal_time": lambda request: to_timestamp(request.progress.seal_time),
    "end_time": lambda request: to_timestamp(request.progress.end_time),
    "etag": lambda request: etags.of(request.revision),
    "rendition": _rendition,
    "time_zone": lambda request: request.time_zone or zones.UTC,
    "sealing": lambda request: _sealing(request.sealing),
}
"""How each field of a request's message is made, apart from ``signatures``."""
