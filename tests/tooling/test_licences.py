"""The licence check: what an SPDX expression leaves us must be allowed, and metadata of every fashion is read."""

from importlib.metadata import Distribution, distribution

import pytest
from hypothesis import given
from hypothesis import strategies as st

import licences

NAMES = st.sampled_from(["MIT", "Apache-2.0", "GPL-3.0-only", "AGPL-3.0-or-later"])


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", True),
        ("MIT OR GPL-3.0-only AND AGPL-3.0-only", True),
        ("(MIT OR GPL-3.0-only) AND AGPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("(MIT", False),
        ("MIT)", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_when_it_can_be_met(expression: str, allowed: bool) -> None:
    assert licences.Expression(expression).is_allowed() is allowed


@given(left=NAMES, right=NAMES)
def test_or_chooses_and_and_demands_both(left: str, right: str) -> None:
    single = {name: licences.Expression(name).is_allowed() for name in (left, right)}
    assert licences.Expression(f"{left} OR {right}").is_allowed() is (single[left] or single[right])
    assert licences.Expression(f"({left}) AND ({right})").is_allowed() is (single[left] and single[right])


@pytest.mark.parametrize(("name", "expected"), [("pikepdf", "MPL-2.0"), ("grpcio", "Apache-2.0"), ("pyHanko", "MIT")])
def test_installed_metadata_is_read(name: str, expected: str) -> None:
    assert licences.licence(distribution(name)) == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("License: GNU General Public License v3", "GNU General Public License v3"),
        ("License: 3-Clause BSD License", "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: MIT License", "MIT"),
        ("License-Expression: 0BSD\nLicense: MIT", "0BSD"),
        ("Summary: says nothing", "none named"),
    ],
)
def test_each_fashion_of_metadata_is_read(
    metadata: str, expected: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("site") / "made_up-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: made-up\nVersion: 1.0\n{metadata}\n")
    assert licences.licence(Distribution.at(folder)) == expected
