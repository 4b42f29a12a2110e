"""Every vision family computes what transformers computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from vision_weights import parameters_of

from golden.vision import CASES, Case, draw_text, text_inputs
from hearth.checkpoint import open_checkpoint
from hearth.model.evaluate import evaluate
from hearth.model.vision import LoadedVision, load_vision


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.recipe.name)
def test_a_published_folder_computes_what_transformers_computes(case: Case, tmp_path: Path):
    checkpoint = open_checkpoint(case.write(tmp_path))
    model = load_vision(checkpoint, size=case.recipe.size)
    expected = case.expected()
    actual = outputs_of(model, parameters_of(model.network, checkpoint), case)
    for name, value in expected.items():
        assert actual[name].shape == value.shape
        assert np.abs(actual[name] - value).max() <= 1e-5 * np.abs(value).max(), name


def outputs_of(model: LoadedVision, parameters: dict[str, np.ndarray], case: Case) -> dict[str, np.ndarray]:
    """What the network computes: by output, or for a model with two towers by function."""
    module = model.network.build()
    found = {}
    for function in model.network.functions:
        if function.name == "image":
            inputs = {"pixels": case.pixels()}
        else:
            inputs = text_inputs(model.text, draw_text(case.recipe))
        needed = {var.name for var in module[function.name].params}
        arrays = {name: value for name, value in {**parameters, **inputs}.items() if name in needed}
        results = evaluate(module, function.name, arrays)
        single = model.text is not None
        found |= {function.name if single else n: r for n, r in zip(function.outputs, results, strict=True)}
    return found
