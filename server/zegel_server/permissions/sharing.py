"""The rules of what others own and counts as a principal's own: teams and delegations. No I/O.

Invariants:

* A share carries work alone: documents, signature requests and their trails.
* Nobody lets another reach what they do not themselves reach.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from zegel_server.caller import WORK, Caller, Scope
from zegel_server.permissions.model import exceeds

EVERYTHING: Final = "*"
"""How a delegation that is not narrowed is stored."""


@dataclass(frozen=True, slots=True)
class SharedWith:
    """That what another owns counts as a principal's own: it is in that team, or that member delegates to it.

    Attributes:
        owner_id: The team, or the member who delegates.
        delegation_id: The delegation; empty for a team.
        expire_time: When it ends by itself, in microseconds since the epoch; ``None`` for never.
        permissions: To which a delegation is narrowed; ``None`` for no narrowing.
    """

    owner_id: str
    delegation_id: str
    expire_time: int | None
    permissions: frozenset[str] | None

    @classmethod
    def of(cls, owner_id: str, delegation_id: str, expire_time: int | None, permissions: str) -> "SharedWith":
        """One from its row.

        Args:
            owner_id: The team, or the member who delegates.
            delegation_id: The delegation; empty for a team.
            expire_time: When it ends.
            permissions: As they are stored.
        """
        return cls(owner_id, delegation_id, expire_time, stored_permissions(permissions))

    def stands(self, now: int) -> bool:
        """Whether it has not ended.

        Args:
            now: The time.
        """
        return self.expire_time is None or self.expire_time > now


def is_work(permission: str) -> bool:
    """Whether a share can carry a permission.

    Args:
        permission: As ``<resource>.<verb>``.
    """
    return permission.partition(".")[0] in WORK


def check_reaches_all(caller: Caller, owner_id: str, held: Mapping[str, Scope], known: Iterable[str]) -> None:
    """Refuses to let another reach what somebody owns to a caller that does not itself reach all of it.

    By every permission that the other could use there, and by every one that the caller has and could hand out.

    Args:
        caller: Who lets the other reach it.
        owner_id: Whose resources.
        held: What the other holds that counts there.
        known: Every permission that a method demands.

    Raises:
        PermissionDenied: The caller does not (``GRANT_EXCEEDS_GRANTER``).
    """
    for permission in sorted(filter(is_work, known)):
        wanted = held.get(permission, Scope.NONE) or caller.decide(permission)
        if wanted and not caller.reaches(permission, owner_id=owner_id):
            raise exceeds(permission)


def stored_permissions(text: str) -> frozenset[str] | None:
    """The permissions that a delegation is narrowed to; ``None`` for no narrowing.

    Args:
        text: As it is stored.
    """
    return None if text == EVERYTHING else frozenset(text.split())
