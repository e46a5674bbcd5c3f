"""The cells of the matrix: each method, by each caller, about each resource, with the answer that is declared for it.

What is expected comes from the contracts and from the roles as they are written down; nothing that decides in the
server is asked.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from security.absence import absent
from security.contracts import FILTERS, GRANTED, IGNORED, RPCS, Rpc, reaches
from security.sharing import with_shares
from security.templates import TEMPLATES, request
from security.world import OTHER_ROLE, OUR_ROLE, SMALL_ROLE, Caller, Kinds, Resource, World
from zegel_server.caller import Scope

PASS: Final = "pass"
"""The caller is let through to the resource; what it is told then depends on that resource's state."""
DENIED: Final = "denied"
"""No role holds the permission: told so, before any resource is looked at."""
ABSENT: Final = "absent"
"""Told exactly what is told of a resource that never was."""
SAME: Final = "same"
"""Whatever the field says, the answer is the same."""
INVALID: Final = "invalid"
"""A required name is missing."""

OPTIONAL: Final = frozenset(
    {
        ("StartUpload", "spec.document_id"),
        ("UploadDocument", "spec.document_id"),
        ("StartUpload", "spec.team_id"),
        ("UploadDocument", "spec.team_id"),
        ("CreateSignatureRequest", "team_id"),
        ("ListEvents", "signature_request_id"),
        ("WatchEvents", "signature_request_id"),
    }
)
"""Fields that name a resource only where they are filled in."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        rpc: The method.
        who: The caller's name, or the token's state.
        token: What it sends as its token; ``None`` for no metadata.
        about: Field, relation and state, for people.
        payload: The request.
        expected: How it must be answered; a reason where nobody is let in with the token.
        twin: The same request about something that never was, where the two must be answered alike.
        passes: Where it is let through: the outcomes that a good state allows; empty for whatever the state says.
        kind: Kind of the resource.
    """

    rpc: Rpc
    who: str
    token: str | None = field(repr=False)
    about: str
    payload: bytes = field(repr=False)
    expected: str
    twin: bytes | None = field(default=None, repr=False)
    passes: frozenset[str] = frozenset()
    kind: str = ""


MALFORMED: Final = ("x", "../../etc/passwd", "doc_", "ROLE NAME", "'; DROP TABLE documents; --", "\u00e9" * 40)


class Cells:
    """Makes cells.

    Args:
        world: What there is.
        choose: Chooses what is random.
    """

    def __init__(self, world: World, choose: random.Random) -> None:
        self.world = world
        self.choose = choose
        self.everybody = {**world.callers, **world.other_callers}
        self._pool: Kinds = {}
        for caller in world.callers.values():
            for kind, resources in caller.own.items():
                if kind != "principal":  # to grant a role to a caller would change what is expected of it
                    self._pool.setdefault(kind, []).extend(resources)

    # ------------------------------------------------------------------------------------------- the whole of it

    def all(self) -> Iterator[Cell]:
        """Every cell once."""
        for rpc in RPCS.values():
            for caller in self.everybody.values():
                yield from self.of(rpc, caller)
            yield from self.bad_tokens(rpc)
            yield from self.links(rpc)

    def of(self, rpc: Rpc, caller: Caller) -> Iterator[Cell]:
        """Every cell of a method and a caller.

        Args:
            rpc: The method.
            caller: The caller.
        """
        if rpc.exchanges:
            payload = request(rpc, self.label(rpc, caller), {})
            yield Cell(rpc, caller.name, caller.token, "a session's token", payload, "SESSION_MALFORMED")
            return
        if rpc.name == "UploadDocument" or all((rpc.name, path) in OPTIONAL for path in rpc.kinds):
            yield self.without(rpc, caller)
        for path, kind in rpc.kinds.items():
            if (rpc.name, path) not in OPTIONAL:
                yield self.empty(rpc, caller, path)
            for relation, resource in self.candidates(caller, kind):
                yield self.about(rpc, caller, path, relation, resource)
        yield from self.of_other_fields(rpc, caller)

    def of_other_fields(self, rpc: Rpc, caller: Caller) -> Iterator[Cell]:
        """Every cell of the fields that name something without being the resource."""
        for path in self.lists_of(rpc, FILTERS):
            for relation, resource in self.candidates(caller, FILTERS[rpc.name, path]):
                yield self.filtered(rpc, caller, path, relation, resource)
        for path in self.lists_of(rpc, GRANTED):
            for name in (OUR_ROLE, OTHER_ROLE, absent("role"), "Not a name"):
                yield self.granted(rpc, caller, path, name)
        for name, path in IGNORED:
            if name == rpc.name:
                yield from self.ignored(rpc, caller, path)

    def bad_tokens(self, rpc: Rpc) -> Iterator[Cell]:
        """A method, about something that is there, with every token that nobody is let in with.

        Args:
            rpc: The method.
        """
        for state, (token, reason) in self.world.bad_tokens.items():
            if rpc.exchanges and reason not in {"SESSION_MISSING", "SESSION_MALFORMED"}:
                reason = "SESSION_MALFORMED"  # noqa: PLW2901 - whatever it opens elsewhere, it is none here
            named = {path: self.foreign(kind).name for path, kind in self.one_way(rpc).items()}
            yield Cell(rpc, state, token, "a token", request(rpc, state, named), reason)

    def links(self, rpc: Rpc) -> Iterator[Cell]:
        """A method with a signer link in every state: only what is exchanged is looked up, and only once is it good.

        Args:
            rpc: The method.
        """
        for state, (token, reason) in self.world.links.items():
            named = {path: self.foreign(kind).name for path, kind in self.one_way(rpc).items()}
            expected = reason if rpc.exchanges else "SESSION_MALFORMED"
            yield Cell(rpc, f"link {state}", token, "a link", request(rpc, state, named), expected)

    def any(self) -> Iterator[Cell]:
        """Cells at random, without an end: other identifiers and other owners each time."""
        rpcs, callers = list(RPCS.values()), list(self.everybody.values())
        with_kinds = [rpc for rpc in rpcs if rpc.kinds]
        while True:
            roll = self.choose.random()
            if roll < 0.08:
                yield self.choose.choice(list(self.bad_tokens(self.choose.choice(rpcs))))
            elif roll < 0.16:
                yield from self.some(list(self.of(self.choose.choice(rpcs), self.choose.choice(callers))))
            else:
                rpc, caller = self.choose.choice(with_kinds), self.choose.choice(callers)
                path, kind = self.choose.choice(list(rpc.kinds.items()))
                relation, resource = self.random_resource(caller, kind)
                if (rpc.name, path) == ("CreateDelegation", "delegate_id") and resource in self._pool[kind]:
                    # To delegate to a caller would change what is expected of it.
                    relation, resource = "foreign", self.foreign(kind)
                yield self.about(rpc, caller, path, relation, resource)

    def some(self, cells: Sequence[Cell]) -> Iterator[Cell]:
        """One of some cells, if there is one."""
        if cells:
            yield self.choose.choice(cells)

    # ---------------------------------------------------------------------------------------------- what is named

    def foreign(self, kind: str) -> Resource:
        """Something in a good state that none of the callers owns."""
        return next(each for each in self.world.foreign[kind] if each.state == "good")

    def one_way(self, rpc: Rpc) -> Mapping[str, str]:
        """The fields of a method's resources that can be filled in at the same time."""
        kinds = rpc.kinds
        return {"upload_id": "upload"} if rpc.name == "UploadDocument" else kinds

    def candidates(self, caller: Caller, kind: str) -> Iterator[tuple[str, Resource]]:
        """Resources of a kind by what they are to a caller, one a state."""
        theirs, ours = self.world.foreign, self.world.other
        if caller.name in self.world.callers and caller.name != "operator":
            for relation, kinds in (
                ("own", caller.own),
                ("party", caller.party),
                ("delegated", caller.delegated),
                ("foreign", theirs),
            ):
                for resource in kinds.get(kind, ()):
                    yield relation, resource
            beside = ours
        else:
            for resource in caller.party.get(kind, ()):
                yield "party", resource
            beside = theirs
        for resource in beside.get(kind, ()):
            yield "other", resource
        yield "absent", Resource(absent(kind))
        for text in MALFORMED:
            yield "malformed", Resource(text)

    def random_resource(self, caller: Caller, kind: str) -> tuple[str, Resource]:
        """A resource of a kind, or a name that is none."""
        roll = self.choose.random()
        if roll < 0.25 and caller.name in self.world.callers and self._pool.get(kind):
            resource = self.choose.choice(self._pool[kind])
            mine = resource in caller.own.get(kind, ())
            inside = caller.name != "operator"
            if not any(resource.name == each.name for each in caller.party.get(kind, ())):
                return ("own" if mine else "foreign") if inside else "other", resource
        if roll < 0.35:
            real = self.choose.choice(self.world.other.get(kind) or self.world.foreign[kind]).name
            at = self.choose.randrange(4, len(real))
            digit = self.choose.choice([each for each in "0123456789abcdefghjkmnpqrstvwxyz" if each != real[at]])
            return "absent", Resource(real[:at] + digit + real[at + 1 :])
        if roll < 0.4:
            length = self.choose.randrange(1, 60)
            return "malformed", Resource("".join(chr(self.choose.randrange(0x20, 0x24F)) for _ in range(length)))
        relation, resource = self.choose.choice(list(self.candidates(caller, kind)))
        return relation, resource

    # ------------------------------------------------------------------------------------------------- the cells

    def label(self, rpc: Rpc, caller: Caller, *more: str) -> str:
        """Different for each aim: what is made by it is made once."""
        return "/".join((rpc.name, caller.name, caller.principal_id, *more))

    def without(self, rpc: Rpc, caller: Caller) -> Cell:
        """A method that works on what the session stands for."""
        scopes = caller.scopes(rpc.permission)
        template = TEMPLATES[rpc.name]
        usual = not caller.name.startswith("signer of")
        named = {"role.name": SMALL_ROLE} if rpc.name == "CreateRole" else {}
        return Cell(
            rpc,
            caller.name,
            caller.token,
            "nothing",
            request(rpc, self.label(rpc, caller), named),
            PASS if scopes else DENIED,
            passes=template.passes if usual and rpc.name != "UploadDocument" else frozenset(),
        )

    def empty(self, rpc: Rpc, caller: Caller, path: str) -> Cell:
        """A required name is left out."""
        expected = INVALID if caller.scopes(rpc.permission) else DENIED
        # Where two are required, what is said of the other one must not matter before.
        named = {} if rpc.name != "UploadDocument" else {"upload_id": ""}
        payload = request(rpc, self.label(rpc, caller), named)
        return Cell(rpc, caller.name, caller.token, f"{path} empty", payload, expected)

    def about(self, rpc: Rpc, caller: Caller, path: str, relation: str, resource: Resource) -> Cell:
        """A method about a resource."""
        kind, template, scopes = rpc.kinds[path], TEMPLATES[rpc.name], caller.scopes(rpc.permission)
        reached = reaches(scopes, kind, relation, rpc.permission)
        beside: Mapping[str, str] = {
            each: resource.beside[each] for each in rpc.kinds if each in resource.beside and each != path
        }
        if rpc.name == "GrantRole":
            if path == "principal_id":
                beside = {"role": SMALL_ROLE}
            else:
                beside = {"principal_id": self.reachable_principal(caller, scopes)}
                # A role is its tenant's: whoever may grant to the principal may name it.
                reached = relation == "foreign" and bool(scopes & (Scope.OWN | Scope.ANY))
        elif rpc.name == "TakeRole" and path == "role":
            beside = {"principal_id": self.reachable_principal(caller, scopes)}
            if relation == "foreign" and scopes:
                # Whether the principal has it depends on what was granted so far.
                payload = request(rpc, self.label(rpc, caller), {**beside, path: resource.name})
                return Cell(rpc, caller.name, caller.token, f"{path} {relation}", payload, PASS)
        elif rpc.name == "TakeRole":
            beside = {"role": "member", **beside}
        elif rpc.name in {"CreateSignerSession", "CreateSignerLink", "RevokeSignerLink"} and not beside:
            beside = self.signing_beside(rpc, caller, path)
        beside, reached = with_shares(self.world, rpc, caller, path, relation=relation, so_far=(beside, reached))
        about = f"{path} {relation} {resource.state}"
        label = self.label(rpc, caller, path, resource.name)
        payload = request(rpc, label, {**beside, path: resource.name})
        if not scopes:
            return Cell(rpc, caller.name, caller.token, about, payload, DENIED)
        if reached and resource.state in template.spares:
            reached, payload = False, request(rpc, label, {**beside, path: absent(kind)})
        if reached:
            good = resource.state == "good"
            passes = template.passes if good else frozenset[str]()
            return Cell(rpc, caller.name, caller.token, about, payload, PASS, passes=passes, kind=kind)
        twin = request(rpc, f"{label}/twin", {**beside, path: absent(kind)})
        return Cell(rpc, caller.name, caller.token, about, payload, ABSENT, twin, kind=kind)

    def reachable_principal(self, caller: Caller, scopes: Scope) -> str:
        """A principal to whom a caller may grant, if there is one."""
        if scopes & Scope.ANY or "principal" not in caller.own:
            return self.foreign("principal").name
        return caller.own["principal"][0].name

    def signing_beside(self, rpc: Rpc, caller: Caller, path: str) -> Mapping[str, str]:
        """The other field of a request's signer or link, of something that the caller reaches where it reaches any."""
        [(other, kind)] = [each for each in rpc.kinds.items() if each[0] != path]
        own = caller.own.get(kind) or self.world.foreign[kind]
        return {other: own[0].name}

    def filtered(self, rpc: Rpc, caller: Caller, path: str, relation: str, resource: Resource) -> Cell:
        """A list cut down to what a field names."""
        scopes = caller.scopes(rpc.permission)
        kind = FILTERS[rpc.name, path]
        label, about = self.label(rpc, caller), f"{path} {relation}"
        payload = request(rpc, label, {path: resource.name})
        if not scopes:
            return Cell(rpc, caller.name, caller.token, about, payload, DENIED)
        if reaches(scopes, kind, relation) or (kind == "role" and relation == "foreign"):
            return Cell(rpc, caller.name, caller.token, about, payload, PASS, passes=frozenset({"OK"}))
        twin = request(rpc, label, {path: absent(kind)})
        return Cell(rpc, caller.name, caller.token, about, payload, SAME, twin)

    def granted(self, rpc: Rpc, caller: Caller, path: str, name: str) -> Cell:
        """A role that is handed out."""
        scopes = caller.scopes(rpc.permission)
        label = self.label(rpc, caller, path, name)
        named = {"role.name": SMALL_ROLE} if rpc.name == "UpdateRole" else {}
        if rpc.name == "CreateRole":
            named = {"role.name": "never-made"}
        payload = request(rpc, label, {**named, path: name})
        about = f"{path} {name}"
        if not scopes:
            return Cell(rpc, caller.name, caller.token, about, payload, DENIED)
        here = OUR_ROLE if caller.name in self.world.callers else OTHER_ROLE
        if name == here:
            # Handed out once, or refused because it is taken, or inherits from itself.
            return Cell(rpc, caller.name, caller.token, about, payload, PASS)
        return Cell(
            rpc,
            caller.name,
            caller.token,
            about,
            payload,
            SAME,
            request(rpc, f"{label}/twin", {**named, path: absent("role")}),
        )

    def ignored(self, rpc: Rpc, caller: Caller, path: str) -> Iterator[Cell]:
        """A field that no mask can name."""
        scopes = caller.scopes(rpc.permission)
        if not scopes or caller.name not in self.world.callers:
            return
        named: dict[str, str] = {}
        for main, kind in rpc.kinds.items():
            found = caller.own.get(kind) if scopes & (Scope.OWN | Scope.ANY) else None
            if found or scopes & Scope.ANY:
                named[main] = (found or self.world.foreign[kind])[0].name
        label = self.label(rpc, caller, path)
        last = path.rpartition(".")[2]
        kind = {"owner_id": "principal", "sealed_document_id": "document", "roles": "role"}.get(
            last, last.removesuffix("_id") if last != "audit_id" else last
        )
        twin = request(rpc, label, {**named, path: absent("role")})
        for kinds in (self.world.other, self.world.foreign, caller.own):
            for resource in kinds.get(kind, ())[:2]:
                payload = request(rpc, label, {**named, path: resource.name})
                yield Cell(rpc, caller.name, caller.token, f"{path} ignored", payload, SAME, twin)

    def lists_of(self, rpc: Rpc, table: Mapping[tuple[str, str], str]) -> Sequence[str]:
        """The paths of a method in one of the tables."""
        return [path for name, path in table if name == rpc.name]
