"""A network that also tells what its matrices multiply, and lets what they give be disturbed: what calibration runs.

Each product with one of some matrices gets an output, its activations, and an input that is added to its result. Run
with disturbances of zero such a network computes what it computed before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tvm
from tvm import relax, tirx
from tvm.relax import op

from hearth.compiler.passes.rewrite import Graph, arguments, is_op, rewrite
from hearth.model.network import Function, Input, Network

_LINEAR = "hearth.linear"


@dataclass(frozen=True)
class Product:
    """A product x w^T [+ bias] of a function.

    Attributes:
        weight, bias: parameters; no bias: None.
        activations: the output that is x; products of one activation share it.
        disturbance: the input that is added to the result.
    """

    weight: str
    bias: str | None
    activations: str
    disturbance: str


@dataclass(frozen=True)
class Instrumented:
    """Attributes:
    network: of a single function, every size of which is known.
    outputs: those that the function had before.
    products: in the order in which they are computed.
    """

    network: Network
    outputs: tuple[str, ...]
    products: tuple[Product, ...]


def multiplied(network: Network, function: str) -> dict[str, int]:
    """How often each parameter is the matrix of a product in a function, in the order of first use."""
    (block,) = network.build()[function].body.blocks
    counts: dict[str, int] = {}
    for binding in block.bindings:
        if is_op(binding.value, _LINEAR):
            name = arguments(binding.value)[1].name
            if name in network.shapes:
                counts[name] = counts.get(name, 0) + 1
    return counts


def instrument(
    network: Network, function: str, weights: Collection[str], sizes: Mapping[str, tuple[int, int]] | None = None
) -> Instrumented:
    """The function with an output and an input for each product with one of these matrices.

    Args:
        sizes: bounds of the symbols; None: one item at a time goes through it, so that sizes that an input's first axis
            gives are their least, all others their largest.
    """
    declared = next(each for each in network.functions if each.name == function)
    module = tvm.IRModule({function: network.build()[function]})
    watch = _Watch(network, set(weights))
    module = rewrite(module, watch.rule)
    made = module[function]
    inputs = [var for var in made.params if var.name in {each.name for each in declared.inputs}]
    disturbed = [product.disturbance for product in watch.products]
    variables = {var.name: var for var in made.params}
    first = [*inputs, *(variables[name] for name in disturbed)]
    rest = [var for var in made.params if var not in first]
    ordered = relax.Function([*first, *rest], made.body, made.ret_ty, made.is_pure, made.attrs)
    module.update_func(module.get_global_var(function), ordered.with_attr("num_input", len(first)))
    whole = Function(
        function,
        (*declared.inputs, *(Input(name, "float32") for name in disturbed)),
        (*declared.outputs, *watch.taps),
    )
    used = {var.name for var in rest}
    return Instrumented(
        replace(
            network,
            functions=(whole,),
            symbols=_of_one_item(network, inputs) if sizes is None else {**network.symbols, **sizes},
            shapes={name: shape for name, shape in network.shapes.items() if name in used},
            build=lambda: module,
        ),
        declared.outputs,
        tuple(watch.products),
    )


class _Watch:
    """The rewriting of one function, and what it has met."""

    def __init__(self, network: Network, weights: set[str]) -> None:
        self.network, self.weights = network, weights
        self.products: list[Product] = []
        self.taps: dict[str, Any] = {}
        self._tapped: dict[Any, str] = {}

    def rule(self, graph: Graph, value: Any) -> Any:
        if isinstance(value, relax.Tuple) and graph.value(graph.function.body.body) is value:
            return relax.Tuple([*value.fields, *self.taps.values()])
        if not is_op(value, _LINEAR):
            return None
        x, w, *bias = arguments(value)
        if w.name not in self.weights:
            return None
        number = len(self.products)
        disturbance = graph.add_param(relax.Var(f"disturbance.{number}", value.ty_args[0]))
        name = self._tap(graph, x)
        biased = bias[0].name if bias and bias[0].name in self.network.shapes else None
        self.products.append(Product(w.name, biased, name, disturbance.name))
        return op.add(graph.emit(value), disturbance)

    def _tap(self, graph: Graph, x: Any) -> str:
        """The output that shows an activation."""
        if x not in self._tapped:
            name = self._tapped[x] = f"activations.{len(self.taps)}"
            # Results lie in the arena, inputs do not: what is only an input in another shape is copied.
            self.taps[name] = graph.emit(op.multiply(x, relax.const(1.0, "float32"))) if _is_given(graph, x) else x
        return self._tapped[x]


def _is_given(graph: Graph, x: Any) -> bool:
    while is_op(graph.value(x), "reshape"):
        x = graph.value(x).args[0]
    return graph.value(x) is None


def _of_one_item(network: Network, inputs: Sequence[Any]) -> dict[str, tuple[int, int]]:
    batches = {var.ty.shape[0].name for var in inputs if isinstance(var.ty.shape[0], tirx.Var)}
    return {name: (low, low) if name in batches else (high, high) for name, (low, high) in network.symbols.items()}
