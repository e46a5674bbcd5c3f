"""Queries of tenants, members, API keys and sessions."""

from typing import Final

from sqlalchemy import delete, func, literal, select, update

from zegel_server.db import NestedRows, Statement, bind, insert_into, upsert_into
from zegel_server.db.ownership import shown
from zegel_server.db.schema import (
    api_keys,
    identity_providers,
    members,
    retired_tokens,
    sessions,
    signer_links,
    spent_id_tokens,
    tenants,
)

own_key_providers = shown("own_key_providers", to="identity")
subjects, bindings = shown("subjects", to="identity"), shown("bindings", to="identity")

# The query of each request: the session and the version of the policy that decides, in one query.
SESSION_BY_TOKEN: Final = Statement(
    select(sessions, tenants.c.policy_version, tenants.c.sensitive, api_keys.c.expire_time.label("key_expire_time"))
    .join(tenants, tenants.c.tenant_id == sessions.c.tenant_id)
    .join(api_keys, api_keys.c.api_key_id == sessions.c.api_key_id, isouter=True)
    .where(sessions.c.token_hash == bind("token_hash"))
)
API_KEY_BY_TOKEN: Final = Statement(
    select(api_keys, tenants.c.policy_version)
    .join(tenants, tenants.c.tenant_id == api_keys.c.tenant_id)
    .where(api_keys.c.token_hash == bind("token_hash"))
)
# Run only if no key has the token: either rotation has replaced it, or it never existed.
API_KEY_BY_RETIRED_TOKEN: Final = Statement(
    select(api_keys, tenants.c.policy_version, retired_tokens.c.expire_time.label("token_expire_time"))
    .join(retired_tokens, retired_tokens.c.api_key_id == api_keys.c.api_key_id)
    .join(tenants, tenants.c.tenant_id == api_keys.c.tenant_id)
    .where(retired_tokens.c.token_hash == bind("token_hash"))
)
# A caller that creates something that outlives the call locks its own row, so that it is not revoked meanwhile.
HOLD_SESSION: Final = Statement(
    select(sessions.c.revoke_time, sessions.c.expire_time, sessions.c.api_key_id, sessions.c.auth_time)
    .where(sessions.c.tenant_id == bind("tenant_id"), sessions.c.session_id == bind("own_id"))
    .with_for_update(read=True)
)
HOLD_API_KEY: Final = Statement(
    select(api_keys.c.revoke_time, api_keys.c.expire_time, api_keys.c.api_key_id)
    .where(api_keys.c.tenant_id == bind("tenant_id"), api_keys.c.api_key_id == bind("own_id"))
    .with_for_update(read=True)
)
HOLD_MEMBER: Final = Statement(
    select(members.c.member_id)
    .where(members.c.tenant_id == bind("tenant_id"), members.c.member_id == bind("member_id"))
    .with_for_update(read=True)
)
NOTE_SESSION_USE: Final = Statement(
    update(sessions).where(sessions.c.session_id == bind("id")).values(last_use_time=bind("now"))
)
NOTE_API_KEY_USE: Final = Statement(
    update(api_keys)
    .where(api_keys.c.api_key_id == bind("id"), api_keys.c.token_hash == bind("by_token_hash"))
    .values(last_use_time=bind("now"))
)
NOTE_RETIRED_USE: Final = Statement(
    update(api_keys).where(api_keys.c.api_key_id == bind("id")).values(previous_use_time=bind("now"))
)

INSERT_TENANT: Final = insert_into(tenants)
_WITH_KEY_PROVIDER: Final = select(tenants, own_key_providers.c.key_provider).join_from(
    tenants, own_key_providers, tenants.c.tenant_id == own_key_providers.c.tenant_id, isouter=True
)
TENANT: Final = Statement(_WITH_KEY_PROVIDER.where(tenants.c.tenant_id == bind("tenant_id")))
TENANTS: Final = Statement(_WITH_KEY_PROVIDER.order_by(tenants.c.tenant_id))
# Locks a tenant's row, for changes to what belongs to the tenant as a whole.
TOUCH_TENANT: Final = Statement(
    update(tenants).where(tenants.c.tenant_id == bind("id")).values(revision=tenants.c.revision + 1)
)
UPDATE_TENANT: Final = Statement(
    update(tenants)
    .where(tenants.c.tenant_id == bind("id"), tenants.c.revision == bind("read_revision"))
    .values(name=bind("new_name"), sensitive=bind("new_sensitive"), revision=tenants.c.revision + 1)
)

INSERT_MEMBER: Final = insert_into(members)
# The query decides what a caller reaches: what is out of reach looks absent, and takes no longer than what is absent.
MEMBER: Final = Statement(
    select(members).where(
        members.c.tenant_id == bind("tenant_id"),
        members.c.member_id == bind("member_id"),
        (bind("only") == literal("")) | (members.c.member_id == bind("only")),
    )
)
BINDINGS: Final = NestedRows(
    bindings, bindings.c.principal_id, bindings.c.role, bindings.c.expire_time, bindings.c.create_time
)
# A page with what belongs to each member: its roles, and its wrapped key.
MEMBERS: Final = Statement(
    select(
        members,
        subjects.c.key_version,
        subjects.c.wrapped_key,
        subjects.c.commitment,
        BINDINGS.column(
            "bindings",
            bindings.c.tenant_id == members.c.tenant_id,
            bindings.c.principal_id == members.c.member_id,
        ),
    )
    .join(subjects, subjects.c.subject_id == members.c.subject_id)
    .where(
        members.c.tenant_id == bind("tenant_id"),
        (bind("only") == literal("")) | (members.c.member_id == bind("only")),
        members.c.member_id > bind("after"),
    )
    .order_by(members.c.member_id)
    .limit(bind("limit"))
)
UPDATE_MEMBER: Final = Statement(
    update(members)
    .where(
        members.c.tenant_id == bind("tenant"),
        members.c.member_id == bind("id"),
        members.c.revision == bind("read_revision"),
    )
    .values(profile=bind("new_profile"), subject_id=bind("new_subject_id"), revision=members.c.revision + 1)
)
DELETE_MEMBER: Final = Statement(
    delete(members).where(members.c.tenant_id == bind("tenant_id"), members.c.member_id == bind("member_id"))
)

INSERT_API_KEY: Final = insert_into(api_keys)
API_KEY: Final = Statement(
    select(api_keys).where(api_keys.c.tenant_id == bind("tenant_id"), api_keys.c.api_key_id == bind("api_key_id"))
)
# A creator also owns what it created.
REACHED_API_KEY: Final = Statement(
    select(api_keys).where(
        api_keys.c.tenant_id == bind("tenant_id"),
        api_keys.c.api_key_id == bind("api_key_id"),
        (bind("only") == literal(""))
        | (api_keys.c.creator_id == bind("only"))
        | (api_keys.c.api_key_id == bind("only")),
    )
)
API_KEYS: Final = Statement(
    select(api_keys)
    .where(
        api_keys.c.tenant_id == bind("tenant_id"),
        (bind("creator_id") == literal(""))
        | (api_keys.c.creator_id == bind("creator_id"))
        | (api_keys.c.api_key_id == bind("creator_id")),
        api_keys.c.api_key_id > bind("after"),
    )
    .order_by(api_keys.c.api_key_id)
    .limit(bind("limit"))
)
RENEW_UNUSED_KEY: Final = Statement(
    update(api_keys)
    .where(
        api_keys.c.tenant_id == bind("tenant"),
        api_keys.c.api_key_id == bind("id"),
        api_keys.c.last_use_time.is_(None),
        api_keys.c.revoke_time.is_(None),
        func.coalesce(api_keys.c.rotate_time, 0) == bind("rotated"),
    )
    .values(token_hash=bind("new_token_hash"), token_prefix=bind("new_token_prefix"))
)
LOCK_API_KEY: Final = Statement(
    select(api_keys)
    .where(api_keys.c.tenant_id == bind("tenant_id"), api_keys.c.api_key_id == bind("api_key_id"))
    .with_for_update()
)
ROTATE_API_KEY: Final = Statement(
    update(api_keys)
    .where(api_keys.c.api_key_id == bind("id"))
    .values(
        token_hash=bind("new_token_hash"),
        token_prefix=bind("new_token_prefix"),
        last_use_time=None,
        rotate_time=bind("now"),
        previous_expire_time=bind("until"),
        previous_use_time=bind("previous_use"),
    )
)
INSERT_RETIRED: Final = insert_into(retired_tokens)
SHORTEN_RETIRED: Final = Statement(
    update(retired_tokens)
    .where(retired_tokens.c.api_key_id == bind("id"), retired_tokens.c.expire_time > bind("until"))
    .values(expire_time=bind("until"))
)
FORGET_RETIRED: Final = Statement(delete(retired_tokens).where(retired_tokens.c.expire_time < bind("before")))
REVOKE_API_KEY: Final = Statement(
    update(api_keys)
    .where(
        api_keys.c.tenant_id == bind("tenant"), api_keys.c.api_key_id == bind("id"), api_keys.c.revoke_time.is_(None)
    )
    .values(revoke_time=bind("now"))
)
REVOKE_SESSIONS_OF_KEY: Final = Statement(
    update(sessions)
    .where(sessions.c.api_key_id == bind("id"), sessions.c.revoke_time.is_(None))
    .values(revoke_time=bind("now"))
)
REVOKE_SESSIONS_OF: Final = Statement(
    update(sessions)
    .where(
        sessions.c.tenant_id == bind("tenant"),
        sessions.c.principal_id == bind("principal"),
        sessions.c.revoke_time.is_(None),
    )
    .values(revoke_time=bind("now"))
)

INSERT_SESSION: Final = insert_into(sessions)
SESSION: Final = Statement(
    select(sessions).where(sessions.c.tenant_id == bind("tenant_id"), sessions.c.session_id == bind("session_id"))
)
# Whoever opened a session for another also owns it.
REACHED_SESSION: Final = Statement(
    select(sessions).where(
        sessions.c.tenant_id == bind("tenant_id"),
        sessions.c.session_id == bind("session_id"),
        (bind("only") == literal(""))
        | (sessions.c.principal_id == bind("only"))
        | (sessions.c.creator_id == bind("only")),
    )
)
SESSIONS: Final = Statement(
    select(sessions)
    .where(
        sessions.c.tenant_id == bind("tenant_id"),
        (bind("principal_id") == literal("")) | (sessions.c.principal_id == bind("principal_id")),
        (bind("reader") == literal(""))
        | (sessions.c.principal_id == bind("reader"))
        | (sessions.c.creator_id == bind("reader")),
        sessions.c.session_id < bind("before"),
        sessions.c.revoke_time.is_(None),
        sessions.c.expire_time > bind("now"),
        (sessions.c.idle_us == 0) | (sessions.c.last_use_time + sessions.c.idle_us > bind("idle_before")),
    )
    .order_by(sessions.c.session_id.desc())
    .limit(bind("limit"))
)
REVOKE_SESSION: Final = Statement(
    update(sessions)
    .where(
        sessions.c.tenant_id == bind("tenant"), sessions.c.session_id == bind("id"), sessions.c.revoke_time.is_(None)
    )
    .values(revoke_time=bind("now"))
)
FORGET_SESSIONS: Final = Statement(delete(sessions).where(sessions.c.expire_time < bind("before")))

LINK_BY_TOKEN: Final = Statement(
    select(signer_links, tenants.c.policy_version, api_keys.c.expire_time.label("key_expire_time"))
    .join(tenants, tenants.c.tenant_id == signer_links.c.tenant_id)
    .join(api_keys, api_keys.c.api_key_id == signer_links.c.api_key_id, isouter=True)
    .where(signer_links.c.token_hash == bind("token_hash"))
)
SIGNER_LINK: Final = Statement(
    select(signer_links).where(
        signer_links.c.tenant_id == bind("tenant_id"), signer_links.c.signer_link_id == bind("signer_link_id")
    )
)
LOCK_LINK: Final = Statement(
    select(signer_links)
    .where(signer_links.c.tenant_id == bind("tenant_id"), signer_links.c.signer_link_id == bind("signer_link_id"))
    .with_for_update()
)
LINKS_OF_REQUEST: Final = Statement(
    select(
        signer_links.c.signer_link_id,
        signer_links.c.signature_id,
        signer_links.c.creator_id,
        signer_links.c.create_time,
        signer_links.c.expire_time,
        signer_links.c.revoke_time,
        signer_links.c.spend_time,
        signer_links.c.granter_id,
        signer_links.c.request_owner_id,
    )
    .where(
        signer_links.c.tenant_id == bind("tenant_id"),
        signer_links.c.signature_request_id == bind("signature_request_id"),
        signer_links.c.signer_link_id < bind("before"),
    )
    .order_by(signer_links.c.signer_link_id.desc())
    .limit(bind("limit"))
)
INSERT_LINK: Final = insert_into(signer_links)
RENEW_LINK: Final = Statement(
    update(signer_links)
    .where(
        signer_links.c.tenant_id == bind("tenant"),
        signer_links.c.signer_link_id == bind("id"),
        signer_links.c.revoke_time.is_(None),
        signer_links.c.spend_time.is_(None),
        signer_links.c.expire_time > bind("now"),
    )
    .values(token_hash=bind("new_token_hash"))
)
SPEND_LINK: Final = Statement(
    update(signer_links)
    .where(signer_links.c.signer_link_id == bind("id"))
    .values(spend_time=bind("now"), session_id=bind("new_session_id"))
)
REVOKE_LINK: Final = Statement(
    update(signer_links).where(signer_links.c.signer_link_id == bind("id")).values(revoke_time=bind("now"))
)
REVOKE_LINKS_OF_KEY: Final = Statement(
    update(signer_links)
    .where(signer_links.c.api_key_id == bind("id"), signer_links.c.revoke_time.is_(None))
    .values(revoke_time=bind("now"))
)
_of_signer: Final = (
    sessions.c.tenant_id == bind("tenant"),
    sessions.c.principal_id == bind("principal"),
    sessions.c.revoke_time.is_(None),
)
_of_request: Final = (
    signer_links.c.tenant_id == bind("tenant"),
    signer_links.c.signature_request_id == bind("request"),
    signer_links.c.revoke_time.is_(None),
)
GRANTERS_OF_SESSIONS: Final = Statement(
    select(sessions.c.granter_id)
    .where(
        sessions.c.tenant_id == bind("tenant_id"),
        sessions.c.principal_id == bind("principal_id"),
        sessions.c.revoke_time.is_(None),
    )
    .distinct()
)
GRANTERS_OF_LINKS: Final = Statement(
    select(signer_links.c.granter_id)
    .where(
        signer_links.c.tenant_id == bind("tenant_id"),
        signer_links.c.signature_request_id == bind("signature_request_id"),
        signer_links.c.revoke_time.is_(None),
    )
    .distinct()
)
REVOKE_SESSIONS_FROM: Final = Statement(
    update(sessions).where(*_of_signer, sessions.c.granter_id == bind("granter")).values(revoke_time=bind("now"))
)
REVOKE_LINKS_FROM: Final = Statement(
    update(signer_links)
    .where(*_of_request, signer_links.c.granter_id == bind("granter"))
    .values(revoke_time=bind("now"))
)
PASS_SESSIONS_ON: Final = Statement(
    update(sessions).where(*_of_signer).values(granter_id=bind("new_owner"), request_owner_id=bind("new_owner"))
)
PASS_LINKS_ON: Final = Statement(
    update(signer_links).where(*_of_request).values(granter_id=bind("new_owner"), request_owner_id=bind("new_owner"))
)
FORGET_LINKS: Final = Statement(delete(signer_links).where(signer_links.c.expire_time < bind("before")))

PROVIDER: Final = Statement(
    select(identity_providers, tenants.c.policy_version)
    .join(tenants, tenants.c.tenant_id == identity_providers.c.tenant_id)
    .where(identity_providers.c.tenant_id == bind("tenant_id"))
)
# A sign-in locks its provider's row, so that the provider is not removed meanwhile.
HOLD_PROVIDER: Final = Statement(
    select(identity_providers).where(identity_providers.c.tenant_id == bind("tenant_id")).with_for_update(read=True)
)
LOCK_PROVIDER: Final = Statement(
    select(identity_providers).where(identity_providers.c.tenant_id == bind("tenant_id")).with_for_update()
)
UPSERT_PROVIDER: Final = upsert_into(
    identity_providers, update=["issuer", "audiences", "update_time", "revision", "email_trust"]
)
DELETE_PROVIDER: Final = Statement(
    delete(identity_providers).where(identity_providers.c.tenant_id == bind("tenant_id"))
)
MEMBER_OF_SUBJECT: Final = Statement(
    select(members).where(members.c.tenant_id == bind("tenant_id"), members.c.subject_id == bind("subject_id"))
)
MEMBER_OF_ACCOUNT: Final = Statement(
    select(members).where(members.c.tenant_id == bind("tenant_id"), members.c.account == bind("account"))
)
LOCK_MEMBER: Final = Statement(
    select(members)
    .where(members.c.tenant_id == bind("tenant_id"), members.c.member_id == bind("member_id"))
    .with_for_update()
)
BIND_MEMBER: Final = Statement(
    update(members).where(members.c.member_id == bind("id")).values(account=bind("new_account"))
)
UNBIND_MEMBERS: Final = Statement(
    update(members).where(members.c.tenant_id == bind("tenant"), members.c.account.is_not(None)).values(account=None)
)
INSERT_SPENT: Final = insert_into(spent_id_tokens)
FORGET_SPENT: Final = Statement(delete(spent_id_tokens).where(spent_id_tokens.c.expire_time < bind("before")))
