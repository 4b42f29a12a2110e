"""GGUF files whose tensors have several block types, as the usual Q4_K_M files do: compiled, they compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.checkpoint.builders import RawTensor, gguf_bytes
from tests.compiler.compiled import Piece, Sequences, compile_here, open_session, relative_error
from tests.model import reference
from tests.quant.helpers import HALVES, random_gguf

from hearth.checkpoint import open_checkpoint
from hearth.model import load_family
from hearth.quant import RowSource, read_f32
from hearth.quant.gguf import GGUF_BLOCKS
from hearth.runtime import Model

HIDDEN, INNER, HEADS, KV_HEADS, HEAD, VOCAB, LAYERS = 256, 512, 4, 2, 64, 200, 2
TYPE_IDS = {"f32": 0, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "q4_k": 12, "q5_k": 13, "q6_k": 14}

Q4_K_M = {"attn_v": "q6_k", "ffn_down": "q6_k", "token_embd": "q4_k", "output": "q6_k"}
SIMPLE = {"attn_q": "q4_0", "attn_k": "q4_1", "attn_v": "q5_0", "attn_output": "q5_1", "ffn_gate": "q8_0",
          "ffn_up": "q4_0", "ffn_down": "q5_0", "token_embd": "q5_1", "output": "q4_1"}  # fmt: skip


def small_blocks(kind: str, rows: int, columns: int, seed: int) -> bytes:
    """Random blocks whose values are about as large as those of real weights."""
    raw = random_gguf(kind, rows, columns, seed).reshape(-1, GGUF_BLOCKS[kind].size_bytes).copy()
    largest = {"q4_k": 1000, "q5_k": 2000, "q6_k": 4000, "q8_0": 128}.get(kind, 16)
    for offset in HALVES[kind]:
        half = raw[:, offset : offset + 2].copy().view(np.float16)
        raw[:, offset : offset + 2] = (half * np.float16(0.1 / largest)).view(np.uint8).reshape(-1, 2)
    return raw.tobytes()


def write_mixture(path: Path, kinds: dict[str, str], otherwise: str) -> Path:
    shapes = {"token_embd.weight": (VOCAB, HIDDEN), "output_norm.weight": (HIDDEN,), "output.weight": (VOCAB, HIDDEN)}
    for layer in range(LAYERS):
        block = {
            "attn_norm": (HIDDEN,), "attn_q": (HEADS * HEAD, HIDDEN), "attn_k": (KV_HEADS * HEAD, HIDDEN),
            "attn_v": (KV_HEADS * HEAD, HIDDEN), "attn_output": (HIDDEN, HEADS * HEAD), "ffn_norm": (HIDDEN,),
            "ffn_gate": (INNER, HIDDEN), "ffn_up": (INNER, HIDDEN), "ffn_down": (HIDDEN, INNER),
        }  # fmt: skip
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    data, tensors = b"", []
    for seed, (name, shape) in enumerate(shapes.items()):
        kind = kinds.get(name.split(".")[-2], otherwise) if len(shape) == 2 else "f32"
        tensors.append(RawTensor(name, shape[::-1], TYPE_IDS[kind], len(data)))
        if kind == "f32":
            data += (1 + 0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32).tobytes()
        else:
            data += small_blocks(kind, *shape, seed=seed)
        data += bytes(-len(data) % 32)
    metadata = {
        "llama.context_length": 128, "llama.embedding_length": HIDDEN, "llama.block_count": LAYERS,
        "llama.feed_forward_length": INNER, "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS, "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0, "llama.rope.dimension_count": HEAD, "llama.vocab_size": VOCAB,
    }  # fmt: skip
    path.write_bytes(gguf_bytes(metadata, tensors, data))
    return path


def expected_logits(path: Path, ids: NDArray[np.int32]) -> NDArray[np.float64]:
    checkpoint = open_checkpoint(path)
    model = load_family(checkpoint)
    weights = {}
    for name, source in model.sources.items():
        values = read_f32(RowSource.of(checkpoint, source.tensor, source.rows, source.order))
        weights[name] = values.reshape(-1) if name.endswith("norm") else values
    return reference.forward(model.config, {name: w.astype(np.float64) for name, w in weights.items()}, ids)


def compiled_logits(path: Path, folder: Path, ids: NDArray[np.int32], precision: str) -> NDArray[np.float32]:
    with Model(compile_here(path, folder, precision=precision)) as model, open_session(model) as session:
        return Sequences(session).run([Piece(0, ids)])[0]


IDS = np.random.default_rng(0).integers(0, VOCAB, 40).astype(np.int32)


@pytest.mark.parametrize(
    ("kinds", "otherwise", "precision", "tolerance"),
    [
        pytest.param(SIMPLE, "q8_0", "high", 1e-4, id="blocks-of-32-high"),
        pytest.param(SIMPLE, "q8_0", "default", 0.03, id="blocks-of-32"),
        pytest.param(Q4_K_M, "q4_k", "default", 0.03, id="q4_k_m"),
        # k-quants with f32 activations take LLVM a minute.
        pytest.param(Q4_K_M, "q4_k", "high", 1e-4, id="q4_k_m-high", marks=pytest.mark.slow),
    ],
)
def test_a_mixture_computes_what_its_blocks_are_worth(
    tmp_path: Path, kinds: dict[str, str], otherwise: str, precision: str, tolerance: float
) -> None:
    """`default` rounds activations to 8 bits, which a random model shows as about 1 % of its largest logit."""
    path = write_mixture(tmp_path / "model.gguf", kinds, otherwise)
    logits = compiled_logits(path, tmp_path / "bundle", IDS, precision)
    assert relative_error(logits, expected_logits(path, IDS)) < tolerance
