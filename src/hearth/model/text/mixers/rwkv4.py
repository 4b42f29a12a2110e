"""RWKV-4: each channel is a mean of the values so far, weighed by their keys and by how long ago they were
(arXiv:2305.13048).

Parameters of a layer:

    layers.N.rwkv_x_k  _v  _r                   [hidden] x 3            share of the token before in what they are of
    layers.N.rwkv_k  .rwkv_v  .rwkv_r           [channels, hidden] x 3
    layers.N.rwkv_decay  .rwkv_bonus            [channels] x 2          negative; added to a token's own key
    layers.N.rwkv_out                           [hidden, channels]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hearth.model.text.mixers import Parts, Shape


@dataclass(frozen=True)
class Rwkv4:
    """Sizes of a layer.

    Attributes:
        hidden_size: of what it reads; `channels`: of what is mixed.
    """

    hidden_size: int
    channels: int
    reads_others: ClassVar[bool] = False

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        shapes: dict[str, Shape] = dict.fromkeys((f"rwkv_x_{part}" for part in "kvr"), (hidden_size,))
        shapes |= dict.fromkeys((f"rwkv_{part}" for part in "kvr"), (self.channels, hidden_size))
        shapes |= {"rwkv_decay": (self.channels,), "rwkv_bonus": (self.channels,)}
        return shapes | {"rwkv_out": (hidden_size, self.channels)}

    def states(self) -> dict[str, int]:
        return {"shift_state": self.hidden_size, "rwkv_state": 3 * self.channels}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm.relax import op  # needs TVM

        from hearth.model.text.mixers.rwkv_ops import rwkv_mean, token_shift

        emit, parameter, batch = parts.emit, parts.parameter, (parts.runs, parts.state_to)
        away = emit(op.subtract(emit(token_shift(x, *batch, parts.state("shift_state"))), x))
        k, v, r = (
            parts.linear(
                emit(op.add(x, emit(op.multiply(away, parameter(f"rwkv_x_{part}"))))), f"rwkv_{part}"
            )
            for part in "kvr"
        )  # fmt: skip
        mean = rwkv_mean(k, v, parameter("rwkv_decay"), parameter("rwkv_bonus"), *batch, parts.state("rwkv_state"))
        return parts.linear(emit(op.multiply(emit(op.sigmoid(r)), emit(mean))), "rwkv_out")
