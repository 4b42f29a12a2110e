"""What is around the products of experts: which are chosen for a token, the order they are computed in, and how what
they computed becomes one row again.

Experts of a token are summed in the order of their scores, whatever order they were computed in, so a token's bits do
not depend on others.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, broadcast, cast, const, f32, fma, i64, in_name
from hearth.compiler.cpu.kernels.softmax import LOWEST

LANES = 16


@dataclass(frozen=True)
class RouteSpec:
    """How experts are chosen: the fields of `model.text.config.ExpertsConfig`."""

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
        parts = ["route", self.scores]
        parts += ["biased"] if self.choice_bias else []
        parts += [f"{self.used_groups}_of_{self.groups}"] if self.groups > 1 else []
        parts += [f"best_{self.best_of_group}"] if self.groups > 1 and self.best_of_group != 2 else []
        parts += ["normalised"] if self.normalise else []
        parts += [in_name(self.scale)] if self.scale != 1.0 else []
        parts += ["each_scaled"] if self.expert_scale else []
        return "_".join(parts)

    def scratch_bytes(self, experts: int) -> int:
        """Scores, those by which is chosen, and the groups'."""
        return 4 * (2 * experts + self.groups)


def route(spec: RouteSpec) -> Kernel:
    """Buffers: logits f32 [row][ld]; [bias f32 [experts]]; [expert_scale f32 [experts]]; ids i32 [row][used]; weights
    f32 [row][weights_ld]. Scalars: experts, used, ld, weights_ld. Unit: row. Whatever the logits are, ids are numbers
    of experts."""
    k = Kernel(spec.name)
    logits = k.buffer("logits", "float32")
    bias = k.buffer("bias", "float32") if spec.choice_bias else None
    each = k.buffer("expert_scale", "float32") if spec.expert_scale else None
    ids, weights = k.buffer("ids", "int32"), k.buffer("weights", "float32")
    count, used, ld, weights_ld = (k.scalar(name) for name in ("experts", "used", "ld", "weights_ld"))
    scratch = k.scratch("float32")
    with k.loop(k.begin, k.end) as row:
        start, to = k.opaque(row * ld, "start"), k.opaque(row * weights_ld, "to")
        _score(k, spec, logits, start, scratch, count)
        with k.loop(0, count) as i:
            score = scratch.load(i)
            k.store(scratch, count + i, k.let(score if bias is None else score + bias.load(i), "choice"))
        if spec.groups > 1:
            _drop_groups(k, spec, scratch, count)
        total = k.register("float32", init=f32(0.0))
        with k.loop(0, used) as place:
            best = _take_best(k, scratch, count, count * 2)
            k.store(ids, row * used + place, cast("int32", best))
            weight = k.opaque(scratch.load(best), "weight")
            k.store(weights, to + place, weight)
            total.set(total.get() + weight)
        if spec.scores == "softmax_of_chosen":
            _softmax(k, weights, to, weights, to, used)
        factor = f32(spec.scale)
        if spec.normalise:
            factor = factor / (total.get() + f32(1e-20))
        if spec.normalise or spec.scale != 1.0:
            factor = k.opaque(factor, "factor")
            with k.loop(0, used) as place:
                k.store(weights, to + place, k.let(weights.load(to + place) * factor, "weight"))
        if each is not None:
            with k.loop(0, used) as place:
                own = k.let(each.load(cast("int64", ids.load(row * used + place))), "own")
                k.store(weights, to + place, k.let(weights.load(to + place) * own, "weight"))
    return k


def _score(k: Kernel, spec: RouteSpec, logits: Memory, start: Expr, scores: Memory, count: Expr) -> None:
    """scores[:count] of a row of logits."""
    if spec.scores == "softmax":
        _softmax(k, logits, start, scores, i64(0), count)
        return
    with k.loop(0, count) as i:
        logit = k.let(logits.load(start + i), "logit")
        k.store(scores, i, k.let(vmath.sigmoid(k, logit, 1) if spec.scores == "sigmoid" else logit, "score"))


def _softmax(k: Kernel, x: Memory, start: Expr, y: Memory, to: Expr, count: Expr) -> None:
    peak, total = k.register("float32", init=f32(LOWEST)), k.register("float32", init=f32(0.0))
    with k.loop(0, count) as i:
        peak.set(tirx.max(peak.get(), x.load(start + i)))
    highest = k.opaque(peak.get(), "highest")
    with k.loop(0, count) as i:
        weight = k.opaque(vmath.exp(k, k.let(x.load(start + i) - highest, "x"), 1), "weight")
        k.store(y, to + i, weight)
        total.set(total.get() + weight)
    inverse = k.opaque(f32(1.0) / total.get(), "inverse")
    with k.loop(0, count) as i:
        k.store(y, to + i, k.let(y.load(to + i) * inverse, "share"))


def _take_best(k: Kernel, values: Memory, begin: Expr, end: Expr) -> Expr:
    """The place, from `begin` on, of the largest of values[begin : end], which is the smallest from now on. Of equal
    ones the first; where none is a number above the smallest, place 0."""
    best, at = k.register("float32", init=f32(LOWEST)), k.register("int64", init=i64(0))
    with k.loop(begin, end) as i:
        value = k.let(values.load(i), "value")
        with k.when(value > best.get()):
            best.set(value)
            at.set(i - begin)
    found = k.opaque(at.get(), "found")
    k.store(values, begin + found, f32(LOWEST))
    return found


def _drop_groups(k: Kernel, spec: RouteSpec, scratch: Memory, count: Expr) -> None:
    """Of all but the best groups the choice is the smallest number there is. scratch: [count] scores, [count] choice,
    [groups] sums of the two best."""
    size = k.opaque(tirx.floordiv(count, i64(spec.groups)), "size")
    sums = k.opaque(count * 2, "sums")
    with k.loop(0, spec.groups) as group:
        first, second = k.register("float32", init=f32(LOWEST)), k.register("float32", init=f32(LOWEST))
        with k.loop(0, size) as i:
            value = k.opaque(scratch.load(count + group * size + i), "value")
            second.set(tirx.max(second.get(), tirx.min(first.get(), value)))
            first.set(tirx.max(first.get(), value))
        k.store(scratch, sums + group, first.get() + second.get() if spec.best_of_group == 2 else first.get())
    # The best are marked by being taken.
    with k.loop(0, spec.used_groups):
        _take_best(k, scratch, sums, sums + spec.groups)
    with k.loop(0, spec.groups) as group, k.when(scratch.load(sums + group) > f32(LOWEST)), k.loop(0, size) as i:
        k.store(scratch, count + group * size + i, f32(LOWEST))


def order_experts() -> Kernel:
    """Puts what is to be computed in the order of experts.

    Buffers: ids i32 [token][used]; experts i32 [count]: those that were chosen, in order, then zeros; starts i32
    [count + 1]: where the places of each begin, then where they all end; tokens i32 [place]: whose each is; places i32
    [token][used]: where each of a token's is.
    Scalars: pairs (tokens * used), used, count (of all experts). Unit: all.
    """
    k = Kernel("order_experts")
    ids, experts, starts = (k.buffer(name, "int32") for name in ("ids", "experts", "starts"))
    tokens, places = k.buffer("tokens", "int32"), k.buffer("places", "int32")
    pairs, used, count = (k.scalar(name) for name in ("pairs", "used", "count"))
    next_place = k.scratch("int32")
    with k.loop(k.begin, k.end):
        with k.loop(0, count) as e:
            k.store(next_place, e, const("int32", 0))
        with k.loop(0, pairs) as pair:
            chosen = k.opaque(cast("int64", ids.load(pair)), "chosen")
            k.store(next_place, chosen, next_place.load(chosen) + const("int32", 1))
        found, total = k.register("int64", init=i64(0)), k.register("int32", init=const("int32", 0))
        with k.loop(0, count) as e:
            own = k.opaque(next_place.load(e), "own")
            with k.when(own > const("int32", 0)):
                k.store(experts, found.get(), cast("int32", e))
                k.store(starts, found.get(), total.get())
                k.store(next_place, e, total.get())
                total.set(total.get() + own)
                found.set(found.get() + 1)
        with k.loop(found.get(), count) as rest:
            k.store(experts, rest, const("int32", 0))
            k.store(starts, rest, total.get())
        k.store(starts, count, total.get())
        with k.loop(0, pairs) as pair:
            chosen = k.opaque(cast("int64", ids.load(pair)), "chosen")
            place = k.opaque(next_place.load(chosen), "place")
            k.store(next_place, chosen, place + const("int32", 1))
            k.store(tokens, cast("int64", place), cast("int32", tirx.floordiv(pair, used)))
            k.store(places, pair, place)
    return k


def combine_experts(*, add: bool, scale: float = 1.0) -> Kernel:
    """Y[token] = sum of weights[token][i] * X[places[token][i]], or with `add` residual + scale * that.

    Buffers: X f32 [place][ld]; places i32 [token][used]; weights f32 [token][weights_ld]; [residual f32 [token][ld]];
    Y f32 [token][ld]. Scalars: used, ld (a multiple of 16), weights_ld. Unit: token.
    """
    k = Kernel("_".join(["combine_experts", *(["add", in_name(scale)] if add else [])]))
    x, places, weights = k.buffer("X", "float32"), k.buffer("places", "int32"), k.buffer("weights", "float32")
    residual = k.buffer("residual", "float32") if add else None
    y = k.buffer("Y", "float32")
    used, ld, weights_ld = (k.scalar(name) for name in ("used", "ld", "weights_ld"))
    with k.loop(k.begin, k.end) as token, k.loop(0, ld, LANES) as column:
        total = k.register("float32", LANES, f32(0.0, LANES))
        with k.loop(0, used) as i:
            place = k.opaque(cast("int64", places.load(token * used + i)), "place")
            weight = broadcast(weights.load(token * weights_ld + i), LANES)
            total.set(fma(weight, x.load(place * ld + column, LANES), total.get(), LANES))
        value = total.get()
        if residual is not None:
            value = residual.load(token * ld + column, LANES) + (value if scale == 1.0 else value * f32(scale, LANES))
        k.store(y, token * ld + column, k.let(value, "y"))
    return k
