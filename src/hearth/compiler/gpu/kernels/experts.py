"""What is around the products of experts: which are chosen for a token, in which order these are computed where tokens
are many, and how what they computed becomes one row again.

A *pair* is a token and one of its experts, in the order of its choice: pair token * used + i. Where there are few
pairs, each is computed for itself, in its own place. Where there are many, those of an expert stand together
(`order_experts`), so that its weights are read once for several of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import (
    Expr,
    GpuKernel,
    Memory,
    Register,
    builtin,
    div,
    f32,
    fma,
    i32,
    mod,
    splat,
)
from hearth.compiler.physical import in_name

TILE_FIELDS = 3
"""expert, first place, end of places. Of tiles that are none all are 0."""
MOST_EXPERTS = 1024
"""Whose scores workgroup memory has room for."""
LOWEST = -3.4e38
_THREADS = 256
COMBINED = 64
"""Vectors of 4 columns that a workgroup puts together."""


@dataclass(frozen=True)
class RouteSpec:
    """How experts are chosen: the fields of `model.text.config.ExpertsConfig`."""

    count: int
    used: int
    scores: str
    choice_bias: bool
    normalise: bool
    scale: float
    groups: int
    used_groups: int
    best_of_group: int
    expert_scale: bool = False

    @property
    def name(self) -> str:
        parts = ["route", f"{self.used}_of_{self.count}", self.scores]
        parts += ["biased"] if self.choice_bias else []
        parts += [f"groups_{self.used_groups}_of_{self.groups}"] if self.groups > 1 else []
        parts += [f"best_{self.best_of_group}"] if self.groups > 1 and self.best_of_group != 2 else []
        parts += ["normalised"] if self.normalise else []
        parts += [in_name(self.scale)] if self.scale != 1.0 else []
        parts += ["each_scaled"] if self.expert_scale else []
        return "_".join(parts)


def route(spec: RouteSpec) -> GpuKernel:
    """Buffers: logits f32 [row][ld]; [bias f32 [count]]; [expert_scale f32 [count]]; ids i32 [row][used]; weights f32
    [row][weights_ld]. Scalars: ld, weights_ld. Unit: row. Whatever the logits are, ids are numbers of experts, each
    another one."""
    k = GpuKernel(spec.name, threads=_THREADS)
    logits = k.buffer("logits", "float32")
    bias = k.buffer("bias", "float32") if spec.choice_bias else None
    each = k.buffer("expert_scale", "float32") if spec.expert_scale else None
    ids, weights = k.buffer("ids", "int32"), k.buffer("weights", "float32")
    ld, weights_ld = k.scalar("ld"), k.scalar("weights_ld")
    scores, choice = (k.workgroup(spec.count, "float32", name) for name in ("scores", "choice"))
    chosen = k.workgroup(spec.used, "float32", "chosen")
    own_scale = k.workgroup(spec.used, "float32", "own_scale") if each is not None else None
    _score(k, spec, logits, k.let(k.group * ld, "start"), scores)
    with k.loop(k.thread, spec.count, _THREADS) as e:
        wish = scores.load(e) if bias is None else scores.load(e) + bias.load(e)
        k.store(choice, e, builtin("max", "float32", wish, f32(LOWEST)))
    k.barrier()
    if spec.groups > 1:
        _drop_groups(k, spec, choice)
    with k.loop(k.thread, spec.count, _THREADS) as e:
        place = _rank(k, choice, e, spec.count)
        with k.when(place < spec.used):
            k.store(ids, k.group * spec.used + place, e)
            k.store(chosen, place, scores.load(e))
            if each is not None and own_scale is not None:
                k.store(own_scale, place, each.load(e))
    k.barrier()
    with k.when(k.thread < spec.used):
        weight = _weight(k, spec, chosen)
        weight = weight if own_scale is None else weight * own_scale.load(k.thread)
        k.store(weights, k.group * weights_ld + k.thread, weight)
    return k


def _score(k: GpuKernel, spec: RouteSpec, logits: Memory, start: Expr, scores: Memory) -> None:
    """The scores of a row of logits; all invocations are past a barrier afterwards."""
    with k.loop(k.thread, spec.count, _THREADS) as e:
        logit = k.let(logits.load(start + e), "logit")
        k.store(scores, e, vmath.sigmoid(logit, 1) if spec.scores == "sigmoid" else logit)
    k.barrier()
    if spec.scores != "softmax":
        return
    peak, total = _largest(k, scores, spec.count), k.register("float32", f32(0.0))
    with k.loop(0, spec.count) as e:
        total.set(total.get() + vmath.exp(scores.load(e) - peak, 1))
    k.barrier()
    with k.loop(k.thread, spec.count, _THREADS) as e:
        k.store(scores, e, vmath.exp(scores.load(e) - peak, 1) / total.get())
    k.barrier()


def _largest(k: GpuKernel, values: Memory, count: int) -> Expr:
    peak = k.register("float32", f32(LOWEST))
    with k.loop(0, count) as i:
        peak.set(tirx.max(peak.get(), values.load(i)))
    return k.let(peak.get(), "peak")


def _rank(k: GpuKernel, values: Memory, own: Expr, count: int) -> Expr:
    """How many are larger than the one at `own`, of equal ones those before it."""
    value, rank = k.let(values.load(own), "value"), k.register("int32", i32(0))
    with k.loop(0, count) as i:
        other = k.let(values.load(i), "other")
        first = tirx.Or(other > value, tirx.And(tirx.EQ(other, value), i < own))
        rank.set(rank.get() + tirx.Select(first, i32(1), i32(0)))
    return k.let(rank.get(), "rank")


def _drop_groups(k: GpuKernel, spec: RouteSpec, choice: Memory) -> None:
    """Of all but the best groups, by the sum of their two best, the choice is the smallest number there is."""
    size, sums = spec.count // spec.groups, k.workgroup(spec.groups, "float32", "group_sums")
    with k.loop(k.thread, spec.groups, _THREADS) as group:
        first, second = (k.register("float32", f32(LOWEST)) for _ in range(2))
        with k.loop(0, size) as i:
            value = k.let(choice.load(group * size + i), "value")
            second.set(tirx.max(second.get(), tirx.min(first.get(), value)))
            first.set(tirx.max(first.get(), value))
        k.store(sums, group, first.get() + second.get() if spec.best_of_group == 2 else first.get())
    k.barrier()
    with k.loop(k.thread, spec.count, _THREADS) as e:
        place = _rank(k, sums, k.let(div(e, size), "group"), spec.groups)
        with k.when(place >= spec.used_groups):
            k.store(choice, e, f32(LOWEST))
    k.barrier()


def _weight(k: GpuKernel, spec: RouteSpec, chosen: Memory) -> Expr:
    """What the chosen expert of the invocation's number is multiplied by."""
    own: Expr = chosen.load(k.thread)
    if spec.scores == "softmax_of_chosen":
        peak, total = _largest(k, chosen, spec.used), k.register("float32", f32(0.0))
        for i in range(spec.used):
            total.set(total.get() + vmath.exp(chosen.load(i) - peak, 1))
        own = k.let(vmath.exp(own - peak, 1) / total.get(), "own")
    if spec.normalise:
        sum_of = k.register("float32", f32(1e-20))
        for i in range(spec.used):
            sum_of.set(sum_of.get() + chosen.load(i))
        own = own / sum_of.get()
    return own * f32(spec.scale) if spec.scale != 1.0 else own


def order_experts(count: int, rows: int) -> GpuKernel:
    """Puts pairs in the order of experts, and cuts what each expert has into tiles.

    Buffers: ids i32 [token][used]; tiles i32 [.][TILE_FIELDS]; tokens i32 [place]: whose each is; places i32
    [token][used]: where each pair is. Scalars: pairs; used; tiles. Unit: all.

    Args:
        count: of all experts.
        rows: of a tile, at most.
    """
    k = GpuKernel(order_name(count, rows), threads=_THREADS)
    ids, tiles = k.buffer("ids", "int32"), k.buffer("tiles", "int32")
    tokens, places = k.buffer("tokens", "int32"), k.buffer("places", "int32")
    pairs, used, num_tiles = k.scalar("pairs"), k.scalar("used"), k.scalar("num_tiles")
    counts = k.workgroup(count, "int32", "counts")
    staged = k.workgroup(_THREADS, "int32", "staged")
    each = -(-count // _THREADS)
    experts = [k.let(k.thread + i * _THREADS, "expert") for i in range(each)]
    registers = [k.register("int32", i32(0)) for _ in experts]

    def walk(found: Expr) -> None:
        """Shows every invocation all pairs, in order: which it has are counted in its registers."""
        with k.loop(0, pairs, _THREADS) as first:
            with k.when(first + k.thread < pairs):
                k.store(staged, k.thread, ids.load(first + k.thread))
            k.barrier()
            with k.loop(0, tirx.min(pairs - first, _THREADS)) as i:
                chosen = k.let(staged.load(i), "chosen")
                for expert, register in zip(experts, registers, strict=True):
                    with k.when(tirx.EQ(chosen, expert)):
                        found(k.let(first + i, "pair"), register.get())
                        register.set(register.get() + 1)
            k.barrier()

    walk(lambda pair, number: None)
    for expert, register in zip(experts, registers, strict=True):
        with k.when(expert < count):
            k.store(counts, expert, register.get())
    k.barrier()

    def before(expert: Expr) -> tuple[Expr, Register]:
        """The place and the tile with which an expert begins."""
        begin, tile = k.register("int32", i32(0)), k.register("int32", i32(0))
        with k.loop(0, expert) as e:
            own = k.let(counts.load(e), "own")
            begin.set(begin.get() + own)
            tile.set(tile.get() + div(own + (rows - 1), rows))
        return k.let(begin.get(), "begin"), tile

    for expert, register in zip(experts, registers, strict=True):
        with k.when(expert < count):
            begin, tile = before(expert)
            register.set(begin)
            end = k.let(begin + counts.load(expert), "end")
            with k.loop(begin, end, rows) as first:
                for i, field in enumerate((expert, first, tirx.min(first + rows, end))):
                    k.store(tiles, tile.get() * TILE_FIELDS + i, field)
                tile.set(tile.get() + 1)
    _, tile = before(i32(count))
    with k.loop(tile.get() * TILE_FIELDS + k.thread, num_tiles * TILE_FIELDS, _THREADS) as i:
        k.store(tiles, i, i32(0))

    def put(pair: Expr, place: Expr) -> None:
        k.store(tokens, place, div(pair, used))
        k.store(places, pair, place)

    walk(put)
    return k


def order_name(count: int, rows: int) -> str:
    return f"order_experts_{count}_by_{rows}"


def combine_experts(*, add: bool, scale: float = 1.0) -> GpuKernel:
    """Y[token] = sum of weights[token][i] * X[place of its i-th pair], or with `add` residual + scale * that.

    Buffers: X f32 [place][ld]; places i32 [token][used]; weights f32 [token][weights_ld]; [residual f32 [token][ld]];
    Y f32 [token][ld]. Scalars: tokens; used; ld (a multiple of 4); weights_ld; ordered: 0 where pairs are in their own
    places, and `places` has nothing. Unit: `COMBINED` vectors of 4 columns.
    """
    k = GpuKernel(combine_name(add=add, scale=scale), threads=COMBINED)
    x, places, weights = k.buffer("X", "float32x4"), k.buffer("places", "int32"), k.buffer("weights", "float32")
    residual = k.buffer("residual", "float32x4") if add else None
    y = k.buffer("Y", "float32x4")
    tokens, used, ld, weights_ld, ordered = (
        k.scalar(name) for name in ("tokens", "used", "ld", "weights_ld", "ordered")
    )
    quads, index = k.let(div(ld, 4), "quads"), k.let(k.group * COMBINED + k.thread, "index")
    with k.when(index < tokens * quads):
        token, quad = k.let(div(index, quads), "token"), k.let(mod(index, quads), "quad")
        total = k.register("float32x4", f32(0.0, 4))
        with k.loop(0, used) as i:
            pair, place = k.let(token * used + i, "pair"), k.register("int32")
            place.set(pair)
            with k.when(ordered > 0):
                place.set(places.load(pair))
            weight = k.let(weights.load(token * weights_ld + i), "weight")
            total.set(fma(splat(weight), x.load(place.get() * quads + quad), total.get(), 4))
        value = total.get()
        if residual is not None:
            value = residual.load(index) + (value if scale == 1.0 else value * f32(scale, 4))
        k.store(y, index, value)
    return k


def combine_name(*, add: bool, scale: float) -> str:
    return "_".join(["combine_experts", *(["add", in_name(scale)] if add else [])])
