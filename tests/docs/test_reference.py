"""The reference is whole and current: all that the contracts, the SDK and the programs have is in it."""

import importlib
import inspect
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

import zegel
import zegel.evidence
from reference import REFERENCE, differences, made
from reference_sdk import markdown, public_modules
from support.contracts import METHODS
from zegel.cli.commands import app as client_app
from zegel_server.cli import app as server_app


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}


def test_the_reference_is_current() -> None:
    assert differences(made(), REFERENCE) == []


def test_it_describes_its_own_tree_even_where_another_is_installed(tmp_path: Path) -> None:
    for package in ("zegel", "zegel_server"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("", encoding="utf-8")
    scripts = REFERENCE.parents[1] / "scripts"
    shown = subprocess.run(
        [sys.executable, "-c", "import reference, zegel, zegel_server; print(zegel.__file__, zegel_server.__file__)"],
        cwd=scripts,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    tree = scripts.parent
    assert shown.split() == [
        str(tree / "clients/python/zegel/__init__.py"),
        str(tree / "server/zegel_server/__init__.py"),
    ]


def test_a_page_that_differs_is_missing_or_is_left_over_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "reference"
    shutil.copytree(REFERENCE, copy)
    held = {path.name: path.read_text(encoding="utf-8") for path in copy.iterdir()}
    (copy / "signing.md").write_text("stale", encoding="utf-8")
    (copy / "event.md").unlink()
    (copy / "gone.md").write_text("left over", encoding="utf-8")
    assert differences(held, copy) == [
        "event.md is missing",
        "gone.md describes nothing that is there",
        "signing.md differs",
    ]


def test_every_method_message_and_field_is_there(pages: dict[str, str]) -> None:
    for method in METHODS:
        page = pages[f"{method.containing_service.file.package.split('.')[1]}.md"]
        assert f"\n### {method.name}\n" in page
        for message in (method.input_type, method.output_type):
            part = page.partition(f"\n### {message.name}\n")[2].partition("\n### ")[0]
            assert [field.name for field in message.fields if f"\n- `{field.name}`: " not in part] == []


def test_every_enum_and_permission_is_there(pages: dict[str, str]) -> None:
    whole = "\n".join(pages.values())
    for kind in (zegel.EventType, zegel.FieldType, zegel.ErrorReason, zegel.SignatureRequestState, zegel.Scope):
        part = whole.partition(f"\n### {kind.__name__}\n")[2].partition("\n## ")[0]
        assert [each.name for each in kind if f"\n- `{each.name}` (" not in part] == []
    assert [each for each in zegel.Permission if f"\n| `{each}` | [" not in pages["permissions.md"]] == []


def test_every_public_class_and_function_of_the_sdk_is_there(pages: dict[str, str]) -> None:
    names = [name for name, _ in public_modules()]
    evidence = {f"zegel.evidence.{each.name}" for each in pkgutil.iter_modules(zegel.evidence.__path__)}
    assert set(names) >= {"zegel", "zegel.client", "zegel.aio", "zegel.errors", "zegel.segments"} | evidence
    for name in names:
        module, page = importlib.import_module(name), pages[f"{name}.md"]
        for each, value in vars(module).items():
            ours = getattr(value, "__module__", None) == name and not each.startswith("_")
            if ours and (inspect.isclass(value) or inspect.isfunction(value)) and value.__name__ == each:
                assert f"`{each}(" in page or f"`async {each}(" in page or f"## class `{each}" in page, f"{name}.{each}"


def test_what_both_clients_inherit_is_there(pages: dict[str, str]) -> None:
    for page in ("zegel.client.md", "zegel.aio.md"):
        for method in ("with_token", "with_timeout", "exchange", "close", "upload", "download"):
            assert f"{method}(" in pages[page]
    assert "`pages()" in pages["lists-and-streams.md"]


@pytest.mark.parametrize(("name", "app"), [("zegel", client_app), ("zegel-server", server_app)])
def test_every_command_and_option_is_there(name: str, app: Any, pages: dict[str, str]) -> None:
    page, left = pages[f"{name}-command.md"], [(name, typer.main.get_group(app))]
    while left:
        path, command = left.pop()
        left += [(f"{path} {each}", inner) for each, inner in getattr(command, "commands", {}).items()]
        part = page.partition(f"# The `{name}` command\n" if path == name else f"# `{path}`\n")[2].partition("\n#")[0]
        for option in (each for parameter in command.params for each in parameter.opts if each.startswith("--")):
            assert option == "--help" or f"`{option}`" in part, (path, option)
        assert path == name or part.strip(), path


def test_a_docstring_becomes_markdown() -> None:
    text = "Does :meth:`~a.b`.\n\nArgs:\n    one: The ``first``,\n        on two lines.\n\nReturns:\n    A number: 3.\n"
    assert markdown(text) == (
        "Does `a.b`.\n\n**Args**\n\n- `one`: The `first`,\n  on two lines.\n\n**Returns**\n\n- A number: 3."
    )
