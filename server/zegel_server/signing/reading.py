"""Reading requests from their rows, and writing back what a transition changed.

Invariants:

* A snapshot's parts belong together: all were read at one revision, whichever database they come from.
* Names and mail addresses are decrypted for the snapshot alone; those of a forgotten person are empty.
"""

import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Final

from zegel_server.db import Reader, Row, Transaction
from zegel_server.errors import Aborted, NotFound
from zegel_server.keys.service import Keys
from zegel_server.signing import store
from zegel_server.signing.fields import Field, Value
from zegel_server.signing.model import Progress, RequestState, Signature, SignatureStatus
from zegel_server.signing.snapshot import Person, PinnedDocument, PinnedRendition, Sealing, Snapshot

READ_TRIES: Final = 5
"""How often a request is read anew because it changed between two queries; each change takes a whole commit."""


def profile_place(signature_id: str) -> str:
    """What a signer's encrypted profile is bound to.

    Args:
        signature_id: The signer's signature.
    """
    return f"signature/{signature_id}/profile"


def values_place(signature_id: str) -> str:
    """What a signer's encrypted values are bound to.

    Args:
        signature_id: The signer's signature.
    """
    return f"signature/{signature_id}/values"


class Snapshots:
    """Reads requests.

    Args:
        reader: Where the rows are.
        keys: Gives the signers' keys.
    """

    def __init__(self, reader: Reader, keys: Keys) -> None:
        self._reader = reader
        self._keys = keys

    async def get(self, tenant_id: str, signature_request_id: str, owners: str = "", *, named: bool = True) -> Snapshot:
        """A request as it is at this moment.

        Args:
            tenant_id: Whose it is.
            signature_request_id: Its identifier.
            owners: Whose requests are found, as ``Caller.reach`` says it; empty for everybody's.
            named: Whether with its signers as persons, which takes the tenant's key; without them ``people`` is empty.

        Raises:
            NotFound: The tenant has no such request, or it is none of theirs.
            Aborted: It is being changed again and again meanwhile.
        """
        for _ in range(READ_TRIES):
            row = await self._reader.fetch_one(
                store.REQUEST, tenant_id=tenant_id, signature_request_id=signature_request_id, owners=owners
            )
            if row is None:
                raise NotFound("signature_request")
            signatures = await self._reader.fetch(store.SIGNATURES, signature_request_id=signature_request_id)
            documents = await self._reader.fetch(store.DOCUMENTS, signature_request_id=signature_request_id)
            sealing = None
            if row.state == RequestState.ALL_SIGNED:
                sealing = await self._reader.fetch_one(store.SEALING, signature_request_id=signature_request_id)
            if all(each.request_revision == row.revision for each in signatures):
                people = await self.people(signatures) if named else {}
                return _snapshot(row, signatures, documents, people, sealing)
        raise Aborted("The signature request was changed at the same time; try again.")

    async def page(
        self, tenant_id: str, *, owners: Sequence[str] | None, state: str, before: str, limit: int
    ) -> tuple[list[Snapshot], bool]:
        """A page of requests, the newest first.

        Args:
            tenant_id: Whose.
            owners: Only theirs; ``None`` for everybody's.
            state: Only those in this state; empty for all.
            before: Only those with a smaller identifier.
            limit: The most to return.

        Returns:
            The page, and whether more follow.
        """
        asked = {"tenant_id": tenant_id, "state": state, "before": before}
        if owners is None:
            lists = [(store.PAGES_OF_ALL, asked)]
        else:
            lists = [(store.PAGES_OF_OWNER, {**asked, "owner_id": owner_id}) for owner_id in owners]
        # A page of each owner, in the index's order: what it costs does not grow with what they own.
        pages = [await self._reader.fetch(each.requests, **values, limit=limit + 1) for each, values in lists]
        rows = list(islice(heapq.merge(*pages, key=attrgetter("signature_request_id"), reverse=True), limit + 1))
        page = rows[:limit]
        if not page:
            return [], False
        last = page[-1].signature_request_id
        signatures: dict[str, list[Row]] = {}
        documents: dict[str, list[Row]] = {}
        sealing: dict[str, Row] = {}
        for each, values in lists:
            signatures |= _grouped(await self._reader.fetch(each.signatures, **values, last=last))
            documents |= _grouped(await self._reader.fetch(each.documents, **values, last=last))
            sealing |= {row.resource_id: row for row in await self._reader.fetch(each.sealing, **values, last=last)}
        found = []
        for row in page:
            key = row.signature_request_id
            own = signatures.get(key, [])
            if own and all(each.request_revision == row.revision for each in own):
                people = await self.people(own)
                of_it = documents.get(key, [])
                found.append(_snapshot(row, own, of_it, people, sealing.get(key)))
            else:
                found.append(await self.get(tenant_id, key))
        return found, len(rows) > limit

    async def tenant_name(self, tenant_id: str) -> str:
        """The name of a tenant, as its signers read it.

        Args:
            tenant_id: Its identifier.
        """
        row = await self._reader.fetch_one(store.TENANT_NAME, tenant_id=tenant_id)
        if row is None:
            raise NotFound("tenant")
        return str(row.name)

    async def people(self, signatures: Iterable[Row]) -> dict[str, Person]:
        """The signers as persons, by signature.

        Args:
            signatures: Rows of signatures.
        """
        found = {}
        for row in signatures:
            key = await self._keys.subject_key(row.subject_id)
            found[row.signature_id] = Person(
                row.subject_id, **self._keys.decrypt_personal(key, row.profile, profile_place(row.signature_id))
            )
        return found


async def lock(transaction: Transaction, known: Snapshot) -> tuple[Snapshot, Mapping[str, Row]]:
    """Reads a request again inside a transaction, and keeps it from changing until the end of that.

    Args:
        transaction: Under way.
        known: The request as it was read before: what never changes is taken from there.

    Returns:
        The request as it is now, and the rows of its signatures.
    """
    request_id = known.signature_request_id
    row = await transaction.fetch_one(store.LOCK_REQUEST, tenant_id=known.tenant_id, signature_request_id=request_id)
    if row is None:
        raise NotFound("signature_request")
    rows = await transaction.fetch(store.SIGNATURES, signature_request_id=request_id)
    now = replace(
        known,
        owner_id=row.owner_id,
        progress=_progress(row, rows),
        sealed_document_id=row.sealed_document_id,
        revision=row.revision,
        sealing=None,
    )
    return now, {each.signature_id: each for each in rows}


async def lock_progress(transaction: Transaction, tenant_id: str, signature_request_id: str) -> Progress:
    """How far a request has come, which is kept so until the transaction ends.

    Args:
        transaction: Under way.
        tenant_id: Whose request.
        signature_request_id: Its identifier.

    Raises:
        NotFound: There is none.
    """
    row = await transaction.fetch_one(
        store.LOCK_REQUEST, tenant_id=tenant_id, signature_request_id=signature_request_id
    )
    if row is None:
        raise NotFound("signature_request")
    return _progress(row, await transaction.fetch(store.SIGNATURES, signature_request_id=signature_request_id))


async def write(transaction: Transaction, before: Snapshot, after: Snapshot) -> None:
    """Writes what a transition changed.

    Args:
        transaction: The one in which ``before`` was locked.
        before: The request as it was.
        after: The request as it is to be.
    """
    progress = after.progress
    await transaction.execute(
        store.UPDATE_REQUEST,
        id=after.signature_request_id,
        new_state=str(progress.state),
        new_expire_time=progress.expire_time,
        new_all_signed_time=progress.all_signed_time,
        new_seal_time=progress.seal_time,
        new_sealed_document_id=after.sealed_document_id,
        new_revision=after.revision,
    )
    for old, new in zip(before.progress.signatures, progress.signatures, strict=True):
        if new != old:
            await transaction.execute(
                store.UPDATE_SIGNATURE,
                id=new.signature_id,
                new_status=str(new.status),
                new_view_time=new.view_time,
                new_disclosure_time=new.disclosure_time,
                new_sign_time=new.sign_time,
                new_decline_time=new.decline_time,
            )


def load_values(data: Mapping[str, Any]) -> dict[str, Value]:
    """A signer's values from their stored form.

    Args:
        data: As it was decrypted; empty where there is none.
    """
    return {api_id: Value.from_json(value) for api_id, value in data.items()}


def _snapshot(
    row: Row,
    signatures: Sequence[Row],
    documents: Sequence[Row],
    people: Mapping[str, Person],
    sealing: Row | None,
) -> Snapshot:
    return Snapshot(
        signature_request_id=row.signature_request_id,
        tenant_id=row.tenant_id,
        tenant_name=row.tenant_name,
        owner_id=row.owner_id,
        audit_id=row.audit_id,
        title=row.title,
        message=row.message,
        create_time=row.create_time,
        documents=tuple(
            PinnedDocument(each.document_id, each.version, each.title, each.sha256, each.page_count, each.size)
            for each in documents
        ),
        fields=tuple(map(Field.from_json, json.loads(row.fields))),
        people=people,
        progress=_progress(row, signatures),
        sealed_document_id=row.sealed_document_id,
        revision=row.revision,
        sealing=None
        if sealing is None
        else Sealing(sealing.attempts, sealing.last_reason, sealing.due_time, bool(sealing.blocked)),
        rendition=_rendition(row),
    )


def _rendition(row: Row) -> PinnedRendition | None:
    if not row.rendition_document_id:
        return None
    return PinnedRendition(
        row.rendition_document_id,
        row.rendition_version,
        row.rendition_sha256,
        row.rendition_size,
        row.rendition_pages,
    )


def _progress(row: Row, signatures: Iterable[Row]) -> Progress:
    return Progress(
        signatures=tuple(
            Signature(
                signature_id=each.signature_id,
                order=each.signing_order,
                status=SignatureStatus(each.status),
                view_time=each.view_time,
                disclosure_time=each.disclosure_time,
                sign_time=each.sign_time,
                decline_time=each.decline_time,
            )
            for each in signatures
        ),
        state=RequestState(row.state),
        expire_time=row.expire_time,
        all_signed_time=row.all_signed_time,
        seal_time=row.seal_time,
    )


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    return {key: list(group) for key, group in groupby(rows, key=lambda row: row.signature_request_id)}
