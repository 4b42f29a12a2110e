"""Products with packed weights: kernels for one row, a few and many, each of which runs where rows are so many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tvm import relax

from hearth.compiler.gpu.kernels.argmax import argmax
from hearth.compiler.gpu.kernels.few_rows import FewRowsSpec, few_rows
from hearth.compiler.gpu.kernels.many_rows import ManyRowsSpec, many_rows
from hearth.compiler.gpu.kernels.product_output import ProductSpec
from hearth.compiler.gpu.kernels.rotate import RotateSpec, rotate
from hearth.compiler.gpu.kernels.tile import TILE_ROWS
from hearth.compiler.gpu.rules.parts import Part, parts_of
from hearth.compiler.gpu.selection import GpuSelection, Rule, at_most, ceil_div, more_than
from hearth.compiler.parameters import Packed
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, rows, stride, tensor, width
from hearth.compiler.symbolic import bounds
from hearth.compiler.work import Work, role
from hearth.quant.formats import LANES, round_up

# So many rows are multiplied by one workgroup as weights pass by; more of them up to the second number, tile after
# tile, are still done sooner so than by tiles that would be more than half empty.
_FEW_ROWS, _MOST_FEW_ROWS = 4, TILE_ROWS // 2
# With so many blocks of outputs there are workgroups enough, so that each may be small and sum up most by itself.
_MANY_BLOCKS, _SOME_BLOCKS = 512, 256


def _product(graph: Graph, value: Any, s: GpuSelection) -> Any:
    epilogue, norm = str(attribute(value, "epilogue", "store")), attribute(value, "norm")
    gather, out = bool(attribute(value, "gather")), value.ty_args[0]
    args = arguments(value)
    activations = 1 + (norm is not None) + gather
    x, w = args[0], args[activations]
    packed, columns = s.parameters.packed[w.name], width(x)
    spec = ProductSpec(
        packed.fmt,
        bias=bool(attribute(value, "bias", False)),
        epilogue=epilogue,  # type: ignore[arg-type]
        activation=str(attribute(value, "activation")) if epilogue in ("activate", "gated") else "",
        scale=float(attribute(value, "scale", 1.0)),
        softcap=float(attribute(value, "softcap", 0.0)),
        after=str(attribute(value, "after", "")),
        norm=None if norm is None else float(norm),
        gather=gather,
        tail=ProductSpec.has_tail(columns),
    )
    m = args[activations - 1].ty.shape[0] if gather else rows(x)
    before, rest = list(args[:activations]), args[activations + 1 :]
    if packed.rotated > 1:
        before, spec = [_rotated(graph, spec, before, packed.rotated, m, s)], replace(spec, norm=None, gather=False)
    buffers = [w, *before, *rest]
    work = Work.of("head" if epilogue == "logits" else role(w.name), m, 2 * packed.n * int(packed.k or 0))
    if epilogue != "logits":
        ld = round_up(packed.n, LANES) // spec.parts
        return _steps(graph, spec, buffers, [tensor(*list(out.shape)[:-1], ld)], packed, m, work, s)[0]
    blocks = round_up(packed.n, LANES) // LANES
    types = [tensor(m, LANES * blocks), tensor(m, blocks), tensor(m, blocks, dtype="int32")]
    logits, largest, place = _steps(graph, spec, buffers, types, packed, m, work, s)
    kernel = s.use("argmax", lambda: [argmax()])
    work = Work.of("argmax", m, blocks)
    return relax.Tuple([logits, graph.emit(call(kernel, [largest, place], out.fields[1], m, [blocks], work=work))])


def _rotated(graph: Graph, spec: ProductSpec, before: list[Any], vectors: int, m: Any, s: GpuSelection) -> Any:
    """The activations of a weight whose rows are rotated, once for all products that read the same."""
    how = RotateSpec(vectors, spec)
    key = (how.name, graph, *before)
    if key not in s.kept:
        kernel, columns = s.use(how.name, lambda: [rotate(how)]), width(before[0])
        work = Work.of("rotate", m, columns * vectors.bit_length(), gathers=spec.gather)
        s.kept[key] = graph.emit(
            call(kernel, before, tensor(m, columns), m, [m, columns, stride(columns)], work=work)
        )  # fmt: skip
    return s.kept[key]


def _steps(
    graph: Graph, spec: ProductSpec, buffers: Sequence[Any], types: list[Any], packed: Packed, m: Any, work: Work,
    s: GpuSelection,
) -> list[Any]:  # fmt: skip
    """The results of a product, which several steps write: one for each range of numbers of rows, and for each part of
    the weight."""
    x, ldy = buffers[1], int(types[0].shape[-1])
    several = len(types) > 1
    results: list[Any] = []
    for part in parts_of(packed):
        for kernel, units, extent in _kernels(spec, part, m, s):
            scalars = [m, width(x), stride(width(x)), packed.blocks, *extent, ldy, part.first // spec.parts]
            if spec.epilogue == "logits":
                scalars.append(packed.n)
            step = call(
                kernel, [*buffers, *results], types if several else types[0], units, scalars, work=work,
                in_place=bool(results), parts=part.operand(0),
            )  # fmt: skip
            made = graph.emit(step)
            results = [graph.emit(relax.TupleGetItem(made, i)) for i in range(len(types))] if several else [made]
    return results


def _kernels(spec: ProductSpec, part: Part, m: Any, s: GpuSelection) -> Iterator[tuple[str, Any, list[Any]]]:
    """(kernel, units, scalars of its own) for each range of numbers of rows that there may be."""
    blocks = part.height // spec.parts
    least, most = bounds(m, s.symbols)
    # The fewer blocks there are, the more invocations must share one; as many for one row as for a few, so that a row
    # has the same bits among others.
    threads = 64 if blocks >= _MANY_BLOCKS else 128 if blocks >= _SOME_BLOCKS else 256

    def few(rows_at_once: int) -> str:
        made = FewRowsSpec(spec, rows_at_once, threads)
        return s.use(made.name, lambda: [few_rows(made)])

    if least <= 1:
        yield few(1), m * (blocks * at_most(m, 1)), []
    if least <= _MOST_FEW_ROWS and most > 1:
        tiles = ceil_div(m, _FEW_ROWS) * (blocks * at_most(m, _MOST_FEW_ROWS))
        yield few(_FEW_ROWS), tiles * more_than(m, 1), []
    if most > _MOST_FEW_ROWS:
        made = ManyRowsSpec(spec)
        name = s.use(made.name, lambda: [many_rows(made, features) for features in made.variants])
        tiles = ceil_div(m, TILE_ROWS) * (ceil_div(blocks, made.unit_blocks) * more_than(m, _MOST_FEW_ROWS))
        yield name, tiles, [part.height]


RULES: dict[str, Rule] = {"hearth.product": _product}
