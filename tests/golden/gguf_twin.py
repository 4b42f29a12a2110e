"""Writes a golden model as the GGUF file that llama.cpp's converter would make of it.

Independent of Hearth: names come from the `gguf` package's own map, and the conventions (interleaved heads, norms of
Gemma with their 1 added, rope factors as tensors) from reading the converter.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

# Architectures whose q and k heads llama.cpp wants with their two halves interleaved, and transformers does not.
INTERLEAVED = {"llama", "granite", "smollm3"}
# Architectures that rotate a part of each head.
PARTIAL = {"chatglm", "glm4"}


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
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)

    writer = gguf.GGUFWriter(path, arch)
    if runnable:
        writer.add_tokenizer_model("no_vocab")
        if arch not in INTERLEAVED:
            writer.add_vocab_size(config.vocab_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    if head_dim * config.num_attention_heads != config.hidden_size or arch in ("gemma", "gemma2", "gemma3", "qwen3"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    _write_differences(writer, arch, config, rope, head_dim)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    for name, weight in weights.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert stored is not None, name
        if arch in INTERLEAVED and (".q_proj." in name or ".k_proj." in name):
            heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
            halves = weight.reshape(heads, 2, head_dim // 2, *weight.shape[1:])
            weight = halves.swapaxes(1, 2).reshape(weight.shape)
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            weight = weight + np.float32(1)
        writer.add_tensor(stored, weight.astype(np.float16 if weight.ndim == 2 else np.float32))
    write_file(writer)


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
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_factors(rope, head_dim))
    if getattr(config, "sliding_window", None) is not None or arch == "phi3":
        writer.add_sliding_window(config.sliding_window or 0)
    if "mrope_section" in rope:
        writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
    if arch in PARTIAL:
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * head_dim))
    if arch == "exaone4":
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
    if arch == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)


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
