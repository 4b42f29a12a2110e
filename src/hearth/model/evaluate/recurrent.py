"""Recurrent layers, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hearth.model.evaluate.elementwise import sigmoid
from hearth.model.evaluate.values import Array, Attributes, wide

Step = Callable[[Array, Array, Array, Array, Array], tuple[Array, Array]]
"""(inputs' part, r, bias, h, c) -> (h, c), of one step: (b, gates, d) and (b, d)."""


def recurrent(attrs: Attributes, z: Array, r: Array, bias: Array, h: Array, *c: Array) -> Any:
    z, r, bias, state = wide(z), wide(r), wide(bias), wide(h)
    cell, memory = _CELLS[attrs.cell], wide(c[0]) if c else state
    out = np.zeros((*z.shape[:2], z.shape[-1]))
    for t in reversed(range(len(z))) if attrs.reverse else range(len(z)):
        state, memory = cell(z[t], r, bias, state, memory)
        out[t] = state
    return [out, memory] if c else out


def _of_state(h: Array, r: Array, bias: Array) -> Array:
    found: Array = np.einsum("bk,kgj->bgj", h, r) + bias
    return found


def _lstm(z: Array, r: Array, bias: Array, h: Array, c: Array) -> tuple[Array, Array]:
    i, o, f, new = np.moveaxis(z + _of_state(h, r, bias), 1, 0)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
    return sigmoid(o) * np.tanh(c), c


def _gru(before: bool) -> Step:
    def step(z: Array, r: Array, bias: Array, h: Array, c: Array) -> tuple[Array, Array]:
        own = _of_state(h, r, bias)
        update, reset = sigmoid(z[:, 0] + own[:, 0]), sigmoid(z[:, 1] + own[:, 1])
        part = _of_state(reset * h, r, bias)[:, 2] if before else reset * own[:, 2]
        return (1 - update) * np.tanh(z[:, 2] + part) + update * h, c

    return step


def _plain(function: Callable[[Array], Array]) -> Step:
    return lambda z, r, bias, h, c: (function((z + _of_state(h, r, bias))[:, 0]), c)


_CELLS: Mapping[str, Step] = {
    "lstm": _lstm,
    "gru": _gru(before=False),
    "gru_reset_before": _gru(before=True),
    "tanh": _plain(np.tanh),
    "relu": _plain(lambda x: np.maximum(x, 0)),
}
