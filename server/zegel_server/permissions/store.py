"""Queries of the policy tables."""

from typing import Any, Final

from sqlalchemy import Select, Text, delete, func, literal, select, union_all, update

from zegel_server.db import Statement, bind, insert_into, owned_by, upsert_into
from zegel_server.db.ownership import shown
from zegel_server.db.schema import (
    bindings,
    delegations,
    role_grants,
    role_parents,
    roles,
    team_members,
    teams,
)

api_keys = shown("api_keys", to="permissions")
identity_providers = shown("identity_providers", to="permissions")
members = shown("members", to="permissions")
tenants = shown("tenants", to="permissions")

POLICY_VERSION: Final = Statement(select(tenants.c.policy_version).where(tenants.c.tenant_id == bind("tenant_id")))
BUMP_VERSION: Final = Statement(
    update(tenants)
    .where(tenants.c.tenant_id == bind("id"))
    .values(policy_version=tenants.c.policy_version + 1)
    .returning(tenants.c.policy_version)
)

ROLES: Final = Statement(
    select(roles.c.role, roles.c.revision).where(roles.c.tenant_id == bind("tenant_id")).order_by(roles.c.role)
)
DESCRIPTIONS: Final = Statement(
    select(roles.c.role, roles.c.texts, roles.c.texts_key_version).where(roles.c.tenant_id == bind("tenant_id"))
)
GRANTS: Final = Statement(
    select(role_grants.c.role, role_grants.c.permission, role_grants.c.scope).where(
        role_grants.c.tenant_id == bind("tenant_id")
    )
)
PARENTS: Final = Statement(
    select(role_parents.c.role, role_parents.c.parent).where(role_parents.c.tenant_id == bind("tenant_id"))
)
INSERT_ROLE: Final = insert_into(roles)
INSERT_GRANT: Final = insert_into(role_grants)
INSERT_PARENT: Final = insert_into(role_parents)
UPDATE_ROLE: Final = Statement(
    update(roles)
    .where(roles.c.tenant_id == bind("tenant"), roles.c.role == bind("name"))
    .values(revision=roles.c.revision + 1)
)
DESCRIBE_ROLE: Final = Statement(
    update(roles)
    .where(roles.c.tenant_id == bind("tenant"), roles.c.role == bind("name"))
    .values(texts=bind("new_texts"), texts_key_version=bind("new_texts_key_version"))
)
DELETE_ROLE: Final = Statement(delete(roles).where(roles.c.tenant_id == bind("tenant"), roles.c.role == bind("name")))
DELETE_GRANTS: Final = Statement(
    delete(role_grants).where(role_grants.c.tenant_id == bind("tenant"), role_grants.c.role == bind("name"))
)
DELETE_PARENTS: Final = Statement(
    delete(role_parents).where(role_parents.c.tenant_id == bind("tenant"), role_parents.c.role == bind("name"))
)
DELETE_CHILDREN: Final = Statement(
    delete(role_parents).where(role_parents.c.tenant_id == bind("tenant"), role_parents.c.parent == bind("name"))
)
DELETE_BINDINGS_OF_ROLE: Final = Statement(
    delete(bindings).where(bindings.c.tenant_id == bind("tenant"), bindings.c.role == bind("name"))
)

INSERT_BINDING: Final = insert_into(bindings)
UPSERT_BINDING: Final = upsert_into(bindings, update=["expire_time"])
COUNT_BINDINGS_OF: Final = Statement(
    select(func.count().label("count"))
    .select_from(bindings)
    .where(
        bindings.c.tenant_id == bind("tenant_id"),
        bindings.c.principal_id == bind("principal_id"),
        bindings.c.expire_time.is_(None) | (bindings.c.expire_time > bind("now")),
    )
)
DELETE_BINDING: Final = Statement(
    delete(bindings).where(
        bindings.c.tenant_id == bind("tenant_id"),
        bindings.c.principal_id == bind("principal_id"),
        bindings.c.role == bind("role"),
    )
)
DELETE_BINDINGS_OF: Final = Statement(
    delete(bindings).where(bindings.c.tenant_id == bind("tenant_id"), bindings.c.principal_id == bind("principal_id"))
)
BINDINGS_OF: Final = Statement(
    select(bindings.c.principal_id, bindings.c.role, bindings.c.expire_time, bindings.c.create_time)
    .where(bindings.c.tenant_id == bind("tenant_id"), bindings.c.principal_id == bind("principal_id"))
    .order_by(bindings.c.role)
)
# The owners whose resources count as a principal's own: its teams, and members who delegate to it.
SHARED_WITH: Final = Statement(
    select(
        team_members.c.team_id.label("owner_id"),
        literal("", Text).label("delegation_id"),
        team_members.c.expire_time,
        literal("*", Text).label("permissions"),
    )
    .where(team_members.c.tenant_id == bind("tenant_id"), team_members.c.principal_id == bind("principal_id"))
    .union_all(
        select(
            delegations.c.delegator_id,
            delegations.c.delegation_id,
            delegations.c.expire_time,
            delegations.c.permissions,
        ).where(delegations.c.tenant_id == bind("tenant_id"), delegations.c.delegate_id == bind("principal_id"))
    )
)
BINDINGS: Final = Statement(
    select(bindings.c.principal_id, bindings.c.role, bindings.c.expire_time, bindings.c.create_time)
    .where(
        bindings.c.tenant_id == bind("tenant_id"),
        (bind("principal_id") == "") | (bindings.c.principal_id == bind("principal_id")),
        (bind("role") == "") | (bindings.c.role == bind("role")),
        bindings.c.expire_time.is_(None) | (bindings.c.expire_time > bind("now")),
        (bindings.c.principal_id > bind("after_principal"))
        | ((bindings.c.principal_id == bind("after_principal")) & (bindings.c.role > bind("after_role"))),
    )
    .order_by(bindings.c.principal_id, bindings.c.role)
    .limit(bind("limit"))
)
# The owners who count as being able to sign in: neither a binding nor a key that expires, nor a narrowed key; and a
# member only if members can sign in by themselves.
_SIGNS_IN: Final = (
    select(identity_providers.c.tenant_id).where(identity_providers.c.tenant_id == bind("tenant_id")).exists()
)
OWNERS: Final = Statement(
    select(func.count().label("owners"))
    .select_from(bindings.outerjoin(api_keys, api_keys.c.api_key_id == bindings.c.principal_id))
    .where(
        bindings.c.tenant_id == bind("tenant_id"),
        bindings.c.role == "owner",
        bindings.c.expire_time.is_(None),
        api_keys.c.expire_time.is_(None),
        (api_keys.c.permissions == literal("")) | (api_keys.c.api_key_id.is_(None) & _SIGNS_IN),
    )
)


def _principals(name: str) -> list[Select[Any]]:
    """Who can act in a tenant: a member, or a valid API key; ``name`` is the parameter."""
    return [
        select(members.c.member_id.label(name)).where(
            members.c.tenant_id == bind("tenant_id"), members.c.member_id == bind(name)
        ),
        select(api_keys.c.api_key_id).where(
            api_keys.c.tenant_id == bind("tenant_id"),
            api_keys.c.api_key_id == bind(name),
            api_keys.c.revoke_time.is_(None),
        ),
    ]


PRINCIPAL: Final = Statement(union_all(*_principals("principal_id")))
# Who can own work: a principal or a team.
OWNER: Final = Statement(
    union_all(
        *_principals("owner_id"),
        select(teams.c.team_id).where(teams.c.tenant_id == bind("tenant_id"), teams.c.team_id == bind("owner_id")),
    )
)
# The roles of a principal, or of everybody in a team.
ROLES_WITHIN: Final = Statement(
    select(bindings.c.role)
    .distinct()
    .where(
        bindings.c.tenant_id == bind("tenant_id"),
        bindings.c.expire_time.is_(None) | (bindings.c.expire_time > bind("now")),
        (bindings.c.principal_id == bind("owner_id"))
        | bindings.c.principal_id.in_(
            select(team_members.c.principal_id).where(
                team_members.c.tenant_id == bind("tenant_id"), team_members.c.team_id == bind("owner_id")
            )
        ),
    )
)

# ---------------------------------------------------------------------------------------------------------- teams

_TEAM: Final = (teams.c.team_id, teams.c.texts, teams.c.texts_key_version, teams.c.create_time, teams.c.revision)
# A team is its own owner: its principals may act on it as on what it owns.
TEAM: Final = Statement(
    select(*_TEAM).where(
        teams.c.tenant_id == bind("tenant_id"), teams.c.team_id == bind("team_id"), owned_by(teams.c.team_id)
    )
)
TEAMS: Final = Statement(
    select(*_TEAM)
    .where(teams.c.tenant_id == bind("tenant_id"), teams.c.team_id > bind("after"), owned_by(teams.c.team_id))
    .order_by(teams.c.team_id)
    .limit(bind("limit"))
)
COUNT_TEAMS: Final = Statement(
    select(func.count().label("count")).select_from(teams).where(teams.c.tenant_id == bind("tenant_id"))
)
INSERT_TEAM: Final = insert_into(teams)
UPDATE_TEAM: Final = Statement(
    update(teams)
    .where(
        teams.c.tenant_id == bind("tenant"), teams.c.team_id == bind("id"), teams.c.revision == bind("read_revision")
    )
    .values(texts=bind("new_texts"), texts_key_version=bind("new_texts_key_version"), revision=teams.c.revision + 1)
)
DELETE_TEAM: Final = Statement(
    delete(teams).where(teams.c.tenant_id == bind("tenant_id"), teams.c.team_id == bind("team_id"))
)
UPSERT_TEAM_MEMBER: Final = upsert_into(team_members, update=["expire_time"])
DELETE_TEAM_MEMBER: Final = Statement(
    delete(team_members).where(
        team_members.c.tenant_id == bind("tenant_id"),
        team_members.c.team_id == bind("team_id"),
        team_members.c.principal_id == bind("principal_id"),
    )
)
DELETE_MEMBERS_OF_TEAM: Final = Statement(
    delete(team_members).where(team_members.c.tenant_id == bind("tenant_id"), team_members.c.team_id == bind("team_id"))
)
DELETE_MEMBERSHIPS_OF: Final = Statement(
    delete(team_members).where(
        team_members.c.tenant_id == bind("tenant_id"), team_members.c.principal_id == bind("principal_id")
    )
)
COUNT_OTHER_TEAMS: Final = Statement(
    select(func.count().label("count"))
    .select_from(team_members)
    .where(
        team_members.c.tenant_id == bind("tenant_id"),
        team_members.c.principal_id == bind("principal_id"),
        team_members.c.team_id != bind("team_id"),
        team_members.c.expire_time.is_(None) | (team_members.c.expire_time > bind("now")),
    )
)
TEAM_MEMBERS: Final = Statement(
    select(team_members.c.principal_id, team_members.c.expire_time, team_members.c.create_time)
    .where(
        team_members.c.tenant_id == bind("tenant_id"),
        team_members.c.team_id == bind("team_id"),
        team_members.c.principal_id > bind("after"),
        team_members.c.expire_time.is_(None) | (team_members.c.expire_time > bind("now")),
    )
    .order_by(team_members.c.principal_id)
    .limit(bind("limit"))
)

# ----------------------------------------------------------------------------------------------------- delegations

_its_own = (
    (bind("only") == literal(""))
    | (delegations.c.delegator_id == bind("only"))
    | (delegations.c.delegate_id == bind("only"))
)
DELEGATION: Final = Statement(
    select(delegations).where(
        delegations.c.tenant_id == bind("tenant_id"),
        delegations.c.delegation_id == bind("delegation_id"),
        delegations.c.expire_time > bind("now"),
        _its_own,
    )
)
DELEGATIONS: Final = Statement(
    select(delegations)
    .where(
        delegations.c.tenant_id == bind("tenant_id"),
        delegations.c.delegation_id > bind("after"),
        delegations.c.expire_time > bind("now"),
        _its_own,
    )
    .order_by(delegations.c.delegation_id)
    .limit(bind("limit"))
)
COUNT_DELEGATIONS_TO: Final = Statement(
    select(func.count().label("count"))
    .select_from(delegations)
    .where(delegations.c.tenant_id == bind("tenant_id"), delegations.c.delegate_id == bind("delegate_id"))
)
INSERT_DELEGATION: Final = insert_into(delegations)
DELETE_DELEGATION: Final = Statement(
    delete(delegations).where(
        delegations.c.tenant_id == bind("tenant_id"), delegations.c.delegation_id == bind("delegation_id")
    )
)
DELETE_ENDED_DELEGATIONS: Final = Statement(
    delete(delegations).where(
        delegations.c.tenant_id == bind("tenant_id"),
        delegations.c.delegate_id == bind("delegate_id"),
        delegations.c.expire_time <= bind("now"),
    )
)
DELETE_DELEGATIONS_OF: Final = Statement(
    delete(delegations).where(
        delegations.c.tenant_id == bind("tenant_id"),
        (delegations.c.delegator_id == bind("principal_id")) | (delegations.c.delegate_id == bind("principal_id")),
    )
)
