"""The likeliest tokens of rows of logits, where a call wants them."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from hearth.compiler.gpu.kernels.likeliest import LIKELIEST, likeliest
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph, arguments
from hearth.compiler.physical import call, stride, tensor, width
from hearth.compiler.work import Work
from hearth.model.text.batch import LIKELIEST_ROWS
from hearth.quant.formats import LANES, round_up


def _likeliest(graph: Graph, value: Any, s: GpuSelection) -> Any:
    (logits,) = arguments(value)
    n, m = width(logits), tirx.Var(LIKELIEST_ROWS, "int64")
    blocks = round_up(n, LANES) // LANES
    kernel = s.use("likeliest", lambda: [likeliest()])
    out = tensor(logits.ty.shape[0], 2 * LIKELIEST, dtype="int32")
    work = Work.of("likeliest", m, 2 * blocks)
    return call(kernel, [logits, s.kept["largest", graph]], out, m, [n, stride(n), blocks], work=work)


RULES: dict[str, Rule] = {"hearth.likeliest": _likeliest}
