"""What only an output needs is computed apart from what others read, so that it can be left out of calls that do not
want it.

The final norm of a decoder is read by its head, which takes a norm into its product, and is the output `hidden`: that
becomes an operation of its own, `hearth.hidden(x, weight)`.
"""

from __future__ import annotations

from typing import Any

from tvm import relax

from hearth.compiler.passes.rewrite import Graph, is_op, rewrite
from hearth.model.ops import hearth_op


def part_hidden_states(module: Any) -> Any:
    """A text function's last result, where it is an RMS norm, as `hearth.hidden`; epsilon is an attribute."""

    def rule(graph: Graph, value: Any) -> Any:
        if not isinstance(value, relax.Tuple) or len(value.fields) != 3:
            return None
        *others, hidden = value.fields
        norm = graph.value(hidden)
        if not is_op(norm, "nn.rms_norm"):
            return None
        made = hearth_op("hidden", list(norm.args), hidden.ty, epsilon=float(norm.attrs.epsilon))
        return relax.Tuple([*others, graph.emit(made)])

    return rewrite(module, rule)
