"""Enums that accept values which only a newer server knows."""

from enum import IntEnum
from typing import Self


class OpenEnum(IntEnum):
    """An enum from the contracts.

    A number that this version does not know becomes a member ``UNKNOWN_<number>``, equal to that number, instead of
    raising ``ValueError``. Iteration does not yield it.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_{int(value)}"
        unknown._value_ = int(value)
        return unknown
