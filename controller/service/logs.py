"""The log: one line an event, JSON unless a person watches, the same for our events and for our libraries'.

``event`` is a constant word in snake_case and the rest are keys. Times are UTC, ISO 8601. Libraries that use
the standard library's logging come in at WARNING and above, as ``library_log`` with their text in
``message``.

Values bound with ``structlog.contextvars`` (``pass_id``, ``commit``) are merged into every event of the
thread that bound them. A pool's threads start with none: hand the context over, one copy for each call, as a
copy can be entered by one thread at a time::

    pool.submit(contextvars.copy_context().run, observe, cluster)
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any, TextIO

import structlog

from controller.model.texts import is_plain, visible
from controller.service.redaction import redact_event

OUR_LOGGERS = "controller"


class LogFormat(StrEnum):
    """How a line looks. ``auto`` is ``console`` on a terminal and ``json`` elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def configure_logging(level: str = "info", format: LogFormat = LogFormat.AUTO, stream: TextIO | None = None) -> None:
    """Set the process's log up, replacing what an earlier call set up.

    ``level`` is ``debug``, ``info``, ``warning`` or ``error``. ``stream`` is standard error unless given.
    """
    stream = stream or sys.stderr
    if format is LogFormat.AUTO:
        format = LogFormat.CONSOLE if stream.isatty() else LogFormat.JSON
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # One handler for both worlds, so that two lines never mix.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_library],
            processors=[
                # As text, so that the redaction sees it; never with local variables, which hold secrets.
                structlog.processors.format_exc_info,
                structlog.processors.StackInfoRenderer(),
                redact_event,
                *([] if format is LogFormat.JSON else [_make_visible]),
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(format, colors=stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    for earlier in list(root.handlers):
        if isinstance(earlier.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(earlier)
    root.addHandler(handler)
    our_level = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(logging.WARNING, our_level))
    logging.getLogger(OUR_LOGGERS).setLevel(our_level)
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


def _renderer(format: LogFormat, *, colors: bool) -> structlog.typing.Processor:
    if format is LogFormat.JSON:
        return structlog.processors.JSONRenderer(serializer=_json)
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
    )


def _json(event: Any, **options: Any) -> str:
    """Return JSON that people of any script can read, in which whatever does not show is escaped."""
    text = json.dumps(event, ensure_ascii=False, **options)
    if is_plain(text):
        return text
    # Such characters can only stand inside of strings there, in which JSON has an escape for each.
    return "".join(character if is_plain(character) else json.dumps(character)[1:-1] for character in text)


def _make_visible(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep what was logged from commanding the terminal."""
    return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}


def _name_library(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a library's sentence the form of our events."""
    record = event.get("_record")
    event["message"] = event["event"]
    event["event"] = "library_log"
    if record is not None:
        event["library"] = record.name
    return event
