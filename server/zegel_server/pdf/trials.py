"""Trying what goes onto a page when it is filled in: what cannot be shown must not be found out when all have signed.

Texts and pictures are drawn nowhere but in the sandbox, just as sealing will do it.

Invariants:

* What passes is drawn whole, and can be seen: no letter is missing, and something leaves ink.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from zegel_server.errors import InvalidArgument
from zegel_server.pdf.model import Stamp, Trial
from zegel_server.pdf.refusal import Refusal

_SIDE: Final = 200.0
"""Points of the sides of the box that a text is tried in; it shrinks to any box."""

_SENTENCES: Final = {
    Refusal.BLANK.value: "must be something that can be seen",
    Refusal.IMAGE.value: "must be a PNG that can be drawn",
}


class TryingSandbox(Protocol):
    """The part of the sandbox that draws for trial."""

    async def try_stamps(self, stamps: list[Stamp]) -> list[Trial]:
        """Draws stamps for trial.

        Args:
            stamps: The stamps.

        Returns:
            What came of each.

        Raises:
            InvalidArgument: They are more than a request may have.
            Unavailable: The sandbox stopped.
        """
        ...


class Trials:
    """Tries what is to be drawn.

    Args:
        sandbox: Draws it.
    """

    def __init__(self, sandbox: TryingSandbox) -> None:
        self._sandbox = sandbox

    async def check_texts(self, texts: Iterable[tuple[str, str]]) -> None:
        """Demands that texts can be shown.

        Args:
            texts: Each text's path in the request, and the text; empty ones pass.

        Raises:
            InvalidArgument: A letter of one cannot be drawn, or nothing of one can be seen.
            Unavailable: The sandbox stopped; the same call may go through later.
        """
        await self.check_stamps((path, Stamp(1, 0.0, 0.0, _SIDE, _SIDE, "text", text)) for path, text in texts if text)

    async def check_stamps(self, stamps: Iterable[tuple[str, Stamp]]) -> None:
        """Demands that stamps can be drawn and seen.

        Args:
            stamps: Each stamp's path in the request, and the stamp.

        Raises:
            InvalidArgument: One cannot be drawn, a letter of one cannot, or nothing of one can be seen.
            Unavailable: The sandbox stopped; the same call may go through later.
        """
        paths: dict[Stamp, str] = {}
        for path, stamp in stamps:
            if stamp.image is not None or not _surely_shows(stamp.text):
                paths.setdefault(stamp, path)
        if not paths:
            return
        for path, trial in zip(paths.values(), await self._sandbox.try_stamps(list(paths)), strict=True):
            if trial.refusal:
                raise InvalidArgument(path, _sentence(trial))


def _surely_shows(text: str) -> bool:
    """Whether a text is of characters that every font has, and one of them has ink."""
    return text.isascii() and any(char.isalnum() for char in text)


def _sentence(trial: Trial) -> str:
    if trial.refusal != Refusal.TEXT.value:
        return _SENTENCES.get(trial.refusal, "cannot be drawn")
    numbers = " ".join(f"U+{ord(char):04X}" for char in trial.cluster)
    return f"has a letter or symbol that cannot be drawn: {numbers}"
