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

import numpy as np

from hearth.bundle import WEIGHTS
from hearth.bundle.failures import storage_errors
from hearth.compiler.kernels.matmul import MatmulSpec, matmul
from hearth.compiler.link import KernelSymbol, host_target, library_name, link_library
from hearth.compiler.objects import kernel_objects
from hearth.compiler.passes.select import Product
from hearth.compiler.plan import Buffer, Limits, Plan, Scalar, Step
from hearth.compiler.tuning import Tuning
from hearth.quant.formats import round_up
from hearth.runtime import Model, Session, require

_LANES, _PAGE_TOKENS, _TILE_TOKENS = 16, 16, 16
_ARENA, _WEIGHT = 0, 1
MAX_STEPS = 4096


@dataclass(frozen=True)
class Load:
    """What is run at once.

    Attributes:
        rows: tokens of the forward.
        weights_bytes: of all copies of the weight together, at most: what is read between two uses of the same bytes.
        multiplications: most of them in one step; a larger product is cut to fewer units.
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
        specs = [replace(product.spec, tuning=tuning) for tuning in tunings]
        plan, self._order = _plan(product, specs, load)
        self._rows, self._candidates = load.rows, len(specs)
        require(plan.weights_bytes + plan.arena_bytes, "Measuring a product")
        _link(specs, folder, cache)
        with storage_errors("write", folder):
            (folder / "plan.bin").write_bytes(plan.to_bytes())
            with (folder / WEIGHTS).open("wb") as file:
                file.truncate(plan.weights_bytes)  # zeros, which take no place on the disk
        self._model = Model(folder)
        pages = -(-load.rows // _PAGE_TOKENS)
        self._session = Session(self._model, num_pages=pages, threads=threads)
        self._batch = (
            np.zeros(load.rows, np.int32),
            np.arange(load.rows, dtype=np.int32),
            np.zeros(load.rows, np.int32),
            np.arange(pages, dtype=np.int32)[None],
        )
        self._session.forward(*self._batch)  # caches, page tables, threads

    def round(self) -> list[int]:
        """Runs every candidate on every copy once: nanoseconds of an undisturbed step of each."""
        self._session.profile(True)
        self._session.forward(*self._batch)
        times: list[list[int]] = [[] for _ in range(self._candidates)]
        for candidate, step in zip(self._order, self._session.read_profile(), strict=True):
            times[candidate].append(step.time_ns)
        return [_undisturbed(each) for each in times]

    def close(self) -> None:
        self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _undisturbed(times: list[int]) -> int:
    """A fifth of the steps are faster: other programs make steps slower, never faster, and on a busy machine most."""
    return sorted(times)[len(times) // 5]


def _link(specs: Sequence[MatmulSpec], folder: Path, cache: Path) -> None:
    """The library with all kernels, unless `folder` has it."""
    import tvm

    library = folder / library_name()
    if library.exists():
        return
    kernels = {spec.name: matmul(spec) for spec in specs}
    module = tvm.IRModule({name: kernel.finish() for name, kernel in kernels.items()})
    objects = kernel_objects(kernels, module, host_target(), specs[0].isa, cache / "kernels")
    symbols = [KernelSymbol(k.name, k.num_buffers, k.num_scalars) for k in kernels.values()]
    link_library(objects, symbols, library, cache_dir=cache / "zig")


def _plan(product: Product, specs: Sequence[MatmulSpec], load: Load) -> tuple[Plan, list[int]]:
    """The plan, and which candidate each of its steps is."""
    spec, rows = product.spec, load.rows
    unit_weights = (2 if spec.epilogue == "gated" else 1) * _LANES * product.kp
    # Two copies at least, so that what a step reads was not read by the step before.
    units = max(1, min(
        product.units, load.weights_bytes // 2 // product.unit_bytes, load.multiplications // (unit_weights * rows)
    ))  # fmt: skip
    weight_bytes = units * product.unit_bytes
    copies = max(2, min(load.weights_bytes // weight_bytes, MAX_STEPS // len(specs)))
    ld = units * _LANES

    plan = Plan(
        Limits(round_up(rows, _PAGE_TOKENS), 1, 1, round_up(rows, _PAGE_TOKENS)),
        _TILE_TOKENS, _PAGE_TOKENS, vocab_size=16, hidden_size=16, scratch_bytes=64,
    )  # fmt: skip

    def buffer(kind: int, index: int, offset: int, size: int) -> int:
        plan.buffers.append(Buffer(kind, index, offset, size))
        return len(plan.buffers) - 1

    def arena(size: int) -> int:
        begin, plan.arena_bytes = plan.arena_bytes, plan.arena_bytes + round_up(size, 64)
        return buffer(_ARENA, 0, begin, size)

    def number(symbol: str, mul: int, add: int) -> int:
        plan.scalars.append(Scalar(symbol, mul, add))
        return len(plan.scalars) - 1

    weights = []
    for copy in range(copies):
        plan.weights.append((f"copy{copy}", copy * round_up(weight_bytes, 64), weight_bytes))
        weights.append(buffer(_WEIGHT, copy, 0, weight_bytes))
    if spec.activations == "int8":
        inputs = [arena(rows * product.kp), arena(rows * product.kp // 32 * 16)]
    else:
        inputs = [arena(rows * product.kp * 4)]
    if spec.bias:
        inputs.append(arena(4 * _LANES * units * (2 if spec.epilogue == "gated" else 1)))
    if spec.epilogue == "add":
        inputs.append(arena(4 * rows * ld))
    outputs = [arena(4 * rows * ld)]
    if spec.epilogue == "logits":
        outputs += [arena(4 * rows * units), arena(4 * rows * units)]
    scalars = [number("n", 1, 0), *(number("one", 0, value) for value in (product.blocks, product.kp, ld))]
    if spec.epilogue == "logits":
        scalars.append(number("one", 0, ld))
    unit_count = number("one", 0, units)

    symbols = {each.name: matmul_arguments(each) for each in specs}
    plan.kernels = [(name, *counts) for name, counts in symbols.items()]
    order = []
    for turn in range(len(specs)):
        for copy, weight in enumerate(weights):
            candidate = (copy + turn) % len(specs)
            each = specs[candidate]
            grain = each.tuning.grain(units, product.unit_bytes)
            buffers = (weight, *inputs, *outputs)
            plan.steps.append(Step(each.name, buffers, tuple(scalars), unit_count, grain, f"{candidate}"))
            order.append(candidate)
    return plan, order


def matmul_arguments(spec: MatmulSpec) -> tuple[int, int]:
    """Buffers and scalars that the kernel takes (`kernels/matmul.py`)."""
    buffers = 2 + (2 if spec.activations == "int8" else 1) + spec.bias
    buffers += {"store": 0, "add": 1, "gated": 0, "logits": 2}[spec.epilogue]
    return buffers, 5 if spec.epilogue == "logits" else 4
