"""A GGUF file of every block type there is answers as one of its very numbers in f32 does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.checkpoint.builders import RawTensor, gguf_bytes
from tests.quant.helpers import random_gguf

from hearth import LLM
from hearth.checkpoint.ggml_types import GGML_TYPES
from hearth.quant import from_gguf, unpack
from hearth.quant.gguf import GGUF_BLOCKS

WIDTH, WIDE, VOCABULARY = 256, 512, 64
SETTINGS = {
    "llama.block_count": 2,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": WIDE,
    "llama.context_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": VOCABULARY,
}
SHAPES = {
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (128, WIDTH),
    "attn_v": (128, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (WIDE, WIDTH),
    "ffn_up": (WIDE, WIDTH),
    "ffn_down": (WIDTH, WIDE),
}
NUMBERS = {kind.name: number for number, kind in GGML_TYPES.items()}
MIXTURES = {
    "grids": (
        ["iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq1_s", "iq1_s", "iq3_s"],
        ["iq1_m", "iq1_m", "iq1_m", "iq4_nl", "iq4_xs", "iq2_s", "iq4_xs"],
        ["iq4_xs", "iq3_s"],
    ),
    "others": (
        ["q2_k", "q2_k", "q3_k", "tq1_0", "mxfp4", "mxfp4", "nvfp4"],
        ["q1_0", "q2_0", "tq2_0", "nvfp4", "nvfp4", "q3_k", "q2_k"],
        ["q3_k", "q2_k"],
    ),
}


def matrix(kind: str, n: int, k: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Bytes, and what they are worth."""
    raw = random_gguf(kind, n, k, seed)
    if kind == "mxfp4":
        raw.reshape(-1, 17)[:, 0] = 121 + raw.reshape(-1, 17)[:, 0] % 3
    return raw, unpack(from_gguf(raw, (n, k), kind))


def write(folder: Path, mixture: str) -> tuple[Path, Path]:
    """The model in its types, and the same numbers in f32."""
    *layers, ends = MIXTURES[mixture]
    tensors: dict[str, tuple[str, tuple[int, ...], bytes, NDArray[np.float32]]] = {}

    def add(name: str, kind: str, n: int, k: int) -> None:
        raw, values = matrix(kind, n, k, len(tensors))
        tensors[f"{name}.weight"] = (kind, (n, k), raw.tobytes(), values)
        if kind == "nvfp4":
            factor = np.float32(0.01)
            tensors[f"{name}.scale"] = ("f32", (1,), factor.tobytes(), factor.reshape(1))
            tensors[f"{name}.weight"] = (kind, (n, k), raw.tobytes(), values * factor)

    def norm(name: str, values: NDArray[np.float32]) -> None:
        tensors[name] = ("f32", values.shape, values.tobytes(), values)

    add("token_embd", ends[0], VOCABULARY, WIDTH)
    add("output", ends[1], VOCABULARY, WIDTH)
    norm("output_norm.weight", np.ones(WIDTH, np.float32))
    for number, kinds in enumerate(layers):
        for (name, (n, k)), kind in zip(SHAPES.items(), kinds, strict=True):
            add(f"blk.{number}.{name}", kind, n, k)
        # Random scales make matrices of any size: the norms bring what they multiply down.
        norm(f"blk.{number}.attn_norm.weight", np.full(WIDTH, 1e-3, np.float32))
        norm(f"blk.{number}.ffn_norm.weight", np.full(WIDTH, 1e-3, np.float32))
    paths = []
    for as_f32 in (False, True):
        described, data = [], b""
        for name, (kind, shape, raw, values) in tensors.items():
            if as_f32 and name.endswith(".scale"):
                continue
            content = values.astype("<f4").tobytes() if as_f32 else raw
            described.append(RawTensor(name, shape[::-1], 0 if as_f32 else NUMBERS[kind], len(data)))
            data += content + bytes(-len(content) % 32)
        paths.append(folder / f"{mixture}-{'F32' if as_f32 else 'mixed'}.gguf")
        paths[-1].write_bytes(gguf_bytes(SETTINGS, described, data))
    return paths[0], paths[1]


def test_every_type_is_in_a_mixture() -> None:
    used = {kind for mixture in MIXTURES.values() for kinds in mixture for kind in kinds}
    assert used == set(GGUF_BLOCKS) - {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k"}


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_file_of_these_types_answers_as_its_numbers_do(tmp_path: Path, mixture: str) -> None:
    ids = [1, 5, 9, 33, 63, 0, 17]
    logits = []
    for path in write(tmp_path, mixture):
        with LLM(str(path), precision="high", context=32) as llm:
            logits.append(np.asarray(llm.logits(ids)))
    assert np.abs(logits[1]).max() > 0
    np.testing.assert_allclose(logits[0], logits[1], atol=2e-4 * np.abs(logits[1]).max())
