"""Where it is said how weights were quantised, what is refused for it, and that what was left out stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.checkpoint.quantised.making import CONFIG, METHODS, write_folder, write_model

from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.quantised import expected_type, refuse_unreadable
from hearth.errors import CorruptFile, HearthError, Unsupported
from hearth.quant.source import read_tensor

Q = "model.layers.0.self_attn.q_proj.weight"


def said_otherwise(folder: Path, **config: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quant_method": "exl3"}, "quantised by exl3.*trellis.*GGUF"),
        ({"quant_method": "torchao"}, "quantised by torchao.*classes of its own"),
        ({"quant_method": "new"}, "quantised by new.*Hearth reads those of fp8"),
        ({"bits": 4}, "a method without a name"),
        ({"quant_method": "auto-round", "packing_format": "auto_round:exllamav2"}, "auto-round.*packed as GPTQ's"),
        ({"quant_method": "awq", "version": "gemv"}, "version = 'gemv'.*Known: gemm"),
        ({"quant_method": "awq", "bits": 3}, "bits = 3"),
        ({"quant_method": "fp8", "weight_block_size": 128}, "weight_block_size = 128"),
        ({"quant_method": "compressed-tensors", "format": "marlin-24"}, "format = 'marlin-24'"),
        ({"quant_method": "compressed-tensors", "transform_config": {"a": 1}}, "transform_config.*turned"),
        ({"quant_method": "compressed-tensors", "sparsity_config": {"format": "sparse-24-bitmask"}}, "sparsity_config"),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "quant_algo = 'W4A8_AWQ'"),
        ({"quant_method": "bitnet", "quantization_mode": "online"}, "quantization_mode = 'online'"),
        ({"quant_method": "bitnet", "linear_class": []}, r"linear_class = \[\]"),
    ],
)
def test_what_is_not_read_is_named_before_and_after_the_download(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    folder = said_otherwise(write_model(tmp_path, "gptq"), quantization_config=settings)
    with pytest.raises(Unsupported, match=message):
        open_checkpoint(folder)
    with pytest.raises(Unsupported, match=message):
        refuse_unreadable("The model", {**CONFIG, "quantization_config": settings})


def test_rewritten_models_of_mlx_are_refused() -> None:
    """MLX saves norms of these families with 1 added: read as they are, answers would be nonsense."""
    with pytest.raises(Unsupported, match="'qwen3_next' are not read in MLX's form"):
        refuse_unreadable("It", {"model_type": "qwen3_next", "quantization": {"bits": 4, "group_size": 64}})


@pytest.mark.parametrize("method", METHODS)
def test_modules_that_were_left_out_stay_as_they_are(tmp_path: Path, method: str) -> None:
    checkpoint = open_checkpoint(write_model(tmp_path, method, skip=("k_proj", "down_proj")))
    assert checkpoint.tensors["model.layers.0.self_attn.k_proj.weight"].dtype == "f16"
    assert checkpoint.tensors["model.layers.1.mlp.down_proj.weight"].shape == (128, 192)
    assert checkpoint.tensors[Q].published
    assert len(checkpoint.tensors) == 21  # nine for each layer, embedding, norm and head


@pytest.mark.parametrize("method", ["gptq", "awq", "nvfp4"])
def test_older_files_say_it_beside_the_configuration(tmp_path: Path, method: str) -> None:
    folder = said_otherwise(write_model(tmp_path, method))
    with pytest.raises(Unsupported, match=r"Nothing in config\.json says how"):
        refuse_unreadable("The model", dict(CONFIG), open_checkpoint(folder).tensors)
    name, settings = {
        "gptq": ("quantize_config.json", {"bits": 4, "group_size": 32, "sym": True}),
        "awq": ("quant_config.json", {"w_bit": 4, "q_group_size": 64, "version": "GEMM", "zero_point": True}),
        "nvfp4": ("hf_quant_config.json", {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}),
    }[method]
    before = open_checkpoint(folder).fingerprint()
    (folder / name).write_text(json.dumps(settings))
    checkpoint = open_checkpoint(folder)
    assert checkpoint.tensors[Q].dtype == {"gptq": "q4", "awq": "q5_0", "nvfp4": "nvfp4"}[method]
    assert checkpoint.fingerprint() != before


def test_the_language_half_of_a_model_may_say_it(tmp_path: Path) -> None:
    settings = METHODS["gptq"][0]
    folder = said_otherwise(write_model(tmp_path, "gptq"), text_config={**CONFIG, "quantization_config": settings})
    checkpoint = open_checkpoint(folder)
    assert checkpoint.tensors[Q].dtype == "q4"
    assert "quantization_config" not in checkpoint.config["text_config"]


@pytest.mark.parametrize("method", METHODS)
def test_the_type_is_known_from_the_configuration(tmp_path: Path, method: str) -> None:
    """What `hearth show` tells of a model's memory before it is downloaded."""
    folder = write_model(tmp_path, method)
    shown = open_checkpoint(folder).tensors[Q].dtype
    if method not in ("gptq-order", "bitnet"):  # of which only the tensors tell
        assert expected_type(json.loads((folder / "config.json").read_text())) == shown


def test_a_weight_that_stands_twice_and_scales_of_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    tensors: dict[str, Any] = {
        "a.weight": ("U8", np.zeros((2, 16), np.uint8)),
        "a.weight_scale": ("F8_E4M3", np.full((2, 2), 0x38, np.uint8)),
    }
    config = {**CONFIG, "quantization_config": {"quant_method": "modelopt"}}
    with pytest.raises(CorruptFile, match=r"'a\.weight_scale_2' is missing"):
        open_checkpoint(write_folder(folder, config, tensors))
    tensors["a.weight_scale_2"] = np.array([np.inf], np.float32)
    with pytest.raises(CorruptFile, match="One finite number"):
        open_checkpoint(write_folder(folder, config, tensors))
    tensors["a.weight_scale_2"] = np.array([1], np.float32)
    tensors["a.pre_quant_scale"] = np.ones(32, np.float32)
    with pytest.raises(HearthError, match="pre_quant_scale"):
        open_checkpoint(write_folder(folder, config, tensors))


def test_bytes_with_zero_points(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    q, zero = rng.integers(-128, 128, (4, 64)).astype(np.int8), rng.integers(-9, 9, (4, 1)).astype(np.int8)
    scale = np.array([[0.5], [0.25], [2], [1]], np.float16)
    config = {**CONFIG, "quantization_config": {"quant_method": "compressed-tensors", "format": "int-quantized"}}
    tensors = {"a.weight": q, "a.weight_scale": scale, "a.weight_zero_point": zero}
    checkpoint = open_checkpoint(write_folder(tmp_path, config, tensors))
    expected = (q.astype(np.float32) - zero) * scale.astype(np.float32)
    np.testing.assert_array_equal(read_tensor(checkpoint, "a.weight"), expected)
    with pytest.raises(CorruptFile, match="zero points"):
        open_checkpoint(write_folder(tmp_path, config, {**tensors, "a.weight_zero_point": zero[:3]}))
