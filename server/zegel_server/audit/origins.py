"""From where a request's signers opened, accepted and signed it: personal data of its events, for the audit page.

Invariants:

* What is returned is what the leaves commit to.
"""

from collections.abc import Mapping

from zegel_server.audit import store
from zegel_server.audit.leaf import commitment, parse
from zegel_server.audit.log import damaged
from zegel_server.caller import Origin
from zegel_server.db import Reader
from zegel_server.keys.service import Keys


async def origins_of(reader: Reader, keys: Keys, trail: str) -> Mapping[str, Origin]:
    """The origins of the events of ``store.ORIGIN_TYPES``, by event, without those whose subject was erased.

    For the server itself: to use it on behalf of a caller, check first what the caller may see.

    Args:
        reader: Where the rows are.
        keys: Gives the signers' keys.
        trail: The audit ID.

    Raises:
        DataLoss: The personal data is not what was recorded (``LOG_DAMAGED``).
        Unavailable: The key provider does not answer.
    """
    rows = [row for row in await reader.fetch(store.ORIGINS, trail=trail) if row.personal is not None]
    known = {subject_id: await keys.subject_key(subject_id) for subject_id in {row.subject_id for row in rows}}
    found = {}
    for row in rows:
        key = known[row.subject_id]
        if key is None:
            continue
        personal = keys.decrypt_personal(key, row.personal, row.subject_id)
        if commitment(key, personal) != parse(bytes(row.leaf)).personal:
            raise damaged(f"the personal data of event {row.leaf_index} is not what was recorded")
        found[row.event_id] = Origin(**{name: personal.get(name, "") for name in Origin._fields})
    return found
