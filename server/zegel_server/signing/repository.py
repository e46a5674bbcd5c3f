"""Signature requests in the database: found, locked, inserted, and saved when they have changed.

Invariants:

* The parts of a request are consistent: all are read at the same revision, on either database.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from zegel_server.crypto import TextKey
from zegel_server.db import Reader, Row, Transaction
from zegel_server.edge import etags
from zegel_server.errors import Aborted, NotFound
from zegel_server.keys.service import Keys, Subject
from zegel_server.keys.texts import text_keys
from zegel_server.signing import rows, store
from zegel_server.signing.model import Progress, RequestState
from zegel_server.signing.request import Person, SignatureRequest

READ_TRIES: Final = 5
"""How often reading is retried because the request changed between two queries; each change takes a whole commit."""


class RequestRepository:
    """Finds requests.

    Args:
        reader: Where the rows are.
        keys: Gives the signers' keys.
    """

    def __init__(self, reader: Reader, keys: Keys) -> None:
        self._reader = reader
        self._keys = keys

    async def get(
        self,
        tenant_id: str,
        signature_request_id: str,
        owners: str = "",
        *,
        with_texts: bool = True,
        with_people: bool = True,
    ) -> SignatureRequest:
        """A request as it is at this moment.

        Args:
            tenant_id: Whose it is.
            signature_request_id: Its identifier.
            owners: The owners whose requests are found, from ``Caller.reach``; empty for everybody's.
            with_texts: Whether to decrypt its title, message and fields, which takes the tenant's key; otherwise they
                are empty.
            with_people: Whether to decrypt its signers' names and addresses as well; otherwise ``people`` is empty.

        Raises:
            NotFound: The tenant has no such request, or its owner is not among them.
            Aborted: It changed during every attempt to read it.
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
                people = await self.people(signatures) if with_texts and with_people else {}
                keys = await text_keys(self._keys, tenant_id, [row, *documents]) if with_texts else None
                return rows.request_from_rows(row, signatures, documents, people, sealing, keys=keys)
        raise Aborted("The signature request was changed at the same time; try again.")

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
        return {
            row.signature_id: rows.decrypt_person(self._keys, await self._keys.subject_key(row.subject_id), row)
            for row in signatures
        }


async def insert(
    transaction: Transaction, keys: Keys, key: TextKey, request: SignatureRequest, subjects: Sequence[Subject]
) -> None:
    """Inserts a new request.

    Args:
        transaction: The one that sends it.
        keys: Encrypts the signers' names and addresses.
        key: Encrypts what else the sender typed.
        request: The request.
        subjects: Its signers as subjects, in order.

    Raises:
        Aborted: The tenant's key was changed at the same time.
    """
    await keys.hold(transaction, request.tenant_id, key.key_version)
    await transaction.execute(store.INSERT_REQUEST, **rows.request_row(request, key))
    await transaction.execute_many(store.INSERT_DOCUMENT, rows.document_rows(request, key))
    await transaction.execute_many(store.INSERT_SIGNATURE, rows.signature_rows(keys, request, subjects))


async def lock(transaction: Transaction, known: SignatureRequest) -> tuple[SignatureRequest, Mapping[str, Row]]:
    """Locks a request until the transaction ends, and reads it again.

    Args:
        transaction: The transaction.
        known: The request as read before; its immutable parts are taken from there.

    Returns:
        The request as it is now, and its signatures' rows by signature.

    Raises:
        NotFound: It is gone.
    """
    request_id = known.signature_request_id
    row = await transaction.fetch_one(store.LOCK_REQUEST, tenant_id=known.tenant_id, signature_request_id=request_id)
    if row is None:
        raise NotFound("signature_request")
    signatures = await transaction.fetch(store.SIGNATURES, signature_request_id=request_id)
    now = replace(
        known,
        owner_id=row.owner_id,
        progress=rows.progress_from_rows(row, signatures),
        sealed_document_id=row.sealed_document_id,
        revision=row.revision,
        sealing=None,
    )
    return now, {each.signature_id: each for each in signatures}


async def lock_unmoved(transaction: Transaction, known: SignatureRequest) -> SignatureRequest:
    """Locks a request until the transaction ends, and reads it again; its owner must be the one read before.

    Args:
        transaction: The transaction.
        known: The request as read before.

    Returns:
        The request as it is now.

    Raises:
        Aborted: It was given another owner meanwhile.
        NotFound: It is gone.
    """
    now, _ = await lock(transaction, known)
    if now.owner_id != known.owner_id:
        raise etags.changed("signature_request")
    return now


async def lock_progress(transaction: Transaction, tenant_id: str, signature_request_id: str) -> Progress:
    """Locks a request until the transaction ends, and reads how far it has come.

    Args:
        transaction: The transaction.
        tenant_id: The request's tenant.
        signature_request_id: Its identifier.

    Raises:
        NotFound: There is none.
    """
    row = await transaction.fetch_one(
        store.LOCK_REQUEST, tenant_id=tenant_id, signature_request_id=signature_request_id
    )
    if row is None:
        raise NotFound("signature_request")
    return rows.progress_from_rows(
        row, await transaction.fetch(store.SIGNATURES, signature_request_id=signature_request_id)
    )


async def save(transaction: Transaction, before: SignatureRequest, after: SignatureRequest) -> None:
    """Saves what a transition changed.

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
        new_signers_keep_access=int(progress.signers_keep_access),
        new_end_time=progress.end_time,
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
                new_disclosure_version=new.disclosure_version,
            )
