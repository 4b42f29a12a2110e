"""Longer texts than the golden numbers have, live against transformers (`pip install -e '.[reference]'`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import compile_exact, relative_error

from hearth.engine import Engine, pages_for
from hearth.runtime import Model, TextSession

pytestmark = pytest.mark.reference

TOKENS = 700
SHAPE: dict[str, Any] = {
    "vocab_size": 1000, "hidden_size": 256, "intermediate_size": 640, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 2, "head_dim": 64, "max_position_embeddings": 1024, "tie_word_embeddings": True,
}  # fmt: skip
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Qwen3", SHAPE),
    ("Mistral", {**SHAPE, "sliding_window": 150}),
    ("Gemma2", {**SHAPE, "sliding_window": 200, "query_pre_attn_scalar": 64}),
]


@pytest.mark.parametrize(("family", "config"), CASES, ids=[family for family, _ in CASES])
def test_seven_hundred_tokens(family: str, config: dict[str, Any], tmp_path: Path) -> None:
    """Many blocks of context, windows that begin inside of one, a checkpoint that transformers itself has saved."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(
        getattr(transformers, f"{family}Config")(**config, attn_implementation="eager", initializer_range=0.05)
    ).eval()
    model.save_pretrained(tmp_path / "model", max_shard_size="1MB")
    ids = np.random.default_rng(0).integers(3, 1000, TOKENS).astype(np.int32)
    with torch.no_grad():
        expected = model(torch.tensor(ids[None].astype(np.int64))).logits[0].numpy()
    with Model(compile_exact(tmp_path / "model", tmp_path / "bundle")) as compiled:
        session = TextSession(compiled, num_pages=pages_for(1024, page_tokens=16), threads=2)
        for chunk in (512, 100):
            logits = Engine(session, context=1024, chunk_tokens=chunk).logits(ids)
            assert relative_error(logits, expected) < 1e-4, f"chunks of {chunk} tokens"
