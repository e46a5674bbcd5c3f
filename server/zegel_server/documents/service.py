"""Use cases of documents: get, list, rename, move, delete, undelete and purge.

Invariants:

* A document that is absent, another tenant's or out of reach gives the same answer.
* A signer sees exactly the versions that the one signature request names, and its sealed document.
* A sealed document has its signature request's owner: it moves with the request, never on its own.
* A merged document exists only while all its sources do: it is deleted and purged with the first of them, in the same
  transaction, and restored with the last.
* A purge destroys the keys in its transaction; the blobs, unreadable by then, are removed afterwards.
"""

from functools import partial
from operator import attrgetter
from typing import Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, PrincipalKind, Scope
from zegel_server.db import Database, Row, Transaction
from zegel_server.db.pages import fetch_newest
from zegel_server.documents import store
from zegel_server.documents.ending import destroy, expect_not_merged, hashes, is_whole, lock_merged
from zegel_server.documents.model import (
    MAX_TITLE,
    Document,
    DocumentState,
    UploadState,
)
from zegel_server.documents.rows import StoredTitle, document_of
from zegel_server.documents.upload_progress import ProgressStore
from zegel_server.edge import etags, validation
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import Aborted, FailedPrecondition, NotFound
from zegel_server.ids import last_id
from zegel_server.keys.service import Keys
from zegel_server.keys.texts import text_keys
from zegel_server.pdf.trials import Trials
from zegel_server.permissions.owners import Owners, check_named

MOVE: Final = "document.move"


class Documents:
    """The use cases of documents, apart from their bytes.

    Args:
        database: Where the rows are.
        keys: Holds the tenants' keys.
        progress_store: Closes uploads.
        recorder: Records events.
        owners: Checks who may be given a document.
        trials: Tries the titles that pages will show.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        progress_store: ProgressStore,
        recorder: Recorder,
        owners: Owners,
        *,
        trials: Trials,
    ) -> None:
        self._database = database
        self._keys = keys
        self._progress_store = progress_store
        self._recorder = recorder
        self._owners = owners
        self._trials = trials

    async def get(self, caller: Caller, document_id: str) -> Document:
        """A document.

        Args:
            caller: Who asks.
            document_id: Which.

        Raises:
            NotFound: It is absent, or out of the caller's reach.
        """
        validation.identifier(document_id, "doc", "document_id", "document")
        party = caller.kind is PrincipalKind.SIGNER
        asked = {
            "document_id": document_id,
            "tenant_id": caller.tenant_id,
            "owners": caller.reach("document.read", party=party),
        }
        if party:
            rows = await self._database.fetch(
                store.GET_AS_PARTY, signature_request_id=caller.signature_request_id, **asked
            )
        else:
            rows = await self._database.fetch(store.GET, **asked)
        if not rows:
            raise NotFound("document")
        return document_of(rows[0], rows, await text_keys(self._keys, caller.tenant_id, rows[:1]))

    async def changed(self, tenant_id: str, document_id: str) -> Document:
        """A document after a change, for the answer to that change; the caller's access is checked already.

        Args:
            tenant_id: Whose.
            document_id: Which.

        Raises:
            NotFound: It is absent.
        """
        rows = await self._database.fetch(store.GET, document_id=document_id, tenant_id=tenant_id, owners="")
        if not rows:
            raise NotFound("document")
        return document_of(rows[0], rows, await text_keys(self._keys, tenant_id, rows[:1]))

    async def list(
        self, caller: Caller, page: PageRequest, *, show_deleted: bool = False, versions: bool = True
    ) -> Page[Document]:
        """Documents within the caller's reach, the newest first.

        Args:
            caller: Who asks.
            page: Which page.
            show_deleted: Whether deleted and purged ones are among them.
            versions: Whether their versions are read; otherwise they have none.
        """
        party = caller.kind is PrincipalKind.SIGNER
        scopes = caller.scopes("document.read")
        everybody = scopes & (Scope.PARTY | Scope.ANY if party else Scope.ANY)
        owners = None if everybody else () if party else caller.owners("document.read")
        asked = {"signature_request_id": caller.signature_request_id} if party else {}
        rows = await fetch_newest(
            self._database,
            partial(store.page_of, party, show_deleted, versions),
            owners,
            key="document_id",
            limit=page.rows,
            tenant_id=caller.tenant_id,
            before=page.start(last_id("doc"))[0],
            **asked,
        )
        shown = page.cut(rows, "document_id")
        keys = await text_keys(self._keys, caller.tenant_id, shown.items)
        found = [
            document_of(row, sorted(store.VERSIONS_OF.rows(row.versions), key=attrgetter("version")), keys)
            for row in shown.items
        ]
        return shown.holding(found)

    async def rename(self, caller: Caller, document_id: str, title: str, etag: str) -> Document:
        """Changes a document's title.

        Args:
            caller: Who does so.
            document_id: Which document.
            title: Its new title.
            etag: As last read, or empty.

        Raises:
            InvalidArgument: The title is wrong.
            NotFound: It is absent, or out of the caller's reach.
            Aborted: It was changed since the etag was read.
            FailedPrecondition: It is deleted.
        """
        validation.identifier(document_id, "doc", "document.document_id", "document")
        title = validation.text(title, "document.title", most=MAX_TITLE)
        await self._trials.check_texts([("document.title", title)])
        reach = caller.reach("document.update")
        known = await self._database.fetch_one(
            store.GET, document_id=document_id, tenant_id=caller.tenant_id, owners=reach
        )
        if known is None:
            raise NotFound("document")
        present = (await text_keys(self._keys, caller.tenant_id, [known])).title(known, "document", document_id)
        stored = await StoredTitle.make(self._keys, caller.tenant_id, document_id, title)
        draft = await self._recorder.draft(caller, events.EVENT_TYPE_DOCUMENT_UPDATED, resource_id=document_id)
        async with self._database.transaction() as transaction:
            row = await self._lock(transaction, caller, "document.update", document_id, etag)
            _expect(row, DocumentState.ACTIVE)
            # Bytes that are the ones read before are the title that was read before.
            if title != present or row.texts != known.texts:
                await self._keys.hold(transaction, caller.tenant_id, stored.key_version)
                await transaction.execute(
                    store.RENAME,
                    which=document_id,
                    new_texts=stored.encrypted,
                    new_texts_key_version=stored.key_version,
                    new_update_time=clock.now(),
                )
                acting = caller.acts_on("document.update", row.owner_id)
                await self._recorder.record(transaction, draft.about(acting=acting.acting))
        return await self.changed(caller.tenant_id, document_id)

    async def move(self, caller: Caller, document_id: str, owner_id: str, etag: str) -> Document:
        """Gives a document another owner, and cancels open uploads of new versions.

        Args:
            caller: Who does so.
            document_id: Which document.
            owner_id: Who is to own it: a principal or a team.
            etag: As last read, or empty.

        Raises:
            InvalidArgument: No owner is named.
            NotFound: It is absent, or out of the caller's reach; or the owner is.
            PermissionDenied: The caller may not give it away, or not to this owner (``GRANT_EXCEEDS_GRANTER``).
            Aborted: It was changed since the etag was read.
            FailedPrecondition: It is deleted, or a sealed or merged one.
        """
        validation.identifier(document_id, "doc", "document_id", "document")
        check_named(owner_id)
        asked = {"document_id": document_id, "tenant_id": caller.tenant_id, "owners": caller.reach(MOVE)}
        found = await self._database.fetch_one(store.OWNER_OF, **asked)
        if found is None:
            raise NotFound("document")
        await self._owners.check_move(
            self._database,
            caller,
            giver_id=found.owner_id,
            receiver_id=owner_id,
            moving=MOVE,
            making="document.create",
        )
        draft = await self._recorder.draft(
            caller.acts_on("document.create", owner_id),
            events.EVENT_TYPE_DOCUMENT_MOVED,
            resource_id=document_id,
            extra={"owner": owner_id, "previous_owner": found.owner_id},
        )
        async with self._database.transaction() as transaction:
            row = await self._lock(transaction, caller, MOVE, document_id, etag)
            if row.owner_id != found.owner_id:
                raise Aborted("The document was given to another owner at the same time.")
            _expect(row, DocumentState.ACTIVE)
            if row.signature_request_id:
                raise FailedPrecondition(
                    "A sealed or merged document moves with its signature request.", state="SEALED"
                )
            if owner_id != row.owner_id:
                # Whoever opened one may no longer reach the document.
                for upload in await transaction.fetch(store.OPEN_UPLOADS_OF, document_id=document_id):
                    await self._progress_store.close(transaction, upload, UploadState.CANCELED)
                await transaction.execute(
                    store.MOVE, which=document_id, new_owner_id=owner_id, new_update_time=clock.now()
                )
                await self._recorder.record(transaction, draft)
        return await self.changed(caller.tenant_id, document_id)

    async def delete(self, caller: Caller, document_id: str, etag: str) -> Document:
        """Soft-deletes a document.

        Args:
            caller: Who does so.
            document_id: Which document.
            etag: As last read, or empty.

        Raises:
            NotFound: It is absent, or out of the caller's reach.
            Aborted: It was changed since the etag was read.
            FailedPrecondition: It is deleted already, or in use (``DOCUMENT_IN_USE``).
        """
        return await self._set_state(
            caller,
            document_id,
            etag,
            before=DocumentState.ACTIVE,
            after=DocumentState.DELETED,
            event=events.EVENT_TYPE_DOCUMENT_DELETED,
        )

    async def undelete(self, caller: Caller, document_id: str, etag: str) -> Document:
        """Restores a deleted document.

        Args:
            caller: Who does so.
            document_id: Which document.
            etag: As last read, or empty.

        Raises:
            NotFound: It is absent, or out of the caller's reach.
            Aborted: It was changed since the etag was read.
            FailedPrecondition: It is not deleted, or purged.
        """
        return await self._set_state(
            caller,
            document_id,
            etag,
            before=DocumentState.DELETED,
            after=DocumentState.ACTIVE,
            event=events.EVENT_TYPE_DOCUMENT_UNDELETED,
        )

    async def purge(self, caller: Caller, document_id: str, etag: str) -> Document:
        """Destroys a deleted document permanently; purging it again changes nothing.

        Args:
            caller: Who does so.
            document_id: Which document.
            etag: As last read, or empty.

        Raises:
            NotFound: It is absent, or out of the caller's reach.
            Aborted: It was changed since the etag was read.
            FailedPrecondition: It is not deleted.
        """
        validation.identifier(document_id, "doc", "document_id", "document")
        draft = await self._recorder.draft(
            caller, events.EVENT_TYPE_DOCUMENT_PURGED, resource_id=document_id, documents=None
        )
        async with self._database.transaction() as transaction:
            row = await self._lock(transaction, caller, "document.purge", document_id, etag)
            expect_not_merged(row)
            if row.state != DocumentState.PURGED:
                _expect(row, DocumentState.DELETED)
                destroyed = await destroy(transaction, row)
                for upload in await transaction.fetch(store.OPEN_UPLOADS_OF, document_id=document_id):
                    await self._progress_store.close(transaction, upload, UploadState.CANCELED)
                for merged in await lock_merged(transaction, caller.tenant_id, document_id):
                    if merged.state != DocumentState.PURGED:
                        await destroy(transaction, merged)
                acting = caller.acts_on("document.purge", row.owner_id)
                await self._recorder.record(transaction, draft.about(documents=destroyed, acting=acting.acting))
        return await self.changed(caller.tenant_id, document_id)

    async def _set_state(
        self, caller: Caller, document_id: str, etag: str, *, before: DocumentState, after: DocumentState, event: int
    ) -> Document:
        validation.identifier(document_id, "doc", "document_id", "document")
        draft = await self._recorder.draft(caller, event, resource_id=document_id, documents=None)
        async with self._database.transaction() as transaction:
            row = await self._lock(transaction, caller, "document.delete", document_id, etag)
            expect_not_merged(row)
            _expect(row, before)
            deleted = after is DocumentState.DELETED
            if deleted and await transaction.fetch_one(store.IN_USE, document_id=document_id) is not None:
                raise FailedPrecondition(
                    "A signature request that is under way uses the document.", reason="DOCUMENT_IN_USE"
                )
            moment = clock.now()
            change = {
                "new_state": after.value,
                "new_update_time": moment,
                "new_delete_time": moment if deleted else None,
            }
            await transaction.execute(store.SET_STATE, which=document_id, **change)
            for merged in await lock_merged(transaction, caller.tenant_id, document_id):
                if merged.state == before and (deleted or await is_whole(transaction, merged)):
                    await transaction.execute(store.SET_STATE, which=merged.document_id, **change)
            versions = await transaction.fetch(store.VERSIONS, document_id=document_id)
            acting = caller.acts_on("document.delete", row.owner_id)
            told = draft.about(documents=hashes(row, versions), acting=acting.acting)
            await self._recorder.record(transaction, told)
        return await self.changed(caller.tenant_id, document_id)

    @staticmethod
    async def _lock(transaction: Transaction, caller: Caller, permission: str, document_id: str, etag: str) -> Row:
        row = await transaction.fetch_one(
            store.LOCK_DOCUMENT,
            document_id=document_id,
            tenant_id=caller.tenant_id,
            owners=caller.reach(permission),
        )
        if row is None:
            raise NotFound("document")
        etags.check(etag, row.revision, "document")
        return row


def _expect(row: Row, state: DocumentState) -> None:
    if row.state != state:
        raise FailedPrecondition(f"The document is {row.state.lower()}.", state=row.state)
