"""RWKV-7: linear attention whose state forgets by channel, and replaces what it holds for a key (arXiv:2503.14456).

Parameters of a layer:

    layers.N.rwkv_x_r  _w  _k  _v  _a  _g      [hidden] x 6        share of the token before in what each is made of
    layers.N.rwkv_r  .rwkv_k  .rwkv_v          [hidden, hidden] x 3
    layers.N.rwkv_w_down  .rwkv_w_up  _bias    [rank, hidden], [hidden, rank], [hidden]    what is forgotten
    layers.N.rwkv_a_down  .rwkv_a_up  _bias    [rank, hidden], [hidden, rank], [hidden]    what is replaced
    layers.N.rwkv_v_down  .rwkv_v_up  _bias    [rank, hidden], [hidden, rank], [hidden]    share of the first values
    layers.N.rwkv_g_down  .rwkv_g_up           [rank, hidden], [hidden, rank]              gate of the output
    layers.N.rwkv_erased  .rwkv_kept           [hidden] x 2        of keys: what is replaced; how a weak one is added
    layers.N.rwkv_bonus                        [hidden]            of a token's own value
    layers.N.rwkv_norm  .rwkv_norm_bias        [hidden] x 2        of the LayerNorm of each head's output (normalises)
    layers.N.rwkv_out                          [hidden, hidden]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hearth.model.text.mixers import Parts, Shape

_FIRST_VALUES = "rwkv_v"
_FASTEST = -math.exp(-0.5)
"""Logarithm of what stays of a channel that forgets as much as it may."""


@dataclass(frozen=True)
class Rwkv7:
    """Sizes of a layer.

    Attributes:
        heads, size: as many numbers as the hidden state has, in heads.
        decay_rank, rate_rank, value_rank, gate_rank: what these are made of in between.
        epsilon: of the LayerNorm of each head's output.
        first: of the layers, whose values the later ones mix into theirs.
        normalises: there is that norm.
    """

    heads: int
    size: int
    decay_rank: int
    rate_rank: int
    value_rank: int
    gate_rank: int
    epsilon: float
    first: bool = False
    normalises: bool = True

    @property
    def reads_others(self) -> bool:
        return not self.first

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        shapes: dict[str, Shape] = dict.fromkeys((f"rwkv_x_{part}" for part in "rwkvag"), (hidden_size,))
        shapes |= dict.fromkeys(("rwkv_r", "rwkv_k", "rwkv_v", "rwkv_out"), (hidden_size, hidden_size))
        ranks = {"w": self.decay_rank, "a": self.rate_rank, "v": self.value_rank, "g": self.gate_rank}
        for part, rank in ranks.items():
            if part == "v" and self.first:
                continue
            shapes |= {f"rwkv_{part}_down": (rank, hidden_size), f"rwkv_{part}_up": (hidden_size, rank)}
            shapes |= {f"rwkv_{part}_bias": (hidden_size,)} if part != "g" else {}
        shapes |= dict.fromkeys(("rwkv_erased", "rwkv_kept", "rwkv_bonus"), (hidden_size,))
        return shapes | (dict.fromkeys(("rwkv_norm", "rwkv_norm_bias"), (hidden_size,)) if self.normalises else {})

    def states(self) -> dict[str, int]:
        return {"shift_state": self.heads * self.size, "rwkv_state": self.heads * self.size * self.size}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm import relax  # needs TVM
        from tvm.relax import op

        from hearth.model.text.mixers.rwkv_ops import rwkv, token_shift

        emit, parameter = parts.emit, parts.parameter
        batch = (parts.runs, parts.state_to)
        before = emit(token_shift(x, *batch, parts.state("shift_state")))
        away = emit(op.subtract(before, x))
        mixed = {part: emit(op.add(x, emit(op.multiply(away, parameter(f"rwkv_x_{part}"))))) for part in "rwkvag"}

        def low_rank(part: str, activation: Any = None) -> Any:
            inner = parts.linear(mixed[part], f"rwkv_{part}_down")
            inner = inner if activation is None else emit(activation(inner))
            return parts.linear(inner, f"rwkv_{part}_up", None if part == "g" else f"rwkv_{part}_bias")

        r, k, v = (parts.linear(mixed[part], f"rwkv_{part}") for part in "rkv")
        forgotten = emit(op.sigmoid(low_rank("w", op.tanh)))
        decay = emit(op.exp(emit(op.multiply(forgotten, relax.const(_FASTEST, "float32")))))
        rate = emit(op.sigmoid(low_rank("a")))
        if self.first:
            parts.left[_FIRST_VALUES] = v
        else:
            share = emit(op.sigmoid(low_rank("v")))
            away = emit(op.subtract(parts.left[_FIRST_VALUES], v))
            v = emit(op.add(v, emit(op.multiply(away, share))))
        erased = emit(op.multiply(k, parameter("rwkv_erased")))
        less = emit(op.subtract(rate, relax.const(1.0, "float32")))
        change = emit(op.multiply(emit(op.multiply(k, parameter("rwkv_kept"))), less))
        k = emit(op.add(k, change))
        norm = (parameter("rwkv_norm"), parameter("rwkv_norm_bias")) if self.normalises else None
        y = emit(
            rwkv(
                r, decay, k, v, *batch, parts.state("rwkv_state"), erased=erased, rate=rate,
                bonus=parameter("rwkv_bonus"), norm=norm, heads=self.heads, size=self.size, epsilon=self.epsilon,
                kind="replaces",
            )
        )  # fmt: skip
        return parts.linear(emit(op.multiply(y, low_rank("g", op.sigmoid))), "rwkv_out")
