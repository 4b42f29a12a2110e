"""Vectors of texts are those that sentence-transformers makes of the same folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hearth import LLM
from hearth.errors import Unsupported, UsageError

from .embedding_model import CASES, HIDDEN, POOLING, PROMPTS, TEXT, write

VECTORS = {
    "joined": [
        0.27395, 0.15665, -0.70201, -0.96073, -2.00899, -0.20247, 0.64634, 3.1236, 0.27395, 0.15665, 1.03327,
        -0.94841, 2.02835, 0.57468, 0.64634, 4.18608, -0.10065, 0.05857, -0.10622, -1.2365, -0.89246, 0.06543,
        0.192, 3.02371, -0.24655, 0.14347, -0.26018, -3.0288, -2.18608, 0.16027, 0.47031, 7.40654, -0.27019,
        0.01775, 0.23527, -1.25271, -0.34314, 0.1884, -0.02534, 2.68812, -0.70551, -0.10956, 1.03327, -0.94841,
        2.02835, 0.26932, -0.84799, -0.249,
    ],
    "dense": [
        0.05244, 0.1928, -0.60035, -0.77438,
    ],
    "prompt": [
        0.11555, 0.06856, -0.15833, -0.16633, -0.45987, -0.28902, 0.13476, 0.78488,
    ],
    "skipped prompt": [
        0.53076, 0.23555, -0.71913, -0.25284, -1.7191, -0.95511, 0.5869, 2.0662, 0.57311, 0.23555, 1.0309, -0.25284,
        2.15625, 0.05315, 0.75037, 3.47906, 0.23814, 0.15569, -0.29059, -0.55082, -0.98978, -0.66607, 0.32697,
        2.06901, 0.58333, 0.38136, -0.7118, -1.34922, -2.42445, -1.63154, 0.80092, 5.06802, 0.12332, 0.12893,
        -0.12719, -0.62764, -0.70706, -0.54921, 0.23084, 1.90316, -0.65782, -0.07255, 1.0309, -0.74507, 2.15625,
        0.05315, -0.89418, -1.0268,
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_vectors_are_those_of_sentence_transformers(tmp_path: Path, cache: Path, name: str) -> None:
    with LLM(write(tmp_path / "model", **CASES[name]), quant="f32", precision="high") as llm:
        vector = llm.embed(TEXT, prompt="query" if "prompt" in name else None)
        assert len(vector) == llm.embedding_size
    np.testing.assert_allclose(vector, VECTORS[name], atol=3e-5)


def test_the_default_prompt_is_put_before_a_text_and_an_unknown_one_is_refused(tmp_path: Path, cache: Path) -> None:
    by_default = write(tmp_path / "model", ["mean"], normalize=True, prompts=PROMPTS | {"default_prompt_name": "query"})
    with LLM(by_default, quant="f32", precision="high") as llm:
        np.testing.assert_allclose(llm.embed(TEXT), VECTORS["prompt"], atol=3e-5)
        assert not np.allclose(llm.embed(TEXT, prompt="document"), VECTORS["prompt"], atol=1e-2)
        with pytest.raises(UsageError, match=r"no prompt 'web'.*'document', 'query'"):
            llm.embed(TEXT, prompt="web")


def test_a_model_without_a_head_makes_vectors_and_no_text(tmp_path: Path, cache: Path) -> None:
    folder = write(tmp_path / "model", ["lasttoken"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    with LLM(folder, quant="f32", precision="high") as llm:
        expected = VECTORS["joined"][HIDDEN * list(POOLING).index("lasttoken") :]
        np.testing.assert_allclose(llm.embed(TEXT), expected, atol=3e-5)
        with pytest.raises(Unsupported, match="makes vectors of texts and writes none"):
            llm.generate("the cat")
        with pytest.raises(Unsupported, match="lm_head"):
            llm.logits([1, 2])


def test_what_cannot_be_computed_is_refused_by_name_and_never_a_mean(tmp_path: Path, cache: Path) -> None:
    folder = write(tmp_path / "model", ["mean"])
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 2, "name": "2", "path": "2_LSTM", "type": "sentence_transformers.models.LSTM"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with LLM(folder, quant="f32", precision="high") as llm, pytest.raises(Unsupported, match="'LSTM'"):
        llm.embed(TEXT)
