"""SigningService and CeremonyService: messages to the model and back, and nothing else."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from zegel.signing.v1 import ceremony_service_pb2 as ceremony_pb
from zegel.signing.v1 import ceremony_service_pb2_grpc as ceremony_rpc
from zegel.signing.v1 import signing_service_pb2 as pb
from zegel.signing.v1 import signing_service_pb2_grpc as rpc
from zegel_server import clock
from zegel_server.caller import current_caller
from zegel_server.db import UniqueViolation
from zegel_server.edge import paging, validation
from zegel_server.edge.idempotency import Answers, Call
from zegel_server.errors import FailedPrecondition
from zegel_server.signing import messages
from zegel_server.signing.ceremony import Ceremony
from zegel_server.signing.links import SignerLinks
from zegel_server.signing.request import CeremonyView
from zegel_server.signing.service import FIRST_PAGE, Signing

SESSION_DEFAULT: Final = clock.HOUR
"""How long a signer's session lasts where the sender says nothing, as the contract says."""
SESSION_MOST: Final = 24 * clock.HOUR
"""The longest it may last, as the contract says."""

LINK_DEFAULT: Final = 7 * clock.DAY
"""How long a signer link is good where the sender says nothing, as the contract says."""
FIRST_LINK: Final = "lnk_" + "z" * 26
"""Sorts after every link's identifier."""

LINK_MOST: Final = 30 * clock.DAY
"""The longest it may be, as the contract says."""

M = TypeVar("M", bound=Message)


async def _once(
    call: Call,
    kind: type[M],
    *,
    act: Callable[[], Awaitable[M]],
    restore: Callable[[M], Awaitable[None]],
) -> M:
    """Does a call with a ``request_id`` once; a repetition, also at the same time, gets the first answer."""
    before = await call.earlier(kind)
    if before is None:
        try:
            return await act()
        except (UniqueViolation, FailedPrecondition):
            # The same call, made at the same time, may have come first.
            before = await call.earlier(kind)
            if before is None:
                raise
    await restore(before)
    return before


class SigningServicer(rpc.SigningServiceServicer):
    """See ``zegel.signing.v1.SigningService``.

    Args:
        signing: The use cases.
        links: The use cases of signer links.
        answers: Earlier answers.
    """

    def __init__(self, signing: Signing, links: SignerLinks, answers: Answers) -> None:
        self._signing = signing
        self._links = links
        self._answers = answers

    async def CreateSignatureRequest(
        self, request: pb.CreateSignatureRequestRequest, context: Any
    ) -> pb.CreateSignatureRequestResponse:
        """See the contract."""
        caller = current_caller()
        call = await self._answers.call(caller, request)

        async def act() -> pb.CreateSignatureRequestResponse:
            sent = await self._signing.create(
                caller,
                messages.new_request(request),
                call,
                lambda made: pb.CreateSignatureRequestResponse(
                    signature_request=messages.request_message(made, bare=True)
                ),
            )
            return pb.CreateSignatureRequestResponse(signature_request=messages.request_message(sent))

        async def restore(answer: pb.CreateSignatureRequestResponse) -> None:
            known = await self._signing.get(caller, answer.signature_request.signature_request_id)
            messages.restore_request(answer.signature_request, known)

        return await _once(call, pb.CreateSignatureRequestResponse, act=act, restore=restore)

    async def GetSignatureRequest(
        self, request: pb.GetSignatureRequestRequest, context: Any
    ) -> pb.GetSignatureRequestResponse:
        """See the contract."""
        found = await self._signing.get(current_caller(), request.signature_request_id)
        return pb.GetSignatureRequestResponse(signature_request=messages.request_message(found))

    async def ListSignatureRequests(
        self, request: pb.ListSignatureRequestsRequest, context: Any
    ) -> pb.ListSignatureRequestsResponse:
        """See the contract."""
        place = paging.place_of(request, str)
        found, more = await self._signing.list_page(
            current_caller(),
            state=messages.state_name(request.state),
            before=FIRST_PAGE if place is None else place[0],
            limit=paging.page_size(request),
        )
        return pb.ListSignatureRequestsResponse(
            signature_requests=map(messages.request_message, found),
            next_page_token=paging.next_token(request, found[-1].signature_request_id) if more else "",
        )

    async def UpdateSignatureRequest(
        self, request: pb.UpdateSignatureRequestRequest, context: Any
    ) -> pb.UpdateSignatureRequestResponse:
        """See the contract."""
        validation.mask(request.update_mask, ("expire_time",))
        asked = request.signature_request
        expire_time = None
        if asked.HasField("expire_time"):
            expire_time = validation.future(asked.expire_time, "signature_request.expire_time")
        changed = await self._signing.reschedule(current_caller(), asked.signature_request_id, expire_time, asked.etag)
        return pb.UpdateSignatureRequestResponse(signature_request=messages.request_message(changed))

    async def CancelSignatureRequest(
        self, request: pb.CancelSignatureRequestRequest, context: Any
    ) -> pb.CancelSignatureRequestResponse:
        """See the contract."""
        canceled = await self._signing.cancel(current_caller(), request.signature_request_id, request.etag)
        return pb.CancelSignatureRequestResponse(signature_request=messages.request_message(canceled))

    async def MoveSignatureRequest(
        self, request: pb.MoveSignatureRequestRequest, context: Any
    ) -> pb.MoveSignatureRequestResponse:
        """See the contract."""
        moved = await self._signing.move(current_caller(), request.signature_request_id, request.owner_id, request.etag)
        return pb.MoveSignatureRequestResponse(signature_request=messages.request_message(moved))

    async def CreateSignerSession(
        self, request: pb.CreateSignerSessionRequest, context: Any
    ) -> pb.CreateSignerSessionResponse:
        """See the contract."""
        expire_time = clock.now() + SESSION_DEFAULT
        if request.HasField("expire_time"):
            expire_time = validation.future(request.expire_time, "expire_time", most=SESSION_MOST)
        opened = await self._signing.open_session(
            current_caller(), request.signature_request_id, request.signature_id, expire_time
        )
        return pb.CreateSignerSessionResponse(
            session_id=opened.session_id, token=opened.token, expire_time=clock.to_timestamp(opened.expire_time)
        )

    async def CreateSignerLink(self, request: pb.CreateSignerLinkRequest, context: Any) -> pb.CreateSignerLinkResponse:
        """See the contract."""
        caller = current_caller()
        call = await self._answers.call(caller, request)
        request_id, signature_id = request.signature_request_id, request.signature_id

        async def act() -> pb.CreateSignerLinkResponse:
            expire_time = clock.now() + LINK_DEFAULT
            if request.HasField("expire_time"):
                expire_time = validation.future(request.expire_time, "expire_time", most=LINK_MOST)

            def bare(signer_link_id: str) -> pb.CreateSignerLinkResponse:
                return pb.CreateSignerLinkResponse(
                    signer_link_id=signer_link_id, expire_time=clock.to_timestamp(expire_time)
                )

            signer_link_id, token = await self._links.create(
                caller, request_id, signature_id, expire_time, call=call, answer=bare
            )
            answer = bare(signer_link_id)
            answer.token = token
            return answer

        async def restore(answer: pb.CreateSignerLinkResponse) -> None:
            answer.token = await self._links.renew(caller, request_id, signature_id, answer.signer_link_id)

        return await _once(call, pb.CreateSignerLinkResponse, act=act, restore=restore)

    async def ListSignerLinks(self, request: pb.ListSignerLinksRequest, context: Any) -> pb.ListSignerLinksResponse:
        """See the contract."""
        size = paging.page_size(request)
        place = paging.place_of(request, str) or (FIRST_LINK,)
        found = await self._links.list_page(
            current_caller(), request.signature_request_id, before=place[0], limit=size + 1
        )
        page = found[:size]
        return pb.ListSignerLinksResponse(
            signer_links=[messages.link_message(*each) for each in page],
            next_page_token=paging.next_token(request, page[-1][0].signer_link_id) if len(found) > size else "",
        )

    async def RevokeSignerLink(self, request: pb.RevokeSignerLinkRequest, context: Any) -> pb.RevokeSignerLinkResponse:
        """See the contract."""
        await self._links.revoke(current_caller(), request.signature_request_id, request.signer_link_id)
        return pb.RevokeSignerLinkResponse()


class CeremonyServicer(ceremony_rpc.CeremonyServiceServicer):
    """See ``zegel.signing.v1.CeremonyService``.

    Args:
        ceremony: The use cases.
        answers: Earlier answers.
    """

    def __init__(self, ceremony: Ceremony, answers: Answers) -> None:
        self._ceremony = ceremony
        self._answers = answers

    async def OpenCeremony(
        self, request: ceremony_pb.OpenCeremonyRequest, context: Any
    ) -> ceremony_pb.OpenCeremonyResponse:
        """See the contract."""
        view = await self._ceremony.open(current_caller())
        return ceremony_pb.OpenCeremonyResponse(ceremony=messages.ceremony_message(view))

    async def GetCeremony(
        self, request: ceremony_pb.GetCeremonyRequest, context: Any
    ) -> ceremony_pb.GetCeremonyResponse:
        """See the contract."""
        view = await self._ceremony.get(current_caller())
        return ceremony_pb.GetCeremonyResponse(ceremony=messages.ceremony_message(view))

    async def AcceptDisclosure(
        self, request: ceremony_pb.AcceptDisclosureRequest, context: Any
    ) -> ceremony_pb.AcceptDisclosureResponse:
        """See the contract."""
        view = await self._ceremony.accept_disclosure(current_caller())
        return ceremony_pb.AcceptDisclosureResponse(ceremony=messages.ceremony_message(view))

    async def FillFields(self, request: ceremony_pb.FillFieldsRequest, context: Any) -> ceremony_pb.FillFieldsResponse:
        """See the contract."""
        view = await self._ceremony.fill(current_caller(), messages.new_values(request.values))
        return ceremony_pb.FillFieldsResponse(ceremony=messages.ceremony_message(view))

    async def SignDocuments(
        self, request: ceremony_pb.SignDocumentsRequest, context: Any
    ) -> ceremony_pb.SignDocumentsResponse:
        """See the contract."""
        caller = current_caller()
        call = await self._answers.call(caller, request)

        def bare(view: CeremonyView) -> ceremony_pb.SignDocumentsResponse:
            return ceremony_pb.SignDocumentsResponse(ceremony=messages.ceremony_message(view, bare=True))

        async def act() -> ceremony_pb.SignDocumentsResponse:
            view = await self._ceremony.sign(caller, call, bare)
            return ceremony_pb.SignDocumentsResponse(ceremony=messages.ceremony_message(view))

        async def restore(answer: ceremony_pb.SignDocumentsResponse) -> None:
            messages.restore_ceremony(answer.ceremony, await self._ceremony.get(caller))

        return await _once(call, ceremony_pb.SignDocumentsResponse, act=act, restore=restore)

    async def DeclineSignature(
        self, request: ceremony_pb.DeclineSignatureRequest, context: Any
    ) -> ceremony_pb.DeclineSignatureResponse:
        """See the contract."""
        view = await self._ceremony.decline(current_caller(), request.reason)
        return ceremony_pb.DeclineSignatureResponse(ceremony=messages.ceremony_message(view))
