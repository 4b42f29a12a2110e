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
        ("granitemoehybrid", {"layer_types": ["mamba"] * 3}, Unsupported, "layer_types.*no layer attends"),
        ("granitemoehybrid", {"layer_types": ["mamba", "attention", "rwkv"]}, Unsupported, "kind of layer 'rwkv'"),
        ("granitemoehybrid", {"mamba_n_groups": 2}, CorruptFile, "mamba_n_groups = 2.*divisor of the 3 heads"),
        (
            "granitemoehybrid",
            {"mamba_d_head": "auto", "mamba_expand": 5, "mamba_n_heads": 9},
            CorruptFile,
            "expand = 5",
        ),
        ("granitemoehybrid", {"time_step_limit": [0.5, 0.1]}, CorruptFile, "time_step_limit.*smaller one first"),
        ("granitemoehybrid", {"position_embedding_type": "alibi"}, Unsupported, "position_embedding_type = 'alibi'"),
        ("nemotron_h", {"layers_block_type": None}, CorruptFile, "layers_block_type.*kind of each layer"),
        ("nemotron_h", {"layers_block_type": ["mamba", "attention", "conv"]}, Unsupported, "kind of layer 'conv'"),
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


def test_olmo_hybrid_rotates_unless_it_says_null() -> None:
    edited = Edited("olmo_hybrid")
    assert not load_family(edited).config.ropes
    del edited.config["rope_parameters"]
    assert [layer.rope for layer in load_family(edited).config.layers] == [None, 0]


def test_size_of_a_head_may_follow_from_the_others() -> None:
    edited = Edited("granitemoehybrid")
    edited.config["mamba_d_head"] = "auto"
    assert load_family(edited).config == load_family(Edited("granitemoehybrid")).config
