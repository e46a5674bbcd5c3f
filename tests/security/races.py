"""Races of revoking against using, over two server processes on one database.

Run: ``python tests/security/races.py --races 100000 [--postgresql]``. It prints one line of JSON and exits 1 where a
call was let in that began after the revocation had been answered.

A race is one session, or one role of one member: users call with it through both servers without a pause, and at a
random moment it is taken away through one of the two. What began after that was answered must be refused, on either.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio

from security.world import LIMITS_OFF
from support import postgres
from support.flow import Office, open_office
from support.server import ServerProcess
from zegel.document.v1 import document_service_pb2, document_service_pb2_grpc
from zegel.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from zegel.permission.v1 import permission_service_pb2, permission_service_pb2_grpc

AT_A_TIME: Final = 8
"""Races that run at the same time: the two servers share two cores with them."""
USERS: Final = 2
"""Callers of each race, one a server."""
AFTER: Final = 2
"""Calls that each makes once it was refused, or the revocation was answered."""


@dataclass
class Outcome:
    """What came out."""

    races: int = 0
    calls: int = 0
    allowed_before: int = 0
    refused: int = 0
    slipped: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass
class Server:
    """The stubs of one server."""

    documents: Any
    identity: Any
    permissions: Any


def _stubs(channel: grpc.aio.Channel) -> Server:
    return Server(
        document_service_pb2_grpc.DocumentServiceStub(channel),
        identity_service_pb2_grpc.IdentityServiceStub(channel),
        permission_service_pb2_grpc.PermissionServiceStub(channel),
    )


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def _patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """Makes a call again while the others change the same policy faster than it can be read."""
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ABORTED:
                raise


class Racer:
    """Runs races.

    Args:
        servers: Both.
        owner: Token of who revokes.
        choose: Chooses moments and servers.
    """

    def __init__(self, servers: list[Server], owner: str, choose: random.Random) -> None:
        self._servers = servers
        self._owner = owner
        self._choose = choose
        self.outcome = Outcome()

    async def member(self, number: int) -> str:
        """A member whom races are about, one after another."""
        request = identity_service_pb2.CreateMemberRequest(name="M", email=f"m{number}@example.com", roles=["auditor"])
        made = await self._servers[0].identity.CreateMember(request, metadata=_bearer(self._owner))
        return str(made.member.member_id)

    async def race(self, member_id: str) -> None:
        """One race, of a session or of a role."""
        choose = self._choose
        opener, asked = choose.choice(self._servers), identity_service_pb2.CreateSessionRequest(member_id=member_id)
        opened = await _patiently(lambda: opener.identity.CreateSession(asked, metadata=_bearer(self._owner)))
        by_role = choose.random() < 0.5
        if by_role:
            grant = permission_service_pb2.GrantRoleRequest(principal_id=member_id, role="member")
            granter = choose.choice(self._servers)
            await _patiently(lambda: granter.permissions.GrantRole(grant, metadata=_bearer(self._owner)))
        revoked: list[float] = []
        users = [
            asyncio.create_task(self._use(server, opened.token, revoked, by_role=by_role)) for server in self._servers
        ]
        await asyncio.sleep(choose.random() * 0.004)
        revoker = choose.choice(self._servers)
        if by_role:
            take = permission_service_pb2.TakeRoleRequest(principal_id=member_id, role="member")
            await _patiently(lambda: revoker.permissions.TakeRole(take, metadata=_bearer(self._owner)))
        else:
            revoke = identity_service_pb2.RevokeSessionRequest(session_id=opened.session.session_id)
            await _patiently(lambda: revoker.identity.RevokeSession(revoke, metadata=_bearer(self._owner)))
        revoked.append(time.perf_counter())
        await asyncio.gather(*users)
        self.outcome.races += 1

    async def _use(self, server: Server, token: str, revoked: list[float], *, by_role: bool) -> None:
        left = AFTER
        while left:
            began = time.perf_counter()
            certain = bool(revoked)  # the answer was here before this call began
            left -= certain
            self.outcome.calls += 1
            try:
                if by_role:  # an auditor owns nothing and cannot start an upload; a member can
                    spec = document_service_pb2.UploadSpec(title="", size=1)  # refused as invalid, once it is let in
                    await server.documents.StartUpload(
                        document_service_pb2.StartUploadRequest(spec=spec), metadata=_bearer(token), timeout=30
                    )
                else:
                    await server.identity.GetCurrentSession(
                        identity_service_pb2.GetCurrentSessionRequest(), metadata=_bearer(token), timeout=30
                    )
                allowed = True
            except grpc.aio.AioRpcError as error:
                allowed = error.code() is grpc.StatusCode.INVALID_ARGUMENT
                refused = error.code() in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
                busy = error.code() is grpc.StatusCode.ABORTED  # neither let in nor refused
                self.outcome.failed += not (allowed or refused or busy)
                self.outcome.refused += refused
            if allowed and certain and began >= revoked[0]:
                self.outcome.slipped += 1
            elif allowed:
                self.outcome.allowed_before += 1

    async def run(self, races: int) -> Outcome:
        """Runs races, several at a time.

        Args:
            races: How many.
        """
        began = time.monotonic()

        async def work(number: int) -> None:
            member_id = await self.member(number)
            for _ in range(number, races, AT_A_TIME):
                await self.race(member_id)

        await asyncio.gather(*(work(number) for number in range(AT_A_TIME)))
        self.outcome.seconds = time.monotonic() - began
        return self.outcome


@contextlib.contextmanager
def two_servers(database_url: str = "") -> Iterator[list[ServerProcess]]:
    """Two processes of one installation.

    Args:
        database_url: An empty PostgreSQL database; SQLite in the folder that they share where left out.
    """
    with tempfile.TemporaryDirectory(prefix="zegel-races-") as folder, contextlib.ExitStack() as stack:
        shared = Path(folder) / "shared"
        servers = [
            ServerProcess(Path(folder) / name, database_url=database_url, shared=shared, environment=LIMITS_OFF)
            for name in ("one", "other")
        ]
        for each in servers:
            stack.callback(each.stop)
        servers[0].start()  # alone: it makes the keys and the tables
        with ThreadPoolExecutor(1) as threads:
            threads.submit(servers[1].start).result()
        yield servers


async def _run(servers: list[ServerProcess], office: Office, races: int, seed: int) -> Outcome:
    async with contextlib.AsyncExitStack() as stack:
        stubs = []
        for each in servers:
            credentials = grpc.ssl_channel_credentials(each.authority)
            stubs.append(_stubs(await stack.enter_async_context(grpc.aio.secure_channel(each.listen, credentials))))
        choose = random.Random(seed)  # noqa: S311 - chooses moments, no secret
        return await Racer(stubs, str(office.owner._call.token), choose).run(races)


def run(races: int, seed: int, database_url: str = "") -> Outcome:
    """Runs races on servers of their own.

    Args:
        races: How many.
        seed: Of the moments.
        database_url: An empty PostgreSQL database; SQLite where left out.
    """
    with two_servers(database_url) as servers, open_office(servers[0], "Races") as office:
        return asyncio.run(_run(servers, office, races, seed))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true", help="on a PostgreSQL of the run's own")
    arguments = parser.parse_args()
    if arguments.postgresql:
        cluster = postgres.start()
        try:
            outcome = run(arguments.races, arguments.seed, cluster.url(cluster.create()))
        finally:
            cluster.stop()
    else:
        outcome = run(arguments.races, arguments.seed)
    sys.stdout.write(json.dumps(outcome.__dict__ | {"seconds": round(outcome.seconds, 1)}) + "\n")
    sys.exit(bool(outcome.slipped or outcome.failed))


if __name__ == "__main__":
    main()
