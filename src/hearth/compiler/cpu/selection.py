"""What selection rules for CPUs share: the kernels chosen so far, for each instruction set, and a plan's products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.kernels.product_output import MatmulSpec
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tunings
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import Graph
from hearth.compiler.symbolic import bounds


@dataclass(frozen=True)
class Product:
    """One product of the plan, as `hearth tune` measures it.

    Attributes:
        spec: on the best instruction set.
        units: of its step: blocks of 16 rows, pairs of them when gated.
        unit_bytes: of weights that each reads.
        blocks: column blocks in a row.
        kp: columns of the prepared activation.
    """

    spec: MatmulSpec
    units: int
    unit_bytes: int
    blocks: int
    kp: int


@dataclass
class Selection:
    """What the pass needs to know, and the kernels it chose by name.

    Attributes:
        isas: instruction sets that every kernel is made for, best first.
        symbols: bounds of the symbolic sizes.
        tunings: of products on instruction sets; those that are not in it are computed as by default.
        products: the product of every step that is one, in order.
        kernels: by name, for each instruction set.
        scratch_bytes: the most scratch that any chosen kernel uses.
    """

    isas: Sequence[Isa]
    parameters: Parameters
    symbols: Mapping[str, tuple[int, int]]
    tunings: Tunings = field(default_factory=dict)
    products: list[Product] = field(default_factory=list)
    kernels: dict[str, dict[Isa, Kernel]] = field(default_factory=dict)
    scratch_bytes: int = 64

    def most(self, size: Any) -> int:
        """The largest value of a size."""
        return bounds(size, self.symbols)[1]

    def tuned(self, spec: MatmulSpec, isa: Isa) -> MatmulSpec:
        """A product on one of the instruction sets, as it was measured to be fastest there."""
        return replace(spec, isa=isa, tuning=self.tunings.get(isa.symbol(spec.name), DEFAULT_TUNING))

    def use(self, name: str, make: Callable[[Isa], Kernel], scratch_bytes: int = 0) -> str:
        """The kernel that `make` makes for each instruction set: one name, one list of arguments, one plan for all.

        Args:
            name: of the kernel where it is known before it is made; "" otherwise.
            scratch_bytes: the most that the kernel uses, on any instruction set.
        """
        if name not in self.kernels:
            first, *others = self.isas
            kernel = make(first)
            name = kernel.name
            if name not in self.kernels:
                self.kernels[name] = {first: kernel, **{isa: make(isa) for isa in others}}
                assert len({(k.name, k.num_buffers, k.num_scalars) for k in self.kernels[name].values()}) == 1
        self.scratch_bytes = max(self.scratch_bytes, scratch_bytes)
        return name


Rule = Callable[[Graph, Any, Selection], Any]
"""(graph, operation, selection) -> what takes the operation's place; None: not mine."""
