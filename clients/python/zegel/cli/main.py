"""``zegel``: the command. What it does is in :mod:`zegel.cli.commands`; it needs the extra ``zegel[cli]``.

Exit statuses: 0 for success and for a valid file, 1 for anything that failed and for a file that is not valid, 2 for a
command that was not understood.
"""

import sys
from typing import NoReturn

from zegel.errors import ZegelError

FAILED, INTERRUPTED = 1, 130
"""Exit statuses: it did not work; Ctrl-C, as shells have it."""


def main() -> None:
    """Runs the command with the process's arguments."""
    try:
        from zegel.cli.commands import app  # noqa: PLC0415 - the extra may not be installed
    except ModuleNotFoundError as missing:
        _fail(f'{missing.name} is not installed; the command needs the extra: pip install "zegel[cli]"')
    try:
        app()
    except ZegelError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _fail(text: str) -> NoReturn:
    """Ends with one line on standard error; nothing in it can drive a terminal."""
    line = "".join(each if each.isprintable() else " " for each in text)
    print(f"zegel: {line}", file=sys.stderr)
    sys.exit(FAILED)
