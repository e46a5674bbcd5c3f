"""Log lines tell where something went wrong, and nothing of what people wrote."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from zegel_server import logs

SECRET = "ann@example.com"


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error, with logging as it was before put back afterwards."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    before, handlers, level = structlog.get_config(), logging.root.handlers[:], logging.root.level
    logging.root.handlers[:] = []  # pytest's own are not to be closed
    yield stream
    structlog.configure(**before)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def lines(stderr: io.StringIO) -> Any:
    """Reads the lines that were logged, as JSON."""
    logs.configure("json", "info")
    return lambda: [json.loads(line) for line in stderr.getvalue().splitlines()]


def test_a_line_is_one_json_object(lines: Any) -> None:
    structlog.get_logger("x").info("request", method="/a/b", ms=1.5, name="Zoë")
    structlog.get_logger("x").debug("unheard")
    [line] = lines()
    assert (line["event"], line["level"], line["method"], line["ms"], line["name"]) == (
        "request",
        "info",
        "/a/b",
        1.5,
        "Zoë",
    )
    assert line["timestamp"].endswith("Z")


def fail() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


@pytest.mark.parametrize("way", ["error", "true", "tuple"])
def test_an_exception_is_told_by_its_places_alone(lines: Any, way: str) -> None:
    try:
        fail()
    except KeyError as error:
        info: Any = {"error": error, "true": True, "tuple": (KeyError, error, error.__traceback__)}[way]
        structlog.get_logger("x").error("defect", exc_info=info)
    [line] = lines()
    assert SECRET not in str(line)
    assert line["trace"][0] == "builtins.KeyError"
    assert "builtins.ValueError" in line["trace"]
    assert sum("test_logs.py" in each for each in line["trace"]) >= 3


def test_causes_that_go_round_end() -> None:
    one, two = ValueError("a"), KeyError("b")
    one.__cause__, two.__cause__ = two, one
    assert logs.trace_of(one) == ["builtins.ValueError", "builtins.KeyError"]


def test_a_library_is_told_by_its_template(lines: Any) -> None:
    logging.getLogger("some.library").warning("could not parse %s of %s", SECRET, 7)
    logging.getLogger("some.library").info("unheard")
    try:
        fail()
    except KeyError:
        logging.getLogger("some.library").exception("it failed")
    first, second = lines()
    assert (first["event"], first["logger"], first["message"]) == (
        "library",
        "some.library",
        "could not parse %s of %s",
    )
    assert second["trace"][0] == "builtins.KeyError"
    assert SECRET not in str([first, second])


async def test_a_task_that_nobody_waited_for_is_told_without_what_it_said(lines: Any) -> None:
    async def work() -> None:
        raise ValueError(SECRET)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    [line] = lines()
    assert line["message"] == "Task exception was never retrieved"
    assert line["trace"][0] == "builtins.ValueError"
    assert SECRET not in str(line)


def test_people_get_aligned_lines(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)  # again: pytest puts its own back before the test itself
    logs.configure("console", "warning")
    structlog.get_logger("y").info("unheard")
    structlog.get_logger("y").warning("heard", method="/a/b")
    told = stderr.getvalue()
    assert "heard" in told
    assert "method=/a/b" in told
    assert "unheard" not in told
