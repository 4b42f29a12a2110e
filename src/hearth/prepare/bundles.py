"""`prepare`: from a model's name to a bundle that can be opened. Find the source, then compile it or find it compiled.

The compiler is imported only when something has to be compiled: where TVM is not installed, bundles still run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from hearth.bundle import (
    Bundle,
    Memory,
    list_bundles,
    memory_of,
    open_bundle,
    require_own_cache,
    require_trusted,
    tuning_dir,
)
from hearth.checkpoint.generation import load_sampling
from hearth.errors import CompileError, HearthError
from hearth.hub import Source, complete
from hearth.hub.ggufs import part_files
from hearth.model.kinds import TEXT, KindName, refuse_bundle
from hearth.prepare.finding import fetch, preparer_of
from hearth.prepare.preparer import Own, Preparer, Wanted
from hearth.prepare.progress import ProgressCallback, compile_progress
from hearth.prepare.table import PREPARERS
from hearth.prepare.types import COMPILE_HINT, Opened
from hearth.quant.policy import ACTIVATIONS
from hearth.runtime import available_bytes


def prepare(
    name: str,
    *,
    kinds: Sequence[KindName] = (TEXT,),
    progress: ProgressCallback | None = None,
    offline: bool = False,
    mmap: bool = False,
    memory_bytes: int | None = None,
    trust_bundle: bool = False,
    **wanted: Unpack[Wanted],
) -> Opened:
    """Finds a model's bundle, and makes it where there is none yet.

    Args: as `LLM`, `Embedder` and `Vision`.
        kinds: of models that will do; `Opened.kind` says which it is.
        memory_bytes: what the model may take; None: what is free.
        wanted: what the bundle is to be like; each kind takes what concerns it.

    Raises:
        ModelNotFound, NetworkError, ...: as `hub.resolve`, `open_checkpoint` and the compiler.
        Unsupported: it is of another kind.
        NotEnoughMemory: it is too large, which is found before it is downloaded where the hub tells its size, and
            before it is compiled. With `mmap` any size will do.
        CompileError: it must be compiled, and the compiler is not installed or fails.
        UntrustedBundle: it is a bundle that was compiled elsewhere, and `trust_bundle` does not say to run it.
    """
    limit_bytes = None if mmap else memory_bytes or available_bytes()
    source = fetch(name, kinds=kinds, progress=progress, offline=offline, memory_bytes=limit_bytes, **wanted)
    if source.kind == "bundle":
        return _given(name, source.path, kinds, wanted, trust_bundle)
    require_own_cache()
    for preparer in (PREPARERS[kind] for kind in kinds):
        bundle = _remembered(_memory(preparer, source, preparer.own(wanted)))
        if bundle is not None:
            require_trusted(bundle)
            return Opened(name, bundle, load_sampling(bundle.path), source.notices)
    preparer = preparer_of(source, kinds)
    return _made(name, source, preparer, preparer.own(wanted), progress, limit_bytes, offline=offline)


def _given(name: str, path: Path, kinds: Sequence[KindName], wanted: Wanted, trust_bundle: bool) -> Opened:
    """A bundle by its own path. It is as it was made; what is wanted otherwise is told, not ignored."""
    bundle = open_bundle(path)
    kind = next((kind for kind in kinds if kind == bundle.manifest.kind), None)
    if kind is None:
        refuse_bundle(name, bundle.manifest.kind, bundle.manifest.family)
    if not trust_bundle:
        require_trusted(bundle)
    preparer = PREPARERS[kind]
    notices = tuple(
        f"{name} is a compiled bundle with {option} {made}; {option} {value} cannot be chosen any more."
        for option, made, value in preparer.differences(bundle, preparer.own(wanted))
    )
    return Opened(name, bundle, load_sampling(path), notices)


def _made(
    name: str,
    source: Source,
    preparer: Preparer,
    wanted: Own,
    progress: ProgressCallback | None,
    limit_bytes: int | None,
    *,
    offline: bool,
) -> Opened:
    """The bundle of a model that is not remembered."""
    if not offline:
        complete(source)
    memory = _memory(preparer, source, wanted)
    preparer.check(source, wanted, limit_bytes)
    notices: tuple[str, ...] = ()
    try:
        bundle = open_bundle(preparer.compile(source, wanted, progress=compile_progress(progress)))
    except ImportError as error:  # TVM or zig: a bundle of another version of the compiler may still do
        bundle, notices = _compiled_before(source, preparer, wanted, error)
    require_trusted(bundle)
    if not notices:
        memory.remember(bundle.path)
    sampling = load_sampling(bundle.path) or preparer.sampling(source)
    return Opened(name, bundle, sampling, (*source.notices, *notices))


def _memory(preparer: Preparer, source: Source, wanted: Own) -> Memory:
    """What is remembered of a model and of what was asked for: the bundle that it led to."""
    request = {"path": str(source.path.absolute()), "name": source.name, "kind": preparer.kind, **wanted}
    files = [*part_files(source.path), *preparer.beside(source, wanted)]
    return memory_of(request, [*files, tuning_dir(), *_compiler_files()])


def _remembered(memory: Memory) -> Bundle | None:
    """The bundle that this model led to before, if it is still whole."""
    folder = memory.recall()
    try:
        return open_bundle(folder) if folder is not None else None
    except HearthError:  # removed, damaged, of another version: it is compiled again
        return None


def _compiler_files() -> list[Path]:
    """Whatever shapes a bundle besides the model: a change of these asks the compiler again, which knows best."""
    tools = [importlib.util.find_spec(name) for name in ("tvm", "ziglang")]
    return [Path(__file__).parents[1], *(Path(t.origin) for t in tools if t is not None and t.origin)]


def _compiled_before(
    source: Source, preparer: Preparer, wanted: Own, cause: ImportError
) -> tuple[Bundle, tuple[str, ...]]:
    """A bundle of this very model in the cache, made when the compiler was there, and what to tell of it.

    Args:
        cause: what is missing of the compiler.

    Raises:
        CompileError: there is none.
    """
    fingerprint = preparer.open(source, wanted).fingerprint()
    activations = ACTIVATIONS[wanted["precision"]]
    for stored in list_bundles():
        made = stored.manifest
        if made is None or made.source_fingerprint != fingerprint or made.precision != activations:
            continue
        try:
            bundle = open_bundle(stored.path)
            if not preparer.will_do(bundle, wanted):
                continue
        except HearthError:  # for another machine, of an older Hearth, or damaged: the next one may do
            continue
        require_trusted(bundle)
        return bundle, (f"The compiler is not installed: using {source.name} as compiled before ({made.quant}).",)
    raise CompileError(
        f"{source.name} is not compiled yet, and the compiler is not installed.", why=f"({cause})", hint=COMPILE_HINT
    ) from cause
