"""Writes a golden model as the GGUF file that llama.cpp's converter would make of it.

Independent of Hearth: names come from the `gguf` package's own map, and the conventions (interleaved heads, norms of
Gemma with their 1 added, rope factors as tensors) from reading the converter.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from . import rwkv_twin

# Architectures of which each layer is one thing.
NEMOTRON_H = {"nemotron_h", "nemotron_h_moe"}
# Architectures of which no layer attends.
ALL_MAMBA = {"mamba", "mamba2"}
# Architectures whose q and k heads llama.cpp wants with their two halves interleaved, and transformers does not.
INTERLEAVED = {
    "llama",
    "internlm2",
    "granite",
    "granitemoe",
    "granitehybrid",
    "smollm3",
    "arcee",
    "olmo",
    "mistral3",
} | NEMOTRON_H
# Architectures with layers of Gated DeltaNet, and those of them that have its value heads in turns.
GATED_DELTA = {"qwen3next", "qwen35", "qwen35moe"}
IN_TURNS = {"qwen35", "qwen35moe"}
# Architectures that rotate a part of each head.
PARTIAL = {
    "chatglm",
    "glm4",
    "glm4moe",
    "gptneox",
    "minimax-m2",
    "phi2",
    "stablelm",
    "nemotron",
    "bailingmoe2",
    "laguna",
} | GATED_DELTA
# Architectures whose size of a head is always written.
OWN_HEAD_SIZE = (
    {
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3n",
        "qwen3",
        "qwen3moe",
        "afmoe",
        "hunyuan-dense",
        "hunyuan-moe",
        "bailingmoe2",
        "laguna",
    }
    | GATED_DELTA
    | NEMOTRON_H
)
# Architectures that the package does not know yet, and one whose tensors have the same names.
RELATIVES = {"laguna": "step35", "mellum": "dots1", "hy_v3": "dots1", "cohere2moe": "dots1"}
# Parts of the names of matrices that the converter keeps in F32.
EXACT = ("ffn_gate_inp", "conv1d", "shortconv.conv", "_norm", *rwkv_twin.EXACT)
# What configurations call these.
_HIDDEN, _HEADS, _LAYERS = (
    ("hidden_size", "n_embd", "d_model"),
    ("num_attention_heads", "n_head", "n_heads"),
    ("num_hidden_layers", "n_layer", "n_layers"),
)
_POSITIONS = ("max_position_embeddings", "model_max_length", "n_positions", "max_seq_len", "seq_length")
_INNER = ("intermediate_size_mlp", "prefix_dense_intermediate_size", "intermediate_size", "n_inner", "ffn_hidden_size")
_KINDS = ("layers_block_type", "layer_types")
_MAMBA_HEADS, _MAMBA_GROUPS = ("mamba_n_heads", "mamba_num_heads"), ("mamba_n_groups", "n_groups")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_USED, _BESIDE = (
    ("num_experts_per_tok", "num_experts_per_token", "moe_k", "top_k_experts", "moe_topk"),
    ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
)
_SHARED = ("shared_expert_intermediate_size", "shared_intermediate_size", "moe_shared_expert_intermediate_size")
_EPSILONS = ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")


def write_twin(
    arch: str, config: Any, weights: dict[str, NDArray[np.float32]], path: Path, *, runnable: bool = False
) -> None:
    """Writes a model as `path`: matrices in F16, vectors in F32.

    Args:
        arch: `general.architecture`.
        config: the model's, with the attributes of transformers 5.
        weights: by the names that transformers gives them.
        runnable: adds what llama.cpp wants to see before it runs a model that has no tokenizer.
    """
    hidden, heads = (_named(config, names, 0) for names in (_HIDDEN, _HEADS))
    layers = _named(config, _LAYERS) or len(_named(config, _KINDS))
    head_dim = getattr(config, "head_dim", None) or hidden // max(heads, 1)
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)

    writer = gguf.GGUFWriter(path, arch)
    if runnable:
        writer.add_tokenizer_model("no_vocab")
        if arch not in INTERLEAVED:
            writer.add_vocab_size(config.vocab_size)
    writer.add_block_count(layers)
    writer.add_context_length(_named(config, _POSITIONS, 1 << 20))
    writer.add_embedding_length(hidden)
    adjusted = weights.get("model.layers.0.feed_forward.w1.weight")  # LFM2
    if arch in NEMOTRON_H:
        width = config.intermediate_size if arch == "nemotron_h" else config.moe_intermediate_size
        writer.add_feed_forward_length([width if kind in ("mlp", "moe") else 0 for kind in _named(config, _KINDS)])
    else:
        inner = 0 if arch in ALL_MAMBA else _named(_inner(config, "ffn_config"), _INNER, 4 * hidden)
        writer.add_feed_forward_length(inner if adjusted is None else len(adjusted))
    writer.add_head_count(getattr(config, "num_attention_heads_per_layer", heads))
    kv_heads = 1 if arch in ("deepseek2", "kimi-linear") else _kv_heads(config) or heads
    recurrent = _recurrent(config)
    writer.add_head_count_kv([0 if other else kv_heads for other in recurrent] if any(recurrent) else kv_heads)
    if getattr(config, "rms_norm_eps", None) is not None or arch.startswith("lfm2") or arch in ALL_MAMBA:
        writer.add_layer_norm_rms_eps(_named(config, ("rms_norm_eps", "norm_eps", "layer_norm_epsilon")))
    else:
        writer.add_layer_norm_eps(_named(config, _EPSILONS, 1e-5))
    if rope:
        stretched = rope.get("alpha", 1.0) ** (head_dim / (head_dim - 2))  # HunYuan
        writer.add_rope_freq_base(rope["rope_theta"] * stretched)
    if hasattr(config, "kv_lora_rank"):
        weights = _write_latent(writer, arch, config, rope, weights)
    elif (heads and head_dim * heads != hidden) or arch in OWN_HEAD_SIZE:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    _write_differences(writer, arch, config, rope, head_dim)
    if _named(config, _EXPERTS) and arch != "nemotron_h":
        _write_experts(writer, arch, config)
    weights = _experts_together(weights, alone=not _named(config, _EXPERTS))
    if hasattr(config, "conv_L_cache"):
        writer.add_vocab_size(config.vocab_size)
        writer.add_shortconv_l_cache(config.conv_L_cache)
        weights = {name: w[:, 0] if name.endswith("conv.conv.weight") else w for name, w in weights.items()}
    if arch == "gemma4":
        weights = _write_gemma4(writer, config, weights)
    if arch == "gemma3n":
        weights = _write_gemma3n(writer, config, weights)
    if arch == "dbrx":
        weights = _write_dbrx(writer, config, weights)
    if arch == "apertus":
        weights = _write_activation(writer, weights)
    if getattr(config, "qk_layernorm", False):
        weights = _norms_together(weights)
    if hasattr(config, "linear_num_key_heads"):
        _write_delta_net(writer, config)
        weights = _in_turns(weights, config) if arch in IN_TURNS else _apart(weights, config)
        weights = _delta_net_tensors(weights)
    if arch == "kimi-linear":
        weights = _write_kimi_linear(writer, config, weights)
    if arch in rwkv_twin.WRITERS:
        weights = rwkv_twin.WRITERS[arch](writer, config, weights)
    if arch in ("jamba", "mamba"):
        _write_mamba(writer, config)
        weights = _mamba_tensors(weights)
    if _named(config, _MAMBA_HEADS) or arch == "mamba2":
        _write_mamba2(writer, config)
        weights = _with_factors(weights, config) if arch == "falcon-h1" else weights
        weights = _mamba2_tensors(weights, _named(config, _MAMBA_GROUPS))

    known = RELATIVES.get(arch, arch)
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == known)
    names = gguf.get_tensor_name_map(kind, layers)
    for name, weight in weights.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if arch == "gpt2" and any(f".{matrix}.weight" in name for matrix in ("c_attn", "c_proj", "c_fc")):
            weight = weight.T
        if "query_key_value" in name and arch != "bailingmoe2":
            weight = _one_after_another(weight, heads // kv_heads, head_dim)
        if name.endswith("shared_expert_gate.weight"):
            weight = weight[0]
        name += ".weight" if name.endswith(".sinks") else ""
        name = name.removeprefix("transformer.") if arch == "bloom" else name
        if arch == "laguna":
            name = name.replace("experts.e_score", "gate.e_score")
        if arch == "hy_v3":
            name = name.replace("expert_bias.bias", "expert_bias")
        if arch == "bitnet":  # the package knows the names of 2024
            name = name.replace("attn_sub_norm", "inner_attn_ln").replace("ffn_sub_norm", "ffn_layernorm")
        stored = name if name.startswith("blk.") else names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert stored is not None, name
        if arch in INTERLEAVED and (".q_proj." in name or ".k_proj." in name):
            halves = weight.reshape(heads if ".q_proj." in name else kv_heads, 2, head_dim // 2, *weight.shape[1:])
            weight = halves.swapaxes(1, 2).reshape(weight.shape)
        offset = (arch.startswith("gemma") and arch not in ("gemma4", "gemma3n")) or arch in {"nemotron", *GATED_DELTA}
        if offset and name.endswith("norm.weight") and "linear_attn" not in name:
            weight = weight + np.float32(1)
        small = weight.ndim < 2 or not stored.endswith(".weight") or any(part in stored for part in EXACT)
        writer.add_tensor(stored, weight.astype(np.float32 if small else np.float16))
    write_file(writer)


def _named(config: Any, names: tuple[str, ...], absent: Any = None) -> Any:
    """What a configuration has under the first of these names that it has."""
    return next((getattr(config, name) for name in names if hasattr(config, name)), absent)


def _inner(config: Any, name: str) -> Any:
    """The object of this name in a configuration, which may be a dictionary; the configuration, if it has none."""
    inner = getattr(config, name, config)
    return SimpleNamespace(**inner) if isinstance(inner, dict) else inner


def _kv_heads(config: Any) -> int | None:
    if config.model_type == "falcon":
        return config.num_kv_heads if config.new_decoder_architecture else 1
    return 1 if getattr(config, "multi_query", False) else getattr(config, "num_key_value_heads", None)


def _recurrent(config: Any) -> list[bool]:
    """Which layers are recorded as having no heads of keys and values."""
    if config.model_type == "jamba":
        layers = range(config.num_hidden_layers)
        return [layer % config.attn_layer_period != config.attn_layer_offset for layer in layers]
    kimi = config.model_type == "kimi_linear"
    others = ("conv", "linear_attention", "mlp", "moe") if kimi or _named(config, _MAMBA_HEADS) else ("conv",)
    return [kind in others for kind in _named(config, _KINDS) or ()]


def _one_after_another(weight: NDArray[np.float32], queries: int, head_dim: int) -> NDArray[np.float32]:
    """q, k and v of groups that have so many heads of q and one of k and v each: all of q, all of k, all of v."""
    groups = weight.reshape(-1, queries + 2, head_dim, *weight.shape[1:])
    parts = (groups[:, :queries], groups[:, queries], groups[:, queries + 1])
    return np.concatenate([part.reshape(-1, *weight.shape[1:]) for part in parts])


def write_file(writer: gguf.GGUFWriter) -> None:
    """Writes all that a writer was given, and closes it."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_differences(writer: gguf.GGUFWriter, arch: str, config: Any, rope: dict[str, Any], head_dim: int) -> None:
    if arch in INTERLEAVED:
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(head_dim)
    if hasattr(config, "use_parallel_residual"):
        writer.add_parallel_residual(config.use_parallel_residual)
    if arch == "mpt":
        attention = _inner(config, "attn_config")
        writer.add_max_alibi_bias(attention.alibi_bias_max)
        writer.add_clamp_kqv(attention.clip_qkv)
    if getattr(config, "clip_qkv", None) is not None:
        writer.add_clamp_kqv(config.clip_qkv)
    if arch in ("command-r", "cohere2", "cohere2moe"):
        writer.add_logit_scale(config.logit_scale)
    if hasattr(config, "attention_multiplier"):
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if arch == "granitehybrid":
        writer.add_rope_scaling_finetuned(config.position_embedding_type == "rope")
    if not rope:
        return
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if arch == "mistral3":
        writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_factors(rope, head_dim))
    if getattr(config, "sliding_window", None) is not None or arch == "phi3":
        writer.add_sliding_window(config.sliding_window or 0)
    if "mrope_section" in rope:
        writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
    if arch in PARTIAL:
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * head_dim))
    if arch == "laguna":
        sliding = config.rope_parameters["sliding_attention"]
        writer.add_rope_dimension_count_swa(int(sliding["partial_rotary_factor"] * head_dim))
        writer.add_rope_freq_base_swa(sliding["rope_theta"])
    if arch == "mellum":
        writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    if arch in ("exaone4", "exaone-moe", "mellum", "cohere2moe"):
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch == "gemma3":
        writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    if arch == "phi3":
        original = rope["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_dimension_count(
            int(rope["partial_rotary_factor"] * config.hidden_size) // config.num_attention_heads
        )
        scale = config.max_position_embeddings / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))


def _write_experts(writer: gguf.GGUFWriter, arch: str, config: Any) -> None:
    writer.add_expert_count(_named(config, _EXPERTS))
    used = _named(config, _USED)
    writer.add_expert_used_count(used if isinstance(used, int) else used[0])
    inner, shared = getattr(config, "moe_intermediate_size", None), _named(config, _BESIDE)
    if inner or arch in ("gpt-oss", "minimax-m2", "hunyuan-moe"):
        writer.add_expert_feed_forward_length(inner or config.intermediate_size)
    beside = _named(config, _SHARED)
    if beside:
        writer.add_expert_shared_feed_forward_length(beside)
    if arch == "hunyuan-moe":
        writer.add_expert_shared_feed_forward_length(config.intermediate_size)
        writer.add_expert_shared_count(1)
    if arch == "hy_v3":
        writer.add_expert_shared_feed_forward_length(shared * inner)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_weights_norm(True)
        writer.add_expert_weights_scale(config.router_scaling_factor)
    if arch == "cohere2moe":
        writer.add_expert_feed_forward_length(config.intermediate_size)
        writer.add_expert_shared_count(shared)
        writer.add_expert_shared_feed_forward_length(config.intermediate_size * shared)
        writer.add_expert_weights_norm(config.norm_topk_prob)
        writer.add_leading_dense_block_count(config.mlp_layer_types.count("dense"))
    if arch == "llama4":
        writer.add_expert_feed_forward_length(config.intermediate_size)
        writer.add_interleave_moe_layer_step(config.interleave_moe_layer_step)
    if arch in ("ernie4_5-moe", "exaone-moe"):
        writer.add_expert_shared_feed_forward_length(shared * inner)
    if arch == "lfm2moe":
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_leading_dense_block_count(config.num_dense_layers)
    if arch == "nemotron_h_moe":
        writer.add_expert_shared_count(shared)
        writer.add_expert_weights_norm(config.norm_topk_prob)
        writer.add_expert_weights_scale(config.routed_scaling_factor)
        writer.add_expert_group_count(config.n_group)
    if arch == "ernie4_5-moe":
        writer.add_expert_shared_count(shared)
        writer.add_interleave_moe_layer_step(config.moe_layer_interval)
        writer.add_leading_dense_block_count(config.moe_layer_start_index)
    if arch == "minimax-m2":
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    if arch in ("dots1", "exaone-moe"):
        writer.add_expert_shared_count(shared)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_weights_norm(config.norm_topk_prob)
        writer.add_expert_weights_scale(config.routed_scaling_factor)
        writer.add_leading_dense_block_count(config.first_k_dense_replace)
    if arch == "afmoe":
        writer.add_expert_shared_count(config.num_shared_experts)
        writer.add_expert_weights_norm(True)
        writer.add_expert_weights_scale(config.route_scale)
        writer.add_leading_dense_block_count(config.num_dense_layers)
    if arch == "deepseek2":
        sigmoid = config.model_type in ("deepseek_v3", "glm4_moe_lite")
        kinds = gguf.ExpertGatingFuncType
        writer.add_expert_shared_count(shared)
        writer.add_expert_gating_func(kinds.SIGMOID if sigmoid else kinds.SOFTMAX)
        if config.norm_topk_prob:
            writer.add_expert_weights_norm(True)
        writer.add_expert_weights_scale(config.routed_scaling_factor)
        if config.n_group:
            writer.add_expert_group_count(config.n_group)
            writer.add_expert_group_used_count(config.topk_group)
    if arch == "kimi-linear":
        writer.add_expert_shared_count(shared)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_weights_scale(config.routed_scaling_factor)
    if arch == "laguna":
        writer.add_expert_weights_norm(True)
        writer.add_expert_weights_scale(config.moe_routed_scaling_factor)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_leading_dense_block_count(config.mlp_layer_types.count("dense"))
    if arch == "bailingmoe2":
        writer.add_expert_shared_feed_forward_length(inner * shared)
    if arch in ("glm4moe", "bailingmoe2"):
        writer.add_expert_shared_count(shared)
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_weights_norm(config.norm_topk_prob)
        writer.add_expert_weights_scale(config.routed_scaling_factor)
        writer.add_expert_group_count(config.n_group)
        writer.add_expert_group_used_count(config.topk_group)
        writer.add_leading_dense_block_count(config.first_k_dense_replace)


def _experts_together(weights: dict[str, NDArray[np.float32]], alone: bool) -> dict[str, NDArray[np.float32]]:
    """One tensor for all experts; of a fused gate and up, two. `alone`: what is beside experts has none beside it."""
    together: dict[str, NDArray[np.float32]] = {}
    single: dict[str, list[NDArray[np.float32]]] = {}
    turned = any(name.endswith("gate_up_proj_bias") for name in weights)
    of_llama4 = any("feed_forward.shared_expert" in name for name in weights)  # its matrices are [in, out]
    for name, weight in weights.items():
        layer = name.split(".")[2] if ".layers." in name else ""
        if part := re.fullmatch(r"(.*\.experts\.)\d+\.(.*)", name):
            merged = re.sub(r"^model\.(.*feed_forward.*w\d)", r"\1", part[1] + part[2])
            merged = re.sub(r"^backbone\.(.*)mixer", r"model.\1mlp", merged)
            merged = re.sub(r"^(model\..*)feed_forward(.*_proj)", r"\1mlp\2", merged)
            single.setdefault(merged, []).append(weight)
        elif turned and ".mlp.experts." in name:
            together |= _turned_experts(name, f"blk.{layer}.ffn_", weight)
        elif ".layers." in name and name.endswith(f".{layer}.experts.gate_up_proj"):  # Gemma 4 leaves them together
            together[name + ".weight"] = weight
        elif name.endswith("experts.gate_up_proj"):
            weight = weight.swapaxes(1, 2) if of_llama4 else weight
            for part_name, half in zip(("gate", "up"), np.split(weight, 2, axis=1), strict=True):
                together[f"blk.{layer}.ffn_{part_name}_exps.weight"] = half
        elif name.endswith("experts.down_proj"):
            together[name + ".weight"] = weight.swapaxes(1, 2) if of_llama4 else weight
        elif name.endswith("_linear.weight"):
            kind = ("" if alone else "_shexp") if "shared_mlp" in name else "_exps"
            parts = ("down",) if "output_linear" in name else ("gate", "up")
            for part_name, half in zip(parts, np.split(weight, len(parts), axis=-2), strict=True):
                together[f"blk.{layer}.ffn_{part_name}{kind}.weight"] = half
        else:
            weight = weight.reshape(-1) if name.endswith("e_score_correction_bias") else weight
            name = name.replace("e_score_correction_bias", "e_score_correction.bias")
            together[re.sub(r"expert_bias$", "expert_bias.bias", name)] = weight
    return together | {name: np.stack(matrices) for name, matrices in single.items()}


def _norms_together(weights: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The norms of all heads of q, and of k, as one tensor."""
    heads: dict[str, list[NDArray[np.float32]]] = {}
    for name, weight in weights.items():
        if part := re.fullmatch(r"(.*_layernorm)\.norms\.\d+(\.weight)", name):
            heads.setdefault(part[1] + part[2], []).append(weight)
    others = {name: weight for name, weight in weights.items() if ".norms." not in name}
    return others | {name: np.stack(norms) for name, norms in heads.items()}


def _write_latent(
    writer: gguf.GGUFWriter, arch: str, config: Any, rope: dict[str, Any], weights: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Sizes of latent vectors and heads; answers the weights in the shapes of the format."""
    rank, turned, nope = config.kv_lora_rank, config.qk_rope_head_dim, config.qk_nope_head_dim
    writer.add_vocab_size(config.vocab_size)
    if config.q_lora_rank:
        writer.add_q_lora_rank(config.q_lora_rank)
    writer.add_kv_lora_rank(rank)
    writer.add_rope_dimension_count(turned)
    if arch == "minicpm3":
        writer.add_key_length(nope + turned)
        for kind in ("long", "short"):
            writer.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], np.float32))
        return weights
    writer.add_key_length(rank + turned)
    writer.add_value_length(rank)
    writer.add_key_length_mla(nope + turned)
    writer.add_value_length_mla(config.v_head_dim)
    dense = getattr(config, "first_k_dense_replace", 1 if hasattr(config, "mlp_layer_types") else None)
    writer.add_leading_dense_block_count(config.num_hidden_layers if dense is None else dense)
    if not _named(config, _EXPERTS):
        writer.add_expert_feed_forward_length(config.intermediate_size)
        writer.add_expert_shared_count(0)
    if rope.get("mscale_all_dim"):
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])
    if "llama_4_scaling_beta" in rope:
        writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
        writer.add_attn_temperature_length(rope["original_max_position_embeddings"])
    made = {}
    for name, weight in weights.items():
        if name.endswith("kv_b_proj.weight"):
            heads = weight.reshape(config.num_attention_heads, nope + config.v_head_dim, rank)
            made[name.replace("kv_b_proj", "k_b_proj")] = np.ascontiguousarray(heads[:, :nope].swapaxes(1, 2))
            made[name.replace("kv_b_proj", "v_b_proj")] = np.ascontiguousarray(heads[:, nope:])
        else:
            made[name] = weight
    return made


def _write_gemma4(
    writer: gguf.GGUFWriter, config: Any, weights: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Sizes that differ from layer to layer; answers the weights, scales of layers by their name in the format."""
    slides = [kind == "sliding_attention" for kind in config.layer_types]
    head_dim = len(weights[f"model.layers.{slides.index(False)}.self_attn.q_norm.weight"])
    for add in (writer.add_key_length, writer.add_value_length, writer.add_rope_dimension_count):
        add(head_dim)
    for add in (writer.add_key_length_swa, writer.add_value_length_swa, writer.add_rope_dimension_count_swa):
        add(config.head_dim)
    writer.add_sliding_window_pattern(slides)
    writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    writer.add_shared_kv_layers(config.num_kv_shared_layers)
    writer.add_embedding_length_per_layer_input(getattr(config, "hidden_size_per_layer_input", None) or 0)
    own = len(slides) - config.num_kv_shared_layers
    if config.use_double_wide_mlp:
        inner = config.intermediate_size
        writer.add_feed_forward_length([inner if layer < own else 2 * inner for layer in range(len(slides))])
    if config.attention_k_eq_v:
        full = len(weights[f"model.layers.{slides.index(False)}.self_attn.k_proj.weight"]) // head_dim
        writer.add_head_count_kv([config.num_key_value_heads if each else full for each in slides])
    if config.final_logit_softcapping:
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    turned = int(config.rope_parameters["full_attention"]["partial_rotary_factor"] * head_dim / 2)
    factors = [1.0] * turned + [1e30] * (head_dim // 2 - turned)
    writer.add_tensor("rope_freqs.weight", np.array(factors, np.float32))
    made = {}
    for name, weight in weights.items():
        layer = f"blk.{name.split('.')[2]}." if ".layers." in name else ""
        if name.endswith("router.scale"):
            name = layer + "ffn_gate_inp.scale"
        elif name.endswith("per_expert_scale"):
            name = layer + "ffn_down_exps.scale"
        made[name.replace("layer_scalar", "layer_scalar.weight")] = weight
    return made


def _write_gemma3n(
    writer: gguf.GGUFWriter, config: Any, weights: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """What differs from Gemma 3; answers the weights, matrices between streams in one tensor each."""
    writer.add_altup_active_idx(config.altup_active_idx)
    writer.add_altup_num_inputs(config.altup_num_inputs)
    writer.add_embedding_length_per_layer_input(config.hidden_size_per_layer_input)
    writer.add_shared_kv_layers(config.num_kv_shared_layers)
    writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
    writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    shares = config.activation_sparsity_pattern
    writer.add_activation_sparsity_scale([NormalDist().inv_cdf(share) if share else -math.inf for share in shares])
    made: dict[str, NDArray[np.float32]] = {}
    for name, weight in weights.items():
        if "altup" in name and "projections." in name:
            module = name.rpartition("projections.")[0] + "projections.weight"
            made[module] = np.concatenate([made[module], weight[None]]) if module in made else weight[None]
        else:
            made[name + (".weight" if name.endswith("_scale") else "")] = weight
    return made


def _write_dbrx(
    writer: gguf.GGUFWriter, config: Any, weights: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """What inner objects say; answers the weights, experts as the format has them."""
    mixture = _inner(config, "ffn_config")
    writer.add_clamp_kqv(_inner(config, "attn_config").clip_qkv)
    writer.add_expert_count(mixture.moe_num_experts)
    writer.add_expert_used_count(mixture.moe_top_k)
    made = {}
    for name, weight in weights.items():
        if ".experts." in name:
            weight = weight.reshape(mixture.moe_num_experts, -1, weight.shape[1])
            weight, name = weight.swapaxes(1, 2) if name.endswith("w2") else weight, name + ".weight"
        made[name] = weight
    return made


def _write_activation(
    writer: gguf.GGUFWriter, weights: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """The numbers of xIELU, of all layers; answers the other weights."""
    for kind in ("alpha_p", "alpha_n", "beta", "eps"):
        values = [float(weight.reshape(())) for name, weight in weights.items() if name.endswith(f".act_fn.{kind}")]
        getattr(writer, f"add_xielu_{kind}")(values)
    return {name: weight for name, weight in weights.items() if ".act_fn." not in name}


def _turned_experts(name: str, stem: str, weight: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Of gpt-oss, which has matrices as [in, out], and gate and up in turn."""
    own = "bias" if name.endswith("_bias") else "weight"
    weight = weight if own == "bias" else weight.swapaxes(1, 2)
    if ".down_proj" in name:
        return {f"{stem}down_exps.{own}": weight}
    return {f"{stem}{part}_exps.{own}": weight[:, first::2] for first, part in enumerate(("gate", "up"))}


def _write_delta_net(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_ssm_conv_kernel(config.linear_conv_kernel_dim)
    writer.add_ssm_state_size(config.linear_key_head_dim)
    writer.add_ssm_group_count(config.linear_num_key_heads)
    writer.add_ssm_time_step_rank(config.linear_num_value_heads)
    writer.add_ssm_inner_size(config.linear_num_value_heads * config.linear_value_head_dim)
    writer.add_full_attention_interval(config.layer_types.index("full_attention") + 1)


def _write_kimi_linear(
    writer: gguf.GGUFWriter, config: Any, weights: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Sizes of Kimi delta attention; answers the weights in the shapes of the format."""
    writer.add_ssm_conv_kernel(config.linear_conv_kernel_dim)
    writer.add_kda_head_dim(config.linear_head_dim)
    made = {}
    for name, weight in weights.items():
        if "_conv1d" in name:
            weight = weight[None]  # [1, channels, 1, taps]
        elif name.endswith("A_log"):
            weight = -np.exp(weight)
        # Of the dense layer, which transformers saves under the module of experts.
        name = re.sub(r"block_sparse_moe\.(gate|up|down)_proj", r"mlp.\1_proj", name)
        made[name.replace(".dt_bias", ".dt_proj.bias")] = weight
    return made


def _write_mamba(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_ssm_conv_kernel(_named(config, ("mamba_d_conv", "conv_kernel")))
    writer.add_ssm_state_size(_named(config, ("mamba_d_state", "state_size")))
    writer.add_ssm_time_step_rank(_named(config, ("mamba_dt_rank", "time_step_rank")))
    writer.add_ssm_inner_size(_named(config, ("mamba_expand", "expand")) * config.hidden_size)
    if config.model_type == "falcon_mamba":
        writer.add_ssm_dt_b_c_rms(True)


def _write_mamba2(writer: gguf.GGUFWriter, config: Any) -> None:
    heads = _named(config, (*_MAMBA_HEADS, "num_heads"))
    writer.add_ssm_conv_kernel(_named(config, ("mamba_d_conv", "conv_kernel")))
    writer.add_ssm_state_size(_named(config, ("mamba_d_state", "ssm_state_size", "state_size")))
    writer.add_ssm_group_count(_named(config, _MAMBA_GROUPS))
    writer.add_ssm_time_step_rank(heads)
    writer.add_ssm_inner_size(heads * _named(config, ("mamba_d_head", "mamba_head_dim", "head_dim")))


def _mamba2_tensors(weights: dict[str, NDArray[np.float32]], groups: int) -> dict[str, NDArray[np.float32]]:
    """Tensors of Mamba 2 in the shapes of the format."""
    made = {}
    for name, weight in weights.items():
        kind = name.rpartition("mixer." if "mixer." in name else "mamba.")[2]
        if kind == "conv1d.weight":
            weight = weight[:, 0]
        elif kind == "A_log":
            weight = -np.exp(weight)[:, None]
        elif kind == "D":
            weight = weight[:, None]
        elif kind == "norm.weight":
            weight = weight.reshape(groups, -1)
        made[name.replace(".dt_bias", ".dt_proj.bias")] = weight
    return made


def _mamba_tensors(weights: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Tensors of Mamba 1 in the shapes of the format."""
    made = {}
    for name, weight in weights.items():
        if name.endswith("conv1d.weight"):
            weight = weight[:, 0]
        made[name] = -np.exp(weight) if name.endswith("A_log") else weight
    return made


def _with_factors(weights: dict[str, NDArray[np.float32]], config: Any) -> dict[str, NDArray[np.float32]]:
    """Weights of Falcon-H1 times what its configuration multiplies what comes of them by."""
    inner, state = config.mamba_d_ssm, config.mamba_n_groups * config.mamba_d_state
    rows = np.repeat(config.ssm_multipliers, [inner, inner, state, state, config.mamba_n_heads])[:, None]
    factors = {
        "down_proj": config.mlp_multipliers[1],
        "gate_proj": config.mlp_multipliers[0],
        "k_proj": config.key_multiplier * config.attention_in_multiplier,
        "q_proj": config.attention_in_multiplier,
        "v_proj": config.attention_in_multiplier,
        "o_proj": config.attention_out_multiplier,
        "out_proj": config.ssm_out_multiplier,
        "in_proj": config.ssm_in_multiplier * rows,
        "lm_head": config.lm_head_multiplier,
        "embed_tokens": config.embedding_multiplier,
    }
    return {
        name: (weight * factors.get(name.split(".")[-2], 1.0)).astype(np.float32) for name, weight in weights.items()
    }


def _in_turns(weights: dict[str, NDArray[np.float32]], config: Any) -> dict[str, NDArray[np.float32]]:
    """Value heads of Gated DeltaNet in the order of the format: the first of each key head, then the second of each."""
    keys, size = config.linear_num_key_heads, config.linear_value_head_dim
    before = 2 * keys * config.linear_key_head_dim  # rows of queries and keys, which stay

    def turned(weight: NDArray[np.float32], width: int) -> NDArray[np.float32]:
        heads = weight.reshape(keys, config.linear_num_value_heads // keys, width, *weight.shape[1:])
        return np.ascontiguousarray(heads.swapaxes(0, 1)).reshape(weight.shape)

    made = {}
    for name, weight in weights.items():
        kind = name.rpartition("linear_attn.")[2] if "linear_attn." in name else ""
        if kind in ("in_proj_qkv.weight", "conv1d.weight"):
            weight = np.concatenate([weight[:before], turned(weight[before:], size)])
        elif kind == "in_proj_z.weight":
            weight = turned(weight, size)
        elif kind == "out_proj.weight":
            weight = np.ascontiguousarray(turned(weight.T, size).T)
        elif kind in ("in_proj_a.weight", "in_proj_b.weight", "A_log", "dt_bias"):
            weight = turned(weight, 1)
        made[name] = weight
    return made


def _apart(weights: dict[str, NDArray[np.float32]], config: Any) -> dict[str, NDArray[np.float32]]:
    """Queries, keys and values of all key heads, and the gates, of which each key head has its own together."""
    keys, size = config.linear_num_key_heads, config.linear_key_head_dim
    made = {}
    for name, weight in weights.items():
        if not name.endswith("in_proj_qkvz.weight"):
            made[name] = weight
            continue
        heads = weight.reshape(keys, -1, weight.shape[1])
        values = (heads.shape[1] - 2 * size) // 2
        parts = np.split(heads, np.cumsum([size, size, values]), axis=1)
        q, k, v, z = (part.reshape(-1, weight.shape[1]) for part in parts)
        made[name.replace("qkvz", "qkv")], made[name.replace("qkvz", "z")] = np.concatenate([q, k, v]), z
    return made


def _delta_net_tensors(weights: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Tensors of Gated DeltaNet in the shapes of the format."""
    made = {}
    for name, weight in weights.items():
        if name.endswith("conv1d.weight"):
            weight = weight[:, 0]
        elif name.endswith("A_log"):
            weight = -np.exp(weight)
        made[name.replace(".dt_bias", ".dt_proj.bias")] = weight
    return made


def _llama3_factors(rope: dict[str, Any], head_dim: int) -> NDArray[np.float32]:
    """How much each wavelength is stretched."""
    original, low, high = (
        rope[key] for key in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor")
    )
    factors = []
    for pair in range(head_dim // 2):
        turns = original / (2 * math.pi * rope["rope_theta"] ** (2 * pair / head_dim))
        share = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - share) / rope["factor"] + share))
    return np.array(factors, np.float32)
