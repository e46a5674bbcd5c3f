"""What the sender does: use cases of signature requests, one transaction each.

Invariants:

* A request pins the version of each document, which the sender must reach at that moment, and its hash.
* Names and mail addresses are stored only encrypted under each signer's own key; the leaf of the request's first event
  holds commitments to them.
* Nothing deletes a request, a signature or an event.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock, paging, validation
from zegel_server.audit.leaf import commitment
from zegel_server.audit.recorder import Recorder
from zegel_server.caller import Caller, PrincipalKind
from zegel_server.db import Database
from zegel_server.errors import Aborted, FailedPrecondition
from zegel_server.idempotency import remember
from zegel_server.ids import new_id
from zegel_server.keys.service import Keys, Subject
from zegel_server.pdf.limits import MAX_PAGES, MAX_PDF_BYTES
from zegel_server.signing import drafts, store
from zegel_server.signing.drafts import NewRequest
from zegel_server.signing.fields import PageSize, check_place
from zegel_server.signing.model import Progress
from zegel_server.signing.ports import DescribedVersion, Documents, Sessions
from zegel_server.signing.snapshot import (
    Person,
    PinnedDocument,
    Snapshot,
    Snapshots,
    hashes_of,
    lock,
    profile_place,
    write,
)

KIND: Final = "signature_request"

FIRST_PAGE: Final = "req_" + "z" * 26
"""Sorts after every identifier, whatever the database's collation: an identifier's first digit is at most 7."""

Answer = Callable[[Snapshot], Message]
"""Makes the answer that a repetition of the call gets, without personal data: that stays in its encrypted columns."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A signer's session that was just opened; the token is told only here."""

    session_id: str
    token: str
    expire_time: int


class Signing:
    """Signature requests as their sender sees them.

    Args:
        database: Where the rows are.
        keys: Gives the signers' keys.
        recorder: Records the events.
        documents: What is to be signed.
        sessions: Opens the signers' sessions.
    """

    def __init__(
        self, database: Database, keys: Keys, recorder: Recorder, documents: Documents, sessions: Sessions
    ) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._documents = documents
        self._sessions = sessions
        self._snapshots = Snapshots(database, keys)

    async def create(self, caller: Caller, new: NewRequest, request: Message, answer: Answer) -> Snapshot:
        """Sends a signature request.

        Args:
            caller: Who sends it.
            new: What is asked for.
            request: The call, with its ``request_id``.
            answer: Makes the answer to remember.

        Returns:
            The request, sent.

        Raises:
            FailedPrecondition: The documents together are more than one file can be (``DOCUMENT_TOO_COMPLEX``).
            InvalidArgument: Names what is wrong.
            NotFound: A document is absent, or not the caller's to see.
            UniqueViolation: The same call is being made at the same time.
        """
        new = drafts.check(new)
        described = [
            await self._documents.describe(caller, choice.document_id, choice.version) for choice in new.documents
        ]
        _check_described(new, described)
        subjects = [await self._keys.subject(caller.tenant_id, signer.email) for signer in new.signers]
        tenant_name = await self._snapshots.tenant_name(caller.tenant_id)
        sent = _sent(caller, new, described, subjects, tenant_name)
        fields = json.dumps([field.to_json() for field in new.fields], ensure_ascii=False, separators=(",", ":"))
        draft = await self._recorder.draft(
            caller,
            events.EVENT_TYPE_SIGNATURE_REQUEST_SENT,
            resource_id=sent.signature_request_id,
            signature_request_id=sent.signature_request_id,
            trail=sent.audit_id,
            documents=hashes_of(sent),
            extra={
                "fields": hashlib.sha256(fields.encode()).hexdigest(),
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
        rows = self._signature_rows(sent, new, subjects)
        async with self._database.transaction() as transaction:
            # In one order, so that two requests over the same documents never wait for each other.
            for document_id in sorted({document.document_id for document in sent.documents}):
                await self._documents.pin(transaction, caller.tenant_id, document_id)
            await transaction.execute(store.INSERT_REQUEST, **_request_row(sent, fields))
            await transaction.execute_many(store.INSERT_DOCUMENT, _document_rows(sent))
            await transaction.execute_many(store.INSERT_SIGNATURE, rows)
            await self._recorder.record(transaction, draft)
            await remember(transaction, caller, request, answer(sent))
        return sent

    async def get(self, caller: Caller, signature_request_id: str) -> Snapshot:
        """A signature request.

        Args:
            caller: Who asks.
            signature_request_id: Its identifier.

        Raises:
            NotFound: Absent, or not the caller's to see.
        """
        return await self._reached(caller, "signature_request.read", signature_request_id)

    async def list_page(self, caller: Caller, *, state: str, before: str, limit: int) -> tuple[list[Snapshot], bool]:
        """A page of the requests that the caller reaches, the newest first.

        Args:
            caller: Who asks.
            state: Only those in this state; empty for all.
            before: Only those with a smaller identifier.
            limit: The most to return.

        Returns:
            The page, and whether more follow.
        """
        if caller.kind is PrincipalKind.SIGNER:
            # A signer is a party to exactly one request, whatever else policy says.
            own = await self._reached(caller, "signature_request.read", caller.signature_request_id)
            fits = own.signature_request_id < before and state in {"", own.progress.state}
            return ([own] if fits else []), False
        owner_id = caller.owner_filter("signature_request.read")
        return await self._snapshots.page(caller.tenant_id, owner_id=owner_id, state=state, before=before, limit=limit)

    async def reschedule(
        self, caller: Caller, signature_request_id: str, expire_time: int | None, etag: str
    ) -> Snapshot:
        """Changes when a request expires.

        Args:
            caller: Who does it.
            signature_request_id: Its identifier.
            expire_time: The new time, in microseconds since the epoch; ``None`` for never.
            etag: The etag last read, or empty.

        Raises:
            Aborted: The ``etag`` is old.
            FailedPrecondition: Signatures are not awaited any more (``SIGNATURE_REQUEST_CLOSED``).
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

    async def cancel(self, caller: Caller, signature_request_id: str, etag: str) -> Snapshot:
        """Calls a request off; a second time changes nothing.

        Args:
            caller: Who does it.
            signature_request_id: Its identifier.
            etag: The etag last read, or empty.

        Raises:
            Aborted: The ``etag`` is old.
            FailedPrecondition: Everybody has signed, or it ended otherwise (``SIGNATURE_REQUEST_CLOSED``).
            NotFound: Absent, or not the caller's to see.
        """
        return await self._change(
            caller,
            "signature_request.cancel",
            events.EVENT_TYPE_SIGNATURE_REQUEST_CANCELED,
            signature_request_id,
            etag=etag,
            transition=lambda progress: progress.canceled(clock.now()),
        )

    async def open_session(
        self, caller: Caller, signature_request_id: str, signature_id: str, expire_time: int
    ) -> OpenedSession:
        """Opens a session for one signer, for the partner to hand over. Who opened it stands in the trail.

        Args:
            caller: Who opens it.
            signature_request_id: The request.
            signature_id: The signer's signature.
            expire_time: When it ends at the latest, in microseconds since the epoch.

        Raises:
            NotFound: Absent, or not the caller's to see.
        """
        known = await self._reached(caller, "signature_request.open", signature_request_id)
        validation.identifier(signature_id, "sig", "signature_id", "signature")
        signature = known.progress.signature(signature_id)
        draft = await self._recorder.draft(
            caller,
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
                expire_time=expire_time,
            )
            await self._recorder.record(transaction, draft.about(extra={**draft.extra, "opened_session": session_id}))
        return OpenedSession(session_id, token, expire_time)

    async def _reached(self, caller: Caller, permission: str, signature_request_id: str) -> Snapshot:
        validation.identifier(signature_request_id, "req", "signature_request_id", KIND)
        found = await self._snapshots.get(caller.tenant_id, signature_request_id)
        party = caller.kind is PrincipalKind.SIGNER and caller.signature_request_id == found.signature_request_id
        caller.require(permission, KIND, owner_id=found.owner_id, party=party)
        return found

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
    ) -> Snapshot:
        known = await self._reached(caller, permission, signature_request_id)
        draft = await self._recorder.draft(
            caller,
            event,
            resource_id=known.signature_request_id,
            signature_request_id=known.signature_request_id,
            trail=known.audit_id,
            extra=extra,
        )
        async with self._database.transaction() as transaction:
            before, _ = await lock(transaction, known)
            progress = transition(before.progress)
            if progress == before.progress:
                return before
            if etag and etag != paging.etag(before.revision):
                raise Aborted("The signature request was changed since the etag was read.")
            after = before.after(progress)
            await write(transaction, before, after)
            await self._recorder.record(transaction, draft)
        return after

    def _signature_rows(self, sent: Snapshot, new: NewRequest, subjects: Sequence[Subject]) -> list[dict[str, Any]]:
        return [
            {
                "signature_id": signature.signature_id,
                "signature_request_id": sent.signature_request_id,
                "tenant_id": sent.tenant_id,
                "position": position,
                "signing_order": signature.order,
                "subject_id": subject.subject_id,
                "profile": self._keys.encrypt_personal(
                    subject.key, {"name": signer.name, "email": signer.email}, profile_place(signature.signature_id)
                ),
                "field_values": None,
                "status": str(signature.status),
                "view_time": None,
                "disclosure_time": None,
                "sign_time": None,
                "decline_time": None,
            }
            for position, (signature, signer, subject) in enumerate(
                zip(sent.progress.signatures, new.signers, subjects, strict=True)
            )
        ]


def _check_described(new: NewRequest, described: Sequence[DescribedVersion]) -> None:
    """Checks the fields' places, and that the documents can become one sealed file when everybody has signed."""
    pages = [[PageSize(page.width, page.height) for page in document.pages] for document in described]
    for index, field in enumerate(new.fields):
        check_place(field, f"fields[{index}]", pages[field.document_index])
    if sum(document.size for document in described) > MAX_PDF_BYTES or sum(map(len, pages)) > MAX_PAGES:
        raise FailedPrecondition(
            f"The documents together have more than {MAX_PDF_BYTES // 1024**2} MiB or {MAX_PAGES:,} pages.",
            reason="DOCUMENT_TOO_COMPLEX",
        )


def _sent(
    caller: Caller,
    new: NewRequest,
    described: Sequence[DescribedVersion],
    subjects: Sequence[Subject],
    tenant_name: str,
) -> Snapshot:
    """The request to be."""
    identifiers = [new_id("sig") for _ in new.signers]
    signers = zip(identifiers, new.signers, subjects, strict=True)
    return Snapshot(
        signature_request_id=new_id("req"),
        tenant_id=caller.tenant_id,
        tenant_name=tenant_name,
        owner_id=caller.principal_id,
        audit_id=new_id("aud"),
        title=new.title,
        message=new.message,
        create_time=clock.now(),
        documents=tuple(
            PinnedDocument(each.document_id, each.version, each.title, each.sha256, len(each.pages))
            for each in described
        ),
        fields=new.fields,
        people={key: Person(subject.subject_id, signer.name, signer.email) for key, signer, subject in signers},
        progress=Progress.sent(
            [(key, signer.order) for key, signer in zip(identifiers, new.signers, strict=True)], new.expire_time
        ),
    )


def _request_row(sent: Snapshot, fields: str) -> dict[str, Any]:
    return {
        "signature_request_id": sent.signature_request_id,
        "tenant_id": sent.tenant_id,
        "owner_id": sent.owner_id,
        "audit_id": sent.audit_id,
        "title": sent.title,
        "message": sent.message,
        "state": str(sent.progress.state),
        "fields": fields,
        "expire_time": sent.progress.expire_time,
        "create_time": sent.create_time,
        "all_signed_time": None,
        "seal_time": None,
        "sealed_document_id": "",
        "revision": sent.revision,
    }


def _document_rows(sent: Snapshot) -> list[dict[str, Any]]:
    return [
        {
            "signature_request_id": sent.signature_request_id,
            "position": position,
            "document_id": each.document_id,
            "version": each.version,
            "title": each.title,
            "sha256": each.sha256,
            "page_count": each.page_count,
        }
        for position, each in enumerate(sent.documents)
    ]
