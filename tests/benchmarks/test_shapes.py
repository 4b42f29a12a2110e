"""The models that the benchmarks are measured on must be what they claim to be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hearth.checkpoint import open_checkpoint
from hearth.model import load_family
from hearth.quant import RowSource, read_f32


@pytest.fixture
def shapes(script, monkeypatch):
    """The script, with its shapes made small."""
    module = script("shapes")
    small = {"num_layers": 2, "intermediate_size": 512, "vocab_size": 2000, "bos_id": 1, "eos_id": 2}
    monkeypatch.setattr(
        module, "SHAPES", {name: dataclasses.replace(shape, **small) for name, shape in module.SHAPES.items()}
    )
    return module


@pytest.mark.parametrize("name", ["llama-3.2-1b", "qwen2.5-0.5b", "smollm2-135m"])
@pytest.mark.parametrize("wanted", ["f16", "q8_0", "q4_0", "q4_k", "q4_k_m", "q5_k", "q6_k"])
def test_a_gguf_file_is_one_that_hearth_reads(shapes, tmp_path, name, wanted):
    path = shapes.path_of(tmp_path, name, wanted)
    shapes.write_gguf(path, name, wanted, pure=False, seed=0)
    checkpoint = open_checkpoint(path)
    shape = shapes.SHAPES[name]
    loaded = load_family(checkpoint)
    assert loaded.config.hidden_size == shape.hidden_size
    assert loaded.config.num_layers == shape.num_layers
    assert checkpoint.tokenizer() is not None
    for tensor in shapes.tensors_of(shape):
        assert checkpoint.tensors[tensor.gguf_name].shape == tensor.shape
    # Weights of a sane size in every format: mean 0, standard deviation half of 1 / sqrt(columns).
    for tensor in ("token_embd.weight", "blk.1.attn_q.weight", "blk.1.ffn_down.weight"):
        values = read_f32(RowSource.of(checkpoint, tensor)) * np.sqrt(checkpoint.tensors[tensor].shape[1])
        assert abs(values.mean()) < 0.1
        assert 0.4 < values.std() < 0.6
    head = wanted if wanted in ("f16", "q8_0") else "q6_k"
    if name != "llama-3.2-1b" and head == "q6_k":
        head = "q8_0"  # rows of 896 and 576 are no multiple of 256
    assert checkpoint.tensors["token_embd.weight"].dtype == head
    assert checkpoint.tensors["blk.0.ffn_down.weight"].dtype == wanted.removesuffix("_m")


def test_a_shape_may_have_a_block_that_predicts_further_tokens(shapes, tmp_path):
    name = "qwen3.5-0.8b-mtp"
    shapes.SHAPES[name] = dataclasses.replace(shapes.SHAPES[name], num_layers=4)  # of which the last attends
    path = shapes.path_of(tmp_path, name, "q4_0")
    shapes.write_gguf(path, name, "q4_0", pure=False, seed=0)
    loaded = load_family(open_checkpoint(path))
    assert loaded.config.num_layers == 4
    assert loaded.config.predictor is not None
    assert loaded.unused == ()


def test_the_medium_mix_gives_six_bits_to_the_layers_that_llama_cpp_gives_them(shapes):
    more = [layer for layer in range(16) if shapes.has_more_bits(layer, 16)]
    assert more == [0, 1, 4, 7, 10, 13, 14, 15]
    tensors = {tensor.gguf_name: tensor for tensor in shapes.tensors_of(shapes.SHAPES["llama-3.2-1b"])}
    for name, kind in {"attn_v": "q6_k", "ffn_down": "q6_k", "attn_k": "q4_k", "ffn_up": "q4_k"}.items():
        assert shapes.gguf_type(tensors[f"blk.1.{name}.weight"], "q4_k_m", 8, pure=False) == "q4_k"
        assert shapes.gguf_type(tensors[f"blk.0.{name}.weight"], "q4_k_m", 8, pure=False) == kind
        assert shapes.gguf_type(tensors[f"blk.0.{name}.weight"], "q4_k_m", 8, pure=True) == "q4_k"


@pytest.mark.parametrize("wanted", ["q4_0", "mxfp4"])
def test_hybrids_and_mixtures_are_ones_that_hearth_reads(shapes, tmp_path, wanted):
    for name, shape in shapes.SHAPES.items():
        if shape.gguf_only and not shape.foresees:  # these have a test of their own
            path = tmp_path / f"{name}.gguf"
            if shape.experts is not None:  # published ones have more than a test wants to write
                few = dataclasses.replace(shape.experts, count=shape.experts.used + 1)
                shapes.SHAPES[name] = shape = dataclasses.replace(shape, experts=few)
            shapes.write_gguf(path, name, wanted, pure=False, seed=0)
            checkpoint = open_checkpoint(path)
            loaded = load_family(checkpoint)
            assert loaded.config.num_layers == 2
            assert (loaded.config.experts is not None) == (shape.experts is not None)
            assert not loaded.unused
            if shape.experts is not None:
                values = read_f32(RowSource.of(checkpoint, "blk.1.ffn_down_exps.weight"))
                assert 0.35 < (values * np.sqrt(shape.experts.inner_size)).std() < 0.65


@pytest.mark.parametrize("name", ["llama-3.2-1b", "qwen2.5-0.5b", "smollm2-135m"])
@pytest.mark.parametrize("wanted", ["hf-f16", "hf-bf16"])
def test_a_hugging_face_folder_is_one_that_hearth_reads(shapes, tmp_path, name, wanted):
    path = shapes.path_of(tmp_path, name, wanted)
    shapes.write_hf(path, name, wanted, seed=0)
    checkpoint = open_checkpoint(path)
    loaded = load_family(checkpoint)
    assert loaded.config.vocab_size == 2000
    assert checkpoint.tensors["model.embed_tokens.weight"].dtype == wanted.removeprefix("hf-")
    assert checkpoint.tokenizer() is not None


def test_both_forms_of_a_model_have_the_same_configuration(shapes, tmp_path):
    for name in (name for name, shape in shapes.SHAPES.items() if not shape.gguf_only):
        shapes.write_gguf(tmp_path / "model.gguf", name, "f16", pure=False, seed=0)
        shapes.write_hf(tmp_path / name, name, "hf-f16", seed=0)
        one, two = (load_family(open_checkpoint(path)).config for path in (tmp_path / "model.gguf", tmp_path / name))
        one_ropes, two_ropes = (np.array([rope.inv_freq for rope in config.ropes]) for config in (one, two))
        np.testing.assert_allclose(one_ropes, two_ropes, rtol=1e-5)
        assert np.float32(one.norm_eps) == np.float32(two.norm_eps)  # GGUF stores an f32
        assert dataclasses.replace(one, ropes=two.ropes, norm_eps=two.norm_eps) == two
