"""Elementary functions in float64, to compare kernels with."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def gelu(x: F64) -> F64:
    return 0.5 * x * np.vectorize(math.erfc, otypes=[float])(-x / math.sqrt(2))


def sigmoid(x: F64) -> F64:
    return np.exp(-np.logaddexp(0, -x))


ACTIVATIONS: dict[str, Callable[[F64], F64]] = {
    "silu": lambda x: x * sigmoid(x),
    "gelu": gelu,
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x * sigmoid(float(np.float32(1.702)) * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
}


def rotated(x: F64, vectors: int) -> F64:
    """Rows whose columns are in vectors of 16, each group of so many of which is rotated lane by lane: number i of the
    result is the sum of numbers j, less where the bits that i and j share are odd in number (Sylvester's matrix)."""
    signs = np.array([[(-1) ** (i & j).bit_count() for j in range(vectors)] for i in range(vectors)])
    if vectors == 1:
        return x
    return np.einsum("ij,rgjl->rgil", signs, x.reshape(len(x), -1, vectors, 16)).reshape(x.shape)


def attention(
    q: F64, k: F64, v: F64, scale: float, bias: F64 | float = 0.0, seen: NDArray[np.bool_] | None = None
) -> F64:
    """softmax(scale q k^T + bias) v over the keys that are `seen`: q (..., h, n, d), k and v (..., h, m, d) or fewer
    heads; zeros for queries that see nothing."""
    group = q.shape[-3] // k.shape[-3]
    k, v = (np.repeat(x.astype(np.float64), group, axis=-3) for x in (k, v))
    scores = q.astype(np.float64) @ np.swapaxes(k, -1, -2) * scale + bias
    if seen is not None:
        scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-1e300))
    return weights @ v / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)
