"""Fusions on the logical graph: fewer, larger products, and what follows a product done in its epilogue.

q, k, v                      -> one product, split by columns
products beside each other   -> one product
what recurrent mixers read   -> one product for each number format, split by columns
act(gate) * up               -> one product of interleaved rows with the activation in its epilogue
                                (where the formats of gate and up differ: a map after two products)
act(product)                 -> the activation in the product's epilogue
x + [s *] product            -> the product adds to the residual
act(x + [s *] product)       -> and activates the sum (weights with a scale a row)
x + [s *] (product + adapter's) -> the same, and the adapter's is added behind it
x + [s *] norm(y)            -> one norm kernel that adds
x + [s *] experts            -> added where what they computed is put together
scale, soft cap, argmax      -> epilogue of the head's product
scale * embedding            -> the lookup scales
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from tvm import relax
from tvm.relax import op

from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import (
    Graph,
    arguments,
    attribute,
    attributes,
    is_op,
    operation,
    rewrite,
    scalar,
    with_arguments,
)
from hearth.compiler.symbolic import same_shape
from hearth.model.ops import f32_tensor, hearth_op
from hearth.quant.formats import LANES

# Attentions that take q, k and v out of one activation's columns.
_READS_COLUMNS = ("hearth.paged_attention", "hearth.ragged_attention", "hearth.attention", "hearth.window_attention")


def fuse_qkv(module: Any, parameters: Parameters) -> Any:
    """The products of one input that feed one attention become one, where they share a format."""

    def rule(graph: Graph, value: Any) -> Any:
        if not any(is_op(value, name) for name in _READS_COLUMNS):
            return None
        args = arguments(value)
        products = [graph.value(v) for v in args[:3]]
        if not all(is_op(p, "hearth.linear") and graph.only_use(v) for p, v in zip(products, args, strict=False)):
            return None
        inputs = [arguments(p) for p in products]
        if not all(a[0].same_as(inputs[0][0]) for a in inputs) or not parameters.same_format([a[1] for a in inputs]):
            return None
        if len({len(a) for a in inputs}) > 1:  # some have a bias, others none
            return None
        merged = [inputs[0][0], graph.add_param(parameters.merge([a[1] for a in inputs], "qkv", "dense"))]
        if attribute(products[0], "bias"):
            merged.append(graph.add_param(parameters.merge([a[2] for a in inputs], "qkv_bias", "dense")))
        widths = [int(a[1].ty.shape[0]) for a in inputs]
        places = list(args[0].ty.shape)[:-1]
        together = graph.emit(hearth_op("linear", merged, f32_tensor(*places, sum(widths)), bias=len(merged) == 3))
        parts = graph.emit(op.split(together, [widths[0], widths[0] + widths[1]], axis=len(places)))
        qkv = [graph.emit(relax.TupleGetItem(parts, i)) for i in range(3)]
        return with_arguments(value, [*qkv, *args[3:]])

    return rewrite(module, rule)


def fuse_joined(module: Any, parameters: Parameters) -> Any:
    """The products of one input that stand beside each other in one result become one, where they share a format."""

    def rule(graph: Graph, value: Any) -> Any:
        if not is_op(value, "concat") or int(value.attrs.axis) % len(value.ty.shape) != len(value.ty.shape) - 1:
            return None
        variables = list(value.args[0].fields) if isinstance(value.args[0], relax.Tuple) else []
        products = [graph.value(var) for var in variables]
        if not products or not all(
            is_op(product, "hearth.linear") and not attribute(product, "bias") and graph.only_use(var)
            for product, var in zip(products, variables, strict=True)
        ):
            return None
        inputs, weights = zip(*(arguments(product) for product in products), strict=True)
        if not all(x.same_as(inputs[0]) for x in inputs) or not parameters.same_format(list(weights)):
            return None
        merged = graph.add_param(parameters.merge(list(weights), "joined", "dense"))
        return hearth_op("linear", [inputs[0], merged], value.ty, bias=False)

    return rewrite(module, rule)


MIXER_COLUMNS = {"hearth.causal_conv": (0,), "hearth.gated_delta": (1, 2), "hearth.gated_norm": (1,)}
"""Operations of recurrent mixers, and which of their operands may be columns of a wider activation."""


def fuse_mixer_inputs(module: Any, parameters: Parameters) -> Any:
    """The products of one input that feed recurrent mixers become one for each of their formats."""
    groups: dict[Any, list[list[Any]]] = {}
    parts: dict[Any, Any] = {}

    def begin(graph: Graph) -> None:
        """Notes the weights of each input that go together."""
        groups.clear()
        read = [arguments(v)[i] for _, v in graph.bindings for i in MIXER_COLUMNS.get(operation(v), ())]
        for var in read:
            product = graph.value(var)
            if not is_op(product, "hearth.linear") or attribute(product, "bias") or not graph.only_use(var):
                continue
            x, w = arguments(product)
            known = groups.setdefault(x, [])
            group = next((each for each in known if parameters.same_format([each[0], w])), None)
            if group is None:
                known.append([w])
            else:
                group.append(w)

    def rule(graph: Graph, value: Any) -> Any:
        if not is_op(value, "hearth.linear"):
            return None
        x, w, *_ = arguments(value)
        group = next((each for each in groups.get(x, []) if w in each), [])
        if len(group) < 2:
            return None
        if w not in parts:
            # Columns that are no whole vectors stand behind all others, which so begin with one.
            order = sorted(group, key=lambda each: int(each.ty.shape[0]) % LANES > 0)
            widths = [int(each.ty.shape[0]) for each in order]
            merged = graph.add_param(parameters.merge(order, "mixer_in", "dense"))
            out = f32_tensor(value.ty.shape[0], sum(widths))
            together = graph.emit(hearth_op("linear", [x, merged], out, bias=False))
            split = graph.emit(op.split(together, list(accumulate(widths))[:-1], axis=1))
            parts.update({each: relax.TupleGetItem(split, i) for i, each in enumerate(order)})
        return parts[w]

    return rewrite(module, rule, begin)


_GATED = {"hearth.linear": "gate_up", "hearth.expert_linear": "gate_up_exps"}
"""Products that can be two in one, and what their weights are then called."""
_ACTIVATIONS = {"nn.silu": "silu", "nn.gelu_tanh": "gelu_tanh", "nn.gelu": "gelu", "nn.relu": "relu"}


def fuse_gated_mlp(module: Any, parameters: Parameters) -> Any:
    """act(x Wg) * (x Wu) in one product over blocks of gate and up rows in turn."""

    def rule(graph: Graph, value: Any) -> Any:
        if not is_op(value, "multiply"):
            return None
        activated, up_var = graph.value(value.args[0]), value.args[1]
        name = next((short for long, short in _ACTIVATIONS.items() if is_op(activated, long)), None)
        if name is None:
            return None
        gate, up = graph.value(activated.args[0]), graph.value(up_var)
        if operation(gate) != operation(up) or operation(gate) not in _GATED:
            return None
        g, u = arguments(gate), arguments(up)
        if not g[0].same_as(u[0]) or not parameters.same_format([g[1], u[1]]):
            return None
        if is_op(gate, "hearth.expert_linear") and attribute(gate, "bias"):  # biases of stacks are not merged
            return None
        suffix = _GATED[operation(gate)]
        merged = [g[0], graph.add_param(parameters.merge([g[1], u[1]], suffix, "interleaved"))]
        if is_op(gate, "hearth.expert_linear"):
            attrs = {"epilogue": "gated", "activation": name}
            return hearth_op("expert_linear", [*merged, *g[2:]], value.ty, **attributes(gate), **attrs)
        if attribute(gate, "bias"):
            merged.append(graph.add_param(parameters.merge([g[2], u[2]], "gate_up_bias", "interleaved")))
        return hearth_op("linear", merged, value.ty, bias=len(merged) == 3, epilogue="gated", activation=name)

    return rewrite(module, rule)


def activation_name(value: Any) -> str | None:
    """Which of `vmath.ACTIVATIONS` the operation is; None: none of them."""
    return _ACTIVATIONS.get(operation(value))


def fuse_activation(module: Any) -> Any:
    """act(product), where nothing else reads the product: in its epilogue."""

    def rule(graph: Graph, value: Any) -> Any:
        name = activation_name(value)
        if name is None:
            return None
        source = graph.value(value.args[0])
        if not is_op(source, "hearth.linear") or not graph.only_use(value.args[0]):
            return None
        if attribute(source, "epilogue", "store") != "store":
            return None
        bias = attribute(source, "bias")
        return hearth_op("linear", arguments(source), value.ty, bias=bias, epilogue="activate", activation=name)

    return rewrite(module, rule)


def fuse_residual(module: Any) -> Any:
    """x + [constant *] f, where f is a product or a norm: added where f is computed."""

    def rule(graph: Graph, value: Any) -> Any:
        if not is_op(value, "add"):
            return None
        for residual, branch in (value.args, reversed(value.args)):
            # What is broadcast (a table of positions) is no residual: kernels read it place by place.
            if not isinstance(residual, relax.Var) or not same_shape(residual.ty, value.ty):
                continue
            scale, source = _unscaled(graph, branch)
            if is_op(source, "hearth.linear") and attribute(source, "epilogue", "store") == "store":
                args, bias = [*arguments(source), residual], attribute(source, "bias")
                return hearth_op("linear", args, value.ty, bias=bias, epilogue="add", scale=scale)
            if is_op(source, "hearth.adapter_up"):
                *before, product = arguments(source)
                inner = graph.value(product)
                if is_op(inner, "hearth.linear") and graph.only_use(product):
                    args, bias = [*arguments(inner), residual], attribute(inner, "bias")
                    both = hearth_op("linear", args, value.ty, bias=bias, epilogue="add", scale=scale)
                    attrs = {**attributes(source), "scale": scale}
                    return hearth_op("adapter_up", [*before, graph.emit(both)], value.ty, **attrs)
            if is_op(source, "hearth.combine_experts"):
                args = [*arguments(source), residual]
                return hearth_op("combine_experts", args, value.ty, add=True, scale=scale)
            if is_op(source, "nn.rms_norm"):
                epsilon = source.attrs.epsilon
                return hearth_op("norm_add", [*source.args, residual], value.ty, epsilon=epsilon, scale=scale)
        return None

    return rewrite(module, rule)


def fuse_activation_of_sums(module: Any, parameters: Parameters) -> Any:
    """act(x + product), where nothing else reads the sum: in the product's epilogue, as `after`."""

    def rule(graph: Graph, value: Any) -> Any:
        name = activation_name(value)
        if name is None or not graph.only_use(value.args[0]):
            return None
        source = graph.value(value.args[0])
        if not is_op(source, "hearth.linear") or attribute(source, "epilogue", "store") != "add":
            return None
        args, bias = arguments(source), attribute(source, "bias")
        if not parameters.packed[args[1].name].fmt.is_row:
            return None
        scale = attribute(source, "scale", 1.0)
        return hearth_op("linear", args, value.ty, bias=bias, epilogue="add", scale=scale, after=name)

    return rewrite(module, rule)


def _unscaled(graph: Graph, var: Any) -> tuple[float, Any]:
    """(c, f) where the variable is c * f with f used nowhere else, else (1, its value or None)."""
    value = graph.value(var)
    if not graph.only_use(var):
        return 1.0, None
    if is_op(value, "multiply"):
        factor = scalar(value.args[1])
        if factor is not None and graph.only_use(value.args[0]):
            return factor, graph.value(value.args[0])
    return 1.0, value


def fuse_logits(module: Any) -> Any:
    """argmax(cap * tanh(scale * x W / cap)): scale, cap and the search happen in the head's product.

    The logits themselves stay an output: `hearth.logits` gives both.
    """

    def rule(graph: Graph, value: Any) -> Any:
        if isinstance(value, relax.Tuple) and len(value.fields) == 3:
            logits = value.fields[0]
            scale, cap, source = _head(graph, logits)
            best = graph.value(value.fields[1])
            if source is None or not is_op(best, "argmax") or not best.args[0].same_as(logits):
                return None
            args = arguments(source)
            types = [logits.ty, relax.TensorType((logits.ty.shape[0],), "int32")]
            bias = attribute(source, "bias")
            both = graph.emit(hearth_op("logits", args, types, bias=bias, scale=scale, softcap=cap))
            return relax.Tuple(
                [graph.emit(relax.TupleGetItem(both, 0)), graph.emit(relax.TupleGetItem(both, 1)), value.fields[2]]
            )
        return None

    return rewrite(module, rule)


def _head(graph: Graph, var: Any) -> tuple[float, float, Any]:
    """(scale, cap or 0, the head's product) behind the logits; product None: not this shape."""
    value, cap, scale = graph.value(var), 0.0, 1.0
    if is_op(value, "multiply") and is_op(graph.value(value.args[0]), "tanh"):
        cap = scalar(value.args[1]) or 0.0
        divided = graph.value(graph.value(value.args[0]).args[0])
        if not is_op(divided, "divide") or scalar(divided.args[1]) != cap:
            return 1.0, 0.0, None
        value = graph.value(divided.args[0])
    if is_op(value, "multiply"):
        factor = scalar(value.args[1])
        if factor is None:
            return 1.0, 0.0, None
        scale, value = factor, graph.value(value.args[0])
    return scale, cap, value if is_op(value, "hearth.linear") else None


def fuse_embedding_scale(module: Any, parameters: Parameters) -> Any:
    """constant * take(W, ids) is a lookup that scales; every lookup in a packed matrix becomes `hearth.embedding`."""

    def is_lookup(value: Any) -> bool:
        if not is_op(value, "take") or value.attrs.axis is None or int(value.attrs.axis) != 0:
            return False
        packed = parameters.packed.get(getattr(value.args[0], "name", ""))
        return packed is not None and packed.k is not None

    def rule(graph: Graph, value: Any) -> Any:
        if is_op(value, "multiply"):
            factor, source = scalar(value.args[1]), graph.value(value.args[0])
            if factor is not None and is_lookup(source):
                return hearth_op("embedding", [source.args[1], source.args[0]], value.ty, scale=factor)
        if is_lookup(value):
            return hearth_op("embedding", [value.args[1], value.args[0]], value.ty, scale=1.0)
        return None

    return rewrite(module, rule)
