"""Mixtures of experts in the forms that files have, and what is said of damaged ones."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
import reference
from edited import Edited

from hearth.errors import CorruptFile, Unsupported
from hearth.model import load_family
from hearth.model.text.parameters import active_parameters, parameter_shapes


def test_gguf_files_of_2023_have_a_tensor_for_each_expert() -> None:
    edited = Edited("mixtral", gguf=True)
    for name in [name for name in edited.tensors if "_exps." in name]:
        values = reference.read_tensor(edited, name).astype(np.float16)
        for expert, matrix in enumerate(values):
            edited.add(name.replace("_exps.", f".{expert}."), matrix)
        edited.remove(name)
    assert reference.error_of(edited, edited.case) < 1e-4


def test_experts_of_qwen_3_5_may_have_a_tensor_each() -> None:
    """As transformers 5 saves what it has read."""
    edited = Edited("qwen3_5_moe")
    for name in [name for name in edited.tensors if ".experts." in name]:
        matrices = reference.read_tensor(edited, name).astype(np.float16)
        parts = {name.replace("experts.", "experts.{}.") + ".weight": matrices}
        if name.endswith("gate_up_proj"):
            halves = zip(("gate", "up"), np.split(matrices, 2, axis=1), strict=True)
            parts = {name.replace("experts.gate_up", f"experts.{{}}.{part}") + ".weight": w for part, w in halves}
        for own, each in parts.items():
            for expert, matrix in enumerate(each):
                edited.add(own.format(expert), matrix)
        edited.remove(name)
    assert reference.error_of(edited, edited.case) < 1e-4


def test_layers_that_predict_further_tokens_are_left_out() -> None:
    """GLM-4.5 has one behind its last, which GGUF files count as a layer."""
    edited = Edited("glm4_moe", gguf=True)
    edited.config |= {"glm4moe.block_count": 3, "glm4moe.nextn_predict_layers": 1}
    edited.add("blk.2.nextn.eh_proj.weight", np.ones((24, 48), np.float16))
    model = load_family(edited)
    assert len(model.config.layers) == 2
    assert model.unused == ("blk.2.nextn.eh_proj.weight",)


def test_a_pattern_of_layers_may_leave_out_those_that_predict_further_tokens() -> None:
    """As K-EXAONE's GGUF files do."""
    edited = Edited("exaone_moe", gguf=True)
    expected = load_family(edited).config
    edited.config |= {"exaone-moe.block_count": 6, "exaone-moe.nextn_predict_layers": 1}
    assert load_family(edited).config == expected


def test_layers_that_are_mixtures_may_be_said_one_by_one() -> None:
    edited = Edited("exaone_moe")
    edited.config |= {"mlp_layer_types": ["dense"] + ["sparse"] * 4, "first_k_dense_replace": 3}
    assert reference.error_of(edited, edited.case) < 1e-4
    edited.config["mlp_layer_types"] = ["dense", "linear", "sparse", "sparse", "sparse"]
    with pytest.raises(Unsupported, match=r"mlp_layer_types.*linear"):
        load_family(edited)


def test_a_token_meets_the_chosen_experts_alone() -> None:
    config = load_family(Edited("qwen3_moe")).config
    experts = config.experts
    assert experts is not None
    shapes = parameter_shapes(config)
    total = sum(prod(shape) for shape in shapes.values())
    matrices = sum(prod(shape) for name, shape in shapes.items() if name.endswith("_exps"))
    assert active_parameters(config) == total - matrices + matrices * experts.used // experts.count


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("qwen3_moe", {"num_experts": 0, "num_local_experts": 0}, "num_.*experts = 0"),
        ("qwen3_moe", {"num_experts_per_tok": 8}, "num_experts_per_tok = 8.*from 1 to 7"),
        ("qwen3_moe", {"mlp_only_layers": 1}, "mlp_only_layers = 1.*list"),
        ("glm4_moe", {"n_group": 3}, "n_group = 3.*divisor of the 8"),
        ("glm4_moe", {"n_group": 8}, "n_group = 8.*two to each group"),
        ("glm4_moe", {"topk_group": 1, "num_experts_per_tok": 3}, "num_experts_per_tok = 3.*from 1 to 2"),
        ("glm4_moe", {"first_k_dense_replace": -1}, "first_k_dense_replace = -1"),
        ("ernie4_5_moe", {"moe_layer_end_index": -2}, "moe_layer_end_index = -2.*number of a layer"),
    ],
)
def test_experts_out_of_range_are_named(name: str, change: dict[str, Any], message: str) -> None:
    edited = Edited(name)
    edited.config |= change
    with pytest.raises(CorruptFile, match=message):
        load_family(edited)


def test_another_way_to_score_is_refused() -> None:
    edited = Edited("qwen3_moe", gguf=True)
    edited.config["qwen3moe.expert_gating_func"] = 4
    with pytest.raises(Unsupported, match=r"qwen3moe.expert_gating_func = 4"):
        load_family(edited)


def test_an_expert_that_is_missing_or_of_another_shape_is_named() -> None:
    edited = Edited("mixtral")
    edited.remove("model.layers.1.block_sparse_moe.experts.2.w3.weight")
    with pytest.raises(CorruptFile, match=r"experts\.2\.w3\.weight' is missing"):
        load_family(edited)
    edited = Edited("granitemoe")
    edited.add("model.layers.0.block_sparse_moe.input_linear.weight", np.ones((6, 23, 24), np.float16))
    with pytest.raises(CorruptFile, match=r"input_linear.*\[6, 23, 24\].*\[6, 24, 24\]"):
        load_family(edited)


def test_one_expert_of_llama_4_reads_what_its_weight_scales() -> None:
    edited = Edited("llama4-chunks")
    edited.config["num_experts_per_tok"] = 2
    with pytest.raises(Unsupported, match="num_experts_per_tok = 2"):
        load_family(edited)


def test_a_file_of_llama_4_may_say_that_all_layers_attend_to_everything() -> None:
    """And all rotate then."""
    edited = Edited("llama4", gguf=True)
    edited.config["llama4.attention.sliding_window"] = 0
    layers = load_family(edited).config.layers
    assert {(layer.rope, layer.sliding_window, layer.chunked) for layer in layers} == {(0, None, False)}


def test_kinds_of_layers_of_llama_4_may_be_said_one_by_one() -> None:
    edited = Edited("llama4-chunks")
    edited.config["layer_types"] = ["chunked_attention", "sliding_attention", "chunked_attention"]
    with pytest.raises(Unsupported, match="layer_types"):
        load_family(edited)
