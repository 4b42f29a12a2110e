"""Weights into memory."""

from __future__ import annotations

from typing import overload

from hearth.errors import NotEnoughMemory
from hearth.prepare.placement import Placement
from hearth.prepare.progress import Progress, ProgressCallback
from hearth.prepare.race import choose_variants
from hearth.prepare.types import Opened
from hearth.runtime import Loading, Model, SplitLoading, SplitModel, require

_MEMORY_HINT = "Choose a smaller number format (--quant q4) or a smaller model, or close other programs."


def start_loading(opened: Opened, *, mmap: bool = False) -> Loading:
    """Begins to load the weights into the processor's memory, for `open_model` to wait for them.

    Args:
        mmap: as `LLM`.

    Raises:
        NotEnoughMemory: they do not fit.
    """
    facts = opened.bundle.manifest.facts
    if mmap:  # the system drops mapped pages where it needs the memory
        require(facts.arena_bytes, f"{opened.name} (workspace)", hint=_MEMORY_HINT)
    else:
        require(facts.weights_bytes + facts.arena_bytes, f"{opened.name} (weights and workspace)", hint=_MEMORY_HINT)
    return Loading(opened.bundle.path, use_mmap=mmap)


def start_placed(
    opened: Opened, placement: Placement, *, mmap: bool = False, progress: ProgressCallback | None = None
) -> Loading | SplitLoading:
    """The same to where a model is placed. Kernels of a GPU that has not met them race first.

    Args:
        progress: told of such a race.

    Raises:
        DeviceError: the GPU cannot be had, or does not compute what the processor computes.
        NotEnoughMemory: the weights do not fit.
    """
    path = opened.bundle.path
    if placement.gpu is None:
        return start_loading(opened, mmap=mmap)
    if placement.gpu_layers is None:  # the GPU's memory is asked for when it is taken
        return Loading(path, device=placement.device, gpu_features=_variants(opened, placement, progress))
    _require_rest(opened, placement, mmap)
    features = _variants(opened, placement, progress)
    first = Loading(path, device=placement.device, gpu_features=features, layers=(0, placement.gpu_layers))
    return SplitLoading(first, Loading(path, use_mmap=mmap, layers=(placement.gpu_layers, placement.layers)))


def _require_rest(opened: Opened, placement: Placement, mmap: bool) -> None:
    """That the processor's part fits its memory."""
    facts, text = opened.bundle.manifest.facts, opened.bundle.manifest.language
    weights = 0 if mmap else facts.weights_bytes - (placement.gpu_layers or 0) * text.layer_bytes
    require(max(0, weights) + facts.arena_bytes, f"{opened.name} (the layers on the CPU)", hint=_MEMORY_HINT)


def _variants(opened: Opened, placement: Placement, progress: ProgressCallback | None) -> str | None:
    """What kernels may use; for a program that plays a GPU nothing: it is there for tests."""
    if placement.gpu is None or placement.gpu.type == "cpu":
        return None

    def report() -> None:
        if progress is not None:
            progress(Progress("tune", f"kernels for {placement.name}", 0, 0))

    return choose_variants(opened.bundle, placement, report)


@overload
def open_model(opened: Opened, progress: ProgressCallback | None, loading: Loading | None = None) -> Model: ...
@overload
def open_model(
    opened: Opened, progress: ProgressCallback | None, loading: Loading | SplitLoading
) -> Model | SplitModel: ...
def open_model(
    opened: Opened, progress: ProgressCallback | None, loading: Loading | SplitLoading | None = None
) -> Model | SplitModel:
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
