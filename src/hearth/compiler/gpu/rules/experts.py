"""Mixtures of experts: the choice, the order of what is computed, products with the matrices of experts, their sum.

Where there are few pairs of a token and an expert, each is multiplied for itself and nothing is put in order. Where
there are more than two for each expert, several of one expert are multiplied by its weights as these pass by. A pair
has the same bits either way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tvm import relax, tirx

from hearth.compiler.gpu.features import MAX_STORAGE_BUFFERS
from hearth.compiler.gpu.kernels.experts import (
    COMBINED,
    MOST_EXPERTS,
    TILE_FIELDS,
    RouteSpec,
    combine_experts,
    combine_name,
    order_experts,
    order_name,
    route,
)
from hearth.compiler.gpu.kernels.few_rows import FewRowsSpec, few_rows, threads_for
from hearth.compiler.gpu.kernels.product_output import ProductSpec
from hearth.compiler.gpu.rules.parts import operands_of, parts_of, together
from hearth.compiler.gpu.selection import FEW_ROWS, GpuSelection, Rule, at_most, ceil_div, more_than
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, attributes
from hearth.compiler.physical import call, stride, tensor, width
from hearth.compiler.work import Work, role
from hearth.errors import Unsupported
from hearth.quant.formats import LANES, round_up


def _most_alone(count: int) -> int:
    """So many pairs are multiplied one by one, where there are so many experts."""
    return 2 * count


def _route(graph: Graph, value: Any, s: GpuSelection) -> Any:
    args, (ids, weights) = arguments(value), value.ty_args[0].fields
    about, count, used = attributes(value), width(args[0]), int(ids.shape[1])
    if count > MOST_EXPERTS:
        raise Unsupported(f"{count} experts cannot be compiled for GPUs: {MOST_EXPERTS} at most.")
    spec = RouteSpec(
        count, used, str(about["scores"]), bool(about["choice_bias"]), bool(about["normalise"]), float(about["scale"]),
        int(about["groups"]), int(about["used_groups"]), int(about["best_of_group"]), bool(about["expert_scale"]),
    )  # fmt: skip
    kernel, rows = s.use(spec.name, lambda: [route(spec)]), ids.shape[0]
    out = [ids, tensor(weights.shape[0], stride(used))]
    work = Work.of("route", rows, (8 + used) * count)
    return call(kernel, args, out, rows, [stride(count), stride(used)], work=work)


def _order(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """The ids in place of `experts`, and tiles in place of `starts`."""
    (ids,), (experts, _, tokens, places) = arguments(value), value.ty_args[0].fields
    count, used, pairs = int(experts.shape[0]), int(ids.ty.shape[1]), tokens.shape[0]
    kernel = s.use(order_name(count, FEW_ROWS), lambda: [order_experts(count, FEW_ROWS)])
    tiles = _tiles(count, pairs)
    types = [tensor(tiles, TILE_FIELDS, dtype="int32"), tokens, places]
    units, work = more_than(pairs, _most_alone(count)), Work.of("order", pairs, 1)
    made = graph.emit(call(kernel, [ids], types, units, [pairs, used, tiles], work=work))
    return relax.Tuple([ids, *(graph.emit(relax.TupleGetItem(made, i)) for i in range(3))])


def _tiles(count: int, pairs: Any) -> Any:
    """No more tiles than that: each is full, or an expert's last."""
    return ceil_div(pairs, FEW_ROWS) + tirx.IntImm("int64", count)


def _product(graph: Graph, value: Any, s: GpuSelection) -> Any:
    norm, epilogue = attribute(value, "norm"), str(attribute(value, "epilogue", "store"))
    args, activations = arguments(value), 1 + (norm is not None)
    before, w, rest = list(args[:activations]), args[activations], list(args[activations + 1 :])
    bias = [rest.pop()] if attribute(value, "bias") else []
    ids, tiles, *tokens = rest
    packed, columns, used = s.parameters.packed[w.name], width(args[0]), int(attribute(value, "used"))
    spec = ProductSpec(
        packed.fmt,
        epilogue=epilogue,  # type: ignore[arg-type]
        activation=str(attribute(value, "activation")) if epilogue in ("activate", "gated") else "",
        bias=bool(bias),
        norm=None if norm is None else float(norm),
        tail=ProductSpec.has_tail(columns),
    )
    pairs, units = value.ty_args[0].shape[0], round_up(packed.n, LANES) // LANES // spec.parts
    ld, count, limit = LANES * units, packed.stack, _most_alone(packed.stack)
    threads = threads_for(units * used)
    work = Work.of(role(w.name), pairs, 2 * packed.n * int(packed.k or 0), chosen=used)
    made: list[Any] = []
    buffers = activations + len(tokens) + len(bias) + 2  # which pairs, and the result
    for parts in together(parts_of(packed), MAX_STORAGE_BUFFERS - buffers):
        begin = parts[0].first
        alone = FewRowsSpec(spec, 1, threads, len(parts), experts=True)
        several = replace(alone, product=replace(spec, gather=bool(tokens)), rows=FEW_ROWS)
        num_tiles = _tiles(count, pairs)
        for how, whose, m, chosen in (
            (alone, [ids], pairs, at_most(pairs, limit)),
            (several, [*tokens, tiles], num_tiles, more_than(pairs, limit)),
        ):
            kernel = s.use(how.name, lambda how=how: [few_rows(how)])  # type: ignore[misc]
            scalars = [m, columns, stride(columns), packed.blocks, parts[0].height, ld, 0, units, begin]
            step = call(
                kernel, [*[w] * len(parts), *before, *whose, *bias, *made], tensor(pairs, ld), m * (units * chosen),
                [*scalars, used if tokens else 1], work=work, in_place=bool(made), parts=operands_of(parts, 0),
            )  # fmt: skip
            made = [graph.emit(step)]
    return made[0]


def _combine(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, places, weights, *residual = arguments(value)
    scale, used, rows = float(attribute(value, "scale", 1.0)), int(places.ty.shape[1]), places.ty.shape[0]
    order = graph.value(graph.value(places).tuple_value)
    ordered = more_than(rows * used, _most_alone(int(order.ty_args[0].fields[0].shape[0])))
    name = combine_name(add=bool(residual), scale=scale)
    kernel = s.use(name, lambda: [combine_experts(add=bool(residual), scale=scale)])
    ld = stride(int(value.ty_args[0].shape[1]))
    work = Work.of("combine", rows, 2 * used * ld)
    scalars = [rows, used, ld, stride(used), ordered]
    units = ceil_div(rows * (ld // 4), COMBINED)
    return call(kernel, [x, places, weights, *residual], tensor(rows, ld), units, scalars, work=work)


RULES: dict[str, Rule] = {
    "hearth.route": _route,
    "hearth.order_experts": _order,
    "hearth.expert_product": _product,
    "hearth.combine_experts": _combine,
}
