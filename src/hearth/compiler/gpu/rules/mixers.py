"""Recurrent mixers of decoders: convolutions over the last tokens, the gated delta rule, and the norm behind it."""

from __future__ import annotations

from typing import Any

from hearth.compiler.gpu.kernels.causal_conv import CHANNELS, CausalConvSpec, causal_conv
from hearth.compiler.gpu.kernels.gated_delta import GatedDeltaSpec, gated_delta
from hearth.compiler.gpu.kernels.gated_norm import GatedNormSpec, gated_norm
from hearth.compiler.gpu.selection import GpuSelection, Rule, ceil_div
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, attributes
from hearth.compiler.physical import call, columns_of, stride, tensor, whole, width
from hearth.compiler.work import Work


def _causal_conv(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, w, *rest = arguments(value)
    taps, channels = (int(size) for size in w.ty.shape)
    source, offset, ldx = columns_of(graph, x)
    whole(channels, "channels of a convolution over tokens")
    whole(offset, "columns before those of a convolution over tokens")
    spec = CausalConvSpec(taps, bool(attribute(value, "bias")), str(attribute(value, "activation")))
    kernel = s.use(spec.name, lambda: [causal_conv(spec)])
    rows, runs = value.ty_args[0].shape[0], rest[-3].ty.shape[0]
    work = Work.of("causal_conv", rows, 2 * taps * channels)
    units = runs * ceil_div(channels, CHANNELS)
    return call(
        kernel, [source, w, *rest], tensor(rows, channels), units, [ldx, offset, channels, channels], work=work,
        written=1,
    )  # fmt: skip


def _gated_delta(graph: Graph, value: Any, s: GpuSelection) -> Any:
    qkv, a, b, decay, bias, runs, state_to, state = arguments(value)
    about = attributes(value)
    sizes = {name: int(about[name]) for name in ("key_heads", "value_heads", "key_size", "value_size")}
    spec = GatedDeltaSpec(**sizes, tiled=bool(about["tiled"]), strength=float(about["strength"]))
    whole(spec.value_size, "values of a head of the gated delta rule")
    kernel = s.use(spec.name, lambda: [gated_delta(spec)])
    rows, columns = value.ty_args[0].shape[0], spec.value_heads * spec.value_size
    (a, at_a, lda), (b, at_b, ldb) = columns_of(graph, a), columns_of(graph, b)
    # As one, they leave a buffer to others.
    gates = graph.add_param(s.parameters.merge([decay, bias], "delta_gates", "dense"))
    # Of each number of the state: forgotten, asked by a key and by a query, and added to.
    work = Work.of("gated_delta", rows, 7 * spec.state_size)
    units = runs.ty.shape[0] * (spec.value_heads * spec.blocks)
    return call(
        kernel, [qkv, a, b, gates, runs, state_to, state], tensor(rows, columns), units,
        [stride(width(qkv)), lda, at_a, ldb, at_b, columns], work=work, written=1,
    )  # fmt: skip


def _gated_norm(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, gate, weight = arguments(value)
    about = attributes(value)
    size, columns = int(about["size"]), width(x)
    gate, offset, ldz = columns_of(graph, gate)
    whole(size, "columns of a gated norm")
    whole(offset, "columns before those of a gate")
    shared = width(weight) == size
    spec = GatedNormSpec(float(about["epsilon"]), str(about["activation"]), bool(about["before"]), shared)
    kernel = s.use(spec.name, lambda: [gated_norm(spec)])
    rows, parts = x.ty.shape[0], columns // size
    work = Work.of("gated_norm", rows, 8 * columns)
    scalars = [parts, size, columns, ldz, offset, columns]
    return call(kernel, [x, gate, weight], tensor(rows, columns), rows * parts, scalars, work=work)


RULES: dict[str, Rule] = {
    "hearth.causal_conv": _causal_conv,
    "hearth.gated_delta": _gated_delta,
    "hearth.gated_norm": _gated_norm,
}
