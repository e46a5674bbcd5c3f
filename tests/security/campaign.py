"""Random decisions of a real server, from concurrent clients with live policy changes, against plain pycasbin.

Run: ``python tests/security/campaign.py --decisions 1000000``. It prints one line of JSON, and exits 1 if one differs.
What it has when it is interrupted (SIGINT, SIGTERM) it compares and prints as well.

One changer changes roles, bindings, teams and delegations, as the owner and as others, who may or may not, and notes
the policy after each version. Each client asks what it holds and reaches, and uses it on what others own, over and
over. An answer must be what the oracle says of a version that was not yet replaced when the question was put, nor made
after the answer came, at a moment between the two.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio

import zegel
from security.policy_changes import Changes
from security.policy_clients import Campaign, Outcome, Work, document_read
from security.policy_oracle import DELEGABLE, Delegated, Oracle, State
from security.tokens import ahead
from security.world import LIMITS_OFF
from support.flow import Office, open_office
from support.server import sqlite_server
from zegel._services import SERVICES
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.signing.v1 import signing_service_pb2 as signing
from zegel_server import clock

MEMBERS: Final = 6
KEYS: Final = 2
CLIENTS: Final = MEMBERS + KEYS
TEAMS: Final = 3
"""Teams that there are from the beginning."""
REPORT_S: Final = 10
"""Between two lines about how far it has come."""


@dataclass(frozen=True)
class Cast:
    """Who there is, and what each owns.

    Attributes:
        owner: The principal who may do everything.
        tokens: By principal who calls.
        state: The policy.
        owned: What everybody owns, with its document.
        elsewhere: A member of another tenant.
    """

    owner: str
    tokens: Mapping[str, str]
    state: State
    owned: list[tuple[Work, str]]
    elsewhere: str


def _cast(office: Office, other: Office) -> Cast:
    owner, identity = office.owner, office.owner.identity
    tokens: dict[str, str] = {}
    for number in range(MEMBERS):
        made = identity.create_member(name="M", email=f"m{number}@example.com", roles=["member"]).member
        tokens[made.member_id] = identity.create_session(member_id=made.member_id).token
    for number in range(KEYS):
        key = identity.create_api_key(name=f"k{number}", roles=["member"])
        tokens[key.api_key.api_key_id] = key.token
    teams = [owner.permissions.create_team(name="Team").team.team_id for _ in range(TEAMS)]
    boss = identity.get_current_session().session.principal_id
    senders = {who: office.root.with_token(token) for who, token in tokens.items()}
    owned = [_work(office, who, sender) for who, sender in senders.items()]
    owned += [_work(dataclasses.replace(office, team_id=team_id), team_id, owner) for team_id in teams]
    # The office's own sender is one of those who come and go.
    bound = {who: {"member": None} for who in (*tokens, office.sender_id)} | {boss: {"owner": None}}
    state = State({}, bound, {team_id: {boss: None} for team_id in teams}, _delegations(owner, list(tokens)))
    return Cast(boss, tokens, state, owned, other.sender_id)


def _delegations(owner: zegel.Client, principals: Sequence[str]) -> dict[tuple[str, str], Delegated]:
    """Each member delegates to the next, every other one a part."""
    members, until, made = [each for each in principals if each.startswith("mem_")], ahead(24 * 3600), {}
    for number, pair in enumerate(itertools.pairwise([*members, members[0]])):
        only = {"document.read"} if number % 2 else DELEGABLE
        asked = {"delegator_id": pair[0], "delegate_id": pair[1]}
        found = owner.permissions.create_delegation(**asked, expire_time=until, permissions=sorted(only)).delegation
        made[pair] = Delegated(found.delegation_id, frozenset(found.permissions), clock.from_timestamp(until))
    return made


def _work(office: Office, who: str, sender: zegel.Client) -> tuple[Work, str]:
    sent = dataclasses.replace(office, sender=sender).send()
    document_id = sent.documents[0].document_id
    reads: dict[str, tuple[str, Any]] = {
        **document_read(document_id),
        "signature_request.read": (
            "GetSignatureRequest",
            signing.GetSignatureRequestRequest(signature_request_id=sent.signature_request_id),
        ),
        "audit.read": ("GetTransaction", audit.GetTransactionRequest(audit_id=sent.audit_id)),
    }
    return Work(who, reads), document_id


def _methods(channel: grpc.aio.Channel) -> dict[str, Any]:
    return {name: method for service in SERVICES for name, method in vars(service.stub(channel)).items()}


async def _run(office: Office, cast: Cast, goal: tuple[int, int], seed: int, *, tell: bool) -> Outcome:
    server = office.server
    credentials = grpc.ssl_channel_credentials(server.authority)
    choose = random.Random(seed)  # noqa: S311 - chooses changes, no secret
    async with grpc.aio.secure_channel(server.listen, credentials) as channel:
        campaign = Campaign(office, _methods(channel), choose)
        for work, document_id in cast.owned:
            campaign.own(work, document_id)
        await campaign.begin(cast.state)
        changes = Changes(choose, cast.owner, list(cast.tokens), cast.elsewhere)
        done = asyncio.Event()
        changing = asyncio.create_task(campaign.change(changes, cast.tokens, done))
        changing.add_done_callback(lambda _: campaign.stop())  # no further version comes of one that failed
        began = time.monotonic()
        with _attended(campaign) if tell else contextlib.nullcontext():
            await asyncio.gather(*(campaign.ask(who, token, *goal) for who, token in cast.tokens.items()))
        seconds = time.monotonic() - began
        done.set()
        await changing
    outcome = campaign.compare(Oracle(office.tenant_id))
    outcome.seconds = seconds
    return outcome


@contextlib.contextmanager
def _attended(campaign: Campaign) -> Iterator[None]:
    """Within it, a line tells now and then how far it has come, and a signal ends it: what it has is then compared."""
    loop = asyncio.get_running_loop()

    async def tell() -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            sys.stderr.write(f"{campaign.decisions} decisions, {len(campaign.states)} versions\n")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, campaign.stop)
    telling = loop.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def campaign(decisions: int, seed: int, *, versions: int = 1, tell: bool = False) -> Outcome:
    """Runs one on a server of its own, until it has both.

    Args:
        decisions: How many at least.
        versions: How many of the policy at least, however fast the machine decides.
        seed: Of the changes.
        tell: Whether to tell how far it has come, and to end at a signal.
    """
    with (
        sqlite_server(environment=LIMITS_OFF) as server,
        open_office(server, "Campaign") as office,
        open_office(server, "Beside") as other,
    ):
        return asyncio.run(_run(office, _cast(office, other), (decisions, versions), seed, tell=tell))


def _interrupt(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)


def main() -> None:
    """The command line."""
    signal.signal(signal.SIGTERM, _interrupt)  # before the asking, and after it
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcome = Outcome()
    with contextlib.suppress(KeyboardInterrupt):
        outcome = campaign(arguments.decisions, arguments.seed, tell=True)
    for each in outcome.disagreements[:20]:
        sys.stdout.write(f"{each}\n")
    figures = {
        **dataclasses.asdict(outcome),
        "clients": CLIENTS,
        "interrupted": outcome.decisions < arguments.decisions,
        "disagreements": len(outcome.disagreements),
        "seconds": round(outcome.seconds, 1),
        "oracle_seconds": round(outcome.oracle_seconds, 1),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.exit(bool(outcome.disagreements or outcome.stale or outcome.exceptions))


if __name__ == "__main__":
    main()
