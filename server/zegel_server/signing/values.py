"""The values that signers put into fields, their stored form, and their digest. No I/O.

Invariants:

* ``from_json(to_json(value)) == value``.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

from zegel.evidence.canonical import Json, dumps
from zegel_server.pdf.pictures import picture_length

ValueKind = Literal["text", "checked", "typed", "drawn"]
"""The kind of a value: a text, a tick, a typed name or a drawn picture as a signature."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a signer puts into a field.

    Attributes:
        kind: Its kind.
        content: A ``str`` for ``text`` and ``typed``, a ``bool`` for ``checked``, a PNG for ``drawn``.
    """

    kind: ValueKind
    content: str | bool | bytes

    @property
    def is_filled(self) -> bool:
        """Whether it counts as an answer: a text that is not empty, a box that is ticked."""
        return bool(self.content)

    @property
    def text(self) -> str:
        """Its content where that is a text; otherwise empty."""
        return self.content if isinstance(self.content, str) else ""

    @property
    def picture(self) -> bytes | None:
        """Its content where that is a picture."""
        return self.content if isinstance(self.content, bytes) else None

    @property
    def stamped_length(self) -> int:
        """Characters that it puts onto the page; a drawn mark counts by its pixels."""
        return len(self.text) + picture_length(self.picture)

    @property
    def size(self) -> int:
        """Its size in a message, in bytes."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return len(self.content.encode()) if isinstance(self.content, str) else 1

    def to_json(self) -> dict[str, Any]:
        """The value as JSON."""
        if isinstance(self.content, bytes):
            return {self.kind: base64.b64encode(self.content).decode()}
        return {self.kind: self.content}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Reads what ``to_json`` made.

        Args:
            data: The JSON object.
        """
        ((kind, content),) = data.items()
        return cls(cast("ValueKind", kind), base64.b64decode(content) if kind == "drawn" else content)


Values = Mapping[str, Value]
"""Values by their field's ``api_id``."""


def digest_of(values: Values) -> str:
    """SHA-256 over the canonical form of values, in hex; a picture is represented by its own SHA-256.

    Since values could be guessed from it, it is personal data, and is stored under the subject's key as they are.

    Args:
        values: The values.
    """
    canonical: dict[str, Json] = {
        api_id: {
            value.kind: hashlib.sha256(value.content).hexdigest() if isinstance(value.content, bytes) else value.content
        }
        for api_id, value in values.items()
    }
    return hashlib.sha256(dumps(canonical)).hexdigest()


def stamped_length(values: Values) -> int:
    """Characters that values put onto the pages; a drawn mark counts by its pixels.

    Args:
        values: The values.
    """
    return sum(value.stamped_length for value in values.values())
