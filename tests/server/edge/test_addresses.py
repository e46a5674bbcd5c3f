"""Addresses from their text form, and what they count under."""

from zegel_server.edge.addresses import site_of


def test_an_ipv6_site_counts_as_one() -> None:
    assert site_of("2001:db8::1") == site_of("2001:db8::ffff:1") != site_of("2001:db8:0:1::1")
    assert site_of("::ffff:192.0.2.1") == site_of("192.0.2.1") == "192.0.2.1"
    assert site_of("fe80::1%eth0") == site_of("fe80::1")
    assert site_of("") == ""
    assert site_of("not an address") == "not an address"
