"""What a client refuses of a token before it is sent, and what goes with a token."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

import zegel
import zegel.aio
from zegel._internal.port import prepared


@pytest.mark.parametrize("kind", [zegel.Client, zegel.aio.Client])
@pytest.mark.parametrize("token", ["zk_one\n", "zk_\xf6", "zk_\udcef", "zk_\x00"])
def test_a_token_that_no_header_can_carry_is_refused_before_a_call(kind: Callable[..., Any], token: str) -> None:
    with pytest.raises(ValueError, match="token: ") as refused:
        kind("localhost:1", token=token)
    assert token not in str(refused.value)
    with pytest.raises(ValueError, match="token: "):
        kind("localhost:1").with_token(token)


@pytest.mark.parametrize("kind", [zegel.Client, zegel.aio.Client])
def test_where_a_signer_is_stays_with_that_signers_token(kind: Callable[..., Any]) -> None:
    said = kind("localhost:1", token="zs_one").with_asserted_origin(address="203.0.113.7", time_zone="UTC")

    def asserted(client: Any, request: Message) -> str:
        prepared(request, client._call)
        return str(getattr(request, "asserted_origin").address)  # noqa: B009 - any request of the ceremony

    assert asserted(said, zegel.OpenCeremonyRequest()) == "203.0.113.7"
    assert asserted(said.with_timeout(5), zegel.SignDocumentsRequest()) == "203.0.113.7"
    assert asserted(said.with_token("zs_two"), zegel.OpenCeremonyRequest()) == ""
    own = zegel.DeclineSignatureRequest(asserted_origin=zegel.AssertedOrigin(address="192.0.2.1"))
    assert asserted(said, own) == "192.0.2.1"
    assert "203.0.113.7" not in repr(said) + repr(said._call)
