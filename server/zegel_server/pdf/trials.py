"""Drawing a field's value as a trial when it is filled in, to reject at once what could not be shown later.

Texts and pictures are drawn only in the sandbox, and in the same way as sealing will draw them.

Invariants:

* What passes can be drawn completely and can be seen: no letter is missing, and it leaves ink on the page.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from zegel_server.errors import InvalidArgument
from zegel_server.pdf.model import Stamp, Trial
from zegel_server.pdf.refusal import Refusal

_SIDE: Final = 200.0
"""Width and height, in points, of the box that a text is tried in; a text shrinks to fit any box."""

_KEPT_DAYS: Final = 1_024
"""Days in boxes of one size whose trial is remembered: most requests of a day have the same, and nobody typed them."""

_SENTENCES: Final = {
    Refusal.BLANK.value: "must be something that can be seen",
    Refusal.IMAGE.value: "must be a PNG that can be drawn",
    Refusal.SMALL.value: "must be large enough for a day and the name of its time zone",
}


class TryingSandbox(Protocol):
    """The part of the sandbox that draws stamps as a trial."""

    async def try_stamps(self, stamps: list[Stamp]) -> list[Trial]:
        """Draws stamps as a trial.

        Args:
            stamps: The stamps.

        Returns:
            The result for each, in order.

        Raises:
            InvalidArgument: There are more than a request may have.
            Unavailable: The sandbox stopped.
        """
        ...


class Trials:
    """Checks that texts and stamps can be drawn and seen, by drawing them.

    Args:
        sandbox: Draws them.
    """

    def __init__(self, sandbox: TryingSandbox) -> None:
        self._sandbox = sandbox
        self._passed: set[Stamp] = set()

    async def check_texts(self, texts: Iterable[tuple[str, str]]) -> None:
        """Check that texts can be drawn and seen.

        Args:
            texts: Each text's path in the request, and the text; an empty text passes.

        Raises:
            InvalidArgument: A letter of a text cannot be drawn, or nothing of a text can be seen.
            Unavailable: The sandbox stopped; the same call may succeed later.
        """
        await self.check_stamps((path, Stamp(1, 0.0, 0.0, _SIDE, _SIDE, "text", text)) for path, text in texts if text)

    async def check_stamps(self, stamps: Iterable[tuple[str, Stamp]]) -> None:
        """Check that stamps can be drawn and seen.

        Args:
            stamps: Each stamp's path in the request, and the stamp.

        Raises:
            InvalidArgument: A stamp or one of its letters cannot be drawn, or nothing of a stamp can be seen, or a day
                would be too small to read.
            Unavailable: The sandbox stopped; the same call may succeed later.
        """
        paths: dict[Stamp, str] = {}
        for path, stamp in stamps:
            is_day = stamp.kind == "date"
            if (stamp.image is not None or is_day or not _surely_shows(stamp.text)) and stamp not in self._passed:
                paths.setdefault(stamp, path)
        if not paths:
            return
        for path, trial in zip(paths.values(), await self._sandbox.try_stamps(list(paths)), strict=True):
            if trial.refusal:
                raise InvalidArgument(path, _sentence(trial))
        if len(self._passed) >= _KEPT_DAYS:
            self._passed.clear()
        self._passed.update(stamp for stamp in paths if stamp.kind == "date" and stamp.image is None)


def _surely_shows(text: str) -> bool:
    """Whether a text surely shows: every font has all of its characters, and at least one of them leaves ink."""
    return text.isascii() and any(char.isalnum() for char in text)


def _sentence(trial: Trial) -> str:
    if trial.refusal != Refusal.TEXT.value:
        return _SENTENCES.get(trial.refusal, "cannot be drawn")
    numbers = " ".join(f"U+{ord(char):04X}" for char in trial.cluster)
    return f"has a letter or symbol that cannot be drawn: {numbers}"
