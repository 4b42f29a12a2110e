"""`compile_model`: from a model on disk to a bundle in the cache. The one entry point of this room.

TVM is imported only on a cache miss: a model that was compiled before opens in a fraction of a second, and where TVM
is not installed at all.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Literal

from hearth.bundle import (
    ABI_VERSION,
    COSTS,
    FORMAT_VERSION,
    PLAN,
    WEIGHTS,
    BundleWriter,
    InstructionSet,
    Manifest,
    ModelFacts,
    bundle_key,
    bundle_path,
    cache_dir,
    mark_compiled_here,
    open_bundle,
    write_costs,
)
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.embedding import EmbeddingSpec, save_embedding
from hearth.checkpoint.generation import published_sampling, save_sampling
from hearth.checkpoint.sentence_modules import published_embedding
from hearth.checkpoint.tokenizer_files import save_tokenizer
from hearth.checkpoint.types import Checkpoint
from hearth.compiler.cpu.link import KernelSet, KernelSymbol, host_target, library_name, link_library, resolve_target
from hearth.compiler.cpu.targets import Isa, choose_isas
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tunings
from hearth.compiler.cpu.tuning_record import usable_tunings
from hearth.distribution import version, version_of
from hearth.errors import BundleMismatch, CorruptFile, ModelNotFound
from hearth.model import LoadedModel, load_family
from hearth.model.text.kv_cache import KV_DTYPES, KvFormat, kv_format
from hearth.quant.formats import Format
from hearth.quant.policy import choose_format

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much: bytes for weights, kernels for kernels."""

Precision = Literal["default", "high"]

# TVM's builders keep their state for the process: two threads that compile at once break each other's graphs.
_one_at_a_time = threading.Lock()


def compile_model(
    source: Path,
    *,
    name: str,
    quant: str | None = None,
    head: str | None = None,
    precision: Precision = "default",
    kv: KvFormat | None = None,
    context: int | None = None,
    target: str | None = None,
    isa: str | None = None,
    output: Path | None = None,
    dump_ir: Path | None = None,
    threads: int = 2,
    tunings: Tunings | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Compiles a model, or finds it compiled.

    Args:
        source: a Hugging Face folder or a GGUF file.
        name: the model as the user named it, for the manifest.
        quant, head: number formats of the body and of embedding and head; None: `quant.policy`.
        precision: `high` computes with f32 activations and keeps f32 keys and values.
        kv: number format of keys and values; None: f16, or f32 with high precision.
        context: tokens to prepare for, where that changes the model (LongRoPE).
        target: triple; None: this machine.
        isa: instruction sets, such as `avx2,avx512vnni` or `all`; the bundle uses the best that a processor has. None:
            the best of this machine; for another target all made for its architecture.
        output: folder to write the bundle to; None: Hearth's cache.
        dump_ir: folder for the module after each phase (implies compiling again).
        threads: for packing weights.
        tunings: how products are computed; None: as `hearth tune` found best on this processor where the target is this
            machine, else as by default.
        force: compile even if the bundle is there.

    Returns:
        The bundle's folder.

    Raises:
        Unsupported, CorruptFile: the source cannot be compiled.
        CompileError: the compiler is not installed or fails.
        StorageError: the bundle cannot be written.
    """
    report = progress or (lambda label, done, total: None)
    report("reading", 0, 0)
    checkpoint = open_checkpoint(source)
    model = load_family(checkpoint, context=context)
    triple = resolve_target(target)
    isas = choose_isas(triple, host_target(), isa)
    formats = model_formats(checkpoint, model, quant, head)
    if tunings is None:
        tunings = usable_tunings() if triple == host_target() else {}
    tunings = _of_these(tunings, formats, isas)
    identity = {
        "source": checkpoint.fingerprint(),
        "formats": sorted((p, f.name) for p, f in formats.items()),
        "config": repr(model.config),
        "precision": precision,
        "kv": kv_format(kv, precision),
        "target": triple,
        "isas": [isa.name for isa in isas],
        "tunings": sorted((kernel, asdict(tuning)) for kernel, tuning in tunings.items()),
        "toolchain": _toolchain(),
    }
    folder = output or bundle_path(bundle_key(name, identity))
    if not force and dump_ir is None and output is None and _is_sound(folder):
        return folder
    if importlib.util.find_spec("tvm") is None:
        raise ModuleNotFoundError("apache-tvm is not installed", name="tvm")
    again = force or dump_ir is not None or output is not None
    with _one_at_a_time:
        if not again and _is_sound(folder):  # another thread has made it meanwhile
            return folder
        _compile(
            checkpoint, model, formats, isas, triple, tunings, name, precision, kv_format(kv, precision), folder,
            dump_ir, threads, report, again,
        )  # fmt: skip
        mark_compiled_here(open_bundle(folder, for_this_machine=False))
    return folder


def _of_these(tunings: Tunings, formats: Mapping[str, Format], isas: Sequence[Isa]) -> Tunings:
    """Tunings that can matter to a model: of its formats, on the instruction sets that it is compiled for. Others are
    no reason to compile it again."""
    layouts = {fmt.kernel_layout for fmt in formats.values()}
    names = tuple(f"_{isa.name}" for isa in isas)
    return {
        kernel: tuning
        for kernel, tuning in tunings.items()
        if kernel.endswith(names) and kernel.split("_")[1] in layouts and tuning != DEFAULT_TUNING
    }


def _is_sound(folder: Path) -> bool:
    try:
        open_bundle(folder)
    except (ModelNotFound, CorruptFile, BundleMismatch):
        return False
    return True


def model_formats(checkpoint: Checkpoint, model: LoadedModel, quant: str | None, head: str | None) -> dict[str, Format]:
    """Format of every matrix; a parameter of some K keeps what its rows are."""
    formats = {}
    for parameter, where in model.sources.items():
        info = checkpoint.tensors[where.tensor]
        fmt = choose_format(parameter, info.dtype, checkpoint.kind, quant, head)
        formats[parameter] = fmt
    return formats


@cache
def _toolchain() -> str:
    """Hash of everything that shapes a bundle besides the model: our sources that read and compile one, and the tools'
    versions."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256(f"{version_of('apache-tvm')} {version_of('ziglang')}".encode())
    for room in ("checkpoint", "model", "quant", "compiler", "runtime/csrc"):
        for file in sorted((package / room).rglob("*")):
            if file.suffix in (".py", ".c", ".h"):
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:20]


def _compile(
    checkpoint: Checkpoint, model: LoadedModel, formats: dict[str, Format], isas: Sequence[Isa], target: str,
    tunings: Tunings, name: str, precision: Precision, kv: str, folder: Path, dump_ir: Path | None, threads: int,
    report: Progress, replace_existing: bool,
) -> None:  # fmt: skip
    report("loading the compiler", 0, 0)
    from hearth.compiler.cpu.objects import kernel_objects
    from hearth.compiler.pack import pack_all
    from hearth.compiler.pipeline import dump_to, lower
    from hearth.compiler.plan import Limits

    report("planning", 0, 0)
    config = model.config
    lowered = lower(
        config,
        formats,
        isas,
        high_precision=precision == "high",
        kv_dtype=KV_DTYPES[kv],
        limits=Limits(max_position=config.max_position),
        tunings=tunings,
        dump=dump_to(dump_ir) if dump_ir else None,
    )
    plan = lowered.plan
    with BundleWriter(folder, replace_existing=replace_existing) as writer:
        weights = writer.allocate(WEIGHTS, plan.weights_bytes)
        count = 0

        def kernel_done(kernel: str) -> None:
            nonlocal count
            report("compiling kernels", count, len(lowered.kernels) * len(isas))
            count += 1

        objects, sets = [], []
        for isa in isas:
            kernels = [made[isa] for made in lowered.kernels.values()]
            functions = {isa.symbol(k.name): lowered.module[isa.symbol(k.name)] for k in kernels}
            objects += kernel_objects(functions, target, isa, cache_dir() / "kernels", kernel_done)
            symbols = [KernelSymbol(k.name, k.num_buffers, k.num_scalars, isa.symbol(k.name)) for k in kernels]
            sets.append(KernelSet(isa.name, isa.features, symbols))
        report("linking", 0, 0)
        plan_bytes = plan.to_bytes()
        library = writer.path(library_name(target))
        link_library(objects, sets, library, plan=plan_bytes, target=target, cache_dir=cache_dir() / "zig")

        done = 0

        def written(size: int) -> None:
            nonlocal done
            done += size
            report("packing weights", done, plan.weights_bytes)

        pack_all(
            plan, lowered.parameters, config, model.sources, checkpoint, weights, threads=threads, progress=written
        )
        writer.write(PLAN, plan_bytes)
        writer.write(COSTS, write_costs([step.cost for step in plan.steps]))
        tokenizer = checkpoint.tokenizer()
        if tokenizer is not None:
            save_tokenizer(tokenizer, writer.path("tokenizer.json").parent)
        save_sampling(published_sampling(checkpoint), writer.path("tokenizer.json").parent)
        embedding = published_embedding(checkpoint)
        if model.no_head:
            embedding = replace(embedding or EmbeddingSpec(), no_head=True)
        save_embedding(embedding, writer.path("tokenizer.json").parent)
        report("writing the bundle", 0, 0)
        writer.commit(_manifest(checkpoint, model, formats, isas, target, name, precision, kv, plan.kv_bytes_per_token,
                                plan.weights_bytes, plan.arena_bytes))  # fmt: skip


def _manifest(
    checkpoint: Checkpoint, model: LoadedModel, formats: dict[str, Format], isas: Sequence[Isa], target: str, name: str,
    precision: Precision, kv: str, kv_bytes_per_token: int, weights_bytes: int, arena_bytes: int,
) -> Manifest:  # fmt: skip
    config = model.config
    body = [f.name for p, f in formats.items() if p.rpartition(".")[2] in ("q", "k", "v", "o", "gate", "up", "down")]
    parameters = 0
    for tensor in {source.tensor for source in model.sources.values()}:
        size = 1
        for dim in checkpoint.tensors[tensor].shape:
            size *= dim
        parameters += size
    facts = ModelFacts(
        parameters=parameters,
        layers=config.num_layers,
        vocab_size=config.vocab_size,
        context_max=config.max_position,
        kv_bytes_per_token=kv_bytes_per_token,
        weights_bytes=weights_bytes,
        arena_bytes=arena_bytes,
    )
    return Manifest(
        format_version=FORMAT_VERSION,
        abi_version=ABI_VERSION,
        hearth_version=version(),
        compilers={"tvm": version_of("apache-tvm") or "unknown", "zig": version_of("ziglang") or "unknown"},
        target=target,
        instruction_sets=tuple(InstructionSet(isa.name, isa.features) for isa in isas),
        source_name=name,
        source_fingerprint=checkpoint.fingerprint(),
        family=config.family,
        quant=", ".join(fmt for fmt, _ in Counter(body).most_common()),
        head=formats["embed" if config.tied_embeddings else "head"].name,
        precision="high" if precision == "high" else "int8",
        kv=kv,
        context=config.max_position,
        facts=facts,
        files={},
    )
