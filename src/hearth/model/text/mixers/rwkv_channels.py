"""What RWKV has in place of an MLP: squared ReLUs of a token and a share of the one before.

Parameters of a layer:

    layers.N.mix_x_k  .mix_x_r      [hidden] x 2                                    share of the token before; (gated)
    layers.N.mix_k                  [intermediate, hidden]
    layers.N.mix_v                  [hidden, intermediate]
    layers.N.mix_r                  [hidden, hidden]                                gate of the output (gated)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hearth.model.text.mixers import Parts, Shape


@dataclass(frozen=True)
class RwkvChannels:
    """Sizes of a layer.

    Attributes:
        hidden_size, intermediate_size: of what it reads, and between its products.
        gated: sigmoids of another mixture multiply what it gives (RWKV-6).
    """

    hidden_size: int
    intermediate_size: int
    gated: bool = False
    reads_others: ClassVar[bool] = False

    def parameters(self, hidden_size: int) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {
            "mix_x_k": (hidden_size,),
            "mix_k": (self.intermediate_size, hidden_size),
            "mix_v": (hidden_size, self.intermediate_size),
        }
        return shapes | ({"mix_x_r": (hidden_size,), "mix_r": (hidden_size, hidden_size)} if self.gated else {})

    def states(self) -> dict[str, int]:
        return {"mix_state": self.hidden_size}

    def build(self, parts: Parts, x: Any) -> Any:
        from tvm.relax import op  # needs TVM

        from hearth.model.text.mixers.rwkv_ops import token_shift

        emit = parts.emit
        before = emit(token_shift(x, parts.runs, parts.state_to, parts.state("mix_state")))
        away = emit(op.subtract(before, x))

        def mixed(part: str) -> Any:
            share = emit(op.multiply(away, parts.parameter(f"mix_x_{part}")))
            return emit(op.add(x, share))

        h = emit(op.nn.relu(parts.linear(mixed("k"), "mix_k")))
        y = parts.linear(emit(op.multiply(h, h)), "mix_v")
        if not self.gated:
            return y
        return emit(op.multiply(y, emit(op.sigmoid(parts.linear(mixed("r"), "mix_r")))))
