"""What a signer does: use cases of the ceremony, one transaction each.

The session determines the request and the signature; nothing that a signer sends can name others.

Invariants:

* Every act decides on the request as read under its row's lock, and signs the values stored at that moment.
* The event of a signature names the documents' hashes and holds commitments, under the signer's own key, to name,
  address and values.
* The last signature, the state ``ALL_SIGNED``, its event and the job to seal it are committed together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from zegel.event.v1 import event_type_pb2 as events
from zegel_server import clock
from zegel_server.audit.recorder import Draft, Recorder
from zegel_server.caller import Caller, PrincipalKind, denied
from zegel_server.db import Database, Row, Transaction
from zegel_server.edge import validation
from zegel_server.edge.idempotency import Keep, keep_nothing
from zegel_server.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from zegel_server.jobs import queue
from zegel_server.keys.service import Keys
from zegel_server.pdf.model import Box, Stamp
from zegel_server.pdf.trials import Trials
from zegel_server.signing import disclosure, repository, rows, store
from zegel_server.signing.field_types import SignedBy, draw_value
from zegel_server.signing.fields import check_text_budget, check_values, filled_at_signing, missing
from zegel_server.signing.model import Progress, RequestState
from zegel_server.signing.repository import RequestRepository
from zegel_server.signing.request import CeremonyView, Person, SignatureRequest
from zegel_server.signing.values import Value, Values, digest_of, stamped_length

MAX_VALUES_BYTES: Final = 3 * 1024 * 1024
"""Bytes of all of a signer's values together: they are sent in one message of at most 4 MiB."""
MAX_REASON: Final = 1_000
"""Characters of a reason to decline, as the contract says."""
TRIES: Final = 5
"""How often an act is retried because the same signer did something else at the same time."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read before the transaction: the signer's view, key, and stored values."""

    view: CeremonyView
    key: bytes
    stored_values: bytes | None


class _ChangedError(Exception):
    """The signer's values changed between reading them and the lock."""


class Ceremony:
    """A signature request as its signers see it.

    Args:
        database: Where the rows are.
        keys: Gives the signers' keys.
        recorder: Records the events.
        trials: Checks that what is filled in can be drawn and seen.
        seal_certificate: Returns the SHA-256, in hex, of the certificate that will seal: the trail names it beforehand.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        recorder: Recorder,
        trials: Trials,
        *,
        seal_certificate: Callable[[], str],
    ) -> None:
        self._database = database
        self._keys = keys
        self._recorder = recorder
        self._trials = trials
        self._seal_certificate = seal_certificate
        self._requests = RequestRepository(database, keys)

    async def get(self, caller: Caller) -> CeremonyView:
        """The request as the signer sees it.

        Args:
            caller: The signer.

        Raises:
            NotFound: The request is gone.
            PermissionDenied: The caller is not a signer.
        """
        return (await self._read(caller)).view

    async def open(self, caller: Caller) -> CeremonyView:
        """Opens the request; the first view is recorded.

        Args:
            caller: The signer.
        """
        return await self._step(
            caller,
            events.EVENT_TYPE_SIGNATURE_REQUEST_VIEWED,
            lambda progress, at: progress.viewed(caller.principal_id, at),
        )

    async def accept_disclosure(self, caller: Caller, version: int = 0) -> CeremonyView:
        """Accepts the electronic record and signature disclosure; doing so again changes nothing.

        Args:
            caller: The signer.
            version: The version that the signer was shown; 0 for the newest.

        Raises:
            FailedPrecondition: The signer has nothing left to do in the request, such as when it has ended.
            InvalidArgument: The signer was shown another version than the newest.
        """
        newest = disclosure.NEWEST

        def accept(progress: Progress, at: int) -> Progress:
            after = progress.accepted(caller.principal_id, at, newest.version)
            if after != progress and version not in {0, newest.version}:
                raise InvalidArgument("disclosure_version", f"must be {newest.version}, the newest: show that one")
            return after

        return await self._step(caller, events.EVENT_TYPE_DISCLOSURE_ACCEPTED, accept, {"disclosure": newest.sha256})

    async def fill(self, caller: Caller, values: list[tuple[str, Value]]) -> CeremonyView:
        """Fills in the signer's own fields; values already stored change nothing.

        Args:
            caller: The signer.
            values: Each field's ``api_id`` and its value; of two for one field, the later counts.

        Raises:
            FailedPrecondition: Closed, expired, already signed, out of turn, or the disclosure is not accepted.
            InvalidArgument: A value is not for one of the signer's own fields, or not of the field's type.
            ResourceExhausted: The signer's values together are too large.
        """
        read = await self._read(caller)
        checked = check_values(read.view.fields, values)
        # Checked before anything costly is done, and again under the lock.
        read.view.request.progress.demand_fillable(read.view.signature_id, clock.now())
        path = _longest(values)
        check_text_budget(
            read.view.request.fields,
            read.view.request.signer_names,
            stamped_length({**read.view.values, **checked}),
            path,
        )
        await self._trials.check_stamps(_stamps(read.view, values))
        for _ in range(TRIES):
            try:
                return await self._fill(caller, read, checked, path)
            except _ChangedError:
                read = await self._read(caller)
        raise Aborted("The fields were filled in elsewhere at the same time; try again.")

    async def _fill(self, caller: Caller, read: _Read, checked: Values, path: str) -> CeremonyView:
        after = {**read.view.values, **checked}
        if sum(value.size for value in after.values()) > MAX_VALUES_BYTES:
            raise ResourceExhausted(
                f"A signer's values together must have at most {MAX_VALUES_BYTES // 1024**2} MiB.", limit="values_bytes"
            )
        draft = await self._draft(caller, read, events.EVENT_TYPE_FIELDS_FILLED, personal={"values": digest_of(after)})
        stored = self._encrypt(read, after)
        async with self._database.transaction() as transaction:
            now, others = await self._lock(transaction, read)
            now.progress.demand_fillable(read.view.signature_id, clock.now())
            check_text_budget(now.fields, now.signer_names, others + stamped_length(after), path)
            if after != read.view.values:
                await transaction.execute(
                    store.UPDATE_VALUES,
                    id=read.view.signature_id,
                    new_values=stored,
                    new_length=stamped_length(after),
                )
                await self._recorder.record(transaction, draft)
        return CeremonyView(now, read.view.signature_id, after)

    async def sign(self, caller: Caller, keep: Keep[CeremonyView] = keep_nothing) -> CeremonyView:
        """Signs; then it is the next signers' turn, or the request waits to be sealed.

        Args:
            caller: The signer.
            keep: Remembers the answer, for a retry of the same call.

        Raises:
            FailedPrecondition: Closed, expired, already signed, out of turn, the disclosure is not accepted, or a
                required field has no value.
            UniqueViolation: The same call is being made at the same time.
        """
        for _ in range(TRIES):
            read = await self._read(caller)
            try:
                return await self._sign(caller, read, keep)
            except _ChangedError:
                continue
        raise Aborted("The fields were filled in elsewhere at the same time; try again.")

    async def _sign(self, caller: Caller, read: _Read, keep: Keep[CeremonyView]) -> CeremonyView:
        view, at = read.view, clock.now()
        values = {**view.values, **filled_at_signing(view.fields, at, view.time_zone)}
        person = view.person
        draft = await self._draft(
            caller,
            read,
            events.EVENT_TYPE_SIGNATURE_REQUEST_SIGNED,
            personal={"name": person.name, "email": person.email, "values": digest_of(values)},
            with_documents=True,
        )
        everybody = await self._recorder.draft_own(
            view.request.tenant_id,
            events.EVENT_TYPE_SIGNATURE_REQUEST_ALL_SIGNED,
            resource_id=view.request.signature_request_id,
            signature_request_id=view.request.signature_request_id,
            trail=view.request.audit_id,
            documents=view.request.document_hashes,
            extra={"seal_certificate": self._seal_certificate()},
        )
        stored = self._encrypt(read, values)
        async with self._database.transaction() as transaction:
            before, _ = await self._lock(transaction, read)
            # Expiry is decided now, under the lock; the recorded time is the one whose date was committed to.
            before.progress.demand_fillable(view.signature_id, clock.now())
            after = before.with_progress(before.progress.signed(view.signature_id, at, missing(view.fields, values)))
            await repository.save(transaction, before, after)
            await transaction.execute(
                store.UPDATE_VALUES,
                id=view.signature_id,
                new_values=stored,
                new_length=stamped_length(view.values),
            )
            await self._recorder.record(transaction, draft)
            if after.progress.state is RequestState.ALL_SIGNED:
                await self._recorder.record(transaction, everybody)
                await queue.enqueue(
                    transaction, store.SEAL, tenant_id=after.tenant_id, resource_id=after.signature_request_id
                )
            signed = CeremonyView(after, view.signature_id, values)
            await keep(transaction, signed)
        return signed

    async def decline(self, caller: Caller, reason: str) -> CeremonyView:
        """Declines to sign: the request ends.

        Args:
            caller: The signer.
            reason: Why, for the sender.

        Raises:
            FailedPrecondition: Closed, expired, already signed, or out of turn.
            InvalidArgument: The reason is too long.
        """
        reason = validation.text(reason, "reason", least=0, most=MAX_REASON, lines=True)
        read = await self._read(caller)
        view, person = read.view, read.view.person
        declined = Person(person.subject_id, person.name, person.email, reason)
        draft = await self._draft(
            caller,
            read,
            events.EVENT_TYPE_SIGNATURE_REQUEST_DECLINED,
            personal={"name": person.name, "email": person.email, "reason": reason},
        )
        stored = rows.encrypt_person(self._keys, read.key, view.signature_id, declined)
        async with self._database.transaction() as transaction:
            before, _ = await repository.lock(transaction, view.request)
            after = before.with_progress(before.progress.declined(view.signature_id, clock.now()))
            await repository.save(transaction, before, after)
            await transaction.execute(store.UPDATE_PROFILE, id=view.signature_id, new_profile=stored)
            await self._recorder.record(transaction, draft)
        return CeremonyView(
            after.with_people({**after.people, view.signature_id: declined}), view.signature_id, view.values
        )

    # ----------------------------------------------------------------------------------------------------- parts

    async def _read(self, caller: Caller) -> _Read:
        """The signer's own request; ``PermissionDenied`` for any other caller, whatever policy says."""
        if caller.kind is not PrincipalKind.SIGNER or not caller.signature_request_id:
            raise denied("ceremony.read")
        request = await self._requests.get(caller.tenant_id, caller.signature_request_id)
        if caller.principal_id not in request.people:
            raise NotFound("signature")
        row = await self._database.fetch_one(store.SIGNATURE_VALUES, signature_id=caller.principal_id)
        key = await self._keys.subject_key(request.people[caller.principal_id].subject_id)
        if row is None or key is None:
            raise FailedPrecondition("The signer's data was erased.")
        stored: bytes | None = row.field_values
        values = rows.decrypt_values(self._keys, key, caller.principal_id, stored)
        return _Read(CeremonyView(request, caller.principal_id, values), key, stored)

    async def _lock(self, transaction: Transaction, read: _Read) -> tuple[SignatureRequest, int]:
        """Locks the request, and makes sure that the values are still those that were read.

        Returns the request, and how many characters the other signers have filled in.
        """
        now, signatures = await repository.lock(transaction, read.view.request)
        row: Row = signatures[read.view.signature_id]
        if row.field_values != read.stored_values:
            raise _ChangedError
        others = sum(each.text_length for key, each in signatures.items() if key != read.view.signature_id)
        return now, others

    def _encrypt(self, read: _Read, values: Values) -> bytes:
        return rows.encrypt_values(self._keys, read.key, read.view.signature_id, values)

    async def _draft(
        self,
        caller: Caller,
        read: _Read,
        event: int,
        *,
        personal: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        with_documents: bool = False,
    ) -> Draft:
        request = read.view.request
        return await self._recorder.draft(
            caller,
            event,
            resource_id=read.view.signature_id,
            signature_request_id=request.signature_request_id,
            trail=request.audit_id,
            documents=request.document_hashes if with_documents else (),
            extra=extra,
            personal=personal,
        )

    async def _step(
        self,
        caller: Caller,
        event: int,
        transition: Callable[[Progress, int], Progress],
        extra: Mapping[str, Any] | None = None,
    ) -> CeremonyView:
        """Applies a transition that changes only the progress; writes nothing if nothing changes."""
        read = await self._read(caller)
        if transition(read.view.request.progress, clock.now()) == read.view.request.progress:
            return read.view
        draft = await self._draft(caller, read, event, extra=extra)
        async with self._database.transaction() as transaction:
            before, _ = await repository.lock(transaction, read.view.request)
            progress = transition(before.progress, clock.now())
            if progress == before.progress:
                return CeremonyView(before, read.view.signature_id, read.view.values)
            after = before.with_progress(progress)
            await repository.save(transaction, before, after)
            await self._recorder.record(transaction, draft)
        return CeremonyView(after, read.view.signature_id, read.view.values)


def _longest(values: Sequence[tuple[str, Value]]) -> str:
    """The path in the request of the value that takes the most of what a request may hold."""
    index = max(range(len(values)), key=lambda each: values[each][1].stamped_length)
    return f"values[{index}]"


def _stamps(view: CeremonyView, values: Sequence[tuple[str, Value]]) -> Iterator[tuple[str, Stamp]]:
    """What values will be drawn as, and each one's path in the request; values are checked already."""
    fields = {field.api_id: field for field in view.fields}
    signed_by = SignedBy("", view.signature_id, "")
    for index, (api_id, value) in enumerate(values):
        if not value.text and value.picture is None:
            continue
        field = fields[api_id]
        box = Box(1, 0.0, 0.0, field.width, field.height)
        path = {"text": "text", "typed": "mark.typed", "drawn": "mark.drawn_png"}[value.kind]
        yield f"values[{index}].{path}", draw_value(field.type, value, box, signed_by)
