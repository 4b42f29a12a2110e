"""RWKV-6: linear attention whose state forgets by channel, as each token says (arXiv:2404.05892); and what models of
Qwen 2.5 have of it whose attention was replaced (QRWKV).

Parameters of a layer:

    layers.N.rwkv_x                                 [hidden]                 share of the token before in the shares
    layers.N.rwkv_x_w  _k  _v  _r  _g               [hidden] x 5             of these, to which the token adds
    layers.N.rwkv_x_down                            [5*rank, hidden]         what it adds; w, k, v, r, g
    layers.N.rwkv_xw_up  xk_up  xv_up  xr_up  xg_up [hidden, rank] x 5
    layers.N.rwkv_r  .rwkv_k  .rwkv_v  .rwkv_g      [hidden, hidden] x 4     (k, v: [kv_heads*size, hidden])
    layers.N.rwkv_r_bias  .rwkv_k_bias  .rwkv_v_bias                         (bias)
    layers.N.rwkv_w_down  .rwkv_w_up  .rwkv_w_bias  [rank, hidden], [hidden, rank], [hidden]   what is forgotten
    layers.N.rwkv_bonus                             [hidden]                 of a token's own value (not gated)
    layers.N.rwkv_norm  .rwkv_norm_bias             [hidden] x 2             of the LayerNorm of each head (not gated)
    layers.N.rwkv_out                               [hidden, hidden]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hearth.model.text.mixers import Parts, Shape

_ORDER = "wkvrg"


@dataclass(frozen=True)
class Rwkv6:
    """Sizes of a layer.

    Attributes:
        heads, size: as many numbers as the hidden state has, in heads.
        shift_rank, decay_rank: what shares of the token before, and what is forgotten, are made of in between.
        epsilon: of the LayerNorm of each head's output.
        kv_heads: of keys and values, each shared by several heads; None: as many as heads.
        gated: as QRWKV has it: a key adds as much as is forgotten, the token's own is asked as all others are, there is
            no norm, and the gate is a sigmoid.
        bias: of the products.
    """

    heads: int
    size: int
    shift_rank: int
    decay_rank: int
    epsilon: float
    kv_heads: int | None = None
    gated: bool = False
    bias: bool = False
    reads_others: ClassVar[bool] = False

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        keys = (self.kv_heads or self.heads) * self.size
        shapes: dict[str, Shape] = dict.fromkeys(("rwkv_x", *(f"rwkv_x_{part}" for part in _ORDER)), (hidden_size,))
        shapes["rwkv_x_down"] = (len(_ORDER) * self.shift_rank, hidden_size)
        shapes |= dict.fromkeys((f"rwkv_x{part}_up" for part in _ORDER), (hidden_size, self.shift_rank))
        shapes |= dict.fromkeys(("rwkv_r", "rwkv_g", "rwkv_out"), (hidden_size, hidden_size))
        shapes |= {"rwkv_k": (keys, hidden_size), "rwkv_v": (keys, hidden_size)}
        shapes |= {"rwkv_w_down": (self.decay_rank, hidden_size), "rwkv_w_up": (hidden_size, self.decay_rank)}
        shapes["rwkv_w_bias"] = (hidden_size,)
        if self.bias:
            shapes |= {"rwkv_r_bias": (hidden_size,), "rwkv_k_bias": (keys,), "rwkv_v_bias": (keys,)}
        if self.gated:
            return shapes
        return shapes | dict.fromkeys(("rwkv_bonus", "rwkv_norm", "rwkv_norm_bias"), (hidden_size,))

    def states(self) -> dict[str, int]:
        return {"shift_state": self.heads * self.size, "rwkv_state": self.heads * self.size * self.size}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm import relax  # needs TVM
        from tvm.relax import op

        from hearth.model.text.mixers.rwkv_ops import rwkv, token_shift

        emit, parameter = parts.emit, parts.parameter
        batch = (parts.runs, parts.state_to)
        away = emit(op.subtract(emit(token_shift(x, *batch, parts.state("shift_state"))), x))
        first = emit(op.add(x, emit(op.multiply(away, parameter("rwkv_x")))))
        inner = emit(op.tanh(parts.linear(first, "rwkv_x_down")))
        split = emit(op.split(inner, [self.shift_rank * i for i in range(1, len(_ORDER))], axis=1))

        def mixed(part: str) -> Any:
            more = parts.linear(emit(relax.TupleGetItem(split, _ORDER.index(part))), f"rwkv_x{part}_up")
            share = emit(op.add(more, parameter(f"rwkv_x_{part}")))
            return emit(op.add(x, emit(op.multiply(away, share))))

        r, k, v = (
            parts.linear(mixed(part), f"rwkv_{part}", f"rwkv_{part}_bias" if self.bias else None) for part in "rkv"
        )
        gate = parts.linear(mixed("g"), "rwkv_g")
        gate = emit(op.sigmoid(gate) if self.gated else op.nn.silu(gate))
        low = emit(op.tanh(parts.linear(mixed("w"), "rwkv_w_down")))
        rates = emit(op.exp(parts.linear(low, "rwkv_w_up", "rwkv_w_bias")))
        decay = emit(op.exp(emit(op.negative(rates))))
        own = {} if self.gated else {
            "bonus": parameter("rwkv_bonus"), "norm": (parameter("rwkv_norm"), parameter("rwkv_norm_bias")),
        }  # fmt: skip
        y = emit(
            rwkv(
                r, decay, k, v, *batch, parts.state("rwkv_state"), **own, heads=self.heads, size=self.size,
                kv_heads=self.kv_heads, epsilon=self.epsilon, kind="gated" if self.gated else "adds",
            )
        )  # fmt: skip
        return parts.linear(emit(op.multiply(y, gate)), "rwkv_out")
