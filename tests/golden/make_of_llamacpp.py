"""Makes the golden models of architectures that only GGUF files have, with the logits that llama.cpp computes for them.

    cd tests && python -m golden.make_of_llamacpp [NAME...]

Weights are random (seeded by the name) and rounded to f16, which the stored file has of matrices; llama.cpp computes
with the same numbers in f32, since it rounds activations before a product with f16 weights.
"""

from __future__ import annotations

import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from . import _HERE, GGUF_ALONE
from .gguf_twin import EXACT, write_file
from .llamacpp import logits_of_llamacpp

# A head is as large as those of all published models: of others llama.cpp computes RWKV-7 wrongly.
VOCAB, HIDDEN, INNER, LAYERS, SIZE, TOKENS = 53, 128, 40, 2, 64, 34
Shapes = dict[str, tuple[int, ...]]


def _keys(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_wkv_head_size(SIZE)
    writer.add_token_shift_count(1)
    writer.add_head_count(0)


def _around(layer: Callable[[int], Shapes]) -> Shapes:
    """The tensors of a model of Qwen 2.5's shape, with these in place of those of attention."""
    shapes: Shapes = {"token_embd": (VOCAB, HIDDEN), "output": (VOCAB, HIDDEN), "output_norm": (HIDDEN,)}
    for i in range(LAYERS):
        own = {"attn_norm": (HIDDEN,), "ffn_norm": (HIDDEN,), "ffn_down": (HIDDEN, INNER), **layer(i)}
        own |= dict.fromkeys(("ffn_gate", "ffn_up"), (INNER, HIDDEN))
        shapes |= {f"blk.{i}.{name}": shape for name, shape in own.items()}
    return {name if name.endswith(".bias") else f"{name}.weight": shape for name, shape in shapes.items()}


def _arwkv7(writer: gguf.GGUFWriter) -> Shapes:
    ranks = {"w": 5, "a": 7, "v": 3, "g": 9}
    _keys(writer)
    writer.add_decay_lora_rank(ranks["w"])
    writer.add_iclr_lora_rank(ranks["a"])
    writer.add_value_residual_mix_lora_rank(ranks["v"])
    writer.add_gate_lora_rank(ranks["g"])

    def layer(i: int) -> Shapes:
        own: Shapes = {"time_mix_lerp_fused": (6, 1, 1, HIDDEN)}
        own |= dict.fromkeys(("time_mix_k_k", "time_mix_k_a", "time_mix_r_k"), (HIDDEN,))
        own |= {f"time_mix_{part}": (HIDDEN, HIDDEN) for part in ("receptance", "key", "value", "output")}
        for part, rank in ranks.items():
            rank = ranks["a"] if part == "v" and i == 0 else rank  # which nothing reads
            own |= {f"time_mix_{part}1": (rank, HIDDEN), f"time_mix_{part}2": (HIDDEN, rank)}
            own |= {f"time_mix_{part}0": (HIDDEN,)} if part != "g" else {}
        return own

    return _around(layer)


def _rwkv6qwen2(writer: gguf.GGUFWriter) -> Shapes:
    shift, decay, keys = 5, 7, SIZE
    _keys(writer)
    writer.add_head_count_kv(1)
    writer.add_time_mix_extra_dim(shift)
    writer.add_time_decay_extra_dim(decay)
    own: Shapes = {
        "time_mix_w1": (5 * shift, HIDDEN), "time_mix_w2": (5, HIDDEN, shift), "time_mix_lerp_x": (HIDDEN,),
        "time_mix_lerp_fused": (5, 1, 1, HIDDEN), "time_mix_decay": (HIDDEN,), "time_mix_decay_w1": (decay, HIDDEN),
        "time_mix_decay_w2": (HIDDEN, decay), "time_mix_key": (keys, HIDDEN), "time_mix_value": (keys, HIDDEN),
        "time_mix_key.bias": (keys,), "time_mix_value.bias": (keys,), "time_mix_receptance.bias": (HIDDEN,),
        **{f"time_mix_{part}": (HIDDEN, HIDDEN) for part in ("receptance", "gate", "output")},
    }  # fmt: skip
    return _around(lambda i: own)


OPENELM = {"hidden": 24, "size": 16, "heads": (3, 4, 6), "kv_heads": (1, 2, 3), "widths": (20, 28, 44)}


def _openelm(writer: gguf.GGUFWriter) -> Shapes:
    hidden, size = OPENELM["hidden"], OPENELM["size"]
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_block_count(len(OPENELM["heads"]))
    writer.add_feed_forward_length(list(OPENELM["widths"]))
    writer.add_head_count(list(OPENELM["heads"]))
    writer.add_head_count_kv(list(OPENELM["kv_heads"]))
    writer.add_rope_freq_base(1000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(size)
    writer.add_key_length(size)
    writer.add_value_length(size)
    shapes: Shapes = {"token_embd.weight": (VOCAB, hidden), "output_norm.weight": (hidden,)}
    sizes = zip(OPENELM["heads"], OPENELM["kv_heads"], OPENELM["widths"], strict=True)
    for i, (heads, kv_heads, width) in enumerate(sizes):
        own: Shapes = dict.fromkeys(("attn_norm", "ffn_norm"), (hidden,))
        own |= dict.fromkeys(("attn_q_norm", "attn_k_norm"), (size,))
        own |= {"attn_qkv": ((heads + 2 * kv_heads) * size, hidden), "attn_output": (hidden, heads * size)}
        own |= {"ffn_gate": (width, hidden), "ffn_up": (width, hidden), "ffn_down": (hidden, width)}
        shapes |= {f"blk.{i}.{name}.weight": shape for name, shape in own.items()}
    return shapes


RECIPES: dict[str, Callable[[gguf.GGUFWriter], Shapes]] = {
    "arwkv7": _arwkv7, "rwkv6qwen2": _rwkv6qwen2, "openelm": _openelm
}  # fmt: skip


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """f32 values that f16 holds exactly."""
    noise = rng.standard_normal(shape)
    if "norm" in name:
        values = 0.3 * noise + 1.0
    elif "lerp" in name:
        values = 0.3 * noise + 0.5
    elif len(shape) == 1:
        values = 0.3 * noise
    else:
        values = 0.4 * noise if name in ("token_embd.weight", "output.weight") else 1.5 * noise / np.sqrt(shape[-1])
    return values.astype(np.float16).astype(np.float32)


def write(name: str, path: Path, *, runnable: bool) -> None:
    """Writes a model as `path`.

    Args:
        runnable: for llama.cpp: with what it wants to see of a model that has no tokenizer, and matrices in f32.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    writer = gguf.GGUFWriter(path, name)
    if runnable:
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(VOCAB)
    for tensor, shape in RECIPES[name](writer).items():
        small = runnable or len(shape) == 1 or any(part in tensor for part in EXACT)
        writer.add_tensor(tensor, _draw(rng, tensor, shape).astype(np.float32 if small else np.float16))
    write_file(writer)


def token_ids_of(name: str) -> NDArray[np.int32]:
    return np.random.default_rng(zlib.crc32(name.encode()) + 1).integers(1, VOCAB, TOKENS).astype(np.int32)


def expected_logits(name: str) -> NDArray[np.float32]:
    """[tokens, vocab], as llama.cpp computes them today."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write(name, path, runnable=True)
        return logits_of_llamacpp(path, token_ids_of(name), VOCAB)


def make(name: str) -> None:
    folder = _HERE / name
    folder.mkdir(exist_ok=True)
    write(name, folder / "twin.gguf", runnable=False)
    logits = expected_logits(name)
    np.savez_compressed(folder / "expected.npz", token_ids=token_ids_of(name), logits=logits)
    sys.stdout.write(f"{name}: logits spread {logits.std():.2f}\n")


if __name__ == "__main__":
    for case in GGUF_ALONE:
        if len(sys.argv) < 2 or case.name in sys.argv[1:]:
            make(case.name)
