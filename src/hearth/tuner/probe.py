"""Measures candidates for one product in place: a small bundle of nothing but that product, run by the real runtime.

The plan of a probe has, for each of several copies of the weight, one step for each candidate. All candidates are so
timed within one forward, by the thread team, from huge pages, out of the memory or the caches that the model's own
weights would come from; whatever else the machine does meanwhile meets them alike. Weights and activations are zeros:
no kernel's speed depends on their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from hearth.bundle import WEIGHTS
from hearth.bundle.costs import StepCost
from hearth.bundle.failures import storage_errors
from hearth.compiler.cpu.kernels.matmul import matmul
from hearth.compiler.cpu.link import KernelSet, KernelSymbol, host_target, library_name, link_library
from hearth.compiler.cpu.objects import kernel_objects
from hearth.compiler.cpu.selection import Product
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tuning
from hearth.compiler.plan import ALIGNMENT, ARENA, WEIGHT, Plan, PlanFunction, Step
from hearth.compiler.plan_file import plan_bytes
from hearth.quant.formats import LANES, round_up
from hearth.runtime import Model, Session, require
from hearth.tuner.decide import undisturbed

_FUNCTION = "probe"
MIN_STEPS, MAX_STEPS = 6, 4096


@dataclass(frozen=True)
class Load:
    """What is run at once.

    Attributes:
        rows: tokens of the forward.
        weights_bytes: of all copies of the weight together, at most: what is read between two uses of the same bytes.
        multiplications: of one candidate in a round, at most; a larger product is cut to fewer units.
    """

    rows: int
    weights_bytes: int
    multiplications: int


class Probe:
    """One product and its candidates, open for measuring. A context manager.

    Args:
        folder: empty, for the files.
        cache: Hearth's cache folder, for machine code.

    Raises:
        CompileError: a candidate does not compile.
        NotEnoughMemory, StorageError: no room for the copies.
    """

    def __init__(
        self, product: Product, tunings: Sequence[Tuning], load: Load, *, threads: int, folder: Path, cache: Path
    ) -> None:
        codes = _codes(product, tunings)
        symbols = _link(product, codes, folder, cache)
        plan, self._order = _plan(product, tunings, [codes.index(_code(product, t)) for t in tunings], symbols, load)
        self._candidates = len(tunings)
        require(plan.weights_bytes + plan.arena_bytes, "Measuring a product")
        with storage_errors("write", folder):
            (folder / "plan.bin").write_bytes(plan_bytes(plan))
            with (folder / WEIGHTS).open("wb") as file:
                file.truncate(plan.weights_bytes)  # zeros, which take no place on the disk
        self._model = Model(folder)
        self._session = Session(self._model, threads=threads)
        self._session.run(_FUNCTION, {})  # caches, page tables, threads

    def round(self) -> list[float]:
        """Runs every candidate on every copy once: nanoseconds of an undisturbed step of each."""
        self._session.profile(True)
        self._session.run(_FUNCTION, {})
        times: list[list[int]] = [[] for _ in range(self._candidates)]
        for candidate, step in zip(self._order, self._session.read_profile(), strict=True):
            times[candidate].append(step.time_ns)
        return [undisturbed(each) for each in times]

    def close(self) -> None:
        self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _code(product: Product, tuning: Tuning) -> Tuning:
    """What of a tuning is in the machine code: two that differ in nothing else share a kernel."""
    tile = tuning.tile_rows or product.spec.isa.tile_rows
    return replace(tuning, chunk_bytes=DEFAULT_TUNING.chunk_bytes, tile_rows=tile)


def _codes(product: Product, tunings: Sequence[Tuning]) -> list[Tuning]:
    return list(dict.fromkeys(_code(product, tuning) for tuning in tunings))


def _link(product: Product, codes: Sequence[Tuning], folder: Path, cache: Path) -> list[KernelSymbol]:
    """The kernels of all codes in one library, which is made unless `folder` has it."""
    isa = product.spec.isa
    symbols, functions = [], {}
    for number, tuning in enumerate(codes):
        kernel = matmul(replace(product.spec, tuning=tuning))
        name = f"{kernel.name}_{number}"
        symbols.append(KernelSymbol(name, kernel.num_buffers, kernel.num_scalars, isa.symbol(name)))
        functions[isa.symbol(name)] = kernel.finish(isa.symbol(name))
    library = folder / library_name()
    if not library.exists():
        objects = kernel_objects(functions, host_target(), isa, cache / "kernels")
        link_library(objects, [KernelSet(isa.name, isa.features, symbols)], library, cache_dir=cache / "zig")
    return symbols


def _plan(
    product: Product, tunings: Sequence[Tuning], kernels: Sequence[int], symbols: Sequence[KernelSymbol], load: Load
) -> tuple[Plan, list[int]]:
    """The plan, and which candidate each of its steps is.

    Args:
        kernels: the index in `symbols` of each candidate's kernel.
    """
    spec, rows = product.spec, load.rows
    unit_weights = (2 if spec.epilogue == "gated" else 1) * LANES * product.kp
    # Two copies at least, so that what a step reads was not read by the step before.
    most = load.weights_bytes // 2 // product.unit_bytes
    units = max(1, min(product.units, most, load.multiplications // (unit_weights * rows * MIN_STEPS)))
    weight_bytes = units * product.unit_bytes
    affordable = load.multiplications // (units * unit_weights * rows)
    copies = max(2, min(load.weights_bytes // weight_bytes, affordable, MAX_STEPS // len(tunings)))
    ld = units * LANES

    plan = Plan(symbols={}, scratch_bytes=64)

    def arena(size: int) -> int:
        begin, plan.arena_bytes = plan.arena_bytes, plan.arena_bytes + round_up(size, ALIGNMENT)
        return plan.buffer(ARENA, offset=begin, size=size)

    weights = []
    for copy in range(copies):
        plan.weights.append((f"copy{copy}", copy * round_up(weight_bytes, ALIGNMENT), weight_bytes))
        weights.append(plan.buffer(WEIGHT, copy, size=weight_bytes))
    if spec.activations == "int8":
        inputs = [arena(rows * product.kp), arena(rows * product.kp // 32 * 16)]
    else:
        inputs = [arena(rows * product.kp * 4)]
    if spec.bias:
        inputs.append(arena(4 * LANES * units * (2 if spec.epilogue == "gated" else 1)))
    if spec.epilogue == "add":
        inputs.append(arena(4 * rows * ld))
    outputs = [arena(4 * rows * ld)]
    if spec.epilogue == "logits":
        outputs += [arena(4 * rows * units), arena(4 * rows * units)]
    scalars = [plan.constant(value) for value in (rows, product.blocks, product.kp, ld)]
    if spec.epilogue == "logits":
        scalars.append(plan.constant(ld))
    unit_count = plan.constant(units)

    plan.kernels = [(symbol.name, symbol.num_buffers, symbol.num_scalars) for symbol in symbols]
    order = []
    for turn in range(len(tunings)):
        for copy, weight in enumerate(weights):
            candidate = (copy + turn) % len(tunings)
            kernel, grain = symbols[kernels[candidate]].name, tunings[candidate].grain(units, product.unit_bytes)
            buffers = (weight, *inputs, *outputs)
            cost = StepCost(role="probe", kernel=kernel)
            plan.steps.append(Step(kernel, buffers, tuple(scalars), unit_count, grain, str(candidate), cost))
            order.append(candidate)
    plan.functions.append(PlanFunction(_FUNCTION, "", len(plan.steps), 0, 0))
    return plan, order
