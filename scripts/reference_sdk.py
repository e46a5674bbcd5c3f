"""The reference's pages about the SDK and the two programs: from docstrings, and from the commands themselves.

The SDK's modules are parsed and not imported, so no code runs and defaults appear as written in the source.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer.main

from contracts import ROOT, GenerationError
from methods import CLIENTS
from zegel.cli.commands import app as client_app
from zegel_server.cli import app as server_app

SDK: Final = ROOT / "clients/python/zegel"

SDK_INTRODUCTION: Final = """
Each public module. Messages and enums are names of ``zegel`` itself, ``zegel.Field`` and ``zegel.FieldType``; the pages
of the contracts have them, and each method says how the SDK calls it.
"""

SECTIONS: Final = ("Args", "Attributes", "Raises", "Returns", "Yields")

GENERATED: Final = frozenset({"enums.py"})
"""Public modules that the pages of the contracts describe."""

RETURNED: Final = SDK / "_internal/streams.py"
"""The module of what lists and streams return: no program imports it, but every program uses it."""

DEEPEST: Final = 2
"""Maximum parts of a public module's name below ``zegel``; deeper modules are reached through their package's names."""

Def = ast.FunctionDef | ast.AsyncFunctionDef


def public_modules() -> Iterator[tuple[str, Path]]:
    """Name and file of every module that a program may import, except generated ones and the command line."""
    for path in sorted(SDK.rglob("*.py")):
        where = path.relative_to(SDK)
        parts = where.with_suffix("").parts
        private = any(part.startswith("_") and part != "__init__" for part in parts)
        of_contract = "v1" in parts or (path.parent / "v1").exists()
        named = [part for part in parts if part != "__init__"]
        if not (private or of_contract or parts[0] == "cli" or where.name in GENERATED or len(named) > DEEPEST):
            yield ".".join(("zegel", *named)), path


def sdk_pages() -> Iterator[tuple[str, str]]:
    """Name and text of each page, one for each module.

    Raises:
        GenerationError: Something public has no docstring.
    """
    for name, path in public_modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines = [f"# `{name}`", "", _told(tree, name)]
        for node in [*tree.body, *_imported(tree, name)]:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                lines += _class(node, name, tree)
            elif isinstance(node, Def) and not node.name.startswith("_"):
                lines += _function(node, name, "##")
        yield f"{name}.md", "\n".join(lines) + "\n"
    tree = ast.parse(RETURNED.read_text(encoding="utf-8"))
    lines = ["# Lists and streams", "", _told(tree, "streams")]
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            lines += _class(node, "streams", tree)
    yield "lists-and-streams.md", "\n".join(lines) + "\n"


def _file_of(module: str) -> Path:
    path = SDK.parent / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(tree: ast.Module, package: str) -> Iterator[ast.stmt]:
    """What a package has its names from, on first use too (PEP 562), where that is a module without its own page."""
    with_a_page = {name for name, _ in public_modules()}
    on_first_use = [
        inner
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in node.body
    ]
    for node in [*tree.body, *on_first_use]:
        if not isinstance(node, ast.ImportFrom) or node.module in with_a_page:
            continue
        if (node.module or "").startswith(f"{package}."):
            names = {each.name for each in node.names}
            inner = ast.parse(_file_of(str(node.module)).read_text(encoding="utf-8"))
            yield from (each for each in inner.body if isinstance(each, ast.ClassDef | Def) and each.name in names)


def _inherited(node: ast.ClassDef, tree: ast.Module) -> Iterator[Def]:
    """The public methods of a base that is not public itself; the pages of the contracts have the generated ones."""
    generated = {".".join(client.path.with_suffix("").parts) for client in CLIENTS}
    bases = {ast.unparse(each) for each in node.bases}
    for imported in tree.body:
        if isinstance(imported, ast.ImportFrom) and (imported.module or "").startswith("zegel._internal"):
            if imported.module in generated:
                continue
            names = bases & {each.name for each in imported.names}
            if names:
                inner = ast.parse(_file_of(str(imported.module)).read_text(encoding="utf-8"))
                found = [each for each in inner.body if isinstance(each, ast.ClassDef) and each.name in names]
                yield from (each for base in found for each in base.body if isinstance(each, Def))


def _told(node: ast.Module | ast.ClassDef | Def, name: str) -> str:
    text = ast.get_docstring(node)
    if not text:
        raise GenerationError(f"{name} has no docstring")
    return markdown(text)


def _class(node: ast.ClassDef, module: str, tree: ast.Module) -> Iterator[str]:
    bases = ", ".join(ast.unparse(each) for each in node.bases)
    yield from ("", f"## class `{node.name}{f'({bases})' if bases else ''}`", "", _told(node, f"{module}.{node.name}"))
    for inner in [*node.body, *_inherited(node, tree)]:
        if isinstance(inner, Def) and not inner.name.startswith("_"):
            decorators = {ast.unparse(each) for each in inner.decorator_list}
            if "overload" not in decorators and not any(each.endswith(".setter") for each in decorators):
                yield from _function(inner, f"{module}.{node.name}", "###")


def _function(node: Def, owner: str, level: str) -> Iterator[str]:
    decorators = {ast.unparse(each) for each in node.decorator_list}
    if "property" in decorators or "cached_property" in decorators:
        shown = f"{node.name}: {ast.unparse(node.returns)}" if node.returns else node.name
    else:
        arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
        answer = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        shown = f"{'async ' if isinstance(node, ast.AsyncFunctionDef) else ''}{node.name}({arguments}){answer}"
    yield from ("", f"{level} `{shown}`", "", _told(node, f"{owner}.{node.name}"))


def paragraph(text: str) -> str:
    """A paragraph of a docstring on one line.

    Args:
        text: The paragraph.
    """
    return " ".join(markdown(text).split())


def markdown(text: str) -> str:
    """A docstring in Google's style as Markdown: roles and double backticks become code, sections become lists.

    Args:
        text: The docstring.
    """
    lines: list[str] = []
    section = False
    for line in inspect.cleandoc(text).split("\n"):
        head = line.removesuffix(":")
        if line.endswith(":") and head in SECTIONS:
            section = True
            lines += [f"**{head}**", ""]
        elif section and re.match(r"    \S", line):
            lines.append(_item(line.strip()))
        elif section and line.startswith("     "):
            lines.append(f"  {line.strip()}")
        else:
            section = section and not line
            lines.append(line)
    joined = re.sub(r":(?:class|meth|func|mod|attr|data):`~?\.?([^`]+)`", r"`\1`", "\n".join(lines))
    return re.sub(r"::\n", ":\n", joined.replace("``", "`"))


def _item(line: str) -> str:
    name, colon, rest = line.partition(": ")
    return f"- `{name}`: {rest}" if colon and re.fullmatch(r"[*\w.]+", name) else f"- {line}"


def command_pages() -> Iterator[tuple[str, str]]:
    """Name and text of each program's page."""
    for name, app in (("zegel", client_app), ("zegel-server", server_app)):
        group = typer.main.get_group(app)
        lines = [f"# The `{name}` command", "", paragraph(group.help or "")]
        lines += _parameters(group, name)
        lines += _commands(group, name, 2)
        yield f"{name}-command.md", "\n".join(lines) + "\n"


def _commands(group: Any, name: str, level: int) -> Iterator[str]:
    for each in sorted(group.commands):
        command = group.commands[each]
        if not command.help:
            raise GenerationError(f"{name} {each} has no help")
        yield from ("", f"{'#' * level} `{name} {each}`", "", paragraph(command.help))
        yield from _parameters(command, f"{name} {each}")
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {each}", level + 1)


def _parameters(command: Any, name: str) -> Iterator[str]:
    parameters = [each for each in command.params if each.name != "help"]
    if parameters:
        yield ""
    for each in parameters:
        yield _parameter(each, name)


def _parameter(parameter: Any, command: str) -> str:
    names = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else [parameter.name]
    shown = ", ".join(f"`{each}`" for each in names)
    variable = f" (or `{parameter.envvar}` from the environment)" if parameter.envvar else ""
    about = (parameter.help or "").strip()
    if not about and parameter.param_type_name == "option":
        raise GenerationError(f"{command}: {names[0]} has no help")
    needed = ", required" if parameter.required else ""
    return f"- {shown}{needed}{f': {about}' if about else ''}{variable}"
