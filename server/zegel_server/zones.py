"""Time zones by their names in the IANA database, as the package ``tzdata`` has it, and the day that it is in one.

The machine's own copy is not used: the same name is valid, and gives the same day, wherever a server runs.
"""

from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from zegel_server import clock

UTC: Final = "UTC"
"""The zone of whoever names none."""
MAX_NAME: Final = 32
"""Characters of the longest name, ``America/Argentina/ComodRivadavia``."""

_NO_ZONE: Final = "Factory"
"""The database's own name for a clock that nobody has set."""


@cache
def names() -> frozenset[str]:
    """All names of the database, older ones that now mean the same as another included."""
    listed = files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    return frozenset(listed) - {_NO_ZONE}


def day(microseconds: int, name: str) -> str:
    """The day that it is in a zone, with the zone's name.

    Args:
        microseconds: Since the epoch.
        name: One of ``names``.

    Returns:
        Such as ``2026-11-29 Pacific/Auckland``.

    Raises:
        KeyError: There is no such zone.
    """
    return f"{clock.to_datetime(microseconds).astimezone(_zone(name)).date().isoformat()} {name}"


@cache
def _zone(name: str) -> ZoneInfo:
    if name not in names():
        raise KeyError(name)
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)
