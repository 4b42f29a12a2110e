"""ONNX's recurrent layers."""

from __future__ import annotations

from typing import Any

from hearth.errors import Unsupported
from hearth.model.imported.moves import part, permute, reshape
from hearth.model.imported.onnx_context import Context, Converter
from hearth.model.imported.recurrent import Direction, layer, side_by_side, zeros

# Of each operator: our cell, ONNX's gates in our order, activations that it has by itself.
_KINDS: dict[str, tuple[str, tuple[int, ...], list[str]]] = {
    "LSTM": ("lstm", (0, 1, 2, 3), ["sigmoid", "tanh", "tanh"]),
    "GRU": ("gru_reset_before", (0, 1, 2), ["sigmoid", "tanh"]),
    "RNN": ("tanh", (0,), ["tanh"]),
}


def _convert(c: Context) -> Any:
    """Results: all states (t, directions, b, d), the last ones (directions, b, d), for an LSTM the last c."""
    g, (cell, order, usual) = c.g, _KINDS[c.node.op]
    c.only(clip=0.0, input_forget=0)
    if c.has(4):
        raise Unsupported("its sequences have lengths of their own")
    if c.has(7):
        raise Unsupported("its gates look at the cell")
    how = c.attr("direction", "forward")
    directions = [False, True] if how == "bidirectional" else [how == "reverse"]
    given = [_text(name).lower() for name in c.attr("activations") or usual * len(directions)]
    if cell == "tanh" and given == ["relu"] * len(directions):
        cell = "relu"
    elif given != usual * len(directions):
        raise Unsupported(f"its activations are {', '.join(given)[:100]}")
    if cell.startswith("gru") and c.attr("linear_before_reset", 0):
        cell = "gru"
    x, batch_first = c.x(0), bool(c.attr("layout", 0))
    x = permute(g, x, (1, 0, 2)) if batch_first else x
    batch, width = g.shape(x)[1], g.shape(c.x(2))[2]
    found = []
    for number, reverse in enumerate(directions):
        w, r = (_of(c, at, number) for at in (1, 2))
        both = c.known(3, "bias")[number].reshape(2, -1) if c.has(3) else (None, None)
        h, memory = (_state(c, at, number, batch, width, batch_first) for at in (5, 6))
        one = Direction(cell, order, w, r, both[0], both[1], h, memory if cell == "lstm" else None, reverse)
        found.append(layer(g, x, one))
    states = side_by_side(g, [reshape(g, y, [g.shape(y)[0], 1, batch, width]) for y, _, _ in found], 1)
    ends = [
        side_by_side(g, [reshape(g, parts[i], [1, batch, width]) for parts in found], 0)
        for i in ((1, 2) if cell == "lstm" else (1,))
    ]
    if batch_first:
        states, ends = permute(g, states, (2, 0, 1, 3)), [permute(g, end, (1, 0, 2)) for end in ends]
    return [states, *ends]


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


def _of(c: Context, at: int, number: int) -> Any:
    """A direction's part of a weight (directions, rows, columns)."""
    x = c.x(at)
    if x not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    _, rows, columns = c.g.shape(x)
    return c.g.derived(x, (rows, columns), lambda array: array[number])


def _state(c: Context, at: int, number: int, batch: Any, width: int, batch_first: bool) -> Any:
    if not c.has(at):
        return zeros(c.g, [batch, width])
    x = permute(c.g, c.x(at), (1, 0, 2)) if batch_first else c.x(at)
    return reshape(c.g, part(c.g, x, 0, number, number + 1), [batch, width])


RECURRENT: dict[str, Converter] = dict.fromkeys(_KINDS, _convert)
