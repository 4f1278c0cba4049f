from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from app.logs import QUIET, configure_logs
from app.settings.tree import LogsSettings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_json_has_one_object_a_line_from_us_and_from_libraries() -> None:
    out = io.StringIO()
    configure_logs(LogsSettings(format="json", level="info"), out)
    structlog.get_logger("turnstile.worker").info("worker_started", partitions={2, 1}, key=b"\xff")
    logging.getLogger("library").warning("slow: %s", 3, extra={"seconds": 3})
    structlog.get_logger("turnstile.worker").debug("not this")
    ours, theirs = [json.loads(line) for line in out.getvalue().splitlines()]
    assert ours.pop("time").endswith("Z")
    assert ours == {
        "level": "info",
        "logger": "turnstile.worker",
        "message": "worker_started",
        "partitions": [1, 2],
        "key": "\\xff",
    }
    assert (theirs["logger"], theirs["message"], theirs["seconds"]) == ("library", "slow: 3", 3)


def test_data_that_json_does_not_have_loses_no_line() -> None:
    out = io.StringIO()
    configure_logs(LogsSettings(format="json", level="info"), out)
    structlog.get_logger("turnstile").info("refused", user="\ud800", number=10**30, all={b"k": {"\ud800"}})
    found = json.loads(out.getvalue())
    assert (found["message"], found["user"], found["number"]) == ("refused", "\ud800", 10**30)


def test_an_exception_is_a_field() -> None:
    out = io.StringIO()
    configure_logs(LogsSettings(format="json", level="info"), out)
    structlog.get_logger("turnstile").error("crashed", exc_info=ValueError("why"))
    assert json.loads(out.getvalue())["exception"] == "ValueError: why"


@pytest.mark.parametrize(("level", "lines"), [("info", 1), ("debug", 2), ("error", 0)])
def test_libraries_are_quiet_unless_the_level_is_debug(level: str, lines: int) -> None:
    out = io.StringIO()
    configure_logs(LogsSettings.model_validate({"format": "json", "level": level}), out)
    logging.getLogger("aiokafka.conn").info("chatter")
    logging.getLogger("aiokafka.conn").warning("trouble")
    assert len(out.getvalue().splitlines()) == lines


def test_console_is_for_people() -> None:
    out = io.StringIO()
    configure_logs(LogsSettings(format="console", level="info"), out)
    structlog.get_logger("turnstile").info("worker_started", http="http://x")
    assert "worker_started" in out.getvalue()
    assert "http=http://x" in out.getvalue()
