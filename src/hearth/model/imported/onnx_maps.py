"""ONNX operations of maps: convolutions, pools, resizing, sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.convolving import conv_transpose, pool_nchw
from hearth.model.imported.moves import conv2d_nchw, permute, reshape
from hearth.model.imported.onnx_context import Context, Converter
from hearth.model.imported.resizing import Resizing, grid_sample_nchw, resize_nchw

_RESIZE_MODES = {"nearest": "nearest_neighbor", "linear": "linear", "bilinear": "linear", "cubic": "cubic"}


def windows(c: Context, spatial: list[Any], kernel: list[int]) -> dict[str, Any]:
    """Strides, padding (each axis before, then after) and dilation of a convolution or pool."""
    rank = len(kernel)
    strides = tuple(c.attr("strides") or [1] * rank)
    dilation = tuple(c.attr("dilations") or [1] * rank)
    padding = list(c.attr("pads") or [0] * (2 * rank))
    how = c.attr("auto_pad", "NOTSET")
    if how in ("SAME_UPPER", "SAME_LOWER"):
        for i, size in enumerate(spatial):
            if not isinstance(size, int):
                raise Unsupported("its padding depends on a size that is not fixed")
            reach = dilation[i] * (kernel[i] - 1) + 1
            total = max((-(-size // strides[i]) - 1) * strides[i] + reach - size, 0)
            small = total // 2
            padding[i], padding[rank + i] = (small, total - small) if how == "SAME_UPPER" else (total - small, small)
    elif how == "VALID":
        padding = [0] * (2 * rank)
    return {"strides": strides, "padding": tuple(padding), "dilation": dilation}


def _conv(c: Context) -> Any:
    x, w = c.x(0), c.x(1)
    if w not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    kernel = c.g.shape(w)[2:]
    about = windows(c, c.g.shape(x)[2:], kernel)
    groups = c.attr("group", 1)
    if len(kernel) == 2:
        return conv2d_nchw(c.g, x, w, c.optional(2), groups=groups, **about)
    if len(kernel) != 1:
        raise Unsupported(f"it is a convolution over {len(kernel)} axes")
    b, channels, length = c.g.shape(x)
    o, inner, taps = c.g.shape(w)
    y = conv2d_nchw(
        c.g, reshape(c.g, x, [b, channels, 1, length]), c.g.derived(w, (o, inner, 1, taps), lambda a: a[:, :, None]),
        c.optional(2), groups=groups, strides=(1, *about["strides"]), dilation=(1, *about["dilation"]),
        padding=(0, about["padding"][0], 0, about["padding"][1]),
    )  # fmt: skip
    return reshape(c.g, y, [b, o, c.g.shape(y)[3]])


def _conv_transpose(c: Context) -> Any:
    x, w = c.x(0), c.x(1)
    if w not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    kernel = c.g.shape(w)[2:]
    rank = len(kernel)
    strides, dilation = tuple(c.attr("strides") or [1] * rank), tuple(c.attr("dilations") or [1] * rank)
    extra = list(c.attr("output_padding") or [0] * rank)
    padding = list(c.attr("pads") or [0] * (2 * rank))
    how, wanted = c.attr("auto_pad", "NOTSET"), c.attr("output_shape")
    if wanted or how in ("SAME_UPPER", "SAME_LOWER"):
        spatial = c.g.shape(x)[2:]
        if any(not isinstance(size, int) for size in spatial):
            raise Unsupported("its padding depends on a size that is not fixed")
        for i, (size, k) in enumerate(zip(spatial, kernel, strict=True)):
            out = wanted[-rank:][i] if wanted else size * strides[i]
            total = strides[i] * (size - 1) + extra[i] + dilation[i] * (k - 1) + 1 - out
            extra[i] += max(-total, 0)  # what is missing is added at the end
            total = max(total, 0)
            before = total // 2 if how == "SAME_UPPER" else total - total // 2
            padding[i], padding[rank + i] = before, total - before
    return conv_transpose(
        c.g, x, w, c.optional(2), strides=strides, padding=padding, dilation=dilation, output_padding=extra,
        groups=c.attr("group", 1),
    )  # fmt: skip


def _pool(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x, kernel = c.x(), list(c.attr("kernel_shape"))
        if len(kernel) > 2:
            raise Unsupported(f"it is a pool over {len(kernel)} axes")
        about = windows(c, c.g.shape(x)[2:], kernel)
        padded = bool(c.attr("count_include_pad", 0))
        return [pool_nchw(c.g, x, name, kernel, ceil=bool(c.attr("ceil_mode", 0)), padded=padded, **about)]

    return convert


def _global(name: str) -> Converter:
    return lambda c: c.g.emit(getattr(op, name)(c.x(), list(range(2, c.g.rank(c.x()))), keepdims=True))


def _resize(c: Context) -> Any:
    """Of height and width: by sizes, or by factors, which then say where places lie."""
    x = c.x()
    shape = c.g.shape(x)
    c.only(keep_aspect_ratio_policy="stretch")
    old = c.opset < 11 or c.node.op == "Upsample"
    scales_at, sizes_at = (1, 9) if old else (2, 3)
    axes = [int(axis) % len(shape) for axis in c.attr("axes") or range(len(shape))]
    wanted, factors = list(shape), [1.0] * len(shape)
    if c.has(sizes_at):
        for axis, size in zip(axes, c.sizes(sizes_at), strict=True):
            wanted[axis] = size
    else:
        given = c.known(scales_at, "scales").reshape(-1).tolist() if c.has(scales_at) else c.attr("scales")
        for axis, factor in zip(axes, given, strict=True):
            wanted[axis], factors[axis] = _scaled(shape[axis], factor), factor
    if len(shape) != 4 or not c.g.same_shape(wanted[:2], shape[:2]):
        raise Unsupported("it resizes other axes than height and width")
    # A factor that does not give the size exactly says by itself where places lie.
    exact = c.has(sizes_at) or all(
        isinstance(dim, int) and abs(dim * factor - int(size)) < 1e-6 * int(size) if isinstance(dim, int) else True
        for dim, factor, size in zip(shape[2:], factors[2:], wanted[2:], strict=True)
    )
    how = Resizing(
        _RESIZE_MODES[c.attr("mode", "nearest")],
        c.attr("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"),
        rounding=c.attr("nearest_mode", "floor" if old else "round_prefer_floor"),
        alpha=c.attr("cubic_coeff_a", -0.75),
        scales=None if exact else factors[2:],
        inside=bool(c.attr("exclude_outside", 0)),
        antialias=bool(c.attr("antialias", 0)),
    )
    return resize_nchw(c.g, x, wanted[2:], how)


def _scaled(dim: Any, factor: float) -> Any:
    if isinstance(dim, int):
        return int(dim * factor + 1e-9)
    if factor != int(factor):
        raise Unsupported(f"it scales an axis of {dim} by {factor}, which is no whole number")
    return dim * int(factor)


def _affine_grid(c: Context) -> Any:
    """Places (b, h, w, 2) to sample by: theta (b, 2, 3) times (x, y, 1)."""
    sizes = [int(size) for size in c.sizes(1)]
    if len(sizes) != 4:
        raise Unsupported("it is of volumes")
    b, _, h, w = sizes
    c.g.require_small(3, max(h, 0), max(w, 0))
    corners = bool(c.attr("align_corners", 0))
    along = [np.linspace(-1, 1, n) if corners else (2 * np.arange(n) + 1) / n - 1 for n in (h, w)]
    y, x = np.meshgrid(*along, indexing="ij")
    base = np.stack([x, y, np.ones_like(x)], -1).reshape(1, h * w, 3)
    places = c.g.emit(op.matmul(c.f32(base), permute(c.g, c.x(0), (0, 2, 1))))
    return reshape(c.g, places, [b, h, w, 2])


def _grid_sample(c: Context) -> Any:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(c.attr("mode", "linear"), c.attr("mode", "bilinear"))
    return grid_sample_nchw(
        c.g, c.x(0), c.x(1), mode, c.attr("padding_mode", "zeros"), bool(c.attr("align_corners", 0))
    )  # fmt: skip


MAPS: dict[str, Converter] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _pool("max_pool2d"),
    "AveragePool": _pool("avg_pool2d"),
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("max"),
    "AffineGrid": _affine_grid,
    "Resize": _resize,
    "Upsample": _resize,
    "GridSample": _grid_sample,
}
