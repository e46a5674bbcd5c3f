"""What the contracts declare of access: each method, each identifier in its request, and what roles hold.

Invariants:

* Every field of a request that can name something is declared a resource, or stands in one of the lists here with what
  it means: a new one that stands nowhere is found by a test.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor

from zegel_server.caller import Scope
from zegel_server.core import SERVICES
from zegel_server.edge.methods import Method, read_method
from zegel_server.permissions.model import BUILT_IN

NAMES: Final = frozenset({"role", "roles", "inherits"})
"""Fields that name something though they do not end in ``_id``."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method with its descriptor."""

    name: str
    contract: Method
    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        return self.contract.path

    @property
    def permission(self) -> str:
        return self.contract.permission

    @property
    def exchanges(self) -> bool:
        """Whether it takes what is exchanged for a session, and no session's token."""
        return self.contract.exchanges

    @property
    def kinds(self) -> Mapping[str, str]:
        """Kind of resource by the path of the field that names it."""
        return dict(self.contract.resources)


def _rpcs() -> Iterator[Rpc]:
    for service in SERVICES.values():
        for descriptor in service.methods:
            yield Rpc(descriptor.name, read_method(descriptor), descriptor)


RPCS: Final[Mapping[str, Rpc]] = {rpc.name: rpc for rpc in _rpcs()}

FILTERS: Final[Mapping[tuple[str, str], str]] = {
    ("ListSessions", "principal_id"): "principal",
    ("ListBindings", "principal_id"): "principal",
    ("ListBindings", "role"): "role",
    ("ListEvents", "principal_id"): "principal",
}
"""Fields that cut a list down: naming what is out of reach gives what naming nobody gives."""

GRANTED: Final[Mapping[tuple[str, str], str]] = {
    ("CreateMember", "roles"): "role",
    ("CreateApiKey", "roles"): "role",
    ("CreateRole", "role.inherits"): "role",
    ("UpdateRole", "role.inherits"): "role",
}
"""Roles that a caller hands out: what there is in its own tenant it may learn by that, another tenant's never."""

IGNORED: Final = frozenset(
    {
        ("UpdateTenant", "tenant.tenant_id"),
        ("UpdateDocument", "document.owner_id"),
        ("UpdateMember", "member.roles"),
        ("UpdateSignatureRequest", "signature_request.documents.document_id"),
        ("UpdateSignatureRequest", "signature_request.signatures.signature_id"),
        ("UpdateSignatureRequest", "signature_request.owner_id"),
        ("UpdateSignatureRequest", "signature_request.audit_id"),
        ("UpdateSignatureRequest", "signature_request.rendition.document_id"),
        ("UpdateSignatureRequest", "signature_request.sealed_document_id"),
    }
)
"""Fields of a resource that no mask can name: whatever stands in them, the answer is the same."""

LABELS: Final[Mapping[str, str]] = {
    "tenant_id": "of the credential that is exchanged: whatever is wrong, the answer is the same",
    "request_id": "names the call, within its caller's own calls",
    "fields.api_id": "the sender's own label of a field, within the request that is sent",
    "values.api_id": "the same, within the request that the session stands for",
    "signature_request.fields.api_id": "the same, and no mask can name it",
}
"""Fields that name nothing outside their own request."""


def identifier_fields(descriptor: Descriptor, prefix: str = "", above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Paths of the fields that can name something, in a message and those within it.

    Args:
        descriptor: The message.
        prefix: Path of the message itself, with a point.
        above: Names of the messages that it stands in, so that a message within itself ends the walk.
    """
    above |= {descriptor.full_name}
    for field in descriptor.fields:
        path = f"{prefix}{field.name}"
        if field.message_type is not None:
            if field.message_type.full_name not in above:
                yield from identifier_fields(field.message_type, f"{path}.", above)
        elif field.name in NAMES or field.name.endswith(("_id", "_ids")):
            yield path


def undeclared(rpc: Rpc) -> set[str]:
    """Identifier fields of a method's request that nothing is said of.

    Args:
        rpc: The method.
    """
    return {
        path
        for path in identifier_fields(rpc.descriptor.input_type)
        if path not in rpc.kinds
        and (rpc.name, path) not in FILTERS
        and (rpc.name, path) not in GRANTED
        and (rpc.name, path) not in IGNORED
        and path not in LABELS
    }


def held_by(*roles: str) -> dict[str, Scope]:
    """What built-in roles hold together, as they are written down, whatever decides on it.

    Args:
        roles: Their names.
    """
    held: dict[str, Scope] = {}
    for name in roles:
        for grant in BUILT_IN[name].grants:
            held[grant.permission] = held.get(grant.permission, Scope.NONE) | grant.scope
    return held


DELEGATOR: Final = "member"
"""The role of whoever delegates to the callers."""
WORK: Final = frozenset({"document", "signature_request", "audit"})
"""The resources whose permissions a delegation carries."""
GIVING: Final = frozenset({"document.move", "signature_request.move"})
"""Those of them that it never carries."""


def delegated(permission: str) -> Scope:
    """The scopes in which a caller must hold a permission to use it on what is delegated to it.

    Args:
        permission: The permission.
    """
    carried = permission.partition(".")[0] in WORK and permission not in GIVING
    both = carried and held_by(DELEGATOR).get(permission, Scope.NONE) & (Scope.OWN | Scope.ANY)
    return Scope.OWN | Scope.ANY if both else Scope.ANY


def reaches(scopes: Scope, kind: str, relation: str, permission: str = "") -> bool:
    """Whether scopes reach a resource by what it is to the caller.

    Args:
        scopes: In which the caller holds the permission.
        kind: The resource's kind.
        relation: ``own``, ``party``, ``delegated``, ``foreign`` (within the tenant), or one that nothing reaches.
        permission: The permission that they are of.
    """
    wanted = {
        "own": Scope.OWN | Scope.ANY,
        "party": Scope.PARTY | Scope.ANY,
        "delegated": delegated(permission),
        "foreign": Scope.ANY,
    }.get(relation, Scope.NONE)
    if kind == "role":  # the tenant's, so nobody's own
        wanted &= Scope.ANY
    return bool(scopes & wanted)
