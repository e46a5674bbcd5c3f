"""Where the commands print."""

import os
from typing import Final

from rich.console import Console

UNBROKEN: Final = 4_096
"""Columns where no terminal has a number of its own: more than any line that a command prints."""


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as its terminal; into a file or a pipe, lines are as long as they need to be.

    A line that is broken in the middle of an identifier is of no use to ``grep``, or to who copies it.

    Args:
        stderr: Whether it is standard error.
    """
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBROKEN
    return console
