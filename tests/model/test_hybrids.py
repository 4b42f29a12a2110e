"""Models of which only some layers attend, in the forms that files have, and what is said of those that do not run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from edited import Edited

from hearth.errors import CorruptFile, HearthError, Unsupported
from hearth.model import load_family


def test_gguf_files_of_2025_have_qwen3_next_by_key_head() -> None:
    """In the order of safetensors, in one tensor."""
    edited, source = Edited("qwen3_next", gguf=True), Edited("qwen3_next")
    edited.add("blk.0.ssm_in.weight", tensor(source, "model.layers.0.linear_attn.in_proj_qkvz.weight"))
    edited.remove("blk.0.attn_qkv.weight")
    edited.remove("blk.0.attn_gate.weight")
    assert reference.error_of(edited, edited.case) < 1e-4


def tensor(edited: Edited, name: str) -> np.ndarray:
    return reference.read_tensor(edited, name).astype(np.float16)


@pytest.mark.parametrize(
    ("name", "change", "error", "message"),
    [
        ("granitemoehybrid", {"layer_types": ["mamba", "attention", "rwkv"]}, Unsupported, "kind of layer 'rwkv'"),
        ("granitemoehybrid", {"mamba_n_groups": 2}, CorruptFile, "mamba_n_groups = 2.*divisor of the 3 heads"),
        (
            "granitemoehybrid",
            {"mamba_d_head": "auto", "mamba_expand": 5, "mamba_n_heads": 9},
            CorruptFile,
            "expand = 5",
        ),
        ("granitemoehybrid", {"time_step_limit": [0.5, 0.1]}, CorruptFile, "time_step_limit.*smaller one first"),
        ("granitemoehybrid", {"time_step_limit": [0.0, {"__float__": "x"}]}, CorruptFile, "two numbers from"),
        ("granitemoehybrid", {"position_embedding_type": "alibi"}, Unsupported, "position_embedding_type = 'alibi'"),
        ("nemotron_h", {"layers_block_type": None}, CorruptFile, "layers_block_type.*kind of each layer"),
        ("nemotron_h", {"layers_block_type": ["mamba", "attention", "conv"]}, Unsupported, "kind of layer 'conv'"),
        ("kimi_linear", {"mla_use_nope": False}, Unsupported, "mla_use_nope = False.*computes True"),
        (
            "kimi_linear",
            {"linear_attn_config": {"full_attn_layers": [2], "kda_layers": [1, 4]}},
            CorruptFile,
            "linear_attn_config.*from 1 to 3",
        ),
        (
            "kimi_linear",
            {"linear_attn_config": {"full_attn_layers": [2], "kda_layers": [1]}},
            CorruptFile,
            "linear_attn_config.*all 3 layers",
        ),
        ("qwen3_next", {"linear_num_value_heads": 5}, CorruptFile, "value_heads = 5.*multiple of the 2 key heads"),
    ],
)
def test_layers_that_do_not_run_are_named(
    name: str, change: dict[str, Any], error: type[HearthError], message: str
) -> None:
    edited = Edited(name)
    edited.config |= change
    with pytest.raises(error, match=message):
        load_family(edited)


def test_kinds_of_layers_may_be_letters() -> None:
    """As published configurations of Nemotron-H have them."""
    edited = Edited("nemotron_h")
    del edited.config["layers_block_type"]
    edited.config["hybrid_override_pattern"] = "M-*M"
    assert load_family(edited).config == load_family(Edited("nemotron_h")).config


def test_kimi_linear_as_it_is_published() -> None:
    """Layers and sizes in a table, layers by their numbers from 1; the dense layer's tensors under another name."""
    edited, expected = Edited("kimi_linear"), load_family(Edited("kimi_linear"))
    for key in ("layer_types", "mlp_layer_types", "linear_conv_kernel_dim", "linear_head_dim", "linear_num_heads"):
        del edited.config[key]
    edited.config |= {
        "first_k_dense_replace": 1,
        "head_dim": 12,
        "linear_attn_config": {
            "full_attn_layers": [2],
            "head_dim": 16,
            "kda_layers": [1, 3],
            "num_heads": 2,
            "short_conv_kernel_size": 4,
        },
        "mla_use_nope": True,
        "moe_layer_freq": 1,
        "moe_router_activation_func": "sigmoid",
        "num_nextn_predict_layers": 0,
        "rope_scaling": None,
        "rope_theta": 10000.0,
    }
    for part in ("gate", "up", "down"):
        name = f"model.layers.0.block_sparse_moe.{part}_proj.weight"
        edited.rename(name, name.replace("block_sparse_moe", "mlp"))
    assert load_family(edited).config == expected.config
    assert reference.error_of(edited, edited.case) < 1e-4


def test_olmo_hybrid_rotates_unless_it_says_null() -> None:
    edited = Edited("olmo_hybrid")
    assert not load_family(edited).config.ropes
    del edited.config["rope_parameters"]
    assert [layer.rope for layer in load_family(edited).config.layers] == [None, 0]


def test_size_of_a_head_may_follow_from_the_others() -> None:
    edited = Edited("granitemoehybrid")
    edited.config["mamba_d_head"] = "auto"
    assert load_family(edited).config == load_family(Edited("granitemoehybrid")).config


def test_qwen_3_5_as_it_is_published_with_its_eyes_and_what_predicts_further() -> None:
    edited, expected = Edited("qwen3_5"), load_family(Edited("qwen3_5"))
    inner = dict(edited.config)
    edited.architecture = "qwen3_5"
    edited.config = {
        "model_type": "qwen3_5",
        "text_config": inner,
        "vision_config": {"model_type": "qwen3_5_vision"},
        "tie_word_embeddings": inner["tie_word_embeddings"],
    }
    for name in list(edited.tensors):
        edited.rename(name, name.replace("model.", "model.language_model.", 1))
    for name in ("model.visual.patch_embed.proj.weight", "mtp.fc.weight"):
        edited.add(name, np.zeros((4, 4), np.float16))
    model = load_family(edited)
    assert model.config == expected.config
    assert set(model.unused) == {"model.visual.patch_embed.proj.weight", "mtp.fc.weight"}
