"""Mixtures of experts: the choice, the order of what is computed, products with the matrices of experts, their sum."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.kernels.expert_product import ExpertProductSpec, expert_product
from hearth.compiler.cpu.kernels.experts import RouteSpec, combine_experts, order_experts, route
from hearth.compiler.cpu.kernels.product_output import MatmulSpec
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, attributes
from hearth.compiler.physical import call, stride, tensor, width
from hearth.compiler.work import Work, role
from hearth.quant.formats import LANES, round_up


def _route(graph: Graph, value: Any, s: Selection) -> Any:
    args, (ids, weights) = arguments(value), value.ty_args[0].fields
    about = attributes(value)
    scale = float(about["scale"])
    spec = RouteSpec(
        str(about["scores"]), bool(about["choice_bias"]), bool(about["normalise"]), scale, int(about["groups"]),
        int(about["used_groups"]), int(about["best_of_group"]), bool(about["expert_scale"]),
    )  # fmt: skip
    experts, used = width(args[0]), int(ids.shape[1])
    kernel = s.use(spec.name, lambda isa: route(spec), spec.scratch_bytes(experts))
    rows = ids.shape[0]
    scalars = [experts, used, stride(experts), stride(used)]
    out = [ids, tensor(weights.shape[0], stride(used))]
    return call(kernel, args, out, rows, scalars, grain=2, work=Work.of("route", rows, (8 + used) * experts))


def _order(graph: Graph, value: Any, s: Selection) -> Any:
    (ids,), types = arguments(value), list(value.ty_args[0].fields)
    count, used = int(types[0].shape[0]), int(ids.ty.shape[1])
    kernel = s.use("", lambda isa: order_experts(), scratch_bytes=4 * count)
    pairs = types[2].shape[0]
    return call(kernel, [ids], types, 1, [pairs, used, count], work=Work.of("order", pairs, 1))


def _product(graph: Graph, value: Any, s: Selection) -> Any:
    args, inputs = arguments(value), int(attribute(value, "inputs"))
    w = args[inputs]
    packed = s.parameters.packed[w.name]
    epilogue = str(attribute(value, "epilogue", "store"))
    spec = MatmulSpec(
        packed.fmt,
        s.isas[0],
        activations="int8" if inputs == 2 else "float32",
        bias=bool(attribute(value, "bias")),
        epilogue=epilogue,  # type: ignore[arg-type]
        activation=str(attribute(value, "activation", "silu")),
    )
    gathers = bool(attribute(value, "gathers"))

    def made(isa: Isa) -> Kernel:
        return expert_product(ExpertProductSpec(s.tuned(spec, isa), gathers))

    kernel = s.use(ExpertProductSpec(spec, gathers).name, made)
    kp = int(args[0].ty.shape[1])
    units = round_up(packed.n, LANES) // LANES // (2 if epilogue == "gated" else 1)
    rows, ld, used = value.ty_args[0].shape[0], LANES * units, int(attribute(value, "used"))
    grain = s.tuned(spec, s.isas[0]).tuning.grain(used * units, packed.size_bytes // packed.stack // units)
    work = Work.of(
        role(w.name), rows, 2 * packed.n * int(packed.k or 0), arithmetic="int8" if inputs == 2 else "float32",
        chosen=used,
    )  # fmt: skip
    # Those that a few tokens did not choose have no units at all.
    experts = tirx.min(rows, tirx.IntImm("int64", packed.stack))
    buffers = [w, *args[:inputs], *args[inputs + 1 :]]
    return call(kernel, buffers, tensor(rows, ld), experts * units, [packed.blocks, kp, ld, units], grain, work=work)


def _combine(graph: Graph, value: Any, s: Selection) -> Any:
    args, add = arguments(value), bool(attribute(value, "add", False))
    scale = float(attribute(value, "scale", 1.0))
    kernel = s.use("", lambda isa: combine_experts(add=add, scale=scale))
    used, rows = int(args[1].ty.shape[1]), args[1].ty.shape[0]
    ld = stride(int(value.ty_args[0].shape[1]))
    work = Work.of("combine", rows, 2 * used * ld)
    return call(kernel, args, tensor(rows, ld), rows, [used, ld, stride(used)], grain=2, work=work)


RULES: dict[str, Rule] = {
    "hearth.route": _route,
    "hearth.order_experts": _order,
    "hearth.expert_product": _product,
    "hearth.combine_experts": _combine,
}
