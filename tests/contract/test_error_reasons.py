"""Each reason that the server can give is in the catalogue, with the status and the keys that its comment shows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2

from support.contracts import comments, error_of
from support.tools import ROOT
from zegel.error.v1 import error_reason_pb2
from zegel_server import errors
from zegel_server.edge import status as edge
from zegel_server.errors import ZegelError

PREFIX = "ERROR_REASON_"
REASONS = [
    name.removeprefix(PREFIX) for name, _ in error_reason_pb2.ErrorReason.items() if not name.endswith("UNSPECIFIED")
]
SOURCES = sorted((ROOT / "server/zegel_server").rglob("*.py"))


def kinds(of: type[ZegelError] = ZegelError) -> Iterator[type[ZegelError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


KINDS = {kind.__name__: kind for kind in kinds()}


@pytest.fixture(scope="session")
def shown(descriptors: descriptor_pb2.FileDescriptorSet) -> dict[str, tuple[str, dict[str, object]]]:
    """What each reason's comment shows: its status, and its ``ErrorInfo``."""
    found = {}
    for file in descriptors.file:
        for name, comment in comments(file):
            if name.startswith(f"zegel.error.v1.ErrorReason.{PREFIX}") and not name.endswith("UNSPECIFIED"):
                example = error_of(comment.replace("\n", " "))
                assert example is not None, f"{name} shows no error"
                found[name.rpartition(PREFIX)[2]] = example
    return found


def raised() -> Iterator[tuple[str, str, ast.Call]]:
    """Every typed error that is made anywhere: where, its class, and the call."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in KINDS:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", name, node


def written_reasons() -> Iterator[tuple[str, str]]:
    """Every reason that is written down anywhere, as a keyword, a default or a class's own."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.keyword) and node.arg == "reason":
                for each in ast.walk(node.value):
                    if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value.isupper():
                        yield where, each.value
            if isinstance(node, ast.AnnAssign | ast.Assign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(getattr(target, "id", "") == "default_reason" for target in targets):
                    assert isinstance(node.value, ast.Constant)
                    yield where, str(node.value.value)


def test_every_reason_is_in_the_catalogue() -> None:
    written = list(written_reasons())
    assert len(written) > 60
    assert [(where, reason) for where, reason in written if reason not in REASONS] == []


def test_every_reason_is_given_somewhere_or_said_to_be_planned(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    named = {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    said = {name: comment for file in descriptors.file for name, comment in comments(file)}
    planned = {reason for reason in REASONS if "Planned: " in said[f"zegel.error.v1.ErrorReason.{PREFIX}{reason}"]}
    assert planned == {"LEGAL_HOLD"}
    assert [reason for reason in REASONS if (reason in named) == (reason in planned)] == []


def test_nobody_sends_the_unspecified_one() -> None:
    for path in SOURCES:
        assert "REASON_UNSPECIFIED" not in path.read_text(encoding="utf-8"), path


def test_each_comment_shows_the_error_that_it_stands_for(shown: dict[str, tuple[str, dict[str, object]]]) -> None:
    assert sorted(shown) == sorted(REASONS)
    for reason, (status, info) in shown.items():
        assert status in grpc.StatusCode.__members__, reason
        assert set(info) == {"reason", "domain", "metadata"}
        assert (info["reason"], info["domain"]) == (reason, edge.DOMAIN)
        if status == "INVALID_ARGUMENT":
            assert "field" in info["metadata"], reason  # type: ignore[operator]


def test_each_class_has_the_status_that_its_reason_shows(shown: dict[str, tuple[str, dict[str, object]]]) -> None:
    for kind in KINDS.values():
        if kind.__module__.startswith("zegel_server"):
            assert shown[kind.default_reason][0] == kind.status.name, kind


def test_whatever_is_raised_has_the_status_and_the_keys_that_are_shown(
    shown: dict[str, tuple[str, dict[str, object]]],
) -> None:
    wrong = []
    made = list(raised())
    assert len(made) > 100
    for where, name, call in made:
        kind = KINDS[name]
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        literal = given.pop("reason", None)
        if literal is not None and not isinstance(literal, ast.Constant):
            continue  # decided elsewhere, where the scan above sees the literals
        reason = str(literal.value) if literal else kind.default_reason
        status, info = shown[reason]
        metadata = info["metadata"]
        assert isinstance(metadata, dict)
        if status != kind.status.name:
            wrong.append(f"{where}: {reason} is shown with {status}, not {kind.status.name}")
        keys = {str(key) for key in given if key is not None} - {"message", "field", "kind", "retry_after_s"}
        if not keys <= set(metadata):
            wrong.append(f"{where}: {reason} has {sorted(keys - set(metadata))}, which its comment does not show")
    assert wrong == []


def test_the_module_of_errors_has_no_class_that_nobody_raises() -> None:
    made = {name for _, name, _ in raised()}
    own = {name for name, kind in KINDS.items() if kind.__module__ == errors.__name__}
    assert own - made == set()


def test_sources_were_found() -> None:
    assert Path(ROOT / "server/zegel_server/errors.py") in SOURCES
