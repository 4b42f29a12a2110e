"""Every family of language models that see makes the embeddings of pictures that transformers makes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from golden.vlm import CASES, Case, draw_tiles
from hearth.checkpoint import open_checkpoint
from hearth.model import LoadedModel, load_family
from hearth.model.evaluate import evaluate
from hearth.model.vlm.network import sight_network

sys.path.insert(0, str(Path(__file__).parent.parent / "vision"))
from vision_weights import parameters_of

BY_NAME = {case.recipe.name: case for case in CASES}


def embeddings_of(model: LoadedModel, folder: Path, case: Case) -> list[np.ndarray]:
    assert model.sight is not None
    network = sight_network(model.sight)
    parameters = parameters_of(network, open_checkpoint(folder))
    module = network.build()
    inputs = model.sight.sight.tile.inputs
    made = [evaluate(module, "image", {**parameters, **inputs(tile)})[0] for tile in draw_tiles(case.recipe)]
    return [rows.reshape(-1, rows.shape[-1]) for rows in made]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.recipe.name)
def test_a_published_folder_makes_the_embeddings_that_transformers_makes(case: Case, tmp_path: Path):
    folder = case.write(tmp_path)
    model = load_family(open_checkpoint(folder))
    assert model.sight is not None
    sight = model.sight.sight
    assert [sight.tile.rows(*tile.shape[:2]) for tile in draw_tiles(case.recipe)] == case.recipe.counts
    assert sight.text.token_id == case.recipe.token_id
    expected = case.expected()["embeddings"]
    actual = np.concatenate(embeddings_of(model, folder, case))
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max()
