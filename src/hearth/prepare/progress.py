"""How far opening a model is, in one form for all who do a part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hearth.hub import Progress as HubProgress


@dataclass(frozen=True)
class Progress:
    """How far opening a model is.

    Attributes:
        stage: what is being done.
        label: what it is done to: a file, a phase of the compiler, a model.
        done, total: bytes for `download` and `load`, steps for `compile`, seconds for `tune`, answers for `answer`,
            pictures for `look`; `total` 0 where it is not known.
    """

    stage: Literal["download", "compile", "load", "tune", "answer", "look"]
    label: str
    done: int
    total: int


ProgressCallback = Callable[[Progress], None]


def hub_progress(progress: ProgressCallback | None) -> Callable[[HubProgress], None] | None:
    """The hub's callback for ours."""
    if progress is None:
        return None
    return lambda p: progress(Progress("download", f"{p.repo_id}: {p.file}", p.done_bytes, p.total_bytes))


def compile_progress(progress: ProgressCallback | None) -> Callable[[str, int, int], None] | None:
    """The compiler's callback for ours."""
    if progress is None:
        return None
    return lambda label, done, total: progress(Progress("compile", label, done, total))
