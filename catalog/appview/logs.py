"""The service's log: a line an event, for people or, as JSON, for programs. No text in it can look like a line."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from catalog.sanitize import escaped_json

MOST_TEXT: Final = 200
"""Maximum logged characters of a query."""
_NAME: Final = "catalog.appview"
_log: Final = logging.getLogger(_NAME)


class _Lines(logging.Formatter):
    """``time level event name=value …``."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={escaped_json(json.dumps(value))}" for name, value in _fields(self, record).items())
        when = datetime.fromtimestamp(record.created, tz=UTC)
        event = escaped_json(json.dumps(record.getMessage()))[1:-1]
        return f"{when:%Y-%m-%dT%H:%M:%S}Z {record.levelname.lower()} {event} {fields}".rstrip()


class _Json(logging.Formatter):
    """An object with ``time``, ``level``, ``event`` and what belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        about = {"time": when.replace("+00:00", "Z"), "level": record.levelname.lower(), "event": record.getMessage()}
        return escaped_json(json.dumps({**about, **_fields(self, record)}))


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    if record.exc_info:
        fields["traceback"] = formatter.formatException(record.exc_info)
    return fields


def set_up_logs(*, as_json: bool) -> None:
    """Log everything of this process on standard error, in our format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _log.setLevel(logging.INFO)


def note(event: str, fields: Mapping[str, object] | None = None, *, level: int = logging.INFO) -> None:
    """Log an event. In an ``except`` block of level ERROR or above with its traceback."""
    failing = level >= logging.ERROR and sys.exc_info()[0] is not None
    _log.log(level, "%s", event, extra={"fields": dict(fields or {})}, exc_info=failing)
