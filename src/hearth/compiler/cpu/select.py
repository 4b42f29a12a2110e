"""Chooses the kernel of every operation: the last pass on the graph, which afterwards is a line of kernel calls.

Which kernel is a matter of tables: `rules/`.
"""

from __future__ import annotations

from typing import Any

from tvm import relax

from hearth.compiler.cpu.inputs import is_dense_input
from hearth.compiler.cpu.kernels.peak import SCRATCH_BYTES, peak_float32, peak_int8
from hearth.compiler.cpu.rules import RULES
from hearth.compiler.cpu.rules.moves import copied
from hearth.compiler.cpu.selection import Selection
from hearth.compiler.passes.rewrite import Graph, attribute, dtype_of, operation, rewrite
from hearth.compiler.physical import is_padded, last_size, strides
from hearth.compiler.views import steps_of
from hearth.errors import Unsupported


def select_kernels(module: Any, selection: Selection) -> Any:
    """`module` with every operation replaced by calls of kernels; it then holds their PrimFuncs, by instruction set.

    Raises:
        Unsupported: an operation that no rule knows.
    """

    def rule(graph: Graph, value: Any) -> Any:
        name = operation(value)
        if isinstance(value, relax.Tuple):
            return relax.Tuple([_owned(graph, field, selection) for field in value.fields])
        if not name:
            return None
        if name not in RULES:
            raise Unsupported(f"The operation {name} cannot be compiled yet.", why=f"It is in {value}.")
        return RULES[name](graph, value, selection)

    def pad_inputs(graph: Graph) -> None:
        """Inputs of numbers get padded rows, as everything has that is made of them."""
        for var in graph.params[: int(graph.function.attrs["num_input"])]:
            padded = is_padded(last_size(var)) or is_dense_input(graph, var)
            if dtype_of(var.ty) == "float32" and not padded:
                graph.bind(var, graph.emit(copied(var, 0, strides(var.ty.shape, dense=True), var, selection)))

    lowered = rewrite(module, rule, pad_inputs)
    called = {
        str(attribute(binding.value, "kernel"))
        for function in lowered.functions.values()
        for binding in function.body.blocks[0].bindings
        if operation(binding.value) == "hearth.kernel"
    }
    # What a rule made for a result that nothing reads is not needed after all.
    selection.kernels = {name: made for name, made in selection.kernels.items() if name in called}
    for peak in (peak_int8, peak_float32):
        selection.use("", peak, scratch_bytes=SCRATCH_BYTES)
    for kernels in selection.kernels.values():
        for isa, kernel in kernels.items():
            lowered[isa.symbol(kernel.name)] = kernel.finish(isa.symbol(kernel.name))
    return lowered


def _owned(graph: Graph, result: Any, selection: Selection) -> Any:
    """A result in memory of its own: what is an input or a weight is copied."""
    origin = graph.origin(result)
    if not isinstance(origin, relax.Var):
        return result
    packed = selection.parameters.packed.get(origin.name)
    if packed is not None and packed.k is not None:
        raise Unsupported(f"The weight {origin.name} is a result, and it is packed for products.")
    return graph.emit(copied(result, 0, steps_of(result), result, selection, padded=True))
