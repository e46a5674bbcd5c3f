"""What a client refuses of a token before it is sent."""

from collections.abc import Callable
from typing import Any

import pytest

import zegel
import zegel.aio


@pytest.mark.parametrize("kind", [zegel.Client, zegel.aio.Client])
@pytest.mark.parametrize("token", ["zk_one\n", "zk_\xf6", "zk_\udcef", "zk_\x00"])
def test_a_token_that_no_header_can_carry_is_refused_before_a_call(kind: Callable[..., Any], token: str) -> None:
    with pytest.raises(ValueError, match="token: ") as refused:
        kind("localhost:1", token=token)
    assert token not in str(refused.value)
    with pytest.raises(ValueError, match="token: "):
        kind("localhost:1").with_token(token)
