"""Convolutions: of a prepared map, by implicit products; depthwise ones straight from the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from hearth.compiler.cpu.inputs import is_dense_input
from hearth.compiler.cpu.kernels.conv import ConvSpec, conv
from hearth.compiler.cpu.kernels.conv_geometry import Conv, PreparedMap, conv2d, conv_transpose2d
from hearth.compiler.cpu.kernels.conv_prepare import PrepareMapSpec, map_range, prepare_map
from hearth.compiler.cpu.kernels.depthwise import DepthwiseSpec, depthwise
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, stride, tensor
from hearth.compiler.work import Work
from hearth.errors import Unsupported
from hearth.quant.convolution import ConvKind, ConvWeight, pack_depthwise, transposed_phase, transposed_taps
from hearth.quant.formats import LANES, round_up

F32 = NDArray[np.float32]


def _channels_first(rows: F32, kernel: tuple[int, int]) -> F32:
    """A weight as parameters have it, (o, kh kw c), as torch has it: (o, c, kh, kw)."""
    return np.ascontiguousarray(rows.reshape(len(rows), *kernel, -1).transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class ConvPacking:
    """A weight (and bias) as the kernel `conv` reads it."""

    weight: ConvWeight

    @property
    def size_bytes(self) -> int:
        return self.weight.size_bytes

    def pack(self, parts: list[F32]) -> NDArray[np.uint8]:
        rows, *bias = parts
        return self.weight.pack(_channels_first(rows, self.weight.kernel), bias[0] if bias else None)


@dataclass(frozen=True)
class PhasePacking:
    """The weight of one phase of a transposed convolution, and the bias.

    Attributes:
        whole: of the whole kernel; `weight`: of the phase's part of it.
        taps: which rows and columns of the whole kernel that is.
    """

    whole: tuple[int, int]
    weight: ConvWeight
    taps: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def size_bytes(self) -> int:
        return self.weight.size_bytes

    def pack(self, parts: list[F32]) -> NDArray[np.uint8]:
        rows, *bias = parts
        inputs_first = np.ascontiguousarray(_channels_first(rows, self.whole).transpose(1, 0, 2, 3))
        phase = transposed_phase(inputs_first, 1, list(self.taps[0]), list(self.taps[1]))
        return self.weight.pack(phase, bias[0] if bias else None)


@dataclass(frozen=True)
class DepthwisePacking:
    """A weight (and bias) as the kernel `depthwise` reads it."""

    channels: int
    kernel: tuple[int, int]

    @property
    def size_bytes(self) -> int:
        return 4 * round_up(self.channels, LANES) * (self.kernel[0] * self.kernel[1] + 1)

    def pack(self, parts: list[F32]) -> NDArray[np.uint8]:
        rows, *bias = parts
        return pack_depthwise(_channels_first(rows, self.kernel), bias[0] if bias else None).reshape(-1).view(np.uint8)


def _conv2d(graph: Graph, value: Any, s: Selection) -> Any:
    args = arguments(value)
    (x, w, *bias), residual = (args[:-1], args[-1:]) if attribute(value, "residual", False) else (args, [])
    outputs, kh, kw, _ = (int(dim) for dim in w.ty.shape)
    height, width, inputs = (int(dim) for dim in list(x.ty.shape)[1:])
    strides, dilation = _pair(value, "strides"), _pair(value, "dilation")
    padding, groups = tuple(int(p) for p in attribute(value, "padding")), int(attribute(value, "groups"))
    if groups == inputs == outputs:
        return _depthwise(graph, value, s)
    kind: ConvKind = "float32" if s.parameters.packed[w.name].fmt.is_float else "int8"
    weight = ConvWeight(outputs, inputs, (kh, kw), groups, kind)
    what = conv2d(weight, (height, width), stride=strides, padding=padding, dilation=dilation)  # type: ignore[arg-type]
    packed = graph.add_param(s.parameters.arrange([w, *bias], ConvPacking(weight), _suffix("conv", kind, bias)))
    source = _prepared(graph, x, what.source, kind, s)
    activation = str(attribute(value, "activation", "")) or None
    return _step(what, source, packed, x.ty.shape[0], like(value), s, residual=residual, activation=activation)


def _pair(value: Any, name: str) -> tuple[int, int]:
    first, second = (int(number) for number in attribute(value, name))
    return first, second


def _suffix(form: str, kind: ConvKind, bias: Sequence[Any]) -> str:
    """Of the packed parameter's name: a weight may be read in several ways."""
    return "_".join([form, kind, *(["bias"] if bias else [])])


def _prepared(graph: Graph, x: Any, source: PreparedMap, kind: ConvKind, s: Selection) -> list[Any]:
    """The map as `conv` reads it, and for int8 its scales."""
    images, narrow = x.ty.shape[0], is_dense_input(graph, x)
    prepare = s.use("", lambda isa: prepare_map(PrepareMapSpec(isa, kind, narrow=source.channels if narrow else 0)))
    shape = (images, source.rows, source.dwords, source.columns)
    scalars, units = source.prepare_scalars(narrow=narrow), images * source.rows
    work = Work.of("prepare", units, 4 * source.columns * source.channels)
    if kind == "float32":
        return [graph.emit(call(prepare, [x], tensor(*shape), units, scalars, work=work))]
    height, width = source.size
    rows, measure = images * height, s.use("map_range", lambda isa: map_range())
    least = Work.of("prepare", rows, 2 * width * source.channels)
    sides = [width, source.channels, stride(source.channels)]
    if narrow:  # a row is one pixel of many channels
        sides = [1, width * source.channels, width * source.channels]
    ranges = graph.emit(call(measure, [x], tensor(rows, 2), rows, sides, work=least))
    results = [tensor(*shape, dtype="int32"), tensor(images, 2)]
    both = graph.emit(call(prepare, [x, ranges], results, units, scalars, work=work))
    return [graph.emit(relax.TupleGetItem(both, i)) for i in range(2)]


def _step(
    what: Conv, source: list[Any], packed: Any, images: Any, out: Any, s: Selection, *, into: Any | None = None,
    residual: Sequence[Any] = (), activation: str | None = None,
) -> Any:  # fmt: skip
    specs = {isa: ConvSpec.of(what, isa, residual=bool(residual), activation=activation) for isa in s.isas}
    first = specs[s.isas[0]]
    kernel = s.use(first.name, lambda isa: conv(specs[isa]), first.scratch_bytes())
    rows, columns = what.output.written
    taps = what.weight.kernel[0] * what.weight.kernel[1] * what.weight.inputs // what.weight.groups
    work = Work.of("conv", images * rows, 2 * columns * taps * what.weight.outputs)
    buffers = [*source, packed, *residual, *([] if into is None else [into])]
    return call(
        kernel,
        buffers,
        out,
        what.units(images, first.blocks),
        what.scalars(images),
        work=work,
        in_place=into is not None,
    )


def _conv2d_transpose(graph: Graph, value: Any, s: Selection) -> Any:
    """A convolution for each phase of the stride; the first makes the memory, the others write into it."""
    x, w, *bias = arguments(value)
    outputs, kh, kw, inputs = (int(dim) for dim in w.ty.shape)
    height, width = int(x.ty.shape[1]), int(x.ty.shape[2])
    strides, padding = _pair(value, "strides"), tuple(int(p) for p in attribute(value, "padding"))
    if padding[:2] != padding[2:]:
        raise Unsupported(f"A transposed convolution that takes {padding} off its borders cannot be compiled yet.")
    kind: ConvKind = "float32" if s.parameters.packed[w.name].fmt.is_float else "int8"
    whole = ConvWeight(outputs, inputs, (kh, kw), 1, kind)
    phases = conv_transpose2d(
        whole, (height, width), stride=strides, padding=(padding[0], padding[1]),
        output_padding=_pair(value, "output_padding"),
    )  # fmt: skip
    source = _prepared(graph, x, phases[0].source, kind, s)
    out: Any = None
    for number, what in enumerate(phases):
        row, column = divmod(number, strides[1])
        taps = (
            tuple(transposed_taps(kh, strides[0], padding[0], row)),
            tuple(transposed_taps(kw, strides[1], padding[1], column)),
        )
        packing = PhasePacking((kh, kw), what.weight, taps)
        packed = graph.add_param(s.parameters.arrange([w, *bias], packing, _suffix(f"phase{number}", kind, bias)))
        out = graph.emit(_step(what, source, packed, x.ty.shape[0], like(value), s, into=out))
    return out


def _depthwise(graph: Graph, value: Any, s: Selection) -> Any:
    x, w, *bias = arguments(value)
    channels, kh, kw, _ = (int(dim) for dim in w.ty.shape)
    images, height, width = x.ty.shape[0], int(x.ty.shape[1]), int(x.ty.shape[2])
    _, out_h, out_w, _ = value.ty.shape
    strides, dilation = _pair(value, "strides"), _pair(value, "dilation")
    top, left, _, _ = (int(p) for p in attribute(value, "padding"))
    activation = str(attribute(value, "activation", "")) or None
    specs = {isa: DepthwiseSpec(isa, kw, strides[1], dilation[1], activation) for isa in s.isas}
    kernel = s.use(specs[s.isas[0]].name, lambda isa: depthwise(specs[isa]))
    packing = DepthwisePacking(channels, (kh, kw))
    packed = graph.add_param(s.parameters.arrange([w, *bias], packing, _suffix("depthwise", "float32", bias)))
    scalars = [height, width, int(out_h), int(out_w), stride(channels), kh, strides[0], top, left, dilation[0]]
    units = images * int(out_h)
    work = Work.of("conv", units, 2 * int(out_w) * kh * kw * channels)
    return call(kernel, [x, packed], like(value), units, scalars, work=work)


RULES: dict[str, Rule] = {"hearth.conv2d": _conv2d, "hearth.conv2d_transpose": _conv2d_transpose}
