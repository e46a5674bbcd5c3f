"""The methods of ``PermissionService`` about teams and delegations: converts messages to the model and back."""

from collections.abc import Iterable
from typing import Any

from zegel.permission.v1 import sharing_pb2 as pb
from zegel_server import clock
from zegel_server.caller import Caller, Share, current_caller
from zegel_server.edge import etags, paging, validation
from zegel_server.edge.idempotency import Answers, Keep
from zegel_server.errors import InvalidArgument
from zegel_server.permissions.delegations import MAX_LIFETIME, Delegation
from zegel_server.permissions.model import is_principal
from zegel_server.permissions.service import Permissions
from zegel_server.permissions.teams import Team, TeamMember

MAX_NAME = 200
"""Characters of a team's name, as the contract says."""
MAX_NARROWED = 100
"""Permissions that a delegation can be narrowed to, as the contract says."""


class SharingMethods:
    """See ``zegel.permission.v1.PermissionService``.

    Args:
        permissions: The use cases.
        answers: Stored answers, for retried calls.
    """

    def __init__(self, permissions: Permissions, answers: Answers) -> None:
        self._permissions = permissions
        self._answers = answers

    async def CreateTeam(self, request: pb.CreateTeamRequest, context: Any) -> pb.CreateTeamResponse:
        """See the contract."""
        caller = current_caller()
        name = validation.text(request.name, "name", most=MAX_NAME)
        return await self._answers.once(
            caller,
            request,
            pb.CreateTeamResponse,
            lambda keep: self._permissions.teams.create(caller, name, keep),
            lambda team: pb.CreateTeamResponse(team=_team(team)),
        )

    async def GetTeam(self, request: pb.GetTeamRequest, context: Any) -> pb.GetTeamResponse:
        """See the contract."""
        team_id = _team_id(request.team_id)
        return pb.GetTeamResponse(team=_team(await self._permissions.teams.get(current_caller(), team_id)))

    async def ListTeams(self, request: pb.ListTeamsRequest, context: Any) -> pb.ListTeamsResponse:
        """See the contract."""
        asked = paging.page_request(request)
        page = await self._permissions.teams.list_page(current_caller(), asked)
        return pb.ListTeamsResponse(teams=map(_team, page.items), next_page_token=paging.next_token(request, page))

    async def UpdateTeam(self, request: pb.UpdateTeamRequest, context: Any) -> pb.UpdateTeamResponse:
        """See the contract."""
        validation.mask(request.update_mask, request.team, ("name",))
        team_id = _team_id(request.team.team_id, "team.team_id")
        name = validation.text(request.team.name, "team.name", most=MAX_NAME)
        team = await self._permissions.teams.update(current_caller(), team_id, name, request.team.etag)
        return pb.UpdateTeamResponse(team=_team(team))

    async def DeleteTeam(self, request: pb.DeleteTeamRequest, context: Any) -> pb.DeleteTeamResponse:
        """See the contract."""
        await self._permissions.teams.delete(current_caller(), _team_id(request.team_id), request.etag)
        return pb.DeleteTeamResponse()

    async def AddTeamMember(self, request: pb.AddTeamMemberRequest, context: Any) -> pb.AddTeamMemberResponse:
        """See the contract."""
        expire_time = validation.expiry_if_any(request)
        member = await self._permissions.teams.add(
            current_caller(), _team_id(request.team_id), _principal(request.principal_id), expire_time
        )
        return pb.AddTeamMemberResponse(member=_member(member))

    async def RemoveTeamMember(self, request: pb.RemoveTeamMemberRequest, context: Any) -> pb.RemoveTeamMemberResponse:
        """See the contract."""
        team_id, principal_id = _team_id(request.team_id), _principal(request.principal_id)
        await self._permissions.teams.remove(current_caller(), team_id, principal_id)
        return pb.RemoveTeamMemberResponse()

    async def ListTeamMembers(self, request: pb.ListTeamMembersRequest, context: Any) -> pb.ListTeamMembersResponse:
        """See the contract."""
        asked = paging.page_request(request)
        page = await self._permissions.teams.members(current_caller(), _team_id(request.team_id), asked)
        return pb.ListTeamMembersResponse(
            members=map(_member, page.items), next_page_token=paging.next_token(request, page)
        )

    async def CreateDelegation(self, request: pb.CreateDelegationRequest, context: Any) -> pb.CreateDelegationResponse:
        """See the contract."""
        caller = current_caller()
        delegator_id = validation.identifier(request.delegator_id, "mem", "delegator_id", "member")
        delegate_id = validation.identifier(request.delegate_id, "mem", "delegate_id", "member")
        if len(request.permissions) > MAX_NARROWED:
            raise InvalidArgument("permissions", f"must be at most {MAX_NARROWED}")
        if not request.HasField("expire_time"):
            raise InvalidArgument("expire_time", "must be set", reason="MISSING_FIELD")

        async def create(keep: Keep[Delegation]) -> Delegation:
            # Only for a first call: by a retry it may have passed.
            expire_time = validation.future(request.expire_time, "expire_time", most=MAX_LIFETIME)
            narrowed = frozenset(request.permissions)
            return await self._permissions.delegations.create(
                caller, delegator_id, delegate_id, narrowed, expire_time, keep=keep
            )

        return await self._answers.once(
            caller,
            request,
            pb.CreateDelegationResponse,
            create,
            lambda made: pb.CreateDelegationResponse(delegation=_delegation(made)),
        )

    async def ListDelegations(self, request: pb.ListDelegationsRequest, context: Any) -> pb.ListDelegationsResponse:
        """See the contract."""
        asked = paging.page_request(request)
        page = await self._permissions.delegations.list_page(current_caller(), asked)
        return pb.ListDelegationsResponse(
            delegations=map(_delegation, page.items), next_page_token=paging.next_token(request, page)
        )

    async def EndDelegation(self, request: pb.EndDelegationRequest, context: Any) -> pb.EndDelegationResponse:
        """See the contract."""
        delegation_id = validation.identifier(request.delegation_id, "dlg", "delegation_id", "delegation")
        await self._permissions.delegations.end(current_caller(), delegation_id)
        return pb.EndDelegationResponse()


def reaches(caller: Caller, permissions: Iterable[str]) -> list[pb.Reach]:
    """The others in whose resources a caller's permissions with scope OWN also apply.

    Args:
        caller: The caller.
        permissions: The permissions to ask for.
    """
    carried: dict[str, list[str]] = {}
    for permission in sorted(permissions):
        for owner_id in caller.shared(permission):
            carried.setdefault(owner_id, []).append(permission)
    return [reach_message(caller.shares[owner_id], names) for owner_id, names in sorted(carried.items())]


def reach_message(share: Share, permissions: Iterable[str]) -> pb.Reach:
    """The message of a share.

    Args:
        share: The share.
        permissions: The permissions it covers.
    """
    return pb.Reach(
        owner_id=share.owner_id,
        delegation_id=share.delegation_id,
        expire_time=clock.to_timestamp(share.expire_time),
        permissions=permissions,
    )


def _team_id(value: str, field: str = "team_id") -> str:
    return validation.identifier(value, "tea", field, "team")


def _principal(value: str) -> str:
    if not value:
        raise InvalidArgument("principal_id", "must not be empty", reason="MISSING_FIELD")
    return value if is_principal(value) else "-"


def _team(team: Team) -> pb.Team:
    return pb.Team(
        team_id=team.team_id,
        name=team.name,
        create_time=clock.to_timestamp(team.create_time),
        etag=etags.of(team.revision),
    )


def _member(member: TeamMember) -> pb.TeamMember:
    return pb.TeamMember(
        principal_id=member.principal_id,
        expire_time=clock.to_timestamp(member.expire_time),
        create_time=clock.to_timestamp(member.create_time),
    )


def _delegation(made: Delegation) -> pb.Delegation:
    return pb.Delegation(
        delegation_id=made.delegation_id,
        delegator_id=made.delegator_id,
        delegate_id=made.delegate_id,
        permissions=sorted(made.permissions or ()),
        create_time=clock.to_timestamp(made.create_time),
        expire_time=clock.to_timestamp(made.expire_time),
    )
