"""What Hearth does not understand it refuses by name; it never computes something else in silence."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from edited import Edited

from golden import CASES
from hearth.checkpoint.types import TensorInfo
from hearth.errors import CorruptFile, HearthError, Unsupported, UsageError
from hearth.model import load_family


def rope(**changes: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default", **changes}}


def test_unknown_architecture_is_named_with_the_known_ones():
    edited = Edited("llama1")
    edited.architecture = "lamna"
    with pytest.raises(Unsupported, match=r"'lamna'.*model_type.*Known:.*gemma3_text.*llama.*qwen3"):
        load_family(edited)


def test_unknown_gguf_architecture_is_named_with_the_known_ones():
    edited = Edited("llama1", gguf=True)
    edited.architecture = "lamna"
    with pytest.raises(Unsupported, match=r"'lamna'.*general.architecture.*Known:.*gemma3.*qwen3"):
        load_family(edited)


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("deberta-v2", "an encoder"),
        ("grok-1", "a mixture of experts"),
        ("gpt-oss", "a mixture of experts"),
        ("gated_hybrid", "recurrent state"),
        ("llava_next", "sees"),
        ("whisper", "an encoder with a decoder"),
        ("flux", "diffusion"),
    ],
)
def test_other_kinds_of_models_are_named(architecture: str, kind: str):
    edited = Edited("llama1")
    edited.architecture = architecture
    with pytest.raises(Unsupported, match=f"{architecture}.*It is .*{kind}.*not run yet"):
        load_family(edited)


@pytest.mark.parametrize(("architecture", "gguf"), [("bert", False), ("nomic-bert", True), ("eurobert", False)])
def test_encoders_are_sent_to_their_own_door(architecture: str, gguf: bool):
    edited = Edited("llama1", gguf=gguf)
    edited.architecture = architecture
    with pytest.raises(Unsupported, match=r"is an encoder.*hearth embed.*Embedder"):
        load_family(edited)


@pytest.mark.parametrize(
    ("tensor", "how"),
    [
        ("model.layers.0.self_attn.q_proj.qweight", "GPTQ or AWQ"),
        ("model.layers.0.self_attn.q_proj.biases", "MLX"),
        ("model.layers.0.self_attn.q_proj.weight_scale", "FP8"),
        ("model.layers.0.self_attn.q_proj.weight.absmax", "bitsandbytes"),
    ],
)
def test_quantised_folders_are_named_by_their_tensors(tensor: str, how: str):
    edited = Edited("llama1")
    edited.add(tensor, np.ones(4, np.float32))
    with pytest.raises(Unsupported, match=f"quantised by {how}.*GGUF"):
        load_family(edited)


@pytest.mark.parametrize("tensor", ["score.weight", "classifier.dense.weight"])
def test_heads_of_other_tasks_are_named(tensor: str):
    edited = Edited("llama1")
    edited.remove("lm_head.weight")
    edited.add(tensor, np.ones((2, 60), np.float32))
    with pytest.raises(Unsupported, match=f"classifier.*{tensor}"):
        load_family(edited)


def test_a_gguf_mixture_of_experts_and_unread_types_are_named():
    edited = Edited("qwen2", gguf=True)
    edited.config["qwen2.expert_count"] = 8
    with pytest.raises(Unsupported, match=r"qwen2.expert_count = 8.*family 'qwen2'"):
        load_family(edited)
    edited = Edited("llama1", gguf=True)
    info = edited.tensors["blk.0.ffn_up.weight"]
    edited.tensors = {**edited.tensors, info.name: TensorInfo(info.name, info.shape, "q8_k", info.size_bytes)}
    with pytest.raises(Unsupported, match=r"blk.0.ffn_up.weight.*q8_k.*Q4_K_M"):
        load_family(edited)


def test_tensor_without_a_place_is_named():
    edited = Edited("llama1")
    edited.add("model.layers.0.self_attn.q_norm.weight", np.ones(20, np.float32))
    with pytest.raises(Unsupported, match=r"model\.layers\.0\.self_attn\.q_norm\.weight"):
        load_family(edited)


def test_missing_tensor_is_named():
    edited = Edited("llama1")
    edited.remove("model.layers.1.mlp.down_proj.weight")
    with pytest.raises(CorruptFile, match=r"model\.layers\.1\.mlp\.down_proj\.weight"):
        load_family(edited)


def test_tensor_of_another_shape_is_named_with_both_shapes():
    edited = Edited("llama1")
    edited.config["intermediate_size"] = 70
    with pytest.raises(CorruptFile, match=r"gate_proj.*\[68, 60\].*\[70, 60\]"):
        load_family(edited)


@pytest.mark.filterwarnings("error")
def test_a_base_of_rotations_that_no_f32_holds_is_refused_and_nothing_else_is_said():
    edited = Edited("llama1")
    edited.config["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e-300}
    with pytest.raises(CorruptFile, match="rope_theta"):
        load_family(edited)


def test_frequencies_saved_by_old_versions_are_left_out():
    edited = Edited("llama1")
    edited.add("model.layers.0.self_attn.rotary_emb.inv_freq", np.ones(10, np.float32))
    assert load_family(edited).unused == ("model.layers.0.self_attn.rotary_emb.inv_freq",)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("llama1", {"hidden_act": "mish"}, "hidden_act = 'mish'"),
        ("llama1", {"quantization_config": {"quant_method": "exl3"}}, "quantised by exl3.*quantization_config.*GGUF"),
        ("llama1", {"quantization_config": {"quant_method": "hqq"}}, "quantised by hqq.*Its files hold"),
        ("llama1", {"architectures": ["LlamaForSequenceClassification"]}, "classifier.*LlamaForSequenceClassification"),
        ("llama1", {"num_local_experts": 8}, "num_local_experts = 8"),
        ("llama1", {"attn_logit_softcapping": 30.0}, "attn_logit_softcapping = 30.0"),
        ("llama1", {"residual_multiplier": 0.2}, "residual_multiplier = 0.2"),
        ("olmo2", {"clip_qkv": 8.0}, "clip_qkv = 8.0"),
        ("gemma3", {"use_bidirectional_attention": True}, "is an encoder"),
        ("gemma3", {"attn_logit_softcapping": 30.0}, "attn_logit_softcapping = 30.0"),
        ("qwen2", {"layer_types": ["linear_attention"] * 3}, "linear_attention"),
        ("granite", {"layer_types": ["sliding_attention"] * 2}, "layer_types"),
        ("llama1", rope(rope_type="spiral"), "'spiral'.*Known: default, dynamic, linear, llama3"),
        ("llama1", rope(partial_rotary_factor=0.25), "partial_rotary_factor = 0.25"),
        ("llama1", {"rope_interleaved": True}, "rope_interleaved = True"),
        ("phi3-short", rope(partial_rotary_factor=0.75), "15 rotated dimensions"),
        ("qwen3", {"rope_parameters": {"full_attention": {"rope_theta": 1.0}}}, "full_attention"),
    ],
)
def test_setting_that_would_change_the_result_is_refused(name: str, change: dict[str, Any], message: str):
    edited = Edited(name)
    edited.config |= change
    with pytest.raises(Unsupported, match=message):
        load_family(edited)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("llama1", {"hidden_size": -60}, "hidden_size = -60"),
        ("llama1", {"hidden_size": None}, "no 'hidden_size'"),
        ("llama1", {"hidden_size": "60"}, "hidden_size = '60'"),
        ("llama1", {"num_hidden_layers": 10**9}, "num_hidden_layers = 1000000000"),
        ("llama1", {"num_attention_heads": 0}, "num_attention_heads = 0"),
        ("llama1", {"num_key_value_heads": 2}, "num_key_value_heads = 2.*divisor of the 3"),
        (
            "llama1",
            {"head_dim": None, "num_attention_heads": 7, "num_key_value_heads": 7},
            "hidden_size = 60.*multiple of the 7",
        ),
        ("llama1", {"rms_norm_eps": math.nan}, "rms_norm_eps = nan"),
        ("llama1", rope(rope_theta=math.inf), "rope_theta = inf"),
        ("llama3", rope(rope_type="llama3"), "no 'factor'"),
        ("llama-linear", rope(rope_type="linear", factor=0.0), "factor = 0.0"),
        ("phi3-long", rope(rope_type="longrope", short_factor=[1.0] * 3, long_factor=[]), "short_factor.*10 numbers"),
        ("mistral-window", {"sliding_window": -1}, "sliding_window = -1"),
        ("qwen2", {"layer_types": ["sliding_attention"] * 3, "sliding_window": None}, "no 'sliding_window'"),
        ("smollm3", {"no_rope_layers": [1]}, r"no_rope_layers = \[1\].*4 entries"),
    ],
)
def test_setting_out_of_range_is_named(name: str, change: dict[str, Any], message: str):
    edited = Edited(name)
    edited.config |= change
    with pytest.raises(CorruptFile, match=message):
        load_family(edited)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.attention.clamp_kqv", 8.0),
        ("llama.attention.causal", False),
        ("llama.attention.head_count", [3, 4]),
        ("llama.attention.value_length", 24),
        ("llama.rope.scaling.type", "dynamic"),
        ("llama.attention.never_heard_of", 1),
        ("llama.rope.never_heard_of", 1),
        ("llama.use_parallel_residual", True),
    ],
)
def test_gguf_metadata_that_would_change_the_result_is_refused(key: str, value: Any):
    edited = Edited("llama1", gguf=True)
    edited.config[key] = value
    with pytest.raises(Unsupported, match=key.removeprefix("llama.").rpartition(".")[2]):
        load_family(edited)


def test_gguf_metadata_that_changes_nothing_is_accepted():
    edited = Edited("llama1", gguf=True)
    plain = load_family(edited).config
    edited.config |= {
        "llama.expert_count": 0,
        "llama.attention.causal": True,
        "llama.tensor_data_layout": "Meta AI original pth",
        "llama.rope.scaling.finetuned": False,
        "llama.attention.head_count": [3, 3],
        "llama.pooling_type": 3,
        "llama.never_heard_of": "a word about the file",
    }
    assert load_family(edited).config == plain


def test_context_must_be_positive():
    with pytest.raises(UsageError, match="0 tokens"):
        load_family(Edited("llama1"), context=0)


def test_messages_stay_short_whatever_the_file_says():
    edited = Edited("llama1")
    for key in ("hidden_act", "hidden_size", "rope_parameters", "layer_types", "tie_word_embeddings"):
        edited.config = {**edited.source.config, key: {"rope_type": "x" * 9999, "rope_theta": 1.0}}
        with pytest.raises(HearthError) as caught:
            load_family(edited)
        assert len(str(caught.value)) < 500


HOSTILE = [None, True, -1, 0, 1, 3, 2**63, 1e308, -0.5, math.nan, math.inf, "", "x" * 9999, [], [None], {}, {"a": []}]


@pytest.mark.parametrize("gguf", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_value_of_any_key_breaks_the_reader(case, gguf: bool):
    """Each key of each configuration in turn gets each strange value: Hearth reads it or says what is wrong."""
    if gguf and case.gguf_path is None:
        pytest.skip("no GGUF form of this model")
    edited = Edited(case.name, gguf=gguf)
    plain = edited.config
    keys = [key for key in plain if not key.startswith(("general.", "GGUF."))]
    for key in keys:
        inner = list(plain[key]) if isinstance(plain[key], dict) else []
        for value in HOSTILE:
            for config in [{**plain, key: value}, *({**plain, key: {**plain[key], name: value}} for name in inner)]:
                edited.config = config
                with contextlib.suppress(HearthError):
                    load_family(edited, context=case.context)
