"""The end of a document with very many versions fits into a leaf."""

import hashlib
from dataclasses import dataclass
from typing import Any, cast

from support.merkle_log import make_fields
from zegel.evidence.leaves import LeafFields
from zegel_server.audit import leaf
from zegel_server.audit.recorder import commitments_to
from zegel_server.documents.ending import MAX_NAMED, hashes
from zegel_server.ids import new_id


@dataclass(frozen=True)
class Document:
    document_id: str
    signature_request_id: str = ""


@dataclass(frozen=True)
class Version:
    version: int
    size: int = 2**32
    sha256: bytes = hashlib.sha256(b"").digest()


def told(versions: int) -> LeafFields:
    rows: list[Any] = [Version(2**31 - versions + number) for number in range(versions)]
    named = hashes(cast("Any", Document(new_id("doc"))), rows)
    fields = make_fields(1, None, kind="DOCUMENT_DELETED")
    return LeafFields(
        **{
            **{name: getattr(fields, name) for name in fields.__slots__},
            "documents": commitments_to(named, bytes(32)),
            "extra": {"delegation": new_id("dlg"), "delegator": new_id("mem"), "session": new_id("ses")},
        }
    )


def test_the_newest_of_very_many_versions_are_named() -> None:
    fields = told(5_000)
    assert len(leaf.draft(fields)) > 40_000
    assert [each.version for each in fields.documents] == list(range(2**31 - MAX_NAMED, 2**31))


def test_of_as_many_as_a_leaf_holds_all_are() -> None:
    assert len(told(MAX_NAMED).documents) == MAX_NAMED
