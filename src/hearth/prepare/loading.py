"""Weights into memory."""

from __future__ import annotations

from hearth.errors import NotEnoughMemory
from hearth.prepare.placement import ON_CPU, Placement
from hearth.prepare.progress import Progress, ProgressCallback
from hearth.prepare.race import choose_variants
from hearth.prepare.types import Opened
from hearth.runtime import Loading, Model, require

_MEMORY_HINT = "Choose a smaller number format (--quant q4) or a smaller model, or close other programs."


def start_loading(
    opened: Opened, *, mmap: bool = False, placement: Placement = ON_CPU, progress: ProgressCallback | None = None
) -> Loading:
    """Begins to load the weights, for `open_model` to wait for them.

    Args:
        mmap: as `LLM`.
        placement: where to. Kernels of a GPU that has not met them race first.
        progress: told of such a race.

    Raises:
        DeviceError: the GPU cannot be had, or does not compute what the processor computes.
        NotEnoughMemory: they do not fit.
    """
    if placement.gpu is not None:  # whose memory is asked for when it is taken
        return Loading(opened.bundle.path, device=placement.device, gpu_features=_variants(opened, placement, progress))
    facts = opened.bundle.manifest.facts
    if mmap:  # the system drops mapped pages where it needs the memory
        require(facts.arena_bytes, f"{opened.name} (workspace)", hint=_MEMORY_HINT)
    else:
        require(facts.weights_bytes + facts.arena_bytes, f"{opened.name} (weights and workspace)", hint=_MEMORY_HINT)
    return Loading(opened.bundle.path, use_mmap=mmap)


def _variants(opened: Opened, placement: Placement, progress: ProgressCallback | None) -> str | None:
    """What kernels may use; for a program that plays a GPU nothing: it is there for tests."""
    if placement.gpu is None or placement.gpu.type == "cpu":
        return None

    def report() -> None:
        if progress is not None:
            progress(Progress("tune", f"kernels for {placement.name}", 0, 0))

    return choose_variants(opened.bundle, placement, report)


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
