"""References between objects, and the order in which objects are numbered.

Invariants:

* An object gets its number when it is first reached, breadth first, from the heads in order; the references within an
  object are followed in the order in which they are spelled. So no unreachable object has a number, and the numbering
  leaves no choice.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Protocol, runtime_checkable

from zegel.evidence.sealed_file.syntax import FormError, Ref, Stream, Value

Number = int | Decimal


@runtime_checkable
class Known(Protocol):
    """Objects whose references are already known."""

    def led_to(self, number: int) -> Iterable[int]:
        """The numbers of the objects that an object refers to, in the order in which they are spelled."""


def references(value: Value) -> Iterator[int]:
    """The numbers of the objects that a value refers to, in the order in which they are spelled.

    Args:
        value: The value.
    """
    stack: list[Value] = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, Ref):
            yield each.number
        elif isinstance(each, list):
            stack.extend(reversed(each))
        elif isinstance(each, dict | Stream):
            entries = each.entries if isinstance(each, Stream) else each
            stack.extend(entries[key] for key in sorted(entries, reverse=True))


def demand_order(objects: Mapping[int, Value], heads: Iterable[int], first: int, fixed: range) -> None:
    """Check that objects are numbered in the order in which they are reached.

    Args:
        objects: All objects, by their numbers.
        heads: The objects from which the others are reached, in order.
        first: The number of the first object that is not a head.
        fixed: Numbers that may be referred to and are not followed, such as those of an earlier revision.

    Raises:
        FormError: An object is numbered differently, missing, or unreachable.
    """
    queue = list(heads)
    known = set(queue)
    expected = first
    place = 0
    led_to = objects.led_to if isinstance(objects, Known) else lambda number: references(objects[number])
    while place < len(queue):
        if queue[place] not in objects:
            raise FormError(f"object {queue[place]} is absent")
        for number in led_to(queue[place]):
            if number in known or number in fixed:
                continue
            if number != expected:
                raise FormError(f"object {number} is out of order")
            known.add(number)
            queue.append(number)
            expected += 1
        place += 1
    if len(known) != len(objects):
        raise FormError("there is an object that nothing refers to")


def is_number(value: object) -> bool:
    """Whether a value is a number.

    Args:
        value: The value.
    """
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def rectangle(value: Value) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """The four numbers of a rectangle, the lower left corner first.

    Args:
        value: The value.

    Raises:
        FormError: It is not a rectangle.
    """
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):  # noqa: PLR2004 - corners
        raise FormError("a rectangle does not have four numbers")
    left, bottom, right, top = (Decimal(str(item)) for item in value)
    if left >= right or bottom >= top:
        raise FormError("a rectangle has its corners in another order")
    return left, bottom, right, top
