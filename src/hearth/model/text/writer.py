"""What every part of a decoder is written with: its configuration, its parameters, and small steps that parts share."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax
from tvm.relax import op

from hearth.model.ops import f32_tensor, layer_norm, linear
from hearth.model.text.config import DecoderConfig
from hearth.model.text.parameters import is_predictors, parameter_shapes


class Writer:
    """A graph that is being written.

    Attributes:
        c: the decoder's configuration.
        n: the number of tokens, a symbol.
        params: variables of the parameters, by name.
    """

    def __init__(self, config: DecoderConfig, tokens: Any) -> None:
        self.c, self.n = config, tokens
        self.bb = relax.BlockBuilder()
        shapes = {name: shape for name, shape in parameter_shapes(config).items() if self.uses(name)}
        self.params = {name: relax.Var(name, f32_tensor(*shape)) for name, shape in shapes.items()}

    def uses(self, name: str) -> bool:
        """Whether the function has this parameter or state of the decoder."""
        return not is_predictors(name, self.c)

    def emit(self, value: Any) -> Any:
        return self.bb.emit(value)

    def scaled(self, x: Any, factor: float) -> Any:
        return x if factor == 1.0 else self.emit(op.multiply(x, relax.const(factor, "float32")))

    def offset(self, x: Any, offset: float) -> Any:
        return x if offset == 0.0 else self.emit(op.add(x, relax.const(offset, "float32")))

    def cut(self, x: Any, most: float | None, *, below: bool = True) -> Any:
        """x cut to at most so much, and with `below` to no less than the negative of that."""
        if most is None:
            return x
        x = self.emit(op.maximum(x, relax.const(-most, "float32"))) if below else x
        return self.emit(op.minimum(x, relax.const(most, "float32")))

    def linear(self, x: Any, weight: str, bias: str | None) -> Any:
        return self.emit(linear(x, self.params[weight], None if bias is None else self.params[bias]))

    def norm(self, x: Any, name: str) -> Any:
        # Gemma's weight + 1 is in the parameter (`network.py`, DecoderConfig.norm_offset).
        c, weight, bias = self.c, self.params.get(name), self.params.get(f"{name}_bias")
        if c.norm == "rms":
            weight = relax.const(np.ones(c.hidden_size, np.float32)) if weight is None else weight
            return self.emit(op.nn.rms_norm(x, weight, axes=-1, epsilon=c.norm_eps))
        return self.emit(layer_norm(x, weight, bias, c.norm_eps))
