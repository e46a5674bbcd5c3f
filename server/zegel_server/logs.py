"""Structured log lines on standard error: JSON for machines, or aligned text for people.

Invariants:

* Of an exception, a line has its type and the code lines that it went through, but never its text: exceptions of a
  database or a parser repeat what a person wrote.
* Of a library's log record, a line has the library and the message template without its arguments, for the same reason.
"""

import json
import logging
import sys
import traceback
from typing import Final, Literal

import structlog

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_LONGEST: Final = 200
"""How many characters of a library's message are logged: enough to recognise it."""

_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str).encode


def _dumps(line: object, **_: object) -> str:
    return _encode(line)


def configure(form: Literal["json", "console"], level: Literal["debug", "info", "warning", "error"]) -> None:
    """Sets up logging for the process.

    Args:
        form: Format of the lines.
        level: The lowest level that is logged.
    """
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _trace_exception,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_LibraryHandler()], force=True)


def trace_of(error: BaseException) -> list[str]:
    """An exception and its causes, itself first, with the code lines each went through, but without texts.

    Args:
        error: What was raised.
    """
    lines: list[str] = []
    seen: set[int] = set()
    present: BaseException | None = error
    while present is not None and id(present) not in seen:
        seen.add(id(present))
        lines.append(f"{type(present).__module__}.{type(present).__qualname__}")
        lines += [
            f"  {frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
            for frame, line in traceback.walk_tb(present.__traceback__)
        ]
        present = present.__cause__ or (None if present.__suppress_context__ else present.__context__)
    return lines


def _trace_exception(_logger: object, _name: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exception()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        line["trace"] = trace_of(error)
    return line


class _LibraryHandler(logging.Handler):
    """Logs the message templates of libraries' log records."""

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        # asyncio formats details into the template; its first line says what happened.
        message = str(record.msg).partition("\n")[0][:_LONGEST]
        told = {"logger": record.name, "message": message, "exc_info": record.exc_info}
        structlog.get_logger("zegel.library").log(record.levelno, "library", **told)
