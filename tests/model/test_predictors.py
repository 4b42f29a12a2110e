"""Blocks that predict further tokens, as files carry them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from edited import Edited

from golden import predictors
from hearth.model import load_family
from hearth.model.text.config import DecoderConfig, PredictorConfig

IN_GGUF = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "eh_proj": "nextn.eh_proj",
    "fc": "nextn.eh_proj",
    "pre_fc_norm_embedding": "nextn.enorm",
    "pre_fc_norm_hidden": "nextn.hnorm",
    "norm": "nextn.shared_head_norm",
}


def published(name: str, **more: np.ndarray) -> Edited:
    edited = Edited(name)
    for tensor, values in {**predictors.tensors(name), **more}.items():
        edited.add(tensor, values)
    return edited


def predictor_of(edited: Edited) -> PredictorConfig | None:
    return load_family(edited).config.predictor


def in_gguf(*, left_out: str = "") -> Edited:
    """Qwen 3.5 with its block as llama.cpp's converter names it; norms are stored with the 1 that is added to them."""
    edited = Edited("qwen3_5", gguf=True)
    edited.config |= {"qwen35.block_count": 4, "qwen35.nextn_predict_layers": 1}
    for tensor, values in predictors.tensors("qwen3_5").items():
        module = tensor.removeprefix("mtp.").removeprefix("layers.0.").removesuffix(".weight")
        if module != left_out:
            edited.add(f"blk.3.{IN_GGUF[module]}.weight", values + np.float16(1 if values.ndim == 1 else 0))
    return edited


@pytest.mark.parametrize("name", predictors.NAMES)
def test_a_block_is_found_and_nothing_is_left_of_it(name: str) -> None:
    model = load_family(published(name))
    assert model.config.predictor is not None
    assert model.unused == load_family(Edited(name)).unused
    own = [parameter for parameter in model.sources if parameter.startswith(f"layers.{model.config.num_layers}.")]
    assert {"enorm", "hnorm", "head_norm", "embed_proj", "hidden_proj", "o"} <= {each.split(".")[2] for each in own}


@pytest.mark.parametrize("name", predictors.NAMES)
def test_a_configuration_alone_promises_none(name: str) -> None:
    """Many files are published, or saved again, without."""
    edited = Edited(name)
    edited.config |= {"mtp_num_hidden_layers": 1, "num_nextn_predict_layers": 1}
    assert predictor_of(edited) is None


def test_gguf_files_say_the_same() -> None:
    folder, file = published("qwen3_5"), in_gguf()
    one, other = load_family(folder), load_family(file)
    assert one.config.predictor == other.config.predictor
    assert other.unused == ()
    theirs = reference.read_parameters(file, other)
    for parameter, values in reference.read_parameters(folder, one).items():
        if parameter.startswith("layers.3."):
            offset = one.config.norm_offset if parameter.endswith("norm") else 0.0
            np.testing.assert_allclose(values + offset, theirs[parameter], rtol=2e-3, atol=2e-3)


def test_a_gguf_file_may_leave_out_the_norm_that_is_the_models() -> None:
    edited = in_gguf(left_out="norm")
    model = load_family(edited)
    p = reference.read_parameters(edited, model)
    np.testing.assert_array_equal(p["layers.3.head_norm"], p["norm"])


def test_half_a_block_is_left_out() -> None:
    edited = in_gguf(left_out="self_attn.k_proj")
    model = load_family(edited)
    assert model.config.predictor is None
    assert "blk.3.nextn.eh_proj.weight" in model.unused


@pytest.mark.parametrize(("change", "own"), [(0.0, False), (1.0, True)])
def test_matrices_that_are_copies_of_the_models_are_not_kept_twice(change: float, own: bool) -> None:
    """GLM 4.5 and DeepSeek 3 publish embedding and head once more."""
    glm = Edited("glm4_moe")
    model = {
        each: np.asarray(glm.raw(each)).view(np.float16).reshape(61, 24)
        for each in glm.tensors
        if "layers" not in each and glm.tensors[each].shape == (61, 24)
    }
    copies: dict[str, Any] = {
        "model.layers.2.embed_tokens.weight": model["model.embed_tokens.weight"] + np.float16(change),
        "model.layers.2.shared_head.head.weight": model["lm_head.weight"] + np.float16(change),
    }
    edited = published("glm4_moe", **copies)
    edited.config["num_nextn_predict_layers"] = 1
    loaded = load_family(edited)
    predictor = loaded.config.predictor
    assert predictor is not None
    assert (predictor.own_embedding, predictor.own_head) == (own, own)
    assert set(loaded.unused) == (set() if own else set(copies))


def test_of_several_blocks_the_first_is_used() -> None:
    first = predictors.tensors("glm4_moe")
    edited = published("glm4_moe", **{name.replace(".2.", ".3.", 1): values for name, values in first.items()})
    edited.config["num_nextn_predict_layers"] = 2
    config: DecoderConfig = load_family(edited).config
    assert config.predictor is not None
    assert config.num_layers == 2
