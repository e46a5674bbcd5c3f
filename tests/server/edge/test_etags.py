"""ETags: one is good for the revision that it was read with, and for no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.edge import etags
from zegel_server.errors import Aborted

revisions = st.integers(0, 2**63 - 1)


@given(revisions, revisions)
def test_an_etag_stands_for_its_revision(read: int, present: int) -> None:
    etags.check(etags.of(present), present, "role")
    if read != present:
        with pytest.raises(Aborted):
            etags.check(etags.of(read), present, "role")


@pytest.mark.parametrize("present", [1, None])
def test_no_etag_overwrites_whatever_is_there(present: int | None) -> None:
    etags.check("", present, "role")


@pytest.mark.parametrize(
    "etag", ["x", '"x"', '"-1"', '"1.0"', '"' + "9" * 19 + '"', '"٣"', "W/1", "3", '"03"', '"None"']
)
@pytest.mark.parametrize("present", [3, None])
def test_another_etag_is_old(etag: str, present: int | None) -> None:
    with pytest.raises(Aborted, match="The signature request was changed") as refused:
        etags.check(etag, present, "signature_request")
    assert refused.value.reason == "ETAG_MISMATCH"
