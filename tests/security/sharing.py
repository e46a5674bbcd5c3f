"""What the cells about teams and delegations name beside the resource in question, so that nothing changes by them."""

from collections.abc import Mapping

from security.absence import absent
from security.contracts import Rpc
from security.world import Caller, World
from zegel_server.caller import Scope

Fields = tuple[Mapping[str, str], bool]
"""The other fields of a request by their paths, and whether the caller reaches what is in question."""


def with_shares(world: World, rpc: Rpc, caller: Caller, path: str, *, relation: str, so_far: Fields) -> Fields:
    """The other fields of what makes teams and delegations, and whether what is named is reached.

    Args:
        world: What there is.
        rpc: The method.
        caller: The caller.
        path: The field in question.
        relation: What it names, to the caller.
        so_far: What holds for any other method.
    """
    scopes = caller.scopes(rpc.permission)
    # Whoever reaches the team, or the delegator, may name whoever is of the tenant.
    of_tenant = relation in {"own", "foreign"}
    mine = bool(scopes & Scope.ANY) or bool(scopes & Scope.OWN and "member" in caller.own)
    found: dict[tuple[str, str], Fields] = {
        ("AddTeamMember", "team_id"): ({"principal_id": world.foreign["principal"][0].name}, so_far[1]),
        ("AddTeamMember", "principal_id"): (
            {"team_id": (caller.own.get("team") or world.foreign["team"])[0].name},
            of_tenant and bool(scopes & (Scope.OWN | Scope.ANY)),
        ),
        # Nobody is removed: what callers reach stays what it is.
        ("RemoveTeamMember", "team_id"): ({"principal_id": absent("principal")}, so_far[1]),
        ("RemoveTeamMember", "principal_id"): ({"team_id": absent("team")}, False),
        ("CreateDelegation", "delegator_id"): ({"delegate_id": world.foreign["member"][0].name}, so_far[1]),
        ("CreateDelegation", "delegate_id"): (
            {"delegator_id": (caller.own.get("member") or world.foreign["member"])[0].name},
            of_tenant and mine,
        ),
        **{
            (name, each): fields
            for name, kind in (("MoveDocument", "document"), ("MoveSignatureRequest", "signature_request"))
            for each, fields in (
                (f"{kind}_id", ({"owner_id": caller.principal_id or absent("owner")}, so_far[1])),
                (
                    "owner_id",
                    (
                        {f"{kind}_id": (caller.own.get(kind) or world.foreign[kind])[0].name},
                        so_far[1] and (bool(scopes & Scope.ANY) or kind in caller.own),
                    ),
                ),
            )
        },
        ("CreateSignatureRequest", "team_id"): (
            {"documents.document_id": (caller.own.get("document") or world.foreign["document"])[0].name},
            so_far[1],
        ),
    }
    return found.get((rpc.name, path), so_far)
