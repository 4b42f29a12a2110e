"""The encoder as a Relax module, in logical operations: what is computed, not how. Needs TVM.

One function `encode` for a ragged batch of texts (`batch.py`). n tokens, s sequences, t tiles of attention.
"""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx
from tvm.relax import op

from hearth.model import ops
from hearth.model.encoder.batch import input_shapes
from hearth.model.encoder.config import EncoderConfig, EncoderLayer, Head, Linear, Norm, Step
from hearth.model.encoder.parameters import parameter_shapes, rope_parameter

_ACTIVATIONS = {
    **ops.ACTIVATIONS,
    "tanh": op.tanh,
    "sigmoid": op.sigmoid,
    "identity": lambda x: x,
}
_LEAST_LENGTH = 1e-12


def build(config: EncoderConfig) -> Any:
    """The IRModule with `encode(inputs..., weights...) -> (hidden, [embedding or logits])`.

    hidden f32 (n, hidden_size); embedding f32 (s, size); logits f32 (s, labels) or (n, labels).
    """
    return _Builder(config).build()


class _Builder:
    def __init__(self, config: EncoderConfig) -> None:
        self.c = config
        self.bb = relax.BlockBuilder()
        sizes = {name: tirx.Var(name, "int64") for name in ("tokens", "borders", "tiles")}

        def dim(axis: str | tuple[str, int] | int) -> Any:
            if isinstance(axis, tuple):
                return sizes[axis[0]] + axis[1]
            return sizes[axis] if isinstance(axis, str) else axis

        self.inputs = {
            name: relax.Var(name, relax.TensorType([dim(axis) for axis in shape], "int32"))
            for name, shape in input_shapes(config).items()
        }
        self.params = {
            name: relax.Var(name, ops.f32_tensor(*shape)) for name, shape in parameter_shapes(config).items()
        }

    def emit(self, value: Any) -> Any:
        return self.bb.emit(value)

    def linear(self, x: Any, name: str, *, bias: bool) -> Any:
        return self.emit(ops.linear(x, self.params[name], self.params[f"{name}_bias"] if bias else None))

    def norm(self, x: Any, name: str) -> Any:
        if self.c.norm == "rms":
            return self.emit(op.nn.rms_norm(x, self.params[name], axes=-1, epsilon=self.c.norm_eps))
        return self.layer_norm(x, name, bias=self.c.norm_bias, eps=self.c.norm_eps)

    def layer_norm(self, x: Any, name: str, *, bias: bool, eps: float) -> Any:
        return self.emit(ops.layer_norm(x, self.params[name], self.params[f"{name}_bias"] if bias else None, eps))

    def build(self) -> Any:
        bb = self.bb
        params = [*self.inputs.values(), *self.params.values()]
        with bb.function("encode", params, attrs={"num_input": len(self.inputs)}):
            with bb.dataflow():
                x = self.embeddings()
                tables = [self.rope_table(index) for index in range(len(self.c.ropes))]
                for index, layer in enumerate(self.c.layers):
                    x = self.block(index, layer, x, tables)
                if self.c.final_norm:
                    x = self.norm(x, "norm")
                results = [x] if self.c.head is None else [x, self.head(self.c.head, x)]
                out = bb.emit_output(relax.Tuple(results))
            bb.emit_func_output(out)
        return bb.get()

    def embeddings(self) -> Any:
        c = self.c
        x = self.emit(op.take(self.params["embed"], self.inputs["token_ids"], axis=0))  # (n, hidden)
        if c.embedding_scale != 1.0:
            x = self.emit(op.multiply(x, relax.const(c.embedding_scale, "float32")))
        if c.token_types > 1:
            x = self.with_row_of(x, "token_type_embed", "token_types")
        elif c.token_types:
            x = self.emit(op.add(x, self.params["token_type"]))  # (1, hidden), of all tokens
        if c.learned_positions:
            x = self.with_row_of(x, "position_embed", "positions")
        return self.norm(x, "embed_norm") if c.embedding_norm else x

    def with_row_of(self, x: Any, table: str, index: str) -> Any:
        """x plus, for each token, a row of a table."""
        return self.emit(op.add(x, self.emit(op.take(self.params[table], self.inputs[index], axis=0))))

    def rope_table(self, index: int) -> tuple[Any, Any]:
        rope = self.c.ropes[index]
        inv_freq = self.params[rope_parameter(index)]
        table = self.emit(ops.rope_table(self.inputs["positions"], inv_freq, rope.attention_factor))
        return self.emit(relax.TupleGetItem(table, 0)), self.emit(relax.TupleGetItem(table, 1))

    def block(self, index: int, layer: EncoderLayer, x: Any, tables: list[tuple[Any, Any]]) -> Any:
        place, p = self.c.norm_placement, f"layers.{index}."
        h = self.norm(x, p + "attn_norm") if place != "post" and layer.attn_norm else x
        x = self.joined(x, self.attention(p, layer, h, tables), p + "attn_post_norm")
        h = x if place == "post" else self.norm(x, p + "mlp_norm")
        return self.joined(x, self.mlp(p, h), p + "mlp_post_norm")

    def joined(self, x: Any, branch: Any, norm: str) -> Any:
        """The residual stream after a branch."""
        if self.c.norm_placement == "pre_post":
            branch = self.norm(branch, norm)
        x = self.emit(op.add(x, branch))
        return self.norm(x, norm) if self.c.norm_placement == "post" else x

    def attention(self, p: str, layer: EncoderLayer, x: Any, tables: list[tuple[Any, Any]]) -> Any:
        c = self.c
        q, k, v = (self.linear(x, p + name, bias=c.qkv_bias) for name in ("q", "k", "v"))
        if c.qk_norm == "head":
            q, k = (self.head_norm(y, p + name) for y, name in ((q, "q_norm"), (k, "k_norm")))
        elif c.qk_norm == "full":
            q, k = (self.layer_norm(y, p + n, bias=True, eps=c.norm_eps) for y, n in ((q, "q_norm"), (k, "k_norm")))
        if layer.rope is not None:
            cos, sin = tables[layer.rope]
            q = self.emit(ops.rotary(q, cos, sin, num_heads=c.num_heads))
            k = self.emit(ops.rotary(k, cos, sin, num_heads=c.num_kv_heads))
        h = self.emit(
            ops.ragged_attention(
                q,
                k,
                v,
                self.inputs["starts"],
                self.inputs["tiles"],
                self.params["distance_bias"] if c.distance_bias else None,
                num_heads=c.num_heads,
                num_kv_heads=c.num_kv_heads,
                scale=c.attention_scale,
                window=layer.window,
            )
        )
        return self.linear(h, p + "o", bias=c.output_bias)

    def head_norm(self, x: Any, name: str) -> Any:
        """RMSNorm of each head of x (n, heads * head_dim)."""
        tokens, width = x.ty.shape
        size = self.c.head_dim
        heads = self.emit(op.reshape(x, (tokens, int(width) // size, size)))
        normed = self.emit(op.nn.rms_norm(heads, self.params[name], axes=-1, epsilon=self.c.norm_eps))
        return self.emit(op.reshape(normed, (tokens, width)))

    def mlp(self, p: str, x: Any) -> Any:
        c = self.c
        up = self.linear(x, p + "up", bias=c.up_bias)
        act = _ACTIVATIONS[c.activation]
        if c.gated:
            gate = self.emit(act(self.linear(x, p + "gate", bias=c.up_bias)))
            h = self.emit(op.multiply(gate, up))
        else:
            h = self.emit(act(up))
        return self.linear(h, p + "down", bias=c.down_bias)

    def head(self, head: Head, x: Any) -> Any:
        for step in head.before:
            x = self.step(step, x)
        if head.pooling:
            skips = self.inputs["skips"] if head.skips else None
            pooled = [self.emit(ops.ragged_pool(x, self.inputs["starts"], skips, mode=mode)) for mode in head.pooling]
            x = pooled[0] if len(pooled) == 1 else self.emit(op.concat(pooled, axis=-1))
        for step in head.after:
            x = self.step(step, x)
        return x

    def step(self, step: Step, x: Any) -> Any:
        if isinstance(step, Norm):
            return self.layer_norm(x, f"head.{step.name}", bias=step.bias, eps=step.eps)
        if isinstance(step, Linear):
            y = self.linear(x, f"head.{step.name}", bias=step.bias)
            return y if step.activation == "identity" else self.emit(_ACTIVATIONS[step.activation](y))
        squares = self.emit(op.sum(self.emit(op.multiply(x, x)), axis=-1, keepdims=True))
        length = self.emit(op.maximum(self.emit(op.sqrt(squares)), relax.const(_LEAST_LENGTH, "float32")))
        return self.emit(op.divide(x, length))
