"""Products with packed weights, and what prepares their activations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tvm import relax

from hearth.compiler.cpu.kernels.matmul import MatmulSpec, matmul
from hearth.compiler.cpu.kernels.norms import argmax, prepare
from hearth.compiler.cpu.selection import (
    LANES,
    Product,
    Rule,
    Selection,
    call,
    stride,
    tensor,
    width,
)
from hearth.compiler.cpu.targets import Isa
from hearth.compiler.cpu.tuning import DEFAULT_TUNING
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.work import Work, role
from hearth.quant.formats import round_up


def _prepare(graph: Graph, value: Any, s: Selection) -> Any:
    args = arguments(value)
    norm, gather = bool(attribute(value, "norm")), bool(attribute(value, "gather"))
    quantise, eps = bool(attribute(value, "quantise")), float(attribute(value, "epsilon"))
    outputs = value.ty_args[0]
    types = list(outputs.fields) if quantise else [outputs]
    m, kp = types[0].shape[0], int(types[0].shape[1])
    size = width(args[0])
    kernel = s.use("", lambda isa: prepare(norm=norm, quantise=quantise, gather=gather, eps=eps), scratch_bytes=4 * kp)
    # Norm: square, sum, scale, weight. Quantisation: largest, scale, round, sum.
    does = "norm" if norm else "gather" if gather else "quantise" if quantise else "pad"
    work = Work.of(does, m, (4 * norm + 4 * quantise) * size, gathers=gather)
    out = types if quantise else types[0]
    return call(kernel, args, out, m, [size, kp, stride(size)], grain=2, work=work)


def _product(graph: Graph, value: Any, s: Selection) -> Any:
    args = arguments(value)
    inputs = int(attribute(value, "inputs"))
    w = args[inputs]
    packed = s.parameters.packed[w.name]
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

    def tuned(isa: Isa) -> MatmulSpec:
        return replace(spec, isa=isa, tuning=s.tunings.get(isa.symbol(spec.name), DEFAULT_TUNING))

    m, kp = args[0].ty.shape[0], int(args[0].ty.shape[1])
    out = value.ty_args[0]
    units = round_up(packed.n, LANES) // LANES // (2 if epilogue == "gated" else 1)
    ld = LANES * units
    kernel = s.use(spec.name, lambda isa: matmul(tuned(isa)))
    buffers = [w, *args[:inputs], *args[inputs + 1 :]]
    unit_bytes = packed.size_bytes // units
    best = tuned(s.isas[0])
    s.products.append(Product(best, units, unit_bytes, packed.blocks, kp))
    grain = best.tuning.grain(units, unit_bytes)
    scalars = [m, packed.blocks, kp, ld]
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


RULES: dict[str, Rule] = {"hearth.prepare": _prepare, "hearth.product": _product}
