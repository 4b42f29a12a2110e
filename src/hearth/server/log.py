"""The server's log: one line an event, on standard error. What was asked and answered is never in it unless wanted."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Final

from hearth.server.access import Aborted
from hearth.server.errors import places

LEVELS: Final = ("debug", "info", "warning", "error")


def configure_log(level: str = "info") -> None:
    """Sends what Hearth's server and uvicorn log to standard error, in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(_without_content)
    for name, least in (("hearth", level), ("uvicorn.error", "warning"), ("asyncio", "warning")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least.upper())
        logger.propagate = False


def _without_content(record: logging.LogRecord) -> bool:
    """Leaves out what is told elsewhere, and the text of exceptions: it may quote a request."""
    if record.exc_info is not None and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        if issubclass(kind, (Aborted, asyncio.CancelledError)):
            return False
        record.msg, record.args = f"{record.getMessage().strip()} ({kind.__name__})", ()
        record.exc_info, record.exc_text = None, places(trace)
    return True
