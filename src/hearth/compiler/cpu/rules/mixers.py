"""Recurrent mixers of decoders: convolutions over tokens, the gated delta rule, selective scans, RWKV, gated
norms."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.causal_conv import BLOCK, CausalConvSpec, causal_conv
from hearth.compiler.cpu.kernels.channel_scan import LANES, ChannelScanSpec, channel_scan
from hearth.compiler.cpu.kernels.gated_delta import GatedDeltaSpec, gated_delta
from hearth.compiler.cpu.kernels.gated_norm import GatedNormSpec, gated_norm
from hearth.compiler.cpu.kernels.rwkv import RwkvSpec, rwkv
from hearth.compiler.cpu.kernels.rwkv_mean import NAME, rwkv_mean
from hearth.compiler.cpu.kernels.selective_scan import SelectiveScanSpec, selective_scan
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, attributes
from hearth.compiler.physical import call, columns_of, stride, tensor, whole, width
from hearth.compiler.work import Work


def _causal_conv(graph: Graph, value: Any, s: Selection) -> Any:
    x, w, *rest = arguments(value)
    taps, channels = (int(size) for size in w.ty.shape)
    whole(channels, "channels of a convolution over tokens")
    spec = CausalConvSpec(taps, bool(attribute(value, "bias")), str(attribute(value, "activation")))
    kernel = s.use(spec.name, lambda isa: causal_conv(spec))
    source, offset, ldx = columns_of(graph, x)
    runs, rows, blocks = rest[-3].ty.shape[0], value.ty_args[0].shape[0], -(-channels // BLOCK)
    state = rest.pop()
    y = tensor(rows, stride(channels))
    scalars = [ldx, offset, channels, stride(channels), blocks]
    work = Work.of("causal_conv", rows, 2 * taps * channels)
    return call(kernel, [source, w, *rest, state], y, runs * blocks, scalars, grain=4, work=work, written=1)


def _gated_delta(graph: Graph, value: Any, s: Selection) -> Any:
    qkv, a, b, *rest = arguments(value)
    about, runs = attributes(value), rest[-3]
    sizes = {name: int(about[name]) for name in ("key_heads", "value_heads", "key_size", "value_size")}
    tiled, by_key = bool(about["tiled"]), bool(about["by_key"])
    spec = GatedDeltaSpec(**sizes, tiled=tiled, strength=float(about["strength"]), by_key=by_key)
    whole(spec.value_size, "values of a head of the gated delta rule")
    rows, columns = value.ty_args[0].shape[0], spec.value_heads * spec.value_size
    kernel = s.use(spec.name, lambda isa: gated_delta(spec), spec.scratch_bytes(s.most(rows)))
    (a, at_a, lda), (b, at_b, ldb) = columns_of(graph, a), columns_of(graph, b)
    scalars = [stride(width(qkv)), lda, at_a, ldb, at_b, stride(columns)]
    operands = [qkv, a, b, *rest]
    # Of each number of the state: forgotten, asked by a key and by a query, and added to.
    work = Work.of("gated_delta", rows, 7 * spec.state_size)
    units = runs.ty.shape[0] * spec.value_heads
    return call(kernel, operands, tensor(rows, stride(columns)), units, scalars, work=work, written=1)


def _selective_scan(graph: Graph, value: Any, s: Selection) -> Any:
    xbc, steps, *rates, runs, state_to, state = arguments(value)
    about = attributes(value)
    heads, groups, columns, size = (int(about[name]) for name in ("heads", "groups", "columns", "size"))
    spec = SelectiveScanSpec(heads, groups, columns, size, float(about["least"]), float(about["most"]) or None)
    whole(columns, "columns of a head of the selective scan")
    rows, ld = value.ty_args[0].shape[0], stride(heads * columns)
    kernel = s.use(spec.name, lambda isa: selective_scan(spec), spec.scratch_bytes(s.most(rows)))
    steps, at, ld_steps = columns_of(graph, steps)
    operands = [xbc, steps, *rates, runs, state_to, state]
    # Of each number of the state: it fades, is added to and asked.
    work = Work.of("selective_scan", rows, 5 * spec.state_size)
    units = runs.ty.shape[0] * heads
    return call(kernel, operands, tensor(rows, ld), units, [stride(width(xbc)), ld_steps, at, ld], work=work, written=1)


def _channel_scan(graph: Graph, value: Any, s: Selection) -> Any:
    x, steps, b, c, *rest = arguments(value)
    size, channels = (int(each) for each in rest[0].ty.shape)
    whole(channels, "channels of the selective scan")
    spec = ChannelScanSpec(size)
    kernel = s.use(spec.name, lambda isa: channel_scan(spec), spec.scratch_bytes)
    rows, ld = value.ty_args[0].shape[0], stride(channels)
    (b, at_b, ldb), (c, at_c, ldc) = columns_of(graph, b), columns_of(graph, c)
    scalars = [stride(width(x)), stride(width(steps)), ldb, at_b, ldc, at_c, channels, ld]
    # Of each number of the state: what of it stays, it fades, is added to and asked.
    work = Work.of("channel_scan", rows, 8 * size * channels)
    units = rest[-3].ty.shape[0] * (channels // LANES)
    return call(kernel, [x, steps, b, c, *rest], tensor(rows, ld), units, scalars, grain=4, work=work, written=1)


def _gated_norm(graph: Graph, value: Any, s: Selection) -> Any:
    x, gate, weight = arguments(value)
    about = attributes(value)
    size, columns = int(about["size"]), width(x)
    whole(size, "columns of a gated norm")
    shared = width(weight) == size
    spec = GatedNormSpec(float(about["epsilon"]), str(about["activation"]), bool(about["before"]), shared)
    kernel = s.use(spec.name, lambda isa: gated_norm(spec))
    gate, offset, ldz = columns_of(graph, gate)
    rows, ld = x.ty.shape[0], stride(columns)
    scalars = [columns // size, size, ld, ldz, offset, ld]
    work = Work.of("gated_norm", rows, 8 * columns)
    return call(kernel, [x, gate, weight], tensor(rows, ld), rows, scalars, grain=2, work=work)


def _rwkv(graph: Graph, value: Any, s: Selection) -> Any:
    *tensors, runs, state_to, state = arguments(value)
    spec = RwkvSpec.of(value)
    whole(spec.size, "columns of a head of RWKV")
    rows = value.ty_args[0].shape[0]
    kernel = s.use(spec.name, lambda isa: rwkv(spec), spec.scratch_bytes(s.most(rows)))
    operands = [*tensors, runs, state_to, state]
    return call(
        kernel, operands, tensor(rows, spec.columns), runs.ty.shape[0] * spec.heads, [], work=spec.work(rows), written=1
    )


def _rwkv_mean(graph: Graph, value: Any, s: Selection) -> Any:
    *tensors, runs, state_to, state = arguments(value)
    rows, channels = value.ty_args[0].shape[0], width(tensors[0])
    whole(channels, "channels of RWKV")
    kernel = s.use(NAME, lambda isa: rwkv_mean())
    # Two weights, and two sums of each, for what a token is told and for what it leaves.
    work = Work.of("rwkv", rows, 20 * channels)
    units, operands = runs.ty.shape[0] * (channels // LANES), [*tensors, runs, state_to, state]
    return call(kernel, operands, tensor(rows, channels), units, [channels], grain=4, work=work, written=1)


RULES: dict[str, Rule] = {
    "hearth.causal_conv": _causal_conv,
    "hearth.channel_scan": _channel_scan,
    "hearth.gated_delta": _gated_delta,
    "hearth.gated_norm": _gated_norm,
    "hearth.rwkv": _rwkv,
    "hearth.rwkv_mean": _rwkv_mean,
    "hearth.selective_scan": _selective_scan,
}
