"""The objects of a revision: where each begins, and which others it refers to. Values are read when asked for.

Values take some twenty times the memory of their text, so those of a whole file are never held.

Invariants:

* An object's value follows from the file's bytes only, which do not change.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from zegel.evidence.sealed_file.graph import references
from zegel.evidence.sealed_file.syntax import FormError, Stream, Value, read_value

_KEPT_BYTES: Final = 2**20
"""Values with up to this many bytes of text in all are kept nevertheless, since most are asked for again."""


class Objects(Mapping[int, Value]):
    """Objects by their numbers, in their order.

    Args:
        data: The file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        self._numbers = array("L")
        self._places = array("Q")
        self._values = array("Q")
        self._streams = array("Q")  # begin and end of each one's data; nothing is 0, 0
        self._led = array("L")
        self._ends = array("Q")
        self._kept: dict[int, Value] = {}
        self._room = _KEPT_BYTES

    def add(self, number: int, place: int, span: tuple[int, int], value: Value, stream: tuple[int, int]) -> None:
        """Add an object that was read; its number must be larger than those before.

        Args:
            number: Its number.
            place: Where it begins.
            span: Where its value begins and ends.
            value: Its value, or its stream's dictionary.
            stream: Where its stream's data begins and ends; 0, 0 if it has none.
        """
        self._numbers.append(number)
        self._places.append(place)
        self._values.append(span[0])
        self._streams.extend(stream)
        self._led.extend(references(value))
        self._ends.append(len(self._led))
        self._room -= span[1] - span[0]
        if self._room >= 0:
            self._kept[number] = self._as_object(number, value, *stream)

    def __getitem__(self, number: int) -> Value:
        """The object's value, read from the file.

        Raises:
            KeyError: There is none.
        """
        if number in self._kept:
            return self._kept[number]
        index = self._index(number)
        value, _ = read_value(self._data, self._values[index])
        return self._as_object(number, value, *self._streams[2 * index : 2 * index + 2])

    def _as_object(self, number: int, value: Value, begin: int, end: int) -> Value:
        if not begin:
            return value
        if not isinstance(value, dict):
            raise FormError(f"object {number} is a stream without a dictionary")
        entries = {key: item for key, item in value.items() if key != "Length"}
        return Stream(entries, self._view[begin:end])

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, number: object) -> bool:
        try:
            return isinstance(number, int) and self._index(number) >= 0
        except KeyError:
            return False

    @property
    def places(self) -> Sequence[int]:
        """Where each object begins, in order."""
        return self._places

    def place_of(self, number: int) -> int:
        """Where an object begins.

        Args:
            number: Which.

        Raises:
            KeyError: There is none.
        """
        return self._places[self._index(number)]

    def led_to(self, number: int) -> Sequence[int]:
        """The numbers of the objects that an object refers to, in the order in which they are spelled.

        Args:
            number: Which.

        Raises:
            KeyError: There is none.
        """
        index = self._index(number)
        return self._led[self._ends[index - 1] if index else 0 : self._ends[index]]

    def _index(self, number: int) -> int:
        index = bisect_left(self._numbers, number)
        if index == len(self._numbers) or self._numbers[index] != number:
            raise KeyError(number)
        return index
