"""Structured log lines on standard error: JSON for machines, or aligned for people."""

import json
import logging
import sys
from typing import Final, Literal

import structlog

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str).encode


def _dumps(line: object, **_: object) -> str:
    return _encode(line)


def configure(form: Literal["json", "console"], level: Literal["debug", "info", "warning", "error"]) -> None:
    """Sets up logging for the process.

    Args:
        form: How lines look.
        level: The least level told.
    """
    # No locals in tracebacks: they may hold a token or a person's data.
    traceback: structlog.types.Processor = (
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
        if form == "json"
        else structlog.processors.format_exc_info
    )
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            traceback,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
