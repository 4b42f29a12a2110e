"""The decoder as a Relax module, in logical operations: what is computed, not how.

One function `forward` for a ragged batch: prefill chunks, single tokens and tokens to verify in any mixture. Weights
are `[out, in]` f32 parameters by the names of `parameters.py`, whatever format they will be packed in; passes in
`compiler/` decide that. Beside the operations of `model/ops.py` there is one that only decoders have:

    hearth.paged_attention(q, k, v, ...)     optional norm of q and k, rotation, append to the KV pages, attention

Symbols and inputs are those of `batch.py`, layouts of the KV pages those of docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax, tirx
from tvm.relax import op

from hearth.model.ops import (
    ACTIVATIONS,
    combine_experts,
    expert_linear,
    f32_tensor,
    hearth_op,
    layer_norm,
    linear,
    order_experts,
    replace_rows,
    rope_table,
    route,
)
from hearth.model.text.batch import (
    EMBEDDED_TOKENS,
    EMBEDDINGS,
    HIDDEN_STATES,
    LAST_SEEN,
    NO_EXTRAS,
    ROPE_POSITIONS,
    RUNS,
    SHAPES,
    SLOTS,
    STATE_TO,
    Extras,
)
from hearth.model.text.config import DecoderConfig, ExpertsConfig, LayerConfig, RopeConfig
from hearth.model.text.kv_cache import ITEM_BYTES, attending, block_bytes, padded_head, slot_bytes
from hearth.model.text.parameters import ALIBI, XIELU, is_predictors, parameter_shapes, rope_parameter

_ACTIVATIONS = {**ACTIVATIONS, "relu2": op.nn.relu}  # and squared
QUICK_GELU = 1.702


def build(config: DecoderConfig, kv_dtype: str = "float16", extras: Extras = NO_EXTRAS) -> Any:
    """The IRModule with `forward(inputs..., weights..., KV pages...) -> (logits, argmax, hidden)`.

    logits f32 (logit_rows, vocab); argmax int64 (logit_rows,); hidden f32 (tokens, hidden_size), after the final norm.

    Args:
        extras: what it takes beside tokens.
    """
    return Builder(config, kv_dtype, extras).build()


class Builder:
    """Writes one function of a decoder: the whole of its layers, or what a subclass makes of some.

    Attributes:
        name: of the function.
        inputs, params, states: its parameters, by name.
    """

    name = "forward"

    def __init__(self, config: DecoderConfig, kv_dtype: str, extras: Extras) -> None:
        self.c = config
        self.bb = relax.BlockBuilder()
        symbols = {d: tirx.Var(d, "int64") for shape in SHAPES.values() for d in shape if isinstance(d, str)}
        pages = tirx.Var("pages", "int64")
        self.inputs = {
            name: relax.Var(name, relax.TensorType([symbols[d] if isinstance(d, str) else d for d in shape], "int32"))
            for name, shape in SHAPES.items()
        }
        self.n = symbols["tokens"]
        self.embeddings, self.ahead = extras.embeddings, extras.ahead
        if self.ahead:
            self.inputs[LAST_SEEN] = relax.Var(LAST_SEEN, relax.TensorType([self.n], "int32"))
        self.turned_by = self.inputs["positions"]
        if extras.rope_streams > 1:
            self.turned_by = relax.Var(ROPE_POSITIONS, relax.TensorType([self.n, extras.rope_streams], "int32"))
            self.inputs[ROPE_POSITIONS] = self.turned_by
        if extras.state:
            runs = tirx.Var(RUNS, "int64")
            self.inputs[RUNS] = relax.Var(RUNS, relax.TensorType([runs, 4], "int32"))
            self.inputs[STATE_TO] = relax.Var(STATE_TO, relax.TensorType([self.n], "int32"))
        if self.embeddings:
            count = tirx.Var(EMBEDDINGS, "int64")
            self.inputs[EMBEDDINGS] = relax.Var(EMBEDDINGS, f32_tensor(count, config.hidden_size))
            self.inputs[EMBEDDED_TOKENS] = relax.Var(EMBEDDED_TOKENS, relax.TensorType([count], "int32"))
        if extras.hidden:
            self.inputs[HIDDEN_STATES] = relax.Var(HIDDEN_STATES, f32_tensor(self.n, config.hidden_size))
        shapes = {name: shape for name, shape in parameter_shapes(config).items() if self.uses(name)}
        self.params = {name: relax.Var(name, f32_tensor(*shape)) for name, shape in shapes.items()}
        for i, rope in enumerate(config.ropes):
            self.params[rope_parameter(i)] = relax.Var(rope_parameter(i), f32_tensor(len(rope.inv_freq)))
        if config.alibi:
            self.params[ALIBI] = relax.Var(ALIBI, f32_tensor(len(config.alibi)))
        self.left: dict[str, Any] = {}
        self.states: dict[str, Any] = {}
        for number in attending(config):
            if not self.uses(f"layers.{number}.k_pages"):
                continue
            layer = config.blocks[number]
            hp, heads = padded_head(config.head_dim_of(layer)), config.num_kv_heads_of(layer)
            for kind in "kv":
                name = f"layers.{number}.{kind}_pages"
                shape = (pages, heads, block_bytes(kind, kv_dtype, hp) // ITEM_BYTES[kv_dtype])
                self.states[name] = relax.Var(name, relax.TensorType(shape, kv_dtype))
        slots = tirx.Var(SLOTS, "int64")
        for name, size in slot_bytes(config).items():
            if self.uses(name):
                self.states[name] = relax.Var(name, f32_tensor(slots, size // 4))

    def uses(self, name: str) -> bool:
        """Whether the function has this parameter or state of the decoder."""
        return not is_predictors(name, self.c)

    def emit(self, value: Any) -> Any:
        return self.bb.emit(value)

    def scaled(self, x: Any, factor: float) -> Any:
        return x if factor == 1.0 else self.emit(op.multiply(x, relax.const(factor, "float32")))

    def offset(self, x: Any, offset: float) -> Any:
        return x if offset == 0.0 else self.emit(op.add(x, relax.const(offset, "float32")))

    def cut(self, x: Any, most: float | None, *, below: bool = True) -> Any:
        """x cut to at most so much, and with `below` to no less than the negative of that."""
        if most is None:
            return x
        x = self.emit(op.maximum(x, relax.const(-most, "float32"))) if below else x
        return self.emit(op.minimum(x, relax.const(most, "float32")))

    def linear(self, x: Any, weight: str, bias: str | None) -> Any:
        return self.emit(linear(x, self.params[weight], None if bias is None else self.params[bias]))

    def norm(self, x: Any, name: str) -> Any:
        # Gemma's weight + 1 is in the parameter (`network.py`, DecoderConfig.norm_offset).
        c, weight, bias = self.c, self.params.get(name), self.params.get(f"{name}_bias")
        if c.norm == "rms":
            return self.emit(op.nn.rms_norm(x, weight, axes=-1, epsilon=c.norm_eps))
        return self.emit(layer_norm(x, weight, bias, c.norm_eps))

    def build(self) -> Any:
        """The IRModule with this function alone."""
        bb = self.bb
        all_params = [*self.inputs.values(), *self.params.values(), *self.states.values()]
        with bb.function(self.name, all_params, attrs={"num_input": len(self.inputs)}):
            with bb.dataflow():
                out = bb.emit_output(relax.Tuple(list(self.results())))
            bb.emit_func_output(out)
        return bb.get()

    def results(self) -> tuple[Any, Any, Any]:
        """Logits, the token of the largest, and hidden states."""
        c = self.c
        x = self.embedded("embed")
        if c.position_table:
            place = self.emit(op.take(self.params["position_embed"], self.inputs["positions"], axis=0))
            x = self.emit(op.add(x, place))
        if c.embedding_norm:
            x = self.norm(x, "embed_norm")
        if self.embeddings:
            x = self.emit(replace_rows(x, self.inputs[EMBEDDINGS], self.inputs[EMBEDDED_TOKENS]))
        tables = self.tables()
        given = self.given(x) if c.layer_embedding else []
        for i, layer in enumerate(c.layers):
            x = self.block(i, layer, x, tables)
            if c.layer_embedding:
                x = self.add_given(i, x, given[i])
            if c.layer_scale:
                x = self.emit(op.multiply(x, self.params[f"layers.{i}.scale"]))
        hidden = self.norm(x, "norm")
        return *self.headed(hidden, "embed" if c.tied_embeddings else "head"), hidden

    def embedded(self, table: str) -> Any:
        """What a table has for the tokens."""
        x = self.emit(op.take(self.params[table], self.inputs["token_ids"], axis=0))
        return self.scaled(x, self.c.embedding_scale)

    def headed(self, hidden: Any, head: str) -> tuple[Any, Any]:
        """Logits of the rows that are wanted, and the token of the largest."""
        c = self.c
        rows = self.emit(op.take(hidden, self.inputs["logit_rows"], axis=0))
        logits = self.linear(rows, head, "head_bias" if c.head_bias else None)
        logits = self.scaled(logits, c.logit_scale)
        if c.logit_softcap is not None:
            cap = relax.const(c.logit_softcap, "float32")
            logits = self.emit(op.multiply(self.emit(op.tanh(self.emit(op.divide(logits, cap)))), cap))
        return logits, self.emit(op.argmax(logits, axis=1))

    def tables(self) -> list[Any]:
        """Of each rotation."""
        return [self.table(i, rope) for i, rope in enumerate(self.c.ropes)]

    def given(self, x: Any) -> list[tuple[Any, Any]]:
        """What each layer is given beside its input, (n, layer_embedding): of the tokens' embedding x, and its part of
        their second one."""
        c, width = self.c, self.c.layer_embedding
        second = self.emit(op.take(self.params["layer_embed"], self.inputs["token_ids"], axis=0))
        both = (
            self.scaled(self.linear(x, "layer_project", None), c.hidden_size**-0.5),
            self.scaled(second, width**0.5),
        )
        if c.num_layers == 1:
            return [both]
        ends = [i * width for i in range(1, c.num_layers)]
        parts = [self.emit(op.split(each, ends, axis=1)) for each in both]
        first, second = ([self.emit(relax.TupleGetItem(each, i)) for i in range(c.num_layers)] for each in parts)
        return list(zip(first, second, strict=True))

    def add_given(self, i: int, x: Any, given: tuple[Any, Any]) -> Any:
        p, (of_x, own) = f"layers.{i}.", given
        both = self.scaled(self.emit(op.add(self.norm(of_x, "layer_embed_norm"), own)), 0.5**0.5)
        gate = self.activated(p, self.linear(x, p + "given_gate", None))
        out = self.linear(self.emit(op.multiply(gate, both)), p + "given_out", None)
        return self.emit(op.add(x, self.norm(out, p + "given_norm")))

    def table(self, i: int, rope: RopeConfig) -> Any:
        # Where tokens have one position all pairs turn by that.
        several = len(self.turned_by.ty.shape) > 1
        streams = (rope.streams or (0,) * len(rope.inv_freq)) if several else ()
        return self.emit(rope_table(self.turned_by, self.params[rope_parameter(i)], rope.attention_factor, streams))

    def block(self, i: int, layer: LayerConfig, x: Any, tables: list[Any]) -> Any:
        c, p, placement = self.c, f"layers.{i}.", self.c.placement(layer)
        after = x
        if layer.mixes:
            read = x if placement == "post" else self.norm(x, p + "attn_norm")
            mixed = self.mixed(i, layer, read, tables)
            after = self.joined(x, mixed if placement == "pre" else self.norm(mixed, p + "attn_post_norm"))
        if not layer.feed_forward:
            return after
        if c.branches != "parallel_shared":
            source = x if c.branches == "parallel" else after
            read = source if placement == "post" else self.norm(source, p + "mlp_norm")
        mlp = self.channels_mixed(i, layer, read)
        return self.joined(after, mlp if placement == "pre" else self.norm(mlp, p + "mlp_post_norm"))

    def joined(self, x: Any, branch: Any) -> Any:
        """The residual stream after a branch."""
        return self.emit(op.add(x, self.scaled(branch, self.c.residual_scale)))

    def channels_mixed(self, i: int, layer: LayerConfig, x: Any) -> Any:
        """What a layer has behind what mixes its tokens: an MLP, experts, or a mixer that has state, too."""
        if layer.channel_mixer is not None:
            return layer.channel_mixer.build(_LayerParts(self, f"layers.{i}."), x)
        return self.mixture(i, self.c.experts, x) if layer.experts and self.c.experts else self.mlp(i, x)

    def mixed(self, i: int, layer: LayerConfig, x: Any, tables: list[Any]) -> Any:
        """What the tokens of a sequence say to each other."""
        attended = self.attention(i, layer, x, tables) if layer.attends else None
        if layer.mixer is None:
            return attended
        mixed = layer.mixer.build(_LayerParts(self, f"layers.{i}."), x)
        return mixed if attended is None else self.emit(op.add(mixed, attended))

    def attention(self, i: int, layer: LayerConfig, x: Any, tables: list[Any]) -> Any:
        c, p = self.c, f"layers.{i}."
        names = ("q",) if layer.reads is not None else ("q", "k", "v") if layer.own_values else ("q", "k")
        args = [self.linear(x, p + name, f"{p}{name}_bias" if c.qkv_bias else None) for name in names]
        args = [self.cut(each, c.qkv_clip) for each in args]
        args += [] if layer.own_values or layer.reads is not None else args[1:]
        if layer.rope is not None:
            args += [self.emit(relax.TupleGetItem(tables[layer.rope], j)) for j in (0, 1)]
        if c.qk_norm:
            args += [self.params[p + name] for name in ("q_norm", "k_norm") if p + name in self.params]
        if c.attention_sinks:
            args.append(self.params[p + "sinks"])
        if c.alibi:
            args.append(self.params[ALIBI])
        if self.ahead:
            args.append(self.inputs[LAST_SEEN])
        args += [self.inputs[name] for name in ("positions", "token_seq", "items", "merges", "block_table")]
        pages = p if layer.reads is None else f"layers.{layer.reads}."
        args += [self.states[pages + "k_pages"], self.states[pages + "v_pages"]]
        head_dim, num_heads = c.head_dim_of(layer), c.num_heads_of(layer)
        temperature, length = c.attention_temperature or (0.0, 1)
        call = hearth_op(
            "paged_attention", args, f32_tensor(self.n, num_heads * head_dim), num_heads=num_heads,
            num_kv_heads=c.num_kv_heads_of(layer), head_dim=head_dim, appends=layer.reads is None,
            value_norm=c.value_norm, scale=c.attention_scale,
            softcap=c.attention_softcap or 0.0, window=layer.sliding_window or 0, rope=layer.rope is not None,
            qk_norm=c.qk_norm or "", epsilon=c.norm_eps, sinks=c.attention_sinks,
            slopes=bool(c.alibi), temperature=temperature, temperature_length=length, ahead=self.ahead,
        )  # fmt: skip
        h = self.emit(call)
        if c.attention_gate == "full":
            h = self.emit(op.multiply(h, self.emit(op.sigmoid(self.linear(x, p + "attn_gate", None)))))
        elif c.attention_gate == "head":
            share = self.emit(op.sigmoid(self.linear(x, p + "head_gate", None)))
            heads = self.emit(op.reshape(h, (self.n, num_heads, head_dim)))
            heads = self.emit(op.multiply(heads, self.emit(op.expand_dims(share, 2))))
            h = self.emit(op.reshape(heads, (self.n, num_heads * head_dim)))
        return self.linear(h, p + "o", p + "o_bias" if c.output_bias else None)

    def mlp(self, i: int, x: Any, kind: str = "") -> Any:
        """The MLP of a layer, or with `kind` what is beside its experts."""
        c, p = self.c, f"layers.{i}."

        def multiplied(x: Any, name: str) -> Any:
            return self.linear(x, f"{p}{name}{kind}", f"{p}{name}_bias" if c.mlp_bias and not kind else None)

        return self.feed_forward(p, x, multiplied, multiplied)

    def feed_forward(self, p: str, x: Any, into: Callable[[Any, str], Any], out: Callable[[Any, str], Any]) -> Any:
        """Activation and gate between the products into and out of the inner width, by their names."""
        h, *up = (into(x, name) for name in (("gate", "up") if self.c.mlp == "gated" else ("up",)))
        most = self.c.mlp_clamp
        h = self.activated(p, self.cut(h, most, below=False))
        if up:
            h = self.emit(op.multiply(h, self.offset(self.cut(up[0], most), self.c.up_offset)))
        return out(h, "down")

    def mixture(self, i: int, experts: ExpertsConfig, x: Any) -> Any:
        """What the chosen experts of each token give together, and what is beside them."""
        p, used = f"layers.{i}.", experts.used
        logits = self.linear(x, p + "router", p + "router_bias" if experts.bias else None)
        chosen = self.emit(
            route(
                logits, self.params.get(p + "choice_bias"), used=used, scores=experts.scores,
                normalise=experts.normalise, scale=experts.scale, groups=experts.groups,
                used_groups=experts.used_groups,
            )
        )  # fmt: skip
        ids, weights = (self.emit(relax.TupleGetItem(chosen, j)) for j in (0, 1))
        ordered = self.emit(order_experts(ids, experts.count))
        order, starts, tokens, places = (self.emit(relax.TupleGetItem(ordered, j)) for j in range(4))

        def multiplied(x: Any, name: str, whose: Any | None = None) -> Any:
            w, bias = self.params[f"{p}{name}_exps"], self.params.get(f"{p}{name}_exps_bias")
            return self.emit(expert_linear(x, w, order, starts, whose, bias, used=used, rows=self.n * used))

        read = self.linear(x, p + "latent_down", None) if experts.latent_size else x
        h = self.feed_forward(p, read, lambda x, name: multiplied(x, name, tokens), multiplied)
        together = self.emit(combine_experts(h, places, weights))
        if experts.latent_size:
            together = self.linear(together, p + "latent_up", None)
        if not experts.shared_size:
            return together
        shared = self.mlp(i, x, "_shared")
        if experts.shared_gate:
            share = self.emit(op.sigmoid(self.linear(x, p + "shared_gate", None)))
            shared = self.emit(op.multiply(shared, share))
        return self.emit(op.add(together, shared))

    def activated(self, p: str, x: Any) -> Any:
        if self.c.activation == "xielu":
            return self.xielu(x, *(self.params[p + name] for name in XIELU))
        if self.c.activation == "quick_gelu":  # x sigmoid(1.702 x)
            return self.scaled(self.emit(op.nn.silu(self.scaled(x, QUICK_GELU))), 1 / QUICK_GELU)
        h = self.emit(_ACTIVATIONS[self.c.activation](x))
        return self.emit(op.multiply(h, h)) if self.c.activation == "relu2" else h

    def xielu(self, x: Any, positive: Any, negative: Any, beta: Any, eps: Any) -> Any:
        """Expanded integral of the ELU (arXiv:2411.13010): x (n, K), the others (1,)."""
        one, zero = relax.const(1.0, "float32"), relax.const(0.0, "float32")
        linear = self.emit(op.multiply(x, beta))
        above = self.emit(op.multiply(self.emit(op.multiply(x, x)), positive))
        grown = self.emit(op.subtract(self.emit(op.exp(self.emit(op.minimum(x, eps)))), one))
        below = self.emit(op.multiply(self.emit(op.subtract(grown, x)), self.emit(op.add(negative, beta))))
        chosen = self.emit(op.where(self.emit(op.greater(x, zero)), above, below))
        return self.emit(op.add(chosen, linear))


class _LayerParts:
    """What the mixer of a layer is built of (`mixers.Parts`)."""

    def __init__(self, builder: Builder, prefix: str) -> None:
        self._builder, self._prefix = builder, prefix
        self.epsilon = builder.c.norm_eps
        self.runs, self.state_to = builder.inputs[RUNS], builder.inputs[STATE_TO]
        self.left = builder.left

    def emit(self, value: Any) -> Any:
        return self._builder.emit(value)

    def parameter(self, name: str) -> Any:
        return self._builder.params[self._prefix + name]

    def state(self, name: str) -> Any:
        return self._builder.states[self._prefix + name]

    def linear(self, x: Any, weight: str, bias: str | None = None) -> Any:
        return self._builder.linear(x, self._prefix + weight, None if bias is None else self._prefix + bias)
