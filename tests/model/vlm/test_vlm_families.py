"""Every family of language models that see makes the embeddings of pictures that transformers makes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from golden.vlm import CASES, Case, draw_tiles
from hearth.checkpoint import open_checkpoint
from hearth.errors import CorruptFile, Unsupported
from hearth.model import LoadedModel, load_family
from hearth.model.evaluate import evaluate
from hearth.model.vlm.load import load_config, sight_of_config
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


QWEN = BY_NAME["qwen2.5-vl"]


def published(tmp_path: Path, **changes: object) -> tuple[Path, LoadedModel]:
    """Qwen2.5-VL as its authors put it on the hub: the decoder's configuration beside that of the tower."""
    folder = QWEN.write(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    text |= {
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]},
    }
    config = {**text, **config, "model_type": "qwen2_5_vl", **changes}
    (folder / "config.json").write_text(json.dumps(config))
    return folder, load_family(open_checkpoint(folder))


def test_qwen_as_on_the_hub_is_the_same_model(tmp_path: Path):
    (tmp_path / "new").mkdir()
    new = load_family(open_checkpoint(QWEN.write(tmp_path / "new")))
    (tmp_path / "hub").mkdir()
    folder, model = published(tmp_path / "hub")
    assert model.config == new.config
    assert model.config.rope_streams == 3
    assert model.sight is not None
    actual = np.concatenate(embeddings_of(model, folder, QWEN))
    assert np.abs(actual - QWEN.expected()["embeddings"]).max() <= 1e-5 * np.abs(actual).max()
    config = json.loads((folder / "config.json").read_text())
    assert load_config(config, "qwen2_5_vl") == model.config
    assert sight_of_config(config, "qwen2_5_vl", model.config) is not None


def test_qwen_as_newer_transformers_name_its_tensors(tmp_path: Path):
    names = {
        "visual.": "model.visual.",
        **{f"model.{x}": f"model.language_model.{x}" for x in ("layers", "embed", "norm")},
    }
    folder = QWEN.write(tmp_path, names=names)
    model = load_family(open_checkpoint(folder))
    actual = np.concatenate(embeddings_of(model, folder, QWEN))
    assert np.abs(actual - QWEN.expected()["embeddings"]).max() <= 1e-5 * np.abs(actual).max()


@pytest.mark.parametrize(
    ("tower", "error", "says"),
    [
        ({"in_chans": 4}, Unsupported, "in_chans"),
        ({"out_hidden_size": 64}, CorruptFile, "out_hidden_size"),
        ({"window_size": 4}, CorruptFile, "window_size"),
        ({"spatial_merge_size": 1000}, CorruptFile, "spatial_merge_size"),
        ({"num_heads": 4}, CorruptFile, "hidden_size"),
        ({"hidden_act": "mish"}, Unsupported, "hidden_act"),
        ({"rope_parameters": {"rope_type": "yarn"}}, Unsupported, "rope_type"),
    ],
)
def test_towers_that_hearth_does_not_compute_are_refused_by_name(
    tmp_path: Path, tower: dict[str, object], error: type[Exception], says: str
):
    config = json.loads((QWEN.path / "config.json").read_text())
    with pytest.raises(error, match=says):
        published(tmp_path, vision_config={**config["vision_config"], **tower})


@pytest.mark.parametrize("sections", [[3, 3], [3, 3, 5], [10, -1, 1], "all"])
def test_sections_that_do_not_cover_a_head_are_refused(tmp_path: Path, sections: object):
    with pytest.raises(CorruptFile, match="mrope_section"):
        published(tmp_path, rope_scaling={"type": "mrope", "mrope_section": sections})
