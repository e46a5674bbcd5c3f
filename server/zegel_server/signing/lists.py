"""Lists of signature requests: one query a page, and no key opened for what is not shown."""

from collections.abc import Collection, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter

from zegel_server.db import Reader, Row
from zegel_server.db.pages import fetch_newest
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.ids import last_id
from zegel_server.keys.service import Keys
from zegel_server.keys.texts import TextKeys, text_keys
from zegel_server.signing import list_store, rows
from zegel_server.signing.list_store import DOCUMENTS, SEALING, SIGNATURES
from zegel_server.signing.request import Person, SignatureRequest


class RequestLists:
    """Reads pages of requests.

    Args:
        reader: Where the rows are.
        keys: Opens the signers' keys.
    """

    def __init__(self, reader: Reader, keys: Keys) -> None:
        self._reader = reader
        self._keys = keys

    async def page(
        self, tenant_id: str, page: PageRequest, *, owners: Sequence[str] | None, state: str, fields: Collection[str]
    ) -> Page[SignatureRequest]:
        """A page of requests, the newest first.

        Args:
            tenant_id: Whose.
            page: Which page.
            owners: Only theirs; ``None`` for everybody's.
            state: Only those in this state; empty for all.
            fields: What is shown of each, as fields of its message; the rest of a request that is returned is empty.

        Raises:
            Unavailable: The key provider does not answer, and names or what else people typed are shown.
        """
        parts = list_store.parts_of(fields)
        found = await fetch_newest(
            self._reader,
            partial(list_store.page_of, parts),
            owners,
            key="signature_request_id",
            limit=page.rows,
            tenant_id=tenant_id,
            state=state,
            before=page.start(last_id("req"))[0],
        )
        shown = page.cut(found, "signature_request_id")
        documents = {row.signature_request_id: DOCUMENTS.rows(row.documents) for row in shown.items}
        texts = shown.items if parts & {"texts", "fields"} else ()
        keys = await text_keys(self._keys, tenant_id, chain(texts, *documents.values()))
        return shown.holding(
            [await self._request(row, documents[row.signature_request_id], keys) for row in shown.items]
        )

    async def _request(self, row: Row, documents: Sequence[Row], keys: TextKeys) -> SignatureRequest:
        signatures = sorted(SIGNATURES.rows(row.signatures), key=attrgetter("position"))
        people: dict[str, Person] = {}
        for each in signatures:
            key = await self._keys.subject_key(each.subject_id, each)
            people[each.signature_id] = rows.decrypt_person(self._keys, key, each)
        return rows.request_from_rows(
            row,
            signatures,
            sorted(documents, key=attrgetter("position")),
            people,
            next(iter(SEALING.rows(row.sealing)), None),
            keys=keys,
        )


def page_of_one(request: SignatureRequest, page: PageRequest, state: str) -> Page[SignatureRequest]:
    """A page of the list that has one request.

    Args:
        request: The request.
        page: Which page.
        state: Only if it is in this state; empty for any.
    """
    fits = request.signature_request_id < page.start(last_id("req"))[0] and state in {"", request.progress.state}
    return Page([request] if fits else [])
