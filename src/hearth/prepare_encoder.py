"""From an encoder's name to a bundle that can be opened, as `prepare` does for language models."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hearth.bundle import Bundle, open_bundle, require_own_cache, require_trusted
from hearth.checkpoint.embedding import Pooling
from hearth.errors import Unsupported
from hearth.fit import require_fit
from hearth.hub import Source, complete
from hearth.model.encoder.load import encoder_family, load_encoder, tensor_type
from hearth.model.encoder.onnx_weights import ENDING, onnx_folders, open_encoder
from hearth.model.kinds import ENCODER
from hearth.prepare import (
    Opened,
    ProgressCallback,
    asked_for,
    compile_progress,
    compiled_before,
    fetch,
    memory_of_source,
    remembered,
)
from hearth.runtime import available_bytes
from hearth.sizes import ModelSize, encoder_size


def prepare_encoder(
    name: str,
    *,
    quant: str | None = None,
    head: str | None = None,
    precision: Literal["default", "high"] = "default",
    pooling: Pooling | None = None,
    progress: ProgressCallback | None = None,
    offline: bool = False,
    mmap: bool = False,
    trust_bundle: bool = False,
) -> Opened | None:
    """Finds an encoder's bundle, and makes it where there is none yet.

    Args: as `Embedder`.

    Returns:
        None: the model is here, and is a language model.

    Raises: as `prepare.prepare`.
    """
    limit_bytes = None if mmap else available_bytes()
    source = _onnx_file(name) or fetch(
        name, quant=quant, head=head, progress=progress, offline=offline, memory_bytes=limit_bytes, encoders=True
    )
    if source.kind == "bundle":
        return _from_bundle(name, source, quant, trust_bundle)
    require_own_cache()
    wanted = {"encoder": source.name, "quant": quant, "head": head, "precision": precision, "pooling": pooling}
    beside = onnx_folders(source.path) if source.kind == "onnx" else ()
    memory = memory_of_source(source, wanted, beside=beside)
    bundle = remembered(memory)
    if bundle is None:
        if not is_encoder(source):
            if source.kind == "onnx":
                raise _no_encoder(source)
            return None
        if not offline and source.kind != "onnx" and complete(source):
            memory = memory_of_source(source, wanted)
        check_encoder_fit(source, quant=quant, head=head, memory_bytes=limit_bytes)
        bundle, notices = _compiled(source, quant, head, precision, pooling, progress)
        if notices:
            return Opened(name, bundle, {}, (*source.notices, *notices))
        memory.remember(bundle.path)
    require_trusted(bundle)
    return Opened(name, bundle, {}, source.notices)


def check_encoder_fit(source: Source, *, quant: str | None, head: str | None, memory_bytes: int | None) -> None:
    """Refuses an encoder on this disk that is too large, before time goes into compiling it. Raises as
    `prepare.check_fit`."""
    checkpoint = open_encoder(source.path)
    model = load_encoder(checkpoint)

    def size(quant: str | None) -> ModelSize:
        def dtype_of(parameter: str) -> str:
            return tensor_type(checkpoint, model.sources[parameter])

        return encoder_size(model.config, dtype_of, checkpoint.kind, quant=quant, head=head)

    require_fit(source.name, size, quant, memory_bytes)


def _onnx_file(name: str) -> Source | None:
    """What an .onnx file is as a source; None where the name is of something else."""
    path = Path(name).expanduser()
    if path.suffix.lower() != ENDING or not path.is_file():
        return None
    return Source(str(path), path, "onnx", size_bytes=path.stat().st_size)


def _no_encoder(source: Source) -> Unsupported:
    return Unsupported(
        f"The configuration beside {source.path} is of no encoder that Hearth knows.",
        hint=f"Compile the graph alone with `hearth compile {source.path}`, and run it with `hearth.Graph`.",
    )


def is_encoder(source: Source) -> bool:
    """Whether what was found, and is no bundle, is an encoder."""
    return encoder_family(open_encoder(source.path)) is not None


def _from_bundle(name: str, source: Source, quant: str | None, trust_bundle: bool) -> Opened | None:
    bundle = open_bundle(source.path)
    made = bundle.manifest
    if made.kind != ENCODER:
        return None
    if not trust_bundle:
        require_trusted(bundle)
    notices = (
        (f"{name} is a compiled bundle with quant {made.quant}; quant {quant} cannot be chosen any more.",)
        if not asked_for(quant, made.quant)
        else ()
    )
    return Opened(name, bundle, {}, notices)


def _compiled(
    source: Source,
    quant: str | None,
    head: str | None,
    precision: Literal["default", "high"],
    pooling: Pooling | None,
    progress: ProgressCallback | None,
) -> tuple[Bundle, tuple[str, ...]]:
    try:
        from hearth.compiler.encoder import compile_encoder

        folder = compile_encoder(
            source.path,
            name=source.name,
            quant=quant,
            head=head,
            precision=precision,
            pooling=pooling,
            progress=compile_progress(progress),
        )
    except ImportError as error:  # TVM or zig: a bundle of another version of the compiler may still do

        def fits(bundle: Bundle) -> bool:
            return bundle.manifest.kind == ENCODER and asked_for(quant, bundle.manifest.quant)

        return compiled_before(source, open_encoder(source.path).fingerprint(), precision, fits, error)
    return open_bundle(folder), ()
