"""Witnesses that a test can make lie, and the server's components for witnesses, assembled as in ``app``."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry

from support.audit_world import AuditWorld
from zegel.evidence.transparency import COSIGNATURE_ED25519, VerifierKey
from zegel.evidence.witness import Memory, create_witness
from zegel.evidence.witness import Witness as Cosigner
from zegel_server.audit.cosignatures import Cosignatures
from zegel_server.audit.publisher import Publisher
from zegel_server.audit.service import AuditTrail
from zegel_server.audit.witness_feeder import WitnessFeeder
from zegel_server.audit.witnesses import Witness, parse_witnesses

Handler = Callable[[bytes], Awaitable[web.Response]]


@dataclass
class Served:
    """Witnesses behind HTTP, of which a test may say what one answers instead."""

    folder: Path
    log_key: VerifierKey
    runners: list[web.AppRunner] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    instead: dict[str, Handler] = field(default_factory=dict)

    async def add(self, name: str, *algorithms: int) -> Witness:
        keys = create_witness(self.folder / name, name, algorithms or (COSIGNATURE_ED25519,))
        self.memories.append(Memory(self.folder / name))
        cosigner = Cosigner(self.memories[-1], {self.log_key.name: [self.log_key]})

        async def answer(request: web.Request) -> web.Response:
            body = await request.read()
            self.asked.append(name)
            if name in self.instead:
                return await self.instead[name](body)
            made = cosigner.add_checkpoint(body)
            return web.Response(status=made.status, body=made.body, headers={"Content-Type": made.content_type})

        app = web.Application()
        app.router.add_post("/prefix/add-checkpoint", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self.runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/prefix"
        [made] = parse_witnesses([f"{key} {url}" for key in keys], [self.log_key])
        return made

    async def close(self) -> None:
        for runner in self.runners:
            await runner.cleanup()
        for memory in self.memories:
            memory.close()


class Asking:
    """The server's components for witnesses, assembled as in ``app``."""

    def __init__(self, world: AuditWorld, *asked: Witness, needed: int = 0, published: bool = False) -> None:
        self.world = world
        self.registry = CollectorRegistry()
        self.cosignatures = Cosignatures(world.database, world.log, asked, needed)
        publisher = None
        if published:
            publisher = Publisher(world.log, world.database, world.files, self.cosignatures.newest)
        self.witness_feeder = WitnessFeeder(world.log, self.cosignatures, asked, self.registry, publisher)
        self.trail = AuditTrail(world.database, world.keys, world.log, world.sequencer, self.cosignatures)

    async def __aenter__(self) -> Self:
        await self.witness_feeder.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.witness_feeder.close()

    def count(self, witness: str, outcome: str) -> float:
        return self.registry.get_sample_value("zegel_witness_asks_total", {"witness": witness, "outcome": outcome}) or 0

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + 20
        while not await true():
            assert time.monotonic() < deadline
            self.witness_feeder.committed()
            await asyncio.sleep(0.02)
