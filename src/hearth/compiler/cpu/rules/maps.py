"""Maps of numbers: pooled, brought to another size, sampled at places."""

from __future__ import annotations

from typing import Any, Literal

from tvm import relax

from hearth.compiler.cpu.kernels.grid_sample import GridSampleSpec, grid_sample
from hearth.compiler.cpu.kernels.pool import PoolSpec, pool
from hearth.compiler.cpu.kernels.resize_map import ResizeMapSpec, resize_map
from hearth.compiler.cpu.rules.moves import copied
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph
from hearth.compiler.physical import call, like, sizes, stride, tensor
from hearth.compiler.views import steps_of
from hearth.compiler.work import Work
from hearth.errors import Unsupported


def _pool(kind: Literal["max", "average"]) -> Rule:
    def rule(graph: Graph, value: Any, s: Selection) -> Any:
        x, attrs = value.args[0], value.attrs
        if str(attrs.layout) != "NHWC":
            raise Unsupported(f"Pooling of maps in the layout {attrs.layout} cannot be compiled yet.")
        padded = kind == "average" and bool(attrs.count_include_pad)
        spec = PoolSpec("average_padded" if padded else kind)
        kernel = s.use(spec.name, lambda isa: pool(spec))
        images, height, width, channels = x.ty.shape
        _, out_h, out_w, _ = (value.ty.shape[0], *(int(dim) for dim in list(value.ty.shape)[1:]))
        (kh, kw), (sh, sw) = _two(attrs.pool_size), _two(attrs.strides)
        top, left, bottom, right = (int(p) for p in attrs.padding)
        dilation = _two(attrs.dilation)
        scalars = [
            int(height), int(width), out_h, out_w, stride(int(channels)), kh, kw, sh, sw, top, left, bottom, right,
            *dilation,
        ]  # fmt: skip
        units = images * out_h
        work = Work.of("pool", units, out_w * kh * kw * int(channels))
        return call(kernel, [x], like(value), units, scalars, work=work)

    return rule


def _two(values: Any) -> tuple[int, int]:
    first, second = (int(value) for value in values)
    return first, second


_MODES: dict[str, Literal["nearest", "linear", "cubic"]] = {
    "nearest_neighbor": "nearest",
    "linear": "linear",
    "cubic": "cubic",
}


def _resize2d(graph: Graph, value: Any, s: Selection) -> Any:
    x, attrs = value.args[0], value.attrs
    how, mode = str(attrs.coordinate_transformation_mode), _MODES[str(attrs.method)]
    if str(attrs.layout) != "NHWC" or how not in ("half_pixel", "align_corners", "asymmetric"):
        raise Unsupported(f"Maps in the layout {attrs.layout} cannot be brought to another size by {how} yet.")
    rounding = str(attrs.rounding_method) or "floor"
    if mode == "nearest" and (how, rounding) != ("asymmetric", "floor"):
        raise Unsupported(f"Nearest places by {how} and {rounding} cannot be compiled yet.")
    spec = ResizeMapSpec(mode, how == "half_pixel")
    kernel = s.use(spec.name, lambda isa: resize_map(spec))
    images, height, width, channels = (x.ty.shape[0], *(int(dim) for dim in list(x.ty.shape)[1:]))
    out_h, out_w = int(value.ty.shape[1]), int(value.ty.shape[2])
    corners = how == "align_corners"
    scales = [
        number
        for size, out in ((height, out_h), (width, out_w))
        for number in ((size - 1, max(out - 1, 1)) if corners else (size, out))
    ]
    units = images * out_h
    work = Work.of("resize", units, 8 * out_w * channels)
    return call(kernel, [x], like(value), units, [height, width, out_h, out_w, stride(channels), *scales], work=work)


def _grid_sample(graph: Graph, value: Any, s: Selection) -> Any:
    x, grid = value.args
    attrs = value.attrs
    if str(attrs.layout) != "NHWC":
        raise Unsupported(f"Maps in the layout {attrs.layout} cannot be sampled yet.")
    spec = GridSampleSpec(str(attrs.method), str(attrs.padding_mode), bool(attrs.align_corners))  # type: ignore[arg-type]
    kernel = s.use(spec.name, lambda isa: grid_sample(spec))
    images, height, width, channels = sizes(x.ty.shape)
    _, _, lines, columns = sizes(grid.ty.shape)
    # The kernel wants x and y of a place side by side.
    pairs = relax.Var("places", tensor(images, lines, columns, 2))
    steps = steps_of(grid)
    places = graph.emit(copied(grid, 0, [steps[axis] for axis in (0, 2, 3, 1)], pairs, s))
    ld, points = stride(channels), lines * columns
    scalars = [height, width, ld, points, stride(2), 1, height * width * ld, 0, width * ld, ld]
    work = Work.of("sample", images * points, 8 * channels, gathers=True)
    return call(kernel, [x, places], like(value), images * points, scalars, grain=8, work=work)


RULES: dict[str, Rule] = {
    "nn.max_pool2d": _pool("max"),
    "nn.avg_pool2d": _pool("average"),
    "image.resize2d": _resize2d,
    "image.grid_sample": _grid_sample,
}
