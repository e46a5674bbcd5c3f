"""The clients of a campaign, who ask over and over, and its changer; whether the oracle says so too."""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc.aio

from security.policy_changes import Changes, Made
from security.policy_oracle import (
    DENIED,
    PERMISSIONS,
    SCOPES,
    WORK_PERMISSIONS,
    Oracle,
    Reach,
    Shared,
    State,
    by,
)
from security.world import SCOPES as SCOPE_VALUES
from support.flow import Office
from support.sealed import make_pdf
from zegel.document.v1 import document_service_pb2 as document
from zegel.permission.v1 import permission_service_pb2 as pb
from zegel.permission.v1 import sharing_pb2
from zegel_server import clock

PAUSE_S: Final = 0.005
"""Between two changes, so that several answers are given on most versions."""
QUIET_S: Final = 0.4
"""Now and then: what ends by the clock ends within a version as well."""
ASKING: Final = "permission.check"
"""What asking itself takes."""
BUSY: Final = "ABORTED"
"""Neither let in nor refused: the policy changed faster than it could be read."""
CHECKED: Final = 20
"""Permissions in one ``CheckPermissions``."""
_NAMES: Final = {number: str(scope.name) for scope, number in SCOPE_VALUES.items()}

Fits = Callable[[Oracle, State, int], bool]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, with the versions and the moments between which it may lie.

    Attributes:
        about: Who asked what, and was told what, for people.
        least: The version that stood when the question was put.
        most: The newest that there could be when the answer came.
        told: The version that the answer names; ``least`` where it names none.
        since: When the question was put, in microseconds since the epoch.
        until: When the answer came.
        decisions: How many decisions it tells of.
        fits: Whether it is what the oracle says.
    """

    about: str
    least: int
    most: int
    told: int
    since: int
    until: int
    decisions: int
    fits: Fits


@dataclass(frozen=True)
class Work:
    """What somebody owns: by the permission that reading it takes."""

    owner: str
    reads: Mapping[str, tuple[str, Any]]


@dataclass
class Outcome:
    """What came out."""

    decisions: int = 0
    calls: int = 0
    changes: int = 0
    changes_refused: int = 0
    versions: int = 0
    disagreements: list[str] = field(default_factory=list)
    stale: int = 0
    exceptions: int = 0
    seconds: float = 0.0
    oracle_seconds: float = 0.0


class Campaign:
    """Clients, a changer, and what they saw.

    Args:
        office: The tenant.
        methods: By name.
        choose: Chooses.
    """

    def __init__(self, office: Office, methods: Mapping[str, Any], choose: random.Random) -> None:
        self._office = office
        self._methods = methods
        self._choose = choose
        self._owner = str(office.owner._call.token)
        self.states: dict[int, State] = {}
        self.version = 0
        self.answers: list[Answered] = []
        self.made: list[Made] = []
        self.works: list[Work] = []
        self.documents: dict[str, str] = {}
        self.exceptions = 0
        self.decisions = 0
        self.stopped = False

    async def call(self, method: str, request: Any, token: str) -> tuple[str, Any]:
        """Makes a call.

        Args:
            method: Its name.
            request: The request.
            token: Whose.

        Returns:
            The status's code, and the answer, if there is one.
        """
        metadata = (("authorization", f"Bearer {token}"),)
        try:
            return "OK", await self._methods[method](request, metadata=metadata, timeout=60)
        except grpc.aio.AioRpcError as error:
            return error.code().name, None

    async def begin(self, state: State) -> None:
        """Notes the first version.

        Args:
            state: The policy that was made.
        """
        _, found = await self.call("ListPermissions", pb.ListPermissionsRequest(), self._owner)
        self.version = found.policy_version
        self.states[self.version] = state

    def stop(self) -> None:
        """Ends the asking before its time."""
        self.stopped = True

    def own(self, work: Work, document_id: str) -> None:
        """Notes what somebody owns."""
        self.works.append(work)
        self.documents[document_id] = work.owner

    # ----------------------------------------------------------------------------------------------- asking

    async def ask(self, who: str, token: str, decisions: int, versions: int) -> None:
        """Asks until that much was told, or the changer has failed."""
        kinds = [self._permissions, self._check, self._documents, self._teams, self._read, self._explain]
        while (self.decisions < decisions or len(self.states) < versions) and not self.stopped:
            (kind,) = self._choose.choices(kinds, [3, 1, 3, 2, 4, 1])
            least, since = self.version, clock.now()
            for about, told, number, fits in await kind(who, token):
                # The change that is under way may have been committed already.
                answer = Answered(
                    f"{who} {about}",
                    least,
                    self.version + 1,
                    least if told is None else told,
                    since,
                    clock.now(),
                    number,
                    fits,
                )
                self.answers.append(answer)
                self.decisions += number

    async def _asked(self, method: str, request: Any, token: str, *refusals: str) -> tuple[str, Any]:
        code, found = await self.call(method, request, token)
        if code not in {"OK", BUSY, *refusals}:
            self.exceptions += 1
            sys.stderr.write(f"{method}: {code}\n")
        return code, found

    def _others(self) -> int:
        """Whose resources somebody may reach beside its own."""
        state = self.states[self.version]
        return len(state.bound) + len(state.teams) - 1

    async def _permissions(self, who: str, token: str) -> list[tuple[str, int | None, int, Fits]]:
        code, found = await self._asked("ListPermissions", pb.ListPermissionsRequest(), token, *DENIED)
        if code != "OK":
            return [self._refused(who, ASKING)] if code in DENIED else []
        held = frozenset((each.permission, _NAMES[each.scope]) for each in found.grants)
        shared = reach_of(found.reaches)

        def fits(oracle: Oracle, state: State, now: int) -> bool:
            return oracle.held(state, who, now) == held and oracle.reach(state, who, now) == shared

        number = len(SCOPES) * len(PERMISSIONS) + self._others() * len(WORK_PERMISSIONS)
        return [(f"holds {sorted(held)} and reaches {shared}", found.policy_version, number, fits)]

    async def _check(self, who: str, token: str) -> list[tuple[str, int | None, int, Fits]]:
        asked = self._choose.sample(PERMISSIONS, CHECKED)
        code, found = await self._asked(
            "CheckPermissions", pb.CheckPermissionsRequest(permissions=asked), token, *DENIED
        )
        if code != "OK":
            return [self._refused(who, ASKING)] if code in DENIED else []
        held = frozenset((each.permission, _NAMES[scope]) for each in found.checks for scope in each.scopes)
        shared = {each.permission: reach_of(each.reaches) for each in found.checks}

        def fits(oracle: Oracle, state: State, now: int) -> bool:
            mine = oracle.held(state, who, now)
            reach = oracle.reach(state, who, now)
            return held == frozenset(each for each in mine if each[0] in asked) and all(
                shared[permission] == by(permission, reach) for permission in asked
            )

        number = len(SCOPES) * CHECKED + self._others() * len(WORK_PERMISSIONS & {*asked})
        return [(f"of {asked} holds {sorted(held)} and reaches {shared}", None, number, fits)]

    async def _documents(self, who: str, token: str) -> list[tuple[str, int | None, int, Fits]]:
        there = dict(self.documents)
        request = document.ListDocumentsRequest(page_size=1_000)
        code, found = await self._asked("ListDocuments", request, token, *DENIED)
        if code != "OK":
            return [self._refused(who, "document.read")] if code in DENIED else []
        # What was uploaded meanwhile may be in it or not.
        listed = {each.document_id for each in found.documents if each.document_id in there or self._unknown(each)}

        def fits(oracle: Oracle, state: State, now: int) -> bool:
            owners = oracle.owners(state, who, now, "document.read")
            expected = {each for each, owner in there.items() if owners is None or owner in owners}
            return oracle.may(state, who, now, "document.read") and listed == expected

        return [(f"lists {sorted(listed)} of {there}", None, len(there), fits)]

    def _unknown(self, found: Any) -> bool:
        """Whether a document is of nobody in the tenant."""
        return not any(found.owner_id in {*state.bound, *state.teams} for state in self.states.values())

    async def _teams(self, who: str, token: str) -> list[tuple[str, int | None, int, Fits]]:
        request = sharing_pb2.ListTeamsRequest(page_size=1_000)
        code, found = await self._asked("ListTeams", request, token, *DENIED)
        if code != "OK":
            return [self._refused(who, "team.read")] if code in DENIED else []
        listed = {each.team_id for each in found.teams}

        def fits(oracle: Oracle, state: State, now: int) -> bool:
            owners = oracle.owners(state, who, now, "team.read")
            expected = {each for each in state.teams if owners is None or each in owners}
            return oracle.may(state, who, now, "team.read") and listed == expected

        return [(f"lists {sorted(listed)}", None, max(1, len(listed)), fits)]

    async def _read(self, who: str, token: str) -> list[tuple[str, int | None, int, Fits]]:
        work = self._choose.choice(self.works)
        permission = self._choose.choice(sorted(work.reads))
        method, request = work.reads[permission]
        code, _ = await self._asked(method, request, token, "NOT_FOUND", *DENIED)

        if code == BUSY:
            return []

        def fits(oracle: Oracle, state: State, now: int) -> bool:
            return code in oracle.use(state, who, now, permission, work.owner)

        return [(f"is told {code} by {method} of {work.owner}", None, 1, fits)]

    async def _explain(self, _: str, __: str) -> list[tuple[str, int | None, int, Fits]]:
        about = self._choose.choice(sorted(self.states[self.version].bound))
        permission = self._choose.choice(PERMISSIONS)
        request = pb.ExplainPermissionRequest(principal_id=about, permission=permission)
        code, found = await self._asked("ExplainPermission", request, self._owner, "NOT_FOUND")
        if code not in {"OK", "NOT_FOUND"}:
            return []
        if code == "NOT_FOUND":  # it has been removed meanwhile
            return [(f"finds no {about}", None, 1, lambda _oracle, state, _now: about not in state.bound)]
        scopes = {_NAMES[each.grant.scope] for each in found.grounds}
        shared = reach_of(found.reaches)

        def holds(oracle: Oracle, state: State, now: int) -> bool:
            return (
                about in state.bound
                and {scope for name, scope in oracle.held(state, about, now) if name == permission} == scopes
            )

        def reaches(oracle: Oracle, state: State, now: int) -> bool:
            return about in state.bound and by(permission, oracle.reach(state, about, now)) == shared

        told, named = found.policy_version, f"is explained {permission} of {about}"
        return [
            (f"{named}: {scopes}", told, len(SCOPES), holds),
            (f"{named}: {shared}", told, self._others(), reaches),
        ]

    @staticmethod
    def _refused(who: str, permission: str) -> tuple[str, int | None, int, Fits]:
        def fits(oracle: Oracle, state: State, now: int) -> bool:
            return not oracle.may(state, who, now, permission)

        return f"is denied {permission}", None, len(SCOPES), fits

    # --------------------------------------------------------------------------------------------- changing

    async def change(self, changes: Changes, tokens: Mapping[str, str], done: asyncio.Event) -> None:
        """Changes the policy until it is over.

        Args:
            changes: Chooses.
            tokens: By principal.
            done: Set when it is over.
        """
        while not done.is_set():
            await asyncio.sleep(PAUSE_S if self._choose.random() < 0.96 else QUIET_S)
            before = self.states[self.version]
            change = changes.following(before)
            since = clock.now()
            code, answer = await self.call(change.method, change.request, tokens.get(change.who, self._owner))
            if code == BUSY:
                continue
            self.made.append(Made(change, self.version, since, clock.now(), code, answer))
            if answer is None:
                continue
            self.states[self.version + 1] = change.after(before, answer)
            self.version += 1
            if change.method == "CreateTeam":
                await self._provide(answer.team.team_id)

    async def _provide(self, team_id: str) -> None:
        """Gives a new team a document."""
        data = make_pdf(team_id)
        upload = self._office.owner.documents.upload
        made = await asyncio.to_thread(lambda: upload(data, title="Of a team", team_id=team_id))
        self.own(Work(team_id, document_read(made.document_id)), made.document_id)

    # -------------------------------------------------------------------------------------------- comparing

    def compare(self, oracle: Oracle) -> Outcome:
        """Holds every answer against the oracle.

        Args:
            oracle: The oracle.
        """
        began = time.monotonic()
        refused = sum(each.answer is None for each in self.made)
        outcome = Outcome(
            calls=len(self.answers),
            changes=len(self.made),
            changes_refused=refused,
            versions=len(self.states),
            exceptions=self.exceptions,
        )
        for answer in sorted(self.answers, key=lambda each: each.least):
            outcome.decisions += answer.decisions
            outcome.stale += answer.told < answer.least
            versions = [each for each in range(answer.least, answer.most + 1) if each in self.states]
            if not any(
                answer.fits(oracle, self.states[version], now)
                for version in versions
                for now in self.states[version].moments(answer.since, answer.until)
            ):
                outcome.disagreements.append(f"at {versions}: {answer.about}")
        for made in self.made:
            outcome.decisions += 1
            late = made.code == "INVALID_ARGUMENT" and made.change.end is not None and made.change.end <= made.until
            state = self.states[made.before]
            if not late and not any(
                made.change.fits(oracle, state, now, made.code, made.answer)
                for now in state.moments(made.since, made.until)
            ):
                asked = f"{made.change.method}({str(made.change.request).replace(chr(10), ' ')})"
                outcome.disagreements.append(f"at {made.before}: {made.change.who} is told {made.code} of {asked}")
        outcome.oracle_seconds = time.monotonic() - began
        return outcome


def reach_of(reaches: Any) -> Reach:
    """What a message says of reach.

    Args:
        reaches: Messages ``Reach``.
    """
    return {
        each.owner_id: Shared(
            each.delegation_id,
            clock.from_timestamp(each.expire_time) if each.HasField("expire_time") else None,
            frozenset(each.permissions),
        )
        for each in reaches
    }


def document_read(document_id: str) -> dict[str, tuple[str, Any]]:
    """How a document is read."""
    return {"document.read": ("GetDocument", document.GetDocumentRequest(document_id=document_id))}
