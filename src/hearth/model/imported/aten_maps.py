"""PyTorch's operators of maps: convolutions, pools, resizing, sampling."""

from __future__ import annotations

from typing import Any

from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.convolving import conv_transpose, pool_nchw
from hearth.model.imported.moves import NCHW_TO_NHWC, NHWC_TO_NCHW, conv2d_nchw, permute, reshape
from hearth.model.imported.resizing import Resizing, grid_sample_nchw, resize_nchw

_SAMPLING = ("bilinear", "nearest", "bicubic")
_PADDING = ("zeros", "border", "reflection")


def _conv(c: Context) -> Any:
    x, w = c.x("input"), c.x("weight")
    if w not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    kernel = c.g.shape(w)[2:]
    rank = len(kernel)
    if rank > 2:
        raise Unsupported(f"it is a convolution over {rank} axes")
    strides, dilation = c.ints("stride", [1], rank), c.ints("dilation", [1], rank)
    padding = c.get("padding", 0)
    if padding == "same":
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pads = (*(r // 2 for r in reach), *(r - r // 2 for r in reach))
    else:
        pads = c.ints("padding", [0], rank) * 2 if padding != "valid" else (0,) * (2 * rank)
    groups = int(c.get("groups", 1))
    if c.get("transposed"):
        return _conv_transpose(c)
    if rank == 2:
        return conv2d_nchw(
            c.g, x, w, c.optional("bias"), strides=strides, padding=pads, dilation=dilation, groups=groups
        )  # fmt: skip
    b, channels, length = c.g.shape(x)
    o, inner, taps = c.g.shape(w)
    y = conv2d_nchw(
        c.g, reshape(c.g, x, [b, channels, 1, length]), c.g.derived(w, (o, inner, 1, taps), lambda a: a[:, :, None]),
        c.optional("bias"), strides=(1, *strides), padding=(0, pads[0], 0, pads[1]), dilation=(1, *dilation),
        groups=groups,
    )  # fmt: skip
    return reshape(c.g, y, [b, o, c.g.shape(y)[3]])


def _conv_transpose(c: Context) -> Any:
    w = c.x("weight")
    if w not in c.g.known:
        raise Unsupported("its weights depend on the inputs")
    rank = c.g.rank(w) - 2
    return conv_transpose(
        c.g, c.x("input"), w, c.optional("bias"), strides=c.ints("stride", [1], rank),
        padding=c.ints("padding", [0], rank) * 2, dilation=c.ints("dilation", [1], rank),
        output_padding=c.ints("output_padding", [0], rank), groups=int(c.get("groups", 1)),
    )  # fmt: skip


def _pool(name: str, rank: int) -> Converter:
    def convert(c: Context) -> Any:
        kernel = c.ints("kernel_size", [1], rank)
        strides = c.ints("stride", [], rank) or kernel
        if c.get("divisor_override") is not None:
            raise Unsupported("it divides by a number of its own")
        x = c.x("self")
        four = reshape(c.g, x, [1, *c.g.shape(x)]) if c.g.rank(x) == len(kernel) + 1 else x
        y = pool_nchw(
            c.g, four, name, kernel, strides=strides, padding=c.ints("padding", [0], rank) * 2,
            dilation=c.ints("dilation", [1], rank), ceil=bool(c.get("ceil_mode", False)),
            padded=bool(c.get("count_include_pad", True)),
        )  # fmt: skip
        y = reshape(c.g, y, c.g.shape(y)[1:]) if four is not x else y
        return [y] if "with_indices" in c.node.target else y

    return convert


def _adaptive_pool(rank: int) -> Converter:
    def convert(c: Context) -> Any:
        x, wanted = c.x(), c.ints("output_size", [1], rank)
        have = c.shape()
        if all(size == 1 for size in wanted):
            return c.g.emit(op.mean(x, list(range(len(have) - rank, len(have))), keepdims=True))
        if rank == 2 and len(have) == 4:
            y = op.nn.adaptive_avg_pool2d(permute(c.g, x, NCHW_TO_NHWC), list(wanted), "NHWC", "NHWC")
            return permute(c.g, c.g.emit(y), NHWC_TO_NCHW)
        raise Unsupported(f"it pools to {list(wanted)}")

    return convert


def _upsample(
    method: str, coordinates: str, rank: int = 2, *, rounding: str = "floor", antialias: bool = False
) -> Converter:  # fmt: skip
    def convert(c: Context) -> Any:
        x = c.x("input" if "input" in c.node.arguments else "self")
        have = c.g.shape(x)
        size, factors = c.get("output_size"), c.get("scale_factors")
        if size is None and factors is not None:
            size = [_scaled(dim, factor) for dim, factor in zip(have[2:], factors, strict=True)]
        elif factors is None:
            given = [c.get(name) for name in (("scales_h", "scales_w") if rank == 2 else ("scales",))]
            factors = None if None in given else given
        # torch maps places by a factor that it is given, where it does not say otherwise, and not by the sizes.
        exact = factors is None or all(
            not isinstance(dim, int) or not isinstance(out, int) or abs(dim * factor - out) < 1e-6 * out
            for dim, factor, out in zip(have[2:], factors, size, strict=True)
        )
        how = Resizing(
            method,
            "align_corners" if c.get("align_corners", False) else coordinates,
            rounding=rounding,
            alpha=-0.5 if antialias else -0.75,
            scales=None if exact or factors is None else [1.0] * (2 - rank) + [float(factor) for factor in factors],
            inside=antialias,
            antialias=antialias,
        )
        four = x if rank == 2 else reshape(c.g, x, [*have[:2], 1, have[2]])
        y = resize_nchw(c.g, four, [1] * (2 - rank) + list(size), how)
        return y if rank == 2 else reshape(c.g, y, [*have[:2], size[0]])

    return convert


def _scaled(dim: Any, factor: float) -> Any:
    if isinstance(dim, int):
        return int(dim * factor)
    if factor != int(factor):
        raise Unsupported(f"it scales a size that is not fixed by {factor}")
    return dim * int(factor)


def _grid_sample(c: Context) -> Any:
    method = _SAMPLING[c.get("interpolation_mode", 0)]
    padding = _PADDING[c.get("padding_mode", 0)]
    return grid_sample_nchw(c.g, c.x("input"), c.x("grid"), method, padding, bool(c.get("align_corners", False)))


MAPS: dict[str, Converter] = {
    "conv1d": _conv,
    "conv2d": _conv,
    "convolution": _conv,
    "conv_transpose1d": _conv_transpose,
    "conv_transpose2d": _conv_transpose,
    "max_pool1d": _pool("max_pool2d", 1),
    "max_pool2d": _pool("max_pool2d", 2),
    "max_pool2d_with_indices": _pool("max_pool2d", 2),
    "avg_pool1d": _pool("avg_pool2d", 1),
    "avg_pool2d": _pool("avg_pool2d", 2),
    "adaptive_avg_pool1d": _adaptive_pool(1),
    "adaptive_avg_pool2d": _adaptive_pool(2),
    "upsample_nearest2d": _upsample("nearest_neighbor", "asymmetric"),
    "upsample_nearest1d": _upsample("nearest_neighbor", "asymmetric", 1),
    "_upsample_nearest_exact2d": _upsample("nearest_neighbor", "half_pixel", rounding="round_prefer_ceil"),
    "_upsample_nearest_exact1d": _upsample("nearest_neighbor", "half_pixel", 1, rounding="round_prefer_ceil"),
    "upsample_bilinear2d": _upsample("linear", "half_pixel"),
    "upsample_linear1d": _upsample("linear", "half_pixel", 1),
    "upsample_bicubic2d": _upsample("cubic", "half_pixel"),
    "_upsample_bilinear2d_aa": _upsample("linear", "half_pixel", antialias=True),
    "_upsample_bicubic2d_aa": _upsample("cubic", "half_pixel", antialias=True),
    "grid_sampler": _grid_sample,
    "grid_sampler_2d": _grid_sample,
}
