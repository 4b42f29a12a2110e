"""PyTorch's recurrent layers."""

from __future__ import annotations

from typing import Any

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.moves import part, permute, reshape
from hearth.model.imported.recurrent import Direction, layer, side_by_side

# Of each operator: our cell, PyTorch's gates in our order.
_KINDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "lstm": ("lstm", (0, 3, 1, 2)),
    "gru": ("gru", (1, 0, 2)),
    "rnn_tanh": ("tanh", (0,)),
    "rnn_relu": ("relu", (0,)),
}


def _converter(name: str) -> Converter:
    cell, order = _KINDS[name]

    def convert(c: Context) -> Any:
        """Results: the last layer's states, then for all layers and directions the last ones (and the last c)."""
        if "batch_sizes" in c.node.arguments:
            raise Unsupported("its sequences are packed")
        if c.get("train", False) and float(c.get("dropout", 0.0)):
            raise Unsupported("it is exported for training", hint="Call model.eval() before the export.")
        g, x = c.g, c.x("input")
        states = [c.tensor(y) for y in c.get("hx")] if cell == "lstm" else [c.x("hx")]
        parameters = [c.tensor(y) for y in c.get("params")]
        turns = [False, True] if c.get("bidirectional", False) else [False]
        each = 4 if c.get("has_biases", True) else 2
        x = permute(g, x, (1, 0, 2)) if c.get("batch_first", False) else x
        batch = g.shape(x)[1]
        ends: list[list[Any]] = [[], []]
        for number in range(0, len(parameters) // each, len(turns)):
            beside = []
            for turn, reverse in enumerate(turns):
                w, r, *biases = parameters[each * (number + turn) : each * (number + turn + 1)]
                if w not in g.known or r not in g.known or g.shape(r)[0] != len(order) * g.shape(r)[1]:
                    raise Unsupported("its weights depend on the inputs, or project its states")
                h, *memory = (_state(c, state, number + turn, batch) for state in states)
                known = [g.value(bias) for bias in biases] or [None, None]
                one = Direction(cell, order, w, r, known[0], known[1], h, memory[0] if memory else None, reverse)
                found = layer(g, x, one)
                beside.append(found[0])
                for kept, end in zip(ends, found[1:], strict=True):
                    kept.append(end)
            x = side_by_side(g, beside, 2)
        x = permute(g, x, (1, 0, 2)) if c.get("batch_first", False) else x
        last = [_stacked(c, kept) for kept in (ends if cell == "lstm" else ends[:1])]
        return [x, *last]

    return convert


def _state(c: Context, state: Any, number: int, batch: Any) -> Any:
    return reshape(c.g, part(c.g, state, 0, number, number + 1), [batch, c.g.shape(state)[2]])


def _stacked(c: Context, parts: list[Any]) -> Any:
    return side_by_side(c.g, [reshape(c.g, x, [1, *c.g.shape(x)]) for x in parts], 0)


RECURRENT: dict[str, Converter] = {name: _converter(name) for name in _KINDS}
