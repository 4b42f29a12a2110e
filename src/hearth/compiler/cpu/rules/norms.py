"""Norms and softmax that stand alone, with or without a residual; those that feed products are a part of `prepare`."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.group_norm import column_moments, group_moments
from hearth.compiler.cpu.kernels.layer_norm import LayerNormSpec, layer_norm
from hearth.compiler.cpu.kernels.norms import rms_norm
from hearth.compiler.cpu.kernels.softmax import softmax
from hearth.compiler.cpu.rules.elementwise import map_call
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, last_size, like, product, rows, sizes, stride, tensor, width
from hearth.compiler.views import View, broadcast_view, is_dense, whole
from hearth.compiler.work import Work
from hearth.errors import Unsupported
from hearth.quant.formats import LANES


def _norm_add(graph: Graph, value: Any, s: Selection) -> Any:
    x, weight, residual = arguments(value)
    eps, scale = float(attribute(value, "epsilon")), float(attribute(value, "scale"))
    kernel = s.use("", lambda isa: rms_norm(eps=eps, add=True, scale=scale))
    size, m = width(x), rows(x)
    scalars, work = [size, stride(size), stride(size)], Work.of("norm", m, 6 * size)
    return call(kernel, [x, weight, residual], like(x), m, scalars, grain=2, work=work)


def _rms_norm(graph: Graph, value: Any, s: Selection) -> Any:
    x, weight = value.args
    kernel = s.use("", lambda isa: rms_norm(eps=float(value.attrs.epsilon), add=False))
    size, m = width(x), rows(x)
    scalars, work = [size, stride(size), stride(size)], Work.of("norm", m, 4 * size)
    return call(kernel, [x, weight], like(x), m, scalars, grain=2, work=work)


def _layer_norm(graph: Graph, value: Any, s: Selection) -> Any:
    x, weight, bias = value.args
    spec = LayerNormSpec(float(value.attrs.epsilon), weight=bool(value.attrs.scale), bias=bool(value.attrs.center))
    kernel = s.use(spec.name, lambda isa: layer_norm(spec), spec.scratch_bytes())
    operands = [x, *([weight] if spec.weight else []), *([bias] if spec.bias else [])]
    size, m = width(x), rows(x)
    scalars, work = [size, stride(size), stride(size)], Work.of("norm", m, 7 * size)
    return call(kernel, operands, like(x), m, scalars, grain=2, work=work)


def _group_norm(graph: Graph, value: Any, s: Selection) -> Any:
    """Moments of the groups, then a map of elements."""
    x, gamma, beta = value.args
    shape, attrs = sizes(x.ty.shape), value.attrs
    last = len(shape) - 1
    axes = sorted(int(axis) % len(shape) for axis in attrs.axes)
    if int(attrs.channel_axis) % len(shape) != last or axes != list(range(1, last)):
        raise Unsupported(f"A group norm over the axes {axes} of {len(shape)} cannot be compiled yet.")
    images, count, channels = shape[0], product(shape[1:last]), shape[last]
    groups, ld = int(attrs.num_groups), stride(channels)
    out, work = tensor(images, 2, ld), Work.of("norm", images, 3 * channels)
    columns = s.use("", lambda isa: column_moments())
    moments = graph.emit(call(columns, [x], out, images * (ld // LANES), [count, ld], work=work))
    kernel = s.use("", lambda isa: group_moments(float(attrs.epsilon)))
    scalars = [count, channels // groups, groups, ld]
    moments = graph.emit(call(kernel, [moments], out, images * groups, scalars, work=work))
    term: Any = ("multiply", ("subtract", 0, 1), 2)
    along = (2 * ld, *(0 for _ in axes), 1)
    operands = [broadcast_view(x, shape), View(moments, 0, along), View(moments, ld, along)]
    for has, operation, parameter in ((attrs.scale, "multiply", gamma), (attrs.center, "add", beta)):
        if has:
            term = (operation, term, len(operands))
            operands.append(broadcast_view(parameter, shape))
    return map_call(term, operands, shape, like(value), whole(shape), s, Work.of("norm", rows(x), 4 * channels))


def _softmax(graph: Graph, value: Any, s: Selection) -> Any:
    x = value.args[0]
    if int(value.attrs.axis) not in (-1, len(x.ty.shape) - 1):
        raise Unsupported("A softmax over another axis than the last cannot be compiled yet.")
    kernel = s.use("", lambda isa: softmax())
    size, m = last_size(x), rows(x)
    ldx = size if is_dense(x) else stride(size)
    return call(kernel, [x], like(value), m, [size, ldx, stride(size)], grain=2, work=Work.of("softmax", m, 20 * size))


RULES: dict[str, Rule] = {
    "hearth.norm_add": _norm_add,
    "nn.rms_norm": _rms_norm,
    "nn.layer_norm": _layer_norm,
    "nn.group_norm": _group_norm,
    "nn.softmax": _softmax,
}
