"""The check of the tree: it finds what must not be committed, and finds nothing in what is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

import check_tree
import lockfiles

SLASH = "/"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a package registry's address", "--index-url https://pypi" + ".org/simple"),
        ("a package registry's address", "registry." + "npmjs" + ".org"),
        ("a package registry's address", "GOPROXY=https://proxy" + ".golang.org"),
        ("a path of one machine", f'open("{SLASH}work/main/x")'),
        ("a path of one machine", f"see {SLASH}tmp/notes"),
        ("a path of one machine", f"file:{SLASH}{SLASH}{SLASH}home/somebody"),
        ("a private key", "-----BEGIN " + "PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA=="),
        ("a private key", "-----BEGIN EC " + "PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA=="),
    ],
)
def test_what_must_not_be_committed_is_found(what: str, text: str) -> None:
    assert check_tree.FORBIDDEN[what].search(text)


@pytest.mark.parametrize(
    "text", ["docs/work/order", "the pypi client", f"$HOME{SLASH}work", "framework/tmp", "a/home/b"]
)
def test_what_only_looks_alike_is_not(text: str) -> None:
    assert not any(pattern.search(text) for pattern in check_tree.FORBIDDEN.values())


def test_the_locks_answer_the_projects() -> None:
    assert lockfiles.problems() == []


def test_a_lock_line_is_only_name_version_and_hash() -> None:
    beginnings = ("#", "    #", "    --hash=sha256:")
    for path in (lockfiles.RUNTIME, lockfiles.DEV):
        for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
            assert line.startswith(beginnings) or lockfiles.PIN.fullmatch(line.removesuffix(" \\")), line


def test_the_trees_own_distributions_are_never_asked_of_a_registry() -> None:
    assert not lockfiles.OWN & set(lockfiles.pins(lockfiles.DEV))
    assert not any(requirement.name in lockfiles.OWN for requirement in lockfiles.wanted("build", "dev"))


@given(st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True), st.integers(0, 99), st.integers(0, 99))
def test_a_pin_is_read_back(name: str, major: int, minor: int) -> None:
    match = lockfiles.PIN.match(f"{name}=={major}.{minor} \\")
    assert match
    assert match["name"] == name
    assert Requirement(f"{name}=={major}.{minor}").specifier.contains(match["version"])
