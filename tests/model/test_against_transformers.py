"""Live comparison with transformers (`pip install -e '.[reference]'`, `pytest -m reference`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference

from golden import CASES, Case
from golden.recipes import RECIPES
from hearth.checkpoint import open_checkpoint
from hearth.model import load_family
from hearth.model.settings import Settings
from hearth.model.text.rope import flat_rope_parameters, make_rope

pytestmark = pytest.mark.reference

# RoPE of published models, at their real sizes: (head_dim, max_position_embeddings, parameters).
PUBLISHED_ROPES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "llama-2": (128, 4096, {"rope_theta": 10000.0, "rope_type": "default"}),
    "llama-3.2": (
        64,
        131072,
        {
            "rope_theta": 500000.0,
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ),
    "qwen-yarn": (
        128,
        131072,
        {"rope_theta": 1e6, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
    ),
    "yarn-with-mscale": (
        64,
        16384,
        {
            "rope_theta": 10000.0,
            "rope_type": "yarn",
            "factor": 40.0,
            "mscale": 0.707,
            "mscale_all_dim": 1.0,
            "beta_fast": 16,
            "beta_slow": 2,
            "truncate": False,
            "original_max_position_embeddings": 4096,
        },
    ),
    "gemma-3-global": (256, 131072, {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0}),
    "smollm3": (128, 65536, {"rope_theta": 5e6, "rope_type": "default"}),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_logits_are_what_transformers_computes_today(case: Case):
    from golden.make_golden import build_model, reference_logits

    recipe = next(recipe for recipe in RECIPES if recipe.name == case.name)
    checkpoint = open_checkpoint(case.path)
    model = load_family(checkpoint, context=case.context)
    actual = reference.forward(model.config, reference.read_parameters(checkpoint, model), case.token_ids)
    expected = reference_logits(build_model(recipe), case.token_ids)
    assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", PUBLISHED_ROPES)
def test_frequencies_of_published_models(name: str):
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    head_dim, max_position, parameters = PUBLISHED_ROPES[name]
    config = transformers.LlamaConfig(
        head_dim=head_dim, max_position_embeddings=max_position, rope_parameters=dict(parameters)
    )
    if parameters["rope_type"] == "default":
        from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

        expected, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    else:
        expected, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config)
    settings = Settings({"rope_parameters": parameters, "max_position_embeddings": max_position}, where="config.json")
    rope = make_rope(flat_rope_parameters(settings), head_dim=head_dim)
    # A few units in the last place: pow() differs between libraries.
    np.testing.assert_allclose(np.array(rope.inv_freq, np.float32), expected.numpy(), rtol=6e-7)
    assert rope.attention_factor == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("context", [4096, 8192])
def test_longrope_of_a_published_size(context: int):
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    pairs = 48
    parameters = {
        "rope_theta": 10000.0,
        "rope_type": "longrope",
        "short_factor": [1.0 + 0.02 * i for i in range(pairs)],
        "long_factor": [1.0 + 0.9 * i for i in range(pairs)],
    }
    config = transformers.Phi3Config(
        hidden_size=3072,
        num_attention_heads=32,
        max_position_embeddings=131072,
        original_max_position_embeddings=4096,
        rope_parameters=dict(parameters),
    )
    expected, factor = ROPE_INIT_FUNCTIONS["longrope"](config, seq_len=context)
    values = {
        "rope_parameters": parameters,
        "max_position_embeddings": 131072,
        "original_max_position_embeddings": 4096,
    }
    rope = make_rope(flat_rope_parameters(Settings(values, where="config.json", context=context)), head_dim=2 * pairs)
    np.testing.assert_allclose(np.array(rope.inv_freq, np.float32), expected.numpy(), rtol=6e-7)
    assert rope.attention_factor == pytest.approx(factor, rel=1e-12)
