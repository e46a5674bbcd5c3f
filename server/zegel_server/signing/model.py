"""The states of a signature request and the transitions between them: a pure state machine.

The only transitions::

    AWAITING_SIGNATURES --sign (the last one)--> ALL_SIGNED --seal--> DOWNLOADABLE
            |------------decline--------------> DECLINED
            |------------cancel---------------> CANCELED
            `------------expire---------------> EXPIRED

Invariants:

* *All signed* and *downloadable* are two states: in between, the document is sealed, however long that takes.
* While signatures are awaited, it is the turn of exactly those unsigned signatures that have the lowest order.
* A time, once set, never changes, and a signature that is ``SIGNED`` stays so.
* A transition returns a new value or raises; nothing is changed in place.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self, TypeVar

from zegel_server.errors import FailedPrecondition, NotFound


class RequestState(StrEnum):
    """The state of a request."""

    AWAITING_SIGNATURES = "AWAITING_SIGNATURES"
    ALL_SIGNED = "ALL_SIGNED"
    DOWNLOADABLE = "DOWNLOADABLE"
    DECLINED = "DECLINED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


class SignatureStatus(StrEnum):
    """The state of one signer's signature."""

    AWAITING_SIGNATURE = "AWAITING_SIGNATURE"
    ON_HOLD = "ON_HOLD"
    SIGNED = "SIGNED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"


P = TypeVar("P", bound="Progress")

_OPEN = frozenset({SignatureStatus.AWAITING_SIGNATURE, SignatureStatus.ON_HOLD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signer's part. Times are microseconds since the epoch, or ``None`` for not yet.

    Attributes:
        signature_id: Identifier.
        order: Position in the signing order, from 0; several may share one.
        status: Its status.
        view_time: When the signer first opened the request.
        disclosure_time: When the signer accepted the disclosure.
        disclosure_version: The version that the signer accepted; 0 for none.
        sign_time: When the signer signed.
        decline_time: When the signer declined.
    """

    signature_id: str
    order: int
    status: SignatureStatus = SignatureStatus.ON_HOLD
    view_time: int | None = None
    disclosure_time: int | None = None
    sign_time: int | None = None
    decline_time: int | None = None
    disclosure_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a request has come. Times are microseconds since the epoch, or ``None``.

    Attributes:
        signatures: One a signer, in the order in which the sender named them.
        state: The request's state.
        expire_time: When it expires; ``None`` for never.
        all_signed_time: When everybody had signed.
        seal_time: When the sealed document was made.
        signers_keep_access: Whether signers may still read it after it was canceled.
        end_time: When it reached a state that it does not leave any more.
    """

    signatures: tuple[Signature, ...]
    state: RequestState = RequestState.AWAITING_SIGNATURES
    expire_time: int | None = None
    all_signed_time: int | None = None
    seal_time: int | None = None
    signers_keep_access: bool = False
    end_time: int | None = None

    @classmethod
    def sent(cls, signers: Iterable[tuple[str, int]], expire_time: int | None) -> Self:
        """A request that was just sent: the signers of the lowest order go first.

        Args:
            signers: Identifier and order of each signature.
            expire_time: When the request expires.
        """
        waiting = tuple(Signature(signature_id=identifier, order=order) for identifier, order in signers)
        return cls(signatures=_ask_next(waiting), expire_time=expire_time)

    def signature(self, signature_id: str) -> Signature:
        """One of the signatures.

        Args:
            signature_id: Its identifier.

        Raises:
            NotFound: The request has no such signature.
        """
        for each in self.signatures:
            if each.signature_id == signature_id:
                return each
        raise NotFound("signature")

    def is_past(self, at: int) -> bool:
        """Whether the expiry has passed while signatures are still awaited.

        Args:
            at: The time now.
        """
        awaiting = self.state is RequestState.AWAITING_SIGNATURES
        return awaiting and self.expire_time is not None and self.expire_time <= at

    # ------------------------------------------------------------------------------------------- what signers do

    def viewed(self, signature_id: str, at: int) -> Self:
        """The signer opens the request; only the first time is recorded, whatever has happened since.

        Args:
            signature_id: Whose signature.
            at: The time now.
        """
        own = self.signature(signature_id)
        return self if own.view_time is not None else self._with(replace(own, view_time=at))

    def accepted(self, signature_id: str, at: int, version: int) -> Self:
        """The signer accepts the disclosure; doing so again changes nothing.

        Args:
            signature_id: Whose signature.
            at: The time now.
            version: The version of the disclosure.

        Raises:
            FailedPrecondition: The signer has nothing left to do in the request, such as when it has ended.
        """
        own = self.signature(signature_id)
        if own.disclosure_time is not None:
            return self
        self._demand_open(own, at)
        return self._with(replace(own, disclosure_time=at, disclosure_version=version))

    def demand_fillable(self, signature_id: str, at: int) -> None:
        """Refuses a signer who may not fill in fields at this moment.

        Args:
            signature_id: Whose signature.
            at: The time now.

        Raises:
            FailedPrecondition: Closed, expired, already signed, out of turn, or the disclosure is not accepted.
        """
        own = self.signature(signature_id)
        self._demand_turn(own, at)
        if own.disclosure_time is None:
            raise FailedPrecondition(
                "The electronic record and signature disclosure is not accepted yet.", reason="DISCLOSURE_NOT_ACCEPTED"
            )

    def demand_awaited(self, signature_id: str, at: int) -> None:
        """Refuses a signer whose signature is no longer pending, whether or not it is their turn.

        Args:
            signature_id: Whose signature.
            at: The time now.

        Raises:
            FailedPrecondition: Closed, expired, declined or already signed.
            NotFound: The request has no such signature.
        """
        self._demand_open(self.signature(signature_id), at)

    def awaits(self, signature_id: str, at: int) -> bool:
        """Whether a signer has still to act, whether or not it is their turn.

        Args:
            signature_id: Whose signature.
            at: The time now.

        Raises:
            NotFound: The request has no such signature.
        """
        try:
            self.demand_awaited(signature_id, at)
        except FailedPrecondition:
            return False
        return True

    def signed(self, signature_id: str, at: int, missing: Iterable[str] = ()) -> Self:
        """The signer signs; then it is the next signers' turn, or everybody has signed.

        Args:
            signature_id: Whose signature.
            at: The time now.
            missing: Names (``api_id``) of required fields without a value.

        Raises:
            FailedPrecondition: As ``demand_fillable``, or a required field is missing.
        """
        self.demand_fillable(signature_id, at)
        for api_id in missing:
            raise FailedPrecondition(
                "A required field has no value.", reason="RECIPIENT_HAS_UNSIGNED_FIELDS", field_api_id=api_id
            )
        own = replace(self.signature(signature_id), status=SignatureStatus.SIGNED, sign_time=at)
        after = self._with(own)
        if all(each.status is SignatureStatus.SIGNED for each in after.signatures):
            return replace(after, state=RequestState.ALL_SIGNED, all_signed_time=at)
        return replace(after, signatures=_ask_next(after.signatures))

    def declined(self, signature_id: str, at: int) -> Self:
        """The signer declines: the request ends for everybody.

        Args:
            signature_id: Whose signature.
            at: The time now.

        Raises:
            FailedPrecondition: Closed, expired, already signed, or out of turn.
        """
        own = self.signature(signature_id)
        self._demand_turn(own, at)
        declined = replace(own, status=SignatureStatus.DECLINED, decline_time=at)
        return _end(self._with(declined), RequestState.DECLINED, at)

    # ------------------------------------------------------------------------ what the sender and the server do

    def rescheduled(self, expire_time: int | None, at: int) -> Self:
        """The sender changes when the request expires.

        Args:
            expire_time: The new time, in the future; ``None`` for never.
            at: The time now.

        Raises:
            FailedPrecondition: Signatures are no longer awaited.
        """
        self._demand_awaiting(at)
        return replace(self, expire_time=expire_time)

    def canceled(self, at: int, *, signers_keep_access: bool = False) -> Self:
        """The sender cancels the request; doing so again changes nothing but that it may hide what signers could read.

        Args:
            at: The time now.
            signers_keep_access: Whether signers may still read it; what was hidden once stays so.

        Raises:
            FailedPrecondition: Everybody has signed, or it ended otherwise.
        """
        if self.state is RequestState.CANCELED:
            return replace(self, signers_keep_access=self.signers_keep_access and signers_keep_access)
        self._demand_awaiting(at)
        return replace(_end(self, RequestState.CANCELED, at), signers_keep_access=signers_keep_access)

    def demand_readable(self) -> None:
        """Refuses to let signers into a request that was canceled, unless its sender left it open to them.

        Raises:
            FailedPrecondition: It was canceled (``SIGNATURE_REQUEST_CLOSED``).
        """
        if self.state is RequestState.CANCELED and not self.signers_keep_access:
            raise closed(self.state)

    def expired(self, at: int) -> Self:
        """The server ends a request whose expiry has passed; any other stays as it is.

        Args:
            at: The time now.
        """
        return _end(self, RequestState.EXPIRED, at) if self.is_past(at) else self

    def sealed(self, at: int) -> Self:
        """The sealed document was made.

        Args:
            at: The time now.

        Raises:
            FailedPrecondition: The request is not waiting to be sealed.
        """
        if self.state is not RequestState.ALL_SIGNED:
            raise closed(self.state)
        return replace(self, state=RequestState.DOWNLOADABLE, seal_time=at, end_time=at)

    # ----------------------------------------------------------------------------------------------------- parts

    def _with(self, changed: Signature) -> Self:
        return replace(
            self,
            signatures=tuple(changed if s.signature_id == changed.signature_id else s for s in self.signatures),
        )

    def _demand_awaiting(self, at: int) -> None:
        if self.is_past(at):
            raise closed(RequestState.EXPIRED)
        if self.state is not RequestState.AWAITING_SIGNATURES:
            raise closed(self.state)

    def _demand_open(self, own: Signature, at: int) -> None:
        """Makes the error that says how the request ended, or what the signer has done already."""
        if own.status is SignatureStatus.DECLINED:
            raise FailedPrecondition("The signer has declined.", reason="RECIPIENT_DECLINED")
        if self.state is RequestState.EXPIRED or self.is_past(at):
            raise FailedPrecondition("The signature request has expired.", reason="RECIPIENT_EXPIRED")
        if self.state in {RequestState.CANCELED, RequestState.DECLINED}:
            raise closed(self.state)
        if own.status is SignatureStatus.SIGNED:
            raise FailedPrecondition("The signer has signed.", reason="RECIPIENT_ALREADY_SIGNED")

    def _demand_turn(self, own: Signature, at: int) -> None:
        self._demand_open(own, at)
        if own.status is not SignatureStatus.AWAITING_SIGNATURE:
            raise FailedPrecondition("Others have to sign first.", reason="RECIPIENT_OUT_OF_TURN")


def closed(state: RequestState) -> FailedPrecondition:
    """The error for an act that is no longer possible in the request's state.

    Args:
        state: Its state.
    """
    return FailedPrecondition(
        "The signature request is past the state in which this is possible.",
        reason="SIGNATURE_REQUEST_CLOSED",
        state=str(state),
    )


def _end(progress: P, state: RequestState, at: int) -> P:
    """Ends a request; its pending signatures are no longer pending."""
    signatures = tuple(
        replace(s, status=SignatureStatus.EXPIRED) if s.status in _OPEN else s for s in progress.signatures
    )
    return replace(progress, state=state, signatures=signatures, end_time=at)


def _ask_next(signatures: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """Makes it the turn of the unsigned signatures with the lowest order."""
    lowest = min((s.order for s in signatures if s.status in _OPEN), default=None)
    return tuple(
        replace(s, status=SignatureStatus.AWAITING_SIGNATURE if s.order == lowest else SignatureStatus.ON_HOLD)
        if s.status in _OPEN
        else s
        for s in signatures
    )
