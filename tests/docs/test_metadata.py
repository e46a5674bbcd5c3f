"""The page on metadata names what the server reads and sends, with the limits that it has."""

from typing import get_args

from support.tools import ROOT
from zegel_server.edge.call import MAX_USER_AGENT
from zegel_server.edge.grpc_adapter.server import MAX_METADATA
from zegel_server.edge.grpc_adapter.status import DETAILS_KEY
from zegel_server.edge.methods import STREAM_CAP_S, UNARY_CAP_S
from zegel_server.edge.proxies import Header

PAGE = (ROOT / "docs/metadata.md").read_text(encoding="utf-8")


def test_it_names_every_key() -> None:
    for key in ("authorization", "user-agent", "grpc-timeout", DETAILS_KEY, *get_args(Header)):
        assert f"`{key}`" in PAGE


def test_its_limits_are_the_server_s() -> None:
    assert f"{MAX_METADATA // 2**10} KiB" in PAGE
    assert f"{MAX_USER_AGENT} characters" in PAGE
    assert f"{UNARY_CAP_S:g} seconds" in PAGE
    assert f"{STREAM_CAP_S / 3600:g} hours" in PAGE
