#!/usr/bin/env python3
"""How near products with a scale a row come to the most that this machine multiplies.

    python benchmarks/row_products.py --model vit-b swin-t --isa avx512vnni avx2 --threads 2

For each product of a model: its rows are prepared (f32 to int8) and multiplied, in i8 and in i4, by the real runtime,
after a step that does nothing but multiply bytes in registers (`peak_int8`). *of peak* compares undisturbed times of
`--rounds` rounds, *prepared* counts the step before the product too. Weights come from memory or the last cache.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from hearth.bundle import WEIGHTS
from hearth.bundle.costs import StepCost
from hearth.bundle.paths import cache_dir
from hearth.compiler.cpu.kernels.peak import PEAK_INT8, SCRATCH_BYTES, peak_int8
from hearth.compiler.cpu.kernels.prepare_rows import RowPrepareSpec, prepare_rows
from hearth.compiler.cpu.kernels.row_product import SHARES, RowProductSpec, row_product
from hearth.compiler.cpu.link import KernelSet, KernelSymbol, host_target, library_name, link_library
from hearth.compiler.cpu.objects import kernel_objects
from hearth.compiler.cpu.targets import ISAS, Isa
from hearth.compiler.plan import ALIGNMENT, ARENA, WEIGHT, Plan, PlanFunction, Step
from hearth.compiler.plan_file import plan_bytes
from hearth.quant import FORMATS, round_up
from hearth.runtime import Model, Session
from hearth.tuner.decide import undisturbed

FORMS = ("i8", "i4")
PEAK_OPERATIONS = 3 << 21  # of a unit, some 10 us of one thread

# (rows of activations, K, N), the activation that follows: every product of a block, as often as it stands there.
VIT_B = [(197, 768, 2304, None), (197, 768, 768, None), (197, 768, 3072, "gelu"), (197, 3072, 768, None)]
DEIT_T = [(197, 192, 576, None), (197, 192, 192, None), (197, 192, 768, "gelu"), (197, 768, 192, None)]
SWIN_T = [
    product
    for m, k in ((3136, 96), (784, 192), (196, 384), (49, 768))
    for product in ((m, k, 3 * k, None), (m, k, k, None), (m, k, 4 * k, "gelu"), (m, 4 * k, k, None))
]
_SIZES: tuple[Callable[[int, int, int], int], ...] = (
    lambda m, k, n: 4 * m * k,
    lambda m, k, n: m * k,
    lambda m, k, n: 4 * m,
    lambda m, k, n: 4 * m * n,
)
"""Bytes of a product's rows, of these prepared, of their scales, of its results."""
MODELS = {"vit-b": VIT_B, "deit-t": DEIT_T, "swin-t": SWIN_T}


class Bench:
    """The products of a model in one plan: for each a peak, its preparation, the product in every format."""

    def __init__(self, isa: Isa, products: list[tuple[int, int, int, str | None]], threads: int, folder: Path) -> None:
        specs = {
            (form, activation): RowProductSpec(FORMATS[form], isa, bias=True, activation=activation)
            for form in FORMS
            for *_, activation in products
        }
        preparation = RowPrepareSpec(isa)
        kernels = [peak_int8(isa), prepare_rows(preparation), *map(row_product, specs.values())]
        symbols = [KernelSymbol(k.name, k.num_buffers, k.num_scalars, k.name) for k in kernels]
        objects = kernel_objects({k.name: k.finish() for k in kernels}, host_target(), isa, cache_dir() / "kernels")
        sets = [KernelSet(isa.name, isa.features, symbols)]
        link_library(objects, sets, folder / library_name(), cache_dir=cache_dir() / "zig")

        plan = Plan(symbols={}, scratch_bytes=SCRATCH_BYTES)
        plan.kernels = [(symbol.name, symbol.num_buffers, symbol.num_scalars) for symbol in symbols]
        self.labels: list[tuple[int, str]] = []

        def arena(size: int) -> int:
            begin, plan.arena_bytes = plan.arena_bytes, plan.arena_bytes + round_up(size, ALIGNMENT)
            return plan.buffer(ARENA, offset=begin, size=size)

        def weight(size: int) -> int:
            plan.weights.append((f"w{len(plan.weights)}", round_up(plan.weights_bytes, ALIGNMENT), size))
            return plan.buffer(WEIGHT, len(plan.weights) - 1, size=size)

        def step(number: int, what: str, kernel: str, buffers: list[int], scalars: list[int], units: int) -> None:
            numbers = tuple(plan.constant(value) for value in scalars)
            cost = StepCost(role=what, kernel=kernel)
            plan.steps.append(Step(kernel, tuple(buffers), numbers, plan.constant(units), 1, what, cost))
            self.labels.append((number, what))

        # As in a model, activations lie where those of the products before lay.
        x, aq, scales, y = (
            arena(max(size(m, round_up(k, 32), round_up(n, 16)) for m, k, n, _ in products)) for size in _SIZES
        )
        for number, (m, k, n, activation) in enumerate(products):
            kp, ld = round_up(k, 32), round_up(n, 16)
            bias = weight(4 * ld)
            for form in FORMS:
                spec = specs[form, activation]
                plan.scratch_bytes = max(plan.scratch_bytes, spec.scratch_bytes(kp))
                step(number, "peak", PEAK_INT8, [], [PEAK_OPERATIONS], 16 * threads)
                step(number, "prepare", preparation.name, [x, aq, scales], [k, kp, kp], m)
                buffers = [weight(FORMATS[form].packed_size(n, k)), aq, scales, bias, y]
                step(number, form, spec.name, buffers, [m, kp, ld // 16, ld, SHARES], SHARES)
        plan.functions.append(PlanFunction("bench", "", len(plan.steps), 0, 0))
        (folder / "plan.bin").write_bytes(plan_bytes(plan))
        with (folder / WEIGHTS).open("wb") as file:
            file.truncate(plan.weights_bytes)  # zeros: no kernel's speed depends on them
        self.session = Session(Model(folder), threads=threads)
        self.session.run("bench", {})

    def round(self) -> list[tuple[int, str, int]]:
        """(product, step, nanoseconds) in order."""
        self.session.profile(True)
        self.session.run("bench", {})
        steps = self.session.read_profile()
        return [(*label, step.time_ns) for label, step in zip(self.labels, steps, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--isa", nargs="+", choices=ISAS, default=["avx512vnni"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    for isa in arguments.isa:
        for model in arguments.model:
            with tempfile.TemporaryDirectory() as folder:
                measure(Bench(ISAS[isa], MODELS[model], arguments.threads, Path(folder)), isa, model, arguments)


def measure(bench: Bench, isa: str, model: str, arguments: argparse.Namespace) -> None:
    products = MODELS[model]
    times: dict[tuple[int, str], list[int]] = defaultdict(list)
    for _ in range(arguments.rounds):
        for number, what, time_ns in bench.round():
            times[number, what].append(time_ns)
    best = {step: undisturbed(found) for step, found in times.items()}
    speed = 16 * arguments.threads * PEAK_OPERATIONS / min(best[number, "peak"] for number in range(len(products)))
    ideal = [2 * m * k * n / speed for m, k, n, _ in products]
    print(f"{model}, {isa}, {arguments.threads} threads, peak {speed:.0f} Gop/s")
    print(f"{'rows':>6} {'K':>5} {'N':>5}  {'then':10}" + "".join(f"{form:>6} of peak, prepared" for form in FORMS))
    for number, (m, k, n, activation) in enumerate(products):
        line = f"{m:>6} {k:>5} {n:>5}  {activation or '':10}"
        for form in FORMS:
            alone, before = best[number, form], best[number, "prepare"]
            line += f"{ideal[number] / alone:>13.0%} {ideal[number] / (alone + before):>11.0%}"
        print(line)
    for form in FORMS:
        alone = sum(best[number, form] for number in range(len(products)))
        before = sum(best[number, "prepare"] for number in range(len(products)))
        print(
            f"  {form}: {sum(ideal) / alone:.0%} of peak over all, {sum(ideal) / (alone + before):.0%} with preparation"
        )


if __name__ == "__main__":
    main()
