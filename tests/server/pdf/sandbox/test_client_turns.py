"""Tenants take turns at the sandbox's slots."""

import asyncio
import os
from contextvars import copy_context

import pytest
from prometheus_client import CollectorRegistry

from support.pdfs import one_page, slow_pdf
from zegel_server.caller import set_tenant
from zegel_server.errors import ResourceExhausted
from zegel_server.pdf.limits import WorkerLimits
from zegel_server.pdf.sandbox import client
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.pdf.sandbox.metrics import SandboxMetrics

SMALL = one_page(b"0 0 9 9 re f")
LARGE = one_page(b"0 0 9 9 re f %" + os.urandom(2 * client.SMALL_BYTES).hex().encode() + b"\n")


@pytest.fixture(scope="module")
def slow() -> bytes:
    """Longer than the rest of a test takes."""
    return slow_pdf(20)


class Renders:
    """Renders for tenants, and the order in which they end."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.ended: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def add(self, name: str, pdf: bytes = SMALL) -> None:
        """A render for the tenant that the first letter names."""
        context = copy_context()
        context.run(set_tenant, name[0])
        self.tasks.append(asyncio.create_task(self._do(name, pdf), context=context))
        await asyncio.sleep(0)

    async def _do(self, name: str, pdf: bytes) -> None:
        await self.sandbox.render(pdf)
        self.ended.append(name)


async def test_tenants_take_turns() -> None:
    async with Sandbox(WorkerLimits(concurrency=1)) as sandbox:
        renders = Renders(sandbox)
        for name in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
            await renders.add(name, LARGE)
        await asyncio.gather(*renders.tasks)
    assert renders.ended == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


async def test_a_small_one_gets_in_while_large_ones_have_every_slot(slow: bytes) -> None:
    async with Sandbox(WorkerLimits(concurrency=1)) as sandbox:
        renders = Renders(sandbox)
        await renders.add("a1", slow + b"%" + bytes(2 * client.SMALL_BYTES))
        await renders.add("a2")
        await renders.add("b1")
        await renders.tasks[2]
        assert renders.ended == ["b1"]
        for task in renders.tasks:
            task.cancel()
        await asyncio.gather(*renders.tasks, return_exceptions=True)
        await renders.add("c1", LARGE)
        await renders.tasks[-1]


async def test_too_many_of_a_tenant_are_refused_and_counted(monkeypatch: pytest.MonkeyPatch, slow: bytes) -> None:
    monkeypatch.setattr(client, "MOST_WAITING", 2)
    registry = CollectorRegistry()

    def figures() -> list[float | None]:
        names = ("waiting", "refused_total")
        return [registry.get_sample_value(f"zegel_pdf_jobs_{name}", {"kind": "render"}) for name in names]

    async with Sandbox(WorkerLimits(concurrency=1), metrics=SandboxMetrics(registry)) as sandbox:
        renders = Renders(sandbox)
        for name in ("a1", "a2", "a3", "a4"):
            await renders.add(name, slow)
        with pytest.raises(ResourceExhausted) as refused:
            await renders.tasks[3]
        assert (refused.value.retry_after_s, refused.value.metadata) == (client.BUSY_S, {"limit": "pdf_jobs"})
        assert figures() == [2.0, 1.0]
        await renders.add("b1")
        await renders.tasks[4]
        for task in renders.tasks:
            task.cancel()
        await asyncio.gather(*renders.tasks, return_exceptions=True)
        assert figures() == [0.0, 1.0]
