"""Builds sessions and API keys from their rows."""

from zegel_server.caller import PrincipalKind
from zegel_server.db import Row
from zegel_server.identity.model import Session


def session_of(row: Row, policy_version: int | None = None) -> Session:
    """A session from its row.

    Args:
        row: The row, with the policy's version if that is not given.
        policy_version: Version of the tenant's policy.
    """
    return Session(
        row.session_id,
        row.tenant_id,
        PrincipalKind(row.kind),
        row.principal_id,
        row.subject_id,
        row.signature_request_id,
        row.creator_id,
        frozenset(row.permissions.split()) if row.permissions else frozenset(),
        row.certificate,
        row.create_time,
        row.expire_time,
        row.idle_us,
        row.last_use_time,
        row.revoke_time,
        row.policy_version if policy_version is None else policy_version,
        auth_time=row.auth_time,
    )


def api_key_session(row: Row, policy_version: int | None = None, *, retired_until: int | None = None) -> Session:
    """An API key as a session.

    Args:
        row: The key's row, with the policy's version if that is not given.
        policy_version: Version of the tenant's policy.
        retired_until: Until when its token is valid, if rotation has replaced it.
    """
    retired = retired_until is not None
    ends = [each for each in (row.expire_time, retired_until) if each is not None]
    return Session(
        row.api_key_id,
        row.tenant_id,
        PrincipalKind.API_KEY,
        row.api_key_id,
        row.subject_id,
        "",
        row.creator_id,
        frozenset(row.permissions.split()),
        None,
        row.create_time,
        min(ends, default=None),
        0,
        (row.previous_use_time if retired else row.last_use_time) or 0,
        row.revoke_time,
        row.policy_version if policy_version is None else policy_version,
        retired,
    )
