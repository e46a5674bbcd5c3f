"""The installation's own tenant and its operator: the only caller that may create tenants.

Invariants:

* There is one such tenant, with a fixed identifier; if two processes create it at once, it is created once.
* The operator's role gives access to no tenant's data.
"""

import os
from pathlib import Path
from typing import Final

from zegel_server import clock
from zegel_server.db import Database, UniqueViolation
from zegel_server.errors import NotFound
from zegel_server.identity import store
from zegel_server.identity.service import Identity
from zegel_server.ids import API_KEY_PREFIX, new_token
from zegel_server.keys.service import Keys
from zegel_server.keys.texts import text_key
from zegel_server.permissions.model import OPERATOR

INSTALLATION: Final = "ten_" + "0" * 26
"""Identifier of the installation's own tenant."""


async def ensure_operator(identity: Identity) -> str | None:
    """Creates the installation's tenant if there is none yet.

    Args:
        identity: The use cases.

    Returns:
        The operator's token if the tenant was created now; ``None`` if it existed.
    """
    try:
        await identity.tenant(INSTALLATION)
    except NotFound:
        pass
    else:
        return None
    try:
        made = await identity.create_tenant(None, "Installation", role=OPERATOR, tenant_id=INSTALLATION)
    except UniqueViolation:
        return None
    return made.token


async def renew_operator(database: Database, keys: Keys, identity: Identity) -> str:
    """Gives the operator a new API key and revokes the earlier ones.

    Args:
        database: Where the API keys are.
        keys: Encrypts the new one's name.
        identity: The use cases.

    Returns:
        The new key's token.
    """
    made = await ensure_operator(identity)
    if made is not None:
        return made
    token, now = new_token(API_KEY_PREFIX), clock.now()
    key = await text_key(keys, INSTALLATION)
    async with database.transaction() as transaction:
        earlier = await transaction.fetch(store.API_KEYS, tenant_id=INSTALLATION, creator_id="", after="", limit=1_000)
        for row in earlier:
            await transaction.execute(store.REVOKE_API_KEY, tenant=INSTALLATION, id=row.api_key_id, now=now)
        api_key = await identity.api_keys.insert(
            transaction,
            tenant_id=INSTALLATION,
            subject_id=earlier[0].subject_id,
            creator_id="",
            name=OPERATOR,
            key=key,
            token=token,
            roles=(OPERATOR,),
            expire_time=None,
        )
        await identity.permissions.bind_first(transaction, INSTALLATION, api_key.api_key_id, OPERATOR, "")
    return token


def write_secret(path: Path, secret: str) -> None:
    """Writes a secret to a file that only its owner can read.

    Args:
        path: The file; its folder exists.
        secret: What to write.
    """
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
