"""``zegel-server``: serve, migrate, tenants, keys, blobs, sealing, jobs, audit.

Every setting can be given in the environment (``ZEGEL_...``, see ``config``); flags override the few that people type
by hand. Answers go to standard output, one JSON object on each line, for people and programs alike; log lines go to
standard error.
"""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zegel_server import clock, logs
from zegel_server.cli_jobs import jobs, sealing
from zegel_server.cli_support import DataDir, Development, run, say, settings_of, with_core
from zegel_server.config import INSTALLATION, NotReady
from zegel_server.errors import ZegelError
from zegel_server.process import bound_memory

if TYPE_CHECKING:
    from zegel_server.core import Core

app = typer.Typer(
    name="zegel-server",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show the values of variables, including passwords and keys
    help="The Zegel server.",
)
tenants = typer.Typer(no_args_is_help=True, help="Tenants of this installation.")
keys = typer.Typer(no_args_is_help=True, help="Root keys and tenant keys.")
audit = typer.Typer(no_args_is_help=True, help="The audit log.")
blobs = typer.Typer(no_args_is_help=True, help="Stored documents.")
app.add_typer(tenants, name="tenants")
app.add_typer(keys, name="keys")
app.add_typer(blobs, name="blobs")
app.add_typer(sealing, name="sealing")
app.add_typer(jobs, name="jobs")
app.add_typer(audit, name="audit")


@app.command()
def serve(
    data_dir: DataDir = None,
    development: Development = None,
    listen: Annotated[str | None, typer.Option(help="Address to listen on; port 0 picks a free one.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or console.")] = None,
) -> None:
    """Serves until it is stopped (SIGTERM or Ctrl-C), then ends gracefully."""
    bound_memory()
    settings = settings_of(data_dir=data_dir, development=development, listen=listen, log_format=log_format)
    logs.configure(settings.log_format, settings.log_level)
    from zegel_server.app import App  # noqa: PLC0415 - the whole server is slow to load

    async def work() -> None:
        server = App(settings)
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        address = await server.start()
        say(
            event="ready",
            address=address.target,
            authority=address.authority,
            operator_key=address.operator_key,
            metrics=address.metrics,
        )
        if settings.development:
            _how_to_reach(address.target, address.authority, address.operator_key)
        await stopping.wait()
        await server.stop()
        say(event="stopped")

    run(work)


def _how_to_reach(target: str, authority: Path | None, operator_key: Path | None) -> None:
    """Prints for a person how to call the server."""
    print(
        f"""
Zegel serves on {target}. In another terminal:

  grpcurl -cacert {authority} {target} list
  grpcurl -cacert {authority} {target} describe zegel.signing.v1.SigningService
  grpcurl -cacert {authority} -H "authorization: Bearer $(cat {operator_key})" \\
      -d '{{"name": "Acme"}}' {target} zegel.identity.v1.IdentityService/CreateTenant

The tenant that this makes comes with an API key. For the programs of docs/tasks, and for `zegel`:

  export ZEGEL_SERVER={target} ZEGEL_CA={authority} ZEGEL_TOKEN=zk_...
""",
        file=sys.stderr,
    )


@app.command()
def migrate(data_dir: DataDir = None, development: Development = None) -> None:
    """Migrates the database to the schema that this server needs."""
    settings = settings_of(data_dir=data_dir, development=development)
    from zegel_server.db.migrate import TextKey, newest_revision, upgrade  # noqa: PLC0415 - Alembic is slow to load

    async def open_keys(rows: Sequence[Any]) -> Mapping[str, TextKey | None]:
        from zegel_server.core import text_keys_of  # noqa: PLC0415 - most migrations need no keys

        return await text_keys_of(settings)(rows)

    async def work() -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        await upgrade(settings.resolved_database_url, open_keys)
        say(event="migrated", schema=newest_revision())

    run(work)


@tenants.command("create")
def create_tenant(name: str, data_dir: DataDir = None, development: Development = None) -> None:
    """Creates a tenant and prints its owner's API key, which is not shown again."""

    async def work(core: "Core") -> None:
        made = await core.identity.create_tenant(None, name)
        say(tenant_id=made.tenant.tenant_id, name=name, api_key_id=made.api_key.api_key_id, api_key=made.token)

    with_core(settings_of(data_dir=data_dir, development=development), work)


@tenants.command("list")
def list_tenants(data_dir: DataDir = None, development: Development = None) -> None:
    """Lists the tenants, one on each line."""

    async def work(core: "Core") -> None:
        for tenant in await core.identity.tenants():
            say(
                tenant_id=tenant.tenant_id,
                name=tenant.name,
                create_time=clock.to_rfc3339(tenant.create_time),
                key_provider=tenant.key_provider or INSTALLATION,
            )

    with_core(settings_of(data_dir=data_dir, development=development), work)


@tenants.command("own-key")
def own_key(
    tenant_id: Annotated[str, typer.Argument(help="The tenant.")],
    provider: Annotated[
        str, typer.Argument(help=f"A key provider that ZEGEL_KEY_PROVIDERS names, or `{INSTALLATION}` to go back.")
    ],
    data_dir: DataDir = None,
    development: Development = None,
    destroy_old: Annotated[
        bool,
        typer.Option(
            "--destroy-old", help="Then destroy its root keys in all other providers, even those of old backups."
        ),
    ] = False,
) -> None:
    """Moves a tenant's keys to its own key provider while the server runs; no document is rewritten."""

    async def work(core: "Core") -> None:
        name = "" if provider == INSTALLATION else provider
        if name not in core.root_keys.names:
            message = f"no key provider {provider!r}: there are {', '.join([INSTALLATION, *core.root_keys.names[1:]])}"
            raise NotReady(message)
        moved = await core.own_keys.move(tenant_id, name, destroy_old=destroy_old)
        say(
            tenant_id=tenant_id,
            key_provider=provider,
            tenant_keys=moved.tenant_keys,
            destroyed=moved.destroyed,
            not_reached=moved.away,
        )
        if moved.away:
            raise typer.Exit(1)

    with_core(settings_of(data_dir=data_dir, development=development), work)


@tenants.command("operator")
def operator(data_dir: DataDir = None, development: Development = None) -> None:
    """Makes a new API key for the operator, revokes the previous one, and prints the new one."""

    async def work(core: "Core") -> None:
        say(api_key=await core.renew_operator())

    with_core(settings_of(data_dir=data_dir, development=development), work)


@keys.command("list")
def list_keys(data_dir: DataDir = None, development: Development = None) -> None:
    """Lists the root keys of every key provider, one on each line, without key material; exits 1 if one fails."""

    async def work(core: "Core") -> None:
        away = False
        for name in core.root_keys.names:
            try:
                found = await core.root_keys.list_in(name)
            except ZegelError as error:
                away = True
                print(f"zegel-server: {name or INSTALLATION}: {error}", file=sys.stderr)
                continue
            for each in found:
                say(
                    root_key_id=each.root_key_id,
                    purpose=each.purpose,
                    created=each.created.isoformat(),
                    primary=each.primary,
                    destroyed=each.destroyed,
                )
        if away:
            raise typer.Exit(1)

    with_core(settings_of(data_dir=data_dir, development=development), work)


@keys.command("rotate")
def rotate_keys(
    tenant_id: Annotated[str, typer.Argument(help="One tenant, or `all`.")],
    data_dir: DataDir = None,
    development: Development = None,
    root: Annotated[bool, typer.Option("--root", help="Only wrap the tenant key with a new root key.")] = False,
    erase: Annotated[
        bool,
        typer.Option("--erase", help="Also destroy the previous root keys; backups then hold no purged documents."),
    ] = False,
) -> None:
    """Rewraps keys with new ones while the server runs; no document is rewritten."""

    async def work(core: "Core") -> None:
        rotation = core.rotation()
        chosen = [each.tenant_id for each in await core.identity.tenants()] if tenant_id == "all" else [tenant_id]
        failed = False
        for each in chosen:
            try:
                if root and not erase:
                    say(tenant_id=each, tenant_keys=await rotation.rewrap_root(each))
                    continue
                done = await rotation.rotate(each, erase=erase)
            except ZegelError as error:
                # A tenant's own key provider that does not answer does not hold up other tenants.
                failed = True
                print(f"zegel-server: {each}: {error}", file=sys.stderr)
                continue
            say(tenant_id=each, key_version=done.key_version, rewrapped=done.rewrapped, destroyed=done.destroyed)
        if failed:
            raise typer.Exit(1)

    with_core(settings_of(data_dir=data_dir, development=development), work)


@blobs.command("orphans")
def orphans(
    data_dir: DataDir = None,
    development: Development = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove them.")] = False,
) -> None:
    """Lists stored objects that no database row refers to and that are at least a day old."""

    async def work(core: "Core") -> None:
        async with AsyncExitStack() as stack:
            scrub = core.open_scrub(stack)
            if remove:
                say(removed=await scrub.remove_orphans())
                return
            async for each in scrub.orphans():
                say(key=each.key, size=each.size, modified=each.modified.isoformat())

    with_core(settings_of(data_dir=data_dir, development=development), work)


@blobs.command("scrub")
def scrub(data_dir: DataDir = None, development: Development = None) -> None:
    """Reads and checks every stored document; prints each that is damaged, and exits 1 if there is one."""

    async def work(core: "Core") -> None:
        checked = damaged = 0
        async with AsyncExitStack() as stack:
            async for each in core.open_scrub(stack).scrub():
                checked += 1
                if each.problem:
                    damaged += 1
                    say(resource=each.resource_id, version=each.version, problem=each.problem)
        say(checked=checked, damaged=damaged)
        if damaged:
            raise typer.Exit(1)

    with_core(settings_of(data_dir=data_dir, development=development), work)


@audit.command("check")
def check_audit(data_dir: DataDir = None, development: Development = None) -> None:
    """Checks every event, tile and checkpoint of the log; prints what was altered, and exits 1 if anything was."""

    async def work(core: "Core") -> None:
        report = await core.audit_check(lambda _done: None).run()
        for finding in report.findings:
            say(finding=finding)
        say(
            events=report.events,
            waiting=report.waiting,
            altered=len(report.findings) + report.more,
            unread=report.unread,
            ok=report.ok,
        )
        if not report.ok:
            raise typer.Exit(1)

    with_core(settings_of(data_dir=data_dir, development=development), work)


def main() -> None:
    """Entry point of ``zegel-server``."""
    app()
