"""One function of a network while its parts write it: Relax operations over parameters by name. Needs TVM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tvm import relax, tirx
from tvm.relax import op

from hearth.model import ops
from hearth.model.vision.part import Part


class Graph:
    """Writes one function. Maps are (b, h, w, c), tokens (b, n, c); b is a symbol, all other sizes are numbers.

    Args:
        bb: the builder, inside of a dataflow block.
        parameters: variables by name.
        inputs: likewise, of this function.
        batch: how many pictures (or texts) there are.
    """

    def __init__(self, bb: Any, parameters: Mapping[str, Any], inputs: Mapping[str, Any], batch: Any) -> None:
        self.bb = bb
        self.parameters = parameters
        self.inputs = inputs
        self.batch = batch

    def emit(self, value: Any) -> Any:
        return self.bb.emit(value)

    def parameter(self, name: str) -> Any:
        return self.parameters[name]

    def _optional(self, name: str | None) -> Any:
        return None if name is None else self.parameters[name]

    def shape(self, x: Any) -> list[Any]:
        """Sizes of all axes; all but the batch are plain numbers."""
        return [int(dim) if isinstance(dim, tirx.IntImm) else dim for dim in x.ty.shape]

    # Products

    def linear(self, x: Any, weight: str, bias: str | None) -> Any:
        return self.emit(ops.linear(x, self.parameters[weight], self._optional(bias)))

    def conv2d(self, x: Any, weight: str, bias: str | None, **how: Any) -> Any:
        return self.emit(ops.conv2d(x, self.parameters[weight], self._optional(bias), **how))

    def conv2d_transpose(self, x: Any, weight: str, bias: str | None, **how: Any) -> Any:
        return self.emit(ops.conv2d_transpose(x, self.parameters[weight], self._optional(bias), **how))

    def matmul(self, a: Any, b: Any) -> Any:
        """a (..., n, k), b (..., k, m): (..., n, m)."""
        return self.emit(op.matmul(a, b))

    def attention(self, q: Any, k: Any, v: Any, bias: str | None = None, *, num_heads: int, scale: float) -> Any:
        return self.emit(ops.attention(q, k, v, self._optional(bias), num_heads=num_heads, scale=scale))

    def window_attention(self, q: Any, k: Any, v: Any, bias: str | None, **how: Any) -> Any:
        return self.emit(ops.window_attention(q, k, v, self._optional(bias), **how))

    def ragged_attention(self, q: Any, k: Any, v: Any, starts: Any, tiles: Any, **how: Any) -> Any:
        return self.emit(ops.ragged_attention(q, k, v, starts, tiles, **how))

    def rope_table(self, positions: Any, frequencies: str, streams: Sequence[int]) -> tuple[Any, Any]:
        """cos and sin of positions (n, s) times the frequencies, by the column that each turns by: (n, r) each."""
        table = self.emit(ops.rope_table(positions, self.parameters[frequencies], streams=streams))
        return self.emit(relax.TupleGetItem(table, 0)), self.emit(relax.TupleGetItem(table, 1))

    def rotary(self, x: Any, cos: Any, sin: Any, *, num_heads: int) -> Any:
        return self.emit(ops.rotary(x, cos, sin, num_heads=num_heads))

    # Element by element

    def add(self, a: Any, b: Any) -> Any:
        return self.emit(op.add(a, b))

    def subtract(self, a: Any, b: Any) -> Any:
        return self.emit(op.subtract(a, b))

    def multiply(self, a: Any, b: Any) -> Any:
        return self.emit(op.multiply(a, b))

    def divide(self, a: Any, b: Any) -> Any:
        return self.emit(op.divide(a, b))

    def number(self, value: float) -> Any:
        return relax.const(value, "float32")

    def scaled(self, x: Any, factor: float) -> Any:
        return x if factor == 1.0 else self.multiply(x, self.number(factor))

    def activation(self, x: Any, name: str) -> Any:
        """`gelu gelu_tanh quick_gelu relu silu sigmoid tanh exp sqrt hard_swish log` of every value, or `none`."""
        if name == "none":
            return x
        if name == "quick_gelu":
            return self.multiply(x, self.activation(self.scaled(x, 1.702), "sigmoid"))
        if name == "relu6":
            return self.emit(op.clip(x, 0.0, 6.0))
        unary = {
            **ops.ACTIVATIONS, "sigmoid": op.sigmoid, "tanh": op.tanh, "exp": op.exp, "sqrt": op.sqrt,
            "log": op.log,
        }[name]  # fmt: skip
        return self.emit(unary(x))

    def clip(self, x: Any, low: float, high: float) -> Any:
        return self.emit(op.clip(x, low, high))

    def softmax(self, x: Any) -> Any:
        """Over the last axis."""
        return self.emit(op.nn.softmax(x, axis=-1))

    # Norms and means

    def layer_norm(self, x: Any, weight: str, bias: str, eps: float) -> Any:
        return self.emit(ops.layer_norm(x, self.parameters[weight], self.parameters[bias], eps))

    def group_norm(self, x: Any, weight: str, bias: str, groups: int, eps: float) -> Any:
        """Of each map (h, w, c), in groups of channels."""
        gamma, beta = self.parameters[weight], self.parameters[bias]
        return self.emit(op.nn.group_norm(x, gamma, beta, groups, channel_axis=3, axes=[1, 2], epsilon=eps))

    def rms_norm(self, x: Any, weight: str, eps: float) -> Any:
        return self.emit(op.nn.rms_norm(x, self.parameters[weight], axes=-1, epsilon=eps))

    def mean(self, x: Any, axes: Sequence[int], *, keep: bool = False) -> Any:
        return self.emit(op.mean(x, axis=list(axes), keepdims=keep))

    def sum(self, x: Any, axes: Sequence[int], *, keep: bool = False) -> Any:
        return self.emit(op.sum(x, axis=list(axes), keepdims=keep))

    def normalized(self, x: Any) -> Any:
        """Each row divided by its length."""
        return self.divide(x, self.activation(self.sum(self.multiply(x, x), [-1], keep=True), "sqrt"))

    def max(self, x: Any, axis: int) -> Any:
        return self.emit(op.max(x, axis=axis))

    def top_k(self, x: Any, k: int) -> Any:
        """Which k values of each row (b, n) are largest, the largest first: i64 (b, k)."""
        return self.emit(op.topk(x, k=k, axis=-1, ret_type="indices", dtype="int64"))

    def rows(self, x: Any, indices: Any) -> Any:
        """Of the tokens (b, n, c) of each picture those of these numbers (b, k): (b, k, c)."""
        count = self.shape(indices)[1]
        return self.emit(op.gather_nd(x, self.reshape(indices, self.batch, count, 1), batch_dims=1))

    def grid_sample(self, x: Any, grid: Any) -> Any:
        """Places of maps (b, h, w, c), bilinear, 0 outside; grid (b, 2, n, m): x and y, -1 to 1 across the map."""
        return self.emit(op.image.grid_sample(x, grid, method="bilinear", layout="NHWC", padding_mode="zeros"))

    # Places

    def reshape(self, x: Any, *shape: Any) -> Any:
        return self.emit(op.reshape(x, shape))

    def permute(self, x: Any, *axes: int) -> Any:
        return self.emit(op.permute_dims(x, list(axes)))

    def concat(self, parts: Sequence[Any], axis: int) -> Any:
        return parts[0] if len(parts) == 1 else self.emit(op.concat(list(parts), axis))

    def slice(self, x: Any, axis: int, begin: int, end: int, stride: int = 1) -> Any:
        """Elements [begin, end) of an axis; x itself where that is all of them."""
        if begin == 0 and stride == 1 and end == self.shape(x)[axis]:
            return x
        return self.emit(op.strided_slice(x, [axis], [begin], [end], [stride]))

    def row(self, x: Any, index: int) -> Any:
        """Token `index` of (b, n, c): (b, c)."""
        return self.reshape(self.slice(x, 1, index, index + 1), self.batch, self.shape(x)[-1])

    def take(self, x: Any, indices: Any, axis: int) -> Any:
        return self.emit(op.take(x, indices, axis=axis))

    def broadcast(self, x: Any, *shape: Any) -> Any:
        return self.emit(op.broadcast_to(x, shape))

    def repeated(self, name: str) -> Any:
        """A parameter (1, ...) for each picture: (b, ...)."""
        x = self.parameters[name]
        return self.broadcast(x, self.batch, *self.shape(x)[1:])

    def pad(self, x: Any, top: int, left: int, bottom: int, right: int) -> Any:
        """A map with zeros around it."""
        if not (top or left or bottom or right):
            return x
        return self.emit(op.nn.pad(x, [0, 0, top, bottom, left, right, 0, 0]))

    def tokens(self, x: Any) -> Any:
        """A map (b, h, w, c) as tokens (b, h w, c)."""
        _, height, width, channels = self.shape(x)
        return self.reshape(x, self.batch, height * width, channels)

    def map(self, x: Any, height: int, width: int) -> Any:
        """Tokens (b, h w, c) as a map (b, h, w, c)."""
        return self.reshape(x, self.batch, height, width, self.shape(x)[-1])

    # Maps

    def pixels(self, picture: Any, size: Any, resized: Any, offset: Any, **how: Any) -> Any:
        return self.emit(ops.pixels(picture, size, resized, offset, **how))

    def patches(self, x: Any, height: int, width: int) -> Any:
        """A map (b, h, w, c) as one of its whole patches: (b, h / height, w / width, height * width * c)."""
        if (height, width) == (1, 1):
            return x
        rows, columns, channels = self.shape(x)[1] // height, self.shape(x)[2] // width, self.shape(x)[3]
        x = self.slice(self.slice(x, 1, 0, rows * height), 2, 0, columns * width)
        x = self.reshape(x, self.batch, rows, height, columns, width, channels)
        x = self.permute(x, 0, 1, 3, 2, 4, 5)
        return self.reshape(x, self.batch, rows, columns, height * width * channels)

    def resize(self, x: Any, height: int, width: int, *, align_corners: bool = False, method: str = "linear") -> Any:
        """As torch's `interpolate`: bilinear or nearest, to a size."""
        if self.shape(x)[1:3] == [height, width]:
            return x
        if method == "nearest_neighbor":
            transformation, rounding = "asymmetric", "floor"
        else:
            transformation, rounding = ("align_corners" if align_corners else "half_pixel"), ""
        return self.emit(
            op.image.resize2d(
                x, (height, width), layout="NHWC", method=method, coordinate_transformation_mode=transformation,
                rounding_method=rounding,
            )
        )  # fmt: skip

    def max_pool(self, x: Any, size: int, stride: int, padding: int) -> Any:
        return self.emit(
            op.nn.max_pool2d(x, (size, size), (stride, stride), (padding,) * 4, layout="NHWC", out_layout="NHWC")
        )

    def avg_pool(self, x: Any, size: int, stride: int, *, ceil: bool = False) -> Any:
        return self.emit(
            op.nn.avg_pool2d(
                x, (size, size), (stride, stride), (0,) * 4, ceil_mode=ceil, layout="NHWC", out_layout="NHWC"
            )
        )


def write_module(parts: Sequence[Part]) -> Any:
    """The IRModule of a network's functions."""
    bb = relax.BlockBuilder()
    for part in parts:
        symbols = {name: tirx.Var(name, "int64") for name in part.symbols}
        batch = symbols[part.symbol]
        shapes: dict[str, tuple[Any, ...]] = {name: (batch, *shape) for name, shape in part.input_shapes.items()}
        for name, shape in part.fixed_shapes.items():
            shapes[name] = tuple(symbols[dim] if isinstance(dim, str) else dim for dim in shape)
        inputs = {
            given.name: relax.Var(given.name, relax.TensorType(shapes[given.name], given.dtype))
            for given in part.function.inputs
        }
        parameters = {
            name: relax.Var(name, ops.f32_tensor(*declared.shape))
            for name, declared in part.declarations.parameters.items()
        }
        everything = [*inputs.values(), *parameters.values()]
        with bb.function(part.function.name, everything, attrs={"num_input": len(inputs)}):
            with bb.dataflow():
                outputs = part.write(Graph(bb, parameters, inputs, batch))
                out = bb.emit_output(relax.Tuple(list(outputs)))
            bb.emit_func_output(out)
    return bb.get()
