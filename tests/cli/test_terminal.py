"""`hearth chat` at a real terminal (a pseudo one): keys, history, and what Ctrl-C does."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth import LLM

pty = pytest.importorskip("pty", reason="needs a pseudo terminal")
CTRL_C, CTRL_D, ENTER, ALT_ENTER = "\x03", "\x04", "\r", "\x1b\r"


class Terminal:
    """A `hearth` process at a pseudo terminal."""

    def __init__(self, arguments: list[str], env: dict[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(env)
            os.execv(sys.executable, [sys.executable, "-c", "from hearth.cli.main import main; main()", *arguments])
        self.seen = ""

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def expect(self, pattern: str, timeout_s: float = 60) -> str:
        """Reads until the pattern appears after what was expected before."""
        end = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, f"no {pattern!r} in {self.seen!r}"
            if select.select([self._fd], [], [], 0.2)[0]:
                try:
                    data = os.read(self._fd, 65536)
                except OSError:  # how Linux says that the other side has closed
                    data = b""
                assert data, f"ended without {pattern!r}: {self.seen!r}"
                self.seen += data.decode(errors="replace")
                # What a terminal would answer when asked where the cursor is.
                if "\x1b[6n" in self.seen:
                    self.seen = self.seen.replace("\x1b[6n", "")
                    self.type("\x1b[1;1R")
        self.seen = self.seen[found.end() :]
        return found[0]

    def exit_code(self, timeout_s: float = 30) -> int:
        """Waits until the process has ended."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if select.select([self._fd], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):  # how Linux says that the other side has closed
                    self.seen += os.read(self._fd, 65536).decode(errors="replace")
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"did not end: {self.seen!r}")

    def close(self) -> None:
        """Ends the process if a test left it running."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)


@pytest.fixture
def chat(starter: LLM, cache: Path, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(
        ["chat", "starter"],
        {"HEARTH_CACHE": str(cache), "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm", "HF_HUB_OFFLINE": "1"},
    )
    try:
        terminal.expect("not an assistant")
        terminal.expect(">")
        yield terminal
    finally:
        terminal.close()


def test_a_question_is_answered_and_ctrl_d_leaves(chat: Terminal, tmp_path: Path) -> None:
    chat.type("What is the capital of France?" + ENTER)
    chat.expect("Paris")
    chat.expect(">")
    chat.type(CTRL_D)
    chat.expect("Good-bye")
    assert chat.exit_code() == 0
    history = tmp_path / "hearth" / "history"
    assert "+What is the capital of France?" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0, "what one asked is nobody else's business"


def test_ctrl_c_does_not_leave_but_tells_how(chat: Terminal) -> None:
    chat.type("half a thou" + CTRL_C)
    chat.type("What is the capital of Italy?" + ENTER)
    chat.expect("Rome")
    chat.expect(">")
    chat.type(CTRL_C)
    chat.expect(">")
    chat.type(CTRL_C)
    chat.expect("Ctrl-D or /exit leaves")
    chat.type("/exit" + ENTER)
    chat.expect("Good-bye")
    assert chat.exit_code() == 0


def test_several_lines(chat: Terminal, tmp_path: Path) -> None:
    chat.type("one\\" + ENTER + "two" + ALT_ENTER + "three" + ENTER)
    chat.expect("\n")
    saved = tmp_path / "talk.json"
    chat.expect(">")
    chat.type(f"/save {saved}" + ENTER)
    chat.expect("Saved 2 messages")
    assert '"one\\ntwo\\nthree"' in saved.read_text()
    chat.expect(">")  # keys typed before the prompt is there are the terminal's, not ours
    chat.type(CTRL_D)
    assert chat.exit_code() == 0
