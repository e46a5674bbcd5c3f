"""The rules of roles: what the built-in ones hold, and what a tenant's own ones may hold. No I/O.

Invariants:

* Only a permission that a method's contract requires can be granted.
* Nobody grants what they do not hold.
* A tenant always has an owner who can sign in: bound to ``owner`` without an expiry, and either an API key without an
  expiry and not narrowed, or, if the tenant has an identity provider, a member.
* A role never inherits from itself, not even through others, and never through more than ``MAX_DEPTH`` of them.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from zegel_server.caller import Scope
from zegel_server.errors import FailedPrecondition, InvalidArgument, PermissionDenied, ResourceExhausted
from zegel_server.ids import is_id

OWNER: Final = "owner"
SIGNER: Final = "signer"
OPERATOR: Final = "operator"
"""The installation's own role: it creates tenants, and sees none of their data."""

EXCHANGE: Final = "session.exchange"
"""The permission to exchange a credential for a session: the only one of a caller who presents such a credential."""

NOBODY: Final = ""
"""The owner of a role: nobody, so only a permission with scope ANY reaches it."""

SCOPES: Final = (Scope.OWN, Scope.PARTY, Scope.ANY)
"""The scopes that a grant can have."""

MAX_DEPTH: Final = 8
"""The longest chain of inheritance: Casbin follows nine links, including the binding's own."""
MAX_GRANTS: Final = 500
"""Grants of one role: far more than there are permissions and scopes."""
MAX_PARENTS: Final = 20
"""Roles that one role inherits from directly."""
MAX_ROLES_OF: Final = 50
"""Roles that a principal has at the same time."""
MAX_ROLES: Final = 1_000
"""A tenant's own roles: so that its policy loads with one query."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{1,62}")


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One permission in one scope."""

    permission: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions.

    Attributes:
        name: Its name.
        description: What the role is for; empty in a policy, where nothing depends on it.
        grants: What it holds directly.
        parents: The roles that it inherits from.
        built_in: Whether Zegel defines it.
        revision: How often it was changed.
    """

    name: str
    description: str = ""
    grants: frozenset[Grant] = frozenset()
    parents: frozenset[str] = frozenset()
    built_in: bool = False
    revision: int = 1

    def scopes_of(self, permission: str) -> list[Scope]:
        """The scopes in which it directly holds a permission.

        Args:
            permission: As ``<resource>.<verb>``.
        """
        return [scope for scope in SCOPES if Grant(permission, scope) in self.grants]


@dataclass(frozen=True, slots=True)
class Binding:
    """A role that a principal has; times in microseconds since the epoch."""

    principal_id: str
    role: str
    expire_time: int | None
    create_time: int

    def stands(self, now: int) -> bool:
        """Whether it has not ended.

        Args:
            now: The time.
        """
        return self.expire_time is None or self.expire_time > now


@dataclass(frozen=True, slots=True)
class Policy:
    """A tenant's roles at one version.

    Attributes:
        tenant_id: The tenant.
        version: Its version.
        roles: The tenant's own roles by name; without the built-in ones.
    """

    tenant_id: str
    version: int
    roles: Mapping[str, Role] = field(default_factory=dict)

    def role(self, name: str) -> Role | None:
        """The role with a name, built in or the tenant's own.

        Args:
            name: Its name.
        """
        return BUILT_IN.get(name) or self.roles.get(name)

    def with_parents(self, name: str) -> list[Role]:
        """A role and all that it inherits from, nearest first; names of missing roles are skipped.

        Args:
            name: The role's name.
        """
        found: dict[str, Role | None] = {name: self.role(name)}
        waiting = [name]
        for each in waiting:  # it grows during the loop
            role = found[each]
            for parent in sorted(role.parents) if role else ():
                if parent not in found:
                    found[parent] = self.role(parent)
                    waiting.append(parent)
        return [role for role in found.values() if role]


def _grants(scope: Scope, names: str) -> set[Grant]:
    return {Grant(name, scope) for name in names.split()}


_EVERYBODY: Final = _grants(Scope.OWN, f"session.introspect permission.check log.read {EXCHANGE}")

_OWN_WORK: Final = _EVERYBODY | _grants(
    Scope.OWN,
    "tenant.read session.read session.revoke document.create document.read document.download document.update "
    "document.delete document.move signature_request.create signature_request.read signature_request.update "
    "signature_request.cancel signature_request.open signature_request.move audit.read team.read "
    "delegation.create delegation.read delegation.end",
)

_DEVELOPER: Final = (
    _OWN_WORK
    | _grants(Scope.OWN, "api_key.read api_key.rotate api_key.revoke session.create")
    | _grants(Scope.ANY, "member.read role.read binding.read")
)

_MANAGER: Final = _OWN_WORK | _grants(
    Scope.ANY,
    "member.read member.create member.update session.read session.revoke document.read document.download "
    "signature_request.read signature_request.update signature_request.cancel signature_request.open audit.read "
    "role.read binding.read permission.explain team.create team.read team.update team.delete delegation.read",
)

_ADMIN: Final = _MANAGER | _grants(
    Scope.ANY,
    "tenant.read tenant.update member.delete api_key.create api_key.read api_key.rotate api_key.revoke session.create "
    "document.create document.update document.delete document.move signature_request.create signature_request.move "
    "role.create role.update role.delete "
    "identity_provider.read binding.grant binding.take delegation.create delegation.end",
)

_OWNER: Final = _ADMIN | _grants(
    Scope.ANY, "document.purge identity_provider.update session.introspect permission.check log.read"
)

_AUDITOR: Final = _EVERYBODY | _grants(
    Scope.ANY,
    "tenant.read member.read api_key.read session.read document.read signature_request.read audit.read role.read "
    "binding.read permission.explain identity_provider.read team.read delegation.read",
)

_SIGNER: Final = _EVERYBODY | _grants(
    Scope.PARTY, "document.read document.download ceremony.open ceremony.read ceremony.sign audit.read"
)

_OPERATOR: Final = _EVERYBODY | _grants(Scope.ANY, "tenant.create")


def _built_in(name: str, description: str, grants: Iterable[Grant]) -> Role:
    return Role(name, description, frozenset(grants), built_in=True)


BUILT_IN: Final[Mapping[str, Role]] = {
    role.name: role
    for role in (
        _built_in(OWNER, "Everything in the tenant, and what cannot be taken back.", _OWNER),
        _built_in("admin", "Runs the tenant: members, roles, keys, everybody's documents.", _ADMIN),
        _built_in("manager", "Manages people and sees everybody's requests.", _MANAGER),
        _built_in("developer", "Builds on the API: its own documents, requests and keys.", _DEVELOPER),
        _built_in("member", "Sends its own documents.", _OWN_WORK),
        _built_in("auditor", "Sees everything but the documents' contents, and changes nothing.", _AUDITOR),
        _built_in(SIGNER, "A party without an account, in one signature request.", _SIGNER),
        _built_in(OPERATOR, "Runs the installation: makes tenants, sees nothing of theirs.", _OPERATOR),
    )
}

NOT_BINDABLE: Final = frozenset({SIGNER, OPERATOR})
"""Roles that only Zegel itself assigns: nobody can bind or inherit them."""


def is_role_name(text: str) -> bool:
    """Whether a text has the form of a role's name.

    Args:
        text: What a caller sent.
    """
    return _NAME.fullmatch(text) is not None


def is_principal(text: str) -> bool:
    """Whether a text has the form of an identifier of a member or an API key.

    Args:
        text: What a caller sent.
    """
    return is_id(text, "mem") or is_id(text, "key")


def check_role_name(name: str, field_path: str) -> str:
    """Checks a role's name and returns it.

    Args:
        name: The name.
        field_path: Path of its field.

    Raises:
        InvalidArgument: The name is malformed.
    """
    if not is_role_name(name):
        raise InvalidArgument(field_path, "must be 2 to 63 of a-z, 0-9, _ and -, beginning with a letter")
    return name


def check_grants(grants: Iterable[Grant], known: Collection[str], field_path: str) -> frozenset[Grant]:
    """Checks the grants of a role and returns them.

    Args:
        grants: The grants.
        known: Every permission that a method requires.
        field_path: Path of the field.

    Raises:
        InvalidArgument: There are too many, or no method requires one of the permissions.
    """
    listed = list(grants)
    if len(listed) > MAX_GRANTS:
        raise InvalidArgument(field_path, f"must be at most {MAX_GRANTS}")
    for index, grant in enumerate(listed):
        if grant.permission not in known:
            raise InvalidArgument(f"{field_path}[{index}].permission", "must be a permission that a method demands")
        if grant.scope is Scope.NONE:
            raise InvalidArgument(f"{field_path}[{index}].scope", "must be OWN, PARTY or ANY", reason="MISSING_FIELD")
    return frozenset(listed)


def check_parents(policy: Policy, role: Role, field_path: str) -> None:
    """Checks what a role inherits from.

    Args:
        policy: The tenant's policy, without the role or with its earlier version.
        role: The role after the change.
        field_path: Path of the field.

    Raises:
        InvalidArgument: A parent does not exist, cannot be inherited, or there are too many.
        FailedPrecondition: The role would inherit from itself (``ROLE_CYCLE``).
        ResourceExhausted: The chain of inheritance would be too long.
    """
    if len(role.parents) > MAX_PARENTS:
        raise InvalidArgument(field_path, f"must be at most {MAX_PARENTS}")
    for parent in sorted(role.parents):
        if parent in NOT_BINDABLE or (policy.role(parent) is None and parent != role.name):
            raise InvalidArgument(field_path, "must name roles of the tenant")
    after = replace(policy, roles={**policy.roles, role.name: role})
    if any(role.name in each.parents for each in after.with_parents(role.name)):
        raise FailedPrecondition("The role would inherit from itself.", reason="ROLE_CYCLE", role=role.name)
    if _depth(after) > MAX_DEPTH:
        raise ResourceExhausted(f"A chain of inheritance has at most {MAX_DEPTH} roles.", limit="role_depth")


def _depth(policy: Policy) -> int:
    """The length of the longest chain of inheritance, which has no cycle."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            role = policy.role(name)
            depths[name] = max((1 + depth(parent) for parent in (role.parents if role else ())), default=0)
        return depths[name]

    return max((depth(name) for name in policy.roles), default=0)


def covers(held: Scope, wanted: Scope) -> bool:
    """Whether a permission held in some scopes covers another scope: ``ANY`` includes all.

    Args:
        held: The scopes in which it is held.
        wanted: The scope in question.
    """
    return bool(held & Scope.ANY) or wanted & held == wanted


def check_within(held: Mapping[str, Scope], wanted: Mapping[str, Scope]) -> None:
    """Refuses to grant what the granter does not hold.

    Args:
        held: The granter's scopes by permission.
        wanted: The scopes to be granted by permission.

    Raises:
        PermissionDenied: Something is not held (``GRANT_EXCEEDS_GRANTER``).
    """
    for permission, scope in sorted(wanted.items()):
        if not covers(held.get(permission, Scope.NONE), scope):
            raise exceeds(permission)


def exceeds(permission: str) -> PermissionDenied:
    """The error for granting what the granter does not hold.

    Args:
        permission: As ``<resource>.<verb>``.
    """
    return PermissionDenied(
        f"The caller would hand out {permission}, which it does not hold so far.",
        reason="GRANT_EXCEEDS_GRANTER",
        permission=permission,
    )
