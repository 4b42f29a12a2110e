"""The same model is understood alike however its configuration is written, and as its authors meant it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
from edited import BY_NAME, Edited

from golden import CASES, Case
from hearth.checkpoint import open_checkpoint
from hearth.errors import Unsupported
from hearth.model import LayerConfig, load_family
from hearth.model.text.mixers.delta_net import DeltaNet
from hearth.model.text.mixers.mamba import Mamba
from hearth.model.text.mixers.mamba2 import Mamba2
from hearth.model.weights import tensors_of


def as_transformers_4(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of transformers 5 as transformers 4 wrote it: RoPE spread over several keys, no layer_types."""
    old = {key: value for key, value in config.items() if key not in ("rope_parameters", "layer_types")}
    if "linear_num_key_heads" in config:
        old["full_attention_interval"] = config["layer_types"].index("full_attention") + 1
    if "altup_num_inputs" in config:  # Gemma 3n came with them
        old["layer_types"] = config["layer_types"]
    if "conv" in config.get("layer_types", ()):
        old["full_attn_idxs"] = [i for i, kind in enumerate(config["layer_types"]) if kind == "full_attention"]
    if "mamba_n_heads" in config and "layer_types" in config:
        old["layer_types"] = [
            {"linear_attention": "mamba", "full_attention": "attention"}[kind] for kind in config["layer_types"]
        ]
    if "text_config" in config:
        return {**old, "text_config": as_transformers_4(config["text_config"])}
    if not config.get("rope_parameters"):
        return old
    rope = dict(config["rope_parameters"])
    if "full_attention" in rope:
        old["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
    old["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        old["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    kind = rope.pop("rope_type")
    old["rope_scaling"] = {**rope, "type": kind} if rope or kind != "default" else None
    if "_sliding_window_pattern" in old:
        old["sliding_window_pattern"] = old.pop("_sliding_window_pattern")
    return old


# Of families that came with transformers 5 there is no other form.
SINCE_5 = (
    "kimi_linear",
    "lfm3",
    "gemma4",
    "gemma4-keys",
    "gemma4-experts",
    "gemma4_unified",
    "mellum",
    "cohere2_moe",
    "cohere2_moe-softmax",
    "laguna",
    "laguna-element",
    "flint",
)


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in SINCE_5], ids=lambda case: case.name)
def test_transformers_4_and_5_configs_mean_the_same(case: Case):
    edited = Edited(case.name)
    edited.config = as_transformers_4(edited.config)
    expected = load_family(open_checkpoint(case.path), context=case.context)
    assert load_family(edited, context=case.context).config == expected.config


@pytest.mark.parametrize("case", [case for case in CASES if case.gguf_path], ids=lambda case: case.name)
def test_gguf_and_folder_mean_the_same_shapes_and_layers(case: Case):
    folder = load_family(open_checkpoint(case.path), context=case.context).config
    gguf = load_family(open_checkpoint(case.gguf_path), context=case.context).config
    for field in ("vocab_size", "num_kv_heads", "head_dim", "max_position", "tied_embeddings", "qkv_bias"):
        assert getattr(gguf, field) == getattr(folder, field)
    assert [_as_in_gguf(layer) for layer in gguf.layers] == [_as_in_gguf(layer) for layer in folder.layers]


def _as_in_gguf(layer: LayerConfig) -> LayerConfig:
    """But for the order in which heads are stored, and bounds of steps and norms, which GGUF files do not tell."""
    if isinstance(layer.mixer, Mamba):
        return replace(layer, mixer=replace(layer.mixer, norm_epsilon=None))
    if isinstance(layer.mixer, DeltaNet):
        return replace(layer, mixer=replace(layer.mixer, tiled=False))
    return replace(layer, mixer=replace(layer.mixer, least=0.0)) if isinstance(layer.mixer, Mamba2) else layer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_checkpoint_saved_from_the_base_model_is_the_same_model(case: Case):
    edited, expected = Edited(case.name), load_family(open_checkpoint(case.path), context=case.context)
    for name in list(edited.tensors):
        prefix = next((p for p in ("model.", "transformer.", "gpt_neox.") if p in name), "")
        edited.rename(name, name.replace(prefix, "", 1))
    found = load_family(edited, context=case.context)
    assert found.config == expected.config
    for parameter, source in expected.sources.items():
        for ours, theirs in zip(tensors_of(found.sources[parameter]), tensors_of(source), strict=True):
            assert np.array_equal(edited.raw(ours), edited.source.raw(theirs))


def test_the_one_matrix_of_tied_embeddings_may_have_either_name():
    edited = Edited("llama3")
    edited.rename("model.embed_tokens.weight", "lm_head.weight")
    model = load_family(edited)
    assert model.config.tied_embeddings
    assert model.sources["embed"].tensor == "lm_head.weight"


@pytest.mark.parametrize(
    ("scaling", "most", "longest"),
    [
        ({"rope_type": "linear", "factor": 4.0}, 512, 2048),
        ({"rope_type": "yarn", "factor": 4.0}, 512, 2048),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 400}, 512, 1600),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}, 512, 512),
        ({"rope_type": "linear", "factor": 2.5}, 512, 1280),
        ({"rope_type": "linear", "factor": 1e6}, 1 << 20, 1 << 30),
        (
            {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
            | {"original_max_position_embeddings": 64},
            512,
            512,
        ),
    ],
)
def test_scaling_makes_the_context_longer(scaling: dict[str, Any], most: int, longest: int):
    """As vLLM derives the longest context of a model."""
    edited = Edited("llama1")
    edited.config |= {"rope_scaling": scaling, "max_position_embeddings": most}
    assert load_family(edited).config.max_position == longest


def test_gemma3_counts_its_scaling_already():
    edited = Edited("gemma3")
    edited.config["rope_parameters"] = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    assert load_family(edited).config.max_position == edited.config["max_position_embeddings"]


def test_gemma3_as_ollama_converts_it_is_the_same_model():
    edited = Edited("gemma3", gguf=True)
    expected = load_family(edited).config
    edited.config["gemma3.rope.local.freq_base"] = edited.config.pop("gemma3.rope.freq_base_swa", 10000.0)
    assert load_family(edited).config == expected
    edited.config["gemma3.rope.local.freq_base"] = 500.0
    assert load_family(edited).config.ropes[1] != expected.ropes[1]


def test_scaling_makes_the_context_of_a_gguf_file_longer():
    edited = Edited("llama1", gguf=True)
    edited.config |= {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0}
    length = edited.config["llama.context_length"]
    assert load_family(edited).config.max_position == 4 * length
    edited.config["llama.rope.scaling.original_context_length"] = length // 4
    assert load_family(edited).config.max_position == length


def test_dynamic_scaling_begins_beyond_the_original_context():
    """Within it, `transformers` computes a text without scaling; beyond, Hearth takes the frequencies of the longest
    text: transformers 5.24's for 2048 tokens."""
    edited, plain = Edited("llama1"), load_family(Edited("llama1")).config
    edited.config |= {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}, "max_position_embeddings": 512}
    within, beyond = (load_family(edited, context=context).config for context in (512, 513))
    assert (within.max_position, beyond.max_position) == (512, 2048)
    assert within.ropes == plain.ropes
    expected = [1.0, 0.2993839, 0.08963075, 0.02683401, 0.00803367, 0.002405152, 0.0007200638, 0.0002155756]
    assert beyond.ropes[0].inv_freq[:8] == pytest.approx(expected, rel=1e-6)


def test_context_asked_for_decides_the_factors_of_longrope():
    checkpoint = open_checkpoint(BY_NAME["phi3-long"].path)
    short, at_limit, long = (load_family(checkpoint, context=context).config for context in (None, 24, 25))
    assert short == at_limit
    assert short.max_position == 24, "with the short factors the model ends at its original context"
    assert long.max_position == 128
    assert short.ropes != long.ropes


def test_su_is_an_old_name_of_longrope():
    old = Edited("phi3-short")
    old.config["rope_parameters"] = {**old.config["rope_parameters"], "rope_type": "su"}
    assert load_family(old).config == load_family(open_checkpoint(BY_NAME["phi3-short"].path)).config


def test_a_copy_of_the_embedding_as_head_is_left_out():
    edited = Edited("llama3")
    embedding = edited.raw("model.embed_tokens.weight").view(np.float16).reshape(139, 52)
    edited.add("lm_head.weight", embedding)
    model = load_family(edited)
    assert model.config.tied_embeddings
    assert model.unused == ("lm_head.weight",)


def test_a_head_that_differs_from_the_embedding_is_used_even_if_the_config_says_tied():
    edited = Edited("llama3")
    edited.add("lm_head.weight", np.ones((139, 52), np.float16))
    model = load_family(edited)
    assert not model.config.tied_embeddings
    assert model.sources["head"].tensor == "lm_head.weight"


def test_parts_of_the_model_that_see_are_read_and_may_be_left_out_by_a_file():
    whole = load_family(open_checkpoint(BY_NAME["gemma3-vision"].path))
    assert whole.sight is not None
    edited = Edited("gemma3-vision")
    edited.tensors = {name: info for name, info in edited.tensors.items() if "vision_tower" not in name}
    edited.tensors = {name: info for name, info in edited.tensors.items() if "multi_modal_projector" not in name}
    blind = load_family(edited)
    assert blind.sight is None
    assert blind.config == whole.config


def test_text_part_is_found_under_the_names_of_transformers_4():
    new, old = Edited("gemma3-vision"), Edited("gemma3-vision")
    old.tensors = {}
    for name, info in new.tensors.items():
        before = name.removeprefix("model.")
        if before.startswith("language_model."):
            before = "language_model.model." + before.removeprefix("language_model.")
        old.tensors = {**old.tensors, before: type(info)(before, info.shape, info.dtype, info.size_bytes)}
    assert load_family(old).sources["layers.0.q"].tensor == "language_model.model.layers.0.self_attn.q_proj.weight"
    assert load_family(old).config == load_family(new).config


def test_gemma3_config_may_leave_out_what_transformers_assumes():
    edited = Edited("gemma3")
    for key in ("layer_types", "hidden_activation", "rms_norm_eps", "tie_word_embeddings", "_sliding_window_pattern"):
        del edited.config[key]
    assert load_family(edited).config == load_family(open_checkpoint(BY_NAME["gemma3"].path)).config


def test_gguf_pattern_of_sliding_layers_may_be_a_number_or_a_list():
    for pattern in (2, [True, False] * 4):
        edited = Edited("gemma3", gguf=True)
        edited.config["gemma3.attention.sliding_window_pattern"] = pattern
        kinds = [layer.sliding_window for layer in load_family(edited).config.layers]
        assert kinds == [5, None, 5, None, 5, None, 5]


def test_gguf_zero_means_no_window():
    edited = Edited("phi3-long", gguf=True)
    assert edited.config["phi3.attention.sliding_window"] == 0
    assert set(load_family(edited).config.layers) == {LayerConfig()}


def test_frequencies_of_gpt_oss_are_its_authors_in_a_gguf_file_too():
    """Which has no way to say that the ramp is not rounded to whole pairs; llama.cpp rounds it."""
    folder, file = Edited("gpt_oss"), Edited("gpt_oss", gguf=True)
    folder.config["rope_parameters"] = {**folder.config["rope_parameters"], "rope_theta": 1000.0}
    file.config["gpt-oss.rope.freq_base"] = 1000.0
    (expected,), (found,) = (load_family(edited).config.ropes for edited in (folder, file))
    assert found == expected
    folder.config["rope_parameters"]["truncate"] = True
    assert load_family(folder).config.ropes != (expected,)


def test_fused_tensors_are_split_by_rows():
    model = load_family(open_checkpoint(BY_NAME["phi3-short"].path))
    assert [model.sources[f"layers.1.{part}"].rows for part in ("q", "k", "v")] == [(0, 60), (60, 80), (80, 100)]
    assert [model.sources[f"layers.1.{part}"].rows for part in ("gate", "up")] == [(0, 44), (44, 88)]
    assert {model.sources[f"layers.1.{part}"].tensor for part in ("q", "k", "v")} == {
        "model.layers.1.self_attn.qkv_proj.weight"
    }


def test_minimax_says_how_much_of_a_head_rotates_in_dimensions():
    """As published; transformers 5 saves the share."""
    expected = load_family(Edited("minimax_m2")).config
    edited = Edited("minimax_m2")
    rope = edited.config.pop("rope_parameters")
    edited.config |= {"rope_theta": rope["rope_theta"], "rotary_dim": 6, "use_qk_norm": True}
    assert load_family(edited).config == expected


def test_ling_is_read_by_what_its_authors_call_its_settings():
    edited = Edited("sarvam_moe")
    expected = load_family(edited).config
    config = edited.config
    for name, own in (("n_routed_experts", "num_experts"), ("n_shared_experts", "num_shared_experts")):
        config[own] = config.pop(name)
    config |= {"model_type": "bailing_moe", "score_function": "sigmoid", **config.pop("rope_parameters")}
    edited.architecture = "bailing_moe"
    assert load_family(edited).config == replace(expected, family="bailing_moe")
    del config["score_function"]  # Ling 1
    with pytest.raises(Unsupported):
        load_family(edited)


def test_deepseek_yarn_is_another_name_of_yarn():
    edited = Edited("sarvam_mla")
    expected = load_family(edited).config
    rope = edited.config.pop("rope_parameters")
    rope["type"] = f"deepseek_{rope.pop('rope_type')}"
    edited.config |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope, "head_dim": 26}
    assert load_family(edited).config == expected


def test_the_rotation_of_dbrx_may_stand_beside_its_heads_of_keys():
    edited = Edited("dbrx")
    expected = load_family(edited).config
    del edited.config["rope_parameters"]
    assert load_family(edited).config == expected


def test_internlm2_keeps_the_queries_keys_and_values_of_a_group_together():
    edited = Edited("internlm2")
    edited.architecture = edited.config["model_type"] = "internlm2"
    edited.config["bias"] = edited.config.pop("attention_bias")
    names = {
        "self_attn.o_proj": "attention.wo",
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "feed_forward.w1",
        "mlp.up_proj": "feed_forward.w3",
        "mlp.down_proj": "feed_forward.w2",
        "model.embed_tokens": "model.tok_embeddings",
        "lm_head": "output",
    }
    for name in list(edited.tensors):
        own = next((theirs for theirs in names if theirs in name), None)
        if own:
            edited.rename(name, name.replace(own, names[own]))
    for layer in range(2):
        stem = f"model.layers.{layer}."
        parts = [
            edited.raw(f"{stem}self_attn.{part}_proj.weight").view(np.float16).reshape(2, -1, 6, 36) for part in "qkv"
        ]
        edited.add(f"{stem}attention.wqkv.weight", np.concatenate(parts, axis=1).reshape(-1, 36))
        for part in "qkv":
            edited.remove(f"{stem}self_attn.{part}_proj.weight")
    assert reference.error_of(edited, edited.case) < 1e-4
