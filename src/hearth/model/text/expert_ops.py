"""Operations of mixtures of experts: which experts a token has, the order in which they compute, their products, and
what comes of these together."""

from __future__ import annotations

from typing import Any

from tvm import relax

from hearth.model.ops import f32_tensor, hearth_op


def route(
    logits: Any,
    bias: Any | None = None,
    expert_scale: Any | None = None,
    *,
    used: int,
    scores: str,
    normalise: bool,
    scale: float,
    groups: int = 1,
    used_groups: int = 1,
    best_of_group: int = 2,
) -> Any:
    """ids i32 (n, used) and weights (n, used): the experts that are chosen for each token by the router's
    logits (n, experts), best first, and what each is multiplied by.

    Args:
        bias: (experts,), added to the scores for the choice.
        expert_scale: (experts,), multiplies the weights at the end.
        used, scores, normalise, scale, groups, used_groups, best_of_group: as in `ExpertsConfig`.
    """
    args = [logits, *(each for each in (bias, expert_scale) if each is not None)]
    tokens = logits.ty.shape[0]
    out = [relax.TensorType((tokens, used), "int32"), f32_tensor(tokens, used)]
    return hearth_op(
        "route", args, out, scores=scores, normalise=normalise, scale=scale, groups=groups, used_groups=used_groups,
        choice_bias=bias is not None, expert_scale=expert_scale is not None, best_of_group=best_of_group,
    )  # fmt: skip


def order_experts(ids: Any, experts: int) -> Any:
    """What is computed for ids i32 (n, used), in the order of the experts. Of i32: the experts that were chosen, in
    order, then zeros (experts,); where the places of each begin, then where all end (experts + 1,); whose token each
    place is (n * used,); and where each of a token's places is (n, used)."""
    tokens, used = ids.ty.shape
    shapes = [(experts,), (experts + 1,), (tokens * used,), (tokens, used)]
    return hearth_op("order_experts", [ids], [relax.TensorType(shape, "int32") for shape in shapes])


def expert_linear(
    x: Any,
    w: Any,
    experts: Any,
    starts: Any,
    tokens: Any | None = None,
    bias: Any | None = None,
    *,
    used: int,
    rows: Any,
) -> Any:
    """x w[expert]^T + bias[expert] for each place, its expert being what `order_experts` says: x (rows, K),
    w (experts, N, K), bias (experts, N); (rows, N).

    Args:
        tokens: x has a row for each token, and this says whose each place is.
        used: experts of a token.
    """
    args = [x, w, experts, starts, *([] if tokens is None else [tokens]), *([] if bias is None else [bias])]
    out = f32_tensor(rows, w.ty.shape[1])
    attrs = {"gathers": tokens is not None, "used": used, "bias": bias is not None}
    return hearth_op("expert_linear", args, out, **attrs)


def combine_experts(x: Any, places: Any, weights: Any) -> Any:
    """For each token the sum of its places of x (n * used, d), as places i32 (n, used) says, each multiplied by its
    weight (n, used); (n, d)."""
    return hearth_op("combine_experts", [x, places, weights], f32_tensor(places.ty.shape[0], x.ty.shape[1]))
