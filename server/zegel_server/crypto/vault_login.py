"""How to obtain a token for Vault or OpenBao: from a file, or by AppRole with credentials from two files.

Files are read at every login, so their contents can be changed while the server runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import hvac

__all__ = ["AppRole", "Login", "TokenFile"]


class Login(Protocol):
    """A way to obtain a token."""

    def __call__(self, client: hvac.Client, /) -> tuple[str, float]:
        """Return a token and its lifetime in seconds, 0 if that is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that another program, such as Vault's agent, keeps fresh in a file."""

    path: Path

    def __call__(self, _client: hvac.Client) -> tuple[str, float]:
        """See `Login`."""
        return _read(self.path), 0.0


@dataclass(frozen=True, slots=True)
class AppRole:
    """A login with a role's identifier and secret, each read from a file at every login."""

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
