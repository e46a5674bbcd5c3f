"""Making sure that a caller is still good while it makes what outlives its call: a session, or a key.

Without it, a session that is opened by one call while another revokes the caller would go on for weeks.
"""

from zegel_server import clock
from zegel_server.caller import Caller, PrincipalKind
from zegel_server.db import Row, Transaction
from zegel_server.errors import Unauthenticated
from zegel_server.identity import store


async def hold_caller(transaction: Transaction, caller: Caller) -> Row:
    """Keeps the caller's session or API key from being revoked until the transaction ends; comes first in it.

    Args:
        transaction: The one that stores what is to outlive the call.
        caller: Who makes it.

    Returns:
        The row of the session or API key.

    Raises:
        Unauthenticated: It was revoked, or has expired, since the call was let in.
    """
    statement = store.HOLD_API_KEY if caller.kind is PrincipalKind.API_KEY else store.HOLD_SESSION
    row = await transaction.fetch_one(statement, tenant_id=caller.tenant_id, own_id=caller.session_id)
    if row is None or row.revoke_time is not None:
        raise Unauthenticated("The session was revoked.", reason="SESSION_REVOKED")
    if row.expire_time is not None and row.expire_time <= clock.now():
        raise Unauthenticated("The session has expired.", reason="SESSION_EXPIRED")
    return row
