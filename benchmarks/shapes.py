#!/usr/bin/env python3
"""Makes models of real shapes with random weights, to measure speed without downloading anything.

    python benchmarks/shapes.py --shape llama-3.2-1b --format q4_0 --format q8_0
    python benchmarks/shapes.py --shape all --format all --out .cache/shapes

Speed does not depend on the values of weights, so blocks of quantised formats are made of random integers directly,
with scales that keep the logits finite. Formats: GGUF `f16`, `q8_0`, `q4_0`, `q2_k` to `q6_k`, `q4_k_m`, `iq1_s` to
`iq4_xs`, `mxfp4` (experts in it, all else in q8_0); Hugging Face folders `hf-f16`, `hf-bf16`. The numbers of each shape
are those its authors publish in config.json. Needs numpy only; a tensor is written in pieces, so memory stays small.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import gguf_blocks
import gguf_file
import numpy as np
from published_shapes import SHAPES, Shape, Tensor, of_layers, tensors_of

PIECE_BYTES = 32 << 20


_K_QUANTS = ("q2_k", "q3_k", "q4_k", "q4_k_m", "q5_k", "q6_k")
_GRIDS = ("iq1_s", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs")
GGUF_FORMATS = ("f16", "q8_0", "q4_0", *_K_QUANTS, *_GRIDS, "mxfp4")
HF_FORMATS = ("hf-f16", "hf-bf16")


IN_F32 = ("conv1d", "shortconv.conv", "ffn_gate_inp", "ssm_a", "ssm_d", "ssm_norm")
"""What llama.cpp leaves as it is, though it is no vector."""


def vector(tensor: Tensor, rng: np.random.Generator) -> np.ndarray:
    """f32: norm weights around 1, rates of decay below 0, all else around 0."""
    values = rng.standard_normal(tensor.shape, np.float32)
    if tensor.gguf_name.endswith("ssm_a"):
        return -np.exp(values)
    if tensor.gguf_name.endswith("nextn.enorm.weight"):
        return np.ones_like(values)
    return 1 + 0.1 * values if tensor.is_norm else 0.1 * values


# -- GGUF --------------------------------------------------------------------------------------------------------------


def gguf_type(tensor: Tensor, wanted: str, num_layers: int, *, pure: bool) -> str:
    """The type llama.cpp's own quantiser would give the tensor.

    Embedding and head get q6_k with any smaller body; so do, in a `q4_k_m` file, value and down
    projections of half the layers. A row that is no multiple of 256 cannot be a k-quant, and falls back to the next
    larger format of blocks of 32.
    """
    if len(tensor.shape) == 1 or tensor.gguf_name.endswith("bias") or any(part in tensor.gguf_name for part in IN_F32):
        return "f32"
    if wanted == "mxfp4":  # as gpt-oss is published
        return "mxfp4" if "_exps" in tensor.gguf_name else "q8_0"
    if tensor.gguf_name.endswith("nextn.eh_proj.weight"):
        return "q8_0"
    kind = wanted.removesuffix("_m")
    if tensor.gguf_name in ("token_embd.weight", "output.weight"):
        if wanted not in ("f16", "q8_0") and not pure:
            kind = "q6_k"
    elif wanted == "q4_k_m" and not pure:
        _, layer, what, *_ = tensor.gguf_name.split(".")
        if what in ("attn_v", "attn_qkv", "ffn_down") and has_more_bits(int(layer), num_layers):
            kind = "q6_k"
    if tensor.shape[-1] % gguf_blocks.BLOCKS[kind].columns:
        kind = {"q5_k": "q5_1", "q6_k": "q8_0"}.get(kind, "q5_0")
    return kind


def has_more_bits(layer: int, num_layers: int) -> bool:
    """Whether the medium mix gives a layer's sensitive projections 6 bits: first and last eighth, else every third."""
    eighth = num_layers // 8
    return layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2


def rope_factors(shape: Shape) -> np.ndarray:
    """llama3 scaling as GGUF stores it: f32 (head_dim / 2), the divisor of each inverse frequency."""
    inv_freq = shape.rope_theta ** -(np.arange(0, shape.head_dim, 2) / shape.head_dim)
    wave = 2 * np.pi / inv_freq
    low, high, factor, original = 1.0, 4.0, 32.0, 8192
    smooth = np.clip((original / wave - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def gguf_metadata(shape: Shape, name: str, wanted: str) -> list[tuple[str, object]]:
    arch, uint32 = shape.architecture, np.uint32
    k_quants = dict(zip(_K_QUANTS, (10, 11, 14, 15, 16, 18), strict=True))
    grids = dict(zip(_GRIDS, (24, 19, 20, 28, 23, 26, 30), strict=True))
    file_type = ({"f16": 1, "q4_0": 2, "q8_0": 7, "mxfp4": 38} | k_quants | grids)[wanted]
    tokens, types, merges = gguf_file.byte_level_vocabulary(shape.vocab_size, {shape.bos_id, shape.eos_id})
    return [
        ("general.architecture", arch),
        ("general.name", f"{name}, random weights"),
        ("general.file_type", uint32(file_type)),
        ("general.quantization_version", uint32(2)),
        (f"{arch}.context_length", uint32(shape.max_position)),
        (f"{arch}.embedding_length", uint32(shape.hidden_size)),
        (f"{arch}.block_count", uint32(shape.num_blocks)),
        (f"{arch}.feed_forward_length", uint32(shape.intermediate_size)),
        (f"{arch}.attention.head_count", uint32(shape.num_heads)),
        *((f"{arch}.{key}", value) for key, value in of_layers(shape).items()),
        (f"{arch}.attention.layer_norm_rms_epsilon", np.float32(shape.norm_eps)),
        (f"{arch}.rope.freq_base", np.float32(shape.rope_theta)),
        (f"{arch}.rope.dimension_count", uint32(shape.rotary_dim or shape.head_dim)),
        (f"{arch}.vocab_size", uint32(shape.vocab_size)),
        ("tokenizer.ggml.model", "gpt2"),
        ("tokenizer.ggml.pre", shape.pre_tokenizer),
        ("tokenizer.ggml.tokens", tokens),
        ("tokenizer.ggml.token_type", types),
        ("tokenizer.ggml.merges", merges),
        ("tokenizer.ggml.bos_token_id", uint32(shape.bos_id)),
        ("tokenizer.ggml.eos_token_id", uint32(shape.eos_id)),
        ("tokenizer.ggml.add_bos_token", False),
    ]


def foreseeing(tensor: Tensor, kind: str) -> bytes | None:
    """The bytes of what a block needs that is always right; None: they do not matter."""
    rows, columns = tensor.shape
    block = gguf_blocks.BLOCKS[kind]
    if tensor.gguf_name.endswith(("attn_output.weight", "ssm_out.weight", "ffn_down.weight")):
        return bytes(rows * columns // block.columns * block.size_bytes)
    if not tensor.gguf_name.endswith("nextn.eh_proj.weight"):
        return None
    blocks = np.zeros((rows, columns // 32), [("scale", np.float16), ("values", np.int8, 32)])
    blocks["scale"] = 1
    places = np.arange(rows)
    blocks["values"][places, places // 32, places % 32] = 1
    return blocks.tobytes()


def write_gguf(path: Path, name: str, wanted: str, *, pure: bool, seed: int) -> None:
    shape = SHAPES[name]
    writer = gguf_file.GgufFile(gguf_metadata(shape, name, wanted))
    rng = np.random.default_rng(seed)
    if shape.llama3_rope:
        factors = rope_factors(shape)
        writer.add("rope_freqs.weight", factors.shape, "f32", lambda factors=factors: iter([factors.tobytes()]))
    for tensor in tensors_of(shape):
        kind = gguf_type(tensor, wanted, shape.num_layers, pure=pure)
        known = foreseeing(tensor, kind) if shape.foresees and kind != "f32" else None
        if known is not None:
            pieces = lambda known=known: iter([known])  # noqa: E731 (bound per tensor)
        elif kind == "f32":
            pieces = lambda tensor=tensor: iter([vector(tensor, rng).tobytes()])  # noqa: E731 (bound per tensor)
        else:
            rows, columns = int(np.prod(tensor.shape[:-1])), tensor.shape[-1]
            pieces = lambda kind=kind, rows=rows, columns=columns: gguf_blocks.random_rows(  # noqa: E731 (the same)
                kind, rows, columns, rng, piece_bytes=PIECE_BYTES
            )
        writer.add(tensor.gguf_name, tensor.shape, kind, pieces)
    writer.write(path)


# -- Hugging Face folder -----------------------------------------------------------------------------------------------


def hf_config(shape: Shape, dtype: str) -> dict[str, object]:
    config: dict[str, object] = {
        "architectures": [{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[shape.architecture]],
        "model_type": shape.architecture,
        "hidden_size": shape.hidden_size,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "intermediate_size": shape.intermediate_size,
        "vocab_size": shape.vocab_size,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.norm_eps,
        "max_position_embeddings": shape.max_position,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": shape.bos_id,
        "eos_token_id": shape.eos_id,
        "torch_dtype": dtype,
    }
    if shape.architecture == "llama":
        config |= {"head_dim": shape.head_dim, "attention_bias": False, "mlp_bias": False}
    if shape.llama3_rope:
        config["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    return config


def write_tokenizer(folder: Path, shape: Shape) -> None:
    """The vocabulary of the GGUF files as tokenizer.json, which every program wants to find beside the weights."""
    controls = sorted({shape.bos_id, shape.eos_id})
    tokens, _, merges = gguf_file.byte_level_vocabulary(shape.vocab_size, set(controls))
    flags = {"special": True, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    vocab = {token: token_id for token_id, token in enumerate(tokens)}
    content = {
        "version": "1.0",
        "added_tokens": [{"id": token_id, "content": tokens[token_id], **flags} for token_id in controls],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[shape.bos_id],
        "eos_token": tokens[shape.eos_id],
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_hf(folder: Path, name: str, wanted: str, *, seed: int) -> None:
    """Configuration, tokenizer and model.safetensors, which gets its name last: a broken run leaves no whole folder."""
    shape, rng = SHAPES[name], np.random.default_rng(seed)
    dtype = wanted.removeprefix("hf-")
    folder.mkdir(parents=True, exist_ok=True)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors_of(shape):
        size_bytes = 2 * int(np.prod(tensor.shape))
        header[tensor.hf_name] = {
            "dtype": dtype.upper(), "shape": tensor.shape, "data_offsets": (offset, offset + size_bytes),
        }  # fmt: skip
        offset += size_bytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    long_name = {"f16": "float16", "bf16": "bfloat16"}[dtype]
    (folder / "config.json").write_text(json.dumps(hf_config(shape, long_name), indent=2) + "\n")
    write_tokenizer(folder, shape)
    part = folder / "model.safetensors.part"
    with part.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for tensor in tensors_of(shape):
            if len(tensor.shape) == 1:
                file.write(gguf_blocks.encode_floats(vector(tensor, rng), dtype))
            else:
                for piece in gguf_blocks.random_rows(dtype, *tensor.shape, rng, piece_bytes=PIECE_BYTES):
                    file.write(piece)
    part.replace(folder / "model.safetensors")


# -- command line ------------------------------------------------------------------------------------------------------


def path_of(out: Path, name: str, wanted: str, *, pure: bool = False) -> Path:
    """Where a model of this shape and format lies under the output folder."""
    if wanted in HF_FORMATS:
        return out / f"{name}-{wanted}"
    return out / f"{name}-{wanted}{'-pure' if pure else ''}.gguf"


def main() -> int:
    parser = argparse.ArgumentParser(description="Make models of real shapes with random weights.")
    parser.add_argument("--shape", action="append", choices=[*SHAPES, "all"], help="default: all; may be repeated")
    parser.add_argument(
        "--format", action="append", choices=[*GGUF_FORMATS, *HF_FORMATS, "all"], help="default: q4_0; may be repeated"
    )
    parser.add_argument("--out", type=Path, default=Path(".cache/shapes"), help="default: %(default)s")
    parser.add_argument("--pure", action="store_true", help="GGUF: the embedding in the body's format too, not in q6_k")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="make files anew that are there already")
    arguments = parser.parse_args()
    names = list(SHAPES) if not arguments.shape or "all" in arguments.shape else arguments.shape
    if any(SHAPES[name].gguf_only for name in names) and set(HF_FORMATS).intersection(arguments.format or ()):
        parser.error("hybrid models and mixtures are made as GGUF files alone")
    formats = arguments.format or ["q4_0"]
    if "all" in formats:
        formats = [*GGUF_FORMATS, *HF_FORMATS]
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        for wanted in formats:
            path = path_of(arguments.out, name, wanted, pure=arguments.pure)
            whole = path / "model.safetensors" if wanted in HF_FORMATS else path
            if not whole.exists() or arguments.force:
                if wanted in HF_FORMATS:
                    write_hf(path, name, wanted, seed=arguments.seed)
                else:
                    write_gguf(path, name, wanted, pure=arguments.pure, seed=arguments.seed)
            print(f"{path}  {whole.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
