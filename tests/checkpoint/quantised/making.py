"""Folders with quantised weights, made by the rules that their formats are published with, one number at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.checkpoint.builders import entry, safetensors_bytes

Tensor = tuple[str, NDArray[Any]]
Tensors = dict[str, Tensor]
Rng = np.random.Generator

_TYPES = {"float16": "F16", "float32": "F32", "int32": "I32", "uint32": "U32", "uint8": "U8", "int8": "I8"}


def write_folder(path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor | NDArray[Any]]) -> Path:
    """A model folder. A tensor that is no plain array has the name of its type: `("F8_E4M3", bytes)`."""
    path.mkdir(exist_ok=True, parents=True)
    header, data = {}, b""
    for name, given in tensors.items():
        dtype, array = given if isinstance(given, tuple) else (_TYPES[given.dtype.name], given)
        content = np.ascontiguousarray(array).tobytes()
        header[name] = entry(dtype, array.shape, len(data), len(data) + len(content))
        data += content
    (path / "model.safetensors").write_bytes(safetensors_bytes(header, data))
    (path / "config.json").write_text(json.dumps(config))
    return path


def bf16(values: NDArray[np.float32]) -> Tensor:
    """Floats whose lower halves are cut off."""
    return "BF16", (np.asarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def words(numbers: Iterable[int], bits: int) -> list[int]:
    """Numbers one behind another from the lowest bit on, cut into signed words of 32 bits."""
    numbers = list(numbers)
    stream = sum(int(number) << bits * place for place, number in enumerate(numbers))
    count = -(-len(numbers) * bits // 32)
    cut = [stream >> 32 * word & 0xFFFFFFFF for word in range(count)]
    return [word - (1 << 32) if word >> 31 else word for word in cut]


def gptq(
    rng: Rng,
    rows: int,
    columns: int,
    *,
    bits: int = 4,
    group: int = 32,
    symmetric: bool = True,
    added: int = 1,
    shuffled: bool = False,
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
    """The tensors of a weight, and what it is worth."""
    groups = columns // group
    q = rng.integers(0, 1 << bits, (rows, columns))
    zero = rng.integers(added, 1 << bits, (rows, groups)) if not symmetric else np.full((rows, groups), 1 << bits - 1)
    scale = rng.uniform(0.001, 0.02, (rows, groups)).astype(np.float16)
    of = np.arange(columns) // group
    of = rng.permutation(of) if shuffled else of
    stored = {
        "qweight": np.array([words(row, bits) for row in q], np.int32).T,
        "qzeros": np.array([words(row, bits) for row in (zero - added).T], np.int32),
        "scales": scale.T,
        "g_idx": of.astype(np.int32),
    }
    return stored, (q - zero[:, of]).astype(np.float32) * scale.astype(np.float32)[:, of]


def _gptq(**how: Any) -> Callable[[Rng, int, int], Tensors]:
    return lambda rng, rows, columns: {f".{key}": value for key, value in gptq(rng, rows, columns, **how)[0].items()}  # type: ignore[return-value]


def _awq(rng: Rng, rows: int, columns: int) -> Tensors:
    def any_words(*shape: int) -> NDArray[np.int32]:
        return rng.integers(-(1 << 31), 1 << 31, shape).astype(np.int32)

    scales = rng.uniform(0.001, 0.02, (columns // 64, rows)).astype(np.float16)
    return {
        ".qweight": any_words(columns, rows // 8),
        ".qzeros": any_words(columns // 64, rows // 8),
        ".scales": scales,
    }  # type: ignore[dict-item]


def _f8(rng: Rng, *shape: int, largest: int = 0x70) -> Tensor:
    signs = rng.integers(0, 2, shape) << 7
    return "F8_E4M3", (rng.integers(0x20, largest, shape) | signs).astype(np.uint8)


def _fp8(rng: Rng, rows: int, columns: int) -> Tensors:
    scale = rng.uniform(1e-4, 1e-3, (-(-rows // 48), -(-columns // 48))).astype(np.float32)
    return {".weight": _f8(rng, rows, columns), ".weight_scale_inv": ("F32", scale)}


def _positive_f8(rng: Rng, *shape: int) -> Tensor:
    return "F8_E4M3", rng.integers(0x20, 0x50, shape).astype(np.uint8)


def _nvfp4(rng: Rng, rows: int, columns: int) -> Tensors:
    return {
        ".weight": ("U8", rng.integers(0, 256, (rows, columns // 2)).astype(np.uint8)),
        ".weight_scale": _positive_f8(rng, rows, columns // 16),
        ".weight_scale_2": ("F32", np.array(0.013, np.float32)),
        ".input_scale": ("F32", np.array(0.5, np.float32)),
    }


def _mxfp4(rng: Rng, rows: int, columns: int) -> Tensors:
    return {
        ".weight_packed": ("U8", rng.integers(0, 256, (rows, columns // 2)).astype(np.uint8)),
        ".weight_scale": ("U8", rng.integers(116, 121, (rows, columns // 32)).astype(np.uint8)),
    }


def _w8a8(rng: Rng, rows: int, columns: int) -> Tensors:
    scale = rng.uniform(1e-4, 1e-3, (rows, 1)).astype(np.float32)
    return {
        ".weight": ("I8", rng.integers(-128, 128, (rows, columns)).astype(np.int8)),
        ".weight_scale": bf16(np.maximum(scale, 2.0**-13)),
    }


def _mlx(rng: Rng, rows: int, columns: int) -> Tensors:
    scale = rng.uniform(0.001, 0.02, (rows, columns // 64)).astype(np.float32)
    return {
        ".weight": ("U32", rng.integers(0, 1 << 32, (rows, columns // 8)).astype(np.uint32)),
        ".scales": bf16(scale),
        ".biases": bf16(-8 * scale),
    }


def _nf4(rng: Rng, rows: int, columns: int) -> Tensors:
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [rows, columns]}
    return {
        ".weight": ("U8", rng.integers(0, 256, (rows * columns // 2, 1)).astype(np.uint8)),
        ".weight.absmax": ("F32", rng.uniform(0.01, 0.1, rows * columns // 64).astype(np.float32)),
        ".weight.quant_map": ("F32", np.linspace(-1, 1, 16, dtype=np.float32)),
        ".weight.quant_state.bitsandbytes__nf4": ("U8", np.frombuffer(json.dumps(state).encode(), np.uint8)),
    }


def _bitnet(rng: Rng, rows: int, columns: int) -> Tensors:
    quarters = rng.integers(0, 3, (4, rows // 4, columns))
    packed = sum(quarters[i] << 2 * i for i in range(4)).astype(np.uint8)
    return {".weight": ("U8", packed), ".weight_scale": ("F32", np.array([23.7], np.float32))}


Maker = Callable[[Rng, int, int], Tensors]
_WEIGHTS_8 = {"num_bits": 8, "type": "int", "symmetric": True}
METHODS: Mapping[str, tuple[Mapping[str, Any], Maker]] = {
    "gptq": ({"quant_method": "gptq", "bits": 4, "sym": True, "group_size": 32}, _gptq()),
    "gptq-zeros": ({"quant_method": "gptq", "bits": 4, "sym": False, "group_size": 32}, _gptq(symmetric=False)),
    "gptq-order": ({"quant_method": "gptq", "bits": 4, "sym": True, "desc_act": True}, _gptq(shuffled=True)),
    "gptq-8": ({"quant_method": "gptq", "bits": 8, "sym": True}, _gptq(bits=8)),
    "awq": ({"quant_method": "awq", "bits": 4, "version": "gemm"}, _awq),
    "fp8": ({"quant_method": "fp8", "weight_block_size": [48, 48]}, _fp8),
    "w8a8": (
        {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": _WEIGHTS_8}}}, _w8a8,
    ),
    "mxfp4": ({"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized"}, _mxfp4),
    "nvfp4": ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, _nvfp4),
    "mlx": ({"bits": 4, "group_size": 64}, _mlx),
    "nf4": ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, _nf4),
    "bitnet": ({"quant_method": "bitnet", "linear_class": "bitlinear"}, _bitnet),
}  # fmt: skip
"""By name: what config.json says, and the tensors of one weight by the endings of their names."""

CONFIG: Mapping[str, Any] = {
    "model_type": "llama", "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 96, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
}  # fmt: skip
"""A small Llama whose rows are whole groups of every method."""
_SHAPES = {
    "self_attn.q_proj": (128, 128), "self_attn.k_proj": (64, 128), "self_attn.v_proj": (64, 128),
    "self_attn.o_proj": (128, 128), "mlp.gate_proj": (192, 128), "mlp.up_proj": (192, 128), "mlp.down_proj": (128, 192),
}  # fmt: skip


def write_model(path: Path, method: str, *, skip: Sequence[str] = ()) -> Path:
    """That Llama with weights of one method; those whose names end as in `skip` are not quantised."""
    settings, make = METHODS[method]
    rng = np.random.default_rng(len(method))
    key = "quantization" if method == "mlx" else "quantization_config"
    tensors: dict[str, Tensor | NDArray[Any]] = {"model.norm.weight": np.ones(128, np.float32)}
    for name in ("lm_head", "model.embed_tokens"):
        tensors[f"{name}.weight"] = rng.normal(0, 0.3, (96, 128)).astype(np.float16)
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{norm}.weight"] = rng.uniform(0.5, 1.5, 128).astype(np.float32)
        for name, shape in _SHAPES.items():
            if name.endswith(tuple(skip)):
                tensors[f"{prefix}{name}.weight"] = rng.normal(0, 0.1, shape).astype(np.float16)
            else:
                tensors |= {prefix + name + ending: tensor for ending, tensor in make(rng, *shape).items()}
    if method == "mlx":  # which quantises the embedding, too
        del tensors["model.embed_tokens.weight"]
        tensors |= {"model.embed_tokens" + ending: tensor for ending, tensor in _mlx(rng, 96, 128).items()}
    return write_folder(path, {**CONFIG, key: settings}, tensors)


_EXPERTS: Mapping[str, Any] = {
    **CONFIG, "model_type": "qwen3_moe", "head_dim": 32, "num_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 64, "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True,
    "num_hidden_layers": 1, "quantization": METHODS["mlx"][0],
}  # fmt: skip


def write_experts(path: Path) -> Path:
    """A mixture of experts in MLX's form, whose matrices of experts are stacked."""
    rng = np.random.default_rng(8)
    layer = "model.layers.0."
    tensors: dict[str, Tensor | NDArray[Any]] = {"model.norm.weight": np.ones(128, np.float32)}
    for name in ("lm_head", "model.embed_tokens"):
        tensors[f"{name}.weight"] = rng.normal(0, 0.3, (96, 128)).astype(np.float16)
    for norm, size in (("input_layernorm", 128), ("post_attention_layernorm", 128), ("self_attn.q_norm", 32)):
        tensors[f"{layer}{norm}.weight"] = rng.uniform(0.5, 1.5, size).astype(np.float32)
    tensors[f"{layer}self_attn.k_norm.weight"] = np.ones(32, np.float32)
    tensors[f"{layer}mlp.gate.weight"] = rng.normal(0, 0.3, (4, 128)).astype(np.float32)
    for name, shape in _SHAPES.items():
        if name.startswith("self_attn"):
            tensors |= {layer + name + ending: tensor for ending, tensor in _mlx(rng, *shape).items()}
    for part, (rows, columns) in {"gate_proj": (64, 128), "up_proj": (64, 128), "down_proj": (128, 64)}.items():
        for ending, (dtype, array) in _mlx(rng, 4 * rows, columns).items():
            tensors[f"{layer}mlp.switch_mlp.{part}{ending}"] = dtype, array.reshape(4, rows, -1)
    return write_folder(path, _EXPERTS, tensors)


_GPT_OSS: Mapping[str, Any] = {
    **CONFIG, "model_type": "gpt_oss", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 32, "num_local_experts": 4, "num_experts_per_tok": 2, "num_hidden_layers": 1,
    "layer_types": ["sliding_attention"], "sliding_window": 9, "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip


def write_gpt_oss(path: Path) -> Path:
    """gpt-oss as published: matrices of experts in MXFP4, rows of gate and up in turn, all else as it was trained."""
    rng = np.random.default_rng(9)
    layer = "model.layers.0."
    tensors: dict[str, Tensor | NDArray[Any]] = {"model.norm.weight": np.ones(64, np.float32)}
    for name in ("lm_head", "model.embed_tokens"):
        tensors[f"{name}.weight"] = rng.normal(0, 0.3, (96, 64)).astype(np.float16)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        tensors[f"{layer}{norm}.weight"] = rng.uniform(0.5, 1.5, 64).astype(np.float32)
    for part, (rows, columns) in {"q": (64, 64), "k": (32, 64), "v": (32, 64), "o": (64, 64)}.items():
        levels = rng.integers(-8, 8, (rows, columns))
        levels[:, ::32] = -8  # so that 4 bits hold them exactly
        tensors[f"{layer}self_attn.{part}_proj.weight"] = (levels / 32).astype(np.float32)
        tensors[f"{layer}self_attn.{part}_proj.bias"] = rng.normal(0, 0.2, rows).astype(np.float32)
    tensors[f"{layer}self_attn.sinks"] = rng.normal(0, 1, 2).astype(np.float32)
    tensors[f"{layer}mlp.router.weight"] = rng.normal(0, 0.3, (4, 64)).astype(np.float32)
    tensors[f"{layer}mlp.router.bias"] = rng.normal(0, 0.3, 4).astype(np.float32)
    for part, (rows, columns) in {"gate_up_proj": (192, 64), "down_proj": (64, 96)}.items():
        name = f"{layer}mlp.experts.{part}"
        tensors[f"{name}_blocks"] = "U8", rng.integers(0, 256, (4, rows, columns // 32, 16)).astype(np.uint8)
        tensors[f"{name}_scales"] = "U8", rng.integers(120, 125, (4, rows, columns // 32)).astype(np.uint8)
        tensors[f"{name}_bias"] = rng.normal(0, 0.2, (4, rows)).astype(np.float32)
    return write_folder(path, _GPT_OSS, tensors)
