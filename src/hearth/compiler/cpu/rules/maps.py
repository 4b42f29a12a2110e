"""Maps of numbers: pooled, brought to another size, sampled at places; the largest numbers of rows."""

from __future__ import annotations

from typing import Any, Literal

from tvm import relax

from hearth.compiler.cpu.kernels.gather import gather, gather_elements
from hearth.compiler.cpu.kernels.grid_sample import GridSampleSpec, grid_sample
from hearth.compiler.cpu.kernels.pool import PoolSpec, pool
from hearth.compiler.cpu.kernels.resize_map import ResizeMapSpec, resize_map
from hearth.compiler.cpu.kernels.topk import TopkSpec, topk
from hearth.compiler.cpu.rules.elementwise import steps_of
from hearth.compiler.cpu.rules.moves import copied
from hearth.compiler.cpu.selection import Rule, Selection, call, like, product, sizes, stride, tensor
from hearth.compiler.passes.rewrite import Graph, dtype_of
from hearth.compiler.symbolic import equal_sizes
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
    if str(attrs.layout) != "NHWC" or str(attrs.method) not in ("bilinear", "nearest"):
        raise Unsupported(f"Maps in the layout {attrs.layout} cannot be sampled by {attrs.method} yet.")
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


def _topk(graph: Graph, value: Any, s: Selection) -> Any:
    x, attrs = value.args[0], value.attrs
    *before, size = sizes(x.ty.shape)
    k = int(attrs.k)
    if int(attrs.axis) not in (-1, len(before)) or not attrs.largest or str(attrs.ret_type) != "indices":
        raise Unsupported("Only the places of the largest numbers of rows can be compiled yet.")
    spec = TopkSpec(k)
    kernel = s.use(spec.name, lambda isa: topk(spec), spec.scratch_bytes())
    rows = product(before)
    work = Work.of("topk", rows, 4 * size)
    results = [tensor(*before, k), tensor(*before, k, dtype="int32")]
    both = graph.emit(call(kernel, [x], results, rows, [size, stride(size), k], work=work))
    return graph.emit(relax.TupleGetItem(both, 1))


def _gather_nd(graph: Graph, value: Any, s: Selection) -> Any:
    x, ids = value.args
    if int(value.attrs.batch_dims) != 1 or len(x.ty.shape) != 3 or len(value.ty.shape) != 3:
        raise Unsupported("Only rows of each image can be gathered yet.")
    images, rows, columns = sizes(x.ty.shape)
    count = int(value.ty.shape[1])
    work = Work.of("gather", images * count, columns, gathers=True)
    kernel = s.use("", lambda isa: gather())
    return call(kernel, [x, ids], like(value), images * count, [rows, count, stride(columns)], grain=8, work=work)


def _gather_elements(graph: Graph, value: Any, s: Selection) -> Any:
    x, ids = value.args
    shape, chosen = sizes(x.ty.shape), sizes(ids.ty.shape)
    last = len(shape) - 1
    axis = int(value.attrs.axis) % len(shape)
    # Axes before the one that is gathered along are walked as one, so they must be whole in both.
    others = [i for i in range(len(shape)) if i not in (axis, last)]
    if axis < last - 1 or dtype_of(x.ty) != "float32" or any(not equal_sizes(shape[i], chosen[i]) for i in others):
        raise Unsupported(f"Elements along axis {axis} of {len(shape)} cannot be gathered yet.", why=f"It is {value}.")
    steps, rows = steps_of(x), chosen[axis] if axis != last else 1
    outer = steps[axis] * shape[axis] if axis != last else steps[-2] if last else 0
    units = product(chosen[:-1])
    scalars = [shape[axis], steps[axis], 0 if axis == last else 1, rows, outer, chosen[-1], stride(chosen[-1])]
    kernel = s.use("", lambda isa: gather_elements())
    work = Work.of("gather", units, chosen[-1], gathers=True)
    return call(kernel, [x, ids], like(value), units, scalars, grain=8, work=work)


RULES: dict[str, Rule] = {
    "nn.max_pool2d": _pool("max"),
    "nn.avg_pool2d": _pool("average"),
    "image.resize2d": _resize2d,
    "image.grid_sample": _grid_sample,
    "topk": _topk,
    "gather_nd": _gather_nd,
    "gather_elements": _gather_elements,
}
