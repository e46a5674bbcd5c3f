"""Names of what never was."""

import secrets
from typing import Any

from zegel_server.ids import new_id


def absent(kind: str) -> str:
    """The name of something of a kind that never was.

    Args:
        kind: The kind.
    """
    prefixes: dict[str, Any] = {
        "document": "doc",
        "signature_request": "req",
        "signature": "sig",
        "audit_id": "aud",
        "event": "evt",
        "upload": "upl",
        "member": "mem",
        "principal": "mem",
        "session": "ses",
        "api_key": "key",
        "signer_link": "lnk",
        "team": "tea",
        "delegation": "dlg",
        "owner": "mem",
    }
    return f"r{secrets.token_hex(6)}" if kind == "role" else new_id(prefixes[kind])
