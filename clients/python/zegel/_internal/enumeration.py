"""Enums that survive a value which only a newer server knows."""

from enum import IntEnum
from typing import Self


class OpenEnum(IntEnum):
    """An enum of a contract.

    A number that this version does not know becomes a member ``UNKNOWN_<number>``, equal to that number, and raises
    nothing; it is not among the members that iteration yields.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_{int(value)}"
        unknown._value_ = int(value)
        return unknown
