"""The rules by which what others own counts as a principal's own: teams and delegations. No I/O.

Invariants:

* A share covers only work: documents, signature requests and their trails.
* Nobody can give another access that they do not have themselves.
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
    """A reason why what another owns counts as a principal's own: a team that it is in, or a delegation to it.

    Attributes:
        owner_id: The team, or the member who delegates.
        delegation_id: The delegation; empty for a team.
        expire_time: When it expires, in microseconds since the epoch; ``None`` for never.
        permissions: The permissions a delegation is narrowed to; ``None`` for no narrowing.
    """

    owner_id: str
    delegation_id: str
    expire_time: int | None
    permissions: frozenset[str] | None

    @classmethod
    def of(cls, owner_id: str, delegation_id: str, expire_time: int | None, permissions: str) -> "SharedWith":
        """Builds one from its row.

        Args:
            owner_id: The team, or the member who delegates.
            delegation_id: The delegation; empty for a team.
            expire_time: When it expires.
            permissions: The permissions as they are stored.
        """
        return cls(owner_id, delegation_id, expire_time, stored_permissions(permissions))

    def stands(self, now: int) -> bool:
        """Whether it has not ended.

        Args:
            now: The time.
        """
        return self.expire_time is None or self.expire_time > now


def is_work(permission: str) -> bool:
    """Whether a share can cover a permission.

    Args:
        permission: As ``<resource>.<verb>``.
    """
    return permission.partition(".")[0] in WORK


def check_reaches_all(caller: Caller, owner_id: str, held: Mapping[str, Scope], known: Iterable[str]) -> None:
    """Refuses to give another access to what somebody owns, unless the caller has all of that access itself.

    That is every permission that the other could use there, and every one that the caller could grant it.

    Args:
        caller: Who gives the access.
        owner_id: The owner of the resources.
        held: The permissions of the other that apply there.
        known: Every permission that a method requires.

    Raises:
        PermissionDenied: The caller does not have all of it (``GRANT_EXCEEDS_GRANTER``).
    """
    for permission in sorted(filter(is_work, known)):
        wanted = held.get(permission, Scope.NONE) or caller.decide(permission)
        if wanted and not caller.reaches(permission, owner_id=owner_id):
            raise exceeds(permission)


def stored_permissions(text: str) -> frozenset[str] | None:
    """The permissions that a delegation is narrowed to; ``None`` for no narrowing.

    Args:
        text: The permissions as they are stored.
    """
    return None if text == EVERYTHING else frozenset(text.split())
