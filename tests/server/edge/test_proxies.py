"""Where a call comes from: a proxy that is named is believed, and nobody else."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.edge.proxies import Header, Proxies

NETWORKS = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")]
TRUSTING = Proxies(NETWORKS)


def client(peer: str, *told: str, header: Header = "x-forwarded-for", proxies: Proxies | None = None) -> str:
    believed = proxies or Proxies(NETWORKS, header)
    return believed.client_of(peer, [("user-agent", "x"), *((header, each) for each in told)])


@pytest.mark.parametrize(
    ("peer", "told", "expected"),
    [
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["198.51.100.9, 192.0.2.7"], "192.0.2.7"),  # the first was the client's own invention
        ("10.0.0.1", ["192.0.2.7, 10.2.2.2"], "192.0.2.7"),  # two proxies of ours
        ("10.0.0.1", ["192.0.2.7", "10.2.2.2"], "192.0.2.7"),  # in two headers
        ("10.0.0.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),  # a client of our own network
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7, unknown, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", ["192.0.2.7:4711"], "192.0.2.7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:192.0.2.7"], "192.0.2.7"),
        ("::ffff:10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("2001:db8:1::5", ["192.0.2.7"], "192.0.2.7"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),  # nobody named it
        ("", ["198.51.100.9"], ""),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_the_client(peer: str, told: list[str], expected: str) -> None:
    assert client(peer, *told) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("for=192.0.2.7", "192.0.2.7"),
        ('For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ("for=192.0.2.43, for=192.0.2.7;proto=https;by=10.0.0.1", "192.0.2.7"),
        ('proto=https; for="192.0.2.7:80"', "192.0.2.7"),
        ("for=_hidden", "10.0.0.1"),
        ("192.0.2.7", "10.0.0.1"),
        ("by=192.0.2.7", "10.0.0.1"),
    ],
)
def test_the_standard_header_is_read_where_it_is_the_one_named(told: str, expected: str) -> None:
    assert client("10.0.0.1", told, header="forwarded") == expected


def test_the_header_that_is_not_named_is_not_read() -> None:
    metadata = [("forwarded", "for=198.51.100.9"), ("x-forwarded-for", "192.0.2.7")]
    assert Proxies(NETWORKS).client_of("10.0.0.1", metadata) == "192.0.2.7"
    assert Proxies(NETWORKS, "forwarded").client_of("10.0.0.1", metadata) == "198.51.100.9"


def test_nobody_is_believed_where_none_is_named() -> None:
    assert client("10.0.0.1", "192.0.2.7", proxies=Proxies()) == "10.0.0.1"


@given(st.lists(st.text(max_size=50), max_size=5), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_whatever_a_client_says_before_what_the_proxy_appends_counts_for_nothing(
    invented: list[str], header: Header
) -> None:
    said = "for=192.0.2.7" if header == "forwarded" else "192.0.2.7"
    assert client("10.0.0.1", *invented, said, header=header) == "192.0.2.7"
    assert client("10.0.0.1", ",".join([*invented, said]), header=header) == "192.0.2.7"


@given(st.lists(st.text(max_size=3_000) | st.binary(max_size=50).map(repr), max_size=4))
def test_no_header_makes_it_raise_or_return_what_is_no_address(told: list[str]) -> None:
    for header in ("x-forwarded-for", "forwarded"):
        address = client("10.0.0.1", *told, header=header)
        assert ip_network(address).num_addresses == 1
