"""Small random models with the logits that transformers computes for them.

Each folder is a checkpoint (`config.json`, `model.safetensors` in f16), the expected logits (`expected.npz`, f32) and,
where the format can say what the model does, the same model as `twin.gguf`. `make_golden.py` makes them. A few are a
GGUF file alone (`GGUF_ALONE`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .encoder_recipes import ENCODER_RECIPES
from .recipes import RECIPES

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One golden model.

    Attributes:
        path: the checkpoint folder.
        gguf_path: its GGUF twin, or None.
        context: what to pass to `load_family` (and to compile for), in tokens, or None.
    """

    name: str
    path: Path
    gguf_path: Path | None
    context: int | None

    @property
    def token_ids(self) -> NDArray[np.int32]:
        """The prompt."""
        with np.load(self.path / "expected.npz") as arrays:
            return arrays["token_ids"]

    def expected_logits(self) -> NDArray[np.float32]:
        """[tokens, vocab], f32."""
        with np.load(self.path / "expected.npz") as arrays:
            return arrays["logits"]


@dataclass(frozen=True)
class EncoderCase:
    """One golden encoder.

    Attributes:
        path: the checkpoint folder.
        gguf_path: its GGUF twin, or None.
        pairs: tokens of each text belong to two texts.
    """

    name: str
    path: Path
    gguf_path: Path | None
    pairs: bool

    def expected(self) -> dict[str, NDArray[np.float32]]:
        """token_ids and token_types of all texts, one after another, and their lengths; hidden [tokens, hidden] and
        result (vectors or logits), f32."""
        with np.load(self.path / "expected.npz") as arrays:
            return dict(arrays)


CASES = [Case(r.name, _HERE / r.name, _HERE / r.name / "twin.gguf" if r.gguf else None, r.context) for r in RECIPES]
GGUF_ALONE = [
    Case(name, _HERE / name, _HERE / name / "twin.gguf", None) for name in ("arwkv7", "rwkv6qwen2", "openelm")
]
"""Of architectures that only GGUF files have: there is no folder, and llama.cpp computed the logits
(`make_of_llamacpp.py`)."""
ENCODER_CASES = [
    EncoderCase(
        r.name,
        _HERE / "encoders" / r.name,
        _HERE / "encoders" / r.name / "twin.gguf" if r.gguf else None,
        r.pairs,
    )
    for r in ENCODER_RECIPES
]

QUANTISED = _HERE / "quantised"
"""Folders of a few quantised weights with what they are worth (`make_quantised.py`)."""
