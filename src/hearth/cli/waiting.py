"""A sign of life on standard error while the user waits and there is nothing to count."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Self

from hearth.cli.terminal import is_terminal

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_QUIET_S = 0.4  # what is done sooner shows nothing
_FRAME_S = 0.1


class Waiting:
    """Shows a text, a spinner and the seconds, from when it takes noticeably long until `end`.

    Nothing is shown where standard error is no terminal, or one that cannot erase a line.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if is_terminal() and os.environ.get("TERM") != "dumb":
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Takes the text away; afterwards nothing is written any more."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _show(self) -> None:
        begin, frame = time.monotonic(), 0
        if self._ended.wait(_QUIET_S):
            return
        while True:
            sys.stderr.write(f"\r{_FRAMES[frame % len(_FRAMES)]} {self._text} {time.monotonic() - begin:.0f} s")
            sys.stderr.flush()
            if self._ended.wait(_FRAME_S):
                break
            frame += 1
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
