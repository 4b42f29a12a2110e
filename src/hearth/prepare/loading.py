"""Weights into memory."""

from __future__ import annotations

from hearth.errors import NotEnoughMemory
from hearth.prepare.placement import ON_CPU, Placement
from hearth.prepare.progress import Progress, ProgressCallback
from hearth.prepare.types import Opened
from hearth.runtime import Loading, Model, require

_MEMORY_HINT = "Choose a smaller number format (--quant q4) or a smaller model, or close other programs."


def start_loading(opened: Opened, *, mmap: bool = False, placement: Placement = ON_CPU) -> Loading:
    """Begins to load the weights, for `open_model` to wait for them.

    Args:
        mmap: as `LLM`.
        placement: where to.

    Raises:
        NotEnoughMemory: they do not fit.
    """
    if placement.is_gpu:  # whose memory is asked for when it is taken
        return Loading(opened.bundle.path, device=placement.device)
    facts = opened.bundle.manifest.facts
    if mmap:  # the system drops mapped pages where it needs the memory
        require(facts.arena_bytes, f"{opened.name} (workspace)", hint=_MEMORY_HINT)
    else:
        require(facts.weights_bytes + facts.arena_bytes, f"{opened.name} (weights and workspace)", hint=_MEMORY_HINT)
    return Loading(opened.bundle.path, use_mmap=mmap)


def open_model(opened: Opened, progress: ProgressCallback | None, loading: Loading | None = None) -> Model:
    """Loads the weights, or waits for a loading that was started.

    Raises:
        NotEnoughMemory: they do not fit.
    """
    report = None
    if progress is not None:

        def report(done: int, total: int) -> None:
            progress(Progress("load", opened.name, done, total))

    try:
        return (loading or start_loading(opened)).model(report)
    except NotEnoughMemory as error:
        raise NotEnoughMemory(error.what, why=error.why, hint=error.hint or _MEMORY_HINT) from error
