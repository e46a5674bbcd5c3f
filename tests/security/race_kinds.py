"""What is given, used and taken away in a race, a kind a class."""

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from security.tokens import ahead
from support.flow import Office
from zegel.document.v1 import document_service_pb2 as document
from zegel.document.v1 import document_service_pb2_grpc as document_rpc
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.identity.v1 import identity_service_pb2_grpc as identity_rpc
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel.permission.v1 import permission_service_pb2_grpc as permission_rpc
from zegel.permission.v1 import sharing_pb2 as sharing
from zegel.signing.v1 import signing_service_pb2 as signing
from zegel.signing.v1 import signing_service_pb2_grpc as signing_rpc
from zegel_server import clock

TIMEOUT_S: Final = 60.0
ROTATIONS: Final = 50
"""Of one key: each leaves a row about the token before it."""
OVERLAP_NS: Final = 60_000_000
"""Long enough for a use to be answered within it on a machine that is not overloaded; none has to be."""
AFTER_END_S: Final = 0.001
"""A sleep may end early by the resolution of the loop's clock."""


class Server:
    """The methods of one server.

    Args:
        channel: To it.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.documents: Any = document_rpc.DocumentServiceStub(channel)
        self.identity: Any = identity_rpc.IdentityServiceStub(channel)
        self.permissions: Any = permission_rpc.PermissionServiceStub(channel)
        self.signing: Any = signing_rpc.SigningServiceStub(channel)


def bearer(token: str) -> dict[str, Any]:
    """What a call carries."""
    return {"metadata": (("authorization", f"Bearer {token}"),), "timeout": TIMEOUT_S}


async def code_of(call: Awaitable[Any]) -> str:
    """The code that a call is answered with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return _told(error)
    return "OK"


def _told(error: grpc.aio.AioRpcError) -> str:
    if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}:
        sys.stderr.write(f"{error.code().name}: {error.details()}\n")  # it is a failure, and somebody will ask why
    return str(error.code().name)


async def patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """Makes a call again while others change the same policy faster than it can be read."""
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ABORTED:
                raise


@dataclass(frozen=True)
class Lane:
    """What races one after another are about.

    Attributes:
        owner: Token of who gives and takes.
        auditor: A member, and the token of its session: it starts no upload, unless a role lets it.
        member: Another, who reads what is shared with it.
        delegator: A third, whose document that is.
        team: A team.
        team_document: What the team owns.
        delegated_document: What the delegator owns.
        signature_request: A request, and the signature of its signer.
        delegated_request: The same of the delegator's.
    """

    owner: str = field(repr=False)
    auditor: tuple[str, str]
    member: tuple[str, str]
    delegator: str
    team: str
    team_document: str
    delegated_document: str
    signature_request: tuple[str, str]
    delegated_request: tuple[str, str]


def lane_of(office: Office, number: int) -> Lane:
    """Makes what races are about.

    Args:
        office: The tenant.
        number: Of the lane.
    """
    owner = office.owner
    people = []
    for name, role in (("a", "auditor"), ("m", "member"), ("d", "member")):
        made = owner.identity.create_member(name="M", email=f"{name}{number}@example.com", roles=[role])
        opened = owner.identity.create_session(member_id=made.member.member_id, expire_time=ahead(24 * 3600))
        people.append((made.member.member_id, opened.token))
    team_id = owner.permissions.create_team(name="Team").team.team_id
    ours = Office(office.server, office.root, office.tenant_id, owner, owner, "", team_id)
    theirs = Office(office.server, office.root, office.tenant_id, owner, office.root.with_token(people[2][1]), "")
    sent, delegated = ours.send(), theirs.send()
    return Lane(
        str(owner._call.token),
        people[0],
        people[1],
        people[2][0],
        team_id,
        sent.documents[0].document_id,
        theirs.upload().document_id,
        (sent.signature_request_id, sent.signatures[0].signature_id),
        (delegated.signature_request_id, delegated.signatures[0].signature_id),
    )


class Course(ABC):
    """Races of one kind, one after another.

    Args:
        lane: What they are about.

    Attributes:
        allowed: Codes of who is let in.
        refused: Codes of who is not.
    """

    allowed: ClassVar[frozenset[str]] = frozenset({"OK"})
    refused: ClassVar[frozenset[str]] = frozenset({"UNAUTHENTICATED"})

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._owner = bearer(lane.owner)
        self.taking = False

    @abstractmethod
    async def give(self, server: Server) -> None:
        """Gives what is raced about."""

    @abstractmethod
    async def use(self, server: Server) -> str:
        """Uses it; the code of the answer."""

    @abstractmethod
    async def take(self, server: Server) -> None:
        """Takes it away."""

    def under_way(self) -> bool:
        """Whether it may be taken by now: until then whoever uses it is let in."""
        return self.taking


class OfSession(Course):
    """A member's session is revoked."""

    async def give(self, server: Server) -> None:
        request = identity.CreateSessionRequest(member_id=self._lane.auditor[0])
        opened = await patiently(lambda: server.identity.CreateSession(request, **self._owner))
        self._session_id, self._with = opened.session.session_id, bearer(opened.token)

    async def use(self, server: Server) -> str:
        return await code_of(server.identity.GetCurrentSession(identity.GetCurrentSessionRequest(), **self._with))

    async def take(self, server: Server) -> None:
        request = identity.RevokeSessionRequest(session_id=self._session_id)
        await patiently(lambda: server.identity.RevokeSession(request, **self._owner))


class OfRole(Course):
    """A role is taken from a member: an auditor owns nothing and cannot start an upload, a member can."""

    allowed: ClassVar[frozenset[str]] = frozenset(
        {"INVALID_ARGUMENT"}
    )  # what it is told of an upload without a title, once it is let in
    refused: ClassVar[frozenset[str]] = frozenset({"PERMISSION_DENIED"})

    async def give(self, server: Server) -> None:
        request = permission.GrantRoleRequest(principal_id=self._lane.auditor[0], role="member")
        await patiently(lambda: server.permissions.GrantRole(request, **self._owner))

    async def use(self, server: Server) -> str:
        request = document.StartUploadRequest(spec=document.UploadSpec(title="", size=1))
        return await code_of(server.documents.StartUpload(request, **bearer(self._lane.auditor[1])))

    async def take(self, server: Server) -> None:
        request = permission.TakeRoleRequest(principal_id=self._lane.auditor[0], role="member")
        await patiently(lambda: server.permissions.TakeRole(request, **self._owner))


class OfTeam(Course):
    """A member is removed from a team whose document it reads."""

    refused: ClassVar[frozenset[str]] = frozenset({"NOT_FOUND"})

    async def give(self, server: Server) -> None:
        request = sharing.AddTeamMemberRequest(team_id=self._lane.team, principal_id=self._lane.member[0])
        await patiently(lambda: server.permissions.AddTeamMember(request, **self._owner))

    async def use(self, server: Server) -> str:
        request = document.GetDocumentRequest(document_id=self._lane.team_document)
        return await code_of(server.documents.GetDocument(request, **bearer(self._lane.member[1])))

    async def take(self, server: Server) -> None:
        request = sharing.RemoveTeamMemberRequest(team_id=self._lane.team, principal_id=self._lane.member[0])
        await patiently(lambda: server.permissions.RemoveTeamMember(request, **self._owner))


class OfDelegation(Course):
    """A delegation ends by which a member reads another's document."""

    refused: ClassVar[frozenset[str]] = frozenset({"NOT_FOUND"})

    async def give(self, server: Server) -> None:
        request = sharing.CreateDelegationRequest(
            delegator_id=self._lane.delegator, delegate_id=self._lane.member[0], expire_time=ahead(3600)
        )
        made = await patiently(lambda: server.permissions.CreateDelegation(request, **self._owner))
        self._delegation_id = made.delegation.delegation_id

    async def use(self, server: Server) -> str:
        request = document.GetDocumentRequest(document_id=self._lane.delegated_document)
        return await code_of(server.documents.GetDocument(request, **bearer(self._lane.member[1])))

    async def take(self, server: Server) -> None:
        request = sharing.EndDelegationRequest(delegation_id=self._delegation_id)
        await patiently(lambda: server.permissions.EndDelegation(request, **self._owner))


class OfHandedOut(OfDelegation):
    """A delegation ends, and with it the signer's session that the delegate handed out."""

    refused: ClassVar[frozenset[str]] = frozenset({"UNAUTHENTICATED"})

    async def give(self, server: Server) -> None:
        await super().give(server)
        request_id, signature_id = self._lane.delegated_request
        request = signing.CreateSignerSessionRequest(signature_request_id=request_id, signature_id=signature_id)
        made = await patiently(lambda: server.signing.CreateSignerSession(request, **bearer(self._lane.member[1])))
        self._with = bearer(made.token)

    async def use(self, server: Server) -> str:
        return await code_of(server.identity.GetCurrentSession(identity.GetCurrentSessionRequest(), **self._with))


class _OfKey(Course):
    """Something about an API key."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self._key_id = self._token = ""

    async def _make(self, server: Server) -> None:
        request = identity.CreateApiKeyRequest(name="K", roles=["developer"])
        made = await patiently(lambda: server.identity.CreateApiKey(request, **self._owner))
        self._key_id, self._token = made.api_key.api_key_id, made.token

    async def _current(self, server: Server, token: str) -> str:
        return await code_of(server.identity.GetCurrentSession(identity.GetCurrentSessionRequest(), **bearer(token)))


class OfKey(_OfKey):
    """An API key is revoked."""

    # Its roles go with it: who was let in as the key just before may find it without any.
    refused: ClassVar[frozenset[str]] = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})

    async def give(self, server: Server) -> None:
        await self._make(server)

    async def use(self, server: Server) -> str:
        return await self._current(server, self._token)

    async def take(self, server: Server) -> None:
        request = identity.RevokeApiKeyRequest(api_key_id=self._key_id)
        await patiently(lambda: server.identity.RevokeApiKey(request, **self._owner))


class OfToken(_OfKey):
    """An API key gets a new token, and the one before ends at once."""

    _rotated = ROTATIONS
    _next = ""

    async def give(self, server: Server) -> None:
        if self._rotated == ROTATIONS:
            await self._make(server)
            self._rotated = 0
        else:
            self._token = self._next

    async def use(self, server: Server) -> str:
        return await self._current(server, self._token)

    async def take(self, server: Server) -> None:
        request = identity.RotateApiKeyRequest(api_key_id=self._key_id, overlap=Duration())
        made = await patiently(lambda: server.identity.RotateApiKey(request, **self._owner))
        self._rotated, self._next = self._rotated + 1, made.token


class OfOverlap(_OfKey):
    """The overlap ends for which the token before a rotation stays good; nobody does anything then."""

    _rotated = ROTATIONS
    _next = ""
    _end = 0

    async def give(self, server: Server) -> None:
        if self._rotated == ROTATIONS:
            await self._make(server)
            self._rotated, self._next = 0, self._token
        self._token = self._next
        request = identity.RotateApiKeyRequest(api_key_id=self._key_id, overlap=Duration(nanos=OVERLAP_NS))
        made = await patiently(lambda: server.identity.RotateApiKey(request, **self._owner))
        self._rotated, self._next = self._rotated + 1, made.token
        self._end = clock.from_timestamp(made.api_key.previous_expire_time)

    async def use(self, server: Server) -> str:
        return await self._current(server, self._token)

    async def take(self, server: Server) -> None:
        left = self._end - clock.now()
        await asyncio.sleep(max(0, left) / clock.SECOND + AFTER_END_S)

    def under_way(self) -> bool:
        return clock.now() >= self._end


COURSES: Final[tuple[type[Course], ...]] = (
    OfSession,
    OfRole,
    OfTeam,
    OfDelegation,
    OfHandedOut,
    OfKey,
    OfToken,
    OfOverlap,
)


class Links:
    """Signer links: turned into a session by two at once, and revoked by a third.

    Args:
        lane: What they are of.
    """

    allowed: ClassVar[frozenset[str]] = frozenset({"OK"})
    refused: ClassVar[frozenset[str]] = frozenset({"UNAUTHENTICATED"})

    def __init__(self, lane: Lane) -> None:
        self._owner = bearer(lane.owner)
        self._request_id, self._signature_id = lane.signature_request

    async def make(self, server: Server) -> tuple[str, str]:
        """A link: its identifier and its token."""
        request = signing.CreateSignerLinkRequest(
            signature_request_id=self._request_id, signature_id=self._signature_id
        )
        made = await patiently(lambda: server.signing.CreateSignerLink(request, **self._owner))
        return made.signer_link_id, made.token

    async def revoke(self, server: Server, link_id: str) -> None:
        """Revokes one."""
        request = signing.RevokeSignerLinkRequest(signature_request_id=self._request_id, signer_link_id=link_id)
        await patiently(lambda: server.signing.RevokeSignerLink(request, **self._owner))

    async def redeem(self, server: Server, token: str) -> tuple[str, str]:
        """Turns one into a session: the code of the answer, and the session's token."""
        try:
            made = await server.identity.ExchangeToken(identity.ExchangeTokenRequest(), **bearer(token))
        except grpc.aio.AioRpcError as error:
            return _told(error), ""
        return "OK", made.token

    async def use(self, server: Server, token: str) -> str:
        """Uses a session."""
        return await code_of(server.identity.GetCurrentSession(identity.GetCurrentSessionRequest(), **bearer(token)))
