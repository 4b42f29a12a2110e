"""GGUF metadata restated in the key names of `config.json`, so that a family reads both with one function.

Every `{architecture}.*` key is accounted for: translated, known to change nothing, refused by name where it could, or
of a kind that says nothing of how a model computes.
Source: the GGUF specification (ggml, docs/gguf.md) and the names that llama.cpp's converter writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from hearth.checkpoint.types import Checkpoint
from hearth.errors import CorruptFile, Unsupported
from hearth.model.settings import Settings, shown

# Under `{architecture}.`; the same meaning under both names.
_SAME: Mapping[str, str] = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "context_length": "max_position_embeddings",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.layer_norm_epsilon": "layer_norm_eps",
    "attention.clamp_kqv": "clamp_kqv",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    "expert_shared_count": "n_shared_experts",
    "expert_gating_func": "expert_gating_func",
    "expert_weights_norm": "norm_topk_prob",
    "expert_weights_scale": "routed_scaling_factor",
    "expert_group_count": "n_group",
    "expert_group_used_count": "topk_group",
    "moe_latent_size": "moe_latent_size",
    "altup.num_inputs": "altup_num_inputs",
    "altup.active_idx": "altup_active_idx",
    "leading_dense_block_count": "first_k_dense_replace",
    "interleave_moe_layer_step": "moe_layer_interval",
    "nextn_predict_layers": "num_nextn_predict_layers",
    "use_parallel_residual": "use_parallel_residual",
    "full_attention_interval": "full_attention_interval",
    "ssm.conv_kernel": "ssm_conv_kernel",
    "ssm.inner_size": "ssm_inner_size",
    "ssm.state_size": "ssm_state_size",
    "ssm.time_step_rank": "ssm_time_step_rank",
    "ssm.group_count": "ssm_group_count",
    "kda.head_dim": "linear_head_dim",
    "ssm.dt_b_c_rms": "ssm_dt_b_c_rms",
    "shortconv.l_cache": "conv_L_cache",
    "wkv.head_size": "wkv_head_size",
    "attention.decay_lora_rank": "decay_low_rank_dim",
    "attention.iclr_lora_rank": "a_low_rank_dim",
    "attention.value_residual_mix_lora_rank": "v_low_rank_dim",
    "attention.gate_lora_rank": "gate_low_rank_dim",
    "time_mix_extra_dim": "lora_rank_tokenshift",
    "time_decay_extra_dim": "lora_rank_decay",
    "rescale_every_n_layers": "rescale_every",
    "attention.scale": "attention_scale",
    "attention.key_length_swa": "head_dim_swa",
    "attention.value_length_swa": "value_dim_swa",
    "rope.dimension_count_swa": "rotary_dim_swa",
    "attention.shared_kv_layers": "num_kv_shared_layers",
    "embedding_length_per_layer_input": "hidden_size_per_layer_input",
    "attention.temperature_scale": "attention_temperature",
    "attention.temperature_length": "attention_temperature_length",
    "attention.max_alibi_bias": "max_alibi_bias",
    "attention.sliding_window": "sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "logit_scale": "logits_scaling",
    "rope.scaling.finetuned": "rope_finetuned",
    "rope.freq_base": "rope_theta",
    "rope.freq_base_swa": "rope_local_base_freq",
    "rope.local.freq_base": "rope_local_base_freq",  # as Ollama's converter calls it
    "rope.global.freq_base": "rope_theta",
}
# Where one latent vector a token is kept, sizes of heads that otherwise are one.
_LATENT: Mapping[str, str] = {
    "attention.q_lora_rank": "q_lora_rank",
    "attention.kv_lora_rank": "kv_lora_rank",
    "attention.key_length_mla": "key_length_mla",
    "attention.value_length_mla": "value_length_mla",
    "attention.value_length": "value_length",
}
# What may differ from layer to layer: families that compute that say so (`Family.honours`).
_DIFFER = {"feed_forward_length", "attention.head_count", "attention.head_count_kv"}
# A zero in these is how the format says "none".
_ZERO_IS_NONE = {
    "attention_scale",
    "attention_temperature",
    "attention_temperature_length",
    "max_alibi_bias",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "embedding_multiplier",
    "residual_multiplier",
    "logits_scaling",
    "sliding_window",
    "clamp_kqv",
    "routed_scaling_factor",
}
# Lists with an entry for each layer, as they are.
_LISTS: Mapping[str, str] = {
    "attention.sliding_window_pattern": "sliding_window_pattern",
    "activation_sparsity_scale": "activation_sparsity_scale",
}
# With a zero in these a file says that its model has no such part.
_ZERO_IS_ABSENT = {"num_attention_heads", "num_key_value_heads", "intermediate_size"}
# Under `{architecture}.rope.`: what ends up in `rope_scaling`.
_ROPE: Mapping[str, str] = {
    "scaling.type": "rope_type",
    "scaling.factor": "factor",
    "scaling.original_context_length": "original_max_position_embeddings",
    "scaling.yarn_attn_factor": "attention_factor",  # the converter's name for attention_factor of config.json
    "scaling.yarn_beta_fast": "beta_fast",
    "scaling.yarn_beta_slow": "beta_slow",
    "scaling.yarn_log_multiplier": "mscale_all_dim",
    "dimension_count": "rotary_dim",
    "dimension_sections": "mrope_section",
}
# These have no architecture before them: numbers of an activation, for each layer.
_WITHOUT_PREFIX = {f"xielu.{name}": f"xielu_{name}" for name in ("alpha_p", "alpha_n", "beta", "eps")}
# Keys that say nothing a decoder needs, or something that follows from the tensors.
_HARMLESS = {
    "vocab_size",
    "token_shift_count",  # of RWKV: whether what stands for an MLP looks at the token before, which tensors say
    "tensor_data_layout",
    "pooling_type",  # what follows the model: checkpoint.sentence_modules
}
_HARMLESS_BEGINNINGS = ("vision.", "mm.")
# Keys with the values under which they change nothing.
_OFF: Mapping[str, tuple[Any, ...]] = {
    "attention.causal": (True,),
    "rope.scaling.yarn_ext_factor": (1.0, -1.0),
}
_OFF_VALUES: tuple[Any, ...] = (0, "", None)
# What of the rest says how a model computes: whatever begins so, and these. A key of any other name says something
# about the file (llama.cpp does not read it either).
_COMPUTES_BEGINNINGS = (
    "attention.", "rope.", "expert", "moe", "swiglu", "ssm.", "shortconv.", "kda.", "wkv.", "time_", "xielu", "dense_",
    "hyper_connection.", "indexer.", "posnet.", "convnext.", "classifier.", "altup.", "laurel.",
)  # fmt: skip
_COMPUTES = {
    "activation_sparsity_scale", "decoder_block_count", "decoder_start_token_id", "deepstack_mapping",
    "embedding_length_out", "embedding_length_per_layer_input", "features_length", "full_attention_interval",
    "hash_layer_count", "hidden_act", "hidden_activation", "interleave_moe_layer_step", "leading_dense_block_count",
    "logit_softcapping", "n_deepstack_layers", "nextn_predict_layers", "norm_before_residual",
    "rescale_every_n_layers", "router_logit_softcapping", "swin_norm", "target_hidden_size", "target_layers",
    "token_shift_count", "use_parallel_residual",
}  # fmt: skip


def gguf_settings(
    checkpoint: Checkpoint,
    *,
    defaults: Mapping[str, Any],
    context: int | None,
    same: Mapping[str, str] | None = None,
    harmless: Collection[str] = (),
) -> Settings:
    """The metadata of a GGUF file as settings.

    Args:
        same: further keys with the name of the same thing in config.json, for other networks than decoders.
        harmless: further keys that are read elsewhere, or say nothing that is needed.

    Raises:
        Unsupported: a key of the architecture that is not known, or one whose value differs from layer to layer.
        CorruptFile: no embedding matrix, or a damaged table of rope factors.
    """
    prefix = checkpoint.architecture + "."
    # Only these keys are decoded: a file may hold long arrays under others.
    given = {k.removeprefix(prefix): checkpoint.config[k] for k in checkpoint.config if k.startswith(prefix)}
    values: dict[str, Any] = {}
    scaling: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    translated = {**_SAME, **(_LATENT if given.get("attention.kv_lora_rank") else {}), **(same or {})}
    for key, value in given.items():
        rope_key = key.removeprefix("rope.")
        if key in translated:
            name = translated[key]
            spelled[name] = prefix + key
            value, by_layer = _one_for_all_layers(prefix + key, value)
            if by_layer is not None:
                values[f"{name}_by_layer"] = by_layer
                spelled[f"{name}_by_layer"] = prefix + key
            if name in _ZERO_IS_ABSENT and value == 0:
                continue
            values[name] = None if name in _ZERO_IS_NONE and value == 0 else value
        elif key != rope_key and rope_key in _ROPE:
            scaling[_ROPE[rope_key]] = value
        elif key in ("rope.scale_linear", "rope.scaling.attn_factor", *_LISTS, *harmless):
            pass  # read below, or elsewhere
        elif not _changes_nothing(key, value, given):
            raise Unsupported(
                f"{checkpoint.path.name}: Hearth does not compute {shown(prefix + key)[1:-1]} = {shown(value)}.",
                why="Leaving it out could change what the model computes.",
            )
    if "rope.scale_linear" in given and "factor" not in scaling:  # its name before `rope.scaling.*`
        scaling |= {"rope_type": "linear", "factor": given["rope.scale_linear"]}
    _add_rope_tensors(checkpoint, scaling, given.get("rope.scaling.attn_factor"))
    values["rope_scaling"] = scaling
    values |= {name: given[key] for key, name in _LISTS.items() if key in given}
    spelled |= {name: prefix + key for key, name in _LISTS.items()}
    values |= {name: checkpoint.config[key] for key, name in _WITHOUT_PREFIX.items() if key in checkpoint.config}
    values |= _facts_of_tensors(checkpoint)
    return Settings(
        values, where=checkpoint.path.name, kind="gguf", defaults=defaults, context=context, spelled=spelled
    )


def _one_for_all_layers(key: str, value: Any) -> tuple[Any, list[Any] | None]:
    """Some sizes may be lists with an entry for each layer. Where these differ, or some layers have none at all (heads
    of keys, a width of the MLP), the list too, as `NAME_by_layer`, and the first of them."""
    if not isinstance(value, list | tuple | np.ndarray):
        return value, None
    entries = [entry.item() if isinstance(entry, np.generic) else entry for entry in value]
    sizes = [entry for entry in entries if entry != 0]
    differ = not sizes or any(entry != sizes[0] for entry in sizes)
    if differ and key.partition(".")[2] not in _DIFFER:
        raise Unsupported(f"The metadata key {key} differs from layer to layer.")
    return sizes[0] if sizes else 0, entries if differ or len(sizes) < len(entries) else None


def _changes_nothing(key: str, value: Any, given: Mapping[str, Any]) -> bool:
    if key in _HARMLESS or key.startswith(_HARMLESS_BEGINNINGS):
        return True
    if key not in _COMPUTES and not key.startswith(_COMPUTES_BEGINNINGS):
        return True
    if key == "attention.value_length":  # heads of v are as long as those of q and k
        hidden, heads = given.get("embedding_length"), given.get("attention.head_count")
        derived = hidden // heads if isinstance(hidden, int) and isinstance(heads, int) and heads > 0 else value
        return bool(value == given.get("attention.key_length", derived))
    return not isinstance(value, list | tuple | np.ndarray) and value in _OFF.get(key, _OFF_VALUES)


def _add_rope_tensors(checkpoint: Checkpoint, scaling: dict[str, Any], attn_factor: Any) -> None:
    """RoPE factors that the format keeps as tensors: Llama 3's smoothing, and LongRoPE's two sets."""
    if scaling.get("rope_type") == "none":
        del scaling["rope_type"]
    if "rope_freqs.weight" in checkpoint.tensors:
        scaling["freq_factors"] = _floats(checkpoint, "rope_freqs.weight")
    if "rope_factors_long.weight" in checkpoint.tensors or "rope_factors_short.weight" in checkpoint.tensors:
        scaling["rope_type"] = "longrope"  # not every converter wrote the type
        scaling["long_factor"] = _floats(checkpoint, "rope_factors_long.weight")
        scaling["short_factor"] = _floats(checkpoint, "rope_factors_short.weight")
        scaling.setdefault("attention_factor", attn_factor)
    elif attn_factor is not None:
        scaling["attention_multiplier"] = attn_factor
        if scaling.get("rope_type") != "yarn" and attn_factor != 1.0:
            raise Unsupported(f"{checkpoint.path.name}: rope.scaling.attn_factor = {shown(attn_factor)} without YaRN.")


def _floats(checkpoint: Checkpoint, name: str) -> list[float]:
    info = checkpoint.tensors.get(name)
    if info is None or info.dtype != "f32":
        raise CorruptFile(f"{checkpoint.path.name}: expected a tensor {name!r} of f32 values.")
    return [float(value) for value in np.frombuffer(checkpoint.raw(name).tobytes(), "<f4")]


def _facts_of_tensors(checkpoint: Checkpoint) -> dict[str, Any]:
    """What config.json says in words and a GGUF file by having a tensor or not."""
    embedding = checkpoint.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise CorruptFile(f"{checkpoint.path.name} has no embedding matrix 'token_embd.weight'.")
    # Of a layer that attends, or has an MLP: the first may be another.
    of_layers = [name.split(".", 2) for name in checkpoint.tensors if name.startswith("blk.")]
    layers = {names[-1] for names in of_layers}
    return {
        "vocab_size": embedding.shape[0],
        "tie_word_embeddings": "output.weight" not in checkpoint.tensors,
        "qkv_bias": not {"attn_q.bias", "attn_qkv.bias"}.isdisjoint(layers),
        "output_bias": "attn_output.bias" in layers,
        "mlp_bias": "ffn_up.bias" in layers,
        "attn_norm_2": "attn_norm_2.weight" in layers,
        "norm_bias": "attn_norm.bias" in layers,
        "head_bias": "output.bias" in checkpoint.tensors,
        "qk_norm": "attn_q_norm.weight" in layers,
        "use_conv_bias": "ssm_conv1d.bias" in layers,
        "layers_with_experts": [names[1] for names in of_layers if names[-1] == "ffn_gate_inp.weight"],
        "mamba_rms_norm": "ssm_norm.weight" in layers,
        "time_mix_norm": "time_mix_ln.weight" in layers,
        "time_mix_bias": "time_mix_key.bias" in layers,
        "use_expert_bias": "exp_probs_b.bias" in layers,
        **_shape_of(checkpoint, "per_layer_token_embd.weight", "vocab_size_per_layer_input"),
        **_shape_of(checkpoint, "blk.0.laurel_l.weight", "laurel_rank"),
        **_shape_of(checkpoint, "blk.0.attn_gate.weight", "gate_size"),
        "attention_k_eq_v": any(
            name.endswith(".attn_k.weight") and name.replace("attn_k", "attn_v") not in checkpoint.tensors
            for name in checkpoint.tensors
        ),
    }


def _shape_of(checkpoint: Checkpoint, tensor: str, key: str) -> dict[str, int]:
    """The rows of a tensor, under a key; nothing, where there is none."""
    info = checkpoint.tensors.get(tensor)
    return {} if info is None or len(info.shape) != 2 else {key: info.shape[0]}
