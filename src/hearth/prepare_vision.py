"""From the name of a model that sees to a bundle that can be opened, as `prepare` does for language models."""

from __future__ import annotations

from typing import Literal

from hearth.bundle import Bundle, list_bundles, open_bundle, require_own_cache, require_trusted
from hearth.checkpoint import open_checkpoint
from hearth.errors import CompileError, HearthError, Unsupported
from hearth.hub import Source, complete, resolve
from hearth.image.spec import VisionSpec, load_spec
from hearth.model.vision import load_vision
from hearth.prepare import (
    COMPILE_HINT,
    Opened,
    ProgressCallback,
    compile_progress,
    hub_progress,
    memory_of_source,
    remembered,
)
from hearth.quant import format_name

KIND = "vision"
"""What the manifests of such bundles say."""


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
    if bundle.manifest.kind != KIND:
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
        return _without_compiler(source, size, quant, precision, error)
    return open_bundle(folder), ()


def _without_compiler(
    source: Source, size: tuple[int, int] | None, quant: str | None, precision: str, cause: ImportError
) -> tuple[Bundle, tuple[str, ...]]:
    """A bundle of this very model in the cache, made when the compiler was there."""
    fingerprint = open_checkpoint(source.path).fingerprint()
    for stored in list_bundles():
        made = stored.manifest
        if made is None or made.source_fingerprint != fingerprint or made.kind != KIND:
            continue
        if (quant and format_name(quant)) not in (None, made.quant.partition(",")[0]) or made.precision != (
            "high" if precision == "high" else "int8"
        ):
            continue
        try:
            bundle = open_bundle(stored.path)
            if size is not None and load_spec(bundle.path).size != size:
                continue
        except HearthError:  # for another machine, of an older Hearth, or damaged: the next one may do
            continue
        require_trusted(bundle)
        return bundle, (f"The compiler is not installed: using {source.name} as compiled before ({made.quant}).",)
    raise CompileError(
        f"{source.name} is not compiled yet, and the compiler is not installed.", why=f"({cause})", hint=COMPILE_HINT
    ) from cause
