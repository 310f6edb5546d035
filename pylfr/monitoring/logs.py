"""How the program's own log looks: lines for people, or one JSON object a line for programs. It names no person."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from pylfr._internal.log_context import log_context
from pylfr._internal.printable import one_line, printable

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


def start_logging(level: LogLevel, log_format: LogFormat, *, stream: TextIO | None = None) -> None:
    """Log what pylfr says from ``level`` on to ``stream``, stderr by default; other libraries from warning on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("pylfr").setLevel(level.upper())


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message, and what the line is about."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **log_context(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        # In ASCII: neither terminal escapes nor marks that change the direction of writing take effect.
        return json.dumps(fields)


class TextFormatter(logging.Formatter):
    """One line: time, level, what it is about, message; a traceback follows on lines of its own, indented."""

    def format(self, record: logging.LogRecord) -> str:
        about = "".join(f"{name}={value} " for name, value in log_context().items())
        line = f"{_at(record)} {record.levelname.lower()} {one_line(about + record.getMessage())}"
        if not record.exc_info:
            return line
        # An error may quote others: none of its lines begins where lines of the log do.
        traceback = (f"    {printable(each)}" for each in self.formatException(record.exc_info).splitlines())
        return "\n".join((line, *traceback))


def _at(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
