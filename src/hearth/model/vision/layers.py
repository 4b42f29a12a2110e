"""The parts that vision networks are made of. Making one declares its parameters; calling it writes its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hearth.model.network import Role
from hearth.model.vision.parameters import Scope, Stored

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

F32 = NDArray[np.float32]


class Linear:
    """x W^T + b.

    Args:
        scale: a stored vector that the outputs are multiplied by (layer scale), folded into weight and bias.
        factor: a number that does the same.
    """

    def __init__(
        self, scope: Scope, k: int, n: int, *, bias: bool = True, scale: Stored | None = None, factor: float = 1.0,
        role: Role = "body",
    ) -> None:  # fmt: skip
        if scale is None and factor == 1.0:
            self.weight = scope.tensor("weight", n, k, role=role)
            self.bias = scope.tensor("bias", n) if bias else None
            return
        more = () if scale is None else (scale,)
        self.weight = scope.computed(
            "weight", (n, k), (scope.stored("weight", n, k), *more), _rows_times(factor), role=role
        )
        self.bias = (
            scope.computed("bias", (n,), (scope.stored("bias", n), *more), _rows_times(factor)) if bias else None
        )

    def __call__(self, g: Graph, x: Any) -> Any:
        return g.linear(x, self.weight, self.bias)


def _rows_times(factor: float) -> Any:
    def compute(values: F32, scale: F32 | None = None) -> F32:
        rows = values * np.float32(factor)
        return rows if scale is None else rows * scale.reshape(-1, *(1,) * (values.ndim - 1))

    return compute


class LayerNorm:
    def __init__(self, scope: Scope, size: int, eps: float) -> None:
        self.weight, self.bias, self.eps = scope.tensor("weight", size), scope.tensor("bias", size), eps

    def __call__(self, g: Graph, x: Any) -> Any:
        return g.layer_norm(x, self.weight, self.bias, self.eps)


class RmsNorm:
    def __init__(self, scope: Scope, size: int, eps: float) -> None:
        self.weight, self.eps = scope.tensor("weight", size), eps

    def __call__(self, g: Graph, x: Any) -> Any:
        return g.rms_norm(x, self.weight, self.eps)


class Conv:
    """A convolution over (b, h, w, c), zero padding, with the batch norm behind it folded in.

    One whose kernels lie side by side (of single pixels, of patches) is the product that it is.

    Args:
        norm: where that batch norm's tensors are; None: there is none.
        padding: top, left, bottom, right; None: half the kernel on each side.
    """

    def __init__(
        self,
        scope: Scope,
        c_in: int,
        c_out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: tuple[int, int, int, int] | None = None,
        groups: int = 1,
        bias: bool = True,
        norm: Scope | None = None,
        eps: float = 1e-5,
    ) -> None:
        kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        self.strides = stride if isinstance(stride, tuple) else (stride, stride)
        self.padding = (kh // 2, kw // 2, kh // 2, kw // 2) if padding is None else padding
        self.groups = groups
        self.is_product = (kh, kw) == self.strides and groups == 1 and not any(self.padding)
        shape = (c_out, kh * kw * c_in) if self.is_product else (c_out, kh, kw, c_in // groups)
        stored = scope.stored("weight", c_out, c_in // groups, kh, kw)
        own_bias = (scope.stored("bias", c_out),) if bias else ()
        statistics: tuple[Stored, ...] = ()
        if norm is not None:
            statistics = tuple(norm.stored(leaf, c_out) for leaf in ("weight", "bias", "running_mean", "running_var"))

        def weight(values: F32, *bn: F32) -> F32:
            scaled = values if norm is None else values * batch_norm(eps, *bn)[0].reshape(-1, 1, 1, 1)
            return np.ascontiguousarray(scaled.transpose(0, 2, 3, 1)).reshape(shape)

        self.weight = scope.computed("weight", shape, (stored, *statistics), weight, role="body")
        self.bias: str | None = None
        if norm is not None:

            def folded(*tensors: F32) -> F32:
                scale, offset = batch_norm(eps, *tensors[:4])
                return offset + tensors[4] * scale if bias else offset

            self.bias = scope.computed("bias", (c_out,), (*statistics, *own_bias), folded)
        elif bias:
            self.bias = scope.tensor("bias", c_out)

    def __call__(self, g: Graph, x: Any) -> Any:
        if self.is_product:
            return g.linear(g.patches(x, *self.strides), self.weight, self.bias)
        return g.conv2d(
            x, self.weight, self.bias, strides=self.strides, padding=self.padding, groups=self.groups
        )  # fmt: skip


def batch_norm(eps: float, weight: F32, bias: F32, mean: F32, variance: F32) -> tuple[F32, F32]:
    """A batch norm as x * scale + offset."""
    scale = (weight.astype(np.float64) / np.sqrt(variance.astype(np.float64) + eps)).astype(np.float32)
    return scale, bias - mean * scale


class ConvTranspose:
    """A transposed convolution whose kernel is as large as its stride: each pixel becomes a block of pixels."""

    def __init__(self, scope: Scope, c_in: int, c_out: int, size: int) -> None:
        self.size = size
        self.weight = scope.computed(
            "weight", (c_out, size, size, c_in), (scope.stored("weight", c_in, c_out, size, size),),
            lambda w: np.ascontiguousarray(w.transpose(1, 2, 3, 0)), role="body",
        )  # fmt: skip
        self.bias = scope.tensor("bias", c_out)

    def __call__(self, g: Graph, x: Any) -> Any:
        return g.conv2d_transpose(x, self.weight, self.bias, strides=(self.size, self.size))


class Mlp:
    """Linear, activation, linear; or with a gate: down(activation(gate) * up)."""

    def __init__(
        self, scope: Scope, size: int, inner: int, activation: str, *, gated: bool = False, bias: bool = True,
        scale: Stored | None = None,
    ) -> None:  # fmt: skip
        self.gate = Linear(scope / "gate", size, inner, bias=bias) if gated else None
        self.up = Linear(scope / "up", size, inner, bias=bias)
        self.down = Linear(scope / "down", inner, size, bias=bias, scale=scale)
        self.activation = activation

    def __call__(self, g: Graph, x: Any) -> Any:
        up = self.up(g, x)
        if self.gate is None:
            return self.down(g, g.activation(up, self.activation))
        return self.down(g, g.multiply(g.activation(self.gate(g, x), self.activation), up))


class Attention:
    """Attention of tokens to tokens.

    Args:
        biases: which of q, k, v and o have one.
        scale: layer scale of the output.
        kv_size: of the tokens attended to, where it is another.
    """

    def __init__(
        self, scope: Scope, size: int, heads: int, *, biases: str = "qkvo", scale: Stored | None = None,
        kv_size: int | None = None,
    ) -> None:  # fmt: skip
        self.heads, self.scale = heads, (size // heads) ** -0.5
        self.q = Linear(scope / "q", size, size, bias="q" in biases)
        self.k = Linear(scope / "k", kv_size or size, size, bias="k" in biases)
        self.v = Linear(scope / "v", kv_size or size, size, bias="v" in biases)
        self.o = Linear(scope / "o", size, size, bias="o" in biases, scale=scale)

    def __call__(
        self, g: Graph, x: Any, *, keys: Any | None = None, values: Any | None = None, bias: str | None = None
    ) -> Any:
        """x attends to `keys` (itself), of which it takes `values` (the keys)."""
        keys = x if keys is None else keys
        values = keys if values is None else values
        q, k, v = self.q(g, x), self.k(g, keys), self.v(g, values)
        return self.o(g, self.mix(g, q, k, v, bias))

    def mix(self, g: Graph, q: Any, k: Any, v: Any, bias: str | None = None) -> Any:
        return g.attention(q, k, v, bias, num_heads=self.heads, scale=self.scale)
