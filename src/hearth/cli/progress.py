"""Progress of downloads, compilation and loading on standard error: bars on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hearth.prepare import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_QUIET_S = 0.3  # what is done sooner than this shows nothing
_LINE_EVERY_S = 10.0
_STAGES = {"download": "Downloading", "compile": "Compiling:", "load": "Loading", "tune": "Tuning:"}


@contextmanager
def showing_progress() -> Iterator[Callable[[Progress], None]]:
    """Gives a callback that shows what it is told, for as long as the block lasts."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.close()


class _Lines:
    """For logs and pipes: a line when a stage begins to take long, and one every ten seconds."""

    def __init__(self) -> None:
        self._stage = ""
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._next = progress.stage, now + _QUIET_S
        if now < self._next:
            return
        self._next = now + _LINE_EVERY_S
        share = f" ({100 * progress.done // progress.total}%)" if progress.total else ""
        click.echo(f"{_STAGES[progress.stage]} {progress.label}{share} ...", err=True)


class _Bars:
    """For terminals: one bar a stage, gone when all is done."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._bars: RichProgress | None = None
        self._task: TaskID | None = None
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._stage, self._begin = progress.stage, time.monotonic()
            self.close()
        if time.monotonic() - self._begin < _QUIET_S:
            return
        if self._bars is None:
            self._open(progress)
        assert self._bars is not None
        assert self._task is not None
        text = f"{_STAGES[progress.stage]} {progress.label}"
        self._bars.update(self._task, description=text, completed=progress.done, total=progress.total or None)

    def _open(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            ProgressColumn,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import (
            Progress as RichProgress,
        )

        columns: list[ProgressColumn] = [
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
        ]
        if progress.stage == "download":
            columns += [DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
        self._bars = RichProgress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bars.add_task(escape(progress.label), total=None)
        self._bars.start()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._task = None
