"""How a token for Vault or OpenBao is come by: from a file, or by AppRole with what two files hold.

Files are read at every login, so what is in them can be changed while the server runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import hvac

__all__ = ["AppRole", "Login", "TokenFile"]


class Login(Protocol):
    """How a token is come by."""

    def __call__(self, client: hvac.Client, /) -> tuple[str, float]:
        """Return a token and the seconds it is good for, 0 for no end that is known."""
        ...


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that somebody else, such as an agent of Vault's, keeps fresh in a file."""

    path: Path

    def __call__(self, _client: hvac.Client) -> tuple[str, float]:
        """See `Login`."""
        return _read(self.path), 0.0


@dataclass(frozen=True, slots=True)
class AppRole:
    """A login with a role's identifier and secret, each in a file that is read at every login."""

    role_id: Path
    secret_id: Path
    mount: str = "approle"

    def __call__(self, client: hvac.Client) -> tuple[str, float]:
        """See `Login`."""
        answer = client.auth.approle.login(
            _read(self.role_id), _read(self.secret_id), use_token=False, mount_point=self.mount
        )
        return str(answer["auth"]["client_token"]), float(answer["auth"]["lease_duration"])


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
