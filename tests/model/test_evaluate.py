"""The evaluator of logical graphs against implementations that are not ours: TVM's own kernels, Pillow, plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax, tirx
from tvm.relax import op

from hearth.model import ops
from hearth.model.evaluate import evaluate

Shapes = dict[str, tuple[int, ...]]

x234: Shapes = {"x": (2, 3, 4)}
two: Shapes = {"x": (2, 3, 4), "y": (3, 1)}
picture: Shapes = {"x": (2, 6, 7, 5)}
halves = relax.const(np.array([[1, 0, 2], [2, 2, 0]]), "int64")

ELEMENTWISE = (
    "abs", "cos", "cosh", "sin", "sinh", "exp", "floor", "ceil", "trunc", "negative", "sign", "square", "tan", "tanh",
    "atan", "asinh", "erf", "sigmoid", "nn.relu", "nn.silu", "nn.gelu", "nn.gelu_tanh", "isnan", "isinf", "round",
)  # fmt: skip
BINARY = (
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "equal", "not_equal", "greater", "greater_equal",
    "less", "less_equal", "floor_divide", "floor_mod",
)  # fmt: skip
REDUCTIONS = ["sum", "mean", "max", "min", "prod", "std", "variance"]


def _named(name: str) -> Callable[..., Any]:
    function: Any = op
    for part in name.split("."):
        function = getattr(function, part)
    return function


# Name, shapes of the operands, the expression.
CASES: list[tuple[str, Shapes, Callable[..., Any]]] = [
    *((name.removeprefix("nn."), x234, _named(name)) for name in ELEMENTWISE),
    *((name, two, _named(name)) for name in BINARY),
    *((f"{name}_of_one", x234, partial(_named(name), axis=1)) for name in REDUCTIONS),
    *((f"{name}_of_all", x234, partial(_named(name), keepdims=True)) for name in REDUCTIONS),
    ("sqrt", x234, lambda x: op.sqrt(op.exp(x))),
    ("rsqrt", x234, lambda x: op.rsqrt(op.exp(x))),
    ("log", x234, lambda x: op.log(op.exp(x))),
    ("power", two, lambda x, y: op.power(op.exp(x), y)),
    ("atan2", two, op.atan2),
    ("where", two, lambda x, y: op.where(op.greater(x, y), x, y)),
    ("clip", x234, lambda x: op.clip(x, -0.5, 0.25)),
    ("astype", x234, lambda x: op.astype(x, "int32")),
    ("leakyrelu", x234, lambda x: op.nn.leakyrelu(x, 0.2)),
    ("prelu", {"x": (2, 3, 4), "y": (3,)}, lambda x, y: op.nn.prelu(x, y, 1)),
    ("selu", x234, op.nn.selu),
    ("softplus", x234, lambda x: op.nn.softplus(x, 2.0, 0.5)),
    ("logical", two, lambda x, y: op.logical_and(op.greater(x, y), op.logical_not(op.less(y, op.zeros_like(y))))),
    ("argmax", x234, lambda x: op.argmax(x, 1)),
    ("argmin", x234, lambda x: op.argmin(x, -1, keepdims=True)),
    ("softmax", x234, lambda x: op.nn.softmax(x, 1)),
    ("log_softmax", x234, lambda x: op.nn.log_softmax(x, -1)),
    ("cumsum", x234, lambda x: op.cumsum(x, 1)),
    ("cumsum_exclusive", x234, lambda x: op.cumsum(x, 1, exclusive=True)),
    ("cumprod", x234, lambda x: op.cumprod(x, -1)),
    ("sort", x234, lambda x: op.sort(x, 1, descending=True)),
    ("argsort", x234, lambda x: op.argsort(x, 1, descending=True)),
    ("topk", x234, lambda x: op.topk(x, 2, -1)),
    ("topk_least", x234, lambda x: op.topk(x, 2, 1, largest=False, ret_type="indices")),
    ("matmul", {"x": (2, 3, 4), "y": (4, 5)}, op.matmul),
    ("matmul_batches", {"x": (2, 1, 3, 4), "y": (5, 4, 2)}, op.matmul),
    ("einsum", {"x": (2, 3, 4), "y": (2, 4)}, lambda x, y: op.einsum((x, y), "bnd,bd->bn")),
    ("layer_norm", {"x": (2, 3, 4), "g": (4,), "b": (4,)}, lambda x, g, b: op.nn.layer_norm(x, g, b, [-1], 1e-5)),
    ("layer_norm_of_two", {"x": (2, 3, 4), "g": (3, 4), "b": (3, 4)},
     lambda x, g, b: op.nn.layer_norm(x, g, b, [1, 2])),
    ("group_norm", {"x": (2, 6, 3, 4), "g": (6,), "b": (6,)},
     lambda x, g, b: op.nn.group_norm(x, g, b, 3, 1, [2, 3], 1e-5)),
    ("instance_norm", {"x": (2, 6, 3, 4), "g": (6,), "b": (6,)},
     lambda x, g, b: op.nn.instance_norm(x, g, b, 1, [2, 3], 1e-5)),
    ("rms_norm", {"x": (2, 3, 4), "g": (4,)}, lambda x, g: op.nn.rms_norm(x, g, [-1], 1e-5)),
    ("batch_norm", {"x": (2, 6, 3, 4), "g": (6,), "b": (6,), "m": (6,), "v": (6,)},
     lambda x, g, b, m, v: relax.TupleGetItem(
         op.nn.batch_norm(x, g, b, m, op.square(v), 1, 1e-3, training=False), 0)),
    ("reshape", x234, lambda x: op.reshape(x, (4, -1))),
    ("permute", x234, lambda x: op.permute_dims(x, [2, 0, 1])),
    ("permute_all", x234, op.permute_dims),
    ("expand", x234, lambda x: op.expand_dims(x, [0, 2])),
    ("squeeze", {"x": (2, 1, 4, 1)}, op.squeeze),
    ("broadcast", {"x": (3, 1)}, lambda x: op.broadcast_to(x, (2, 3, 4))),
    ("concat", {"x": (2, 3), "y": (2, 2)}, lambda x, y: op.concat((x, y), 1)),
    ("stack", {"x": (2, 3), "y": (2, 3)}, lambda x, y: op.stack((x, y), 1)),
    ("split", {"x": (2, 7)}, lambda x: op.split(x, [2, 3], 1)),
    ("split_evenly", {"x": (2, 6)}, lambda x: op.split(x, 3, 1)),
    ("strided_slice", x234, lambda x: op.strided_slice(x, [1, 2], [-2, 3], [100, -10], [1, -2])),
    ("take", x234, lambda x: op.take(x, halves, 1)),
    ("take_one", x234, lambda x: op.take(x, relax.const(1, "int64"), 1)),
    ("gather_elements", {"x": (2, 3)}, lambda x: op.gather_elements(x, halves, 1)),
    ("gather_nd", x234, lambda x: op.gather_nd(x, relax.const(np.array([[0, 2], [1, 1]]), "int64"))),
    ("scatter_elements", {"x": (2, 3), "y": (2, 3)}, lambda x, y: op.scatter_elements(x, halves, y, 1, "add")),
    ("scatter_nd", {"x": (4, 3), "y": (2, 3)},
     lambda x, y: op.scatter_nd(x, relax.const(np.array([[3], [0]]), "int64"), y, "update")),
    ("one_hot", {"x": (1,)}, lambda x: op.one_hot(halves, relax.prim_value(1), relax.prim_value(0), 3, -1)),
    ("repeat", x234, lambda x: op.repeat(x, 2, 1)),
    ("tile", x234, lambda x: op.tile(x, (2, 1, 3))),
    ("flip", x234, lambda x: op.flip(x, 2)),
    ("full", x234, lambda x: op.add(x, op.full((3, 4), relax.const(1.5, "float32")))),
    ("arange", x234, lambda x: op.arange(1, 9, 3, "int64")),
    ("tril", {"x": (4, 4)}, lambda x: op.tril(x, -1)),
    ("triu", {"x": (4, 4)}, lambda x: op.triu(x, 1)),
    ("pad", x234, lambda x: op.nn.pad(x, [0, 0, 1, 2, 3, 0], pad_value=0.5)),
    ("pad_reflect", x234, lambda x: op.nn.pad(x, [0, 0, 1, 2, 3, 0], "reflect")),
    ("pad_replicate", x234, lambda x: op.nn.pad(x, [0, 0, 1, 2, 3, 0], "replicate")),
    ("index_tensor", x234, lambda x: op.index_tensor(x, (relax.const([1, 0], "int64"), relax.const([2, 2], "int64")))),
    ("conv1d", {"x": (2, 4, 9), "w": (6, 2, 3)}, lambda x, w: op.nn.conv1d(x, w, 2, 1, 1, 2)),
    ("conv2d", {"x": (2, 4, 6, 7), "w": (8, 2, 3, 2)},
     lambda x, w: op.nn.conv2d(x, w, (2, 1), (1, 0, 2, 1), (1, 2), 2)),
    ("conv2d_last", {"x": (2, 6, 7, 4), "w": (3, 3, 4, 8)},
     lambda x, w: op.nn.conv2d(x, w, data_layout="NHWC", kernel_layout="HWIO")),
    ("conv2d_transpose", {"x": (2, 4, 3, 5), "w": (4, 3, 3, 3)},
     lambda x, w: op.nn.conv2d_transpose(x, w, 2, 1, 1, 1)),
    ("max_pool", picture, lambda x: op.nn.max_pool2d(x, (3, 2), 2, (1, 0, 1, 1), layout="NHWC")),
    ("max_pool_ceil", picture, lambda x: op.nn.max_pool2d(x, 3, 2, 0, 1, True)),
    ("avg_pool", picture, lambda x: op.nn.avg_pool2d(x, 3, 2, 1, count_include_pad=True)),
    ("avg_pool_inside", picture, lambda x: op.nn.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    ("adaptive_pool", picture, lambda x: op.nn.adaptive_avg_pool2d(x, (4, 3))),
    *(
        (f"resize_{method}_{mode}", picture, lambda x, method=method, mode=mode: op.image.resize2d(
            x, relax.ShapeExpr([9, 3]), layout="NCHW", method=method, coordinate_transformation_mode=mode))
        for method in ("nearest_neighbor", "linear", "cubic") for mode in ("half_pixel", "align_corners", "asymmetric")
        if (method, mode) != ("nearest_neighbor", "half_pixel")  # TVM rounds halves to even in f32: not ours to follow
    ),
    *(
        (f"grid_sample_{method}_{padding}_{corners}", {"x": (2, 3, 5, 6), "y": (2, 2, 4, 3)},
         lambda x, y, method=method, padding=padding, corners=corners: op.image.grid_sample(
             x, y, method, "NCHW", padding, corners))
        for method in ("bilinear", "nearest", "bicubic") for padding in ("zeros", "border") for corners in (True, False)
    ),
]  # fmt: skip


def _module() -> Any:
    builder = relax.BlockBuilder()
    for name, shapes, expression in CASES:
        params = [relax.Var(param, relax.TensorType(shape, "float32")) for param, shape in shapes.items()]
        with builder.function(name, params):
            with builder.dataflow():
                result = builder.emit_output(builder.emit(expression(*params)))
            builder.emit_func_output(result)
    return builder.finalize()


@pytest.fixture(scope="module")
def compiled() -> tuple[Any, Any]:
    module = _module()
    return module, relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())


@pytest.mark.parametrize(("name", "shapes"), [(name, shapes) for name, shapes, _ in CASES], ids=[c[0] for c in CASES])
def test_relax_operations_are_what_tvm_computes(compiled: tuple[Any, Any], name: str, shapes: Shapes) -> None:
    module, machine = compiled
    rng = np.random.default_rng(len(name))
    arrays = {param: rng.normal(0, 0.8, shape).astype(np.float32) for param, shape in shapes.items()}
    found = evaluate(module, name, arrays)
    wanted = machine[name](*(tvm.runtime.tensor(array) for array in arrays.values()))
    wanted = [part.numpy() for part in ([wanted] if hasattr(wanted, "numpy") else wanted)]
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def _run(shapes: Shapes, expression: Callable[..., Any], dtypes: dict[str, str] | None = None, **arrays: Any) -> Any:
    """The one result of an expression of ours on these arrays."""
    builder = relax.BlockBuilder()
    params = [
        relax.Var(name, relax.TensorType(shape, (dtypes or {}).get(name, "float32"))) for name, shape in shapes.items()
    ]
    with builder.function("f", params):
        with builder.dataflow():
            result = builder.emit_output(builder.emit(expression(*params)))
        builder.emit_func_output(result)
    found = evaluate(builder.finalize(), "f", arrays)
    return found if len(found) > 1 else found[0]


def _noise(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32)


def _softmax(scores: Any) -> Any:
    e = np.exp(scores - scores.max())
    return e / e.sum()


def _attended(q: Any, k: Any, v: Any, scores: Callable[[int, int, int], float], heads: int, kv_heads: int) -> Any:
    """Attention one query after another; `scores(head, i, j)` is added to the product of query i and key j."""
    q, k, v = q.reshape(len(q), heads, -1), k.reshape(len(k), kv_heads, -1), v.reshape(len(v), kv_heads, -1)
    out = np.zeros(q.shape)
    for head in range(heads):
        of = head * kv_heads // heads
        for i in range(len(q)):
            row = np.array([q[i, head] @ k[j, of] * 0.3 + scores(head, i, j) for j in range(len(k))])
            out[i, head] = _softmax(row) @ v[:, of]
    return out.reshape(len(q), -1)


def test_linear() -> None:
    x, w, b = _noise(2, 3, 4), _noise(5, 4), _noise(5)
    found = _run({"x": x.shape, "w": w.shape, "b": b.shape}, ops.linear, x=x, w=w, b=b)
    np.testing.assert_allclose(found, np.einsum("bnk,ok->bno", x, w) + b, rtol=1e-5)


def test_an_attribute_that_is_not_understood_is_refused() -> None:
    def fused(x: Any, w: Any) -> Any:
        return ops.hearth_op("linear", [x, w], ops.f32_tensor(2, 5), bias=False, epilogue="gated")

    with pytest.raises(NotImplementedError, match="epilogue"):
        _run({"x": (2, 4), "w": (5, 4)}, fused, x=_noise(2, 4), w=_noise(5, 4))


def test_a_result_that_is_not_of_the_declared_shape_is_refused() -> None:
    def wrong(x: Any, w: Any) -> Any:
        return ops.hearth_op("linear", [x, w], ops.f32_tensor(2, 6), bias=False)

    with pytest.raises(ValueError, match=r"hearth.linear has the shape \(2, 5\)"):
        _run({"x": (2, 4), "w": (5, 4)}, wrong, x=_noise(2, 4), w=_noise(5, 4))


def test_symbolic_sizes_follow_from_the_inputs() -> None:
    n = tirx.Var("n", "int64")
    builder = relax.BlockBuilder()
    x = relax.Var("x", ops.f32_tensor(n, 4))
    with builder.function("f", [x]):
        with builder.dataflow():
            y = builder.emit(op.reshape(x, (n * 2, 2)))
            result = builder.emit_output(builder.emit(op.full((n // 2 + 1,), relax.const(2.0, "float32"))))
            out = builder.emit_output(relax.Tuple([y, result]))
        builder.emit_func_output(out)
    for size in (3, 6):
        found = evaluate(builder.get(), "f", {"x": _noise(size, 4)})
        assert [part.shape for part in found] == [(size * 2, 2), (size // 2 + 1,)]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolution_is_tvms(groups: int) -> None:
    x, w, b = _noise(2, 6, 7, 4), _noise(8, 3, 2, 4 // groups), _noise(8)
    about: dict[str, Any] = {"strides": (2, 1), "padding": (1, 0, 2, 1), "dilation": (1, 2), "groups": groups}
    shapes: Shapes = {"x": x.shape, "w": w.shape, "b": b.shape}
    ours = _run(shapes, lambda x, w, b: ops.conv2d(x, w, b, **about), x=x, w=w, b=b)
    theirs = _run(
        shapes,
        lambda x, w, b: op.nn.conv2d(x, w, data_layout="NHWC", kernel_layout="OHWI", **about),
        x=x, w=w, b=b,
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs + b, rtol=1e-5, atol=1e-5)


def test_attention_with_fewer_heads_of_keys_and_bias() -> None:
    q, k, v, bias = _noise(2, 5, 12), _noise(2, 7, 6), _noise(2, 7, 6), _noise(1, 4, 5, 7)
    found = _run(
        {"q": q.shape, "k": k.shape, "v": v.shape, "bias": bias.shape},
        lambda q, k, v, bias: ops.attention(q, k, v, bias, num_heads=4, num_kv_heads=2, scale=0.3),
        q=q, k=k, v=v, bias=bias,
    )  # fmt: skip
    wanted = [_attended(q[b], k[b], v[b], lambda h, i, j: bias[0, h, i, j], 4, 2) for b in range(2)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("window", "causal"), [(0, False), (2, False), (0, True), (1, True)])
def test_attention_within_sequences(window: int, causal: bool) -> None:
    q, k, v, table = _noise(9, 8), _noise(9, 8) * 2, _noise(9, 8) - 1, _noise(2, 5)
    starts, tiles = np.array([0, 4, 4, 9], np.int32), np.zeros((3, 2), np.int32)
    found = _run(
        {"q": q.shape, "k": k.shape, "v": v.shape, "s": (4,), "t": (3, 2), "d": table.shape},
        lambda q, k, v, s, t, d: ops.ragged_attention(
            q, k, v, s, t, d, num_heads=2, scale=0.3, window=window, causal=causal
        ),
        {"s": "int32", "t": "int32"}, q=q, k=k, v=v, s=starts, t=tiles, d=table,
    )  # fmt: skip

    def scores(head: int, i: int, j: int) -> float:
        hidden = (window and abs(j - i) > window) or (causal and j > i)
        return -math.inf if hidden else float(table[head, min(max(j - i, -2), 2) + 2])

    wanted = [_attended(q[a:b], k[a:b], v[a:b], scores, 2, 2) for a, b in ((0, 4), (4, 9))]
    np.testing.assert_allclose(found, np.concatenate(wanted), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shift", [(0, 0), (1, 2), (0, 1)])
def test_attention_within_shifted_windows(shift: tuple[int, int]) -> None:
    (h, w), window = (4, 9), (2, 3)
    q, k, v, bias = _noise(1, h, w, 8), _noise(1, h, w, 8) + 1, _noise(1, h, w, 8) * 2, _noise(2, 6, 6)
    found = _run(
        {"q": q.shape, "k": k.shape, "v": v.shape, "bias": bias.shape},
        lambda q, k, v, bias: ops.window_attention(
            q, k, v, bias, num_heads=2, scale=0.3, window=window, shift=shift
        ),
        q=q, k=k, v=v, bias=bias,
    )  # fmt: skip

    def scores(head: int, i: int, j: int) -> float:
        apart, inner = False, []
        for place in (i, j):
            y, x = (place // w - shift[0]) % h, (place % w - shift[1]) % w
            inner.append((y // window[0], x // window[1], y % window[0] * window[1] + x % window[1]))
        apart |= inner[0][:2] != inner[1][:2]
        # What a window joins from opposite edges is further apart in the map than the window is wide.
        apart |= abs(i // w - j // w) >= window[0] or abs(i % w - j % w) >= window[1]
        return -math.inf if apart else float(bias[head, inner[0][2], inner[1][2]])

    rows = [x.reshape(h * w, 8) for x in (q, k, v)]
    wanted = _attended(*rows, scores, 2, 2).reshape(q.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_frequencies_may_turn_by_several_positions() -> None:
    freq, positions = np.array([1.0, 0.5, 0.01], np.float32), np.array([[0, 3, 9], [7, 1, 2]], np.int32)
    cos, sin = _run(
        {"p": (2, 3), "f": (3,)}, lambda p, f: ops.rope_table(p, f, 1.5, (2, 0, 0)), {"p": "int32"}, p=positions, f=freq
    )
    turned = 1.5 * np.exp(1j * np.array([[9, 0, 0], [2, 7, 7]]) * freq)
    np.testing.assert_allclose(cos + 1j * sin, turned, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotation_is_a_product_of_complex_numbers(interleaved: bool) -> None:
    x, freq = _noise(5, 2 * 10), np.array([1.0, 0.5, 0.01], np.float32)
    positions = np.array([0, 1, 2, 70, 3], np.int32)
    cos, sin = _run({"p": (5,), "f": (3,)}, lambda p, f: ops.rope_table(p, f, 1.5), {"p": "int32"}, p=positions, f=freq)
    found = _run(
        {"x": x.shape, "c": cos.shape, "s": sin.shape},
        lambda x, c, s: ops.rotary(x, c, s, num_heads=2, interleaved=interleaved), x=x, c=cos, s=sin,
    )  # fmt: skip
    turned = 1.5 * np.exp(1j * positions[:, None, None] * freq)
    heads = x.reshape(5, 2, 10).astype(np.float64)
    pairs = heads[..., 0:6:2] + 1j * heads[..., 1:6:2] if interleaved else heads[..., :3] + 1j * heads[..., 3:6]
    pairs = pairs * turned
    parts = np.stack([pairs.real, pairs.imag], -1 if interleaved else -2).reshape(5, 2, 6)
    np.testing.assert_allclose(found, np.concatenate([parts, heads[..., 6:]], -1).reshape(5, 20), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("resample", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize("resized", [(50, 20), (9, 7), (31, 17), (11, 21)])
def test_pixels_are_resized_as_pillow_does_it(resample: str, resized: tuple[int, int]) -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(0).integers(0, 256, (31, 23, 3)).astype(np.uint8)
    mean, std, fill, shape, offset = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5), (1.0, 2.0, 3.0), (8, 12), (3, -2)
    how = {"shape": shape, "resample": resample, "mean": mean, "std": std, "fill": fill, "most_side": 31}
    integers = {"s": image.shape[:2], "r": resized, "o": offset}

    def run(**more: bool) -> Any:
        return _run(
            {"p": (31 * 23, 3), "s": (2,), "r": (2,), "o": (2,)},
            lambda p, s, r, o: ops.pixels(p, s, r, o, **how, **more),
            {"p": "uint8", "s": "int32", "r": "int32", "o": "int32"}, p=image.reshape(-1, 3),
            **{name: np.array(value, np.int32) for name, value in integers.items()},
        )  # fmt: skip

    filter_ = getattr(image_module.Resampling, resample.upper())
    theirs = np.asarray(image_module.fromarray(image).resize(resized[::-1], filter_))
    wanted = np.empty((1, *shape, 3))
    wanted[:] = fill
    part = ((theirs / 255 - mean) / std)[3:11, :10]  # what lies left of the image is filled
    wanted[0, : part.shape[0], 2 : 2 + part.shape[1]] = part
    np.testing.assert_allclose(run(), wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(run(bgr=True), wanted[..., ::-1], rtol=1e-6, atol=1e-6)
