"""What the sender does: use cases of signature requests, one transaction each.

Invariants:

* A request pins each document's version, which the sender must reach at that moment, with its hash, and the rendition
  that the signers are shown.
* Names and mail addresses are stored only encrypted under each signer's own key; the leaf of the request's first event
  holds commitments to them.
* Nothing deletes a request, a signature or an event.
* Of a request that was canceled no session of a signer is good, unless its sender left it open to them: canceling
  revokes them, and opening one locks the request first.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.leaf import commitment
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, PrincipalKind, Scope
from zegel_server.db import Database, Transaction
from zegel_server.documents.signing_documents import SigningDocuments
from zegel_server.edge import etags, validation
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.identity.handed_out import HandedOut, OfRequest
from zegel_server.identity.sessions import Sessions
from zegel_server.keys.service import Keys
from zegel_server.keys.texts import text_key
from zegel_server.pdf.trials import Trials
from zegel_server.permissions.owners import Owners, check_named
from zegel_server.permissions.teams import find_team
from zegel_server.signing import repository, store
from zegel_server.signing.lists import RequestLists, page_of_one
from zegel_server.signing.model import Progress
from zegel_server.signing.new_request import NewRequest, build_request, check_boxes, check_new_request, check_shown
from zegel_server.signing.openings import committed_boxes
from zegel_server.signing.renditions import RequestRenditions
from zegel_server.signing.repository import RequestRepository
from zegel_server.signing.request import SignatureRequest
from zegel_server.signing.sealing_job import demand_room

KIND: Final = "signature_request"
MOVE: Final = "signature_request.move"


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A signer's session that was just opened; its token is not available afterwards."""

    session_id: str
    token: str
    expire_time: int


class Signing:
    """Signature requests as their sender sees them.

    Args:
        database: Where the rows are.
        keys: Gives the signers' keys.
        recorder: Records the events.
        documents: The documents to be signed.
        sessions: Opens the signers' sessions.
        handed_out: Passes sessions and links on to a request's new owner.
        owners: Checks who may be given a request.
        renditions: Makes what the signers are shown.
        trials: Tries the texts that the pages will show.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        recorder: Recorder,
        documents: SigningDocuments,
        sessions: Sessions,
        *,
        handed_out: HandedOut,
        owners: Owners,
        renditions: RequestRenditions,
        trials: Trials,
    ) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._documents = documents
        self._sessions = sessions
        self._handed_out = handed_out
        self._owners = owners
        self._renditions = renditions
        self._trials = trials
        self._requests = RequestRepository(database, keys)
        self._lists = RequestLists(database, keys)

    async def create(
        self, caller: Caller, new: NewRequest, keep: Keep[SignatureRequest] = keep_nothing
    ) -> SignatureRequest:
        """Sends a signature request.

        Args:
            caller: Who sends it.
            new: What is asked for.
            keep: Remembers the answer, for a retry of the same call.

        Returns:
            The request, sent.

        Raises:
            FailedPrecondition: It could not be sealed in the end (``DOCUMENT_TOO_COMPLEX``).
            InvalidArgument: Names what is wrong.
            NotFound: A document or the team is absent, or not the caller's to see.
            ResourceExhausted: Too many of the tenant's requests wait to be sealed.
            UniqueViolation: The same call is being made at the same time.
        """
        new = check_new_request(new)
        await demand_room(self._database, caller.tenant_id)
        if new.team_id:
            await find_team(self._database, caller, "signature_request.create", new.team_id)
        described = [
            await self._documents.describe(caller, choice.document_id, choice.version) for choice in new.documents
        ]
        check_boxes(new, described)
        await check_shown(self._trials, new)
        subjects = [await self._keys.subject(caller.tenant_id, signer.email) for signer in new.signers]
        tenant_name = await self._requests.tenant_name(caller.tenant_id)
        sent = build_request(caller, new, described=described, subjects=subjects, tenant_name=tenant_name)
        sent = replace(sent, rendition=(shown := await self._renditions.make(sent, described)).rendition)
        draft = await self._recorder.draft(
            caller,
            events.EVENT_TYPE_SIGNATURE_REQUEST_SENT,
            resource_id=sent.signature_request_id,
            signature_request_id=sent.signature_request_id,
            trail=sent.audit_id,
            documents=sent.document_hashes,
            extra={
                "boxes": await committed_boxes(self._keys, sent),
                "signers": [
                    {
                        "signature": signature.signature_id,
                        "order": signature.order,
                        "personal": commitment(subject.key, {"name": signer.name, "email": signer.email}),
                    }
                    for signature, signer, subject in zip(sent.progress.signatures, new.signers, subjects, strict=True)
                ],
            },
        )
        key = await text_key(self._keys, caller.tenant_id)
        async with self._database.transaction() as transaction:
            # In a fixed order, so that two requests for the same documents never deadlock.
            for document_id in sorted({document.document_id for document in sent.documents}):
                await self._documents.pin(transaction, caller.tenant_id, document_id)
            if shown.merged is not None:
                await shown.merged.insert(transaction, sent.owner_id)
            await repository.insert(transaction, self._keys, key, sent, subjects)
            await self._recorder.record(transaction, draft)
            await keep(transaction, sent)
        return sent

    async def get(self, caller: Caller, signature_request_id: str) -> SignatureRequest:
        """A signature request.

        Args:
            caller: Who asks.
            signature_request_id: Its identifier.

        Raises:
            NotFound: Absent, or not the caller's to see.
        """
        return await self.find_reachable(caller, "signature_request.read", signature_request_id)

    async def list_page(
        self, caller: Caller, page: PageRequest, *, state: str, fields: Collection[str]
    ) -> Page[SignatureRequest]:
        """A page of the requests that the caller reaches, the newest first.

        Args:
            caller: Who asks.
            page: Which page.
            state: Only those in this state; empty for all.
            fields: What is shown of each, as fields of its message; the rest may be empty.
        """
        if caller.kind is PrincipalKind.SIGNER:
            # A signer is a party to exactly one request, whatever else policy says.
            own = await self.find_reachable(
                caller, "signature_request.read", caller.signature_request_id, with_people="signatures" in fields
            )
            return page_of_one(own, page, state)
        permission = "signature_request.read"
        owners = None if caller.scopes(permission) & Scope.ANY else caller.owners(permission)
        return await self._lists.page(caller.tenant_id, page, owners=owners, state=state, fields=fields)

    async def reschedule(
        self, caller: Caller, signature_request_id: str, expire_time: int | None, etag: str
    ) -> SignatureRequest:
        """Changes when a request expires.

        Args:
            caller: Who does it.
            signature_request_id: Its identifier.
            expire_time: The new time, in microseconds since the epoch; ``None`` for never.
            etag: The etag last read, or empty.

        Raises:
            Aborted: The ``etag`` is out of date.
            FailedPrecondition: Signatures are no longer awaited (``SIGNATURE_REQUEST_CLOSED``).
            NotFound: Absent, or not the caller's to see.
        """
        return await self._change(
            caller,
            "signature_request.update",
            events.EVENT_TYPE_EXPIRY_EDITED,
            signature_request_id,
            etag=etag,
            transition=lambda progress: progress.rescheduled(expire_time, clock.now()),
            extra={"expire_time": None if expire_time is None else clock.to_rfc3339(expire_time)},
        )

    async def cancel(
        self, caller: Caller, signature_request_id: str, etag: str, *, signers_keep_access: bool = False
    ) -> SignatureRequest:
        """Cancels a request, and revokes its signers' sessions; doing so again changes nothing else.

        Args:
            caller: Who does it.
            signature_request_id: Its identifier.
            etag: The etag last read, or empty.
            signers_keep_access: Whether signers may still read it; their sessions are not revoked then.

        Raises:
            Aborted: The ``etag`` is out of date.
            FailedPrecondition: Everybody has signed, or it ended otherwise (``SIGNATURE_REQUEST_CLOSED``).
            NotFound: Absent, or not the caller's to see.
        """
        return await self._change(
            caller,
            "signature_request.cancel",
            events.EVENT_TYPE_SIGNATURE_REQUEST_CANCELED,
            signature_request_id,
            etag=etag,
            transition=lambda progress: progress.canceled(clock.now(), signers_keep_access=signers_keep_access),
            extra={"signers_keep_access": signers_keep_access},
            then=self._hide,
        )

    async def _hide(self, transaction: Transaction, canceled: SignatureRequest) -> None:
        """Ends what signers have in hand of a request that was just canceled, under the lock of its row."""
        if not canceled.progress.signers_keep_access:
            for signature in canceled.progress.signatures:
                await self._sessions.revoke_of_signer(transaction, canceled.tenant_id, signature.signature_id)

    async def move(self, caller: Caller, signature_request_id: str, owner_id: str, etag: str) -> SignatureRequest:
        """Gives a request another owner, in whatever state it is, and its sealed document with it.

        Args:
            caller: Who does it.
            signature_request_id: Its identifier.
            owner_id: Who is to own it: a principal or a team.
            etag: The etag last read, or empty.

        Raises:
            Aborted: The ``etag`` is out of date.
            InvalidArgument: No owner is named.
            NotFound: Absent, or not the caller's to see; or the owner is.
            PermissionDenied: The caller may not give it away, or not to this owner (``GRANT_EXCEEDS_GRANTER``).
        """
        validation.identifier(signature_request_id, "req", "signature_request_id", KIND)
        check_named(owner_id)
        known = await self.find_reachable(caller, MOVE, signature_request_id)
        await self._owners.check_move(
            self._database,
            caller,
            giver_id=known.owner_id,
            receiver_id=owner_id,
            moving=MOVE,
            making="signature_request.create",
        )
        of = OfRequest(known.tenant_id, known.signature_request_id, tuple(known.people))
        fallen = await self._handed_out.fallen_granters(of, known.owner_id, caller.policy_version)
        draft = await self._recorder.draft(
            caller.acts_on("signature_request.create", owner_id),
            events.EVENT_TYPE_SIGNATURE_REQUEST_MOVED,
            resource_id=known.signature_request_id,
            signature_request_id=known.signature_request_id,
            trail=known.audit_id,
            extra={"owner": owner_id, "previous_owner": known.owner_id},
        )
        async with self._database.transaction() as transaction:
            before = await repository.lock_unmoved(transaction, known)
            etags.check(etag, before.revision, KIND)
            if owner_id == before.owner_id:
                return before
            after = before.with_owner(owner_id)
            await transaction.execute(
                store.MOVE_REQUEST,
                id=after.signature_request_id,
                new_owner_id=after.owner_id,
                new_revision=after.revision,
            )
            await self._handed_out.pass_on(transaction, of, owner_id, fallen)
            for document_id in filter(None, (after.sealed_document_id, after.merged_document_id)):
                await self._documents.move_sealed(transaction, document_id, owner_id)
            await self._recorder.record(transaction, draft)
        return after

    async def open_session(
        self, caller: Caller, signature_request_id: str, signature_id: str, expire_time: int
    ) -> OpenedSession:
        """Opens a session for one signer, whose token the partner passes on; the trail records who opened it.

        Args:
            caller: Who opens it.
            signature_request_id: The request.
            signature_id: The signer's signature.
            expire_time: When it ends at the latest, in microseconds since the epoch.

        Raises:
            FailedPrecondition: The request was canceled, and is hidden from its signers (``SIGNATURE_REQUEST_CLOSED``).
            NotFound: Absent, or not the caller's to see.
        """
        known = await self.find_reachable(caller, "signature_request.open", signature_request_id)
        validation.identifier(signature_id, "sig", "signature_id", "signature")
        signature = known.progress.signature(signature_id)
        draft = await self._recorder.draft(
            caller.acts_on("signature_request.open", known.owner_id),
            events.EVENT_TYPE_SIGNER_SESSION_CREATED,
            resource_id=signature.signature_id,
            signature_request_id=known.signature_request_id,
            trail=known.audit_id,
        )
        async with self._database.transaction() as transaction:
            session_id, token = await self._sessions.open_signer_session(
                transaction,
                caller,
                tenant_id=known.tenant_id,
                signature_id=signature.signature_id,
                subject_id=known.people[signature.signature_id].subject_id,
                signature_request_id=known.signature_request_id,
                request_owner_id=known.owner_id,
                expire_time=expire_time,
            )
            # After the caller's own row, as redeeming takes them; a cancel at the same time comes before or after.
            (await repository.lock_unmoved(transaction, known)).progress.demand_readable()
            await self._recorder.record(transaction, draft.about(extra={**draft.extra, "opened_session": session_id}))
        return OpenedSession(session_id, token, expire_time)

    async def find_reachable(
        self, caller: Caller, permission: str, signature_request_id: str, **shown: bool
    ) -> SignatureRequest:
        """Finds a request that the caller may act on.

        Args:
            caller: Who asks.
            permission: The permission required.
            signature_request_id: Its identifier.
            shown: What of it is to be decrypted, as ``RequestRepository.get`` takes it.

        Raises:
            NotFound: Absent, or not the caller's to see.
        """
        validation.identifier(signature_request_id, "req", "signature_request_id", KIND)
        party = caller.kind is PrincipalKind.SIGNER and caller.signature_request_id == signature_request_id
        owners = caller.reach(permission, party=party)
        return await self._requests.get(caller.tenant_id, signature_request_id, owners, **shown)

    async def _change(
        self,
        caller: Caller,
        permission: str,
        event: int,
        signature_request_id: str,
        *,
        etag: str,
        transition: Callable[[Progress], Progress],
        extra: Mapping[str, Any] | None = None,
        then: Callable[[Transaction, SignatureRequest], Awaitable[None]] | None = None,
    ) -> SignatureRequest:
        known = await self.find_reachable(caller, permission, signature_request_id)
        draft = await self._recorder.draft(
            caller.acts_on(permission, known.owner_id),
            event,
            resource_id=known.signature_request_id,
            signature_request_id=known.signature_request_id,
            trail=known.audit_id,
            extra=extra,
        )
        async with self._database.transaction() as transaction:
            before, _ = await repository.lock(transaction, known)
            progress = transition(before.progress)
            if progress == before.progress:
                return before
            etags.check(etag, before.revision, KIND)
            after = before.with_progress(progress)
            await repository.save(transaction, before, after)
            if then is not None:
                await then(transaction, after)
            await self._recorder.record(transaction, draft)
        return after
