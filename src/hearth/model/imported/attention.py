"""The rule that finds attention: softmax(scale q k^T + masks) v, whatever stands between its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.model import ops
from hearth.model.imported.graph import Graph, Rule
from hearth.model.imported.moves import binary, broadcast, multiply, permute, reshape
from hearth.model.imported.simplify import axes_of

_UNSEEN = -3e38
_HIDDEN = -1e4  # a mask that adds this or less leaves a place out


@dataclass(frozen=True)
class _Scores:
    """scale * (q @ k) + biases, of the shape (b, h, n, m) or (b, n, m)."""

    q: Any
    k: Any
    scale: float
    biases: tuple[Any, ...] = ()


def softmax_of_product(g: Graph, call: Any) -> Any:
    weights, v = call.args
    softmax = g.behind(_guarded(g, weights), "nn.softmax")
    if softmax is None or int(softmax.attrs.axis) % g.rank(weights) != g.rank(weights) - 1:
        return None
    scores = _scores(g, softmax.args[0])
    if scores is None or not _is_of_product(g, scores, softmax.args[0]):
        return None
    shapes = [g.shape(x) for x in (scores.q, scores.k, v)]
    if len({len(shape) for shape in shapes}) != 1 or len(shapes[0]) not in (3, 4):
        return None
    return attention(g, scores.q, scores.k, v, scores.scale, scores.biases)


def _guarded(g: Graph, weights: Any) -> Any:
    """Weights before a guard against rows that see nothing, for which ours are 0 anyway."""
    guard = g.behind(weights, "where")
    if guard is None or g.scalar(guard.args[1]) != 0.0:
        return weights
    test = g.behind(guard.args[0], "isnan")
    return guard.args[2] if test is not None and test.args[0].same_as(guard.args[2]) else weights


def attention(g: Graph, q: Any, k: Any, v: Any, scale: float, biases: tuple[Any, ...]) -> Any:
    """Attention over q (b, h, n, d), k (b, h, d, m), v (b, h, m, d), or without h; of the shape of q.

    None where heads of q and v differ in size: ours have one.
    """
    if g.rank(q) == 3:
        q4, k4, v4 = (_heads(g, x) for x in (q, k, v))
        n, m = g.shape(q)[1], g.shape(v)[1]
        if q4 is None or k4 is None or v4 is None or biases:
            q4, k4, v4 = (reshape(g, x, [g.shape(x)[0], 1, *g.shape(x)[1:]]) for x in (q, k, v))
            biases = tuple(reshape(g, bias, [g.shape(bias)[0], 1, n, m]) for bias in biases)
        found = attention(g, q4, k4, v4, scale, biases)
        return None if found is None else reshape(g, found, g.shape(q))
    b, heads, n, d = g.shape(q)
    m = g.shape(v)[2]
    fits = all(
        isinstance(size, int) and size == wanted
        for size, wanted in ((g.shape(v)[3], d), (g.shape(k)[2], d), (g.shape(k)[1], heads), (g.shape(v)[1], heads))
    )
    if not fits or not all(g.same(g.shape(x)[0], b) for x in (k, v)):
        return None
    (more_q, q), (more_k, k) = _unscaled(g, q), _unscaled(g, k)
    rows = reshape(g, permute(g, q, (0, 2, 1, 3)), [b, n, heads * d])
    keys = reshape(g, permute(g, k, (0, 3, 1, 2)), [b, m, heads * d])
    values = reshape(g, permute(g, v, (0, 2, 1, 3)), [b, m, heads * d])
    bias = None
    for part in biases:
        bias = part if bias is None else binary(g, "add", bias, part)
    if bias is not None:
        sizes = [1] * (4 - g.rank(bias)) + g.shape(bias)
        bias = broadcast(g, reshape(g, bias, sizes), [*sizes[:2], n, m])
    out = g.emit(ops.attention(rows, keys, values, bias, num_heads=heads, scale=scale * more_q * more_k))
    return permute(g, reshape(g, out, [b, n, heads, d]), (0, 2, 1, 3))


def heads_attention(
    g: Graph, q: Any, k: Any, v: Any, scale: float, biases: Sequence[Any], softcap: float = 0.0
) -> Any:  # fmt: skip
    """Attention over q (b, h, n, d), k (b, kv heads, m, d), v (b, kv heads, m, e): (b, h, n, e)."""
    heads, kv_heads = g.shape(q)[1], g.shape(k)[1]
    if heads != kv_heads:  # each head of keys serves several of queries
        k, v = (g.emit(op.repeat(x, heads // kv_heads, 1)) for x in (k, v))
    turned = permute(g, k, (0, 1, 3, 2))
    out = attention(g, q, turned, v, scale, tuple(biases)) if not softcap else None
    if out is not None:
        return out
    scores = multiply(g, g.emit(op.matmul(q, turned)), scale)
    if softcap:
        scores = multiply(g, g.emit(op.tanh(multiply(g, scores, 1 / softcap))), softcap)
    for bias in biases:
        scores = binary(g, "add", scores, bias)
    return g.emit(op.matmul(g.emit(op.nn.softmax(scores, -1)), v))


def causal_mask(g: Graph, n: Any, m: Any, past: Any) -> Any:
    """What is added to scores (n, m) so that query i sees keys up to past + i."""
    if isinstance(n, int) and isinstance(m, int) and isinstance(past, int):
        g.require_small(n, m)
        return g.constant(np.where(np.tri(n, m, past, dtype=bool), 0, _UNSEEN).astype(np.float32))
    rows = reshape(g, g.emit(op.arange(past, past + n, 1, "int32")), [n, 1])
    columns = reshape(g, g.emit(op.arange(0, m, 1, "int32")), [1, m])
    seen = binary(g, "less_equal", columns, rows)
    zero, low = (g.constant(np.array(x, np.float32)) for x in (0.0, _UNSEEN))
    return g.emit(op.where(seen, zero, low))


def _heads(g: Graph, x: Any) -> Any:
    """(b, h, ...) where x is that with batch and heads made one axis."""
    made = g.behind(x, "reshape")
    if made is None:
        return None
    before = g.shape(made.args[0])
    if len(before) == 4 and g.same_shape(before[2:], g.shape(x)[1:]):
        return made.args[0]
    return None


def _scores(g: Graph, var: Any) -> _Scores | None:
    if (product := g.behind(var, "matmul")) is not None:
        q, k = product.args
        return _Scores(q, k, 1.0)
    for name in ("multiply", "divide"):
        if (scaled := g.behind(var, name)) is not None and (factor := g.scalar(scaled.args[1])):
            inner = _scores(g, scaled.args[0])
            if inner is None:
                return None
            factor = factor if name == "multiply" else 1 / factor
            biases = tuple(multiply(g, bias, factor) for bias in inner.biases)
            return replace(inner, scale=inner.scale * factor, biases=biases)
    if (weighted := g.behind(var, "multiply")) is not None:
        return _weighted(g, *weighted.args)
    if (total := g.behind(var, "add")) is not None:
        for x, bias in (total.args, list(total.args)[::-1]):
            inner = _scores(g, x) if g.same_shape(g.shape(x), g.shape(var)) else None
            if inner is not None:
                return replace(inner, biases=(*inner.biases, bias))
        return None
    if (chosen := g.behind(var, "where")) is not None:
        return _masked(g, *chosen.args)
    if (moved := g.behind(var, "reshape")) is not None:  # windows beside each other, for a mask of each
        inner = _scores(g, moved.args[0])
        if inner is None:
            return None
        between = g.shape(moved.args[0])
        whole = tuple(reshape(g, broadcast(g, bias, between), g.shape(var)) for bias in inner.biases)
        return replace(inner, biases=whole)
    return None


def _weighted(g: Graph, x: Any, factor: Any) -> _Scores | None:
    """Scores times a number for each head, which may as well be that of the queries (Swin v2)."""
    inner = _scores(g, x)
    if inner is None or inner.biases or factor not in g.known or g.shape(factor)[-2:] != [1, 1]:
        return None
    return replace(inner, q=binary(g, "multiply", inner.q, factor))


def _is_of_product(g: Graph, scores: _Scores, var: Any) -> bool:
    """Whether scores have the shape of their product, whatever shapes they had on the way."""
    shape = [*g.shape(scores.q)[:-1], g.shape(scores.k)[-1]]
    return g.same_shape(shape, g.shape(var))


def _masked(g: Graph, condition: Any, a: Any, b: Any) -> _Scores | None:
    """where(condition, scores, hidden), or the other way round."""
    for scores, hidden, shown_first in ((a, b, True), (b, a, False)):
        number = g.scalar(hidden)
        if number is None or number > _HIDDEN:
            continue
        inner = _scores(g, scores)
        if inner is None:
            return None
        zero, low = (g.constant(np.array(x, np.float32)) for x in (0.0, max(number, -3e38)))
        bias = g.emit(op.where(condition, zero, low) if shown_first else op.where(condition, low, zero))
        return replace(inner, biases=(*inner.biases, bias))
    return None


def _unscaled(g: Graph, var: Any) -> tuple[float, Any]:
    """A factor of all elements, and what it multiplies, through reshapes and transposes."""
    for name in ("multiply", "divide"):
        if (scaled := g.behind(var, name)) is not None and (factor := g.scalar(scaled.args[1])):
            more, x = _unscaled(g, scaled.args[0])
            return (factor if name == "multiply" else 1 / factor) * more, x
    if (turned := g.behind(var, "permute_dims")) is not None:
        factor, x = _unscaled(g, turned.args[0])
        return factor, permute(g, x, axes_of(g, turned)) if factor != 1.0 else var
    if (moved := g.behind(var, "reshape")) is not None:
        factor, x = _unscaled(g, moved.args[0])
        return factor, reshape(g, x, g.shape(var)) if factor != 1.0 else var
    return 1.0, var


RULES: dict[str, list[Rule]] = {"matmul": [softmax_of_product]}
