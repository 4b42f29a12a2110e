"""What is picked by values: boxes that do not overlap, places that are true."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from hearth.compiler.cpu.kernels.suppression import collect, places, scratch_bytes, suppress
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, product, sizes, stride, tensor
from hearth.compiler.work import Work


def _bits(value: float) -> int:
    """Of an f32, as a kernel takes them for a number that is no size."""
    return int(np.float32(value).view(np.int32))


def _non_max_suppression(graph: Graph, value: Any, s: Selection) -> Any:
    boxes, scores = arguments(value)
    images, classes, n = sizes(scores.ty.shape)
    most, units = int(attribute(value, "most")), images * classes
    kernel = s.use("suppress_boxes", lambda isa: suppress(), scratch_bytes(s.most(n)))
    results = [tensor(units, most, dtype="int32"), tensor(units, dtype="int32")]
    least = attribute(value, "score")
    limits = [_bits(float(attribute(value, "iou"))), int(least is not None), _bits(float(least or 0.0))]
    scalars = [n, stride(4), stride(n), classes, most, *limits]
    work = Work.of("boxes", units, n)
    both = graph.emit(call(kernel, [boxes, scores], results, units, scalars, work=work))
    kept, counts = (graph.emit(relax.TupleGetItem(both, i)) for i in range(2))
    kernel = s.use("collect_boxes", lambda isa: collect())
    results = [tensor(product([units, most]), 3, dtype="int32"), tensor(1, dtype="int32")]
    return call(kernel, [kept, counts], results, 1, [units, classes, most], work=Work.of("boxes", 1))


def _non_zero(graph: Graph, value: Any, s: Selection) -> Any:
    (x,) = arguments(value)
    *before, columns = sizes(x.ty.shape)
    kernel = s.use("", lambda isa: places(len(before) + 1))
    rows = product(before)
    results = [tensor(product([rows, columns]), len(before) + 1, dtype="int32"), tensor(1, dtype="int32")]
    scalars = [columns, rows, stride(columns), *before]
    return call(kernel, [x], results, 1, scalars, work=Work.of("places", 1))


RULES: dict[str, Rule] = {"hearth.non_max_suppression": _non_max_suppression, "hearth.non_zero": _non_zero}
