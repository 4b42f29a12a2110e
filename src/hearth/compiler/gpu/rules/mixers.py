"""Recurrent mixers of decoders: convolutions over tokens, the gated delta rule, scans, RWKV, gated norms."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from hearth.compiler.gpu.kernels.attention import FEW_TOKENS
from hearth.compiler.gpu.kernels.causal_conv import CHANNELS, CausalConvSpec, causal_conv
from hearth.compiler.gpu.kernels.channel_scan import CHANNELS as SCANNED
from hearth.compiler.gpu.kernels.channel_scan import ChannelRates, ChannelScanSpec, channel_scan
from hearth.compiler.gpu.kernels.gated_delta import GatedDeltaSpec, gated_delta
from hearth.compiler.gpu.kernels.gated_norm import GatedNormSpec, gated_norm
from hearth.compiler.gpu.kernels.rwkv import COPIED, RwkvSpec, rwkv, rwkv_inputs
from hearth.compiler.gpu.kernels.rwkv_mean import CHANNELS as MEANS
from hearth.compiler.gpu.kernels.rwkv_mean import NAME, rwkv_mean
from hearth.compiler.gpu.kernels.selective_scan import SelectiveScanSpec, selective_scan
from hearth.compiler.gpu.rules.moves import copied
from hearth.compiler.gpu.selection import GpuSelection, Rule, ceil_div, more_than, one
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, attributes, is_op
from hearth.compiler.physical import call, columns_of, stride, tensor, whole, width
from hearth.compiler.views import steps_of
from hearth.compiler.work import Work
from hearth.errors import Unsupported
from hearth.model.text.batch import LONGEST_TILE

_LONGEST = tirx.Var(LONGEST_TILE, "int64")
_MOST_HELD = 16
"""Vectors of a state that an invocation may hold in registers, of which small GPUs have few: those of 128 x 128."""


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


def _delta_spec(value: Any, norm: GatedNormSpec | None = None) -> GatedDeltaSpec:
    about = attributes(value)
    return GatedDeltaSpec(
        int(about["key_heads"]), int(about["value_heads"]), int(about["key_size"]), int(about["value_size"]),
        tiled=bool(about["tiled"]), strength=float(about["strength"]), norm=norm,
        by_key=bool(about["by_key"]),
    )  # fmt: skip


def _norm_spec(value: Any) -> GatedNormSpec:
    about = attributes(value)
    shared = width(arguments(value)[2]) == int(about["size"])
    return GatedNormSpec(float(about["epsilon"]), str(about["activation"]), bool(about["before"]), shared)


def _norm_within(graph: Graph, delta: Any) -> Any:
    """The gated norm behind a rule that can be a part of its step; None: there is none."""
    for _, value in graph.bindings:
        if not is_op(value, "hearth.gated_norm") or not delta.same_as(graph.value(arguments(value)[0])):
            continue
        spec = _norm_spec(value)
        rule = _delta_spec(delta, spec)
        a, b = (columns_of(graph, x)[0] for x in arguments(delta)[1:3])
        fits = spec.shared and not spec.before and int(attribute(value, "size")) == rule.value_size
        fits = fits and not rule.by_key  # whose a is no part of what b is
        if fits and a.same_as(b) and graph.only_use(arguments(value)[0]) and rule.holds <= _MOST_HELD:
            return value
    return None


def _delta_step(graph: Graph, delta: Any, norm: Any, units: Any, s: GpuSelection, *, within: bool) -> Any:
    """One step of the rule, with the norm behind it or without.

    Args:
        norm: what `_norm_within` says.
        units: of each head.
        within: the norm is a part of this step.
    """
    qkv, a, b, *gates, runs, state_to, state = arguments(delta)
    spec = _delta_spec(delta, _norm_spec(norm) if within else None)
    whole(spec.value_size, "values of a head of the gated delta rule")
    kernel = s.use(spec.name, lambda: [gated_delta(spec)])
    rows, columns = delta.ty_args[0].shape[0], spec.value_heads * spec.value_size
    (a, at_a, lda), (b, at_b, ldb) = columns_of(graph, a), columns_of(graph, b)
    operands, scalars = [runs, state_to], [stride(width(qkv)), lda, at_a, ldb, at_b, columns]
    if gates:
        # As one, they leave a buffer to others.
        key = ("delta_gates", graph, gates[0])
        if key not in s.kept:
            gates += [] if norm is None else [arguments(norm)[2]]
            s.kept[key] = graph.add_param(s.parameters.merge(gates, "delta_gates", "dense"))
        operands = [s.kept[key], *operands]
    if within:
        z, at_z, ldz = columns_of(graph, arguments(norm)[1])
        whole(at_z, "columns before those of a gate")
        operands, scalars = [qkv, a, *operands, z], [*scalars, ldz, at_z]
    else:
        operands = [qkv, a, b, *operands]
    # Of each number of the state: forgotten, asked by a key and by a query, and added to.
    work = Work.of("gated_delta", rows, 7 * spec.state_size + (8 * columns if within else 0))
    units = runs.ty.shape[0] * (units * (spec.value_heads * spec.groups))
    return call(kernel, [*operands, state], tensor(rows, columns), units, scalars, work=work, written=1)


def _gated_delta(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """Where the norm can be a part of it, only of many tokens: `_gated_norm` has the step for few."""
    norm = _norm_within(graph, value)
    units = one() if norm is None else more_than(_LONGEST, FEW_TOKENS)
    return _delta_step(graph, value, norm, units, s, within=False)


def _gated_norm(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, gate, weight = arguments(value)
    size, columns, spec = int(attribute(value, "size")), width(x), _norm_spec(value)
    gate, offset, ldz = columns_of(graph, gate)
    whole(size, "columns of a gated norm")
    whole(offset, "columns before those of a gate")
    kernel = s.use(spec.name, lambda: [gated_norm(spec)])
    rows, parts = x.ty.shape[0], columns // size
    units, operands, in_place = rows * parts, [x, gate, weight], False
    delta = graph.value(x)
    if is_op(delta, "hearth.gated_delta") and _norm_within(graph, delta) is not None:
        many = more_than(_LONGEST, FEW_TOKENS)
        made = graph.emit(_delta_step(graph, delta, value, one() - many, s, within=True))
        units, operands, in_place = units * many, [*operands, made], True
    work = Work.of("gated_norm", rows, 8 * columns)
    scalars = [parts, size, columns, ldz, offset, columns]
    return call(kernel, operands, tensor(rows, columns), units, scalars, work=work, in_place=in_place)


def _selective_scan(graph: Graph, value: Any, s: GpuSelection) -> Any:
    xbc, steps, decay, bias, through, runs, state_to, state = arguments(value)
    about = attributes(value)
    heads, groups, columns, size = (int(about[name]) for name in ("heads", "groups", "columns", "size"))
    spec = SelectiveScanSpec(heads, groups, columns, size, float(about["least"]), float(about["most"]) or None)
    whole(columns, "columns of a head of the selective scan")
    kernel = s.use(spec.name, lambda: [selective_scan(spec)])
    rows, ld = value.ty_args[0].shape[0], heads * columns
    steps, at, ld_steps = columns_of(graph, steps)
    # As one, they leave a buffer to others.
    gates = graph.add_param(s.parameters.merge([decay, bias, through], "scan_gates", "dense"))
    operands = [xbc, steps, gates, runs, state_to, state]
    # Of each number of the state: it fades, is added to and asked.
    work = Work.of("selective_scan", rows, 5 * spec.state_size)
    units = runs.ty.shape[0] * (heads * spec.blocks)
    return call(kernel, operands, tensor(rows, ld), units, [stride(width(xbc)), ld_steps, at, ld], work=work, written=1)


def _channel_scan(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """In place of the steps, which nothing else reads: for memory of its own the kernel would need one buffer more than
    there are."""
    x, steps, b, c, rates, bias, through, runs, state_to, state = arguments(value)
    size, channels = (int(each) for each in rates.ty.shape)
    whole(channels, "channels of the selective scan")
    spec = ChannelScanSpec(size)
    kernel = s.use(spec.name, lambda: [channel_scan(spec)])
    rows = value.ty_args[0].shape[0]
    if not graph.only_use(steps):
        steps = graph.emit(copied(steps, 0, steps_of(steps), value, s, padded=True))
    known = s.parameters.arrange([rates, bias, through], ChannelRates(size, channels), "scan")
    (b, at_b, ldb), (c, at_c, ldc) = columns_of(graph, b), columns_of(graph, c)
    operands = [x, b, c, graph.add_param(known), runs, state_to, state, steps]
    # Of each number of the state: what of it stays, it fades, is added to and asked.
    work = Work.of("channel_scan", rows, 8 * size * channels)
    units, scalars = runs.ty.shape[0] * ceil_div(channels, SCANNED), [ldb, at_b, ldc, at_c, channels, channels]
    return call(
        kernel, operands, tensor(rows, channels), units, [stride(width(x)), *scalars], work=work, in_place=True
    )  # fmt: skip


def _rwkv(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """All that a token brings is put in one row first, since there are not as many buffers."""
    *tensors, runs, state_to, state = arguments(value)
    spec = RwkvSpec.of(value)
    whole(spec.size, "columns of a head of RWKV")
    if spec.rows > _MOST_HELD:
        raise Unsupported(f"Heads of {spec.size} numbers are too large for RWKV on GPUs.")
    brought, gates = tensors[: len(spec.widths)], tensors[len(spec.widths) :]
    rows, columns = value.ty_args[0].shape[0], sum(spec.widths)
    join = rwkv_inputs(spec.widths).name
    s.use(join, lambda: [rwkv_inputs(spec.widths)])
    units = ceil_div(rows * (columns // 4), COPIED)
    together = graph.emit(call(join, brought, tensor(rows, columns), units, [rows], work=Work.of("move", rows)))
    kernel = s.use(spec.name, lambda: [rwkv(spec)])
    known = [graph.add_param(s.parameters.merge(gates, "rwkv_gates", "dense"))] if gates else []
    operands = [together, *known, runs, state_to, state]
    return call(
        kernel, operands, tensor(rows, spec.columns), runs.ty.shape[0] * spec.heads, [], work=spec.work(rows), written=1
    )


def _rwkv_mean(graph: Graph, value: Any, s: GpuSelection) -> Any:
    k, v, decay, bonus, runs, state_to, state = arguments(value)
    rows, channels = value.ty_args[0].shape[0], width(k)
    whole(channels, "channels of RWKV")
    kernel = s.use(NAME, lambda: [rwkv_mean()])
    rates = graph.add_param(s.parameters.merge([decay, bonus], "rwkv_rates", "dense"))
    # Two weights, and two sums of each, for what a token is told and for what it leaves.
    work, units = Work.of("rwkv", rows, 20 * channels), runs.ty.shape[0] * ceil_div(channels, MEANS)
    operands = [k, v, rates, runs, state_to, state]
    return call(kernel, operands, tensor(rows, channels), units, [channels], work=work, written=1)


RULES: dict[str, Rule] = {
    "hearth.causal_conv": _causal_conv,
    "hearth.channel_scan": _channel_scan,
    "hearth.gated_delta": _gated_delta,
    "hearth.gated_norm": _gated_norm,
    "hearth.rwkv": _rwkv,
    "hearth.rwkv_mean": _rwkv_mean,
    "hearth.selective_scan": _selective_scan,
}
