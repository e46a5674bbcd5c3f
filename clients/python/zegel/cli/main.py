"""Entry point of the ``zegel`` command; see :mod:`zegel.cli.commands`. It needs the extra ``zegel[cli]``.

Exit status: 0 for success or a valid file, 1 for a failure or an invalid file, 2 for incorrect usage.
"""

import sys
from typing import NoReturn

from zegel.errors import ZegelError

FAILED, INTERRUPTED = 1, 130
"""Exit statuses: failure; interrupted by Ctrl-C, as in shells."""


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
    except ValueError as error:  # what the client refuses before a call: a target, a token, a title
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _fail(text: str) -> NoReturn:
    """Exits with one line on standard error, without control characters."""
    line = "".join(each if each.isprintable() else " " for each in text)
    print(f"zegel: {line}", file=sys.stderr)
    sys.exit(FAILED)
