"""Logs: structlog and the standard library through one handler, to standard error."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.repeated_lines import RepeatedLines
from app.settings.tree import LogsSettings

QUIET = ("faust", "mode", "aiokafka", "kafka", "aiohttp", "asyncio", "azure", "asyncssh")
"""Libraries whose warnings and errors are enough, unless the level is debug."""


FOLDED = (*QUIET, "agents")
"""Loggers whose repeated lines are folded, unless the level is debug. ``agents``: services of Faust by
subclass log under the names of their modules."""
_repeated = RepeatedLines(FOLDED)


def folded_lines() -> int:
    """Lines of libraries that were left out as repetitions, since the start."""
    return _repeated.folded


def configure_logs(settings: LogsSettings, stream: TextIO | None = None) -> None:
    """Send everything to ``stream`` (default: standard error) as the settings say. May be called again."""
    stream = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_ending(settings, stream),
            ],
        )
    )
    if level > logging.DEBUG:
        handler.addFilter(_repeated)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    logging.captureWarnings(True)


def _ending(settings: LogsSettings, stream: TextIO) -> list[Processor]:
    if settings.format == "console":
        plain = structlog.dev.plain_traceback
        return [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=plain, timestamp_key="time"
            )
        ]
    return [structlog.processors.format_exc_info, _message_first, _render_json]


def _message_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Time, level, logger and message in front, the rest as it came."""
    first = {key: event.pop(key) for key in ("time", "level", "logger") if key in event}
    return {**first, "message": event.pop("event", ""), **event}


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event, default=_any, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # data with half a surrogate pair or a number of more than 64 bits: no line is lost
        return json.dumps(event, default=_any, skipkeys=True)


def _any(value: Any) -> object:
    """What JSON doesn't have: bytes as text, sets and the like as lists, all else by its ``repr``."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return sorted(value, key=str) if isinstance(value, set | frozenset) else repr(value)
