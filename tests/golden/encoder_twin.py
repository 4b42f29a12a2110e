"""Writes a golden encoder as the GGUF file that llama.cpp's converter would make of it.

Independent of Hearth: names come from the `gguf` package's own map, the rest from reading the converter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from .encoder_recipes import EncoderRecipe
from .gguf_twin import write_file

_POOLING = {"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS, "lasttoken": gguf.PoolingType.LAST}


def write_twin(
    recipe: EncoderRecipe,
    config: Any,
    weights: dict[str, NDArray[np.float16]],
    dense: list[NDArray[np.float64]],
    path: Path,
) -> None:
    """Writes a model as `path`: matrices in F16, vectors in F32."""
    arch = recipe.gguf
    assert arch is not None
    ranks = recipe.model.endswith("ForSequenceClassification")
    offset = 1 + config.pad_token_id if "oberta" in recipe.model.lower() else 0
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings - offset)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    eps = getattr(config, "layer_norm_eps", None) or getattr(config, "norm_eps", None)
    if eps is None:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    else:
        writer.add_layer_norm_eps(eps)
    writer.add_causal_attention(False)
    # A pooling that the format does not know is left out, and the twin makes no vectors.
    pooling = gguf.PoolingType.RANK if ranks else _POOLING.get(recipe.pooling)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    if ranks:
        writer.add_classifier_output_labels([config.id2label[i] for i in range(config.num_labels)])
    _write_differences(writer, arch, config)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH(_arch_number(arch)), config.num_hidden_layers)
    for name, weight in weights.items():
        short = name
        for prefix in ("bert.", "roberta.", "model."):
            short = short.removeprefix(prefix)
        if short.startswith("pooler.") or short.endswith("position_ids"):
            continue
        stored = names.get_name(short, try_suffixes=(".weight", ".bias")) or names.get_name(
            "model." + short, try_suffixes=(".weight", ".bias")
        )
        assert stored is not None, name
        if "position_embeddings" in name:
            weight = weight[offset:]
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            weight = weight.astype(np.float32) + np.float32(1)
        writer.add_tensor(stored, weight.astype(np.float16 if weight.ndim == 2 else np.float32))
    for number, weight in enumerate(dense):
        writer.add_tensor(f"dense_{2 + number}.weight", weight.astype(np.float32))
    write_file(writer)


def _arch_number(arch: str) -> int:
    return next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)


def _write_differences(writer: gguf.GGUFWriter, arch: str, config: Any) -> None:
    ropes = getattr(config, "rope_parameters", None) or {}
    if "rope_theta" in ropes:
        writer.add_rope_freq_base(ropes["rope_theta"])
    if "full_attention" in ropes:
        writer.add_rope_freq_base(ropes["full_attention"]["rope_theta"])
        writer.add_rope_freq_base_swa(ropes["sliding_attention"]["rope_theta"])
    if arch == "modern-bert":
        writer.add_sliding_window(config.local_attention)
        writer.add_sliding_window_pattern(3)
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    if arch in ("eurobert", "gemma-embedding"):
        writer.add_head_count_kv(config.num_key_value_heads)
    if arch == "gemma-embedding":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_sliding_window((config.sliding_window - 1) * 2)
        writer.add_attention_scale(config.query_pre_attn_scalar**-0.5)
