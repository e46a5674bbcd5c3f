"""Makes sure that a caller is still valid while it creates something that outlives the call: a session or a key.

Otherwise a session that one call opens while another revokes the caller could remain valid for weeks.
"""

from zegel_server import clock
from zegel_server.caller import Caller, PrincipalKind
from zegel_server.db import Row, Transaction
from zegel_server.errors import Unauthenticated
from zegel_server.identity import store


async def hold_caller(transaction: Transaction, caller: Caller) -> Row:
    """Keeps the caller's session or API key from being revoked until the transaction ends; must be its first step.

    Args:
        transaction: The transaction that stores what outlives the call.
        caller: Who creates it.

    Returns:
        The row of the session or API key.

    Raises:
        Unauthenticated: It was revoked, or has expired, since the call was accepted.
    """
    statement = store.HOLD_API_KEY if caller.kind is PrincipalKind.API_KEY else store.HOLD_SESSION
    row = await transaction.fetch_one(statement, tenant_id=caller.tenant_id, own_id=caller.session_id)
    if row is None or row.revoke_time is not None:
        raise Unauthenticated("The session was revoked.", reason="SESSION_REVOKED")
    if row.expire_time is not None and row.expire_time <= clock.now():
        raise Unauthenticated("The session has expired.", reason="SESSION_EXPIRED")
    return row
