"""Products with packed weights: kernels for one row, a few and many, each of which runs where rows are so many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tvm import relax

from hearth.compiler.gpu.carry import carried_norm, may_carry
from hearth.compiler.gpu.features import MAX_STORAGE_BUFFERS
from hearth.compiler.gpu.kernels.argmax import argmax_variants
from hearth.compiler.gpu.kernels.few_rows import FewRowsSpec, few_rows, threads_for
from hearth.compiler.gpu.kernels.many_rows import ManyRowsSpec, many_rows
from hearth.compiler.gpu.kernels.product_output import Carried, ProductSpec
from hearth.compiler.gpu.kernels.rotate import RotateSpec, rotate
from hearth.compiler.gpu.kernels.tile import TILE_ROWS
from hearth.compiler.gpu.rules.parts import Part, operands_of, parts_of, together
from hearth.compiler.gpu.selection import (
    FEW_ROWS,
    MOST_FEW_ROWS,
    GpuSelection,
    Rule,
    at_most,
    ceil_div,
    more_than,
    one,
)
from hearth.compiler.parameters import Packed
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, rows, stride, tensor, width
from hearth.compiler.symbolic import bounds
from hearth.compiler.work import Work, role
from hearth.quant.formats import LANES, round_up


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
        notes_squares=bool(attribute(value, "notes_squares", False)),
        tail=ProductSpec.has_tail(columns),
    )
    m = args[activations - 1].ty.shape[0] if gather else rows(x)
    before, rest = list(args[:activations]), args[activations + 1 :]
    norm_before = carried_norm(graph, x)
    if packed.rotated > 1:
        before, spec = [_rotated(graph, spec, before, packed.rotated, m, s)], replace(spec, norm=None, gather=False)
    how = _Product(spec, packed, [w], before, list(rest), m, None if norm_before is None else _Carry(norm_before, x))
    work = Work.of("head" if epilogue == "logits" else role(w.name), m, 2 * packed.n * int(packed.k or 0))
    blocks = round_up(packed.n, LANES) // LANES
    if epilogue != "logits":
        shape = list(value.ty_args[0].fields[0].shape if spec.notes_squares else out.shape)
        types = [tensor(*shape[:-1], LANES * blocks // spec.parts)]
        if spec.notes_squares:
            return relax.Tuple(_steps(graph, how, [*types, tensor(m, blocks)], work, s))
        return _steps(graph, how, types, work, s)[0]
    types = [tensor(m, LANES * blocks), tensor(m, blocks, 2, dtype="int32")]
    logits, largest = _steps(graph, how, types, work, s)
    s.kept["largest", graph] = largest
    kernel = s.use("argmax", argmax_variants)
    work = Work.of("argmax", m, blocks)
    return relax.Tuple([logits, graph.emit(call(kernel, [largest], out.fields[1], m, [blocks], work=work))])


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


def _steps(graph: Graph, how: _Product, types: list[Any], work: Work, s: GpuSelection) -> list[Any]:
    """The results of a product, which several steps write: one for each range of numbers of rows, and for each part of
    the weight."""
    ldy, results = int(types[0].shape[-1]), list[Any]()
    for chosen in _kernels(how, len(types), s):
        spec, parts = chosen.spec, chosen.parts
        columns, first = width(how.before[0]), parts[0].first // spec.parts
        scalars = [how.m, columns, stride(columns), how.packed.blocks, parts[0].height, ldy, first]
        if spec.epilogue == "logits" or spec.notes_squares:
            scalars.append(how.packed.n)
        # Tiles of many rows note no squares.
        written = [*results[:1], *(results[1:] if spec.notes_squares or spec.epilogue == "logits" else [])]
        operands, sums, earlier = how.operands(spec)
        out = [*types[: len(written) or len(types)], *(like(each) for each in sums)]
        step = call(
            chosen.kernel, [*how.weight * len(parts), *operands, *written, *sums], out if len(out) > 1 else out[0],
            chosen.units, scalars, work=work, in_place=bool(written), parts=operands_of(parts, 0), earlier=earlier,
        )  # fmt: skip
        made = graph.emit(step)
        new = [graph.emit(relax.TupleGetItem(made, i)) for i in range(len(out))] if len(out) > 1 else [made]
        count = len(new) - len(sums)
        results = [*new[:count], *results[count:]]
    return results


@dataclass(frozen=True)
class _Carry:
    """The norm that a product carries, and the sum that it leaves."""

    norm: Any
    sum: Any

    def spec(self, product: ProductSpec) -> ProductSpec:
        """Of the kernel that does so, for the only row there is."""
        stores = product.epilogue != "logits"
        carried = Carried(float(attribute(self.norm, "epsilon")), float(attribute(self.norm, "scale")), stores)
        return replace(product, carried=carried, gather=False)


@dataclass(frozen=True)
class _Product:
    """What all kernels of a product are given.

    Attributes:
        before: activations, and what they are normed and chosen by.
        rest: bias and residual.
        m: rows.
    """

    spec: ProductSpec
    packed: Packed
    weight: list[Any]
    before: list[Any]
    rest: list[Any]
    m: Any
    carry: _Carry | None

    def operands(self, spec: ProductSpec) -> tuple[list[Any], list[Any], list[int]]:
        """Of a kernel: what it reads beside the weight; the sum that it leaves, if it does; and which are another
        layer's."""
        if spec.carried is None or self.carry is None:
            return [*self.before, *self.rest], [], []
        y, added_gain, residual, noted = arguments(self.carry.norm)
        gain = self.before[1:2] if spec.norm is not None else []
        read = [residual, y, noted, added_gain, *gain, *self.rest]
        return read, [self.carry.sum] if spec.carried.stores else [], [4]


@dataclass(frozen=True)
class _Chosen:
    """A kernel, its workgroups, and the parts of the weight that it is given."""

    spec: ProductSpec
    parts: list[Part]
    kernel: str
    units: Any


def _kernels(how: _Product, num_results: int, s: GpuSelection) -> Iterator[_Chosen]:
    """One for each range of numbers of rows that there may be, and for the only row of a call that carries; for all
    parts of the weight, as many at a time as there are buffers for. Tiles have no need of that: of many rows a step
    more costs nothing."""
    spec, m = how.spec, how.m
    least, most = bounds(m, s.symbols)
    all_parts = parts_of(how.packed)
    room = 1 if how.packed.fmt.is_row else MAX_STORAGE_BUFFERS - len(how.before) - len(how.rest) - num_results

    def few(spec: ProductSpec, rows_at_once: int, parts: list[Part], units: Any) -> _Chosen:
        """`units`: for each block of outputs."""
        blocks = sum(part.height for part in parts) // spec.parts
        made = FewRowsSpec(spec, rows_at_once, threads_for(blocks), len(parts))
        return _Chosen(spec, parts, s.use(made.name, lambda: [few_rows(made)]), units * blocks)

    for parts in together(all_parts, room):
        if least <= 1 and how.carry is None:
            yield few(spec, 1, parts, m * at_most(m, 1))
        elif least <= 1:
            yield few(spec, 1, parts, m * at_most(m, 1) * (one() - may_carry()))
        if least <= MOST_FEW_ROWS and most > 1:
            units = ceil_div(m, FEW_ROWS) * at_most(m, MOST_FEW_ROWS) * more_than(m, 1)
            yield few(spec, FEW_ROWS, parts, units)
    for part in all_parts:
        if least <= 1 and how.carry is not None:
            yield few(how.carry.spec(spec), 1, [part], m * at_most(m, 1) * may_carry())
        if most > MOST_FEW_ROWS:
            made = ManyRowsSpec(replace(spec, notes_squares=False))
            name = s.use(made.name, lambda made=made: [many_rows(made, each) for each in made.variants])  # type: ignore[misc]
            blocks = ceil_div(part.height // spec.parts, made.unit_blocks)
            yield _Chosen(made.product, [part], name, ceil_div(m, TILE_ROWS) * (blocks * more_than(m, MOST_FEW_ROWS)))


def _head_product(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """A product of each head with a matrix of its own: for one token, and for several."""
    x, w = arguments(value)
    packed, columns = s.parameters.packed[w.name], width(x)
    tokens, heads, _ = x.ty.shape
    units = round_up(packed.n, LANES) // LANES
    spec, m = ProductSpec(packed.fmt, tail=ProductSpec.has_tail(columns)), rows(x)
    ld, threads = packed.stack * units * LANES, threads_for(packed.stack * units)
    work = Work.of(role(w.name), tokens, 2 * packed.stack * packed.n * int(packed.k or 0))
    made: list[Any] = []
    for parts in together(parts_of(packed), MAX_STORAGE_BUFFERS - 2):
        blocks = sum(part.height for part in parts)
        for at_once, tiles in (
            (1, at_most(tokens, 1)),
            (FEW_ROWS, ceil_div(tokens, FEW_ROWS) * more_than(tokens, 1)),
        ):
            how = FewRowsSpec(spec, at_once, threads, len(parts), heads=True)
            kernel = s.use(how.name, lambda how=how: [few_rows(how)])  # type: ignore[misc]
            scalars = [m, columns, stride(columns), packed.blocks, parts[0].height, ld, parts[0].first]
            step = call(
                kernel, [*[w] * len(parts), x, *made], tensor(tokens, heads, units * LANES), blocks * tiles,
                [*scalars, units, packed.stack], work=work, in_place=bool(made), parts=operands_of(parts, 0),
            )  # fmt: skip
            made = [graph.emit(step)]
    return made[0]


RULES: dict[str, Rule] = {"hearth.product": _product, "hearth.head_product": _head_product}
