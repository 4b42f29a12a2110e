"""The decoder as a Relax module, in logical operations: what is computed, not how.

One function `forward` for a ragged batch: prefill chunks, single tokens and tokens to verify in any mixture. Weights
are `[out, in]` f32 parameters by the names of `parameters.py`, whatever format they will be packed in; passes in
`compiler/` decide that. Beside the operations of `model/ops.py` there is one that only decoders have:

    hearth.paged_attention(q, k, v, ...)     optional norm of q and k, rotation, append to the KV pages, attention

Symbols and inputs are those of `batch.py`, layouts of the KV pages those of docs/architecture.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.relax import op

from hearth.model.ops import f32_tensor, head_linear, hearth_op, replace_rows, rope_table
from hearth.model.text.adapters import ADAPTER_ITEMS, ADAPTERS, adapted, adapter_state, unit_numbers
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
from hearth.model.text.config import DecoderConfig, LatentConfig, LayerConfig, RopeConfig
from hearth.model.text.feed_forward import dense, mixture
from hearth.model.text.kv_cache import ITEM_BYTES, attending, block_bytes, padded_head, page_kinds, slot_bytes
from hearth.model.text.layer_embedding import given
from hearth.model.text.parameters import ALIBI, rope_parameter
from hearth.model.text.residual import augmented, residual
from hearth.model.text.writer import Writer


def build(config: DecoderConfig, kv_dtype: str = "float16", extras: Extras = NO_EXTRAS) -> Any:
    """The IRModule with `forward(inputs..., weights..., KV pages...) -> (logits, argmax, hidden)`.

    logits f32 (logit_rows, vocab); argmax int64 (logit_rows,); hidden f32 (tokens, hidden_size), after the final norm.

    Args:
        extras: what it takes beside tokens.
    """
    return Builder(config, kv_dtype, extras).build()


class Builder(Writer):
    """Writes one function of a decoder: the whole of its layers, or what a subclass makes of some.

    Attributes:
        name: of the function.
        inputs, states: what it takes beside parameters, by name.
    """

    name = "forward"

    def __init__(self, config: DecoderConfig, kv_dtype: str, extras: Extras) -> None:
        symbols = {d: tirx.Var(d, "int64") for shape in SHAPES.values() for d in shape if isinstance(d, str)}
        super().__init__(config, symbols["tokens"])
        pages = tirx.Var("pages", "int64")
        self.inputs = {
            name: relax.Var(name, relax.TensorType([symbols[d] if isinstance(d, str) else d for d in shape], "int32"))
            for name, shape in SHAPES.items()
        }
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
        if extras.adapters:
            items = tirx.Var(ADAPTER_ITEMS, "int64")
            self.inputs[ADAPTER_ITEMS] = relax.Var(ADAPTER_ITEMS, relax.TensorType([items, 4], "int32"))
        if self.embeddings:
            count = tirx.Var(EMBEDDINGS, "int64")
            self.inputs[EMBEDDINGS] = relax.Var(EMBEDDINGS, f32_tensor(count, config.hidden_size))
            self.inputs[EMBEDDED_TOKENS] = relax.Var(EMBEDDED_TOKENS, relax.TensorType([count], "int32"))
        if extras.hidden:
            self.inputs[HIDDEN_STATES] = relax.Var(HIDDEN_STATES, f32_tensor(self.n, config.hidden_size))
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
            for kind in page_kinds(config):
                name = f"layers.{number}.{kind}_pages"
                shape = (pages, heads, block_bytes(kind, kv_dtype, hp) // ITEM_BYTES[kv_dtype])
                self.states[name] = relax.Var(name, relax.TensorType(shape, kv_dtype))
        slots = tirx.Var(SLOTS, "int64")
        for name, size in slot_bytes(config).items():
            if self.uses(name):
                self.states[name] = relax.Var(name, f32_tensor(slots, size // 4))
        # Nothing here reads them: a pass adds what adapters do behind products (compiler/passes/adapters.py).
        units = tirx.Var(ADAPTERS, "int64")
        for parameter, matrix in adapted(config, extras.adapters).items():
            assert extras.adapters is not None
            name = adapter_state(parameter)
            numbers = relax.TensorType((units, unit_numbers(matrix, extras.adapters.dtype)), extras.adapters.dtype)
            self.states[name] = relax.Var(name, numbers)

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
        parts = given(self, self.inputs["token_ids"], x) if c.layer_embedding else [None] * c.num_layers
        stream = residual(self, x)
        for i, (layer, part) in enumerate(zip(c.layers, parts, strict=True)):
            p = f"layers.{i}."
            stream.leave(p, self.block(i, layer, stream.enter(p), tables), part)
        hidden = self.norm(stream.whole(), "norm")
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
            after = augmented(self, p, after, read) if c.laurel_rank else after
        if not layer.feed_forward:
            return after
        source = after if c.branches == "serial" else x
        if c.branches != "parallel_shared":
            read = source if placement == "post" else self.norm(source, p + "mlp_norm")
        mlp = self.channels_mixed(i, layer, read, source)
        return self.joined(after, mlp if placement == "pre" else self.norm(mlp, p + "mlp_post_norm"))

    def joined(self, x: Any, branch: Any) -> Any:
        """The residual stream after a branch."""
        return self.emit(op.add(x, self.scaled(branch, self.c.residual_scale)))

    def channels_mixed(self, i: int, layer: LayerConfig, x: Any, bare: Any) -> Any:
        """What a layer has behind what mixes its tokens: an MLP, experts, or a mixer that has state, too.

        x is what the norm before it makes of `bare`.
        """
        if layer.channel_mixer is not None:
            return layer.channel_mixer.build(_LayerParts(self, f"layers.{i}."), x)
        p, experts = f"layers.{i}.", self.c.experts
        if layer.experts and experts:
            return mixture(self, p, experts, x, bare)
        return dense(self, p, x, cut=layer.gate_cut)

    def mixed(self, i: int, layer: LayerConfig, x: Any, tables: list[Any]) -> Any:
        """What the tokens of a sequence say to each other."""
        attended = None
        if layer.attends:
            latent = self.c.latent
            attended = self.latents(i, layer, latent, x, tables) if latent else self.attention(i, layer, x, tables)
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
        norm, norms = c.qk_norm or "", []
        if norm == "rotated_bare":
            norm = "rotated_head" if layer.rope is not None else ""
            norms = [relax.const(np.ones(c.head_dim_of(layer), np.float32))] * (2 * bool(norm))
        elif norm:
            norms = [self.params[p + name] for name in ("q_norm", "k_norm") if p + name in self.params]
        h = self.attended(i, layer, args, norms, tables, qk_norm=norm, epsilon=c.norm_eps)
        head_dim, num_heads = c.head_dim_of(layer), c.num_heads_of(layer)
        opened = op.sigmoid if c.gate_activation == "sigmoid" else op.nn.softplus
        if c.attention_gate == "full":
            h = self.emit(op.multiply(h, self.emit(opened(self.linear(x, p + "attn_gate", None)))))
        elif c.attention_gate == "head":
            share = self.emit(opened(self.linear(x, p + "head_gate", None)))
            heads = self.emit(op.reshape(h, (self.n, num_heads, head_dim)))
            heads = self.emit(op.multiply(heads, self.emit(op.expand_dims(share, 2))))
            h = self.emit(op.reshape(heads, (self.n, num_heads * head_dim)))
        h = self.norm(h, p + "attn_sub_norm") if c.sub_norms else h
        return self.linear(h, p + "o", p + "o_bias" if c.output_bias else None)

    def latents(self, i: int, layer: LayerConfig, latent: LatentConfig, x: Any, tables: list[Any]) -> Any:
        """Attention to latent vectors (`LatentConfig`)."""
        c, p = self.c, f"layers.{i}."
        read = x
        if latent.query_rank:
            narrow = self.linear(x, p + "q_a", None)
            read = self.emit(op.nn.rms_norm(narrow, self.params[p + "q_a_norm"], axes=-1, epsilon=latent.norm_eps))

        def of_heads(x: Any, size: int, name: str) -> Any:
            """Each head times its matrix."""
            return self.emit(head_linear(self.emit(op.reshape(x, (self.n, c.num_heads, size))), self.params[p + name]))

        q = of_heads(self.linear(read, p + "q_nope", None), latent.nope_dim, "k_b")
        args = [q, self.linear(read, p + "q_rope", None), self.linear(x, p + "kv_a", None)]
        norms, how = [self.params[p + "kv_a_norm"]], {"qk_norm": "latent", "epsilon": latent.norm_eps}
        h = self.attended(i, layer, args, norms, tables, latent=latent.rank, **how)
        values = self.emit(op.reshape(of_heads(h, latent.rank, "v_b"), (self.n, c.num_heads * latent.value_dim)))
        return self.linear(values, p + "o", None)

    def attended(
        self, i: int, layer: LayerConfig, args: list[Any], norms: list[Any], tables: list[Any], *, latent: int = 0,
        **how: Any,
    ) -> Any:  # fmt: skip
        """Attention over the pages of a layer.

        Args:
            args: queries, and what is appended.
            norms: weights by which these are normalised.
            latent: values are the first so many numbers of keys; 0: they are others.
        """
        c, p = self.c, f"layers.{i}."
        args = list(args)
        if layer.rope is not None:
            args += [self.emit(relax.TupleGetItem(tables[layer.rope], j)) for j in (0, 1)]
        args += norms
        if c.attention_sinks:
            args.append(self.params[p + "sinks"])
        if c.alibi:
            args.append(self.params[ALIBI])
        if self.ahead:
            args.append(self.inputs[LAST_SEEN])
        args += [self.inputs[name] for name in ("positions", "token_seq", "items", "merges", "block_table")]
        pages = p if layer.reads is None else f"layers.{layer.reads}."
        args += [self.states[f"{pages}{kind}_pages"] for kind in page_kinds(c)]
        head_dim, num_heads = c.head_dim_of(layer), c.num_heads_of(layer)
        temperature, length, offset = (c.attention_temperature if layer.tempered else None) or (0.0, 1, 0)
        call = hearth_op(
            "paged_attention", args, f32_tensor(self.n, num_heads * (latent or head_dim)), num_heads=num_heads,
            num_kv_heads=c.num_kv_heads_of(layer), head_dim=head_dim, appends=layer.reads is None,
            value_norm=c.value_norm, latent=latent, scale=c.attention_scale,
            softcap=c.attention_softcap or 0.0, window=layer.sliding_window or 0, rope=layer.rope is not None,
            sinks=c.attention_sinks, slopes=bool(c.alibi), temperature=temperature, temperature_length=length,
            temperature_offset=offset, chunked=layer.chunked, ahead=self.ahead, **how,
        )  # fmt: skip
        return self.emit(call)


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
