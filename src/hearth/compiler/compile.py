"""`compile_job`: from a network and its checkpoint to a bundle in the cache, whatever kind of network it is.

TVM is imported only on a cache miss: a model that was compiled before opens in a fraction of a second, and where TVM
is not installed at all.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from hearth.bundle import (
    ABI_VERSION,
    COSTS,
    FORMAT_VERSION,
    GPU_COSTS,
    GPU_KERNELS,
    GPU_PLAN,
    PLAN,
    WEIGHTS,
    BundleWriter,
    InstructionSet,
    Manifest,
    ModelFacts,
    TextFacts,
    bundle_key,
    bundle_path,
    cache_dir,
    mark_compiled_here,
    open_bundle,
    write_costs,
)
from hearth.checkpoint.types import Checkpoint
from hearth.compiler.cpu.link import KernelSet, KernelSymbol, host_target, libraries, link_library, resolve_target
from hearth.compiler.cpu.targets import Isa, addressed_bytes, choose_isas
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tunings
from hearth.compiler.cpu.tuning_record import usable_tunings
from hearth.distribution import version, version_of
from hearth.errors import BundleMismatch, CorruptFile, ModelNotFound, Unsupported, UsageError
from hearth.model.network import Network
from hearth.model.weights import tensors_of
from hearth.quant.blocks import Blocks
from hearth.quant.formats import Format
from hearth.quant.policy import ACTIVATIONS, Precision
from hearth.units import format_bytes

if TYPE_CHECKING:
    from hearth.compiler.plan import Plan

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much: bytes for weights, kernels for kernels."""

# TVM's builders keep their state for the process: two threads that compile at once break each other's graphs.
_one_at_a_time = threading.Lock()


def one_at_a_time() -> AbstractContextManager[object]:
    """For the block that builds or compiles a graph."""
    return _one_at_a_time


class Calibration(Protocol):
    """Makes the formats of a job finer or coarser by what its network does with examples."""

    @property
    def digest(self) -> str:
        """Hash of the examples and of whatever else of it shapes the result, for the cache."""

    def calibrated(self, job: Job, *, threads: int, report: Progress) -> Job:
        """The job with formats as they are to be, and what is rounded already."""


@dataclass(frozen=True)
class PictureFeed:
    """How a network is given a picture.

    Attributes:
        function: that takes it.
        inputs: makes its inputs of pixels u8 (height, width, 3), for one picture.
    """

    function: str
    inputs: Callable[[NDArray[np.uint8]], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True)
class Job:
    """One network to compile.

    Attributes:
        name: the model as the user named it.
        kind: what it is for, as `Manifest.kind`.
        family: of the model.
        network: functions, parameters, states.
        checkpoint: where the parameters are.
        formats: number formats of the parameters that have one; the others are f32.
        quant: what the body's formats are called, for people.
        precision: `high` computes with f32 activations; `fast` means what the network says (`Network.coarse`).
        identity: what shapes the network beside the checkpoint, for the cache: anything with a `repr` of all it holds.
        write: writes further files into the bundle's folder: a tokenizer, labels.
        text: what only a language model has, once its plan is made.
        pictures: how it is given pictures; None: it looks at none.
        calibration: is asked for the formats before anything is compiled; None: they are as they are.
        rounded: matrices that are rounded already, by the name of their parameter.
    """

    name: str
    kind: str
    family: str
    network: Network
    checkpoint: Checkpoint
    formats: Mapping[str, Format]
    quant: str
    precision: Precision
    identity: object
    write: Callable[[Path], None]
    text: Callable[[Plan], TextFacts] | None = None
    pictures: PictureFeed | None = None
    calibration: Calibration | None = None
    rounded: Mapping[str, Blocks] = field(default_factory=dict)


class CompileOptions(TypedDict, total=False):
    """What `compile_job` may be told beside its job, for those that make one and pass the rest on."""

    target: str | None
    isa: str | None
    output: Path | None
    dump_ir: Path | None
    threads: int
    tunings: Tunings | None
    progress: Progress | None
    force: bool


def compile_job(
    job: Job,
    *,
    target: str | None = None,
    isa: str | None = None,
    output: Path | None = None,
    dump_ir: Path | None = None,
    threads: int = 2,
    tunings: Tunings | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Compiles a network, or finds it compiled.

    Args:
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
        Unsupported, CorruptFile: the network cannot be compiled.
        UsageError: its number formats and precision exclude each other.
        CompileError: the compiler is not installed or fails.
        StorageError: the bundle cannot be written.
    """
    triple = resolve_target(target)
    isas = choose_isas(triple, host_target(), isa)
    if tunings is None:
        tunings = usable_tunings() if triple == host_target() else {}
    tunings = _of_these(tunings, job.formats, isas)
    if job.precision == "high" and any(fmt.is_row for fmt in job.formats.values()):
        raise UsageError(
            "precision=high computes with 32-bit floats, which the number format int8 does not know.",
            hint="Choose --quant q8 or f32, or leave --precision out.",
        )
    identity = {
        "source": job.checkpoint.fingerprint(),
        "formats": sorted((p, f.name) for p, f in job.formats.items()),
        "network": repr(job.identity),
        "precision": job.precision,
        "calibration": job.calibration.digest if job.calibration else None,
        "target": triple,
        "isas": [isa.name for isa in isas],
        "tunings": sorted((kernel, asdict(tuning)) for kernel, tuning in tunings.items()),
        "toolchain": _toolchain(),
    }
    folder = output or bundle_path(bundle_key(job.name, identity))
    again = force or dump_ir is not None or output is not None
    if not again and _is_sound(folder, triple):
        return folder
    if importlib.util.find_spec("tvm") is None:
        raise ModuleNotFoundError("apache-tvm is not installed", name="tvm")
    report = progress or (lambda label, done, total: None)
    if job.calibration is not None:
        job = job.calibration.calibrated(job, threads=threads, report=report)
    with one_at_a_time():
        if not again and _is_sound(folder, triple):  # another thread has made it meanwhile
            return folder
        _compile(job, isas, triple, tunings, folder, dump_ir, threads, report, again)
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


def _is_sound(folder: Path, target: str) -> bool:
    try:
        open_bundle(folder, for_this_machine=target == host_target())
    except (ModelNotFound, CorruptFile, BundleMismatch):
        return False
    return True


@cache
def _toolchain() -> str:
    """Hash of everything that shapes a bundle besides the model: our sources that read and compile one, and the tools'
    versions."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256(f"{version_of('apache-tvm')} {version_of('ziglang')}".encode())
    for room in ("checkpoint", "image", "model", "quant", "compiler", "calibrate", "runtime/csrc"):
        for file in sorted((package / room).rglob("*")):
            if file.suffix in (".py", ".c", ".h"):
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:20]


def _compile(
    job: Job, isas: Sequence[Isa], target: str, tunings: Tunings, folder: Path, dump_ir: Path | None, threads: int,
    report: Progress, replace_existing: bool,
) -> None:  # fmt: skip
    report("loading the compiler", 0, 0)
    from hearth.compiler.cpu.lowering import lower
    from hearth.compiler.cpu.objects import kernel_objects
    from hearth.compiler.gpu.part import gpu_part
    from hearth.compiler.pack import pack_all
    from hearth.compiler.pipeline import dump_to, logical
    from hearth.compiler.plan_file import plan_bytes

    report("planning", 0, 0)
    dump = dump_to(dump_ir) if dump_ir else None
    graphs = logical(job.network, job.formats, dump)
    lowered = lower(graphs, isas, high_precision=job.precision == "high", tunings=tunings, dump=dump)
    plan = lowered.plan
    for_gpus = gpu_part(graphs, plan, dump)
    _require_addresses(job, plan, target)
    with BundleWriter(folder, replace_existing=replace_existing) as writer:
        weights = writer.allocate(WEIGHTS, plan.weights_bytes)
        count = 0
        num_kernels = len(lowered.kernels) * len(isas) + (len(for_gpus.lowered.kernels) if for_gpus else 0)

        def kernel_done(kernel: str) -> None:
            nonlocal count
            report("compiling kernels", count, num_kernels)
            count += 1

        objects: dict[str, list[Path]] = {}
        sets = []
        for isa in isas:
            kernels = [made[isa] for made in lowered.kernels.values()]
            functions = {isa.symbol(k.name): lowered.module[isa.symbol(k.name)] for k in kernels}
            objects[isa.name] = kernel_objects(functions, target, isa, cache_dir() / "kernels", kernel_done)
            symbols = [KernelSymbol(k.name, k.num_buffers, k.num_scalars, isa.symbol(k.name)) for k in kernels]
            sets.append(KernelSet(isa.name, isa.features, symbols))
        if for_gpus is not None:
            writer.write(GPU_PLAN, for_gpus.plan)
            writer.write(GPU_COSTS, write_costs([step.cost for step in for_gpus.lowered.plan.steps]))
            writer.write(GPU_KERNELS, for_gpus.shaders(cache_dir() / "shaders", kernel_done))
        report("linking", 0, 0)
        plan_file = plan_bytes(plan)
        for name, held in libraries(target, sets).items():
            inputs = [path for each in held for path in objects[each.isa]]
            link_library(inputs, held, writer.path(name), plan=plan_file, target=target, cache_dir=cache_dir() / "zig")

        done = 0

        def written(size: int) -> None:
            nonlocal done
            done += size
            report("packing weights", done, plan.weights_bytes)

        pack_all(
            plan, lowered.parameters, lowered.sources, job.checkpoint, weights, rounded=job.rounded, threads=threads,
            progress=written,
        )  # fmt: skip
        writer.write(PLAN, plan_file)
        writer.write(COSTS, write_costs([step.cost for step in plan.steps]))
        job.write(writer.path(PLAN).parent)
        report("writing the bundle", 0, 0)
        writer.commit(_manifest(job, plan, isas, target))


def _require_addresses(job: Job, plan: Plan, target: str) -> None:
    """Refuses what no machine of the target could hold."""
    if plan.arena_bytes >= 1 << 62:
        raise Unsupported(
            f"{job.name} needs more memory for what it computes than any machine has.",
            hint="Bound the sizes that it leaves open: --size NAME=N.",
        )
    most = addressed_bytes(target)
    weights, arena = plan.weights_bytes, plan.arena_bytes
    if most is not None and weights + arena >= most:
        raise Unsupported(
            f"{job.name} does not fit {target}, whose programs have {format_bytes(most)} of memory.",
            why=f"Its weights take {format_bytes(weights)}, what it computes {format_bytes(arena)}.",
            hint="Choose a smaller number format (--quant q4) or a smaller model.",
        )


def _manifest(job: Job, plan: Plan, isas: Sequence[Isa], target: str) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        abi_version=ABI_VERSION,
        hearth_version=version(),
        compilers={"tvm": version_of("apache-tvm") or "unknown", "zig": version_of("ziglang") or "unknown"},
        target=target,
        instruction_sets=tuple(InstructionSet(isa.name, isa.features) for isa in isas),
        source_name=job.name,
        source_fingerprint=job.checkpoint.fingerprint(),
        kind=job.kind,
        family=job.family,
        quant=job.quant,
        precision=ACTIVATIONS[job.precision],
        facts=ModelFacts(_parameters(job), plan.weights_bytes, plan.arena_bytes),
        text=job.text(plan) if job.text else None,
        files={},
    )


def _parameters(job: Job) -> int:
    """How many numbers the parameters hold in the checkpoint; tensors that are several of them count once."""
    tensors: set[str] = set()
    for source in job.network.sources.values():
        tensors.update(tensors_of(source))
    return sum(prod(job.checkpoint.tensors[tensor].shape) for tensor in tensors)
