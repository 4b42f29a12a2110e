"""Progress of downloads, compilation and loading on standard error, and what to know when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hearth.cli.terminal import note
from hearth.prepare import Progress
from hearth.progress import displayed


@contextmanager
def showing_progress() -> Iterator[Callable[[Progress], None]]:
    """Gives a callback that shows what it is told, for as long as the block lasts."""
    try:
        with displayed() as display:
            yield display
    except KeyboardInterrupt:
        if display.stage == "download":
            note("What was downloaded is kept, and the next download goes on from there.")
        raise
