"""Makes the folders of tests/golden/quantised: a few small weights quantised by the libraries that people use, and what
the same libraries say that they are worth.

    python tests/golden/make_quantised.py      # torch, transformers, compressed-tensors, mlx, bitsandbytes

A folder has model.safetensors, config.json and expected.npz: by the names of the unquantised tensors, f32. Scales are
widened to f32 before a library multiplies by them, which else rounds its results to 16 bits.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import bitsandbytes.functional as bnb
import mlx.core as mx
import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.entrypoints.convert import AutoAWQConverter
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from safetensors.torch import save_file
from transformers.integrations.bitnet import pack_weights, unpack_weights
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import _convert_moe_packed_tensors

HERE = Path(__file__).parent / "quantised"
NAME = "model.layers.0.mlp.up_proj"
torch.manual_seed(20)


def weight(*shape: int) -> torch.Tensor:
    return torch.randn(*shape) * 0.05


def save(name: str, how: dict, tensors: dict, expected: dict, key: str = "quantization_config") -> None:
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", key: how}, indent=1) + "\n")
    np.savez_compressed(folder / "expected.npz", **{k: v.float().numpy() for k, v in expected.items()})


def f8(values: torch.Tensor) -> torch.Tensor:
    return values.to(torch.float8_e4m3fn)


def fp8() -> None:
    dequantise = Fp8Dequantize(None)._dequantize_one
    w, scale = f8(weight(64, 96) * 900), torch.rand(2, 3) * 1e-3
    edge, edge_scale = f8(weight(40, 80) * 900), torch.rand(2, 3) * 1e-3
    whole, one = f8(weight(16, 32) * 900), torch.tensor(0.0007)
    powers = torch.tensor([[120, 119, 118], [117, 121, 122]], dtype=torch.uint8)
    padded = torch.zeros(64, 96, dtype=torch.float8_e4m3fn)
    padded[:40, :80] = edge
    save(
        "fp8",
        {"quant_method": "fp8", "weight_block_size": [32, 32], "activation_scheme": "dynamic"},
        {
            f"{NAME}.weight": w, f"{NAME}.weight_scale_inv": scale,
            "edge.weight": edge, "edge.weight_scale_inv": edge_scale,
            "whole.weight": whole, "whole.weight_scale_inv": one, "whole.activation_scale": torch.tensor(0.5),
            "powers.weight": w, "powers.weight_scale_inv": powers, "plain.weight": weight(4, 8),
        },
        {
            f"{NAME}.weight": dequantise(w, scale), "whole.weight": dequantise(whole, one.reshape(1, 1)),
            "edge.weight": dequantise(padded, edge_scale)[:40, :80],
            "powers.weight": dequantise(w, powers, torch.float32),
        },
    )  # fmt: skip


def mxfp4() -> None:
    blocks = torch.randint(0, 256, (3, 24, 4, 16), dtype=torch.uint8)
    scales = torch.randint(110, 130, (3, 24, 4), dtype=torch.uint8)
    made = _convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)  # (experts, columns, rows)
    name = "model.layers.0.mlp.experts.down_proj"
    save(
        "mxfp4",
        {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
        {f"{name}_blocks": blocks, f"{name}_scales": scales, f"{name}_bias": weight(3, 24)},
        {f"{name}.weight": made.transpose(1, 2)},
    )


def compressed() -> None:
    def scheme(**how) -> QuantizationScheme:
        return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**how))

    def scales_of(w: torch.Tensor, args: QuantizationArgs, group: int) -> tuple[torch.Tensor, torch.Tensor]:
        grouped = w.reshape(w.shape[0], -1, group)
        return calculate_qparams(grouped.amin(-1), grouped.amax(-1), args)

    def packed(name: str, bits: int, group: int, symmetric: bool, dtype: torch.dtype, order: bool = False) -> None:
        how = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": group}
        spec, w = scheme(**how), weight(40, 128)
        if group == 128:
            spec = scheme(**(how | {"strategy": "channel", "group_size": None}))
        scale, zero = scales_of(w, spec.weights, group)
        scale = scale.to(dtype)
        state = {"weight": w, "weight_scale": scale, "weight_zero_point": zero.to(torch.int8)}
        cls = BaseCompressor.get_value_from_registry("pack-quantized")
        made = cls.compress({**state, "weight_scale": scale.float()}, spec)
        made["weight_scale"] = scale
        expected = cls.decompress({**made, "weight_scale": scale.float()}, spec)["weight"]
        label = {"format": "pack-quantized", "config_groups": {"group_0": {"targets": ["Linear"], "weights": how}}}
        save(
            name, {"quant_method": "compressed-tensors", **label},
            {f"{NAME}.{k}": v for k, v in made.items()} | {"lm_head.weight": weight(8, 8)},
            {f"{NAME}.weight": expected},
        )  # fmt: skip

    packed("ct-int4", 4, 32, True, torch.float16)
    packed("ct-int4-zeros", 4, 64, False, torch.bfloat16)
    packed("ct-int4-f32", 4, 128, True, torch.float32)
    packed("ct-int8", 8, 128, True, torch.bfloat16)
    packed("ct-int3", 3, 32, True, torch.float16)

    w = weight(40, 128)
    scale = (w.abs().amax(1, keepdim=True) / 127).to(torch.bfloat16)
    numbers = (w / scale.float()).round().clamp(-128, 127).to(torch.int8)
    group = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}}
    w8 = scheme(num_bits=8, type="int", symmetric=True, strategy="channel")
    cls = BaseCompressor.get_value_from_registry("int-quantized")
    made = cls.decompress({"weight": numbers, "weight_scale": scale.float()}, w8)["weight"]
    save(
        "ct-w8a8",
        {"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": {"group_0": group}},
        {f"{NAME}.weight": numbers, f"{NAME}.weight_scale": scale},
        {f"{NAME}.weight": made},
    )

    rows, row_scale = f8(weight(24, 64) * 900), torch.rand(24, 1) * 1e-3
    channel = scheme(num_bits=8, type="float", strategy="channel", symmetric=True)
    cls = BaseCompressor.get_value_from_registry("float-quantized")
    made = cls.decompress({"weight": rows, "weight_scale": row_scale}, channel)["weight"]
    blocks, block_scale = f8(weight(48, 64) * 900), torch.rand(2, 2) * 1e-3
    blocked = scheme(num_bits=8, type="float", strategy="block", symmetric=True, block_structure=[32, 32])
    made_blocks = cls.decompress({"weight": blocks, "weight_scale": block_scale}, blocked)["weight"]
    weights = {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [32, 32]}
    save(
        "ct-fp8",
        {"quant_method": "compressed-tensors", "format": "float-quantized",
         "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}},
        {f"{NAME}.weight": rows, f"{NAME}.weight_scale": row_scale, f"{NAME}.input_scale": torch.ones(1),
         "blocks.weight": blocks, "blocks.weight_scale": block_scale},
        {f"{NAME}.weight": made, "blocks.weight": made_blocks},
    )  # fmt: skip

    w = weight(24, 96)
    nv = scheme(num_bits=4, type="float", strategy="tensor_group", symmetric=True, group_size=16)
    whole = generate_gparam(w.amin(), w.amax()).reshape(1).float()
    scale, _ = calculate_qparams(*(f(w.reshape(24, -1, 16)) for f in (lambda x: x.amin(-1), lambda x: x.amax(-1))),
                                 nv.weights, global_scale=whole)  # fmt: skip
    cls = BaseCompressor.get_value_from_registry("nvfp4-pack-quantized")
    made = cls.compress({"weight": w, "weight_scale": scale.float(), "weight_global_scale": whole}, nv)
    made["weight_scale"] = f8(scale.float())
    save(
        "ct-nvfp4", {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"},
        {f"{NAME}.{k}": v for k, v in made.items()} | {f"{NAME}.input_global_scale": torch.ones(1)},
        {f"{NAME}.weight": _nv(cls, made, nv)},
    )  # fmt: skip
    # As NVIDIA's Model Optimizer writes it: the same with a factor in place of a divisor.
    factor = torch.tensor(0.000731)
    other = {"weight_packed": made["weight_packed"], "weight_scale": made["weight_scale"]}
    save(
        "modelopt",
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"},
        {f"{NAME}.weight": made["weight_packed"], f"{NAME}.weight_scale": made["weight_scale"],
         f"{NAME}.weight_scale_2": factor, f"{NAME}.input_scale": torch.tensor(0.1),
         "eight.weight": rows, "eight.weight_scale": torch.tensor(0.002), "layer.k_proj.k_scale": torch.tensor(1.0)},
        {f"{NAME}.weight": _nv(cls, other | {"weight_global_scale": torch.ones(1)}, nv, factor),
         "eight.weight": rows.float() * torch.tensor(0.002)},
    )  # fmt: skip

    packed4 = torch.randint(0, 256, (24, 64), dtype=torch.uint8)
    powers = torch.randint(110, 130, (24, 4), dtype=torch.uint8)
    mxs = scheme(num_bits=4, type="float", strategy="group", symmetric=True, group_size=32)
    cls = BaseCompressor.get_value_from_registry("mxfp4-pack-quantized")
    made4 = cls.decompress({"weight_packed": packed4, "weight_scale": powers}, mxs)["weight"]
    save(
        "ct-mxfp4", {"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized"},
        {f"{NAME}.weight_packed": packed4, f"{NAME}.weight_scale": powers}, {f"{NAME}.weight": made4},
    )  # fmt: skip


def _nv(cls: type, made: dict, spec: QuantizationScheme, factor: torch.Tensor | None = None) -> torch.Tensor:
    from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8

    rows, half = made["weight_packed"].shape
    numbers = unpack_fp4_from_uint8(made["weight_packed"], rows, 2 * half).float()
    scales = made["weight_scale"].float()
    scales = scales * factor if factor is not None else scales / made["weight_global_scale"]
    return numbers * scales.repeat_interleave(16, 1)


def awq() -> None:
    packed = torch.randint(-(2**31), 2**31 - 1, (128, 40 // 8), dtype=torch.int32)
    zeros = torch.randint(-(2**31), 2**31 - 1, (2, 40 // 8), dtype=torch.int32)
    scales = (torch.rand(2, 40) * 0.01).half()
    tensors = {f"{NAME}.qweight": packed, f"{NAME}.qzeros": zeros, f"{NAME}.scales": scales}
    made = AutoAWQConverter(group_size=64).process(
        {f"{NAME}.qweight": packed, f"{NAME}.qzeros": zeros, f"{NAME}.scales": scales.float()}
    )
    spec = QuantizationScheme(
        targets=["Linear"],
        weights=QuantizationArgs(num_bits=4, type="int", symmetric=False, strategy="group", group_size=64),
    )
    state = {key.removeprefix(f"{NAME}."): value for key, value in made.items()}
    state["weight_scale"] = state["weight_scale"].float()
    expected = BaseCompressor.get_value_from_registry("pack-quantized").decompress(state, spec)["weight"]
    how = {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm", "zero_point": True}
    save("awq", how, tensors, {f"{NAME}.weight": expected})


def mlx() -> None:
    tensors, expected, modules = {}, {}, {}
    types = {"f16": mx.float16, "bf16": mx.bfloat16, "f32": mx.float32}

    def to_torch(array: mx.array) -> torch.Tensor:
        if array.dtype == mx.bfloat16:
            return torch.from_numpy(np.array(array.view(mx.uint16)).view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(np.array(array))

    for bits, group, kind in ((2, 32, "f16"), (3, 64, "f16"), (4, 64, "bf16"), (4, 32, "f32"), (5, 64, "f16"),
                              (6, 64, "f16"), (8, 64, "bf16")):  # fmt: skip
        name = f"affine_{bits}_{group}_{kind}"
        w = mx.array(weight(24, 128).numpy()).astype(types[kind])
        packed, scales, biases = mx.quantize(w, group_size=group, bits=bits)
        wide = mx.dequantize(packed, scales.astype(mx.float32), biases.astype(mx.float32), group_size=group, bits=bits)
        modules[name] = {"bits": bits, "group_size": group}
        parts = {"weight": packed, "scales": scales, "biases": biases}
        tensors |= {f"{name}.{key}": to_torch(value) for key, value in parts.items()}
        expected[f"{name}.weight"] = to_torch(wide)
    for mode in ("mxfp4", "nvfp4", "mxfp8"):
        packed, scales = mx.quantize(mx.array(weight(24, 128).numpy()).astype(mx.bfloat16), mode=mode)
        modules[mode] = {"mode": mode, "bits": 8 if mode == "mxfp8" else 4, "group_size": 16 if mode == "nvfp4" else 32}
        tensors |= {f"{mode}.weight": to_torch(packed), f"{mode}.scales": to_torch(scales)}
        expected[f"{mode}.weight"] = to_torch(mx.dequantize(packed, scales, mode=mode, dtype=mx.float32))
    stack = mx.array(weight(2, 24, 64).numpy()).astype(mx.float16)
    packed, scales, biases = mx.quantize(stack, group_size=64, bits=4)
    name = "model.layers.0.mlp.switch_mlp.up_proj"
    tensors |= {f"{name}.{k}": to_torch(v) for k, v in {"weight": packed, "scales": scales, "biases": biases}.items()}
    wide = mx.dequantize(packed, scales.astype(mx.float32), biases.astype(mx.float32), group_size=64, bits=4)
    for expert in range(2):
        expected[f"model.layers.0.mlp.experts.{expert}.up_proj.weight"] = to_torch(wide)[expert]
    save("mlx", {"group_size": 64, "bits": 4, **modules}, tensors, expected, key="quantization")


def bitsandbytes() -> None:
    tensors, expected = {}, {}
    # Rows of no whole blocks are odd here: for others of these the library has a kernel on processors that is wrong.
    for kind, nested, shape in (("nf4", True, (136, 128)), ("fp4", False, (9, 65)), ("nf4", False, (12, 192))):
        name = f"{kind}_{'nested' if nested else 'plain'}"
        packed, state = bnb.quantize_4bit(weight(*shape), quant_type=kind, compress_statistics=nested)
        tensors |= {f"{name}.weight": packed}
        tensors |= {f"{name}.weight.{key}": value for key, value in state.as_dict(packed=True).items()}
        expected[f"{name}.weight"] = bnb.dequantize_4bit(packed, state)
    numbers, scales, _ = bnb.int8_vectorwise_quant(weight(24, 64).half())
    tensors |= {"int8.weight": numbers, "int8.SCB": scales, "int8.weight_format": torch.tensor(0, dtype=torch.uint8)}
    expected["int8.weight"] = bnb.int8_vectorwise_dequant(numbers, scales)
    how = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    save("bitsandbytes", how, tensors, expected)


def bitnet() -> None:
    numbers = torch.randint(-1, 2, (32, 96)).float()
    packed = pack_weights(numbers.clone())  # which adds one in place
    assert torch.equal(unpack_weights(packed, torch.float32), numbers)
    half, other = torch.tensor([0.0037], dtype=torch.bfloat16), torch.tensor([271.4])
    for name, kind, scale, worth in (
        ("bitnet", "bitlinear", other, numbers * (1 / other)),
        ("bitnet-auto", "autobitlinear", half, numbers * half.float()),
    ):
        how = {"quant_method": "bitnet", "linear_class": kind, "quantization_mode": "offline"}
        save(name, how, {f"{NAME}.weight": packed, f"{NAME}.weight_scale": scale}, {f"{NAME}.weight": worth})


if __name__ == "__main__":
    for make in (fp8, mxfp4, compressed, awq, mlx, bitsandbytes, bitnet):
        make()
