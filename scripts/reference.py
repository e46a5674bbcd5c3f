"""Writes the reference in ``docs/reference`` for the contracts, the SDK and both programs.

``--check`` compares it with the tree and writes nothing. Invariants:

* No page is edited by hand: to correct one, change the comment or docstring that it is generated from.
* Every method, message, field, enum, permission, public name and command is in it. One without a comment is an error.
* It describes the tree that the script is in, even if another tree is installed in the virtual environment.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

import own_tree
import zegel.aio
from contracts import Contracts, GenerationError, value_name
from methods import TRANSFERS, snake_case
from reference_sdk import SDK_INTRODUCTION, command_pages, paragraph, sdk_pages
from zegel._internal.contract import RPCS
from zegel_server.permissions.model import BUILT_IN

REFERENCE: Final = own_tree.TREE / "docs/reference"

SCALARS: Final = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


class Reference:
    """The pages that are generated from the contracts.

    Args:
        contracts: The contracts.
    """

    def __init__(self, contracts: Contracts) -> None:
        self._contracts: Final = contracts

    def pages(self) -> Iterator[tuple[str, str]]:
        """Name and text of each page."""
        packages = sorted({file.package for file in self._contracts.own})
        spoken = {package: list(self._page(package)) for package in packages}
        for package, lines in spoken.items():
            if lines:
                yield f"{_short(package)}.md", "\n".join(lines) + "\n"
        yield "permissions.md", "\n".join(self._permissions()) + "\n"

    def _page(self, package: str) -> Iterator[str]:
        own = [file.name for file in self._contracts.own if file.package == package]
        services = [each for each in self._contracts.services if each.file.name in own]
        messages = [each for each in self._contracts.messages if each.file.name in own]
        enums = [each for each in self._contracts.enums if each.file.name in own]
        yield f"# {_short(package).capitalize()}: `{package}`"
        for service in services:
            yield from ("", f"## {service.name}", "", self._comment(service.full_name))
            for method in service.methods:
                yield from self._method(method)
        if enums:
            yield from ("", "## Enums")
            for enum in enums:
                yield from self._enum(enum)
        if messages:
            yield from ("", "## Messages")
            for message in messages:
                yield from self._message(message)

    def _comment(self, name: str) -> str:
        text = self._contracts.comments.get(name, "").strip()
        if not text:
            raise GenerationError(f"{name} has no comment")
        return text

    @cached_property
    def _calls(self) -> Mapping[str, str]:
        """The SDK's name for each method, by the full name of its request."""
        calls = [sdk_calls(kind("localhost:1", insecure=True)) for kind in (zegel.Client, zegel.aio.Client)]
        return {name: call for name, call in calls[0].items() if name in calls[1]}

    def _method(self, method: MethodDescriptor) -> Iterator[str]:
        yield from ("", f"### {method.name}", "", self._comment(method.full_name), "")
        call = TRANSFERS.get(method.name) or self._calls.get(method.input_type.full_name)
        if call is None:
            service = method.containing_service.name.removesuffix("Service")
            raise GenerationError(
                f"{method.full_name} has no method in the SDK: zegel.Client and zegel.aio.Client need {service}Methods"
            )
        yield f"- Python: `client.{call}`"
        streams = {(True, False): ", a stream of requests", (False, True): ", a stream of answers"}
        kind = streams.get((method.client_streaming, method.server_streaming), "")
        yield f"- Takes {_link(method.input_type)}, answers {_link(method.output_type)}{kind}"
        yield f"- Permission: [`{self._contracts.permission(method)}`](permissions.md)"
        record = self._contracts.access(method).records
        if record:
            enum = self._contracts.pool.FindEnumTypeByName("zegel.event.v1.EventType")
            yield f"- Event: [`{value_name(enum, f'EVENT_TYPE_{record}')}`](event.md)"
        level = method.GetOptions().idempotency_level
        told = {MethodOptions.NO_SIDE_EFFECTS: "changes nothing", MethodOptions.IDEMPOTENT: "idempotent"}
        if level in told:
            yield f"- Sent again by the client where the server does not answer: {told[level]}"

    def _enum(self, enum: EnumDescriptor) -> Iterator[str]:
        yield from ("", f"### {enum.name}", "", self._comment(enum.full_name), "")
        for value in enum.values:
            text = " ".join(self._comment(f"{enum.full_name}.{value.name}").split())
            yield f"- `{value_name(enum, value.name)}` ({value.number}): {text}"

    def _message(self, message: Descriptor) -> Iterator[str]:
        yield from ("", f"### {message.name}", "", self._comment(message.full_name))
        if message.fields:
            yield ""
        for field in message.fields:
            text = " ".join(self._comment(f"{message.full_name}.{field.name}").split())
            yield f"- `{field.name}`: {_type(field)}. {text}"

    def _permissions(self) -> Iterator[str]:
        yield from ("# Permissions and built-in roles", "", "## Permissions", "")
        yield "A role holds permissions, each in a scope. Each method demands one; `zegel.Permission` has them."
        yield from ("", "| permission | demanded by |", "|---|---|")
        users: dict[str, list[str]] = {}
        for method in self._contracts.methods:
            page = f"{_short(method.containing_service.file.package)}.md"
            link = f"[{method.name}]({page}#{method.name.lower()})"
            users.setdefault(self._contracts.permission(method), []).append(link)
        for permission in sorted(users):
            yield f"| `{permission}` | {', '.join(users[permission])} |"
        yield from ("", "## Built-in roles")
        for role in BUILT_IN.values():
            yield from ("", f"### {role.name}", "", role.description, "")
            scopes: dict[str, list[str]] = {}
            for grant in sorted(role.grants, key=lambda grant: grant.permission):
                scopes.setdefault(str(grant.scope.name), []).append(f"`{grant.permission}`")
            for scope in sorted(scopes):
                yield f"- `{scope}`: {', '.join(scopes[scope])}"


def sdk_calls(client: object) -> Mapping[str, str]:
    """A client's name for each of its methods, such as ``identity.get_tenant``, by the full name of the request.

    Args:
        client: The client.
    """
    called = {(rpc.service.rpartition(".")[2], snake_case(rpc.name)): request for request, rpc in RPCS.items()}
    return {
        request: f"{service}.{name}"
        for service, value in vars(client).items()
        for base in type(value).__mro__
        for name in vars(base)
        if (request := called.get((f"{base.__name__.removesuffix('Methods')}Service", name)))
    }


def _short(package: str) -> str:
    return package.split(".")[1]


def _link(message: Descriptor | EnumDescriptor) -> str:
    if not message.file.package.startswith("zegel."):
        return f"`{message.full_name}`"
    return f"[`{message.name}`]({_short(message.file.package)}.md#{message.name.lower()})"


def _type(field: FieldDescriptor) -> str:
    held = field.message_type or field.enum_type
    name = _link(held) if held is not None else f"`{SCALARS[field.type]}`"
    if field.is_repeated:
        return f"repeated {name}"
    choice = field.containing_oneof
    return f"{name}, one of `{choice.name}`" if choice is not None and len(choice.fields) > 1 else name


def made() -> dict[str, str]:
    """Generates every page, by its name.

    Raises:
        GenerationError: Something has no comment, or the contracts do not compile.
    """
    contracts = dict(Reference(Contracts.compiled()).pages())
    sdk, programs = dict(sdk_pages()), dict(command_pages())
    lines = [
        "# Reference",
        "",
        "Generated by `scripts/reference.py` from the contracts, the docstrings and the commands themselves.",
    ]
    groups = (
        ("The contracts", "Each method, message, field and enum.", contracts),
        ("The SDK", paragraph(SDK_INTRODUCTION), sdk),
        ("The programs", "Each command with its arguments and options.", programs),
    )
    for title, about, pages in groups:
        lines += ["", f"## {title}", "", about, ""]
        lines += [f"- [{text.partition(chr(10))[0].removeprefix('# ')}]({name})" for name, text in pages.items()]
    return {"README.md": "\n".join(lines) + "\n", **contracts, **sdk, **programs}


def differences(pages: Mapping[str, str], folder: Path) -> list[str]:
    """Compares pages with a folder.

    Args:
        pages: The pages, by name.
        folder: Where they should be.

    Returns:
        One sentence for each file that differs; empty when there is none.
    """
    held = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*")} if folder.exists() else {}
    found = [f"{name} is missing" for name in sorted(pages.keys() - held.keys())]
    found += [f"{name} describes nothing that is there" for name in sorted(held.keys() - pages.keys())]
    return found + [f"{name} differs" for name in sorted(pages.keys() & held.keys()) if pages[name] != held[name]]


def main() -> int:
    """Runs the program.

    Returns:
        The exit code: 1 when the check found a difference.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the tree, write nothing")
    check = parser.parse_args().check
    pages = made()
    found = differences(pages, REFERENCE)
    if check:
        for difference in found:
            print(f"reference: {difference}; run `scripts/reference.py`", file=sys.stderr)
        return 1 if found else 0
    REFERENCE.mkdir(exist_ok=True)
    for path in REFERENCE.glob("*"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    print(f"{len(pages)} pages, {len(found)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
