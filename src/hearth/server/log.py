"""The server's log: one line an event, on standard error. What was asked and answered is never in it unless wanted."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Final

from hearth.errors import shown
from hearth.server.access import Aborted
from hearth.server.errors import places

_MOST_CHARS: Final = 256 << 10  # with --log-requests a line holds a request


def configure_log(level: str = "info") -> None:
    """Sends what Hearth's server and uvicorn log to standard error, in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneEvent("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(_without_content)
    for name, least in (("hearth", level), ("uvicorn.error", "warning"), ("asyncio", "warning")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least.upper())
        logger.propagate = False


class _OneEvent(logging.Formatter):
    """What follows an event's first line stands indented, and commands to a terminal are escaped: the words of a
    stranger make no line that looks like another event."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record), most=_MOST_CHARS).replace("\n", "\n    ")


def _without_content(record: logging.LogRecord) -> bool:
    """Leaves out what is told elsewhere, and the text of exceptions: it may quote a request."""
    if record.exc_info is not None and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        if issubclass(kind, (Aborted, asyncio.CancelledError)):
            return False
        record.msg, record.args = f"{record.getMessage().strip()} ({kind.__name__})", ()
        record.exc_info, record.exc_text = None, places(trace)
    return True
