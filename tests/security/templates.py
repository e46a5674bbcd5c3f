"""A request of each method that is whole, and does no harm where it is allowed.

What it would change it cannot: an old etag, a dry run, a repetition by ``request_id``, or a resource that is there to
be used up. So the same world is probed a million times and stays what it is.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from security.contracts import RPCS, Rpc
from security.world import SMALL_ROLE
from support.flow import usual_fields, usual_signers
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.document.v1 import document_service_pb2 as document
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.permission.v1 import access_pb2
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel.permission.v1 import sharing_pb2 as sharing
from zegel.signing.v1 import ceremony_service_pb2 as ceremony
from zegel.signing.v1 import signature_request_pb2 as signing_messages
from zegel.signing.v1 import signing_service_pb2 as signing

OLD: Final = '"0"'
"""An etag that no revision has: it is looked at only once the resource is reached."""


@dataclass(frozen=True, slots=True)
class Template:
    """A method's request.

    Attributes:
        make: Makes it; given a text that is different for each caller and aim, and the same at each repetition.
        passes: How a caller is answered who reaches a resource in a good state.
        spares: States of a resource that the request would use up.
    """

    make: Callable[[str], Message]
    passes: frozenset[str] = frozenset({"OK"})
    spares: frozenset[str] = frozenset()


def _mask(*paths: str) -> FieldMask:
    return FieldMask(paths=paths)


def _of(message: Message) -> Callable[[str], Message]:
    return lambda _: message


def _spec(title: str = "x") -> document.UploadSpec:
    return document.UploadSpec(title=title, size=1_000, media_type="application/pdf")


def _request_id(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:32]


def _new_role(label: str) -> permission.CreateRoleRequest:
    grant = permission.Grant(permission="session.introspect", scope=access_pb2.SCOPE_OWN)
    name = f"r{_request_id(label)[:12]}"
    # Of a name that is taken: whoever may make roles is told so, and none is made.
    return permission.CreateRoleRequest(
        role=permission.Role(name=SMALL_ROLE, grants=[grant], description=name), request_id=_request_id(label)
    )


def _new_member(label: str) -> identity.CreateMemberRequest:
    key = _request_id(label)
    return identity.CreateMemberRequest(name="M", email=f"{key}@example.com", roles=[SMALL_ROLE], request_id=key)


def _new_request(label: str) -> signing.CreateSignatureRequestRequest:
    return signing.CreateSignatureRequestRequest(
        title="T",
        documents=[signing_messages.RequestedDocument()],
        signers=usual_signers(1),
        fields=usual_fields(1),
        request_id=_request_id(label),
    )


_TOMORROW: Final = Timestamp(seconds=int(time.time()) + 24 * 3600)
_CHANGED: Final = frozenset({"ABORTED"})
_BEGUN: Final = frozenset({"OK", "ABORTED"})  # two probes at the same time may begin the same version
_HANDED_OUT: Final = frozenset({"OK", "PERMISSION_DENIED/GRANT_EXCEEDS_GRANTER"})


def _reading(rpc: Rpc) -> Template:
    """Of a method that reads what its fields name; what a page holds at the most is small."""
    kind = GetMessageClass(rpc.descriptor.input_type)
    return Template(_of(kind(page_size=3) if "page_size" in kind.DESCRIPTOR.fields_by_name else kind()))


_READING: Final = {
    name: _reading(rpc)
    for name, rpc in RPCS.items()
    if rpc.descriptor.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
}

TEMPLATES: Final[Mapping[str, Template]] = {
    **_READING,  # one below takes its place where more has to be said
    "CreateTenant": Template(
        lambda label: identity.CreateTenantRequest(name="T", request_id=_request_id(label)), frozenset({"OK"})
    ),
    "UpdateTenant": Template(
        _of(
            identity.UpdateTenantRequest(tenant=identity.Tenant(name="Other", etag=OLD), update_mask=_mask("name")),
        ),
        _CHANGED,
    ),
    "CreateMember": Template(_new_member, _HANDED_OUT),
    "UpdateMember": Template(
        _of(identity.UpdateMemberRequest(member=identity.Member(name="N", etag=OLD), update_mask=_mask("name"))),
        _CHANGED,
    ),
    "DeleteMember": Template(_of(identity.DeleteMemberRequest(etag=OLD)), _CHANGED),
    "CreateApiKey": Template(
        lambda label: identity.CreateApiKeyRequest(name="k", roles=[SMALL_ROLE], request_id=_request_id(label)),
        _HANDED_OUT,
    ),
    "RotateApiKey": Template(
        lambda label: identity.RotateApiKeyRequest(request_id=_request_id(label)), _HANDED_OUT | {"FAILED_PRECONDITION"}
    ),
    "RevokeApiKey": Template(_of(identity.RevokeApiKeyRequest())),
    "CreateSession": Template(_of(identity.CreateSessionRequest()), _HANDED_OUT),
    "SetIdentityProvider": Template(
        _of(
            identity.SetIdentityProviderRequest(
                identity_provider=identity.IdentityProvider(issuer="https://example.com", audiences=["a"], etag=OLD)
            )
        ),
        _CHANGED,
    ),
    "GetIdentityProvider": Template(_of(identity.GetIdentityProviderRequest()), frozenset({"NOT_FOUND"})),
    "DeleteIdentityProvider": Template(_of(identity.DeleteIdentityProviderRequest()), frozenset({"NOT_FOUND"})),
    "ExchangeToken": Template(_of(identity.ExchangeTokenRequest())),
    "RevokeSession": Template(_of(identity.RevokeSessionRequest())),
    "StartUpload": Template(
        lambda label: document.StartUploadRequest(spec=_spec(), request_id=_request_id(label)),
        _BEGUN,
    ),
    "CancelUpload": Template(_of(document.CancelUploadRequest()), spares=frozenset({"good"})),
    "UploadDocument": Template(_of(document.UploadDocumentRequest()), _BEGUN),
    "DownloadDocument": Template(_of(document.DownloadDocumentRequest(read_limit=64))),
    "UpdateDocument": Template(
        _of(
            document.UpdateDocumentRequest(
                document=document.Document(title="Other", etag=OLD), update_mask=_mask("title")
            )
        ),
        _CHANGED,
    ),
    # What a team owns is not given away by whoever does not run it.
    "MoveDocument": Template(_of(document.MoveDocumentRequest(etag=OLD)), _CHANGED | _HANDED_OUT - {"OK"}),
    "DeleteDocument": Template(_of(document.DeleteDocumentRequest(etag=OLD)), _CHANGED),
    "UndeleteDocument": Template(_of(document.UndeleteDocumentRequest(etag=OLD)), _CHANGED),
    "PurgeDocument": Template(_of(document.PurgeDocumentRequest(etag=OLD)), _CHANGED),
    "CreateSignatureRequest": Template(_new_request),
    "UpdateSignatureRequest": Template(
        _of(
            signing.UpdateSignatureRequestRequest(
                signature_request=signing_messages.SignatureRequest(
                    etag=OLD, expire_time=Timestamp(seconds=4_000_000_000)
                ),
                update_mask=_mask("expire_time"),
            )
        ),
        _CHANGED,
    ),
    "CancelSignatureRequest": Template(_of(signing.CancelSignatureRequestRequest(etag=OLD)), _CHANGED),
    "MoveSignatureRequest": Template(
        _of(signing.MoveSignatureRequestRequest(etag=OLD)), _CHANGED | _HANDED_OUT - {"OK"}
    ),
    "CreateSignerSession": Template(_of(signing.CreateSignerSessionRequest())),
    "CreateSignerLink": Template(
        lambda label: signing.CreateSignerLinkRequest(request_id=_request_id(label)), frozenset({"OK"})
    ),
    "RevokeSignerLink": Template(_of(signing.RevokeSignerLinkRequest())),
    "OpenCeremony": Template(_of(ceremony.OpenCeremonyRequest())),
    "AcceptDisclosure": Template(_of(ceremony.AcceptDisclosureRequest()), frozenset({"OK", "FAILED_PRECONDITION"})),
    "FillFields": Template(
        _of(ceremony.FillFieldsRequest(values=[signing_messages.FieldValue(api_id="no such field", text="x")])),
        frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION"}),
    ),
    "SignDocuments": Template(_of(ceremony.SignDocumentsRequest(request_id="r")), frozenset({"FAILED_PRECONDITION"})),
    "DeclineSignature": Template(
        _of(ceremony.DeclineSignatureRequest(reason="x" * 2_000)), frozenset({"INVALID_ARGUMENT"})
    ),
    "GetConsistencyProof": Template(_of(audit.GetConsistencyProofRequest(first_size=1))),
    "CreateRole": Template(_new_role, frozenset({"ALREADY_EXISTS", "PERMISSION_DENIED/GRANT_EXCEEDS_GRANTER"})),
    "UpdateRole": Template(
        _of(
            permission.UpdateRoleRequest(
                role=permission.Role(description="x"), update_mask=_mask("description", "inherits"), validate_only=True
            )
        ),
        _HANDED_OUT,
    ),
    "DeleteRole": Template(_of(permission.DeleteRoleRequest(validate_only=True))),
    "GrantRole": Template(_of(permission.GrantRoleRequest()), _HANDED_OUT),
    "TakeRole": Template(_of(permission.TakeRoleRequest(validate_only=True)), _HANDED_OUT | {"FAILED_PRECONDITION"}),
    "CreateTeam": Template(lambda label: sharing.CreateTeamRequest(name="T", request_id=_request_id(label))),
    "UpdateTeam": Template(
        _of(sharing.UpdateTeamRequest(team=sharing.Team(name="Other", etag=OLD), update_mask=_mask("name"))), _CHANGED
    ),
    "DeleteTeam": Template(_of(sharing.DeleteTeamRequest(etag=OLD)), _CHANGED),
    "AddTeamMember": Template(_of(sharing.AddTeamMemberRequest()), _HANDED_OUT),
    "RemoveTeamMember": Template(_of(sharing.RemoveTeamMemberRequest()), frozenset({"NOT_FOUND"})),
    # To one who calls nothing, or to the delegator itself: what callers reach stays what it is. What a delegator holds
    # does not: other probes grant it roles and take them, so it may have nothing to give, or more than its caller may.
    "CreateDelegation": Template(
        _of(sharing.CreateDelegationRequest(expire_time=_TOMORROW)),
        _HANDED_OUT | {"ALREADY_EXISTS", "INVALID_ARGUMENT", "FAILED_PRECONDITION"},
    ),
    "EndDelegation": Template(_of(sharing.EndDelegationRequest()), spares=frozenset({"good"})),
    "CheckPermissions": Template(_of(permission.CheckPermissionsRequest(permissions=["document.read"]))),
    "ExplainPermission": Template(_of(permission.ExplainPermissionRequest(permission="document.read"))),
}


def put(message: Any, path: str, value: str) -> None:
    """Sets a field of a message, in the first item of lists.

    Args:
        message: The message.
        path: The field's path.
        value: The value.
    """
    *above, last = path.split(".")
    for name in above:
        message = getattr(message, name)
        if hasattr(message, "add"):
            message = message[0] if message else message.add()
    field = message.DESCRIPTOR.fields_by_name[last]
    if field.is_repeated:
        del getattr(message, last)[:]
        getattr(message, last).append(value)
    else:
        setattr(message, last, value)


def request(rpc: Rpc, label: str, named: Mapping[str, str]) -> bytes:
    """A request's bytes.

    Args:
        rpc: The method.
        label: Different for each caller and aim, the same at each repetition.
        named: What its fields name, by their paths.
    """
    made = TEMPLATES[rpc.name].make(label)
    message: Any = type(made)()
    message.CopyFrom(made)
    if named.get("spec.document_id"):
        message.spec.CopyFrom(_spec(title=""))  # a new version has its document's
    if named.get("spec.team_id"):
        message.spec.CopyFrom(_spec())
    for path, value in named.items():
        put(message, path, value)
    data: bytes = message.SerializeToString(deterministic=True)
    return data
