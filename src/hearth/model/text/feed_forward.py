"""What a token meets alone in a layer: an MLP, or a mixture of several (`ExpertsConfig`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax
from tvm.relax import op

from hearth.model.ops import ACTIVATIONS
from hearth.model.text.config import ExpertsConfig
from hearth.model.text.expert_ops import combine_experts, expert_linear, order_experts, route
from hearth.model.text.parameters import XIELU
from hearth.model.text.writer import Writer

_ACTIVATIONS = {**ACTIVATIONS, "relu2": op.nn.relu}  # and squared
QUICK_GELU = 1.702


def dense(g: Writer, p: str, x: Any, kind: str = "", *, cut: float | None = None) -> Any:
    """The MLP of the layer whose parameters begin with p, or with `kind` what is beside its experts. cut: its
    `LayerConfig.gate_cut`."""

    def multiplied(x: Any, name: str) -> Any:
        return g.linear(x, f"{p}{name}{kind}", f"{p}{name}_bias" if g.c.mlp_bias and not kind else None)

    return _feed_forward(g, p, x, multiplied, multiplied, cut)


def _feed_forward(
    g: Writer, p: str, x: Any, into: Callable[[Any, str], Any], out: Callable[[Any, str], Any], cut: float | None = None
) -> Any:
    """Activation and gate between the products into and out of the inner width, by their names."""
    h, *up = (into(x, name) for name in (("gate", "up") if g.c.mlp == "gated" else ("up",)))
    h = h if cut is None else _above(g, h, cut)
    most = g.c.mlp_clamp
    h = activated(g, p, g.cut(h, most, below=False))
    if up:
        h = g.emit(op.multiply(h, g.offset(g.cut(up[0], most), g.c.up_offset)))
    return out(g.norm(h, p + "mlp_sub_norm") if g.c.sub_norms else h, "down")


def _above(g: Writer, x: Any, deviations: float) -> Any:
    """How far each number of a row of x is above the row's mean and so many standard deviations; 0 where it is not."""
    away = g.emit(op.subtract(x, g.emit(op.mean(x, axis=-1, keepdims=True))))
    variance = g.emit(op.mean(g.emit(op.multiply(away, away)), axis=-1, keepdims=True))
    return g.emit(op.nn.relu(g.emit(op.subtract(away, g.scaled(g.emit(op.sqrt(variance)), deviations)))))


def mixture(g: Writer, p: str, experts: ExpertsConfig, x: Any, bare: Any) -> Any:
    """What the chosen experts of each token give together, and what is beside them. x: the token as the norm before the
    MLP makes it of `bare`."""
    used, own = experts.used, experts.own_norms
    routed = g.norm(bare, p + "router_norm") if own else x
    logits = g.linear(routed, p + "router", p + "router_bias" if experts.bias else None)
    chosen = g.emit(
        route(
            logits, g.params.get(p + "choice_bias"), g.params.get(p + "expert_scale"), used=used, scores=experts.scores,
            normalise=experts.normalise, scale=experts.scale, groups=experts.groups,
            used_groups=experts.used_groups, best_of_group=experts.best_of_group,
        )
    )  # fmt: skip
    ids, weights = (g.emit(relax.TupleGetItem(chosen, j)) for j in (0, 1))
    ordered = g.emit(order_experts(ids, experts.count))
    order, starts, tokens, places = (g.emit(relax.TupleGetItem(ordered, j)) for j in range(4))

    def multiplied(x: Any, name: str, whose: Any | None = None) -> Any:
        w, bias = g.params[f"{p}{name}_exps"], g.params.get(f"{p}{name}_exps_bias")
        return g.emit(expert_linear(x, w, order, starts, whose, bias, used=used, rows=g.n * used))

    read = g.norm(bare, p + "exps_norm") if own else x
    read = g.linear(read, p + "latent_down", None) if experts.latent_size else read
    if experts.scales_input:  # of the only one that is chosen
        read, weights = g.emit(op.multiply(read, weights)), g.offset(g.scaled(weights, 0.0), 1.0)
    h = _feed_forward(g, p, read, lambda x, name: multiplied(x, name, tokens), multiplied)
    together = g.emit(combine_experts(h, places, weights))
    if experts.latent_size:
        together = g.linear(together, p + "latent_up", None)
    together = g.norm(together, p + "exps_post_norm") if own else together
    if not experts.shared_size:
        return together
    shared = dense(g, p, x, "_shared")
    shared = g.norm(shared, p + "shared_post_norm") if own else shared
    if experts.shared_gate:
        share = g.emit(op.sigmoid(g.linear(x, p + "shared_gate", None)))
        shared = g.emit(op.multiply(shared, share))
    return g.emit(op.add(together, g.scaled(shared, experts.shared_scale)))


def activated(g: Writer, p: str, x: Any) -> Any:
    """The activation of the layer whose parameters begin with p."""
    if g.c.activation == "xielu":
        return _xielu(g, x, *(g.params[p + name] for name in XIELU))
    if g.c.activation == "quick_gelu":  # x sigmoid(1.702 x)
        return g.scaled(g.emit(op.nn.silu(g.scaled(x, QUICK_GELU))), 1 / QUICK_GELU)
    h = g.emit(_ACTIVATIONS[g.c.activation](x))
    return g.emit(op.multiply(h, h)) if g.c.activation == "relu2" else h


def _xielu(g: Writer, x: Any, positive: Any, negative: Any, beta: Any, eps: Any) -> Any:
    """Expanded integral of the ELU (arXiv:2411.13010): x (n, K), the others (1,)."""
    one, zero = relax.const(1.0, "float32"), relax.const(0.0, "float32")
    linear = g.emit(op.multiply(x, beta))
    above = g.emit(op.multiply(g.emit(op.multiply(x, x)), positive))
    grown = g.emit(op.subtract(g.emit(op.exp(g.emit(op.minimum(x, eps)))), one))
    below = g.emit(op.multiply(g.emit(op.subtract(grown, x)), g.emit(op.add(negative, beta))))
    chosen = g.emit(op.where(g.emit(op.greater(x, zero)), above, below))
    return g.emit(op.add(chosen, linear))
