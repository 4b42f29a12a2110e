"""Products with packed weights, and what prepares their activations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tvm import relax, tirx

from hearth.compiler.cpu.kernels import rounded_weight
from hearth.compiler.cpu.kernels.builder import Kernel
from hearth.compiler.cpu.kernels.head_product import head_product, head_product_name
from hearth.compiler.cpu.kernels.matmul import matmul
from hearth.compiler.cpu.kernels.norms import argmax, prepare
from hearth.compiler.cpu.kernels.pick_rows import pick_rows
from hearth.compiler.cpu.kernels.prepare_rows import RowPrepareSpec, prepare_rows
from hearth.compiler.cpu.kernels.product_output import MatmulSpec
from hearth.compiler.cpu.kernels.row_product import SHARES, RowProductSpec, row_product
from hearth.compiler.cpu.kernels.row_product_rows import RowProductRowsSpec, row_product_rows
from hearth.compiler.cpu.kernels.tiles import UNIT_BLOCKS
from hearth.compiler.cpu.selection import Product, Rule, Selection
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.parameters import Packed
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, stride, tensor, width
from hearth.compiler.work import Work, role
from hearth.quant.formats import LANES, round_up


def _prepare(graph: Graph, value: Any, s: Selection) -> Any:
    args, form = arguments(value), str(attribute(value, "form"))
    norm, gather = str(attribute(value, "norm")) or None, bool(attribute(value, "gather"))
    epsilon = float(attribute(value, "epsilon"))
    outputs = value.ty_args[0]
    types = [outputs] if form == "float" else list(outputs.fields)
    m, kp = types[0].shape[0], int(types[0].shape[1])
    size = width(args[0])
    scalars = [size, kp, stride(size)]
    if form == "rows":
        weight, bias = bool(norm and attribute(value, "weight")), bool(attribute(value, "bias"))
        sign = str(attribute(value, "sign", "signed"))
        rotated = int(attribute(value, "rotated"))
        spec = RowPrepareSpec(s.isas[0], norm, epsilon, weight, bias, gather, sign, rotated)  # type: ignore[arg-type]
        kernel = s.use(spec.name, lambda isa: prepare_rows(replace(spec, isa=isa)), spec.scratch_bytes(size))
    else:
        coarse = _coarse(value)

        def make(isa: Isa) -> Kernel:
            quantise = form == "groups"
            how = isa if coarse else None
            return prepare(norm=norm is not None, quantise=quantise, gather=gather, eps=epsilon, coarse=how)

        kernel = s.use("", make, scratch_bytes=4 * kp)
        scalars += coarse
    # Norm: square, sum, scale, weight. Quantisation: largest, scale, round, sum.
    does = "norm" if norm else "gather" if gather else "pad" if form == "float" else "quantise"
    work = Work.of(does, m, (4 * (norm is not None) + 4 * (form != "float")) * size, gathers=gather)
    out = outputs if form == "float" else types
    return call(kernel, args, out, m, scalars, grain=2, work=work)


def _coarse(value: Any) -> list[Any]:
    """The size that counts the first rows with one scale each, where an operation has such rows."""
    name = str(attribute(value, "coarse", ""))
    return [tirx.Var(name, "int64")] if name else []


def _product(graph: Graph, value: Any, s: Selection) -> Any:
    args = arguments(value)
    inputs = int(attribute(value, "inputs"))
    w = args[inputs]
    packed = s.parameters.packed[w.name]
    if packed.fmt.is_row:
        return _row_product(value, packed, [w, *args[:inputs], *args[inputs + 1 :]], s)
    epilogue = str(attribute(value, "epilogue", "store"))
    spec = MatmulSpec(
        packed.fmt,
        s.isas[0],
        activations="int8" if inputs == 2 else "float32",
        bias=bool(attribute(value, "bias", False)),
        epilogue=epilogue,  # type: ignore[arg-type]
        activation=str(attribute(value, "activation", "silu")),
        scale=float(attribute(value, "scale", 1.0)),
        softcap=float(attribute(value, "softcap", 0.0)) or None,
    )
    coarse = _coarse(value)

    def made(isa: Isa) -> Kernel:
        # Rows with scales of groups are tuned the same with and without coarse ones before them.
        return matmul(replace(s.tuned(spec, isa), coarse=bool(coarse)))

    m, kp = args[0].ty.shape[0], int(args[0].ty.shape[1])
    out = value.ty_args[0]
    units = round_up(packed.n, LANES) // LANES // (2 if epilogue == "gated" else 1)
    ld = LANES * units
    name = replace(spec, coarse=bool(coarse)).name
    kernel = s.use(name, made, rounded_weight.scratch_bytes(kp) if coarse else 0)
    buffers = [w, *args[:inputs], *args[inputs + 1 :]]
    unit_bytes = packed.size_bytes // units
    best = s.tuned(spec, s.isas[0])
    s.products.append(Product(best, units, unit_bytes, packed.blocks, kp))
    grain = best.tuning.grain(units, unit_bytes)
    if coarse:
        grain = round_up(grain, UNIT_BLOCKS)  # they take weights by pairs of blocks
    scalars = [m, packed.blocks, kp, ld, *coarse]
    operations = 2 * packed.n * int(packed.k or 0)
    work = Work.of(role(w.name), m, operations, arithmetic="int8" if inputs == 2 else "float32")
    if epilogue != "logits":
        return call(kernel, buffers, tensor(*list(out.shape)[:-1], ld), units, scalars, grain, work=work)
    types = [tensor(m, ld), tensor(m, units), tensor(m, units, dtype="int32")]
    parts = graph.emit(
        call(kernel, buffers, types, units, [*scalars, packed.n], grain, work=replace(work, role="head"))
    )
    logits, largest, where = (graph.emit(relax.TupleGetItem(parts, i)) for i in range(3))
    search = s.use("", lambda isa: argmax())
    found = graph.emit(call(search, [largest, where], out.fields[1], m, [units], work=Work.of("argmax", m, units)))
    return relax.Tuple([logits, found])


def _head_product(graph: Graph, value: Any, s: Selection) -> Any:
    """A product of each head with a matrix of its own."""
    *activations, w = arguments(value)
    packed = s.parameters.packed[w.name]
    int8 = len(activations) == 2
    spec = MatmulSpec(packed.fmt, s.isas[0], activations="int8" if int8 else "float32")
    kernel = s.use(head_product_name(spec), lambda isa: head_product(s.tuned(spec, isa)))
    m, heads, _ = value.ty_args[0].shape
    kp, units = int(activations[0].ty.shape[1]), round_up(packed.n, LANES) // LANES
    ld = packed.stack * units * LANES
    grain = s.tuned(spec, s.isas[0]).tuning.grain(packed.stack * units, packed.size_bytes // packed.stack // units)
    work = Work.of(
        role(w.name), m, 2 * packed.stack * packed.n * int(packed.k or 0), arithmetic="int8" if int8 else "float32"
    )  # fmt: skip
    scalars = [m, packed.blocks, kp, ld, units, packed.stack]
    out = tensor(m, heads, units * LANES)
    return call(kernel, [w, *activations], out, packed.stack * units, scalars, grain, work=work)


def _row_product(value: Any, packed: Packed, buffers: list[Any], s: Selection) -> Any:
    """A product with a scale for each weight row and each row of activations."""
    epilogue, out = str(attribute(value, "epilogue", "store")), value.ty_args[0]
    gated = epilogue == "gated"
    spec = RowProductSpec(
        packed.fmt,
        s.isas[0],
        bias=bool(attribute(value, "bias", False)),
        activation=str(attribute(value, "activation")) if epilogue in ("activate", "gated") else None,
        gated=gated,
        add=str(attribute(value, "add", "float")) if epilogue == "add" else "",  # type: ignore[arg-type]
        scale=float(attribute(value, "scale", 1.0)),
        after=str(attribute(value, "after", "")) or None,
        sign=str(attribute(value, "sign")),  # type: ignore[arg-type]
    )
    m, kp = buffers[1].ty.shape[0], int(buffers[1].ty.shape[1])
    blocks = round_up(packed.n, LANES) // LANES
    work = Work.of(role(packed.name), m, 2 * packed.n * int(packed.k or 0), arithmetic="int8")
    sign = str(attribute(value, "results", ""))
    if sign:
        leaving = RowProductRowsSpec(spec, sign, int(attribute(value, "rotated")))  # type: ignore[arg-type]
        columns = packed.n // 2 if gated else packed.n
        kernel = s.use(
            leaving.name,
            lambda isa: row_product_rows(replace(leaving, product=replace(spec, isa=isa))),
            leaving.scratch_bytes(kp, columns),
        )
        bytes_, scales = out.fields
        scalars = [m, kp, blocks, columns, int(bytes_.shape[1]), SHARES]
        return call(kernel, buffers, [bytes_, scales], SHARES, scalars, work=work)
    kernel = s.use(spec.name, lambda isa: row_product(replace(spec, isa=isa)), spec.scratch_bytes(kp))
    ld = LANES * (blocks // 2 if gated else blocks)
    shape = tensor(*list(out.shape)[:-1], ld)
    return call(kernel, buffers, shape, SHARES, [m, kp, blocks, ld, SHARES], work=work)


def _pick_rows(graph: Graph, value: Any, s: Selection) -> Any:
    args, types = arguments(value), list(value.ty_args[0].fields)
    size, picked, strides = ([int(n) for n in attribute(value, name)] for name in ("size", "picked", "strides"))
    kp, kernel = int(types[0].shape[1]), s.use("", lambda isa: pick_rows())
    pixels = types[0].shape[0]
    units = tirx.floordiv(pixels, picked[1])
    return call(kernel, args, types, units, [*size, kp, *picked, *strides], work=Work.of("pick", pixels, 0))


RULES: dict[str, Rule] = {
    "hearth.prepare": _prepare,
    "hearth.product": _product,
    "hearth.head_product": _head_product,
    "hearth.pick_rows": _pick_rows,
}
