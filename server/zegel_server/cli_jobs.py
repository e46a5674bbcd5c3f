"""``zegel-server jobs`` and ``zegel-server sealing``: list what waits to be done, and retry it."""

from typing import TYPE_CHECKING, Annotated

import typer

from zegel_server.cli_support import DataDir, Development, say, settings_of, with_core
from zegel_server.jobs.model import STATES, JobFilter

if TYPE_CHECKING:
    from zegel_server.core import Core

sealing = typer.Typer(no_args_is_help=True, help="Signature requests that wait to be sealed.")
jobs = typer.Typer(no_args_is_help=True, help="Background jobs that wait, run, or were given up.")

Kind = Annotated[str, typer.Option("--kind", help="Only of this kind, such as `seal`.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Only of this tenant.")]
State = Annotated[str, typer.Option("--state", help=f"Only these: {', '.join(each.lower() for each in STATES)}.")]


@sealing.command("list")
def list_sealing(data_dir: DataDir = None, development: Development = None) -> None:
    """Lists the requests that wait to be sealed, one on each line; first those that need something fixed."""

    async def work(core: "Core") -> None:
        for each in await core.sealing_queue().facts():
            say(**each)

    with_core(settings_of(data_dir=data_dir, development=development), work)


@sealing.command("retry")
def retry_sealing(
    signature_request_id: Annotated[str, typer.Argument(help="The signature request.")],
    data_dir: DataDir = None,
    development: Development = None,
) -> None:
    """Makes a running server retry sealing a request at once, after the cause of its failure was fixed."""

    async def work(core: "Core") -> None:
        await core.sealing_queue().retry(signature_request_id)
        say(signature_request_id=signature_request_id, retried=True)

    with_core(settings_of(data_dir=data_dir, development=development), work)


@jobs.command("list")
def list_jobs(
    data_dir: DataDir = None,
    development: Development = None,
    kind: Kind = "",
    tenant_id: Tenant = "",
    state: State = "",
) -> None:
    """Lists jobs that have not ended, one on each line: first dead letters, then those that need something fixed."""

    async def work(core: "Core") -> None:
        for each in await core.jobs().list(JobFilter(kind=kind, tenant_id=tenant_id, state=state.upper())):
            say(**each.facts())

    with_core(settings_of(data_dir=data_dir, development=development), work)


@jobs.command("retry")
def retry_jobs(
    job_ids: Annotated[
        list[int] | None, typer.Argument(min=1, max=2**63 - 1, help="Numbers of the jobs, as in the list.")
    ] = None,
    *,
    data_dir: DataDir = None,
    development: Development = None,
    kind: Kind = "",
    tenant_id: Tenant = "",
    state: State = "",
) -> None:
    """Makes a running server retry jobs at once: those given, or all that the options select."""
    if not (job_ids or kind or tenant_id or state):
        raise typer.BadParameter("give job numbers, or select jobs by --kind, --tenant or --state")

    async def work(core: "Core") -> None:
        retried = await core.jobs().retry(
            *(
                JobFilter(job_id=job_id, kind=kind, tenant_id=tenant_id, state=state.upper())
                for job_id in dict.fromkeys(job_ids or [0])
            )
        )
        say(retried=retried)

    with_core(settings_of(data_dir=data_dir, development=development), work)
