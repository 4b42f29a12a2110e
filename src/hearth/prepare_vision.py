"""From the name of a model that sees to a bundle that can be opened, as `prepare` does for language models."""

from __future__ import annotations

from typing import Literal

from hearth.bundle import Bundle, open_bundle, require_own_cache, require_trusted
from hearth.checkpoint import open_checkpoint
from hearth.errors import Unsupported
from hearth.hub import Source, complete, resolve
from hearth.image.spec import VisionSpec, load_spec
from hearth.model.kinds import VISION
from hearth.model.vision import load_vision
from hearth.prepare import (
    Opened,
    ProgressCallback,
    asked_for,
    compile_progress,
    compiled_before,
    hub_progress,
    memory_of_source,
    remembered,
)


def prepare_vision(
    name: str,
    *,
    size: tuple[int, int] | None = None,
    quant: str | None = None,
    precision: Literal["default", "high"] = "default",
    progress: ProgressCallback | None = None,
    offline: bool = False,
    trust_bundle: bool = False,
) -> tuple[Opened, VisionSpec]:
    """Finds the bundle of a model that sees, and makes it where there is none yet.

    Args: as `Vision`; `size` is what the network is to take.

    Raises:
        Unsupported: a model that sees nothing.
        ModelNotFound, NetworkError, CompileError, UntrustedBundle, ...: as `prepare.prepare`.
    """
    source = resolve(name, offline=offline, progress=hub_progress(progress))
    if source.kind == "bundle":
        return _from_bundle(name, source, trust_bundle)
    require_own_cache()
    wanted = {"vision": source.name, "quant": quant, "precision": precision, "size": size}
    memory = memory_of_source(source, wanted)
    bundle = remembered(memory)
    notices: tuple[str, ...] = ()
    if bundle is None:
        load_vision(open_checkpoint(source.path), size=size)  # what cannot be is told before anything is fetched
        if not offline and complete(source):
            memory = memory_of_source(source, wanted)
        bundle, notices = _compiled(source, size, quant, precision, progress)
        if not notices:
            memory.remember(bundle.path)
    require_trusted(bundle)
    return Opened(name, bundle, {}, (*source.notices, *notices)), load_spec(bundle.path)


def _from_bundle(name: str, source: Source, trust_bundle: bool) -> tuple[Opened, VisionSpec]:
    bundle = open_bundle(source.path)
    if bundle.manifest.kind != VISION:
        raise Unsupported(
            f"{name} does not look at pictures.",
            why=f"It is a bundle of the kind {bundle.manifest.kind!r} ({bundle.manifest.family}).",
        )
    if not trust_bundle:
        require_trusted(bundle)
    return Opened(name, bundle, {}), load_spec(bundle.path)


def _compiled(
    source: Source,
    size: tuple[int, int] | None,
    quant: str | None,
    precision: Literal["default", "high"],
    progress: ProgressCallback | None,
) -> tuple[Bundle, tuple[str, ...]]:
    try:
        from hearth.compiler.vision import compile_vision

        folder = compile_vision(
            source.path,
            name=source.name,
            size=size,
            quant=quant,
            precision=precision,
            progress=compile_progress(progress),
        )
    except ImportError as error:  # TVM or zig: a bundle of another version of the compiler may still do

        def fits(bundle: Bundle) -> bool:
            made = bundle.manifest
            if made.kind != VISION or not asked_for(quant, made.quant.partition(",")[0]):
                return False
            return size is None or load_spec(bundle.path).size == size

        return compiled_before(source, open_checkpoint(source.path).fingerprint(), precision, fits, error)
    return open_bundle(folder), ()
