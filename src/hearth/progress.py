"""Progress on standard error, for those who ask for it: a bar on a terminal, a line that changes in a notebook, a few
plain lines elsewhere.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from hearth.errors import shown
from hearth.prepare import Progress
from hearth.units import format_bytes

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress as RichProgress
    from rich.progress import Task as RichTask
    from rich.progress import TaskID

_QUIET_S = 0.3  # what is done sooner than this shows nothing
_MOST_CHARS = 200
_LINE_EVERY_S = 10.0
_REDRAW_EVERY_S = 0.1
_BAR_CHARS = 30
_STAGES = {
    "download": "Downloading",
    "compile": "Compiling:",
    "load": "Loading",
    "tune": "Tuning:",
    "answer": "Answering",
    "look": "Looking at",
}


class Display(Protocol):
    """Shows what it is told.

    Attributes:
        stage: what it was told of last.
    """

    stage: str

    def __call__(self, progress: Progress) -> None: ...


@contextmanager
def displayed() -> Iterator[Display]:
    """A display that suits where standard error goes, for as long as the block lasts."""
    display = _Bars() if sys.stderr.isatty() else _Notebook() if _in_notebook() else _Lines()
    try:
        yield display
    finally:
        display.close()


@contextmanager
def answering(total: int) -> Iterator[Callable[[], None]]:
    """Shows how many of `total` answers have ended (0: nobody knows of how many); gives what is called for each."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        of = f" of {total}" if total else ""
        display(Progress("answer", f"{done}{of}", done, total))

    with displayed() as display:
        yield count


def _in_notebook() -> bool:
    """Whether a notebook shows what is written: it knows how to begin a line anew, and little else."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Lines:
    """For logs and pipes: a line when a stage begins to take long, and one every ten seconds."""

    def __init__(self) -> None:
        self.stage = ""
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self.stage:
            self.stage, self._next = progress.stage, now + _QUIET_S
        if now < self._next:
            return
        self._next = now + _LINE_EVERY_S
        share = f" ({100 * progress.done // progress.total}%)" if progress.total else ""
        _write(f"{_told(progress)}{share} ...\n")

    def close(self) -> None:
        """Nothing: lines stay."""


class _Notebook:
    """A line that is written over and over, and taken away at the end."""

    def __init__(self) -> None:
        self.stage = ""
        self._width = 0
        self._next = time.monotonic() + _QUIET_S

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self.stage:
            self.close()
            self.stage, self._next = progress.stage, now + _QUIET_S
        if now < self._next:
            return
        self._next = now + _REDRAW_EVERY_S
        text = _told(progress)
        if progress.total:
            full = _BAR_CHARS * progress.done // progress.total
            text += f" {'█' * full}{'░' * (_BAR_CHARS - full)} {100 * progress.done // progress.total}%"
        _write(f"\r{text.ljust(self._width)}")
        self._width = len(text)

    def close(self) -> None:
        if self._width:
            _write(f"\r{' ' * self._width}\r")
        self._width = 0


class _Bars:
    """For terminals: one bar a stage, gone when all is done."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._bars: RichProgress | None = None
        self._task: TaskID | None = None
        self.stage = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self.stage:
            self.stage, self._begin = progress.stage, time.monotonic()
            self.close()
        if time.monotonic() - self._begin < _QUIET_S:
            return
        if self._bars is None:
            self._open(progress)
        assert self._bars is not None
        assert self._task is not None
        text = _told(progress)
        self._bars.update(self._task, description=text, completed=progress.done, total=progress.total or None)

    def _open(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            ProgressColumn,
            TaskProgressColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as RichProgress,
        )
        from rich.table import Column
        from rich.text import Text

        class Speed(ProgressColumn):
            def render(self, task: RichTask) -> Text:
                return Text(f"{format_bytes(task.speed)}/s" if task.speed else "", style="progress.data.speed")

        # The text has a line of its own, folded where it must be, so that the bar and its numbers keep theirs.
        whole = Column(no_wrap=True, overflow="ignore")
        bar = BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4))
        columns: list[ProgressColumn] = [bar, TaskProgressColumn(table_column=whole)]
        if progress.stage == "download":
            columns += [
                DownloadColumn(binary_units=True, table_column=whole),
                Speed(table_column=whole),
                TimeRemainingColumn(compact=True, table_column=whole),
            ]

        class TwoLines(RichProgress):
            def get_renderables(self) -> Iterator[RenderableType]:
                for task in self.tasks:
                    yield Text(task.description, overflow="fold")
                    yield self.make_tasks_table([task])

        self._bars = TwoLines(*columns, console=Console(stderr=True), transient=True, expand=True)
        self._task = self._bars.add_task("", total=None)
        self._bars.start()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._task = None


def _told(progress: Progress) -> str:
    """What is being done, and to what; a stranger's words among it as text."""
    return f"{_STAGES[progress.stage]} {shown(progress.label, most=_MOST_CHARS)}".rstrip()


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
