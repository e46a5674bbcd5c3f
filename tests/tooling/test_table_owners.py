"""Tables have one owner: no module names another domain's table, or writes what is only shown to it."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table
from sqlalchemy.sql.dml import UpdateBase

import zegel_server
from zegel_server.db import Statement, schema
from zegel_server.db.ownership import OWNERS, SHOWN, WRITTEN

ROOT = Path(zegel_server.__file__).parent
DOMAINS = sorted(set(OWNERS.values()))
OTHERS = {("keys", "metadata")}
"""What a domain imports of the schema beside tables: rotation asks it for every table with wrapped keys."""
_SQL_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)\b")


def faults_of(domain: str, source: str) -> Iterator[str]:
    """What a module of a domain may not do, by its source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(each.name == "zegel_server.db.schema" for each in node.names):
            yield "imports the schema whole"
        elif isinstance(node, ast.ImportFrom):
            yield from _faults_of_import(domain, node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "shown":
            if [ast.unparse(word.value) for word in node.keywords] != [repr(domain)]:
                yield "takes what is shown to another"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in _SQL_TABLE.findall(node.value):
                if OWNERS.get(name, domain) != domain:
                    yield f"names {name} in SQL"


def _faults_of_import(domain: str, node: ast.ImportFrom) -> Iterator[str]:
    for each in node.names:
        if node.module == "zegel_server.db" and each.name == "schema":
            yield "imports the schema whole"
        elif node.module == "zegel_server.db.schema":
            owned = isinstance(getattr(schema, each.name, None), Table) and OWNERS.get(each.name) == domain
            if not owned and (domain, each.name) not in OTHERS:
                yield f"imports {each.name}"


def statements_of(value: object) -> Iterator[Statement]:
    if isinstance(value, Statement):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from statements_of(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from statements_of(each)


def written_by(statement: Statement) -> Iterator[tuple[str, set[str]]]:
    """The table that a statement writes, and the columns that it sets; none for a whole row."""
    for element in statement._elements.values():
        if isinstance(element, UpdateBase):
            values = getattr(element, "_values", None) or {}
            yield str(getattr(element.table, "name", "")), {getattr(each, "key", each) for each in values}


def test_every_table_has_an_owner() -> None:
    assert set(schema.metadata.tables) <= set(OWNERS)
    for (name, reader), columns in (*SHOWN.items(), *WRITTEN.items()):
        assert set(columns) <= set(schema.metadata.tables[name].columns.keys())
        assert reader in DOMAINS
        assert OWNERS[name] != reader
    for key, columns in WRITTEN.items():
        assert set(columns) <= set(SHOWN[key])


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_names_its_own_tables_alone(domain: str) -> None:
    found = [
        f"{path.name} {fault}"
        for path in sorted((ROOT / domain).rglob("*.py"))
        for fault in faults_of(domain, path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_writes_its_own_tables_alone(domain: str) -> None:
    package = importlib.import_module(f"zegel_server.{domain}")
    written = 0
    for found in pkgutil.walk_packages(package.__path__, f"zegel_server.{domain}."):
        for value in list(vars(importlib.import_module(found.name)).values()):
            for statement in statements_of(value):
                for name, columns in written_by(statement):
                    written += 1
                    if OWNERS[name] != domain:
                        assert columns, f"{found.name} adds or removes rows of {name}"
                        assert columns <= set(WRITTEN.get((name, domain), ())), f"{found.name} writes {name}: {columns}"
    assert written


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("from zegel_server.db.schema import sessions", "imports sessions"),
        ("from zegel_server.db.schema import documents, bindings as mine", "imports bindings"),
        ("from zegel_server.db.schema import metadata", "imports metadata"),
        ("import zegel_server.db.schema", "imports the schema whole"),
        ("from zegel_server.db import schema", "imports the schema whole"),
        ("t = shown('tenants', to='keys')", "takes what is shown to another"),
        ("t = shown('tenants', to=name)", "takes what is shown to another"),
        ("sql = 'DELETE FROM signatures'", "names signatures in SQL"),
    ],
)
def test_what_is_not_allowed_is_seen(source: str, fault: str) -> None:
    assert list(faults_of("documents", source)) == [fault]


def test_nobody_outside_of_the_domains_names_a_table() -> None:
    looked_at = 0
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0]
        source = path.read_text(encoding="utf-8")
        if room not in {*DOMAINS, "db"} and "zegel_server.db" in source:
            looked_at += 1
            assert list(faults_of(room, source)) == [], path
    assert looked_at
