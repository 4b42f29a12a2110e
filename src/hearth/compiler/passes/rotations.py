"""Which matrices are rotated: those of products whose activations are rounded with one scale a row.

Said of the network as it is written, before passes merge its products: whoever rounds a matrix by examples asks too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import relax

from hearth.compiler.passes.rewrite import Graph, arguments, is_op, operands
from hearth.quant.formats import Format
from hearth.quant.rotation import rotated_vectors


def rotations(module: Any, formats: Mapping[str, Format]) -> dict[str, int]:
    """By the parameter: how many vectors of its columns are rotated together (`quant/rotation.py`), where any are.

    Activations that have nothing below zero, as behind a ReLU, stay as they are: they have a bit more so, which is
    worth as much. A matrix that anything else reads stays, too.
    """
    found: dict[str, int] = {}
    kept: set[str] = set()
    for function in module.functions.values():
        if not isinstance(function, relax.Function):
            continue
        graph = Graph(function)
        parameters = {var: var.name for var in function.params}
        for _, value in graph.bindings:
            read = [var for var in operands(value) if var in parameters and _has_row_scales(formats, parameters[var])]
            if is_op(value, "hearth.linear"):
                x, w, *_ = arguments(value)
                if w in parameters and read == [w] and not is_op(graph.value(x), "nn.relu"):
                    found[parameters[w]] = rotated_vectors(int(w.ty.shape[1]))
                    continue
            kept.update(parameters[var] for var in read)
    return {name: vectors for name, vectors in found.items() if vectors > 1 and name not in kept}


def _has_row_scales(formats: Mapping[str, Format], name: str) -> bool:
    """Whether a parameter has a format with one scale a row."""
    return name in formats and formats[name].is_row
