"""Norms that stand alone, with or without a residual; those that feed products are a part of these."""

from __future__ import annotations

from typing import Any

from hearth.compiler.gpu.kernels.norms import norm_name, rms_norm
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, rows, stride, width
from hearth.compiler.work import Work


def _norm_add(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, weight, residual = arguments(value)
    eps, scale = float(attribute(value, "epsilon")), float(attribute(value, "scale"))
    kernel = s.use(norm_name(eps, add=True, scale=scale), lambda: [rms_norm(eps, add=True, scale=scale)])
    size, m = width(x), rows(x)
    work = Work.of("norm", m, 6 * size)
    return call(kernel, [x, weight, residual], like(x), m, [size, stride(size)], work=work)


def _rms_norm(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, weight = value.args
    eps = float(value.attrs.epsilon)
    kernel = s.use(norm_name(eps), lambda: [rms_norm(eps)])
    size, m = width(x), rows(x)
    return call(kernel, [x, weight], like(x), m, [size, stride(size)], work=Work.of("norm", m, 4 * size))


RULES: dict[str, Rule] = {"hearth.norm_add": _norm_add, "nn.rms_norm": _rms_norm}
