"""What the commands of ``zegel-server`` share: options, settings, output, and running them."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from zegel_server import logs
from zegel_server.config import NotReady, Settings
from zegel_server.errors import ZegelError

if TYPE_CHECKING:
    from zegel_server.core import Core

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for all local data.")]
Development = Annotated[
    bool | None, typer.Option("--development/--production", help="Serve for development or for production.")
]


def say(**facts: Any) -> None:
    """Prints an answer.

    Args:
        facts: Its content, printed as JSON.
    """
    print(json.dumps(facts, ensure_ascii=False, default=str), flush=True)


def settings_of(**flags: Any) -> Settings:
    """The settings from the environment, overridden by the flags that were given.

    Args:
        flags: Values of flags; ``None`` for one that was not given.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except SettingsError as error:
        print(f"zegel-server: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            where = ".".join(str(part) for part in each["loc"])
            what = each["msg"].removeprefix("Value error, ")  # pydantic's word for it, not a person's
            print(f"zegel-server: {where + ': ' if where else ''}{what}", file=sys.stderr)
        raise typer.Exit(2) from None


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Runs a command; if it fails, prints the reason in one line.

    Args:
        work: The command.
    """
    try:
        asyncio.run(_as_coroutine(work))
    except (NotReady, ZegelError, OSError, ValueError) as error:
        print(f"zegel-server: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


async def _as_coroutine(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def with_core(settings: Settings, work: Callable[["Core"], Awaitable[None]]) -> None:
    """Runs a command that needs the database and keys, but no port.

    Args:
        settings: The installation's settings.
        work: The command.
    """
    from zegel_server.core import Core  # noqa: PLC0415 - slow to load, and neither help nor a wrong option needs it

    async def inside() -> None:
        async with AsyncExitStack() as stack:
            await work(await Core.open(settings, stack))

    logs.configure(settings.log_format, "warning")
    run(inside)
