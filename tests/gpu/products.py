"""Products as numpy computes them in float64, and the buffers that kernels of products take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.quant.helpers import random_blocks

from hearth.compiler.gpu.kernels.product_output import ProductSpec
from hearth.quant import Format, pack, round_up, unpack_layout

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

ACTIVATIONS = {
    "silu": lambda x: x * 0.5 * (1 + np.tanh(x / 2)),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
}


@dataclass
class Packed:
    """A weight with every integer of its format: its bytes and what they are worth."""

    fmt: Format
    n: int
    k: int
    seed: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        if self.fmt.is_float:
            values: Any = rng.normal(size=(self.n, self.k)).astype(np.float32)
        else:
            values = random_blocks(self.fmt.name, self.n, self.k, self.seed)
        self.bytes = pack(values, self.fmt)
        self.values = unpack_layout(self.bytes, self.n, self.k, self.fmt).astype(np.float64)

    @property
    def blocks(self) -> int:
        """Column blocks in a row."""
        return round_up(self.k, self.fmt.column_multiple) // self.fmt.block_columns


def padded(x: NDArray[Any], rows: int | None = None, fill: float = np.nan) -> F32:
    """Rows with a stride of whole vectors; what stands in the padding spoils every sum that it gets into."""
    out = np.full((rows or len(x), round_up(x.shape[1], 16)), fill, np.float32)
    out[: len(x), : x.shape[1]] = x
    return out


def normed(x: F64, gain: F64, epsilon: float) -> F64:
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + epsilon) * gain


def expected(spec: ProductSpec, x: F64, w: F64, bias: F64 | None = None, residual: F64 | None = None) -> F64:
    """What a product gives, before `logits` are searched."""
    y = x @ w.T
    if bias is not None:
        y = y + bias
    if spec.epilogue == "gated":
        pairs = y.reshape(len(y), -1, 2, 16)  # gate and up in turn
        act = ACTIVATIONS[spec.activation]
        return np.asarray((act(pairs[:, :, 0]) * pairs[:, :, 1]).reshape(len(y), -1))
    y = y * spec.scale
    if spec.softcap:
        y = spec.softcap * np.tanh(y / spec.softcap)
    if spec.activation:
        y = ACTIVATIONS[spec.activation](y)
    y = y if residual is None else residual + y
    return np.asarray(ACTIVATIONS[spec.after](y) if spec.after else y)


def assert_close(found: NDArray[Any], wanted: NDArray[Any], tolerance: float) -> None:
    """Within `tolerance`, relative to the largest of each row."""
    scale = np.abs(wanted).max(axis=1, keepdims=True)
    error = np.abs(found - wanted) / scale
    assert np.all(np.isfinite(found)), "numbers that are none"
    assert error.max() <= tolerance, f"{error.max():.2e} of the row's largest at {np.argwhere(error == error.max())[0]}"
