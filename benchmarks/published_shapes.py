"""Published decoders by the numbers of their config.json, and the tensors that their files hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from expert_shapes import ExpertsShape
from recurrent_shapes import ConvShape, DeltaShape, Mamba2Shape


@dataclass(frozen=True)
class Shape:
    """A published decoder: the numbers of its config.json."""

    architecture: str  # general.architecture of GGUF and model_type of config.json
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    rope_theta: float
    norm_eps: float
    max_position: int
    bos_id: int
    eos_id: int
    pre_tokenizer: str  # tokenizer.ggml.pre
    qkv_bias: bool = False
    llama3_rope: bool = False  # rope_scaling of type llama3, factor 32, 1..4, 8192
    rotary_dim: int | None = None  # of a head; None: all of it
    recurrent: DeltaShape | ConvShape | Mamba2Shape | None = None  # in most layers, in place of attention; GGUF only
    experts: ExpertsShape | None = None  # in place of the MLP; GGUF only
    gated_attention: bool = False
    head_norms: bool = False
    own_head: bool = False  # GGUF only; else the embedding is the head
    sinks: bool = False
    output_bias: bool = False
    norm_before_mlp: str = "ffn_norm"  # as GGUF names it
    foresees: bool = False  # with a block that predicts further tokens and is always right
    settings: Mapping[str, object] = field(default_factory=dict)  # more of GGUF's keys, behind the architecture's name

    @property
    def gguf_only(self) -> bool:
        return self.recurrent is not None or self.experts is not None or self.own_head

    @property
    def num_blocks(self) -> int:
        """Layers, and what predicts further tokens."""
        return self.num_layers + self.foresees


SHAPES = {
    "llama-3.2-1b": Shape(
        architecture="llama", hidden_size=2048, num_layers=16, num_heads=32, num_kv_heads=8, head_dim=64,
        intermediate_size=8192, vocab_size=128256, rope_theta=500000.0, norm_eps=1e-5, max_position=131072,
        bos_id=128000, eos_id=128001, pre_tokenizer="llama-bpe", llama3_rope=True,
    ),
    "qwen2.5-0.5b": Shape(
        architecture="qwen2", hidden_size=896, num_layers=24, num_heads=14, num_kv_heads=2, head_dim=64,
        intermediate_size=4864, vocab_size=151936, rope_theta=1000000.0, norm_eps=1e-6, max_position=32768,
        bos_id=151643, eos_id=151645, pre_tokenizer="qwen2", qkv_bias=True,
    ),
    "smollm2-135m": Shape(
        architecture="llama", hidden_size=576, num_layers=30, num_heads=9, num_kv_heads=3, head_dim=64,
        intermediate_size=1536, vocab_size=49152, rope_theta=100000.0, norm_eps=1e-5, max_position=8192,
        bos_id=1, eos_id=2, pre_tokenizer="smollm",
    ),
    "qwen3.5-0.8b": Shape(
        architecture="qwen35", hidden_size=1024, num_layers=24, num_heads=8, num_kv_heads=2, head_dim=256,
        intermediate_size=3584, vocab_size=248320, rope_theta=10000000.0, norm_eps=1e-6, max_position=262144,
        bos_id=248044, eos_id=248046, pre_tokenizer="qwen35", rotary_dim=64, gated_attention=True, head_norms=True,
        norm_before_mlp="post_attention_norm",
        recurrent=DeltaShape(key_heads=16, value_heads=16, size=128, taps=4, every=4),
    ),
    "qwen3.5-4b": Shape(
        architecture="qwen35", hidden_size=2560, num_layers=32, num_heads=16, num_kv_heads=4, head_dim=256,
        intermediate_size=9216, vocab_size=248320, rope_theta=10000000.0, norm_eps=1e-6, max_position=262144,
        bos_id=248044, eos_id=248046, pre_tokenizer="qwen35", rotary_dim=64, gated_attention=True, head_norms=True,
        norm_before_mlp="post_attention_norm",
        recurrent=DeltaShape(key_heads=16, value_heads=32, size=128, taps=4, every=4),
    ),
    "lfm2-1.2b": Shape(
        architecture="lfm2", hidden_size=2048, num_layers=16, num_heads=32, num_kv_heads=8, head_dim=64,
        intermediate_size=8192, vocab_size=65536, rope_theta=1000000.0, norm_eps=1e-5, max_position=128000,
        bos_id=1, eos_id=7, pre_tokenizer="lfm2", head_norms=True,
        recurrent=ConvShape(taps=3, attending=(2, 5, 8, 10, 12, 14)),
    ),
    # Mixtures with fewer layers than are published, so that they fit: a layer's speed does not depend on their number.
    "qwen3-30b-a3b-8-layers": Shape(
        architecture="qwen3moe", hidden_size=2048, num_layers=8, num_heads=32, num_kv_heads=4, head_dim=128,
        intermediate_size=6144, vocab_size=151936, rope_theta=1000000.0, norm_eps=1e-6, max_position=40960,
        bos_id=151643, eos_id=151645, pre_tokenizer="qwen2", head_norms=True, own_head=True,
        experts=ExpertsShape(count=128, used=8, inner_size=768),
    ),
    "granite-4-h-tiny-20-layers": Shape(
        architecture="granitehybrid", hidden_size=1536, num_layers=20, num_heads=12, num_kv_heads=4, head_dim=128,
        intermediate_size=512, vocab_size=100352, rope_theta=10000.0, norm_eps=1e-5, max_position=131072,
        bos_id=100257, eos_id=100257, pre_tokenizer="dbrx",
        recurrent=Mamba2Shape(heads=48, head_size=64, state_size=128, groups=1, taps=4, attending=(5, 15)),
        experts=ExpertsShape(count=64, used=6, inner_size=512, shared_size=1024),
        settings={
            "attention.scale": np.float32(0.0078125), "embedding_scale": np.float32(12.0),
            "residual_scale": np.float32(0.22), "logit_scale": np.float32(6.0), "rope.scaling.finetuned": False,
        },
    ),
    "gpt-oss-20b-6-layers": Shape(
        architecture="gpt-oss", hidden_size=2880, num_layers=6, num_heads=64, num_kv_heads=8, head_dim=64,
        intermediate_size=2880, vocab_size=201088, rope_theta=150000.0, norm_eps=1e-5, max_position=131072,
        bos_id=199998, eos_id=200002, pre_tokenizer="gpt-4o", qkv_bias=True, output_bias=True, sinks=True,
        own_head=True, norm_before_mlp="post_attention_norm",
        experts=ExpertsShape(count=32, used=4, inner_size=2880, bias=True),
        settings={
            "attention.sliding_window": np.uint32(128), "rope.scaling.type": "yarn",
            "rope.scaling.factor": np.float32(32.0), "rope.scaling.original_context_length": np.uint32(4096),
        },
    ),
}  # fmt: skip

# What a block that predicts further tokens can gain at most: a token depends on the one before alone, since no layer
# adds anything, and the block hands its embedding on.
SHAPES |= {f"{name}-mtp": replace(SHAPES[name], foresees=True) for name in ("qwen3.5-0.8b", "qwen3.5-4b")}


@dataclass(frozen=True)
class Tensor:
    """One tensor under both of its names."""

    gguf_name: str
    hf_name: str
    shape: tuple[int, ...]  # rows, columns; or (length,); or (experts, rows, columns)
    is_norm: bool = False


def tensors_of(shape: Shape) -> Iterator[Tensor]:
    """All tensors, in the order of the files."""
    hidden, inner = shape.hidden_size, shape.intermediate_size
    yield Tensor("token_embd.weight", "model.embed_tokens.weight", (shape.vocab_size, hidden))
    for layer in range(shape.num_blocks):
        blk, model = f"blk.{layer}.", f"model.layers.{layer}."
        yield Tensor(blk + "attn_norm.weight", model + "input_layernorm.weight", (hidden,), is_norm=True)
        yield from mixing_tensors(shape, layer, blk, model)
        before_mlp = f"{blk}{shape.norm_before_mlp}.weight"
        yield Tensor(before_mlp, model + "post_attention_layernorm.weight", (hidden,), is_norm=True)
        if shape.experts is not None:
            yield from (Tensor(blk + name, "", size) for name, size in shape.experts.parts(hidden))
            continue
        yield Tensor(blk + "ffn_gate.weight", model + "mlp.gate_proj.weight", (inner, hidden))
        yield Tensor(blk + "ffn_up.weight", model + "mlp.up_proj.weight", (inner, hidden))
        yield Tensor(blk + "ffn_down.weight", model + "mlp.down_proj.weight", (hidden, inner))
    if shape.foresees:
        blk = f"blk.{shape.num_layers}.nextn."
        yield Tensor(blk + "eh_proj.weight", "", (hidden, 2 * hidden))
        yield Tensor(blk + "enorm.weight", "", (hidden,), is_norm=True)
        yield Tensor(blk + "hnorm.weight", "", (hidden,), is_norm=True)
    last = "token_embd_norm.weight" if shape.architecture == "lfm2" else "output_norm.weight"
    yield Tensor(last, "model.norm.weight", (hidden,), is_norm=True)
    if shape.own_head:
        yield Tensor("output.weight", "", (shape.vocab_size, hidden))


def mixing_tensors(shape: Shape, layer: int, blk: str, model: str) -> Iterator[Tensor]:
    """Attention, or what a layer has in its place."""
    hidden, recurrent = shape.hidden_size, shape.recurrent
    if recurrent is not None and not recurrent.attends(layer) and layer < shape.num_layers:
        for name, size in recurrent.parts(hidden):
            yield Tensor(blk + name, "", size, is_norm=name.endswith("norm.weight"))
        return
    queries, keys = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
    for letter, rows in (("q", queries * (1 + shape.gated_attention)), ("k", keys), ("v", keys)):
        yield Tensor(f"{blk}attn_{letter}.weight", f"{model}self_attn.{letter}_proj.weight", (rows, hidden))
        if shape.qkv_bias:
            yield Tensor(f"{blk}attn_{letter}.bias", f"{model}self_attn.{letter}_proj.bias", (rows,))
    if shape.head_norms:
        for letter in "qk":
            yield Tensor(f"{blk}attn_{letter}_norm.weight", "", (shape.head_dim,), is_norm=True)
    yield Tensor(blk + "attn_output.weight", model + "self_attn.o_proj.weight", (hidden, queries))
    if shape.output_bias:
        yield Tensor(blk + "attn_output.bias", "", (hidden,))
    if shape.sinks:
        yield Tensor(blk + "attn_sinks.weight", "", (shape.num_heads,))


def of_layers(shape: Shape) -> dict[str, object]:
    """GGUF metadata that depends on what layers are."""
    about: dict[str, object] = {"attention.head_count_kv": np.uint32(shape.num_kv_heads)}
    if shape.recurrent is not None:
        about |= shape.recurrent.metadata(shape.num_layers, shape.num_kv_heads)
    if shape.num_heads * shape.head_dim != shape.hidden_size:
        about |= dict.fromkeys(("attention.key_length", "attention.value_length"), np.uint32(shape.head_dim))
    if shape.architecture == "qwen35":
        about["rope.dimension_sections"] = [np.int32(size) for size in (11, 11, 10, 0)]
    if shape.experts is not None:
        about |= shape.experts.metadata()
    if shape.foresees:
        about["nextn_predict_layers"] = np.uint32(1)
    return about | shape.settings
