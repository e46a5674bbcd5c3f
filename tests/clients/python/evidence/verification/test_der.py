import itertools

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from zegel.evidence.verification.der import DerError, read_element, read_only_element


@given(st.integers(0, 0x1E), st.binary(max_size=70_000))
def test_der_has_one_length(tag: int, content: bytes) -> None:
    encoded = core.OctetString(content).dump()
    element = read_only_element(bytes([tag]) + encoded[1:], tag)
    assert element.content == content


@pytest.mark.parametrize(
    "bad",
    ["", "30", "3001", "3080", "308100", "30817f", "30820001", "3084ffffffff", "30850000000000", "1f0100", "ff8101"],
)
def test_der_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(DerError):
        read_element(bytes.fromhex(bad))


@given(st.binary(max_size=30))
def test_what_is_read_is_what_stood_there(data: bytes) -> None:
    try:
        element = read_element(data)
        children = element.elements()
    except DerError:
        return
    assert data.startswith(element.encoding)
    assert b"".join(itertools.chain(c.encoding for c in children)) == element.content
