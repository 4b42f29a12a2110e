"""What llama.cpp's converter makes of RWKV's weights: their names and shapes in GGUF files, and the keys beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]

EXACT = ("time_mix_first", "time_mix_w1", "time_mix_w2", "time_mix_decay_w", "lerp")
"""Parts of the names of tensors that the converter keeps in F32."""


def _rwkv7(writer: gguf.GGUFWriter, config: Any, weights: Weights) -> Weights:
    writer.add_wkv_head_size(config.head_dim)
    writer.add_decay_lora_rank(config.decay_low_rank_dim)
    writer.add_iclr_lora_rank(config.a_low_rank_dim)
    writer.add_value_residual_mix_lora_rank(config.v_low_rank_dim)
    writer.add_gate_lora_rank(config.gate_low_rank_dim)
    names = {
        "attn_norm": "attn_norm", "ffn_norm": "attn_norm_2", "attn.g_norm": "time_mix_ln", "attn.k_k": "time_mix_k_k",
        "attn.k_a": "time_mix_k_a", "attn.r_k": "time_mix_r_k", "attn.r_proj": "time_mix_receptance",
        "attn.k_proj": "time_mix_key", "attn.v_proj": "time_mix_value", "attn.o_proj": "time_mix_output",
        "ffn.x_k": "channel_mix_lerp_k", "ffn.key": "channel_mix_key", "ffn.value": "channel_mix_value",
    }  # fmt: skip
    ways = {"lora.0.weight": "1", "lora.2.weight": "2", "lora.2.bias": "0"}
    names |= {f"attn.{p}_lora.{way}": f"time_mix_{p}{number}" for p in "wavg" for way, number in ways.items()}
    made: Weights = {}
    for name, weight in weights.items():
        layer, _, rest = name.removeprefix("model.layers.").partition(".")
        whole = rest in names  # what has no module's name before its own
        module, _, kind = (rest, "", "weight") if whole else rest.rpartition(".")
        if not name.startswith("model.layers.") or rest.startswith("pre_norm"):
            made[name] = weight
        elif not rest.startswith("attn.x_"):
            made[f"blk.{layer}.{names[module]}.{kind}"] = weight.reshape(-1) if module == "attn.r_k" else weight
    for layer in range(config.num_hidden_layers):
        shares = [weights[f"model.layers.{layer}.attn.x_{part}"] for part in "rwkvag"]
        made[f"blk.{layer}.time_mix_lerp_fused.weight"] = np.stack(shares)
    # Of the first layer something stands there, which nothing reads.
    made |= {f"blk.0.time_mix_v{i}.weight": made[f"blk.0.time_mix_a{i}.weight"] for i in range(3)}
    return made


def _rwkv6(writer: gguf.GGUFWriter, config: Any, weights: Weights) -> Weights:
    writer.add_wkv_head_size(config.head_size)
    writer.add_rescale_every_n_layers(config.rescale_every)
    first = weights["rwkv.blocks.0.attention.time_maa_w2"]
    writer.add_time_mix_extra_dim(first.shape[1])
    writer.add_time_decay_extra_dim(weights["rwkv.blocks.0.attention.time_decay_w1"].shape[1])
    made: Weights = {}
    for name, weight in weights.items():
        layer, _, rest = name.removeprefix("rwkv.blocks.").partition(".")
        kind = rest.rpartition(".")[2]
        if kind in ("time_maa_w1", "time_decay_w1", "time_decay_w2"):
            weight = weight.T
        elif kind == "time_maa_w2":
            weight = weight.transpose(0, 2, 1)
        elif kind.startswith("time_maa") or kind == "time_decay":
            weight = weight.reshape(-1)
        if rest in ("attention.output.weight", "feed_forward.value.weight"):
            weight = weight / np.float32(2 ** (int(layer) // config.rescale_every))
        if rest.startswith("attention.time_maa_") and kind[-1] in "wkvrg":
            continue
        made[name if name.endswith((".weight", ".bias")) else name + ".weight"] = np.ascontiguousarray(weight)
    for layer in range(config.num_hidden_layers):
        shares = [weights[f"rwkv.blocks.{layer}.attention.time_maa_{part}"] for part in "wkvrg"]
        made[f"blk.{layer}.time_mix_lerp_fused.weight"] = np.stack(shares)
    return made


WRITERS: dict[str, Callable[[gguf.GGUFWriter, Any, Weights], Weights]] = {"rwkv7": _rwkv7, "rwkv6": _rwkv6}
