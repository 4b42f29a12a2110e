"""What is computed for who wants it alone, so that it can be left out of other calls.

The final norm of a decoder is read by its head, which takes a norm into its product, and is the output `hidden`: that
becomes an operation of its own, `hearth.hidden(x, weight)`. The likeliest tokens of each row of logits are one output
more, `hearth.likeliest(logits)`: for a GPU it costs much to bring a whole row to where it can be read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tvm import relax

from hearth.compiler.gpu.kernels.likeliest import LIKELIEST
from hearth.compiler.gpu.selection import GpuSelection
from hearth.compiler.passes.rewrite import Graph, is_op, rewrite
from hearth.compiler.pipeline import Logical
from hearth.model.network import TEXT_DOOR
from hearth.model.ops import hearth_op
from hearth.model.text.batch import LIKELIEST_OUTPUT, LIKELIEST_ROWS

_OUTPUTS = ("logits", "argmax", "hidden")


def with_likeliest(logical: Logical, selection: GpuSelection) -> Logical:
    """The text function with the likeliest tokens as its last output."""
    if LIKELIEST_ROWS not in selection.symbols:
        return logical
    functions, results = [], dict(logical.results)
    for function in logical.network.functions:
        if function.door == TEXT_DOOR and function.outputs == _OUTPUTS:
            rows, _ = results[function.name][0].shape
            likeliest = relax.TensorType((rows, 2 * LIKELIEST), "int32")
            results[function.name] = [*results[function.name], likeliest]
            function = replace(function, outputs=(*function.outputs, LIKELIEST_OUTPUT))
        functions.append(function)
    network = replace(logical.network, functions=tuple(functions))
    return replace(logical, network=network, results=results)


def part_outputs(module: Any, selection: GpuSelection) -> Any:
    """A text function's third result, where it is an RMS norm, as `hearth.hidden`, whose attribute is epsilon; and its
    likeliest tokens."""
    if LIKELIEST_ROWS not in selection.symbols:
        return module

    def rule(graph: Graph, value: Any) -> Any:
        if not isinstance(value, relax.Tuple) or len(value.fields) != len(_OUTPUTS):
            return None
        logits, best, hidden = value.fields
        norm = graph.value(hidden)
        if is_op(norm, "nn.rms_norm"):
            made = hearth_op("hidden", list(norm.args), hidden.ty, epsilon=float(norm.attrs.epsilon))
            hidden = graph.emit(made)
        rows = logits.ty.shape[0]
        likeliest = hearth_op("likeliest", [logits], relax.TensorType((rows, 2 * LIKELIEST), "int32"))
        return relax.Tuple([logits, best, hidden, graph.emit(likeliest)])

    return rewrite(module, rule)
