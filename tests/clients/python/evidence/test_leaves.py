"""What a leaf tells beyond its form."""

from typing import Any

import pytest

from support.merkle_log import make_trail
from zegel.evidence.canonical import dumps, loads
from zegel.evidence.leaves import asserted_of, parse_leaf


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (["address"], ("address",)),
        (["user_agent", "address", "time_zone"], ("address", "time_zone", "user_agent")),
        (["shoe_size", 1, None, ["address"]], ()),
        ("address", ()),
        ({"address": "203.0.113.7"}, ()),
        (None, ()),
    ],
)
def test_what_a_caller_asserted_is_read_by_name_and_never_by_value(said: Any, names: tuple[str, ...]) -> None:
    value: Any = loads(make_trail(1)[0])
    assert asserted_of(parse_leaf(dumps(value | {"asserted": said}))) == names
